//! TNEF, the `winmail.dat` of Outlook: attachments, and messages in them.
//!
//! Source: MS-OXTNEF.

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::walk::Place;

/// Attributes: an attachment begins; its name; its content; its properties.
const BEGINS: u32 = 0x0006_9002;
const TITLE: u32 = 0x0001_8010;
const CONTENT: u32 = 0x0006_800f;
const PROPERTIES: u32 = 0x0006_9005;

/// Octets of an attribute without content.
const HEADER: usize = 9;

/// Properties: the content as an object; the long name.
const DATA_OBJECT: u16 = 0x3701;
const LONG_NAME: u16 = 0x3707;

/// An attachment as far as it has been read.
#[derive(Default)]
struct Attachment<'a> {
    name: String,
    long_name: Option<String>,
    content: Vec<&'a [u8]>,
}

/// Shows the attachments.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let mut fields = Fields(octets.get(6..).ok_or(Unscannable::Damaged)?);
    let mut attachment = Attachment::default();
    let mut damaged = false;
    // Octets that are too few for an attribute are what some writers leave behind.
    while fields.0.len() >= HEADER {
        let Some((attribute, content)) = attribute(&mut fields) else {
            damaged = true;
            break;
        };
        match attribute {
            BEGINS => show(walk, place, &std::mem::take(&mut attachment)),
            TITLE => attachment.name = text(content),
            CONTENT => attachment.content.push(content),
            PROPERTIES => damaged |= properties(Fields(content), &mut attachment).is_none(),
            _ => {}
        }
    }
    show(walk, place, &attachment);
    if damaged { Err(Unscannable::Damaged) } else { Ok(()) }
}

fn show(walk: &crate::walk::Walk<'_>, place: &Place, attachment: &Attachment<'_>) {
    let name = attachment.long_name.as_ref().filter(|name| !name.is_empty()).unwrap_or(&attachment.name);
    for mut content in attachment.content.iter().copied().filter(|content| !content.is_empty()) {
        walk.object(place, name, &mut content);
    }
}

/// The next attribute: whose, what, length, content, checksum.
fn attribute<'a>(fields: &mut Fields<'a>) -> Option<(u32, &'a [u8])> {
    fields.octet()?;
    let attribute = fields.long()?;
    let length = fields.length()?;
    let content = fields.take(length)?;
    // The checksum of the last one may be cut off.
    let _ = fields.take(2.min(fields.0.len()));
    Some((attribute, content))
}

/// What the properties of an attachment say; none where they break off.
fn properties<'a>(mut fields: Fields<'a>, attachment: &mut Attachment<'a>) -> Option<()> {
    let count = fields.long()?;
    for _ in 0..count {
        let (form, property) = (fields.short()?, fields.short()?);
        if property >= 0x8000 {
            named(&mut fields)?;
        }
        let several = form & 0x1000 != 0;
        let sized = matches!(form & 0xfff, 0x000d | 0x001e | 0x001f | 0x0102);
        let values = if several || sized { fields.long()? } else { 1 };
        for _ in 0..values {
            let value = if sized {
                let length = fields.length()?;
                let value = fields.take(length)?;
                fields.take((4 - length % 4) % 4)?;
                value
            } else {
                fields.take(width(form & 0xfff)?)?
            };
            match property {
                LONG_NAME if form & 0xfff == 0x001f => attachment.long_name = Some(wide(value)),
                LONG_NAME => attachment.long_name = Some(text(value)),
                // Behind the identifier of its interface, which is that of a message or a storage.
                DATA_OBJECT => attachment.content.push(value.get(16..).unwrap_or_default()),
                _ => {}
            }
        }
    }
    Some(())
}

/// A property with a name of its own: which set, and a number or a text.
fn named(fields: &mut Fields<'_>) -> Option<()> {
    fields.take(16)?;
    if fields.long()? == 0 {
        fields.take(4)?;
    } else {
        let length = fields.length()?;
        fields.take(length.checked_add((4 - length % 4) % 4)?)?;
    }
    Some(())
}

/// Octets of a value, padded.
fn width(form: u16) -> Option<usize> {
    match form {
        0x0002 | 0x0003 | 0x0004 | 0x000a | 0x000b => Some(4),
        0x0005 | 0x0006 | 0x0007 | 0x0014 | 0x0040 => Some(8),
        0x0048 => Some(16),
        0x0001 => Some(0),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|&octet| octet == 0).next().unwrap_or_default()).into_owned()
}

fn wide(value: &[u8]) -> String {
    let units: Vec<u16> = value.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}
