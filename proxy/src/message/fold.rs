//! Writes header fields: folding (RFC 5322, section 2.2.3) and encoded words (RFC 2047) where they are needed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of a line that is folded where it can be (RFC 5322, section 2.1.1).
const LINE: usize = 78;

/// Octets of an encoded word, at most (RFC 2047, section 2).
const WORD_MAX: usize = 75;

/// What an encoded word has besides its text: `=?utf-8?Q?` and `?=`.
const FRAME: usize = 12;

/// A longer word or longer white space is encoded, since it can't be folded.
const PLAIN_MAX: usize = 800;

/// One header field with its line end. The name has to be one; the value may be any text.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut line = Line { out: format!("{name}:").into_bytes(), column: name.len() + 1, started: false };
    let mut words = split(value.trim_matches([' ', '\t'])).peekable();
    while let Some(first) = words.next() {
        if !first.coded {
            line.push(first.space, first.text);
            continue;
        }
        // Neighbouring words to be encoded go together, the space between them included.
        let mut text = first.text.to_owned();
        while let Some(next) = words.next_if(|next| next.coded) {
            text.push_str(next.space);
            text.push_str(next.text);
        }
        line.push_encoded(first.space, &text);
    }
    line.out.extend_from_slice(b"\r\n");
    line.out
}

struct Word<'a> {
    /// The white space in front.
    space: &'a str,
    text: &'a str,
    coded: bool,
}

/// Splits a value into words and marks those that have to be encoded.
fn split(value: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = value;
    let mut wide_before = false;
    std::iter::from_fn(move || {
        let text = rest.trim_start_matches([' ', '\t']);
        let (space, _) = rest.split_at(rest.len() - text.len());
        if text.is_empty() {
            return None;
        }
        let (text, tail) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
        rest = tail;
        let wide_behind = tail.len() - tail.trim_start_matches([' ', '\t']).len() > PLAIN_MAX;
        let coded =
            wide_before || wide_behind || text.len() > PLAIN_MAX || !text.bytes().all(|octet| octet.is_ascii_graphic());
        wide_before = wide_behind;
        Some(Word { space, text, coded })
    })
}

struct Line {
    out: Vec<u8>,
    column: usize,
    /// Whether something stands behind the colon.
    started: bool,
}

impl Line {
    /// Appends a word that stays as it is, on a new line if this one would grow too long.
    fn push(&mut self, space: &str, text: &str) {
        let space = if space.is_empty() { " " } else { space };
        if self.started && self.column + space.len() + text.len() > LINE {
            self.out.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        self.out.extend_from_slice(space.as_bytes());
        self.out.extend_from_slice(text.as_bytes());
        self.column += space.len() + text.len();
        self.started = true;
    }

    fn push_encoded(&mut self, space: &str, text: &str) {
        let quoted: usize = text.bytes().map(|octet| quote(octet).len()).sum();
        let base64 = quoted > text.len().div_ceil(3) * 4;
        let (mut rest, mut space) = (text, space);
        while !rest.is_empty() {
            // A word that would be very short goes to the next line instead.
            let room = LINE.saturating_sub(self.column + space.len().max(1));
            let room = if room < 2 * FRAME { WORD_MAX } else { room.min(WORD_MAX) };
            let (now, later) = rest.split_at(fitting(rest, room - FRAME, base64));
            self.push(space, &encoded_word(now, base64));
            (rest, space) = (later, " ");
        }
    }
}

/// How much of the text fits into an encoded word whose own text has `room` octets; whole characters, at least one.
fn fitting(text: &str, room: usize, base64: bool) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        let octets = &text.as_bytes()[at..at + c.len_utf8()];
        used += if base64 { octets.len() } else { octets.iter().map(|octet| quote(*octet).len()).sum() };
        let size = if base64 { used.div_ceil(3) * 4 } else { used };
        if size > room && at > 0 {
            return at;
        }
    }
    text.len()
}

fn encoded_word(text: &str, base64: bool) -> String {
    if base64 {
        return format!("=?utf-8?B?{}?=", STANDARD.encode(text));
    }
    let quoted: String = text.bytes().map(quote).collect();
    format!("=?utf-8?Q?{quoted}?=")
}

/// An octet in the encoding Q with the characters that are allowed everywhere (RFC 2047, section 5).
fn quote(octet: u8) -> String {
    match octet {
        b' ' => "_".into(),
        _ if octet.is_ascii_alphanumeric() || b"!*+-/".contains(&octet) => char::from(octet).into(),
        _ => format!("={octet:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    fn written(value: &str) -> String {
        String::from_utf8(field("Subject", value)).unwrap()
    }

    #[test]
    fn short_ascii_stays_as_it_is() {
        assert_eq!(written("hello world"), "Subject: hello world\r\n");
        assert_eq!(written(""), "Subject:\r\n");
        assert_eq!(written("  a  b "), "Subject: a  b\r\n");
    }

    #[test]
    fn only_words_that_need_it_are_encoded() {
        assert_eq!(written("J\u{f6}rgensen from me"), "Subject: =?utf-8?Q?J=C3=B6rgensen?= from me\r\n");
        assert_eq!(written("\u{65e5}\u{672c}\u{8a9e}"), "Subject: =?utf-8?B?5pel5pys6Kqe?=\r\n");
    }

    #[test]
    fn every_value_comes_back_and_no_line_is_too_long() {
        let long = "x".repeat(3000);
        let wide = format!("a{}b", " ".repeat(2000));
        let values = [
            "hello",
            "a  b\tc",
            "\u{e4} \u{f6}",
            "\u{e4} b \u{f6}",
            "\u{1f600}",
            "a\u{7f}b",
            &"word ".repeat(300),
            &"\u{e4}".repeat(500),
            &"\u{1f600}\u{1f600} ".repeat(100),
            &long,
            &wide,
            &format!("{long} \u{e4} {long}"),
            "\u{e4}   \u{e4}",
            "=?utf-8?",
            "\u{a0}x",
        ];
        for value in values {
            for name in ["X", "Subject", &"N".repeat(76)] {
                let field = String::from_utf8(field(name, value)).unwrap();
                let (_, raw) = field.split_once(':').unwrap();
                assert_eq!(words::decode(raw.as_bytes()), value.trim_matches([' ', '\t']), "{field}");
                for line in field.strip_suffix("\r\n").unwrap().split("\r\n") {
                    assert!(line.len() <= 998 && !line.trim().is_empty(), "{line}");
                    assert!(line.len() <= 78 || name.len() > 20 || !line.contains(' '), "{line}");
                    let words = line.split(' ').filter(|word| word.starts_with("=?") && word.ends_with("?="));
                    assert!(words.into_iter().all(|word| word.len() <= WORD_MAX), "{line}");
                }
            }
        }
    }
}
