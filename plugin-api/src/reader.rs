//! A stream that the host hands out chunk by chunk.

use std::io::{self, BufRead, Read};

use crate::TooLarge;

/// A stream of octets from the host: a message, the decoded content of a part, a data file.
///
/// It is buffered in chunks of up to 65,536 octets; [`BufRead::fill_buf`] gives a chunk without a copy. Reading
/// never fails.
pub struct Reader<'a> {
    /// Gives the next chunk, an empty one at the end.
    fetch: Box<dyn FnMut() -> Vec<u8> + 'a>,
    chunk: Vec<u8>,
    /// How much of the chunk has been taken.
    taken: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(fetch: impl FnMut() -> Vec<u8> + 'a) -> Self {
        Self { fetch: Box::new(fetch), chunk: Vec::new(), taken: 0 }
    }

    /// The chunk at hand, or the next one when it is used up; empty at the end.
    fn chunk(&mut self) -> &[u8] {
        if self.taken == self.chunk.len() {
            // The next one takes its place in memory: what a filter has not written to need not be cleared behind it.
            self.chunk = Vec::new();
            self.chunk = (self.fetch)();
            self.taken = 0;
        }
        &self.chunk[self.taken..]
    }

    /// All that is left, up to `limit` octets; `what` names it in the error.
    pub(crate) fn collect(mut self, limit: usize, what: &str) -> Result<Vec<u8>, TooLarge> {
        let mut all = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return Ok(all);
            }
            if chunk.len() > limit - all.len() {
                return Err(TooLarge { what: what.to_owned(), limit });
            }
            all.extend_from_slice(chunk);
            self.taken = self.chunk.len();
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.chunk();
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.taken += length;
        Ok(length)
    }
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.chunk())
    }

    fn consume(&mut self, amount: usize) {
        // A caller that takes more than it was given has a bug; the stream goes on with the next chunk.
        self.taken = (self.taken + amount).min(self.chunk.len());
    }
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(chunks: &[&'static str]) -> Reader<'static> {
        let mut chunks: Vec<_> = chunks.iter().rev().copied().collect();
        Reader::new(move || chunks.pop().unwrap_or_default().into())
    }

    #[test]
    fn reads_across_chunks() {
        let mut text = String::new();
        reader(&["one\ntw", "o\nth", "ree"]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\nthree");
        let lines: Vec<_> = reader(&["one\ntw", "o\nth", "ree"]).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn collects_up_to_the_limit_and_not_beyond() {
        assert_eq!(reader(&["ab", "cd"]).collect(4, "it"), Ok(b"abcd".to_vec()));
        let fault = reader(&["ab", "cd"]).collect(3, "it").unwrap_err();
        assert_eq!(fault.to_string(), "it is longer than 3 octets");
    }
}
