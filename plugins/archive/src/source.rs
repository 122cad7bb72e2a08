//! An object's octets on their way: to whoever opens it, and all of them to the visitor.

use std::io::{self, BufRead, Read};

use crate::walk::Walk;
use crate::{Limits, Unscannable};

/// Octets that are read at once.
const CHUNK: usize = 16 << 10;

/// Octets that are there already when a chunk is read, as a rule at most.
const LEFT: usize = 64;

/// Where octets come from.
pub(crate) enum Inner<'s> {
    /// A decoder.
    Plain(&'s mut (dyn Read + 's)),
    /// What has them at hand: no more room is made than they take.
    Buffered(&'s mut (dyn BufRead + 's)),
}

impl Inner<'_> {
    /// Puts the next octets behind the first `start` ones of a buffer, and says where they end; in front of an end nothing comes.
    fn read(&mut self, buffer: &mut Vec<u8>, start: usize) -> io::Result<usize> {
        let make_room = |buffer: &mut Vec<u8>, room: usize| {
            let more = (start + room).saturating_sub(buffer.len());
            if start > LEFT {
                // Much is looked at ahead, chunk by chunk: room for the next ones comes with this one's.
                buffer.reserve(more);
            } else if buffer.capacity() < start + room {
                buffer.reserve_exact(more + LEFT);
            }
        };
        match self {
            Self::Plain(inner) => {
                make_room(buffer, CHUNK);
                // What was there before is written over, or not looked at.
                if buffer.len() < start + CHUNK {
                    buffer.resize(start + CHUNK, 0);
                }
                let length = inner.read(&mut buffer[start..start + CHUNK])?;
                Ok(start + length.min(CHUNK))
            }
            Self::Buffered(inner) => {
                let chunk = inner.fill_buf()?;
                let chunk = &chunk[..chunk.len().min(CHUNK)];
                make_room(buffer, chunk.len());
                buffer.truncate(start);
                buffer.extend_from_slice(chunk);
                let length = chunk.len();
                inner.consume(length);
                Ok(start + length)
            }
        }
    }
}

/// The content of an object.
///
/// What its container gives is counted against the limits; where they are exceeded, or the container breaks off, it ends. The
/// visitor gets each octet once, whether or not anybody could make something of it.
pub(crate) struct Source<'s, 'v> {
    pub(crate) walk: &'s Walk<'v>,
    inner: Inner<'s>,
    depth: usize,
    /// How many times as long as one of deflate an octet takes.
    cost: u64,
    buffer: Vec<u8>,
    /// Where in the buffer ends what was read.
    end: usize,
    /// How much of it has been taken.
    taken: usize,
    /// How much of it the visitor has.
    shown: usize,
    /// Octets taken in sum.
    offset: u64,
    ended: bool,
    /// Whether the container could not give all of it.
    broken: bool,
}

impl<'s, 'v> Source<'s, 'v> {
    pub(crate) fn new(walk: &'s Walk<'v>, inner: Inner<'s>, depth: usize, cost: u64) -> Self {
        let (buffer, end, taken, shown, offset) = (Vec::new(), 0, 0, 0, 0);
        Self { walk, inner, depth, cost, buffer, end, taken, shown, offset, ended: false, broken: false }
    }

    /// What comes next, at least `length` octets unless it ends before.
    pub(crate) fn peek(&mut self, length: usize) -> &[u8] {
        while self.end - self.taken < length && self.fill() {}
        &self.buffer[self.taken..self.end]
    }

    /// Takes octets that have been seen.
    pub(crate) fn skip(&mut self, length: usize) {
        let length = length.min(self.end - self.taken);
        self.taken += length;
        self.offset += length as u64;
    }

    /// Octets taken so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The next `length` octets; fewer at the end.
    pub(crate) fn take_vec(&mut self, length: usize) -> Vec<u8> {
        let seen = self.peek(length);
        let taken = seen[..seen.len().min(length)].to_vec();
        self.skip(taken.len());
        taken
    }

    /// As far as `length` octets, as a stream of their own.
    pub(crate) fn limited(&mut self, length: u64) -> Limited<'_, 's, 'v> {
        Limited { source: self, left: length }
    }

    /// Takes `length` octets unseen.
    pub(crate) fn pass(&mut self, mut length: u64) {
        while length > 0 {
            let seen = self.peek(1).len() as u64;
            if seen == 0 {
                return;
            }
            self.skip(usize::try_from(seen.min(length)).unwrap_or(usize::MAX));
            length -= seen.min(length);
        }
    }

    /// Takes all that is left.
    pub(crate) fn drain(&mut self) {
        self.pass(u64::MAX);
        self.show();
    }

    /// All that is left, in memory.
    pub(crate) fn read_all(&mut self) -> Result<Held<'s, 'v>, Unscannable> {
        let mut held = Held { walk: self.walk, octets: Vec::new() };
        loop {
            let seen = self.peek(1);
            let length = seen.len();
            if length == 0 {
                return Ok(held);
            }
            if !held.walk.hold(length) {
                return Err(Unscannable::TooLarge);
            }
            held.octets.extend_from_slice(seen);
            self.skip(length);
        }
    }

    /// Gives the visitor what has been taken.
    fn show(&mut self) {
        if self.taken > self.shown {
            self.walk.show(self.depth, &self.buffer[self.shown..self.taken]);
            self.shown = self.taken;
        }
    }

    /// Reads some more; false at the end.
    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.show();
        self.buffer.copy_within(self.taken..self.end, 0);
        let start = self.end - self.taken;
        (self.taken, self.shown) = (0, 0);
        let read = loop {
            match self.inner.read(&mut self.buffer, start) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.broken = read.is_err();
        self.end = read.unwrap_or(start);
        let length = self.end - start;
        // What a limit cuts off is not looked at: the object ends in front of it.
        if length == 0 || !self.walk.count(self.depth, length, self.cost) {
            self.end = start;
            self.ended = true;
        }
        !self.ended
    }
}

impl Read for Source<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = self.peek(1);
        let length = seen.len().min(buffer.len());
        buffer[..length].copy_from_slice(&seen[..length]);
        self.skip(length);
        Ok(length)
    }
}

impl BufRead for Source<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.peek(1))
    }

    fn consume(&mut self, amount: usize) {
        self.skip(amount);
    }
}

/// A source up to a certain length.
pub(crate) struct Limited<'l, 's, 'v> {
    source: &'l mut Source<'s, 'v>,
    left: u64,
}

impl Limited<'_, '_, '_> {
    /// Octets that have not been taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// What comes next, at least `length` octets unless it ends before.
    pub(crate) fn peek(&mut self, length: usize) -> &[u8] {
        let seen = self.source.peek(length);
        &seen[..usize::try_from(self.left).unwrap_or(usize::MAX).min(seen.len())]
    }
}

impl Read for Limited<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = self.fill_buf()?;
        let length = seen.len().min(buffer.len());
        buffer[..length].copy_from_slice(&seen[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Limited<'_, '_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let seen = self.source.peek(1);
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(seen.len());
        Ok(&seen[..length])
    }

    fn consume(&mut self, amount: usize) {
        self.source.skip(amount);
        self.left -= self.left.min(amount as u64);
    }
}

/// Octets in memory, counted as long as they are.
pub(crate) struct Held<'s, 'v> {
    walk: &'s Walk<'v>,
    octets: Vec<u8>,
}

impl std::ops::Deref for Held<'_, '_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        self.walk.release(self.octets.len());
    }
}

/// True if a sum of octets is more than what a file of this size may hold.
pub(crate) fn is_bomb(limits: &Limits, outer: u64, inflated: u64) -> bool {
    inflated > Limits::RATIO_FROM && inflated > outer.saturating_mul(limits.ratio)
}
