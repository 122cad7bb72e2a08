//! The text of a line: octets with escapes, and patterns of them.

use std::iter::Peekable;
use std::str::Chars;

/// What a line must look like.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Eq, PartialEq)]
enum Piece {
    Octets(Vec<u8>),
    Anything,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        pieces(text).map(Self)
    }

    pub(super) fn matches(&self, line: &[u8]) -> bool {
        matches(&self.0, line)
    }
}

fn matches(pieces: &[Piece], line: &[u8]) -> bool {
    match pieces.split_first() {
        None => line.is_empty(),
        Some((Piece::Octets(octets), rest)) => line.strip_prefix(&octets[..]).is_some_and(|line| matches(rest, line)),
        Some((Piece::Anything, rest)) => (0..=line.len()).any(|skipped| matches(rest, &line[skipped..])),
    }
}

/// The octets that a line without patterns stands for; a `*` is one.
pub(super) fn octets(text: &str) -> Result<Vec<u8>, String> {
    let star = |piece| match piece {
        Piece::Octets(octets) => octets,
        Piece::Anything => b"*".to_vec(),
    };
    Ok(pieces(text)?.into_iter().flat_map(star).collect())
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut octets = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '*' => {
                pieces.push(Piece::Octets(std::mem::take(&mut octets)));
                pieces.push(Piece::Anything);
            }
            '\\' => octets.extend(escaped(&mut rest).ok_or_else(|| format!("no such escape in `{text}`"))?),
            other => octets.extend(other.to_string().bytes()),
        }
    }
    pieces.push(Piece::Octets(octets));
    Ok(pieces)
}

/// What stands behind a backslash.
fn escaped(rest: &mut Peekable<Chars<'_>>) -> Option<Vec<u8>> {
    Some(match rest.next()? {
        'r' => b"\r".to_vec(),
        'n' => b"\n".to_vec(),
        't' => b"\t".to_vec(),
        '0' => b"\0".to_vec(),
        '\\' => b"\\".to_vec(),
        '*' => b"*".to_vec(),
        'x' => {
            let digits: String = rest.by_ref().take(2).collect();
            (digits.len() == 2).then(|| u8::from_str_radix(&digits, 16).ok().map(|octet| vec![octet])).flatten()?
        }
        '{' => {
            let repeated: String = rest.by_ref().take_while(|&next| next != '}').collect();
            let (text, count) = repeated.rsplit_once('*')?;
            octets(text).ok()?.repeat(count.parse().ok()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_octets() {
        for (text, expected) in [
            ("a b", &b"a b"[..]),
            (r"a\r\n\t\0\\", b"a\r\n\t\0\\"),
            (r"\xff\x2E", b"\xff."),
            (r"\{ab*3}c", b"abababc"),
            (r"\{a\n*2}", b"a\na\n"),
            ("*", b"*"),
        ] {
            assert_eq!(octets(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [r"\q", r"\x4", r"\{a}", "\\"] {
            assert!(octets(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_is_anything() {
        for (pattern, line, expected) in [
            ("+OK*", "+OK", true),
            ("+OK*", "+OK ready", true),
            ("+OK", "+OK ready", false),
            ("-ERR *[AUTH]*", "-ERR [AUTH] no", true),
            ("*a*b", "xxaxxb", true),
            ("*a*b", "xxbxxa", false),
            (r"\*", "x", false),
            (r"\*", "*", true),
        ] {
            let parsed = Pattern::parse(pattern).expect("a valid pattern");
            assert_eq!(parsed.matches(line.as_bytes()), expected, "{pattern} and {line}");
        }
    }
}
