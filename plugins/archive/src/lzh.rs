//! What LHA and ARJ compress with: copies out of a window, and Huffman's codes, block by block.

use std::io::{self, Read};

use delharc::decode::{Decoder, Lh5Decoder, Lh7Decoder};
use delharc::stub_io;

use crate::source::Limited;

/// Octets that are unpacked at once.
const PIECE: usize = 4096;

/// A compressed stream, as the crate wants it.
struct Packed<'p, 'l, 's, 'v>(&'p mut Limited<'l, 's, 'v>);

impl stub_io::Read for Packed<'_, '_, '_, '_> {
    type Error = io::Error;

    fn unexpected_eof() -> io::Error {
        io::ErrorKind::UnexpectedEof.into()
    }

    fn read_all(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            match self.0.read(&mut buffer[length..])? {
                0 => break,
                read => length += read,
            }
        }
        Ok(length)
    }
}

/// The content of a file of so many octets that LHA has compressed with a window of up to 8 KiB.
pub(crate) fn small<'p>(packed: &'p mut Limited<'_, '_, '_>, size: u64) -> Box<dyn Read + 'p> {
    let mut decoder = Lh5Decoder::new(Packed(packed));
    Box::new(Unpacked::new(size, move |piece: &mut [u8]| decoder.fill_buffer(piece).is_ok()))
}

/// The same for a window of up to 64 KiB, and for ARJ.
pub(crate) fn large<'p>(packed: &'p mut Limited<'_, '_, '_>, size: u64) -> Box<dyn Read + 'p> {
    let mut decoder = Lh7Decoder::new(Packed(packed));
    Box::new(Unpacked::new(size, move |piece: &mut [u8]| decoder.fill_buffer(piece).is_ok()))
}

/// The content as a stream. The decoder has to be told how much it shall unpack, since nothing marks the end.
struct Unpacked<F> {
    /// Fills a piece.
    fill: F,
    /// Octets that have not been unpacked.
    left: u64,
    /// Those that have been last, and how many of them are taken.
    piece: Vec<u8>,
    taken: usize,
}

impl<F: FnMut(&mut [u8]) -> bool> Unpacked<F> {
    fn new(size: u64, fill: F) -> Self {
        Self { fill, left: size, piece: Vec::new(), taken: 0 }
    }
}

impl<F: FnMut(&mut [u8]) -> bool> Read for Unpacked<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
            self.piece.resize(length, 0);
            self.taken = 0;
            self.left -= length as u64;
            if !(self.fill)(&mut self.piece) {
                self.left = 0;
                self.piece.clear();
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let length = buffer.len().min(self.piece.len() - self.taken);
        buffer[..length].copy_from_slice(&self.piece[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}
