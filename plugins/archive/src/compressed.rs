//! Files that are compressed, each as one stream or several that follow each other.

use std::io::{self, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader, lzma_get_memory_usage_by_props};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::source::Source;
use crate::walk::Place;
use crate::{Kind, Unscannable};

/// How names end, and how those of the files inside do.
const ENDINGS: [(&str, &str); 10] = [
    (".tgz", ".tar"),
    (".tbz2", ".tar"),
    (".tbz", ".tar"),
    (".txz", ".tar"),
    (".svgz", ".svg"),
    (".gz", ""),
    (".bz2", ""),
    (".xz", ""),
    (".zst", ""),
    (".lzma", ""),
];

/// What an octet costs, by the measure of deflate: the sandbox unpacks 60 MB of that in a second, and so many times less of these.
pub(crate) const BZIP2: u64 = 8;
/// That of LZMA, xz and 7z.
pub(crate) const LZMA: u64 = 2;

/// Shows the file inside.
pub(crate) fn open(kind: Kind, source: &mut Source<'_, '_>, place: &Place) -> Result<(), Unscannable> {
    let walk = source.walk;
    let memory = walk.limits.memory;
    let mut name = inner_name(&place.path);
    match kind {
        Kind::Gzip => {
            let own =
                GzDecoder::new(source.peek(1024)).header().and_then(|header| header.filename().map(<[u8]>::to_vec));
            if let Some(own) = own {
                name = String::from_utf8_lossy(&own).into_owned();
            }
            let open = |source| Ok(GzDecoder::new(source));
            walk.object(place, &name, &mut Members::new(source, b"\x1f\x8b", open, GzDecoder::into_inner));
        }
        Kind::Bzip2 => {
            let open = |source| Ok(BzDecoder::new(source));
            walk.costly(place, &name, &mut Members::new(source, b"BZh", open, BzDecoder::into_inner), BZIP2);
        }
        Kind::Zstandard => {
            let open = |source| frame(source, memory);
            let mut frames = Members::new(source, b"\x28\xb5\x2f\xfd", open, StreamingDecoder::into_inner);
            walk.object(place, &name, &mut frames);
        }
        Kind::Xz => walk.costly(place, &name, &mut xz(source, true, memory), LZMA),
        _ => {
            let header = source.take_vec(13);
            let [properties, a, b, c, d, size @ ..] = &header[..] else { return Err(Unscannable::Damaged) };
            let window = u32::from_le_bytes([*a, *b, *c, *d]);
            let size = size.try_into().map_or(u64::MAX, u64::from_le_bytes);
            let mut content = lzma(source, *properties, window, size, memory)?;
            walk.costly(place, &name, &mut *content, LZMA);
        }
    }
    Ok(())
}

/// LZMA without a header. A size of `u64::MAX` is not known: its end is marked.
pub(crate) fn lzma<'p>(
    packed: impl Read + 'p,
    properties: u8,
    window: u32,
    size: u64,
    memory: usize,
) -> Result<Box<dyn Read + 'p>, Unscannable> {
    let needed = lzma_get_memory_usage_by_props(window, properties).map_err(|_| Unscannable::Damaged)?;
    if needed > kibibytes(memory) {
        return Err(Unscannable::TooLarge);
    }
    let reader = LzmaReader::new_with_props(packed, size, properties, window, None);
    Ok(Box::new(reader.map_err(|_| Unscannable::Damaged)?))
}

/// An xz file, or several.
pub(crate) fn xz<R: Read>(packed: R, several: bool, memory: usize) -> XzReader<R> {
    XzReader::new_mem_limit(packed, several, kibibytes(memory))
}

/// A Zstandard frame.
pub(crate) fn zstandard<'p>(packed: impl Read + 'p, memory: usize) -> Result<Box<dyn Read + 'p>, Unscannable> {
    frame(packed, memory).map(|frame| Box::new(frame) as Box<dyn Read + 'p>).map_err(|_| Unscannable::Damaged)
}

fn frame<R: Read>(packed: R, memory: usize) -> io::Result<StreamingDecoder<R, FrameDecoder>> {
    StreamingDecoder::new_with_max_window_size(packed, memory as u64).map_err(io::Error::other)
}

fn kibibytes(octets: usize) -> u32 {
    u32::try_from(octets >> 10).unwrap_or(u32::MAX)
}

/// What the file inside is called, by the name of the compressed one.
fn inner_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let ending = ENDINGS.iter().find(|(ending, _)| lower.ends_with(ending));
    ending.map(|(ending, instead)| format!("{}{instead}", &name[..name.len() - ending.len()])).unwrap_or_default()
}

/// Compressed streams one behind the other, which are one file.
struct Members<'l, 's, 'v, D, O> {
    source: Option<&'l mut Source<'s, 'v>>,
    decoder: Option<D>,
    /// What each begins with.
    mark: &'static [u8],
    open: O,
    close: fn(D) -> &'l mut Source<'s, 'v>,
    first: bool,
}

impl<'l, 's, 'v, D, O> Members<'l, 's, 'v, D, O>
where
    D: Read,
    O: FnMut(&'l mut Source<'s, 'v>) -> io::Result<D>,
{
    fn new(
        source: &'l mut Source<'s, 'v>,
        mark: &'static [u8],
        open: O,
        close: fn(D) -> &'l mut Source<'s, 'v>,
    ) -> Self {
        Self { source: Some(source), decoder: None, mark, open, close, first: true }
    }
}

impl<'l, 's, 'v, D, O> Read for Members<'l, 's, 'v, D, O>
where
    D: Read,
    O: FnMut(&'l mut Source<'s, 'v>) -> io::Result<D>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(source) = self.source.take() {
                if !self.first && !source.peek(self.mark.len()).starts_with(self.mark) {
                    self.source = Some(source);
                    return Ok(0);
                }
                self.first = false;
                self.decoder = Some((self.open)(source)?);
            }
            let Some(mut decoder) = self.decoder.take() else { return Ok(0) };
            let length = decoder.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                self.decoder = Some(decoder);
                return Ok(length);
            }
            self.source = Some((self.close)(decoder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::inner_name;

    #[test]
    fn the_file_inside_has_the_name_without_the_ending() {
        for (path, name) in [("a/b.doc.GZ", "b.doc"), ("x.tgz", "x.tar"), ("plain", ""), ("é.gz", "é")] {
            assert_eq!(inner_name(path), name);
        }
    }
}
