//! File names, as the systems read them that save an attachment.

use popgate_plugin::text;

/// The names, in lower case, that a client may give to a file of this name.
///
/// There can be several: some systems end a name at a NUL, some leave it out; Windows takes what stands behind a
/// colon for the name of a stream.
pub(crate) fn readings(name: &str) -> Vec<String> {
    let until_nul = name.split('\0').next().unwrap_or_default();
    let mut readings = Vec::new();
    for name in [name, until_nul] {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let until_colon = name.split(':').next().unwrap_or_default();
        for name in [name, until_colon] {
            let name = saved(name);
            if !name.is_empty() && !readings.contains(&name) {
                readings.push(name);
            }
        }
    }
    readings
}

/// Without invisible characters, and without the dots, blanks and quotes at the end that Windows and clients
/// drop.
fn saved(name: &str) -> String {
    let name = text::clean(name, usize::MAX);
    let drops = |character: char| character.is_whitespace() || matches!(character, '.' | '"' | '\'');
    name.trim_end_matches(drops).to_lowercase()
}

/// Endings of what people open without a thought.
const HARMLESS: &[&str] = &[
    "avi", "bmp", "csv", "doc", "docx", "gif", "htm", "html", "jpeg", "jpg", "mov", "mp3", "mp4", "odp", "ods", "odt",
    "pdf", "png", "ppt", "pptx", "rtf", "tif", "tiff", "txt", "wav", "xls", "xlsx", "xml", "zip",
];

/// Blanks in a row that move the end of a name out of sight.
const BLANKS: usize = 8;

/// What is wrong with a name that shall be taken for another, if something is; `runs` tells of an ending whether it is one
/// of a program.
pub(crate) fn deception(name: &str, runs: impl Fn(&str) -> bool) -> Option<&'static str> {
    // Overrides alone: honest names in Hebrew and Arabic have the other marks.
    let turns = |character: char| matches!(character, '\u{202d}' | '\u{202e}');
    if name.contains(turns) && readings(name).iter().any(|name| name.contains('.')) {
        return Some("its name is written in another direction");
    }
    let mut blanks = 0;
    for (at, character) in name.char_indices() {
        blanks = if character.is_whitespace() { blanks + 1 } else { 0 };
        if blanks == BLANKS && name[at..].trim().contains('.') {
            return Some("the end of its name is hidden behind blanks");
        }
    }
    let doubled = |name: &String| {
        let mut endings = name.rsplit('.').map(str::trim);
        let (last, before) = (endings.next().unwrap_or_default(), endings.next().unwrap_or_default());
        endings.next().is_some() && HARMLESS.contains(&before) && runs(last)
    };
    readings(name).iter().any(doubled).then_some("its name has a second ending behind a harmless one")
}

#[cfg(test)]
mod tests {
    use super::{deception, readings};

    #[test]
    fn names_that_deceive_are_told_from_long_ones() {
        let runs = |ending: &str| ending == "exe";
        for (name, deceives) in [
            ("invoice.pdf.exe", true),
            ("invoice.PDF.EXE. ", true),
            ("invoice.pdf .exe", true),
            ("report\u{202e}fdp.scr", true),
            ("report.pdf            .txt", true),
            ("report.pdf", false),
            ("setup.exe", false),
            ("v1.2.exe", false),
            ("a.tar.gz", false),
            ("a long name with blanks.pdf", false),
            ("\u{202b}\u{5e9}\u{5dc}\u{5d5}\u{5dd}", false),
        ] {
            assert_eq!(deception(name, runs).is_some(), deceives, "{name:?}");
        }
    }

    #[test]
    fn a_name_is_read_in_every_way_that_matters() {
        for (name, expected) in [
            ("Invoice.PDF.exe", &["invoice.pdf.exe"][..]),
            ("setup.exe. . ", &["setup.exe"]),
            ("setup.exe\u{a0}\u{3000}", &["setup.exe"]),
            ("\"setup.exe\"", &["\"setup.exe"]),
            ("invoice\u{202e}fdp.exe\u{200b}", &["invoicefdp.exe"]),
            ("C:\\temp/setup.exe", &["setup.exe"]),
            ("setup.exe\0.txt", &["setup.exe.txt", "setup.exe"]),
            ("setup.exe::$DATA", &["setup.exe::$data", "setup.exe"]),
            ("a.e\nxe", &["a.exe"]),
            (" . ", &[]),
            ("", &[]),
        ] {
            assert_eq!(readings(name), expected, "{name:?}");
        }
    }
}
