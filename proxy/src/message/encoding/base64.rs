//! base64 as clients decode it (RFC 2045, section 6.8): foreign characters are skipped, padding may stand anywhere
//! or lack.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of a line (RFC 2045, section 6.8).
const LINE: usize = 76;

const SPACE: u8 = 64;
const PAD: u8 = 65;
const FOREIGN: u8 = 66;

/// The value of each octet: 0 to 63, or one of the marks above.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [FOREIGN; 256];
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b' ' as usize] = SPACE;
    table[b'\t' as usize] = SPACE;
    table[b'\r' as usize] = SPACE;
    table[b'\n' as usize] = SPACE;
    table[b'=' as usize] = PAD;
    table
}

/// Encodes octets, without a line end behind the last line.
pub(in super::super) fn encoded(octets: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(octets);
    let lines: Vec<_> = encoded.as_bytes().chunks(LINE).collect();
    lines.join(&b"\r\n"[..])
}

/// The state between two octets.
#[derive(Default)]
pub(in super::super) struct Decoder {
    /// The characters of the group so far, six bits each.
    bits: u32,
    /// How many they are: 0 to 3.
    count: u8,
    /// Padding characters that the last group still needs.
    due: u8,
    /// Whether padding has been seen since the last character.
    padded: bool,
    faulty: bool,
}

impl Decoder {
    pub(super) fn push(&mut self, encoded: &[u8], out: &mut Vec<u8>) {
        let mut rest = encoded;
        while let Some((&octet, tail)) = rest.split_first() {
            if self.count == 0 && !self.padded {
                rest = whole_groups(rest, out);
                let Some((&octet, tail)) = rest.split_first() else { return };
                self.octet(octet, out);
                rest = tail;
            } else {
                self.octet(octet, out);
                rest = tail;
            }
        }
    }

    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) {
        match VALUES[octet as usize] {
            SPACE => {}
            PAD => self.pad(out),
            FOREIGN => self.faulty = true,
            value => {
                // Text behind padding: some stop there, some go on. What the latter see is given.
                self.faulty |= self.padded;
                self.padded = false;
                self.due = 0;
                self.bits = self.bits << 6 | u32::from(value);
                self.count += 1;
                if self.count == 4 {
                    out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    (self.bits, self.count) = (0, 0);
                }
            }
        }
    }

    fn pad(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            self.due = 3 - self.count.min(3);
            self.flush(out);
        } else if self.due > 0 {
            self.due -= 1;
        } else {
            self.faulty = true;
        }
        self.padded = true;
    }

    /// Gives the whole octets of an incomplete group.
    fn flush(&mut self, out: &mut Vec<u8>) {
        match self.count {
            0 => {}
            // Six bits make no octet.
            1 => self.faulty = true,
            2 => out.push((self.bits >> 4) as u8),
            _ => out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes()),
        }
        (self.bits, self.count) = (0, 0);
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.faulty |= self.count > 0 || self.due > 0;
        self.flush(out);
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }
}

/// Decodes groups of four as long as nothing else stands among them, and gives the rest.
fn whole_groups<'a>(mut encoded: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some((group, rest)) = encoded.split_first_chunk::<4>() {
        let [a, b, c, d] = group.map(|octet| VALUES[octet as usize]);
        if (a | b | c | d) >= SPACE {
            break;
        }
        let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        encoded = rest;
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_lenient_clients_decode_however_it_is_cut() {
        let table: [(&str, &str, bool); 14] = [
            ("aGVsbG8=", "hello", false),
            ("aGVsbG8h", "hello!", false),
            ("aGVs\r\nbG8=\r\n", "hello", false),
            ("aA==", "h", false),
            ("aA= =", "h", false),
            ("aGVsbG8", "hello", true),
            ("aA=", "h", true),
            ("aGV!sbG8=", "hello", true),
            ("aGVsbG8=aGVsbG8=", "hellohello", true),
            ("aA==bGk=", "hli", true),
            ("aGVsbG8==", "hello", true),
            ("=aGVs", "hel", true),
            ("aGVsb", "hel", true),
            ("", "", false),
        ];
        for (encoded, decoded, faulty) in table {
            for cut in 0..=encoded.len() {
                let (mut decoder, mut out) = (Decoder::default(), Vec::new());
                decoder.push(&encoded.as_bytes()[..cut], &mut out);
                decoder.push(&encoded.as_bytes()[cut..], &mut out);
                decoder.finish(&mut out);
                assert_eq!(out, decoded.as_bytes(), "{encoded:?} cut at {cut}");
                assert_eq!(decoder.is_faulty(), faulty, "{encoded:?} cut at {cut}");
            }
        }
    }
}
