//! ARJ archives.
//!
//! Source: the technical information of ARJ, TECHNOTE.TXT.

use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;
use crate::{Unscannable, lzh};

/// What each header begins with.
const MARK: u16 = 0xea60;

/// Flags of a file: it needs a password; it goes on in another archive.
const GARBLED: u8 = 1;
const VOLUME: u8 = 4;

/// A header: of the archive, or of a file.
struct Header {
    flags: u8,
    method: u8,
    /// What it is a header of.
    kind: u8,
    packed: u64,
    size: u64,
    name: String,
}

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    header(source).ok_or(Unscannable::Damaged)?;
    let mut outcome = Ok(());
    while !walk.is_stopped() {
        if matches!(source.peek(4), [0x60, 0xea, 0, 0, ..]) {
            source.skip(4);
            return outcome;
        }
        let header = header(source).ok_or(Unscannable::Damaged)?;
        let mut packed = source.limited(header.packed);
        match header.method {
            // Comments and names of volumes have no content.
            _ if !matches!(header.kind, 0 | 1) => {}
            _ if header.flags & GARBLED != 0 => walk.encrypted(place, &header.name),
            0 => walk.object(place, &header.name, &mut packed),
            1..=3 => walk.object(place, &header.name, &mut lzh::large(&mut packed, header.size)),
            _ => outcome = Err(Unscannable::Unsupported("the compression")),
        }
        if header.flags & VOLUME != 0 {
            outcome = Err(Unscannable::Unsupported("a part of an ARJ archive"));
        }
        let left = packed.left();
        source.pass(left);
    }
    Ok(())
}

/// The next header with all that belongs to it; none if there is none.
fn header(source: &mut Source<'_, '_>) -> Option<Header> {
    let mut start = Fields(source.peek(4));
    if start.short()? != MARK {
        return None;
    }
    let length = usize::from(start.short()?);
    source.skip(4);
    let octets = source.take_vec(length);
    let mut fields = Fields(&octets);
    let fixed = usize::from(fields.octet()?);
    fields.take(3)?;
    let (flags, method, kind) = (fields.octet()?, fields.octet()?, fields.octet()?);
    fields.take(5)?;
    let (packed, size) = (u64::from(fields.long()?), u64::from(fields.long()?));
    let name = Fields(octets.get(fixed..)?).text()?;
    // Its checksum, and further headers with theirs, up to one of no length.
    source.pass(4);
    loop {
        let length = u64::from(Fields(source.peek(2)).short()?);
        source.skip(2);
        if length == 0 {
            return Some(Header { flags, method, kind, packed, size, name });
        }
        source.pass(length + 4);
    }
}
