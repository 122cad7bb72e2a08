//! Programs of Windows that unpack something when they run: themselves, or what they install.
//!
//! None is unpacked here. The marks are those that packers leave as they are. Where they leave none, the program begins in a section
//! behind its first one that it may write to: packers put what unpacks the program behind it. Compilers lay out no program so.

use memchr::memmem;

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;
use crate::zip;

/// Octets in which a program says how it was packed: its headers, with the table of its sections.
const HEADERS: usize = 4096;

/// Octets of them in which the marks of packers stand.
const MARKED: usize = 1024;

/// The flag of a section that may be written to.
const WRITABLE: u32 = 0x8000_0000;

/// Octets of the part of an archive that unpacks it; those that are known have less.
const STUB: usize = 512 << 10;

/// Names of sections, and texts in headers: ASPack, MEW, MPRESS, PEtite, Themida, Upack, UPX, VMProtect, WWPack32.
const PACKERS: [&[u8]; 10] = [
    b".aspack",
    b"MEW",
    b".MPRESS1",
    b".petite",
    b".themida",
    b"MZKERNEL32.DLL",
    b"UPX0",
    b"UPX!",
    b".vmp0",
    b".WWP32",
];

/// What stands behind the program in an archive or an installer.
const ARCHIVES: [(&[u8], &str); 5] = [
    (b"\xef\xbe\xad\xdeNullsoftInst", "an NSIS installer"),
    (b"Inno Setup Setup Data", "an Inno Setup installer"),
    (b"Rar!\x1a\x07\x00", "RAR"),
    (b"Rar!\x1a\x07\x01\x00", "RAR"),
    (b"7z\xbc\xaf\x27\x1c\x00", "7z behind a program"),
];

/// Says what there is; a zip archive is opened.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let seen = source.peek(HEADERS);
    let headers = &seen[..seen.len().min(HEADERS)];
    let marked = &headers[..headers.len().min(MARKED)];
    let packed =
        PACKERS.iter().any(|mark| memmem::find(marked, mark).is_some()) || begins_behind(headers) == Some(true);
    let seen = source.peek(STUB);
    let archive = ARCHIVES.iter().find(|(mark, _)| memmem::find(seen, mark).is_some());
    let opened = zip::open(source, place, false);
    match archive {
        Some((_, name)) => Err(Unscannable::Unsupported(name)),
        None if packed => Err(Unscannable::Unsupported("a packed program")),
        None => opened,
    }
}

/// Whether the section in which a program begins is not its first one, and may be written to; none where the headers do not say so.
///
/// Source: Microsoft, *PE Format*: *COFF File Header*, *Optional Header Standard Fields*, *Section Table*.
fn begins_behind(headers: &[u8]) -> Option<bool> {
    let start = Fields(headers.get(0x3c..)?).length()?;
    let mut file = Fields(headers.get(start..)?);
    if file.take(4)? != b"PE\0\0" {
        return None;
    }
    let _machine = file.short()?;
    let sections = file.short()?;
    let _time_and_symbols = file.take(12)?;
    let optional = usize::from(file.short()?);
    let _characteristics = file.short()?;
    let entry = Fields(file.take(optional)?.get(16..)?).long()?;
    // A library may do without one.
    if entry == 0 {
        return None;
    }
    for section in 0..sections {
        let _name = file.take(8)?;
        let (size, address, in_file) = (file.long()?, file.long()?, file.long()?);
        let _places_and_counts = file.take(16)?;
        let flags = file.long()?;
        if entry.checked_sub(address).is_some_and(|offset| offset < size.max(in_file)) {
            return Some(section > 0 && flags & WRITABLE != 0);
        }
    }
    None
}
