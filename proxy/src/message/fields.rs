//! The header block: where it ends, its fields, their values. The body is never touched.

use std::sync::OnceLock;

use bytes::Bytes;
use memchr::memchr;

use super::octets::Octets;
use super::words;

/// Fields that are listed; the rest of a header block stays opaque.
const FIELDS_MAX: usize = 10_000;

/// Octets of a header block that are parsed; the rest stays opaque.
pub(super) const BLOCK_MAX: u64 = 1024 * 1024;

/// Fields of which RFC 5322, section 3.6, allows one, and of which clients show either the first or the last.
const SINGLE: [(&str, &str); 4] = [
    ("from", "duplicate-from"),
    ("sender", "duplicate-sender"),
    ("subject", "duplicate-subject"),
    ("date", "duplicate-date"),
];

/// A header field.
pub struct Field {
    /// ASCII without blanks.
    name: Bytes,
    raw: Bytes,
    value: OnceLock<String>,
}

impl Field {
    /// The name as it stands in the message.
    #[must_use]
    pub fn name(&self) -> &str {
        str::from_utf8(&self.name).unwrap_or_default()
    }

    /// Everything behind the colon as it stands in the message, line ends included.
    #[must_use]
    pub fn raw_value(&self) -> &[u8] {
        &self.raw
    }

    /// The value unfolded, with encoded words decoded (RFC 2047).
    #[must_use]
    pub fn value(&self) -> &str {
        self.value.get_or_init(|| words::decode(&self.raw))
    }
}

impl std::fmt::Debug for Field {
    /// The name alone: mail text does not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// The parsed header block of a message.
pub(super) struct Head {
    pub(super) fields: Vec<Field>,
    pub(super) faults: Vec<&'static str>,
    pub(super) truncated: bool,
}

impl Head {
    pub(super) fn parse(octets: &Octets, head_len: u64) -> Self {
        let block = octets.shared(0..head_len.min(BLOCK_MAX));
        let mut head = Self { fields: Vec::new(), faults: Vec::new(), truncated: head_len > BLOCK_MAX };
        let mut read = 0;
        for line in lines(&block) {
            read += line.raw.len() as u64;
            if head.fields.len() == FIELDS_MAX || (head.truncated && read == BLOCK_MAX) {
                head.truncated = true;
                break;
            }
            if let Some(name) = line.name {
                let [name, raw] = [name, line.value].map(|text| block.slice_ref(text));
                head.fields.push(Field { name, raw, value: OnceLock::new() });
            }
        }
        head.find_faults(&block);
        head
    }

    fn find_faults(&mut self, block: &[u8]) {
        if memchr(0, block).is_some() {
            self.faults.push("nul-in-header");
        }
        if memchr::memchr_iter(b'\r', block).any(|cr| block.get(cr + 1) != Some(&b'\n')) {
            self.faults.push("bare-cr");
        }
        for (name, fault) in SINGLE {
            if self.fields.iter().filter(|field| field.name().eq_ignore_ascii_case(name)).count() > 1 {
                self.faults.push(fault);
            }
        }
    }
}

/// One field with its continuation lines, or a line that is none.
pub(super) struct Line<'a> {
    /// All of it, line ends included.
    pub(super) raw: &'a [u8],
    /// The field's name; none for a line that is no field.
    pub(super) name: Option<&'a [u8]>,
    /// What is behind the colon.
    pub(super) value: &'a [u8],
}

impl Line<'_> {
    /// Whether it is the envelope line of a mailbox file, which some servers leave in front of a message.
    pub(super) fn is_envelope(&self) -> bool {
        is_envelope(self.raw)
    }
}

/// The fields of a header block, without the blank line that ends it.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let mut end = line_length(rest);
        if is_blank(&rest[..end]) {
            return None;
        }
        let name = name(&rest[..end]);
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end += line_length(&rest[end..]);
        }
        let (raw, tail) = rest.split_at(end);
        rest = tail;
        let value = name.map_or(&[][..], |name| &raw[memchr(b':', raw).unwrap_or(name.len()) + 1..]);
        Some(Line { raw, name, value })
    })
}

fn line_length(text: &[u8]) -> usize {
    memchr(b'\n', text).map_or(text.len(), |lf| lf + 1)
}

/// Whether a line is empty; so is what stands behind the last line.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\n" | b"\r\n")
}

/// The field name that a line begins with (RFC 5322, section 2.2), spaces before the colon removed.
pub(super) fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', line)?;
    let name = &line[..colon];
    let name = &name[..name.iter().rposition(|octet| !matches!(octet, b' ' | b'\t'))? + 1];
    name.iter().all(|octet| matches!(octet, 33..=126)).then_some(name)
}

fn is_envelope(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

/// See [`super::Message::head_len`].
pub(super) fn head_len(octets: &Octets) -> u64 {
    let (mut at, mut any_field, mut first) = (0, false, false);
    while at < octets.len() {
        let end = octets.line_end(at, octets.len());
        // Longer names are no names, and a blank line is short.
        let line = octets.bytes(at..end.min(at + 1024));
        if is_blank(&line) {
            return if any_field || at == 0 { end } else { 0 };
        }
        any_field |= name(&line).is_some();
        first |= at == 0 && (any_field || is_envelope(&line));
        at = end;
    }
    if first && any_field { octets.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_header_block_ends_where_clients_end_it() {
        let table = [
            ("", 0),
            ("A: b\r\n\r\nbody", 8),
            ("A: b\n\nbody", 6),
            ("\r\nbody", 2),
            ("\nbody", 1),
            ("A: b\r\n", 6),
            ("A: b", 4),
            ("no field at all", 0),
            ("no field\r\n\r\nmore", 0),
            ("junk\r\nA: b\r\n\r\nbody", 14),
            ("From x Mon\r\nA: b\r\n\r\nbody", 20),
            ("From x Mon\r\nA: b", 16),
            ("From here on\r\n", 0),
            ("A: b\r\n c\r\n \r\n\r\nbody", 15),
            ("\r", 0),
        ];
        for (text, expected) in table {
            for cut in 0..text.len() {
                let mut octets = Octets::from(Bytes::from(&text[..cut]));
                octets.push(Bytes::from(&text[cut..]));
                assert_eq!(head_len(&octets), expected, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn fields_keep_their_octets_and_lose_nothing() {
        let block = b"A: b\r\n  c\r\njunk\nB :d\n: e\r\n\r\n";
        let raw: Vec<_> = lines(block).map(|line| line.raw).collect();
        assert_eq!(raw.concat(), &block[..block.len() - 2]);
        let named: Vec<_> = lines(block).filter_map(|line| Some((line.name?, line.value))).collect();
        assert_eq!(named, [(&b"A"[..], &b" b\r\n  c\r\n"[..]), (b"B", b"d\n")]);
    }

    #[test]
    fn more_fields_than_anybody_sends_are_cut_and_noted() {
        let block = Octets::from(Bytes::from("X: y\r\n".repeat(100_000)));
        let head = Head::parse(&block, block.len());
        assert_eq!((head.fields.len(), head.truncated), (FIELDS_MAX, true));
        let block = Octets::from(Bytes::from(format!("X: y\r\nY: {}\r\n", "z".repeat(BLOCK_MAX as usize))));
        let head = Head::parse(&block, block.len());
        assert_eq!((head.fields.len(), head.truncated), (1, true));
    }
}
