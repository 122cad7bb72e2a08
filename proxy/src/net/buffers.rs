//! Buffers that change hands: a connection has one for as long as octets are in it, and leaves it to the next one on the
//! same thread.
//!
//! So thousands of connections at rest hold none, and those that are busy share a few that the processor has at hand.
//! A buffer is handed on without what was in it being overwritten; nobody sees that, as nobody can read what he has not
//! written.

use std::cell::RefCell;
use std::mem;

use bytes::BytesMut;

/// Room in a small buffer, in octets: for commands and short replies.
pub const SMALL: usize = 4 * 1024;
/// Room in a large buffer, in octets: for messages.
pub const LARGE: usize = 64 * 1024;
/// How many small ones a thread keeps for later.
const SMALL_KEPT: usize = 64;
/// How many large ones a thread keeps for later.
const LARGE_KEPT: usize = 32;

#[derive(Default)]
struct Kept {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Makes room for so many more octets behind those that are in a buffer.
pub fn make_room(buffer: &mut BytesMut, room: usize) {
    let needed = buffer.len().saturating_add(room);
    if buffer.capacity() >= needed || (buffer.is_empty() && buffer.try_reclaim(room)) {
        return;
    }
    if needed > LARGE {
        return buffer.reserve(room);
    }
    if buffer.capacity() == 0 {
        *buffer = taken(needed);
        return;
    }
    let mut other = taken(needed);
    other.extend_from_slice(buffer);
    hand_on(&mut mem::replace(buffer, other));
}

/// Leaves a buffer, and what is in it, to others. An empty one without any room is in its place.
pub fn hand_on(buffer: &mut BytesMut) {
    let mut buffer = mem::take(buffer);
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        // Where somebody still has a part of it, it is his.
        if kept.large.len() < LARGE_KEPT && buffer.try_reclaim(LARGE) {
            kept.large.push(buffer);
        } else if kept.small.len() < SMALL_KEPT && buffer.capacity() < LARGE && buffer.try_reclaim(SMALL) {
            kept.small.push(buffer);
        }
    });
}

/// An empty buffer with at least so much room, up to [`LARGE`].
fn taken(room: usize) -> BytesMut {
    KEPT.with_borrow_mut(|kept| if room <= SMALL { kept.small.pop() } else { kept.large.pop() })
        .unwrap_or_else(|| BytesMut::with_capacity(if room <= SMALL { SMALL } else { LARGE }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_from_hand_to_hand() {
        let mut first = BytesMut::new();
        make_room(&mut first, 10);
        first.extend_from_slice(b"secret");
        let place = first.as_ptr();
        hand_on(&mut first);
        assert_eq!((first.len(), first.capacity()), (0, 0));
        let mut second = BytesMut::new();
        make_room(&mut second, SMALL);
        assert_eq!((second.as_ptr(), second.len()), (place, 0));
    }

    #[test]
    fn what_somebody_still_reads_is_not_handed_on() {
        let mut buffer = BytesMut::new();
        make_room(&mut buffer, LARGE);
        buffer.extend_from_slice(b"a line and more");
        let line = buffer.split_to(6).freeze();
        hand_on(&mut buffer);
        let mut other = BytesMut::new();
        make_room(&mut other, LARGE);
        other.extend_from_slice(b"......");
        assert_eq!(&line[..], b"a line");
    }

    #[test]
    fn content_moves_into_a_larger_one() {
        let mut buffer = BytesMut::new();
        for (room, capacity) in [(5, SMALL), (SMALL, LARGE), (LARGE, LARGE + 10)] {
            make_room(&mut buffer, room);
            assert!(buffer.capacity() >= capacity, "{room}: {}", buffer.capacity());
            buffer.extend_from_slice(b"12345");
        }
        assert_eq!(&buffer[..], b"123451234512345");
    }

    #[test]
    fn a_thread_keeps_a_few() {
        let mut buffers: Vec<_> = (0..2 * LARGE_KEPT).map(|_| BytesMut::with_capacity(LARGE)).collect();
        buffers.iter_mut().for_each(hand_on);
        KEPT.with_borrow(|kept| assert_eq!((kept.large.len(), kept.small.len()), (LARGE_KEPT, 0)));
    }
}
