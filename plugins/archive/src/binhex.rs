//! BinHex 4.0, one file in each.
//!
//! Source: RFC 1741, appendix A.

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;

const DIGITS: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";

/// Repeats the octet before as many times as the one behind says.
const REPEAT: u8 = 0x90;

/// Shows the data fork and the resource fork.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let text = source.read_all()?;
    let limit = walk.limits.memory;
    let octets = decode(&text, limit).ok_or(Unscannable::TooLarge)?;
    let length = usize::from(*octets.first().ok_or(Unscannable::Damaged)?);
    let name = octets.get(1..1 + length).ok_or(Unscannable::Damaged)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let header = octets.get(1 + length..).unwrap_or_default();
    let number = |at: usize| header.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_be_bytes);
    let (Some(data), Some(resource)) = (number(11), number(15)) else { return Err(Unscannable::Damaged) };
    let mut rest = header.get(21..).unwrap_or_default();
    let mut outcome = Ok(());
    for size in [data as usize, resource as usize] {
        let mut fork = &rest[..size.min(rest.len())];
        if fork.len() < size {
            outcome = Err(Unscannable::Damaged);
        }
        if !fork.is_empty() {
            walk.object(place, &name, &mut fork);
        }
        // Behind each fork is a checksum.
        rest = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    outcome
}

/// What stands between the colons; none if it is more than the limit.
fn decode(text: &[u8], limit: usize) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(text, b"BinHex").unwrap_or(0);
    let digits = text[start..].iter().skip_while(|&&octet| octet != b':').skip(1).take_while(|&&octet| octet != b':');
    let values = digits.filter_map(|octet| DIGITS.iter().position(|digit| digit == octet));
    let (mut octets, mut bits, mut count, mut repeat) = (Vec::new(), 0u32, 0, false);
    for value in values {
        bits = bits << 6 | value as u32;
        count += 6;
        if count < 8 {
            continue;
        }
        count -= 8;
        let octet = (bits >> count) as u8;
        match (repeat, octet) {
            (true, 0) => octets.push(REPEAT),
            (true, times) => {
                let last = octets.last().copied().unwrap_or(0);
                octets.resize(octets.len() + usize::from(times) - 1, last);
            }
            (false, REPEAT) => {}
            (false, octet) => octets.push(octet),
        }
        repeat = !repeat && octet == REPEAT;
        if octets.len() > limit {
            return None;
        }
    }
    Some(octets)
}
