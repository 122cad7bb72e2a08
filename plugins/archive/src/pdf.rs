//! PDF: compressed streams, which may be embedded files or scripts.

use memchr::memmem;

use crate::Unscannable;
use crate::source::Source;
use crate::walk::Place;
use crate::zip::ends_as_archive;

/// Octets in front of a stream in which its dictionary is looked for.
const DICTIONARY: usize = 1024;

/// Shows the streams that are compressed by Flate and no pictures, and embedded files however they are stored.
pub(crate) fn open(source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let octets = source.read_all()?;
    let mut outcome = Ok(());
    for at in memmem::find_iter(&octets, b"stream") {
        let before = &octets[at.saturating_sub(DICTIONARY)..at];
        let dictionary = memmem::rfind(before, b"obj").map_or(before, |start| &before[start..]);
        let has = |name: &[u8]| memmem::find(dictionary, name).is_some();
        if !dictionary.trim_ascii_end().ends_with(b">>") || has(b"/Image") {
            continue;
        }
        let content = &octets[at + 6..];
        let content = content.strip_prefix(b"\r\n").or(content.strip_prefix(b"\n")).unwrap_or(content);
        if has(b"/FlateDecode") || has(b"/Fl ") || has(b"/Fl\n") {
            walk.object(place, "", &mut Tolerant(flate2::read::ZlibDecoder::new(content)));
        } else if has(b"/EmbeddedFile") {
            if has(b"/Filter") {
                outcome = Err(Unscannable::Unsupported("the compression"));
            }
            let end = memmem::find(content, b"endstream").unwrap_or(content.len());
            walk.object(place, "", &mut &content[..end]);
        }
        if walk.is_stopped() {
            return Ok(());
        }
    }
    if memmem::find(&octets, b"/Encrypt").is_some() {
        outcome = Err(Unscannable::Encrypted);
    } else if ends_as_archive(&octets) {
        outcome = Err(Unscannable::Ambiguous);
    }
    outcome
}

/// A stream that ends where it is damaged: writers of PDF are careless, and readers forgive them.
struct Tolerant<R>(R);

impl<R: std::io::Read> std::io::Read for Tolerant<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.0.read(buffer).unwrap_or(0))
    }
}
