//! Header text for people: unfolding (RFC 5322, section 2.2.3), encoded words (RFC 2047) and charsets.

use memchr::memmem;

/// Octets of the charset of an encoded word, at most.
const CHARSET_MAX: usize = 64;

/// The text of a field value as it stands in the message, in one line.
///
/// Octets that are not UTF-8 become U+FFFD; so does NUL, wherever it comes from, and line ends inside
/// encoded words become spaces, so that the text can be written back as a header value.
pub(super) fn decode(raw: &[u8]) -> String {
    clean(decode_words(unfold(raw).trim_ascii()))
}

/// The value without its line ends; the white space that each continuation begins with stays, a tab as a space.
pub(super) fn unfold(raw: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(raw.len());
    let mut lines = raw.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    line.extend_from_slice(lines.next().unwrap_or_default());
    for next in lines {
        match next.split_first() {
            Some((b'\t', rest)) => {
                line.push(b' ');
                line.extend_from_slice(rest);
            }
            _ => line.extend_from_slice(next),
        }
    }
    line
}

/// Takes out what no header value may have.
pub(super) fn clean(text: String) -> String {
    if !text.contains(['\r', '\n', '\0']) {
        return text;
    }
    text.chars()
        .map(|c| {
            if c == '\0' {
                char::REPLACEMENT_CHARACTER
            } else if matches!(c, '\r' | '\n') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// The octets as text. An unknown charset is read as UTF-8.
pub(super) fn from_charset(charset: &str, octets: &[u8]) -> String {
    let utf8 = charset.is_empty() || charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8");
    match mail_parser::decoders::charsets::map::charset_decoder(charset.as_bytes()) {
        Some(decoder) if !utf8 => decoder(octets),
        _ => String::from_utf8_lossy(octets).into_owned(),
    }
}

/// Decoded octets of neighbouring words: characters may be cut between them, so they are decoded together.
struct Run<'a> {
    charset: &'a str,
    octets: Vec<u8>,
}

fn decode_words(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut run: Option<Run<'_>> = None;
    let (mut at, mut plain) = (0, 0);
    while let Some(found) = memmem::find(&line[at..], b"=?") {
        let start = at + found;
        let word = match Word::parse(&line[start..]) {
            Parsed::Word(word) => word,
            Parsed::NotHere => {
                at = start + 2;
                continue;
            }
            // Nothing behind this place can end a word.
            Parsed::NowhereBehind => break,
        };
        let between = &line[plain..start];
        match &mut run {
            Some(open) if between.iter().all(u8::is_ascii_whitespace) => {
                if !open.charset.eq_ignore_ascii_case(word.charset) || is_stateful(word.charset) {
                    text.push_str(&from_charset(open.charset, &open.octets));
                    *open = Run { charset: word.charset, octets: Vec::new() };
                }
            }
            _ => {
                finish(&mut run, &mut text);
                text.push_str(&String::from_utf8_lossy(between));
            }
        }
        word.decode(&mut run.get_or_insert(Run { charset: word.charset, octets: Vec::new() }).octets);
        at = start + word.length;
        plain = at;
    }
    finish(&mut run, &mut text);
    text.push_str(&String::from_utf8_lossy(&line[plain..]));
    text
}

/// Whether each word begins and ends in ASCII by escape sequences (RFC 1468); joined, an escape would follow an escape,
/// which decoders take for an error.
fn is_stateful(charset: &str) -> bool {
    charset.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("iso-2022"))
}

fn finish(run: &mut Option<Run<'_>>, text: &mut String) {
    if let Some(run) = run.take() {
        text.push_str(&from_charset(run.charset, &run.octets));
    }
}

enum Parsed<'a> {
    Word(Word<'a>),
    NotHere,
    NowhereBehind,
}

struct Word<'a> {
    charset: &'a str,
    base64: bool,
    text: &'a [u8],
    length: usize,
}

impl<'a> Word<'a> {
    /// Reads `=?charset?encoding?text?=` at the beginning of `line`.
    fn parse(line: &'a [u8]) -> Parsed<'a> {
        let Some(charset_end) = line.iter().take(CHARSET_MAX).skip(2).position(|octet| *octet == b'?') else {
            return Parsed::NotHere;
        };
        let Ok(charset) = std::str::from_utf8(&line[2..2 + charset_end]) else { return Parsed::NotHere };
        let rest = &line[2 + charset_end..];
        let base64 = match rest {
            [b'?', b'B' | b'b', b'?', ..] => true,
            [b'?', b'Q' | b'q', b'?', ..] => false,
            _ => return Parsed::NotHere,
        };
        if charset.is_empty() || charset.contains([' ', '\t']) {
            return Parsed::NotHere;
        }
        let Some(length) = memmem::find(&rest[3..], b"?=") else { return Parsed::NowhereBehind };
        // RFC 2231, section 5: a language may stand behind the charset.
        let charset = charset.split('*').next().unwrap_or(charset);
        Parsed::Word(Self { charset, base64, text: &rest[3..3 + length], length: 2 + charset_end + 3 + length + 2 })
    }

    fn decode(&self, out: &mut Vec<u8>) {
        if self.base64 {
            let mut decoder = super::encoding::Decoder::new(super::encoding::Encoding::Base64);
            decoder.push(self.text, out);
            decoder.finish(out);
            return;
        }
        let mut rest = self.text;
        while let Some((&octet, tail)) = rest.split_first() {
            let hex =
                tail.first_chunk::<2>().filter(|_| octet == b'=').and_then(|digits| std::str::from_utf8(digits).ok());
            let value = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            out.push(value.unwrap_or(if octet == b'_' { b' ' } else { octet }));
            rest = if value.is_some() { &tail[2..] } else { tail };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_header_text() {
        let table: [(&[u8], &str); 18] = [
            (b" plain\r\n", "plain"),
            (b"two\r\n lines\r\n", "two lines"),
            (b"two\n\tlines", "two lines"),
            (b"keeps  two\r\n  spaces", "keeps  two  spaces"),
            (b"=?utf-8?Q?J=C3=B6rg_?= <j@example.org>", "J\u{f6}rg  <j@example.org>"),
            (b"=?utf-8?B?w6Q=?= =?utf-8?B?w7Y=?=", "\u{e4}\u{f6}"),
            (b"=?utf-8?B?ww==?= =?utf-8?B?pA==?=", "\u{e4}"),
            (b"=?utf-8?B?w6Q=?= x =?utf-8?B?w7Y=?=", "\u{e4} x \u{f6}"),
            (b"=?iso-8859-1?q?=E4?=\r\n =?UTF-8?q?=C3=A4?=", "\u{e4}\u{e4}"),
            (b"=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "\u{65e5}\u{672c}\u{8a9e}"),
            (b"=?utf-8*en?q?a?=b", "ab"),
            (b"=?x-unknown?q?a=zzb?=", "a=zzb"),
            (b"=?utf-8?q?open", "=?utf-8?q?open"),
            (b"=?utf-8?x?a?= =?utf-8?q?b?=", "=?utf-8?x?a?= b"),
            (b"=?utf-8?q??=", ""),
            (b"=?utf-8?q?a=0D=0AX:_b=00?=", "a  X: b\u{fffd}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"=?=?=?=?", "=?=?=?=?"),
        ];
        for (raw, text) in table {
            assert_eq!(decode(raw), text, "{:?}", String::from_utf8_lossy(raw));
        }
    }
}
