//! Values with parameters: Content-Type and Content-Disposition (RFC 2045, section 5; RFC 2183; RFC 2231).
//!
//! Read as leniently as clients do it: missing semicolons and quotes, comments anywhere, encoded words inside quotes.

use super::words;

/// Parameters of one field that are read; what follows is not.
const PARAMETERS_MAX: usize = 1000;

/// How far behind a space in an unquoted value the name of another parameter is looked for.
const NAME_MAX: usize = 64;

/// The parameters of a field, decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Parameters {
    /// Lower-case names and values; RFC 2231 values stand in front, since clients prefer them.
    list: Vec<(String, String)>,
    /// Whether two clients may read them differently.
    pub(super) odd: bool,
    /// Whether there were more than are read.
    pub(super) truncated: bool,
}

impl Parameters {
    /// All of them, names in lower case.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value that most clients take.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values that some client may take.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.list.iter().filter(same).map(|(_, value)| value.as_str())
    }

    /// Adds the parameters of a second field of the same name, behind those of the first.
    pub(super) fn append(&mut self, other: Self) {
        self.list.extend(other.list);
        self.odd |= other.odd;
        self.truncated |= other.truncated;
    }
}

/// Splits an unfolded field value into what stands in front (lower case, without comments) and the parameters.
pub(super) fn parse(text: &str) -> (String, Parameters) {
    let mut scanner = Scanner { text, at: 0 };
    let front = scanner.front();
    let mut parameters = Parameters::default();
    let mut raw = Vec::new();
    while scanner.skip_to_name() {
        if raw.len() == PARAMETERS_MAX {
            parameters.truncated = true;
            break;
        }
        let name = scanner.take_while(|octet| !matches!(octet, b'=' | b';' | b' ' | b'\t' | b'('));
        scanner.skip_space();
        if !scanner.skip(b'=') {
            parameters.odd |= !name.is_empty();
            continue;
        }
        scanner.skip_space();
        let value = scanner.value(&mut parameters.odd);
        raw.push((name.to_ascii_lowercase(), value));
    }
    decode(raw, &mut parameters);
    (front, parameters)
}

/// The text without its comments (RFC 5322, section 3.2.2), which may nest. Quoted strings are left alone.
pub(super) fn without_comments(text: &str) -> String {
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    for c in text.chars() {
        let plain = !escaped;
        escaped = plain && c == '\\' && (quoted || depth > 0);
        match c {
            '"' if plain && depth == 0 => quoted = !quoted,
            '(' if plain && !quoted => depth += 1,
            ')' if plain && !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    out
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip(&mut self, octet: u8) -> bool {
        let there = self.rest().first() == Some(&octet);
        self.at += usize::from(there);
        there
    }

    /// The text up to the first octet that `wanted` refuses, which has to be ASCII.
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest().iter().position(|octet| !wanted(*octet)).unwrap_or(self.rest().len());
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        taken
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) {
        let mut depth = 0_usize;
        while let Some(octet) = self.rest().first() {
            match octet {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 && self.rest().len() > 1 => self.at += 1,
                b' ' | b'\t' => {}
                _ if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Skips what separates parameters. False at the end.
    fn skip_to_name(&mut self) -> bool {
        loop {
            self.skip_space();
            if !self.skip(b';') {
                // A sign of equality without a name would not be passed otherwise.
                while self.skip(b'=') {}
                return !self.rest().is_empty();
            }
        }
    }

    /// What stands in front of the parameters, white space around its slash removed.
    fn front(&mut self) -> String {
        let mut front = String::new();
        loop {
            self.skip_space();
            let word = self.take_while(|octet| !matches!(octet, b';' | b' ' | b'\t' | b'('));
            let joined = front.is_empty() || front.ends_with('/') || word.starts_with('/');
            if word.is_empty() || !joined {
                // A second word is the first parameter after a forgotten semicolon.
                self.at -= word.len();
                return front.to_ascii_lowercase();
            }
            front.push_str(word);
        }
    }

    fn value(&mut self, odd: &mut bool) -> String {
        if self.skip(b'"') { self.quoted() } else { self.unquoted(odd) }
    }

    /// A quoted string, up to its closing quote or the end. A backslash that escapes nothing stays: `C:\file`.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        loop {
            value.push_str(self.take_while(|octet| !matches!(octet, b'"' | b'\\')));
            match self.rest() {
                [b'\\', escaped @ (b'"' | b'\\'), ..] => {
                    value.push(*escaped as char);
                    self.at += 2;
                }
                [b'\\', ..] => {
                    value.push('\\');
                    self.at += 1;
                }
                _ => {
                    self.at += usize::from(!self.rest().is_empty());
                    return value;
                }
            }
        }
    }

    /// An unquoted value, spaces included, up to a semicolon or to what looks like another parameter.
    fn unquoted(&mut self, odd: &mut bool) -> String {
        let start = self.at;
        loop {
            self.take_while(|octet| !matches!(octet, b';' | b' ' | b'\t'));
            let end = self.at;
            self.take_while(|octet| matches!(octet, b' ' | b'\t'));
            if matches!(self.rest(), [] | [b';', ..]) {
                return self.text[start..end].into();
            }
            *odd = true;
            if self.starts_with_name() {
                return self.text[start..end].into();
            }
        }
    }

    fn starts_with_name(&self) -> bool {
        let rest = self.rest();
        let name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'*');
        let length = rest.iter().take(NAME_MAX).position(|octet| !name(octet));
        length.is_some_and(|length| length > 0 && rest[length] == b'=')
    }
}

/// One `name*n*=value` of a value in pieces (RFC 2231, section 3).
struct Piece {
    name: String,
    position: u32,
    encoded: bool,
    value: String,
}

fn decode(raw: Vec<(String, String)>, parameters: &mut Parameters) {
    let (mut pieces, mut plain) = (Vec::new(), Vec::new());
    for (name, value) in raw {
        match name.split_once('*') {
            Some((base, rest)) => pieces.push(piece(base, rest, value)),
            None => plain.push((name, if value.contains("=?") { words::decode(value.as_bytes()) } else { value })),
        }
    }
    pieces.sort_by(|a, b| (&a.name, a.position).cmp(&(&b.name, b.position)));
    parameters.list = pieces.chunk_by(|a, b| a.name == b.name).map(join).collect();
    parameters.list.append(&mut plain);
    parameters.odd |= has_rivals(&parameters.list);
}

/// Whether a parameter that decides what is seen is given two values.
fn has_rivals(list: &[(String, String)]) -> bool {
    ["boundary", "name", "filename", "charset"].iter().any(|wanted| {
        let mut values = list.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
        let first = values.next();
        values.any(|value| Some(value) != first)
    })
}

fn piece(base: &str, rest: &str, value: String) -> Piece {
    let encoded = rest.is_empty() || rest.ends_with('*');
    let position = rest.trim_end_matches('*').parse().unwrap_or(0);
    Piece { name: base.into(), position, encoded, value }
}

/// Puts the pieces of one parameter together; the charset is named once, in front of the first.
fn join(pieces: &[Piece]) -> (String, String) {
    let (mut charset, mut octets) = ("utf-8", Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        let mut value = piece.value.as_str();
        if piece.encoded
            && at == 0
            && let Some((name, rest)) = value.split_once('\'')
            && let Some((_language, rest)) = rest.split_once('\'')
        {
            (charset, value) = (name, rest);
        }
        if piece.encoded {
            percent_decode(value.as_bytes(), &mut octets);
        } else {
            octets.extend_from_slice(value.as_bytes());
        }
    }
    let name = pieces.first().map(|piece| piece.name.clone()).unwrap_or_default();
    (name, words::clean(words::from_charset(charset, &octets)))
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&octet, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().filter(|_| octet == b'%');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.unwrap_or(octet));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parameters_as_lenient_clients_do() {
        let table = [
            ("text/plain; charset=utf-8", "text/plain", "charset", Some("utf-8")),
            ("Text / Plain;charset=\"utf-8\"", "text/plain", "charset", Some("utf-8")),
            ("text/plain charset=utf-8", "text/plain", "charset", Some("utf-8")),
            ("text/plain (a (nested) one); (x) charset (y) = (z) utf-8", "text/plain", "charset", Some("utf-8")),
            ("a/b; name=\"a;b\\\"c\"", "a/b", "name", Some("a;b\"c")),
            ("a/b; name=\"C:\\temp\\x.exe\"", "a/b", "name", Some("C:\\temp\\x.exe")),
            ("a/b; name=my file (1).exe", "a/b", "name", Some("my file (1).exe")),
            ("a/b; name=my.exe charset=x", "a/b", "charset", Some("x")),
            ("a/b; name=\"no end", "a/b", "name", Some("no end")),
            ("a/b; name=\"x\" charset=y", "a/b", "charset", Some("y")),
            ("a/b; name=\"=?utf-8?B?ZXZpbC5leGU=?=\"", "a/b", "name", Some("evil.exe")),
            ("a/b; name*=utf-8''%65vil.exe", "a/b", "name", Some("evil.exe")),
            ("a/b; name*0*=utf-8'en'%e3%81; name*1*=%82.exe", "a/b", "name", Some("あ.exe")),
            ("a/b; name*1=l.exe; name*0=evi", "a/b", "name", Some("evil.exe")),
            ("a/b; name=x.txt; name*=utf-8''x.exe", "a/b", "name", Some("x.exe")),
            ("a/b; name*=iso-8859-1''%e4", "a/b", "name", Some("ä")),
            ("a/b; name*=100%", "a/b", "name", Some("100%")),
            ("; = ;; ==", "", "name", None),
            ("", "", "name", None),
            ("(((((", "", "name", None),
        ];
        for (text, front, name, value) in table {
            let (found, parameters) = parse(text);
            assert_eq!((found.as_str(), parameters.first(name)), (front, value), "{text}");
        }
    }

    #[test]
    fn rival_values_are_noted_and_all_given() {
        let (_, parameters) = parse("a/b; boundary=x; boundary=y");
        assert!(parameters.odd);
        assert_eq!(parameters.all("boundary").collect::<Vec<_>>(), ["x", "y"]);
        assert!(!parse("a/b; boundary=x; charset=y").1.odd);
    }

    #[test]
    fn twenty_thousand_parameters_are_cut() {
        let text: String = (0..20_000).map(|n| format!(";name*{n}=\"x\"")).collect();
        let (_, parameters) = parse(&text);
        assert!(parameters.truncated);
        assert_eq!(parameters.first("name").map(str::len), Some(PARAMETERS_MAX));
    }
}
