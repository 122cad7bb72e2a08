//! OLE compound files: the streams of old Office documents, installers and messages of Outlook, and files embedded in them.
//!
//! Source: MS-CFB, MS-OLEDS 2.3.6, MS-PPT 2.10.34.

use std::io::Cursor;

use cfb::CompoundFile;

use crate::Unscannable;
use crate::fields::Fields;
use crate::source::Source;
use crate::walk::{Place, Walk};
use crate::zip::ends_as_archive;

/// The stream of a document that is encrypted as a whole.
const ENCRYPTED: &str = "EncryptedPackage";

/// The stream of an embedded file.
const NATIVE: &str = "\u{1}Ole10Native";

/// A record of PowerPoint: an embedded object, and in it a size and zlib if the instance is 1.
const EMBEDDED: u16 = 0x1011;

/// Shows the streams, each with the names of its storages.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let mut file = CompoundFile::open(Cursor::new(&*octets)).map_err(|_| Unscannable::Damaged)?;
    let entries: Vec<_> = file.walk().filter(cfb::Entry::is_stream).map(|entry| entry.path().to_owned()).collect();
    let mut outcome = Ok(());
    for path in entries {
        if walk.is_stopped() {
            break;
        }
        let name = path.to_string_lossy().trim_start_matches('/').to_owned();
        let Ok(mut stream) = file.open_stream(&path) else { return Err(Unscannable::Damaged) };
        let own = name.rsplit('/').next().unwrap_or_default();
        if own == ENCRYPTED {
            outcome = Err(Unscannable::Encrypted);
        }
        walk.object(place, &name, &mut stream);
        let embeds = own == NATIVE || own == "PowerPoint Document";
        if !embeds || stream.len() > octets.len() as u64 {
            continue;
        }
        let Ok(mut stream) = file.open_stream(&path) else { return Err(Unscannable::Damaged) };
        let mut content = Vec::new();
        if std::io::Read::read_to_end(&mut stream, &mut content).is_err() {
            return Err(Unscannable::Damaged);
        }
        if own == NATIVE {
            native(walk, place, &content);
        } else {
            slides(walk, place, &content);
        }
    }
    if ends_as_archive(&octets) { outcome.and(Err(Unscannable::Ambiguous)) } else { outcome }
}

/// An embedded file, with the name that it had.
pub(crate) fn native(walk: &Walk<'_>, place: &Place, stream: &[u8]) -> Option<()> {
    let mut fields = Fields(stream);
    fields.take(6)?;
    let name = fields.text()?;
    fields.text()?;
    fields.take(4)?;
    let length = fields.length()?;
    fields.take(length)?;
    let length = fields.length()?;
    let mut content = &fields.0[..length.min(fields.0.len())];
    walk.object(place, &name, &mut content);
    Some(())
}

/// Records one behind the other, containers opened.
fn slides(walk: &Walk<'_>, place: &Place, stream: &[u8]) -> Option<()> {
    let mut fields = Fields(stream);
    loop {
        let (version, kind) = (fields.short()?, fields.short()?);
        let length = fields.length()?;
        if version & 0xf == 0xf {
            continue;
        }
        let content = fields.take(length)?;
        match (kind, version >> 4, content.get(4..)) {
            (EMBEDDED, 1, Some(packed)) => {
                walk.object(place, "", &mut flate2::read::ZlibDecoder::new(packed));
            }
            (EMBEDDED, ..) => walk.object(place, "", &mut &*content),
            _ => {}
        }
    }
}
