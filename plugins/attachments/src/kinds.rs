//! What a file really is.

use popgate_archive::Kind;
use serde::Deserialize;

/// The kinds that can be denied, by the names that the settings have for them.
const KINDS: &[(&str, Kind)] = &[
    ("7z", Kind::SevenZip),
    ("ace", Kind::Ace),
    ("arj", Kind::Arj),
    ("bzip2", Kind::Bzip2),
    ("cab", Kind::Cabinet),
    ("chm", Kind::Chm),
    ("cpio", Kind::Cpio),
    ("elf", Kind::Elf),
    ("gzip", Kind::Gzip),
    ("html", Kind::Html),
    ("java", Kind::JavaClass),
    ("lha", Kind::Lha),
    ("lnk", Kind::Lnk),
    ("macho", Kind::MachO),
    ("ole", Kind::Ole),
    ("onenote", Kind::OneNote),
    ("pdf", Kind::Pdf),
    ("pe", Kind::Pe),
    ("rar", Kind::Rar),
    ("rtf", Kind::Rtf),
    ("script", Kind::Script),
    ("sis", Kind::Sis),
    ("tar", Kind::Tar),
    ("tnef", Kind::Tnef),
    ("wasm", Kind::WebAssembly),
    ("xz", Kind::Xz),
    ("zip", Kind::Zip),
    ("zstd", Kind::Zstandard),
];

/// The kinds that are denied when the settings name none: what Windows and macOS run at a double click, whatever
/// it is called.
pub const DENIED_KINDS: &[&str] = &["chm", "java", "lnk", "macho", "pe"];

/// Endings, and what files that end so may really be.
const EXPECTED: &[(&[&str], &[Kind])] = &[
    (&["pdf"], &[Kind::Pdf]),
    (&["gif", "jpg", "jpeg", "jpe", "png"], &[Kind::Gif, Kind::Jpeg, Kind::Png]),
    // Word and Excel open each other's formats, text and pages under these names.
    (&["doc", "dot", "xls", "xlt", "ppt", "pot", "pps"], &[Kind::Ole, Kind::Zip, Kind::Rtf, Kind::Html]),
    (&["rtf"], &[Kind::Rtf, Kind::Ole, Kind::Zip]),
    // A document that is encrypted is an OLE document.
    (&["docx", "dotx", "xlsx", "xltx", "pptx", "potx", "ppsx", "xlsb"], &[Kind::Zip, Kind::Ole]),
    (&["odt", "ods", "odp", "zip"], &[Kind::Zip]),
    (&["txt", "csv", "log", "ics", "vcf"], &[Kind::Text, Kind::Html, Kind::Script]),
    (&["bmp", "tif", "tiff", "webp", "mp3", "mp4", "m4a", "avi", "mov", "wav", "heic"], &[]),
];

/// A kind by its name in the settings.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(crate) struct Denied(pub(crate) Kind);

impl Denied {
    pub(crate) fn defaults() -> Vec<Self> {
        KINDS.iter().filter(|(name, _)| DENIED_KINDS.contains(name)).map(|&(_, kind)| Self(kind)).collect()
    }
}

impl TryFrom<String> for Denied {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let known = KINDS.iter().find(|(name, _)| *name == written.to_lowercase());
        known.map(|&(_, kind)| Self(kind)).ok_or_else(|| {
            let names: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
            format!("`{written}` is not one of {}", names.join(", "))
        })
    }
}

/// True if a file of one of these names, which are in lower case, is something else. What can't be told is no contradiction.
pub(crate) fn contradicts(names: &[String], kind: Kind) -> bool {
    if matches!(kind, Kind::Unknown | Kind::Text) {
        return false;
    }
    names.iter().any(|name| {
        let Some((_, ending)) = name.rsplit_once('.') else { return false };
        let expected = EXPECTED.iter().find(|(endings, _)| endings.contains(&ending));
        expected.is_some_and(|(_, kinds)| !kinds.contains(&kind))
    })
}

#[cfg(test)]
mod tests {
    use popgate_archive::Kind;

    use super::{DENIED_KINDS, Denied, contradicts};

    #[test]
    fn names_contradict_what_a_file_is() {
        for (name, kind, contradiction) in [
            ("a.pdf", Kind::Pe, true),
            ("a.jpg", Kind::Html, true),
            ("a.jpg", Kind::Png, false),
            ("a.xls", Kind::Html, false),
            ("a.docx", Kind::Ole, false),
            ("a.pdf", Kind::Unknown, false),
            ("a.pdf", Kind::Text, false),
            ("a.bin", Kind::Pe, false),
            ("a.mp4", Kind::Zip, true),
        ] {
            assert_eq!(contradicts(&[name.to_owned()], kind), contradiction, "{name} {kind:?}");
        }
        assert_eq!(Denied::defaults().len(), DENIED_KINDS.len());
    }
}
