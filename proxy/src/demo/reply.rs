//! What the sample server answers, and how it becomes octets.

use std::fmt::Display;

use bytes::Bytes;

use crate::pop3::Encoder;

/// How many octets of a body become one piece.
const PIECE: usize = 16 * 1024;

/// An answer.
///
/// Source: RFC 1939 section 3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// One line, without CRLF.
    Line(String),
    /// A status line without CRLF, and the body before dot-stuffing.
    Multi(String, Bytes),
    /// One line, without CRLF, behind which the connection ends.
    Last(String),
}

impl Reply {
    /// A good answer of one line.
    pub(super) fn ok(text: impl Display) -> Self {
        Self::Line(format!("+OK {text}"))
    }

    /// A bad answer.
    pub(super) fn error(text: impl Display) -> Self {
        Self::Line(format!("-ERR {text}"))
    }

    /// A good answer with lines behind it.
    pub(super) fn lines(text: impl Display, lines: impl IntoIterator<Item = String>) -> Self {
        let body: String = lines.into_iter().flat_map(|line| [line, "\r\n".into()]).collect();
        Self::Multi(format!("+OK {text}"), body.into())
    }

    /// True if the connection ends behind it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Last(_))
    }

    /// The octets to send, in pieces of bounded size.
    pub(super) fn pieces(self) -> Pieces {
        let (line, body) = match self {
            Self::Line(line) | Self::Last(line) => (line, None),
            Self::Multi(line, body) => (line, Some((body, Encoder::default()))),
        };
        Pieces { status: Some(line + "\r\n"), body }
    }
}

/// The octets of a reply: its status line, then its body, stuffed.
pub(super) struct Pieces {
    status: Option<String>,
    body: Option<(Bytes, Encoder)>,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.status.take() {
            return Some(line.into_bytes());
        }
        let (mut rest, mut encoder) = self.body.take()?;
        if rest.is_empty() {
            return Some(encoder.finish().to_vec());
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        let mut stuffed = Vec::with_capacity(piece.len() + 16);
        encoder.encode(&piece, |part| stuffed.extend_from_slice(part));
        self.body = Some((rest, encoder));
        Some(stuffed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::Decoder;

    fn wire(reply: Reply) -> Vec<u8> {
        reply.pieces().flatten().collect()
    }

    #[test]
    fn replies_end_as_the_rfc_says() {
        assert_eq!(wire(Reply::ok("fine")), b"+OK fine\r\n");
        assert_eq!(wire(Reply::lines("list", [])), b"+OK list\r\n.\r\n");
        assert_eq!(wire(Reply::lines("list", ["1 20".to_owned()])), b"+OK list\r\n1 20\r\n.\r\n");
    }

    #[test]
    fn dots_survive_wherever_the_pieces_are_cut() {
        // Lines of three octets that begin with a dot: around every cut, a dot stands in each position.
        for shift in 0..3 {
            let body = [&b"xxx"[..shift], &b"\r\n"[..], &b".\r\n".repeat(PIECE)].concat();
            let sent = wire(Reply::Multi("+OK".into(), body.clone().into()));
            let mut received = Vec::new();
            let stuffed = &sent[b"+OK\r\n".len()..];
            assert_eq!(
                Decoder::default().decode(stuffed, |part| received.extend_from_slice(part)),
                Some(stuffed.len())
            );
            assert!(received == body, "shifted by {shift}");
        }
    }
}
