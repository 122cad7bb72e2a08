//! RTF: embedded objects, in hexadecimal digits.
//!
//! Source: Rich Text Format 1.9.1, objects; MS-OLEDS 2.2.

use memchr::memmem;

use crate::Unscannable;
use crate::fields::Fields;
use crate::ole::native;
use crate::source::Source;
use crate::walk::{Place, Walk};
use crate::zip::ends_as_archive;

/// Shows the objects.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let mut behind = 0;
    for at in memmem::find_iter(&octets, b"objdata") {
        // What was digits of the last object is not searched once more.
        if at < behind {
            continue;
        }
        let (object, length) = digits(&octets[at + 7..]);
        behind = at + 7 + length;
        show(walk, place, &object);
        if walk.is_stopped() {
            break;
        }
    }
    if ends_as_archive(&octets) { Err(Unscannable::Ambiguous) } else { Ok(()) }
}

/// The digits up to the end of the group, whatever stands between them, and where that is.
fn digits(text: &[u8]) -> (Vec<u8>, usize) {
    let (mut object, mut high, mut depth, mut at) = (Vec::new(), None, 0_usize, 0);
    while let Some(&octet) = text.get(at) {
        at += 1;
        match octet {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b'\\' => at += word(&text[at..]),
            _ => {
                let Some(digit) = char::from(octet).to_digit(16) else { continue };
                match high.take() {
                    None => high = Some(digit),
                    Some(high) => object.push((high << 4 | digit) as u8),
                }
            }
        }
    }
    (object, at)
}

/// The length of a control word or symbol.
fn word(text: &[u8]) -> usize {
    let letters = text.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
    if letters == 0 {
        return 1;
    }
    letters + text[letters..].iter().take_while(|&&octet| octet == b'-' || octet.is_ascii_digit()).count()
}

fn show(walk: &Walk<'_>, place: &Place, object: &[u8]) {
    walk.object(place, "object", &mut &*object);
    if let Some(content) = embedded(object) {
        // A package has its size in front, as the stream of an OLE document has it.
        if native(walk, place, content).is_none() {
            walk.object(place, "object", &mut &content[4..]);
        }
    }
}

/// The size of what is embedded, and that itself.
fn embedded(object: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields(object);
    fields.take(4)?;
    if fields.long()? != 2 {
        return None;
    }
    for _ in 0..3 {
        let length = fields.length()?;
        fields.take(length)?;
    }
    (fields.0.len() > 4).then_some(fields.0)
}
