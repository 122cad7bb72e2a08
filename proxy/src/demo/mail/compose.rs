//! How text becomes mail: line ends, base64, quoted-printable, encoded words.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;

/// How many octets become a line of base64 of 76 characters (RFC 2045 section 6.8).
const BASE64_LINE: usize = 57;
/// How long a line of quoted-printable is, its soft break included (RFC 2045 section 6.7).
const QUOTED_LINE: usize = 76;
/// How many characters one encoded word takes; even with three octets each it stays within 75 (RFC 2047 section 2).
const WORD: usize = 14;

/// The mail that a text with LF is, with CRLF.
pub(super) fn mail(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// The mail that a text with LF is in a charset that has all its characters, with CRLF.
pub(super) fn mail_in(charset: &'static Encoding, text: &str) -> Vec<u8> {
    let text = text.replace('\n', "\r\n");
    let (octets, _, _) = charset.encode(&text);
    octets.into_owned()
}

/// Lines of base64 with LF, the last without.
pub(super) fn base64(content: &[u8]) -> String {
    let mut text = String::with_capacity(content.len() / 3 * 4 + content.len() / BASE64_LINE + 8);
    for line in content.chunks(BASE64_LINE) {
        if !text.is_empty() {
            text.push('\n');
        }
        STANDARD.encode_string(line, &mut text);
    }
    text
}

/// A UTF-8 text with LF in quoted-printable, with LF.
pub(super) fn quoted_printable(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let (mut out, mut used) = (String::new(), 0);
        for (at, octet) in line.bytes().enumerate() {
            let last = at + 1 == line.len();
            let plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') || (octet == b' ' && !last);
            let width = if plain { 1 } else { 3 };
            if used + width >= QUOTED_LINE {
                out.push_str("=\n");
                used = 0;
            }
            used += width;
            if plain {
                out.push(char::from(octet));
            } else {
                let _ = write!(out, "={octet:02X}"); // a String takes everything
            }
        }
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text as encoded words in base64, folded.
pub(super) fn encoded_words(text: &str, charset: &'static Encoding) -> String {
    let characters: Vec<char> = text.chars().collect();
    let words = characters.chunks(WORD).map(|chunk| {
        let chunk: String = chunk.iter().collect();
        let (octets, _, _) = charset.encode(&chunk);
        format!("=?{}?B?{}?=", charset.name(), STANDARD.encode(octets))
    });
    words.collect::<Vec<_>>().join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_keeps_lines_short_and_blanks_alive() {
        for (text, quoted) in
            [("a=b", "a=3Db"), ("blank \nnext", "blank=20\nnext"), ("\u{e9}\t", "=C3=A9=09"), ("", "")]
        {
            assert_eq!(quoted_printable(text), quoted);
        }
        let long = quoted_printable(&"\u{645}x".repeat(100));
        assert!(long.lines().all(|line| line.len() <= QUOTED_LINE), "{long}");
        assert_eq!(long.replace("=\n", ""), "=D9=85x".repeat(100));
    }

    #[test]
    fn an_encoded_word_is_at_most_75_characters() {
        for charset in [encoding_rs::UTF_8, encoding_rs::ISO_2022_JP] {
            let words = encoded_words(&"\u{732b}".repeat(40), charset);
            assert!(words.split("\n ").all(|word| word.len() <= 75), "{words}");
        }
        assert_eq!(encoded_words("\u{e9}", encoding_rs::UTF_8), "=?UTF-8?B?w6k=?=");
    }
}
