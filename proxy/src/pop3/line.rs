//! Command lines out of a stream of bytes, bounded.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// The longest command line, CRLF included, in octets. RFC 2449 section 4 asks for 255.
pub const SHORT_LINE: usize = 1024;
/// The longest PASS or AUTH line and the longest line inside a SASL exchange, CRLF included, in octets.
pub const LONG_LINE: usize = 16_384;
/// How many octets above its limit a line may have and still be skipped; beyond it the peer is flooding.
pub const MAX_SKIPPED: usize = 65_536;

/// The limit for the command line that begins with `start`, CRLF included, in octets.
#[must_use]
pub fn line_limit(start: &[u8]) -> usize {
    // What stands further back came too late, whether it is there already or not.
    let verb = start[..start.len().min(SHORT_LINE)].trim_ascii_start();
    match verb.get(..4) {
        Some(word) if word.eq_ignore_ascii_case(b"PASS") || word.eq_ignore_ascii_case(b"AUTH") => LONG_LINE,
        _ => SHORT_LINE,
    }
}

/// What is wrong with a line; the line itself is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineFault {
    /// Longer than its limit.
    #[error("line too long")]
    TooLong,
    /// NUL in the line.
    #[error("NUL in the line")]
    Nul,
    /// CR without LF.
    #[error("CR without LF")]
    BareCr,
    /// LF without CR. Everything up to the next CRLF goes with it, as far as it is there: what stands behind
    /// a smuggled LF is never a command.
    #[error("lines end with CR LF")]
    BareLf,
}

/// What the buffer holds next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// No complete line yet.
    More,
    /// A line without its CRLF.
    Line(Bytes),
    /// A line that can't be used.
    Fault(LineFault),
    /// More than [`MAX_SKIPPED`] octets above the limit without a line end.
    Flood,
}

/// Cuts lines off a buffer that grows at its end.
#[derive(Clone, Debug, Default)]
pub struct LineReader {
    /// Octets at the front of the buffer in which there is no LF.
    searched: usize,
    /// The beginning of a too long line, gone already.
    skipped: Option<Skipped>,
    /// The rest of a line whose fault was reported already.
    tainted: bool,
}

/// What has to be known of octets that were thrown away.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    /// How many.
    octets: usize,
    /// The limit of their line, in octets.
    limit: usize,
    /// The last one is a CR.
    cr: bool,
}

impl LineReader {
    /// Takes the next line off `buffer`. `limit` says how long a line that starts so may be, CRLF included.
    pub fn next(&mut self, buffer: &mut BytesMut, limit: impl Fn(&[u8]) -> usize) -> Next {
        loop {
            let Some(lf) = memchr(b'\n', &buffer[self.searched..]).map(|at| self.searched + at) else {
                return self.without_end(buffer, limit);
            };
            let skipped = self.skipped.take();
            self.searched = 0;
            let cr = if lf > 0 { buffer[lf - 1] == b'\r' } else { skipped.is_some_and(|skipped| skipped.cr) };
            if !cr {
                self.drop_smuggled(buffer, lf);
                return Next::Fault(LineFault::BareLf);
            }
            let allowed = skipped.map_or_else(|| limit(buffer), |skipped| skipped.limit);
            let line = buffer.split_to(lf + 1).freeze();
            if std::mem::take(&mut self.tainted) {
                continue;
            }
            let total = skipped.map_or(0, |skipped| skipped.octets) + line.len();
            return match total {
                _ if total > allowed + MAX_SKIPPED => Next::Flood,
                _ if total > allowed => Next::Fault(LineFault::TooLong),
                _ => check(line.slice(..line.len() - 2)),
            };
        }
    }

    /// True if the buffer holds the beginning of a line.
    #[must_use]
    pub fn inside_line(&self, buffer: &BytesMut) -> bool {
        !buffer.is_empty() || self.skipped.is_some()
    }

    fn without_end(&mut self, buffer: &mut BytesMut, limit: impl Fn(&[u8]) -> usize) -> Next {
        let allowed = self.skipped.map_or_else(|| limit(buffer), |skipped| skipped.limit);
        if self.skipped.is_none() && buffer.len() <= allowed {
            self.searched = buffer.len();
            return Next::More;
        }
        let (before, cr) = self.skipped.map_or((0, false), |skipped| (skipped.octets, skipped.cr));
        let octets = before + buffer.len();
        let cr = buffer.last().map_or(cr, |&last| last == b'\r');
        self.skipped = Some(Skipped { octets, limit: allowed, cr });
        buffer.clear();
        self.searched = 0;
        if octets > allowed + MAX_SKIPPED { Next::Flood } else { Next::More }
    }

    /// Drops the line that ends with a bare LF, and what follows it up to the next CRLF.
    fn drop_smuggled(&mut self, buffer: &mut BytesMut, lf: usize) {
        let rest = &buffer[lf + 1..];
        let end = match memchr::memmem::find(rest, b"\r\n") {
            Some(at) => lf + 1 + at + 2,
            None => lf + 1 + memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1),
        };
        let complete = memchr::memmem::find(rest, b"\r\n").is_some();
        buffer.advance(end);
        self.tainted = !complete && !buffer.is_empty();
    }
}

fn check(line: Bytes) -> Next {
    match memchr::memchr2(0, b'\r', &line) {
        Some(at) if line[at] == 0 => Next::Fault(LineFault::Nul),
        Some(_) => Next::Fault(LineFault::BareCr),
        None => Next::Line(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(reader: &mut LineReader, buffer: &mut BytesMut) -> Vec<Next> {
        let mut seen = Vec::new();
        loop {
            match reader.next(buffer, line_limit) {
                Next::More => return seen,
                next => seen.push(next),
            }
        }
    }

    fn line(text: &'static str) -> Next {
        Next::Line(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn reads_the_same_lines_however_the_input_is_split() {
        let wire = b"USER a\r\nPASS  b \r\nNO\0OP\r\nA\rB\r\n\r\nQUIT\r\n";
        let expected = vec![
            line("USER a"),
            line("PASS  b "),
            Next::Fault(LineFault::Nul),
            Next::Fault(LineFault::BareCr),
            line(""),
            line("QUIT"),
        ];
        for cut in 0..=wire.len() {
            let (mut reader, mut buffer) = (LineReader::default(), BytesMut::from(&wire[..cut]));
            let mut seen = all(&mut reader, &mut buffer);
            buffer.extend_from_slice(&wire[cut..]);
            seen.extend(all(&mut reader, &mut buffer));
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_follows_a_bare_lf_is_never_a_command() {
        let cases: [(&[u8], Vec<Next>); 4] = [
            (b"NOOP\n", vec![Next::Fault(LineFault::BareLf)]),
            (b"PASS x\nDELE 1\r\nSTAT\r\n", vec![Next::Fault(LineFault::BareLf), line("STAT")]),
            (b"A\nB\nC\n", vec![Next::Fault(LineFault::BareLf)]),
            (b"A\n\r\nSTAT\r\n", vec![Next::Fault(LineFault::BareLf), line("STAT")]),
        ];
        for (wire, expected) in cases {
            let (mut reader, mut buffer) = (LineReader::default(), BytesMut::from(wire));
            assert_eq!(all(&mut reader, &mut buffer), expected);
            buffer.extend_from_slice(b"QUIT\r\n");
            assert_eq!(all(&mut reader, &mut buffer), [line("QUIT")]);
        }
        // The tail of a smuggled line may come later.
        let (mut reader, mut buffer) = (LineReader::default(), BytesMut::from(&b"PASS x\nDELE"[..]));
        assert_eq!(all(&mut reader, &mut buffer), [Next::Fault(LineFault::BareLf)]);
        buffer.extend_from_slice(b" 1\r\nQUIT\r\n");
        assert_eq!(all(&mut reader, &mut buffer), [line("QUIT")]);
    }

    #[test]
    fn a_long_line_is_skipped_and_a_flood_ends_it() {
        for (length, expected) in [
            (SHORT_LINE - 2, None),
            (SHORT_LINE - 1, Some(Next::Fault(LineFault::TooLong))),
            (MAX_SKIPPED, Some(Next::Fault(LineFault::TooLong))),
            (2 * MAX_SKIPPED, Some(Next::Flood)),
        ] {
            let (mut reader, mut buffer) = (LineReader::default(), BytesMut::new());
            let mut seen = Vec::new();
            for _ in 0..length {
                buffer.extend_from_slice(b"x");
                match reader.next(&mut buffer, line_limit) {
                    Next::More => {}
                    next => {
                        seen.push(next);
                        break;
                    }
                }
                assert!(buffer.len() <= SHORT_LINE);
            }
            buffer.extend_from_slice(b"\r\n");
            if seen.is_empty() {
                seen.push(reader.next(&mut buffer, line_limit));
            }
            match expected {
                Some(expected) => assert_eq!(seen, [expected], "{length}"),
                None => assert!(matches!(seen[0], Next::Line(_)), "{length}"),
            }
        }
    }

    #[test]
    fn a_long_line_is_the_same_fault_however_it_is_split() {
        let smuggled = [b"NOOP ".as_slice(), &[b'x'; 2000], b"\nDELE 1\r\n"].concat();
        let behind_blanks = [[b' '; 1500].as_slice(), b"PASS x\r\n"].concat();
        for (wire, fault) in [(smuggled, LineFault::BareLf), (behind_blanks, LineFault::TooLong)] {
            for cut in (0..wire.len() - 12).step_by(7).chain(wire.len() - 12..wire.len()) {
                let (mut reader, mut buffer) = (LineReader::default(), BytesMut::from(&wire[..cut]));
                let mut seen = all(&mut reader, &mut buffer);
                buffer.extend_from_slice(&wire[cut..]);
                seen.extend(all(&mut reader, &mut buffer));
                // Only what comes behind a bare LF that was told already may be a command.
                let told_before = wire[..cut].ends_with(b"\n");
                assert_eq!(seen[0], Next::Fault(fault), "cut at {cut}");
                assert_eq!(seen.len(), 1 + usize::from(told_before), "cut at {cut}: {seen:?}");
            }
        }
    }

    #[test]
    fn passwords_and_tokens_may_be_long() {
        for verb in ["PASS", "auth", "  Pass"] {
            let mut buffer = BytesMut::from(format!("{verb} {}\r\n", "x".repeat(16_000)).as_bytes());
            assert!(matches!(LineReader::default().next(&mut buffer, line_limit), Next::Line(_)), "{verb}");
        }
    }
}
