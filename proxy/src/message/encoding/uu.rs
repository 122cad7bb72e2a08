//! uuencode, the encoding that some old programs name `x-uuencode`. Its definition is POSIX, utility `uuencode`.

use std::ops::ControlFlow;

use memchr::memchr;

/// Octets of a line that are looked at; a line of uuencode has at most 61.
const LINE_MAX: usize = 128;

/// The state between two octets: the line so far.
#[derive(Default)]
pub(in super::super) struct Decoder {
    line: Vec<u8>,
    ended: bool,
    faulty: bool,
}

impl Decoder {
    pub(super) fn push(&mut self, encoded: &[u8], out: &mut Vec<u8>) {
        let mut rest = encoded;
        while let Some(lf) = memchr(b'\n', rest) {
            self.keep(&rest[..lf]);
            self.end_line(out);
            rest = &rest[lf + 1..];
        }
        self.keep(rest);
    }

    fn keep(&mut self, text: &[u8]) {
        let room = LINE_MAX - self.line.len();
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let line = self.line.trim_ascii_end();
        match line {
            [] => {}
            b"end" => self.ended = true,
            line if line.starts_with(b"begin ") => self.ended = false,
            line if self.ended || decode_line(line, out).is_break() => self.faulty = true,
            _ => {}
        }
        self.line.clear();
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_line(out);
        self.faulty |= !self.ended;
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }
}

/// Decodes one line; breaks if it is none.
fn decode_line(line: &[u8], out: &mut Vec<u8>) -> ControlFlow<()> {
    let Some((length, text)) = measure(line) else { return ControlFlow::Break(()) };
    let start = out.len();
    for group in text.chunks(4) {
        // Trailing spaces, which stand for zeros, get lost on the way.
        let value = |at: usize| u32::from(group.get(at).map_or(0, |octet| octet.wrapping_sub(32) & 63));
        let bits = value(0) << 18 | value(1) << 12 | value(2) << 6 | value(3);
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    out.resize(start + length, 0);
    ControlFlow::Continue(())
}

/// The number of octets that a line says it has, and its characters; none if it is no line of uuencode.
fn measure(line: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, text) = line.split_first()?;
    if !line.iter().all(|octet| matches!(octet, 32..=96)) {
        return None;
    }
    let length = usize::from(first.wrapping_sub(32) & 63);
    // One character more is a check sum of some encoders.
    (text.len() <= length.div_ceil(3) * 4 + 1).then_some((length, text))
}

/// Whether these are the first lines of a uuencoded file: `begin`, a mode, a name, and a line of data.
pub(in super::super) fn is_begin(text: &[u8]) -> bool {
    let mut lines = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    let mut words = first.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let begin = words.next() == Some(b"begin")
        && words.next().is_some_and(|mode| (3..=4).contains(&mode.len()) && mode.iter().all(u8::is_ascii_digit))
        && words.next().is_some();
    begin && measure(second).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_files_with_and_without_trailing_spaces_however_they_are_cut() {
        let table = [
            ("begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n", "Cat", false),
            ("#0V%T\n \nend", "Cat", false),
            ("begin 644 x\n#0V%T\n", "Cat", true),
            ("begin 644 x\nwhat is this?\n#0V%T\nend\n", "Cat", true),
            ("begin 644 x\n$0V%T\n`\nend", "Cat\0", false),
        ];
        for (encoded, decoded, faulty) in table {
            for cut in 0..=encoded.len() {
                let (mut decoder, mut out) = (Decoder::default(), Vec::new());
                decoder.push(&encoded.as_bytes()[..cut], &mut out);
                decoder.push(&encoded.as_bytes()[cut..], &mut out);
                decoder.finish(&mut out);
                assert_eq!(
                    (String::from_utf8_lossy(&out).as_ref(), decoder.is_faulty()),
                    (decoded, faulty),
                    "{encoded:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn a_file_in_a_text_is_told_from_prose() {
        assert!(is_begin(b"begin 644 virus.exe\r\n#0V%T\r\n`\r\nend"));
        assert!(!is_begin(b"begin 644 times, he said,\r\nand then go home\r\n"));
        assert!(!is_begin(b"begin with an apple\r\n#0V%T\r\n"));
    }
}
