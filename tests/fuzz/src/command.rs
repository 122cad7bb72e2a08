//! Lines out of a stream, and commands out of lines.

use bytes::BytesMut;
use popgate::pop3::{Command, LONG_LINE, LineFault, LineReader, Next, line_limit};

use crate::cuts::cut;

/// What a client sends is read the same however it is cut, and what is a command means the same when it is sent on.
///
/// Behind a bare LF the outcome may depend on the cuts, since a client must hear of its fault before it sends CRLF. But
/// what is there together with such an LF, up to the next CRLF, is never a command.
///
/// Input: two octets for the cuts, then the wire.
pub fn command(input: &[u8]) {
    let (wire, pieces) = cut(input);
    for limit in [line_limit, tight] {
        let whole = read(&[wire], limit);
        assert_eq!(whole, expected(wire, limit), "in one piece");
        let behind = |seen: &Next| !matches!(seen, Next::Fault(LineFault::BareLf));
        let cut = read(&pieces, limit);
        if whole.iter().all(behind) {
            assert_eq!(cut, whole, "cut");
        } else {
            let before = whole.iter().take_while(|seen| behind(seen)).count();
            assert_eq!(cut[..=before], whole[..=before], "cut, before a bare LF");
        }
        for seen in whole.iter().chain(&cut) {
            if let Next::Line(line) = seen {
                check(line);
            }
        }
    }
}

/// Like [`line_limit`], so short that the fuzzer soon exceeds it.
fn tight(start: &[u8]) -> usize {
    if start.starts_with(b"P") { 64 } else { 16 }
}

/// All lines of the pieces, as far as they are complete.
fn read(pieces: &[&[u8]], limit: impl Fn(&[u8]) -> usize) -> Vec<Next> {
    let (mut reader, mut buffer, mut seen) = (LineReader::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.next(&mut buffer, &limit) {
                Next::More => break,
                Next::Flood => {
                    seen.push(Next::Flood);
                    return seen;
                }
                next => seen.push(next),
            }
        }
        assert!(buffer.len() <= LONG_LINE, "{} octets are kept", buffer.len());
    }
    seen
}

/// What a wire in one piece has to be read as, the slow and obvious way.
fn expected(mut wire: &[u8], limit: impl Fn(&[u8]) -> usize) -> Vec<Next> {
    let mut seen = Vec::new();
    while let Some(lf) = wire.iter().position(|&octet| octet == b'\n') {
        if !wire[..lf].ends_with(b"\r") {
            seen.push(Next::Fault(LineFault::BareLf));
            // The rest of this line; without an end of it, what stands behind its last LF waits for one in vain.
            match wire.windows(2).skip(lf + 1).position(|pair| pair == b"\r\n") {
                Some(at) => wire = &wire[lf + 1 + at + 2..],
                None => return seen,
            }
            continue;
        }
        let line = &wire[..lf - 1];
        seen.push(match line {
            _ if lf + 1 > limit(wire) => Next::Fault(LineFault::TooLong),
            _ => match line.iter().find(|octet| b"\0\r".contains(octet)) {
                Some(0) => Next::Fault(LineFault::Nul),
                Some(_) => Next::Fault(LineFault::BareCr),
                None => Next::Line(line.to_vec().into()),
            },
        });
        wire = &wire[lf + 1..];
    }
    seen
}

/// A line's command, sent on, is the same command, and one line.
fn check(line: &[u8]) {
    let Ok(command) = Command::parse(line) else { return };
    let sent = command.line();
    assert!(!sent.iter().any(|octet| b"\r\n\0".contains(octet)), "{}", sent.escape_ascii());
    assert_eq!(Command::parse(&sent).as_ref(), Ok(&command), "{}", sent.escape_ascii());
    let verb = command.verb();
    if !matches!(command, Command::Extension { .. }) {
        let start = line.trim_ascii_start().get(..verb.len());
        assert!(start.is_some_and(|start| start.eq_ignore_ascii_case(verb.as_bytes())), "{verb}");
    }
}
