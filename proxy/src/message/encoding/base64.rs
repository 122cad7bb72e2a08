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
        out.reserve(encoded.len() / 4 * 3 + 3);
        let mut rest = encoded;
        // Octets that are left when whole lines are worth another look.
        let mut again = rest.len();
        loop {
            if self.count == 0 && !self.padded {
                if rest.len() <= again {
                    (rest, again) = whole_lines(rest, out);
                }
                rest = whole_groups(rest, out);
                if let Some(line) = rest.strip_prefix(b"\r\n") {
                    rest = line;
                    continue;
                }
            }
            let Some((&octet, tail)) = rest.split_first() else { return };
            self.octet(octet, out);
            rest = tail;
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

/// Octets of lines that are decoded together.
const TOGETHER: usize = 64 * LINE;

/// Fewer lines than this are not worth it.
const LINES_MIN: usize = 8;

/// A line that is longer than this, in octets, is not looked at as a line.
const LINE_MAX: usize = 256;

/// Decodes lines of one length, as programs write them, as long as they have groups of four alone. Gives the rest, and how much of
/// it has to be left when another call is worth its while: nothing is looked at again that was not fit.
fn whole_lines<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> (&'a [u8], usize) {
    let mut lines = [0; TOGETHER];
    loop {
        let start = rest;
        let length = memchr::memchr(b'\r', &rest[..rest.len().min(LINE_MAX)]).unwrap_or(LINE_MAX);
        if length == 0 || length == LINE_MAX {
            return (start, start.len().saturating_sub(length + 1));
        }
        let mut filled = 0;
        while let Some((line, behind)) = rest.split_at_checked(length)
            && let Some(behind) = behind.strip_prefix(b"\r\n")
            && let Some(room) = lines.get_mut(filled..filled + length)
        {
            room.copy_from_slice(line);
            filled += length;
            rest = behind;
        }
        let decoded = out.len();
        let fit = length.is_multiple_of(4) && filled >= LINES_MIN * length;
        if !fit || base64_simd::STANDARD_NO_PAD.decode_append(&lines[..filled], out).is_err() {
            out.truncate(decoded);
            return (start, rest.len().min(start.len() - length - 1));
        }
    }
}

/// What a group decodes to where one of its octets is none of the alphabet: more than its 24 bits.
const NO_GROUP: u32 = 1 << 24;

/// The bits of each octet at each of the four places of a group.
static PLACES: [[u32; 256]; 4] = [places(18), places(12), places(6), places(0)];

const fn places(shift: u32) -> [u32; 256] {
    let mut table = [NO_GROUP; 256];
    let mut octet = 0;
    while octet < table.len() {
        if VALUES[octet] < SPACE {
            table[octet] = (VALUES[octet] as u32) << shift;
        }
        octet += 1;
    }
    table
}

fn group([a, b, c, d]: [u8; 4]) -> u32 {
    PLACES[0][a as usize] | PLACES[1][b as usize] | PLACES[2][c as usize] | PLACES[3][d as usize]
}

/// Decodes groups of four as long as nothing else stands among them, and gives the rest.
fn whole_groups<'a>(mut encoded: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    // Four groups at a time take a third of the time.
    while let Some((groups, rest)) = encoded.split_first_chunk::<16>() {
        let (mut octets, mut all) = ([0; 12], 0);
        for (four, three) in groups.as_chunks::<4>().0.iter().zip(octets.as_chunks_mut::<3>().0) {
            let bits = group(*four);
            all |= bits;
            let [_, a, b, c] = bits.to_be_bytes();
            *three = [a, b, c];
        }
        if all >= NO_GROUP {
            break;
        }
        out.extend_from_slice(&octets);
        encoded = rest;
    }
    while let Some((four, rest)) = encoded.split_first_chunk::<4>() {
        let bits = group(*four);
        if bits >= NO_GROUP {
            break;
        }
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

    #[test]
    fn lines_together_and_groups_by_the_dozen_decode_as_one_octet_after_the_other_does() {
        let decoded: Vec<u8> = (0..=255).cycle().take(9_000).collect();
        let mut mail = encoded(&decoded);
        mail.extend_from_slice(b"\r\nAAAA\nBBBB\r\r\n");
        for spoiled in [b'A', b'=', b' ', b'\n', b'!', b'-', 0, 0xff] {
            for at in (0..mail.len()).step_by(7) {
                let mut text = mail.clone();
                text[at] = spoiled;
                let (mut whole, mut single) = (Decoder::default(), Decoder::default());
                let (mut by_groups, mut by_octets) = (Vec::new(), Vec::new());
                whole.push(&text[..at], &mut by_groups);
                whole.push(&text[at..], &mut by_groups);
                text.iter().for_each(|octet| single.octet(*octet, &mut by_octets));
                whole.finish(&mut by_groups);
                single.finish(&mut by_octets);
                assert_eq!((by_groups, whole.faulty), (by_octets, single.faulty), "{spoiled} at {at}");
            }
        }
    }
}
