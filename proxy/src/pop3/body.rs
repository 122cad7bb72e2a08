//! The body of a multi-line reply: dot-stuffing taken off and put on.

/// What ends a multi-line reply, behind the CRLF of its last line.
pub const TERMINATOR: &[u8] = b".\r\n";

/// Takes dot-stuffing off a body that arrives in pieces, and finds its end.
///
/// Only CRLF ends a line, so that only CRLF `.` CRLF ends the body: bare LF and bare CR are content.
///
/// Source: RFC 1939 section 3.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    at: Position,
}

/// Where in a line the next octet stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Position {
    /// At the beginning of a line.
    #[default]
    Start,
    /// Behind the dot at the beginning of a line.
    Dot,
    /// Behind dot and CR.
    DotCr,
    /// Inside a line.
    Inside,
    /// Behind a CR inside a line.
    Cr,
}

impl Decoder {
    /// Takes the next octets; `emit` gets the un-stuffed ones in pieces. Gives the number of octets used, the
    /// terminator included, once the body has ended; none while it goes on.
    pub fn decode(&mut self, input: &[u8], mut emit: impl FnMut(&[u8])) -> Option<usize> {
        let mut next = 0;
        while let Some(&octet) = input.get(next) {
            match (self.at, octet) {
                (Position::Start, b'.') => {
                    self.at = Position::Dot;
                    next += 1;
                }
                (Position::Dot, b'\r') => {
                    self.at = Position::DotCr;
                    next += 1;
                }
                (Position::DotCr, b'\n') => {
                    self.at = Position::Start;
                    return Some(next + 1);
                }
                (Position::DotCr, _) => {
                    // The dot was a stuffed one, the CR behind it is content.
                    emit(b"\r");
                    self.at = Position::Cr;
                }
                (Position::Cr, b'\n') => {
                    emit(b"\n");
                    self.at = Position::Start;
                    next += 1;
                }
                (Position::Start | Position::Dot | Position::Inside | Position::Cr, _) => {
                    next += self.inside(&input[next..], &mut emit);
                }
            }
        }
        None
    }

    /// How many of the octets so far, at their end, would be a part of the terminator: `.` or `.` CR at the beginning of a
    /// line.
    #[must_use]
    pub fn open_terminator(&self) -> usize {
        match self.at {
            Position::Dot => 1,
            Position::DotCr => 2,
            _ => 0,
        }
    }

    /// Takes what stands inside of lines, up to a dot at the beginning of one.
    fn inside(&mut self, input: &[u8], emit: &mut impl FnMut(&[u8])) -> usize {
        // Dots are the rarest of the three, and base64 has none.
        let at_start = |&dot: &usize| input[..dot].ends_with(b"\r\n");
        if let Some(dot) = memchr::memchr_iter(b'.', input).find(at_start) {
            emit(&input[..dot]);
            self.at = Position::Start;
            return dot;
        }
        emit(input);
        self.at = match input {
            [.., b'\r', b'\n'] => Position::Start,
            [.., b'\r'] => Position::Cr,
            _ => Position::Inside,
        };
        input.len()
    }
}

/// Puts dot-stuffing on a message that is handed over in pieces.
///
/// Source: RFC 1939 section 3.
#[derive(Clone, Debug)]
pub struct Encoder {
    tail: [u8; 2],
    empty: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { tail: *b"\r\n", empty: true }
    }
}

impl Encoder {
    /// Takes the next octets of the message; `emit` gets the stuffed ones in pieces.
    pub fn encode(&mut self, input: &[u8], mut emit: impl FnMut(&[u8])) {
        if input.is_empty() {
            return;
        }
        self.empty = false;
        let mut done = 0;
        for at in memchr::memchr_iter(b'.', input) {
            let before = match at {
                0 => self.tail,
                1 => [self.tail[1], input[0]],
                _ => [input[at - 2], input[at - 1]],
            };
            if before == *b"\r\n" {
                emit(&input[done..at]);
                emit(b".");
                done = at;
            }
        }
        emit(&input[done..]);
        self.tail = match input {
            [.., before, last] => [*before, *last],
            [last] => [self.tail[1], *last],
            [] => self.tail,
        };
    }

    /// Takes the next octets of the message if they need no stuffing: they go out as they are then. If they do, nothing has
    /// happened.
    pub fn passes(&mut self, input: &[u8]) -> bool {
        let Some(last) = input.last() else { return true };
        let before = |at: usize| match at {
            0 => self.tail,
            1 => [self.tail[1], input[0]],
            _ => [input[at - 2], input[at - 1]],
        };
        let passes = memchr::memchr_iter(b'.', input).all(|at| before(at) != *b"\r\n");
        if passes {
            self.tail = [input.len().checked_sub(2).map_or(self.tail[1], |at| input[at]), *last];
            self.empty = false;
        }
        passes
    }

    /// What has to follow the last octet of the message: its missing CRLF, and the terminator.
    #[must_use]
    pub fn finish(self) -> &'static [u8] {
        if self.empty || self.tail == *b"\r\n" { TERMINATOR } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODIES: [(&str, &str); 14] = [
        ("hi\r\n.\r\n", "hi\r\n"),
        (".\r\n", ""),
        ("..\r\n.\r\n", ".\r\n"),
        ("..first\r\n.\r\n", ".first\r\n"),
        ("a\r\n..\r\n...\r\n.\r\n", "a\r\n.\r\n..\r\n"),
        ("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n"),
        ("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n"),
        ("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n"),
        ("a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n"),
        ("\r\n\r\n.\r\n", "\r\n\r\n"),
        ("a\r\r\n.\r\n", "a\r\r\n"),
        ("a\0b\u{fc}\r\n.\r\n", "a\0b\u{fc}\r\n"),
        (".. \r\n.\r\n", ". \r\n"),
        ("..\r.\r\n.\r\n", ".\r.\r\n"),
    ];

    #[test]
    fn decodes_the_same_however_the_input_is_split() {
        for (wire, message) in BODIES {
            for cut in 0..wire.len() {
                let (mut decoder, mut out) = (Decoder::default(), Vec::new());
                let (head, tail) = wire.as_bytes().split_at(cut);
                assert_eq!(decoder.decode(head, |piece| out.extend_from_slice(piece)), None);
                assert_eq!(
                    decoder.decode(tail, |piece| out.extend_from_slice(piece)),
                    Some(tail.len()),
                    "{wire:?} cut at {cut}"
                );
                assert_eq!(out, message.as_bytes(), "{wire:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn decodes_octet_by_octet_and_leaves_what_follows() {
        for (wire, message) in BODIES {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            let ends: Vec<_> =
                wire.bytes().map(|octet| decoder.decode(&[octet], |piece| out.extend_from_slice(piece))).collect();
            assert_eq!(ends.iter().position(Option::is_some), Some(wire.len() - 1), "{wire:?}");
            assert_eq!(out, message.as_bytes(), "{wire:?}");
            let followed = format!("{wire}+OK next\r\n");
            assert_eq!(Decoder::default().decode(followed.as_bytes(), |_| ()), Some(wire.len()));
        }
    }

    #[test]
    fn a_line_that_the_server_did_not_stuff_loses_its_dot_only() {
        let mut out = Vec::new();
        Decoder::default().decode(b".\rx\r\n.y\r\n.\r\n", |piece| out.extend_from_slice(piece));
        assert_eq!(out, b"\rx\r\ny\r\n");
    }

    #[test]
    fn encodes_the_same_however_the_message_is_split() {
        for (wire, message) in BODIES {
            for cut in 0..=message.len() {
                let (head, tail) = message.as_bytes().split_at(cut);
                for whole in [false, true] {
                    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
                    for half in [head, tail] {
                        if whole && encoder.passes(half) {
                            out.extend_from_slice(half);
                        } else {
                            encoder.encode(half, |piece| out.extend_from_slice(piece));
                        }
                    }
                    out.extend_from_slice(encoder.finish());
                    assert_eq!(out, wire.as_bytes(), "{message:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_message_without_final_crlf_gets_one() {
        for message in ["a", "a\r", "a\n", "."] {
            let (mut encoder, mut out) = (Encoder::default(), Vec::new());
            encoder.encode(message.as_bytes(), |piece| out.extend_from_slice(piece));
            out.extend_from_slice(encoder.finish());
            let mut back = Vec::new();
            assert_eq!(Decoder::default().decode(&out, |piece| back.extend_from_slice(piece)), Some(out.len()));
            assert_eq!(back, format!("{message}\r\n").as_bytes());
        }
    }
}
