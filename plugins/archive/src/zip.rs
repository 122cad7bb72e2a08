//! Zip archives, as streams.
//!
//! Every local header is followed, wherever it stands, so nothing hides in front of an archive, between its files or behind a
//! directory that does not list it. What the directory says is then held against what was found: where the two differ,
//! a reader that goes by the directory could see other files.
//!
//! Source: PKWARE, APPNOTE.TXT 6.3.10.

mod directory;
mod implode;
mod method;

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;
use crate::zip::directory::{Directory, Entry};
use crate::zip::method::Method;

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_64: &[u8; 4] = b"PK\x06\x06";

/// What all marks of an archive begin with, and those that are looked at.
pub(crate) const MARK: &[u8; 2] = b"PK";
pub(crate) const MARKS: [&[u8; 4]; 4] = [LOCAL, CENTRAL, END, END_64];

/// What stands for a size that is in the extra field.
const ELSEWHERE: u64 = 0xffff_ffff;

/// Looks for an archive in all that is left. Where it is not clear that there is one (`whole` is false), it counts only
/// if it has an end.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place, whole: bool) -> Result<(), Unscannable> {
    let mut archive = Archive { directory: Directory::default(), problems: Vec::new() };
    while let Some(mark) = next_mark(source) {
        if source.walk.is_stopped() {
            return Ok(());
        }
        let known = match &mark {
            LOCAL => archive.local(source, place, whole),
            CENTRAL => archive.directory.central(source),
            END => archive.directory.end(source),
            END_64 => archive.directory.end_64(source),
            _ => None,
        };
        if known.is_none() {
            source.skip(mark.len());
        }
        if archive.directory.len() > source.walk.limits.entries {
            return Err(Unscannable::TooMany);
        }
    }
    if !whole && !archive.directory.has_end() {
        return Ok(());
    }
    for (path, reason) in archive.problems {
        source.walk.report(&path, reason);
    }
    archive.directory.check()
}

/// Whether octets end as an archive does, with a comment that ends where they do.
pub(crate) fn ends_as_archive(octets: &[u8]) -> bool {
    let tail = &octets[octets.len().saturating_sub(22 + 0xffff)..];
    memchr::memmem::rfind_iter(tail, END).any(|at| {
        let comment = tail.get(at + 20..at + 22).map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])));
        comment.is_some_and(|length| at + 22 + length == tail.len())
    })
}

/// Goes on to what may be the next header, and gives its mark.
fn next_mark(source: &mut Source<'_, '_>) -> Option<[u8; 4]> {
    loop {
        let seen = source.peek(4);
        if seen.len() < 4 {
            return None;
        }
        match memchr::memmem::find(seen, MARK) {
            Some(0) => return seen.first_chunk().copied(),
            Some(at) => source.skip(at),
            None => {
                let length = seen.len() - 1;
                source.skip(length);
            }
        }
    }
}

/// An archive as far as it has been read.
struct Archive {
    directory: Directory,
    /// What could not be looked into, by its path.
    problems: Vec<(String, Unscannable)>,
}

impl Archive {
    /// A local header and the file behind it; none if it is no header.
    fn local(&mut self, source: &mut Source<'_, '_>, place: &Place, whole: bool) -> Option<()> {
        let (entry, length) = Entry::local(source)?;
        if !whole && !entry.is_plausible() {
            return None;
        }
        source.skip(length);
        let path = format!("{}/{}", place.path, entry.name);
        if entry.has_other_name() {
            self.problems.push((path.clone(), Unscannable::Ambiguous));
        }
        if entry.is_encrypted() {
            source.walk.encrypted(place, &entry.name);
            source.pass(entry.packed_if_known().unwrap_or_default());
        } else if !entry.is_folder()
            && let Some(reason) = extract(source, place, &entry)
        {
            self.problems.push((path, reason));
        }
        self.directory.found(entry);
        Some(())
    }
}

/// Shows the file of an entry, and says what is wrong with it.
fn extract(source: &mut Source<'_, '_>, place: &Place, entry: &Entry) -> Option<Unscannable> {
    let walk = source.walk;
    let known = entry.packed_if_known();
    let mut packed = source.limited(known.unwrap_or(u64::MAX));
    let mut size = None;
    let reason = match Method::open(entry, &mut packed, walk.limits.memory) {
        Ok(mut content) => {
            let mut counted = Counted { inner: &mut *content, size: 0 };
            walk.costly(place, &entry.name, &mut counted, method::cost(entry.method));
            size = Some(counted.size);
            None
        }
        Err(reason) => Some(reason),
    };
    let hidden = known.map_or(0, |_| packed.left());
    source.pass(hidden);
    if reason.is_some() || walk.is_stopped() {
        return reason;
    }
    // A file that is longer than its compressed form: what is behind that is read by nobody or by somebody.
    if hidden > 0 {
        return Some(Unscannable::Ambiguous);
    }
    (known.is_some() && size != Some(entry.size)).then_some(Unscannable::Damaged)
}

/// Counts what is read.
struct Counted<'a> {
    inner: &'a mut dyn std::io::Read,
    size: u64,
}

impl std::io::Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.size += length as u64;
        Ok(length)
    }
}

/// The fields of an extra field with this number.
fn extra(mut fields: Fields<'_>, wanted: u16) -> Option<Fields<'_>> {
    loop {
        let number = fields.short()?;
        let length = usize::from(fields.short()?);
        let content = fields.take(length)?;
        if number == wanted {
            return Some(Fields(content));
        }
    }
}
