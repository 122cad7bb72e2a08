//! Cpio archives: old binary ones of either octet order, and those of octal or hexadecimal digits.
//!
//! Source: cpio(5) of libarchive.

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;

const TRAILER: &str = "TRAILER!!!";

/// The longest name.
const NAME_MAX: u64 = 64 << 10;

/// The header of a file.
struct Header {
    name: u64,
    size: u64,
    /// What the name, with the header, and the content are padded to.
    padding: u64,
    length: u64,
}

/// Shows the files.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    while !walk.is_stopped() {
        let header = header(source.peek(110)).ok_or(Unscannable::Damaged)?;
        source.pass(header.length);
        if header.name == 0 || header.name > NAME_MAX {
            return Err(Unscannable::Damaged);
        }
        let name = source.take_vec(header.name as usize);
        let name = String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(&name)).into_owned();
        source.pass(pad(header.length + header.name, header.padding));
        if name == TRAILER {
            return Ok(());
        }
        let mut content = source.limited(header.size);
        if header.size > 0 {
            walk.object(place, &name, &mut content);
        }
        let left = content.left();
        source.pass(left + pad(header.size, header.padding));
        if left > 0 && !walk.is_stopped() {
            return Err(Unscannable::Damaged);
        }
    }
    Ok(())
}

fn pad(length: u64, to: u64) -> u64 {
    (to - length % to) % to
}

fn header(seen: &[u8]) -> Option<Header> {
    let digits = |at: usize, length: usize, radix| {
        let text = std::str::from_utf8(seen.get(at..at + length)?).ok()?;
        u64::from_str_radix(text, radix).ok()
    };
    match seen {
        [b'0', b'7', b'0', b'7', b'0', b'7', ..] => {
            Some(Header { name: digits(59, 6, 8)?, size: digits(65, 11, 8)?, padding: 1, length: 76 })
        }
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => {
            Some(Header { name: digits(94, 8, 16)?, size: digits(54, 8, 16)?, padding: 4, length: 110 })
        }
        [0x71, 0xc7, ..] => binary(seen, u16::from_be_bytes),
        [0xc7, 0x71, ..] => binary(seen, u16::from_le_bytes),
        _ => None,
    }
}

/// Thirteen numbers of 16 bits; long ones have their high half first in either order.
fn binary(seen: &[u8], number: fn([u8; 2]) -> u16) -> Option<Header> {
    let field = |at: usize| Some(u64::from(number(seen.get(at * 2..at * 2 + 2)?.try_into().ok()?)));
    Some(Header { name: field(10)?, size: field(11)? << 16 | field(12)?, padding: 2, length: 26 })
}
