//! Dot-stuffing, both ways.

use popgate::pop3::{Decoder, Encoder, TERMINATOR};

use crate::cuts::cut;

/// What is encoded decodes to what it was, however it is cut, and only its end looks like one; and any wire at all decodes the
/// same however it is cut, up to its first terminator.
///
/// Input: two octets for the cuts, then the message, which is taken for a wire, too.
pub fn body(input: &[u8]) {
    let (octets, pieces) = cut(input);
    there_and_back(octets, &pieces);
    from_the_wire(octets, &pieces);
}

fn there_and_back(message: &[u8], pieces: &[&[u8]]) {
    let wire = encoded(&[message]);
    assert_eq!(encoded(pieces), wire, "encoded in pieces");
    assert_eq!(end_of(&wire), Some(wire.len()), "the terminator stands at the end alone");
    let mut normal = message.to_vec();
    if !normal.is_empty() && !normal.ends_with(b"\r\n") {
        normal.extend_from_slice(b"\r\n");
    }
    assert_eq!(decoded(&[&wire]), (normal, Some(wire.len())));
}

fn from_the_wire(wire: &[u8], pieces: &[&[u8]]) {
    let (message, end) = decoded(&[wire]);
    assert_eq!(end, end_of(wire), "the first terminator ends the body");
    assert_eq!(decoded(pieces), (message.clone(), end), "decoded in pieces");
    if end.is_some() {
        there_and_back(&message, &[&message]);
    }
}

/// Where the first terminator ends, the slow and obvious way.
fn end_of(wire: &[u8]) -> Option<usize> {
    let at_start = wire.starts_with(TERMINATOR).then_some(TERMINATOR.len());
    at_start.or_else(|| wire.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5))
}

fn encoded(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    for piece in pieces {
        encoder.encode(piece, |octets| wire.extend_from_slice(octets));
    }
    wire.extend_from_slice(encoder.finish());
    wire
}

/// The message so far, and how many octets were used if its end was there.
fn decoded(pieces: &[&[u8]]) -> (Vec<u8>, Option<usize>) {
    let (mut decoder, mut message, mut before) = (Decoder::default(), Vec::new(), 0);
    for piece in pieces {
        match decoder.decode(piece, |octets| message.extend_from_slice(octets)) {
            Some(used) => return (message, Some(before + used)),
            None => before += piece.len(),
        }
    }
    (message, None)
}
