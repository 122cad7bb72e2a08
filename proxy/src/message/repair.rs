//! Makes mail of what a filter wrote: CRLF line ends, no line above 998 octets (RFC 5322, section 2.1.1).

use std::sync::Arc;

use memchr::memchr;

use super::fields;
use super::octets::Octets;
use super::{Budget, BuildError, Builder, EditError, Limits, Message};

/// Octets of a line without its end.
const LINE_MAX: usize = 998;

/// Octets that are collected before they go to the builder.
const STEP: usize = 64 * 1024;

/// A replacement has to begin with a header field and to have a blank line.
///
/// # Errors
/// [`EditError::NoHeader`].
pub(super) fn check_head(message: &Message) -> Result<(), EditError> {
    let head_len = message.head_len();
    let block = message.0.octets.bytes(0..head_len);
    let begins = fields::lines(&block).next().is_some_and(|line| line.name.is_some() || line.raw.starts_with(b"From "));
    let ended = block.ends_with(b"\n\n") || block.ends_with(b"\n\r\n");
    if begins && ended { Ok(()) } else { Err(EditError::NoHeader) }
}

/// The message itself if nothing needs repair, else a repaired copy.
///
/// # Errors
/// The copy finds no room.
pub(super) fn repaired(message: &Message, fallback: Option<&(Limits, Arc<Budget>)>) -> Result<Message, BuildError> {
    let octets = &message.0.octets;
    if lines(octets).all(|range| is_sound(&octets.bytes(range.0..range.1))) {
        return Ok(message.clone());
    }
    let mut out = match message.0.origin.as_ref().or(fallback) {
        Some((limits, budget)) => {
            Out { buffer: Vec::new(), builder: Some(Builder::new(limits.clone(), budget.clone())) }
        }
        None => Out { buffer: Vec::new(), builder: None },
    };
    let head_len = message.head_len();
    for (start, end) in lines(octets) {
        repair_line(&octets.bytes(start..end), start < head_len, &mut out.buffer);
        out.flush(STEP)?;
    }
    out.finish()
}

/// Begin and end of each line, its LF included.
fn lines(octets: &Octets) -> impl Iterator<Item = (u64, u64)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at = octets.line_end(start, octets.len());
        (start < at).then_some((start, at))
    })
}

fn is_sound(line: &[u8]) -> bool {
    match line.strip_suffix(b"\n") {
        Some(line) => {
            line.strip_suffix(b"\r").is_some_and(|text| text.len() <= LINE_MAX && memchr(b'\r', text).is_none())
        }
        None => line.len() <= LINE_MAX && memchr(b'\r', line).is_none(),
    }
}

fn repair_line(line: &[u8], in_head: bool, out: &mut Vec<u8>) {
    let ended = line.strip_suffix(b"\n");
    let text = ended.map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
    let mut pieces = text.split(|octet| *octet == b'\r').peekable();
    while let Some(piece) = pieces.next() {
        cut(piece, in_head, out);
        if ended.is_some() || pieces.peek().is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes a line without its end in pieces that are short enough. In the header they are continuation lines.
fn cut(text: &[u8], in_head: bool, out: &mut Vec<u8>) {
    let (mut rest, mut room) = (text, LINE_MAX);
    while rest.len() > room {
        let space = rest[..=room]
            .iter()
            .rposition(|octet| matches!(octet, b' ' | b'\t'))
            .filter(|at| in_head && *at > room / 2);
        // Not within a character, if it is UTF-8.
        let whole = (room - 3..=room).rev().find(|at| rest[*at] & 0xC0 != 0x80).unwrap_or(room);
        let (now, later) = rest.split_at(space.unwrap_or(whole));
        out.extend_from_slice(now);
        out.extend_from_slice(b"\r\n");
        if in_head && space.is_none() {
            out.push(b' ');
        }
        room = if in_head && space.is_none() { LINE_MAX - 1 } else { LINE_MAX };
        rest = later;
    }
    out.extend_from_slice(rest);
}

/// Where the copy goes: through a builder, or to plain memory where no limits are known.
struct Out {
    buffer: Vec<u8>,
    builder: Option<Builder>,
}

impl Out {
    fn flush(&mut self, above: usize) -> Result<(), BuildError> {
        if let Some(builder) = self.builder.as_mut().filter(|_| self.buffer.len() > above) {
            builder.push(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Message, BuildError> {
        self.flush(0)?;
        match self.builder {
            Some(builder) => builder.finish(),
            None => Ok(Message::from_bytes(self.buffer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(text: &str) -> String {
        let repaired = repaired(&Message::from_bytes(text.into()), None).unwrap();
        String::from_utf8(repaired.read(0, usize::MAX)).unwrap()
    }

    #[test]
    fn line_ends_become_crlf_and_nothing_else_changes() {
        let table = [
            ("A: b\n\nx\ny", "A: b\r\n\r\nx\r\ny"),
            ("A: b\r\n\r\nx\ry\r\n", "A: b\r\n\r\nx\r\ny\r\n"),
            ("A: b\r\n\r\nx\r\r\ny", "A: b\r\n\r\nx\r\n\r\ny"),
            ("A: b\r\n\r\n\0x", "A: b\r\n\r\n\0x"),
        ];
        for (text, expected) in table {
            assert_eq!(repair(text), expected, "{text:?}");
        }
    }

    #[test]
    fn overlong_lines_are_folded_in_the_header_and_cut_in_the_body() {
        let words = "word ".repeat(500);
        let text = format!("A: {words}\r\nB: {}\r\n\r\n{}\r\n", "x".repeat(3000), "\u{20ac}".repeat(1000));
        let repaired = repair(&text);
        assert!(repaired.split("\r\n").all(|line| line.len() <= LINE_MAX));
        let message = Message::from_bytes(repaired.clone().into());
        assert_eq!(message.header("A").as_deref(), Some(words.trim()));
        assert_eq!(message.header("B").map(|value| value.replace(' ', "").len()), Some(3000));
        assert_eq!(repaired.split("\r\n").map(|line| line.matches('\u{20ac}').count()).sum::<usize>(), 1000);
    }

    #[test]
    fn only_a_header_block_makes_a_message() {
        for (text, good) in
            [("A: b\n\nx", true), ("A: b\n\n", true), ("A: b\n", false), ("x\n\n", false), ("", false), ("\n", false)]
        {
            assert_eq!(check_head(&Message::from_bytes(text.into())).is_ok(), good, "{text:?}");
        }
    }
}
