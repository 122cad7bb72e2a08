//! Status lines of the server.

use bytes::{Bytes, BytesMut};

/// The longest reply line that is accepted, CRLF included, in octets. RFC 2449 section 4 asks servers for 512.
pub const MAX_REPLY_LINE: usize = 8192;
/// The longest greeting that is accepted, CRLF included, in octets.
pub const MAX_GREETING: usize = 1024;
/// The longest text of an `-ERR` that is passed on, in octets.
pub const MAX_ERROR_TEXT: usize = 500;

/// The first line of a reply.
///
/// Source: RFC 1939 section 3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// `+OK` rather than `-ERR`.
    pub ok: bool,
    /// The line as it came, without CRLF.
    pub line: Bytes,
}

/// A line that is neither `+OK` nor `-ERR`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a reply that is neither +OK nor -ERR")]
pub struct NotAStatus;

impl Status {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    ///
    /// [`NotAStatus`] for anything else than `+OK` or `-ERR` with a blank or the end behind it.
    pub fn parse(line: Bytes) -> Result<Self, NotAStatus> {
        let word = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        match word {
            b"+OK" => Ok(Self { ok: true, line }),
            b"-ERR" => Ok(Self { ok: false, line }),
            _ => Err(NotAStatus),
        }
    }

    /// The text behind the status word.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        let word = if self.ok { 3 } else { 4 };
        self.line[word..].trim_ascii()
    }

    /// The line as the client gets it: control characters removed, an error's text bounded, CRLF behind it.
    #[must_use]
    pub fn relayed(&self) -> Bytes {
        let mut line = BytesMut::with_capacity(self.line.len() + 2);
        self.relay(&mut line);
        line.freeze()
    }

    /// Writes [`Self::relayed`] behind other output.
    pub fn relay(&self, output: &mut BytesMut) {
        let limit = if self.ok { MAX_REPLY_LINE } else { MAX_ERROR_TEXT };
        if self.line.iter().any(u8::is_ascii_control) {
            output.extend_from_slice(&clean(&self.line, limit));
        } else {
            output.extend_from_slice(&self.line[..self.line.len().min(limit)]);
        }
        output.extend_from_slice(b"\r\n");
    }
}

/// A line without control characters, cut to `limit` octets.
#[must_use]
pub fn clean(line: &[u8], limit: usize) -> Vec<u8> {
    // Nearly every line is clean; room for CRLF.
    let mut cleaned = Vec::with_capacity(line.len().min(limit) + 2);
    if line.iter().any(u8::is_ascii_control) {
        cleaned.extend(line.iter().copied().filter(|byte| !byte.is_ascii_control()).take(limit));
    } else {
        cleaned.extend_from_slice(&line[..line.len().min(limit)]);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &'static str) -> Result<Status, NotAStatus> {
        Status::parse(Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn only_two_words_are_a_status() {
        assert!(parse("+OK").unwrap().ok);
        assert_eq!(parse("+OK 2 320").unwrap().text(), b"2 320");
        assert_eq!(parse("-ERR [IN-USE] locked").unwrap().text(), b"[IN-USE] locked");
        for bad in ["", "OK", "*OK", "+OKAY", "+ ", "-ERROR", "HTTP/1.1 200 OK", "220 smtp"] {
            assert_eq!(parse(bad), Err(NotAStatus), "{bad:?}");
        }
    }

    #[test]
    fn a_relayed_line_is_clean_and_bounded() {
        assert_eq!(parse("-ERR a\x07\x1b[31mb").unwrap().relayed(), "-ERR a[31mb\r\n");
        let long = Status::parse(format!("-ERR {}", "x".repeat(9000)).into()).unwrap();
        assert_eq!(long.relayed().len(), MAX_ERROR_TEXT + 2);
    }
}
