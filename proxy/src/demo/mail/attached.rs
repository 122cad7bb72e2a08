//! Mail with something in it: the test virus, a program in disguise, a large file.

use super::compose::{base64, mail};

/// How many samples the sound has, one octet each.
const SAMPLES: u32 = 8_000_000;
/// How many of them are a second.
const RATE: u32 = 22_050;

/// The EICAR test file, which every virus scanner knows and which does nothing.
pub(super) fn eicar() -> Vec<u8> {
    let file = base64(&eicar_file());
    mail(&format!(
        "From: Ben Trove <ben@example.com>
To: demo@example.org
Subject: Found this on the office printer
Date: Thu, 06 Mar 2025 11:05:10 +0100
Message-ID: <printer-7@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"achoo\"

--achoo
Content-Type: text/plain; charset=us-ascii

Hi,

the printer sneezed, and then there was this file. I am sure it is fine.
I have sent it to everybody, to be on the safe side.

Ben

--achoo
Content-Type: application/octet-stream; name=\"gesundheit.com\"
Content-Disposition: attachment; filename=\"gesundheit.com\"
Content-Transfer-Encoding: base64

{file}
--achoo--
"
    ))
}

/// The test file, out of halves. They stand here backwards: linkers put constants side by side, and whole the text would
/// make scanners take this very program for infected.
fn eicar_file() -> Vec<u8> {
    let halves = [r"}7)CC7)^P(45XZP\4[PA@%P!O5X", "*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$"];
    // Behind the black box the compiler can't turn them round beforehand.
    halves.map(std::hint::black_box).iter().flat_map(|half| half.bytes().rev()).collect()
}

/// A program that calls itself an invoice; it is a text that calls itself a program.
pub(super) fn forbidden() -> Vec<u8> {
    let file = base64(
        b"This program cannot be run in any mode.\r\n\
          It is a short text about an invoice, and it is rather proud of its file name.\r\n",
    );
    mail(&format!(
        "From: Accounts Department <accounts@example.com>
To: demo@example.org
Subject: Overdue: invoice 0815
Date: Fri, 07 Mar 2025 16:59:59 +0100
Message-ID: <invoice-0815@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"paid-in-full\"

--paid-in-full
Content-Type: text/plain; charset=us-ascii

Dear customer,

please find our invoice attached. It is a PDF at heart. Should your
computer ask whether you are sure, kindly be less sure.

Accounts Department

--paid-in-full
Content-Type: application/pdf; name=\"invoice.pdf.exe\"
Content-Disposition: attachment; filename=\"invoice.pdf.exe\"
Content-Transfer-Encoding: base64

{file}
--paid-in-full--
"
    ))
}

/// Six minutes of rain: 8 MB that are made here, not stored in the program.
pub(super) fn large() -> Vec<u8> {
    let file = base64(&rain());
    mail(&format!(
        "From: Mina Ohm <mina@example.org>
To: demo@example.org
Subject: Recorded on the balcony (turn it up)
Date: Mon, 10 Mar 2025 22:41:07 +0100
Message-ID: <rain-on-tin@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"drip-drop\"

--drip-drop
Content-Type: text/plain; charset=us-ascii

Six minutes of rain, uncut. The best part is around minute four, when it
goes on raining.

Mina

--drip-drop
Content-Type: audio/x-wav; name=\"rain.wav\"
Content-Disposition: attachment; filename=\"rain.wav\"
Content-Transfer-Encoding: base64

{file}
--drip-drop--
"
    ))
}

/// A WAV file of soft noise: mono, 8 bits a sample.
fn rain() -> Vec<u8> {
    let mut file = Vec::with_capacity(44 + SAMPLES as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + SAMPLES).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    for short in [1_u16, 1] {
        file.extend_from_slice(&short.to_le_bytes()); // PCM, one channel
    }
    for rate in [RATE, RATE] {
        file.extend_from_slice(&rate.to_le_bytes()); // samples and octets a second
    }
    for short in [1_u16, 8] {
        file.extend_from_slice(&short.to_le_bytes()); // octets and bits a sample
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&SAMPLES.to_le_bytes());
    // Marsaglia's xorshift: the same rain every time.
    let mut drop: u32 = 0x5eed_1e55;
    file.extend((0..SAMPLES).map(|_| {
        drop ^= drop << 13;
        drop ^= drop >> 17;
        drop ^= drop << 5;
        let [octet, ..] = drop.to_le_bytes();
        112 + octet % 32
    }));
    file
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_test_file_is_the_one_that_scanners_know() {
        let file = eicar_file();
        assert_eq!(file.len(), 68);
        let hash: String = Sha256::digest(file).iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hash, "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
    }

    #[test]
    fn the_rain_is_a_wav_file_that_says_its_own_length() {
        let file = rain();
        assert_eq!(file.len(), 44 + SAMPLES as usize);
        let claimed = u32::from_le_bytes([file[4], file[5], file[6], file[7]]);
        assert_eq!(claimed as usize, file.len() - 8);
    }
}
