//! Headers of a zip archive: those in front of the files, and the directory behind them.

use std::collections::HashMap;

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::zip::{ELSEWHERE, extra};

/// Octets of a header with the name and all that is as long as it says, at these places.
fn header(source: &mut Source<'_, '_>, fixed: usize, lengths: [usize; 2]) -> Vec<u8> {
    let seen = source.peek(fixed);
    let length =
        |at: usize| seen.get(at..at + 2).map_or(0, |field| usize::from(u16::from_le_bytes([field[0], field[1]])));
    let whole = fixed + length(lengths[0]) + length(lengths[1]);
    let seen = source.peek(whole);
    seen[..whole.min(seen.len())].to_vec()
}

/// Flag: encrypted.
const ENCRYPTED: u16 = 1;
/// Flag: the sizes stand behind the file.
const DESCRIPTOR: u16 = 1 << 3;
/// Flag: strongly encrypted.
const STRONGLY: u16 = 1 << 6;
/// Flag: the headers are encrypted.
const MASKED: u16 = 1 << 13;

/// A file, by its local header or by the directory.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where its local header stands.
    offset: u64,
    version: u16,
    pub(super) flags: u16,
    pub(super) method: u16,
    packed: u64,
    pub(super) size: u64,
    pub(super) name: String,
    /// The name in an extra field.
    other_name: Option<String>,
}

impl Entry {
    /// The header that begins here, and its length.
    pub(super) fn local(source: &mut Source<'_, '_>) -> Option<(Self, usize)> {
        let offset = source.offset();
        let seen = header(source, 30, [26, 28]);
        let mut fields = Fields(&seen);
        fields.take(4)?;
        let (version, flags, method) = (fields.short()?, fields.short()?, fields.short()?);
        fields.take(8)?;
        let (mut packed, mut size) = (u64::from(fields.long()?), u64::from(fields.long()?));
        let (name, more) = (usize::from(fields.short()?), usize::from(fields.short()?));
        let name = String::from_utf8_lossy(fields.take(name)?).into_owned();
        let more = Fields(fields.take(more)?);
        if let Some(mut large) = extra(more, 1) {
            for field in [&mut size, &mut packed] {
                if *field == ELSEWHERE {
                    *field = large.huge()?;
                }
            }
        }
        let entry = Self { offset, version, flags, method, packed, size, name, other_name: other_name(more) };
        Some((entry, seen.len()))
    }

    /// True unless it is octets that look like the mark of a header.
    pub(super) fn is_plausible(&self) -> bool {
        self.version & 0xff <= 63 && matches!(self.method, 0..=20 | 93..=99) && !self.name.contains('\0')
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & (ENCRYPTED | STRONGLY | MASKED) != 0 || self.method == 99
    }

    pub(super) fn is_folder(&self) -> bool {
        self.name.ends_with('/') && self.packed == 0 && self.flags & DESCRIPTOR == 0
    }

    /// Octets of the compressed file, unless only what stands behind it says so.
    pub(super) fn packed_if_known(&self) -> Option<u64> {
        (self.flags & DESCRIPTOR == 0 || self.packed != 0).then_some(self.packed)
    }

    /// True if some readers take a name for it that ends otherwise.
    pub(super) fn has_other_name(&self) -> bool {
        let end = |name: &str| name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        self.other_name.as_ref().is_some_and(|other| end(other) != end(&self.name))
    }

    /// True if it is the same file for readers that go by the directory, and for those that don't.
    fn agrees(&self, listed: &Self) -> bool {
        let plain = |name: &str| name.replace('\\', "/");
        let sizes = |entry: &Self| entry.packed_if_known().map(|packed| (packed, entry.size));
        self.method == listed.method
            && self.is_encrypted() == listed.is_encrypted()
            && (plain(&self.name) == plain(&listed.name) || self.flags & MASKED != 0)
            && !listed.has_other_name()
            && sizes(self).is_none_or(|sizes| sizes == (listed.packed, listed.size))
    }
}

/// The name in the extra field that Info-ZIP made for Unicode.
fn other_name(more: Fields<'_>) -> Option<String> {
    let mut fields = extra(more, 0x7075)?;
    fields.take(5)?;
    Some(String::from_utf8_lossy(fields.0).into_owned())
}

/// What was found by local headers, and what a directory says.
#[derive(Debug, Default)]
pub(super) struct Directory {
    found: HashMap<u64, Entry>,
    listed: Vec<Entry>,
    /// Where the directory begins.
    start: Option<u64>,
    /// Where it ought to begin, if the archive is too large for the field.
    start_64: Option<u64>,
    ends: usize,
    fault: Option<Unscannable>,
}

impl Directory {
    pub(super) fn found(&mut self, entry: Entry) {
        self.found.insert(entry.offset, entry);
    }

    /// How many files there are, by whichever are more.
    pub(super) fn len(&self) -> usize {
        self.found.len().max(self.listed.len())
    }

    pub(super) fn has_end(&self) -> bool {
        self.ends > 0
    }

    /// A file in the directory; none if it is no header.
    pub(super) fn central(&mut self, source: &mut Source<'_, '_>) -> Option<()> {
        let position = source.offset();
        let seen = header(source, 46, [28, 30]);
        let mut fields = Fields(&seen);
        fields.take(6)?;
        let (version, flags, method) = (fields.short()?, fields.short()?, fields.short()?);
        fields.take(8)?;
        let (mut packed, mut size) = (u64::from(fields.long()?), u64::from(fields.long()?));
        let (name, more, comment) =
            (usize::from(fields.short()?), usize::from(fields.short()?), u64::from(fields.short()?));
        fields.take(8)?;
        let mut offset = u64::from(fields.long()?);
        let name = String::from_utf8_lossy(fields.take(name)?).into_owned();
        let more = Fields(fields.take(more)?);
        if let Some(mut large) = extra(more, 1) {
            for field in [&mut size, &mut packed, &mut offset] {
                if *field == ELSEWHERE {
                    *field = large.huge()?;
                }
            }
        }
        source.skip(seen.len());
        source.pass(comment);
        self.start.get_or_insert(position);
        self.listed.push(Entry { offset, version, flags, method, packed, size, name, other_name: other_name(more) });
        Some(())
    }

    /// The end of an archive that is too large for its fields; none if it is no header.
    pub(super) fn end_64(&mut self, source: &mut Source<'_, '_>) -> Option<()> {
        let mut fields = Fields(source.peek(56));
        fields.take(48)?;
        self.start_64 = Some(fields.huge()?);
        source.skip(56);
        Some(())
    }

    /// The end of an archive; none if it is no header.
    pub(super) fn end(&mut self, source: &mut Source<'_, '_>) -> Option<()> {
        let mut fields = Fields(source.peek(22));
        fields.take(4)?;
        let (disk, first) = (fields.short()?, fields.short()?);
        fields.take(2)?;
        let count = usize::from(fields.short()?);
        fields.take(4)?;
        let start = u64::from(fields.long()?);
        // Another archive may be in what is called a comment, so that is not passed over.
        source.skip(22);
        self.ends += 1;
        let split = (disk, first) != (0, 0) && disk != 0xffff;
        let start = if start == ELSEWHERE { self.start_64.unwrap_or(start) } else { start };
        let listed = std::mem::take(&mut self.listed);
        let fault = if split {
            Some(Unscannable::Unsupported("a split zip archive"))
        } else {
            self.contradicts(&listed, count, start).then_some(Unscannable::Ambiguous)
        };
        self.fault = self.fault.or(fault);
        (self.start, self.start_64) = (None, None);
        Some(())
    }

    /// True if a directory lists what was not found so.
    fn contradicts(&self, listed: &[Entry], count: usize, start: u64) -> bool {
        if listed.len() & 0xffff != count && count != 0xffff {
            return true;
        }
        // What stands in front of the archive moves everything, in most archives of this sort without a word of it.
        let moved = self.start.map_or(0, |position| position.wrapping_sub(start));
        let agrees = |listed: &Entry| {
            let places = [listed.offset.wrapping_add(moved), listed.offset];
            places.iter().filter_map(|place| self.found.get(place)).any(|found| found.agrees(listed))
        };
        !listed.iter().all(agrees)
    }

    /// What is wrong with the archive as a whole.
    pub(super) fn check(&self) -> Result<(), Unscannable> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.ends == 0 => Err(Unscannable::Damaged),
            None => Ok(()),
        }
    }
}
