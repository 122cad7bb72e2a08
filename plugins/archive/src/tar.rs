//! Tar archives.
//!
//! Source: POSIX.1-2017, pax; the GNU extensions for long names and large sizes.

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;

const BLOCK: usize = 512;

/// Octets of a name in front of a file.
const NAME_MAX: u64 = 64 << 10;

/// Whether a file begins with a header of old, which has no mark: a checksum that holds.
pub(crate) fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.get(..BLOCK) else { return false };
    if block[0] == 0 || number(&block[148..156]).is_none() {
        return false;
    }
    let sum: u64 =
        block.iter().enumerate().map(|(at, &octet)| if (148..156).contains(&at) { 32 } else { u64::from(octet) }).sum();
    number(&block[148..156]) == Some(sum)
}

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let mut long_name = None;
    loop {
        let header = source.take_vec(BLOCK);
        if header.len() < BLOCK {
            return if header.iter().all(|&octet| octet == 0) { Ok(()) } else { Err(Unscannable::Damaged) };
        }
        if header.iter().all(|&octet| octet == 0) {
            return Ok(());
        }
        if !is_header(&header) {
            return Err(Unscannable::Damaged);
        }
        if walk.is_stopped() {
            return Ok(());
        }
        let size = number(&header[124..136]).ok_or(Unscannable::Damaged)?;
        match header[156] {
            b'L' | b'x' if size > NAME_MAX => return Err(Unscannable::Damaged),
            b'L' => long_name = Some(text(&source.take_vec(size as usize))),
            b'x' => long_name = pax_name(&source.take_vec(size as usize)).or(long_name),
            // What a volume, a table of extended facts or a link has for content is looked at, too.
            _ => {
                let name = long_name.take().unwrap_or_else(|| own_name(&header));
                let mut content = source.limited(size);
                if size > 0 || !name.ends_with('/') {
                    walk.object(place, &name, &mut content);
                }
                let left = content.left();
                source.pass(left);
                if left > 0 && !walk.is_stopped() {
                    return Err(Unscannable::Damaged);
                }
            }
        }
        source.pass((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64);
    }
}

fn own_name(header: &[u8]) -> String {
    let name = text(&header[..100]);
    let prefix = if &header[257..262] == b"ustar" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// Until the first NUL.
fn text(field: &[u8]) -> String {
    let field = field.split(|&octet| octet == 0).next().unwrap_or_default();
    String::from_utf8_lossy(field).into_owned()
}

/// In octal digits, or where the first bit is set in two's complement.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        let empty = high.iter().enumerate().all(|(at, &octet)| octet == if at == 0 { 0x80 } else { 0 });
        return empty.then(|| low.try_into().ok().map(u64::from_be_bytes)).flatten();
    }
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

/// The name in records of `LENGTH KEY=VALUE\n`.
fn pax_name(records: &[u8]) -> Option<String> {
    let line = records.split(|&octet| octet == b'\n').find(|line| memchr::memmem::find(line, b" path=").is_some())?;
    let at = memchr::memmem::find(line, b" path=")?;
    Some(String::from_utf8_lossy(&line[at + 6..]).into_owned())
}
