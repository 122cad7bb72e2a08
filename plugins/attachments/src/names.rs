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

#[cfg(test)]
mod tests {
    use super::readings;

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
