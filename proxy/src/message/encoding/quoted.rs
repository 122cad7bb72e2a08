//! quoted-printable as clients decode it (RFC 2045, section 6.7): what is no escape stays as it is.

use memchr::memchr;

/// White space between `=` and the line end that is still taken for a soft line break.
const TRAILING_MAX: usize = 998;

/// Encodes a text; its CRLF are line ends, a lone CR or LF is none.
pub(in super::super) fn encoded(octets: &[u8]) -> Vec<u8> {
    quoted_printable::encode(octets)
}

/// The state between two octets.
#[derive(Default)]
pub(in super::super) struct Decoder {
    /// `=` and what followed it so far, as long as its meaning is open.
    open: Vec<u8>,
    faulty: bool,
}

impl Decoder {
    pub(super) fn push(&mut self, encoded: &[u8], out: &mut Vec<u8>) {
        let mut rest = encoded;
        while let Some(&octet) = rest.first() {
            if self.open.is_empty() {
                let plain = memchr(b'=', rest).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if !rest.is_empty() {
                    self.open.push(b'=');
                    rest = &rest[1..];
                }
            } else if self.follow(octet, out) {
                rest = &rest[1..];
            }
        }
    }

    /// Looks at an octet behind an open `=`. False if the octet does not belong to it and is to be read anew.
    fn follow(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match (&self.open[1..], octet) {
            // A soft line break, maybe with white space before its end.
            ([] | [.., b' ' | b'\t' | b'\r'], b'\n') => {
                self.open.clear();
                true
            }
            ([] | [.., b' ' | b'\t'], b' ' | b'\t' | b'\r') if self.open.len() < TRAILING_MAX => {
                self.open.push(octet);
                true
            }
            ([], digit) if digit.is_ascii_hexdigit() => {
                self.open.push(octet);
                true
            }
            (&[high], low) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(nibble(high) << 4 | nibble(low));
                self.open.clear();
                true
            }
            _ => {
                self.give_up(out);
                false
            }
        }
    }

    /// It was no escape: gives the characters themselves.
    fn give_up(&mut self, out: &mut Vec<u8>) {
        self.faulty = true;
        out.append(&mut self.open);
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        // A last `=` alone is a soft line break whose line end went to the delimiter.
        if matches!(self.open[..], [b'='] | [b'=', b'\r']) {
            self.open.clear();
        } else if !self.open.is_empty() {
            self.give_up(out);
        }
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_lenient_clients_decode_however_it_is_cut() {
        let table: [(&str, &str, bool); 13] = [
            ("a=3Db", "a=b", false),
            ("a=3db", "a=b", false),
            ("long=\r\nline", "longline", false),
            ("long=\nline", "longline", false),
            ("long= \t\r\nline", "longline", false),
            ("a = b", "a = b", true),
            ("a =zz", "a =zz", true),
            ("a=4", "a=4", true),
            ("a=4=41", "a=4A", true),
            ("==41", "=A", true),
            ("end=", "end", false),
            ("end=\r", "end", false),
            ("a=\rb", "a=\rb", true),
        ];
        for (encoded, decoded, faulty) in table {
            for cut in 0..=encoded.len() {
                let (mut decoder, mut out) = (Decoder::default(), Vec::new());
                decoder.push(&encoded.as_bytes()[..cut], &mut out);
                decoder.push(&encoded.as_bytes()[cut..], &mut out);
                decoder.finish(&mut out);
                assert_eq!(String::from_utf8_lossy(&out), decoded, "{encoded:?} cut at {cut}");
                assert_eq!(decoder.is_faulty(), faulty, "{encoded:?} cut at {cut}");
            }
        }
    }
}
