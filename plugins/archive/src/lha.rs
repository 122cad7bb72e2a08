//! LHA archives, whose files have a header of one of four levels each.
//!
//! Source: the description of the header by H. Okumura and others, as LHA for UNIX has it.

use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;
use crate::{Unscannable, lzh};

/// Further headers: a name, and the folder in front of it.
const NAME: u8 = 1;
const FOLDER: u8 = 2;

/// Octets that one header has at most: longer ones are made to be read for long.
const LONGEST: usize = 64 << 10;

/// A file.
#[derive(Default)]
struct Header {
    method: [u8; 5],
    packed: u64,
    size: u64,
    name: String,
    folder: String,
}

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let mut outcome = Ok(());
    // A NUL ends an archive, and many have none.
    while !walk.is_stopped() && !matches!(source.peek(1), [] | [0, ..]) {
        let Header { method, packed, size, name, folder } = header(source).ok_or(Unscannable::Damaged)?;
        let name = format!("{folder}{name}");
        let mut packed = source.limited(packed);
        match &method {
            b"-lhd-" => {}
            b"-lh0-" | b"-lz4-" => walk.object(place, &name, &mut packed),
            b"-lh4-" | b"-lh5-" => walk.object(place, &name, &mut lzh::small(&mut packed, size)),
            b"-lh6-" | b"-lh7-" => walk.object(place, &name, &mut lzh::large(&mut packed, size)),
            _ => outcome = Err(Unscannable::Unsupported("the compression")),
        }
        let left = packed.left();
        source.pass(left);
    }
    outcome
}

/// The next header; none if there is none.
fn header(source: &mut Source<'_, '_>) -> Option<Header> {
    let level = *source.peek(21).get(20)?;
    match level {
        0 | 1 => short(source, level),
        2 => long(source),
        _ => None,
    }
}

/// Of the levels 0 and 1: the name stands in it, and at level 1 further headers stand in front of the content.
fn short(source: &mut Source<'_, '_>, level: u8) -> Option<Header> {
    let length = usize::from(source.peek(1)[0]) + 2;
    let octets = source.take_vec(length);
    let mut fields = Fields(octets.get(2..)?);
    let mut header = Header { method: fields.take(5)?.try_into().ok()?, ..Header::default() };
    (header.packed, header.size) = (fields.long()?.into(), fields.long()?.into());
    fields.take(6)?;
    let name = usize::from(fields.octet()?);
    header.name = text(fields.take(name)?);
    if level == 1 {
        let first = usize::from(u16::from_le_bytes(*octets.last_chunk()?));
        let further = further(source, first, &mut header)?;
        header.packed = header.packed.checked_sub(further)?;
    }
    Some(header)
}

/// Of level 2: the length of all of it comes first.
fn long(source: &mut Source<'_, '_>) -> Option<Header> {
    let octets = source.take_vec(26);
    let mut fields = Fields(&octets);
    let whole = u64::from(fields.short()?);
    let mut header = Header { method: fields.take(5)?.try_into().ok()?, ..Header::default() };
    (header.packed, header.size) = (fields.long()?.into(), fields.long()?.into());
    fields.take(9)?;
    let first = usize::from(fields.short()?);
    let length = 26 + further(source, first, &mut header)?;
    // It may be padded.
    source.pass(whole.saturating_sub(length));
    Some(header)
}

/// Further headers, of which the first has so many octets; how many they had in sum.
fn further(source: &mut Source<'_, '_>, mut length: usize, header: &mut Header) -> Option<u64> {
    let mut all = 0;
    while length > 0 {
        all += length;
        if length < 3 || all > LONGEST {
            return None;
        }
        let octets = source.take_vec(length);
        let (content, next) = octets.split_last_chunk()?;
        match content.split_first()? {
            (&NAME, name) => header.name = text(name),
            (&FOLDER, folder) => header.folder = text(folder),
            _ => {}
        }
        length = usize::from(u16::from_le_bytes(*next));
    }
    Some(all as u64)
}

/// A name; 0xFF stands between folders.
fn text(name: &[u8]) -> String {
    let name: Vec<u8> = name.iter().map(|&octet| if octet == 0xff { b'/' } else { octet }).collect();
    String::from_utf8_lossy(&name).into_owned()
}
