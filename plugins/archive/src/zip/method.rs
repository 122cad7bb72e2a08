//! How a file in a zip archive is compressed.

use std::io::{self, BufRead, Read};

use memchr::memmem;

use crate::Unscannable;
use crate::compressed;
use crate::source::Limited;
use crate::zip::directory::Entry;
use crate::zip::implode;

/// What an octet of a method costs, by the measure of deflate.
pub(super) fn cost(method: u16) -> u64 {
    match method {
        12 => compressed::BZIP2,
        14 | 95 => compressed::LZMA,
        _ => 1,
    }
}

/// Makes a stream of a compressed file.
pub(super) struct Method;

impl Method {
    /// The content of a file, as far as it can be had.
    pub(super) fn open<'p>(
        entry: &Entry,
        packed: &'p mut Limited<'_, '_, '_>,
        memory: usize,
    ) -> Result<Box<dyn Read + 'p>, Unscannable> {
        Ok(match entry.method {
            0 if entry.packed_if_known().is_some() => Box::new(packed),
            0 => Box::new(Stored { packed, size: 0 }),
            6 => Box::new(implode::open(packed, entry.flags, entry.size).map_err(|_| Unscannable::Damaged)?),
            8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
            9 => Box::new(deflate64::Deflate64Decoder::with_buffer(packed)),
            12 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
            14 => lzma(entry, packed, memory)?,
            20 | 93 => compressed::zstandard(packed, memory)?,
            95 => Box::new(compressed::xz(packed, false, memory)),
            _ => return Err(Unscannable::Unsupported("the compression")),
        })
    }
}

/// LZMA: the version of its maker, the length of the properties, and these.
fn lzma<'p>(
    entry: &Entry,
    packed: &'p mut Limited<'_, '_, '_>,
    memory: usize,
) -> Result<Box<dyn Read + 'p>, Unscannable> {
    let mut header = [0; 9];
    packed.read_exact(&mut header).map_err(|_| Unscannable::Damaged)?;
    let [_, _, 5, 0, properties, a, b, c, d] = header else { return Err(Unscannable::Damaged) };
    // Flag 1: its end is marked.
    let size = if entry.flags & 2 != 0 { u64::MAX } else { entry.size };
    compressed::lzma(packed, properties, u32::from_le_bytes([a, b, c, d]), size, memory)
}

/// A file that is not compressed, and whose size stands behind it: it ends where a descriptor has that size.
struct Stored<'p, 'l, 's, 'v> {
    packed: &'p mut Limited<'l, 's, 'v>,
    size: u64,
}

impl Read for Stored<'_, '_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = self.packed.peek(24);
        let mark = memmem::find(seen, b"PK");
        let length = match mark {
            Some(0) if ends(seen, self.size) => 0,
            Some(0) => 1,
            Some(at) => at,
            None if seen.len() > 1 => seen.len() - 1,
            None => seen.len(),
        };
        let length = length.min(buffer.len());
        buffer[..length].copy_from_slice(&seen[..length]);
        self.packed.consume(length);
        self.size += length as u64;
        Ok(length)
    }
}

/// Whether a descriptor, or the next header, begins here, behind this many octets.
fn ends(seen: &[u8], size: u64) -> bool {
    let number = |at: usize| seen.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
    seen.starts_with(b"PK\x07\x08") && number(8).map(u64::from) == Some(size & 0xffff_ffff)
}
