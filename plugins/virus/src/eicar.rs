//! The EICAR test string in a stream.
//!
//! Source: <https://www.eicar.org/download-anti-malware-testfile/>.

use memchr::memmem;

/// Octets of the test string.
const LENGTH: usize = 68;

/// The test string written backwards, so that no virus scanner takes the filter itself for the test file.
const BACKWARDS: &str = r"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X";

/// The test string, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Finder(memmem::Finder<'static>);

impl Finder {
    pub(crate) fn new() -> Self {
        let needle: Vec<u8> = BACKWARDS.bytes().rev().collect();
        Self(memmem::Finder::new(&needle).into_owned())
    }

    /// The test string.
    pub(crate) fn needle(&self) -> &[u8] {
        self.0.needle()
    }

    /// A search in a new stream.
    pub(crate) fn search(&self) -> Search<'_> {
        Search { finder: self, tail: Vec::new() }
    }
}

/// A search in a stream that comes in chunks.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    finder: &'a Finder,
    /// The end of what has come: shorter than the test string.
    tail: Vec<u8>,
}

impl Search<'_> {
    /// True if the test string ends in this chunk.
    pub(crate) fn found_in(&mut self, chunk: &[u8]) -> bool {
        let Finder(finder) = self.finder;
        // Across the cut, and in the chunk itself.
        let head = &chunk[..chunk.len().min(LENGTH - 1)];
        self.tail.extend_from_slice(head);
        let found = finder.find(&self.tail).is_some() || finder.find(chunk).is_some();
        if chunk.len() > head.len() {
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[chunk.len() - head.len()..]);
        }
        let surplus = self.tail.len().saturating_sub(LENGTH - 1);
        self.tail.drain(..surplus);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Finder, LENGTH};

    #[test]
    fn the_test_string_is_found_wherever_the_stream_is_cut() {
        let finder = Finder::new();
        assert_eq!(finder.needle().len(), LENGTH);
        let text = [&b"some text "[..], finder.needle(), &[b'.'; 200]].concat();
        for cut in 0..text.len() {
            let mut search = finder.search();
            let (head, tail) = text.split_at(cut);
            assert!(search.found_in(head) | search.found_in(tail), "cut at {cut}");
        }
        for size in 1..=text.len() {
            let mut search = finder.search();
            assert_eq!(text.chunks(size).filter(|chunk| search.found_in(chunk)).count(), 1, "chunks of {size}");
        }
    }

    #[test]
    fn a_part_of_it_is_not_enough() {
        let finder = Finder::new();
        let mut search = finder.search();
        let (head, tail) = finder.needle().split_at(30);
        assert!(!search.found_in(head) && !search.found_in(b" ") && !search.found_in(tail));
    }
}
