//! Imploded files of zip archives, as PKZIP 1 made them: copies out of a window, and trees of Shannon-Fano codes.
//!
//! Source: PKWARE's APPNOTE, section 5.3.

use std::io::{self, Read};

/// The window of those that have a large one.
const WINDOW: usize = 8 << 10;

/// The longest code, in bits.
const LONGEST: usize = 16;

/// Makes a stream of an imploded file; flag 1 says that the window is large, flag 2 that there is a tree of literals.
pub(super) fn open<R: Read>(packed: R, flags: u16, size: u64) -> io::Result<Exploded<R>> {
    let mut bits = Bits { packed, held: 0, count: 0 };
    let literals = if flags & 4 != 0 { Some(Tree::read(&mut bits, 256)?) } else { None };
    let lengths = Tree::read(&mut bits, 64)?;
    let distances = Tree::read(&mut bits, 64)?;
    let low_bits = if flags & 2 != 0 { 7 } else { 6 };
    Ok(Exploded { bits, literals, lengths, distances, low_bits, left: size, window: [0; WINDOW], at: 0, copy: (0, 0) })
}

/// The content.
pub(super) struct Exploded<R> {
    bits: Bits<R>,
    literals: Option<Tree>,
    lengths: Tree,
    distances: Tree,
    /// Bits of a distance that are written as they are.
    low_bits: u32,
    /// Octets that are still to come.
    left: u64,
    window: [u8; WINDOW],
    at: usize,
    /// How far back to copy from, and how many.
    copy: (usize, usize),
}

impl<R: Read> Exploded<R> {
    fn octet(&mut self) -> io::Result<u8> {
        if self.copy.1 == 0 {
            if self.bits.take(1)? == 1 {
                let literal = match &self.literals {
                    Some(tree) => tree.next(&mut self.bits)?,
                    None => self.bits.take(8)? as usize,
                };
                return Ok(self.put(literal as u8));
            }
            let low = self.bits.take(self.low_bits)? as usize;
            let distance = (self.distances.next(&mut self.bits)? << self.low_bits | low) + 1;
            let code = self.lengths.next(&mut self.bits)?;
            let more = if code == 63 { self.bits.take(8)? as usize } else { 0 };
            let least = if self.literals.is_some() { 3 } else { 2 };
            self.copy = (distance, least + code + more);
        }
        self.copy.1 -= 1;
        let octet = self.window[(self.at + WINDOW - self.copy.0) % WINDOW];
        Ok(self.put(octet))
    }

    fn put(&mut self, octet: u8) -> u8 {
        self.window[self.at] = octet;
        self.at = (self.at + 1) % WINDOW;
        octet
    }
}

impl<R: Read> Read for Exploded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        for (at, place) in buffer[..length].iter_mut().enumerate() {
            match self.octet() {
                Ok(octet) => *place = octet,
                Err(error) if at == 0 => return Err(error),
                // What came before it is told first.
                Err(_) => return Ok(at),
            }
            self.left -= 1;
        }
        Ok(length)
    }
}

/// A code for each value.
struct Tree {
    /// How many codes have so many bits.
    counts: [u16; LONGEST + 1],
    /// The values, those with short codes first.
    values: Vec<u8>,
}

impl Tree {
    /// Reads the lengths of so many codes, in runs.
    fn read<R: Read>(bits: &mut Bits<R>, values: usize) -> io::Result<Self> {
        let mut lengths = Vec::with_capacity(values);
        for _ in 0..=bits.take(8)? {
            let run = bits.take(8)?;
            lengths.extend(std::iter::repeat_n((run & 0xf) as usize + 1, (run >> 4) as usize + 1));
        }
        if lengths.len() != values {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut counts = [0; LONGEST + 1];
        lengths.iter().for_each(|&length| counts[length] += 1);
        let of =
            |wanted: usize| (0..=u8::MAX).zip(&lengths).filter_map(move |(value, &it)| (it == wanted).then_some(value));
        Ok(Self { counts, values: (1..=LONGEST).flat_map(of).collect() })
    }

    /// The next value. The bits of a code stand the other way round: 0 for 1.
    fn next<R: Read>(&self, bits: &mut Bits<R>) -> io::Result<usize> {
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for &count in &self.counts[1..] {
            let count = usize::from(count);
            code |= 1 - bits.take(1)? as usize;
            if let Some(place) = code.checked_sub(first).filter(|&place| place < count) {
                return self
                    .values
                    .get(index + place)
                    .map(|&value| usize::from(value))
                    .ok_or(io::ErrorKind::InvalidData.into());
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Bits, the lowest of each octet first.
struct Bits<R> {
    packed: R,
    held: u32,
    count: u32,
}

impl<R: Read> Bits<R> {
    fn take(&mut self, count: u32) -> io::Result<u32> {
        while self.count < count {
            let mut octet = [0];
            self.packed.read_exact(&mut octet)?;
            self.held |= u32::from(octet[0]) << self.count;
            self.count += 8;
        }
        let taken = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::open;

    /// Writes bits, the lowest of each octet first.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn bits(&mut self, value: u32, count: u32) {
            self.0.extend((0..count).map(|bit| value >> bit & 1 == 1));
        }

        /// A code of so many bits, the highest first, the other way round.
        fn code(&mut self, code: u32, count: u32) {
            self.0.extend((0..count).rev().map(|bit| code >> bit & 1 == 0));
        }

        fn octets(&self) -> Vec<u8> {
            let octet = |bits: &[bool]| (0..8).zip(bits).fold(0, |octet, (at, &bit)| octet | u8::from(bit) << at);
            self.0.chunks(8).map(octet).collect()
        }
    }

    /// Lengths of codes in runs of at most 16: all have `bits`.
    fn tree(writer: &mut Writer, values: u32, bits: u32) {
        writer.bits(values / 16 - 1, 8);
        (0..values / 16).for_each(|_| writer.bits(0xf0 | (bits - 1), 8));
    }

    fn exploded(writer: &Writer, flags: u16, size: u64) -> std::io::Result<Vec<u8>> {
        let (packed, mut content) = (writer.octets(), Vec::new());
        open(&*packed, flags, size)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn literals_and_copies_come_out() {
        for (flags, low_bits) in [(0, 6), (2, 7), (4, 6), (6, 7)] {
            let with_tree = flags & 4 != 0;
            let mut writer = Writer::default();
            if with_tree {
                tree(&mut writer, 256, 8);
            }
            tree(&mut writer, 64, 6);
            tree(&mut writer, 64, 6);
            for octet in b"abcd" {
                writer.bits(1, 1);
                if with_tree { writer.code(u32::from(*octet), 8) } else { writer.bits(u32::from(*octet), 8) }
            }
            // Four back, eight octets; then the longest copy.
            let least = if with_tree { 3 } else { 2 };
            for (length, more) in [(8 - least, None), (63, Some(40))] {
                writer.bits(0, 1);
                writer.bits(3, low_bits);
                writer.code(0, 6);
                writer.code(length, 6);
                more.into_iter().for_each(|more| writer.bits(more, 8));
            }
            let size = 4 + 8 + 63 + 40 + u64::from(least);
            let expected: Vec<u8> = b"abcd".iter().copied().cycle().take(size as usize).collect();
            assert_eq!(exploded(&writer, flags, size).unwrap(), expected, "flags {flags}");
            // What is missing is a fault, not the end.
            assert!(exploded(&writer, flags, size + 100).is_err());
        }
    }

    #[test]
    fn trees_that_are_none_are_a_fault() {
        let mut short = Writer::default();
        tree(&mut short, 32, 6);
        short.bits(0, 32);
        assert!(exploded(&short, 0, 10).is_err());
        // One code of one bit alone: the other bit leads nowhere.
        let mut empty = Writer::default();
        tree(&mut empty, 64, 16);
        tree(&mut empty, 64, 16);
        empty.bits(0, 32);
        empty.bits(0, 32);
        assert!(exploded(&empty, 0, 10).is_err());
        for length in 0..10 {
            assert!(exploded(&Writer(vec![true; length]), 4, 10).is_err());
        }
    }
}
