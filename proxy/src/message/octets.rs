//! A rope: a sequence of octets over a few shared slices. All positions are offsets from its beginning.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memmem};

/// Octets in shared, immutable slices.
#[derive(Clone, Default)]
pub(super) struct Octets {
    /// Each with the offset at which it starts; none is empty.
    pieces: Vec<(u64, Bytes)>,
    len: u64,
}

impl From<Bytes> for Octets {
    fn from(bytes: Bytes) -> Self {
        let mut octets = Self::default();
        octets.push(bytes);
        octets
    }
}

impl Octets {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|(_, bytes)| &bytes[..])
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let start = self.len;
            self.len += bytes.len() as u64;
            self.pieces.push((start, bytes));
        }
    }

    /// Appends a range of another rope; shares its octets.
    pub(super) fn push_range(&mut self, other: &Self, range: Range<u64>) {
        let mut at = range.start;
        let end = range.end.min(other.len);
        while at < end {
            let (start, bytes) = &other.pieces[other.piece_at(at)];
            let from = (at - start) as usize;
            let to = (end - start).min(bytes.len() as u64) as usize;
            self.push(bytes.slice(from..to));
            at = start + to as u64;
        }
    }

    /// The piece that holds `at`, which must be below the length.
    fn piece_at(&self, at: u64) -> usize {
        self.pieces.partition_point(|(start, _)| *start <= at) - 1
    }

    /// The longest slice that starts at `at` and does not pass `end`; empty behind the last octet.
    pub(super) fn chunk(&self, at: u64, end: u64) -> &[u8] {
        let end = end.min(self.len);
        if at >= end {
            return &[];
        }
        let (start, bytes) = &self.pieces[self.piece_at(at)];
        &bytes[(at - start) as usize..((end - start).min(bytes.len() as u64)) as usize]
    }

    /// The octets of a range, copied only where it spans slices. Bounds are cut to what is there.
    pub(super) fn bytes(&self, range: Range<u64>) -> Cow<'_, [u8]> {
        let first = self.chunk(range.start, range.end);
        if range.start.saturating_add(first.len() as u64) >= range.end.min(self.len) {
            return Cow::Borrowed(first);
        }
        let mut all = Vec::new();
        let mut at = range.start;
        loop {
            let chunk = self.chunk(at, range.end);
            if chunk.is_empty() {
                return Cow::Owned(all);
            }
            all.extend_from_slice(chunk);
            at += chunk.len() as u64;
        }
    }

    /// The same as octets that can be shared.
    pub(super) fn shared(&self, range: Range<u64>) -> Bytes {
        let end = range.end.min(self.len);
        if range.start < end {
            let (start, bytes) = &self.pieces[self.piece_at(range.start)];
            if end - start <= bytes.len() as u64 {
                return bytes.slice((range.start - start) as usize..(end - start) as usize);
            }
        }
        Bytes::from(self.bytes(range).into_owned())
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        self.bytes(offset..offset.saturating_add(length as u64)).into_owned()
    }

    /// The offset of the first `needle` that lies within `start..end`. An empty needle is found at `start`.
    pub(super) fn find(&self, needle: &[u8], start: u64, end: u64) -> Option<u64> {
        let end = end.min(self.len);
        if needle.is_empty() {
            return (start <= end).then_some(start);
        }
        let finder = memmem::Finder::new(needle);
        let mut at = start;
        while at < end && end - at >= needle.len() as u64 {
            let chunk = self.chunk(at, end);
            if let Some(found) = finder.find(chunk) {
                return Some(at + found as u64);
            }
            // What begins in the last octets of this slice may end in the next ones.
            let next = at + chunk.len() as u64;
            let overlap = (needle.len() as u64 - 1).min(chunk.len() as u64);
            let seam = self.bytes(next - overlap..end.min(next + needle.len() as u64 - 1));
            if next < end
                && let Some(found) = finder.find(&seam)
            {
                return Some(next - overlap + found as u64);
            }
            at = next;
        }
        None
    }

    /// The offset of the first `octet` within `start..end`.
    pub(super) fn find_octet(&self, octet: u8, start: u64, end: u64) -> Option<u64> {
        let mut at = start;
        loop {
            let chunk = self.chunk(at, end);
            if chunk.is_empty() {
                return None;
            }
            if let Some(found) = memchr(octet, chunk) {
                return Some(at + found as u64);
            }
            at += chunk.len() as u64;
        }
    }

    /// Where the line that starts at `at` ends, its LF included; `end` if there is none.
    pub(super) fn line_end(&self, at: u64, end: u64) -> u64 {
        self.find_octet(b'\n', at, end).map_or(end.min(self.len), |lf| lf + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(whole: &[u8], cuts: &[usize]) -> Octets {
        let mut octets = Octets::default();
        let mut from = 0;
        for &to in cuts.iter().chain(&[whole.len()]) {
            octets.push(Bytes::copy_from_slice(&whole[from..to]));
            from = to;
        }
        octets
    }

    #[test]
    fn finds_and_reads_the_same_however_it_is_cut() {
        let whole = b"abcabcabdabc--x\n--xy\nab";
        for a in 0..whole.len() {
            for b in a..whole.len() {
                let octets = cut(whole, &[a, b]);
                assert_eq!(octets.len(), whole.len() as u64);
                for needle in [&b"abd"[..], b"a", b"\n--xy", b"ab", b"nope", whole] {
                    for start in 0..=whole.len() {
                        let expected = memmem::find(&whole[start..], needle).map(|at| (start + at) as u64);
                        assert_eq!(
                            octets.find(needle, start as u64, octets.len()),
                            expected,
                            "{needle:?} {a} {b} {start}"
                        );
                    }
                }
                assert_eq!(octets.find(b"abd", 0, 8), None, "the end is respected");
                assert_eq!(octets.shared(5..14), &whole[5..14]);
                assert_eq!(octets.shared(20..99), &whole[20..]);
                assert_eq!(octets.shared(99..100), &b""[..]);
                assert_eq!(octets.read(5, 9), &whole[5..14]);
                assert_eq!(octets.read(20, 99), &whole[20..]);
                assert_eq!(octets.read(99, 1), b"");
                assert_eq!(octets.line_end(0, 99), 16);
            }
        }
    }

    #[test]
    fn ranges_are_shared_without_a_copy() {
        let octets = cut(b"0123456789", &[3, 6]);
        let mut other = Octets::default();
        other.push_range(&octets, 2..8);
        other.push_range(&octets, 9..99);
        assert_eq!(other.segments().collect::<Vec<_>>().concat(), b"2345679");
        assert_eq!(other.segments().next().map(<[u8]>::as_ptr), octets.segments().next().map(|s| s[2..].as_ptr()));
        assert_eq!(octets.shared(3..6).as_ptr(), octets.segments().nth(1).unwrap().as_ptr());
    }
}
