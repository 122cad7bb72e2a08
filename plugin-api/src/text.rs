//! Text from mail, made fit for people.

/// Cleans a text that comes from mail (a file name, a subject) for a finding, a reason, a notice or a log line.
///
/// Control characters, line separators, zero-width spaces and the characters that change the direction of writing
/// are removed, so that `exe.fdp` can't be shown for `pdf.exe`. At most `limit` characters stay; a text that was
/// cut ends in `…`.
#[must_use]
pub fn clean(text: &str, limit: usize) -> String {
    let mut characters = text.chars().filter(|&character| is_plain(character));
    let mut clean: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// False for what has no picture of its own: control characters, separators of lines and paragraphs, zero-width
/// spaces and directional marks (Unicode Standard Annex 9, section 2).
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn removes_what_deceives_the_eye_and_cuts() {
        for (text, limit, expected) in [
            ("invoice\u{202e}fdp.exe", 100, "invoicefdp.exe"),
            ("a\r\nX-Forged: b\0", 100, "aX-Forged: b"),
            ("\u{200b}\u{feff}", 100, ""),
            ("日本語.pdf", 100, "日本語.pdf"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
        ] {
            assert_eq!(clean(text, limit), expected, "{text:?}");
        }
    }
}
