//! Programs of Windows that unpack something when they run: themselves, or what they install.
//!
//! None is unpacked here. The marks are those that packers leave as they are.

use memchr::memmem;

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;
use crate::zip;

/// Octets in which a program says how it was packed.
const HEADERS: usize = 1024;

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
    let packed = PACKERS.iter().any(|mark| memmem::find(headers, mark).is_some());
    let seen = source.peek(STUB);
    let archive = ARCHIVES.iter().find(|(mark, _)| memmem::find(seen, mark).is_some());
    let opened = zip::open(source, place, false);
    match archive {
        Some((_, name)) => Err(Unscannable::Unsupported(name)),
        None if packed => Err(Unscannable::Unsupported("a packed program")),
        None => opened,
    }
}
