//! Cabinets of Windows, stored and MSZIP.
//!
//! A crate for them unpacks a folder anew for each of its files, which takes forever when there are thousands.
//!
//! Source: MS-CAB.

use std::io::{self, Read};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;

/// Octets of a block, and how far back it refers.
const BLOCK: usize = 32 << 10;

/// A stream of files.
struct Folder {
    blocks: usize,
    count: u16,
    method: u16,
}

/// A file in a folder.
struct File {
    folder: u16,
    offset: u64,
    size: u64,
    name: String,
}

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let (folders, mut files, reserved, split) = directory(&octets).ok_or(Unscannable::Damaged)?;
    files.sort_by_key(|file| (file.folder, file.offset));
    let mut outcome = if split { Err(Unscannable::Unsupported("a part of a cabinet")) } else { Ok(()) };
    for (at, folder) in folders.iter().enumerate() {
        let blocks = Fields(octets.get(folder.blocks..).unwrap_or_default());
        let window = Vec::with_capacity(2 * BLOCK);
        let compressed = match folder.method & 0xf {
            0 => false,
            1 => true,
            _ => {
                outcome = Err(Unscannable::Unsupported("the compression"));
                continue;
            }
        };
        let mut content =
            Blocks { blocks, left: folder.count, reserved, compressed, window, from: 0, inflater: Box::default() };
        let mut position = 0;
        for file in files.iter().filter(|file| usize::from(file.folder) == at) {
            // Files that lie in each other are no work of an honest packer.
            let Some(gap) = file.offset.checked_sub(position) else { return Err(Unscannable::Ambiguous) };
            let passed = io::copy(&mut (&mut content).take(gap), &mut io::sink()).unwrap_or(0);
            let mut counted = (&mut content).take(file.size);
            walk.object(place, &file.name, &mut counted);
            if (passed < gap || counted.limit() > 0) && !walk.is_stopped() {
                return Err(Unscannable::Damaged);
            }
            position = file.offset + file.size;
        }
    }
    // A file that begins or ends in another cabinet.
    if files.iter().any(|file| usize::from(file.folder) >= folders.len()) {
        outcome = outcome.and(Err(Unscannable::Unsupported("a part of a cabinet")));
    }
    outcome
}

/// Folders, files, octets reserved in each block, and whether it is one of several cabinets.
fn directory(octets: &[u8]) -> Option<(Vec<Folder>, Vec<File>, usize, bool)> {
    let mut fields = Fields(octets);
    fields.take(16)?;
    let first_file = fields.length()?;
    fields.take(6)?;
    let (folder_count, file_count, flags) = (fields.short()?, fields.short()?, fields.short()?);
    fields.take(4)?;
    let (mut in_folder, mut in_block) = (0, 0);
    if flags & 4 != 0 {
        let in_header = fields.short()?;
        (in_folder, in_block) = (usize::from(fields.octet()?), usize::from(fields.octet()?));
        fields.take(usize::from(in_header))?;
    }
    for _ in 0..(flags & 1) * 2 + (flags & 2) {
        fields.text()?;
    }
    let mut folders = Vec::new();
    for _ in 0..folder_count {
        folders.push(Folder { blocks: fields.length()?, count: fields.short()?, method: fields.short()? });
        fields.take(in_folder)?;
    }
    let mut fields = Fields(octets.get(first_file..)?);
    let mut files = Vec::new();
    for _ in 0..file_count {
        let (size, offset) = (u64::from(fields.long()?), u64::from(fields.long()?));
        let folder = fields.short()?;
        fields.take(6)?;
        files.push(File { folder, offset, size, name: fields.text()? });
    }
    Some((folders, files, in_block, flags & 3 != 0))
}

/// The content of a folder.
struct Blocks<'a> {
    blocks: Fields<'a>,
    /// Blocks that are still to come.
    left: u16,
    reserved: usize,
    compressed: bool,
    /// The block before, and the one at hand.
    window: Vec<u8>,
    /// What of it has not been taken.
    from: usize,
    inflater: Box<DecompressorOxide>,
}

impl Blocks<'_> {
    /// Unpacks the next block.
    fn next(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        self.blocks.take(4)?;
        let (packed, size) = (usize::from(self.blocks.short()?), usize::from(self.blocks.short()?));
        self.blocks.take(self.reserved)?;
        let packed = self.blocks.take(packed)?;
        if size > BLOCK {
            return None;
        }
        self.window.drain(..self.window.len().saturating_sub(BLOCK));
        self.from = self.window.len();
        if !self.compressed {
            self.window.extend_from_slice(packed);
            return Some(());
        }
        let packed = packed.strip_prefix(b"CK")?;
        self.window.resize(self.from + size, 0);
        self.inflater.init();
        let (status, _, written) = decompress(
            &mut self.inflater,
            packed,
            &mut self.window,
            self.from,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        );
        (status == TINFLStatus::Done && written == size).then_some(())
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.from == self.window.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.next().ok_or(io::ErrorKind::InvalidData)?;
        }
        let length = buffer.len().min(self.window.len() - self.from);
        buffer[..length].copy_from_slice(&self.window[self.from..self.from + length]);
        self.from += length;
        Ok(length)
    }
}
