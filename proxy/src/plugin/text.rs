//! Text that comes from guests, made fit for logs and people; quantities in words.

use std::time::Duration;

/// The text without control characters and of at most about `max` octets.
///
/// Control characters, line ends among them, and the characters that turn the direction of writing are
/// escaped: what a guest writes stays one line, moves no cursor and pretends nothing.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for character in text.trim().chars() {
        if out.len() >= max {
            out.push('…');
            break;
        }
        if character.is_control() || turns_direction(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

fn turns_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A duration as people write it: `5 s`, `250 ms`.
pub(super) fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{} s", duration.as_secs()),
        _ => format!("{} ms", duration.as_millis()),
    }
}

/// A number of octets as people write it: `64 MiB`, `1000 octets`.
pub(super) fn octets(octets: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| octets >= *size && octets.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{} {unit}", octets / size),
        None => format!("{octets} octets"),
    }
}

/// Octets in hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_writes_stays_one_harmless_line() {
        for (text, expected) in [
            ("plain", "plain"),
            (" two\r\nlines\n", "two\\r\\nlines"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{202e}fdp.exe", "\\u{202e}fdp.exe"),
            ("Grüße 日本", "Grüße 日本"),
        ] {
            assert_eq!(printable(text, 100), expected);
        }
        assert_eq!(printable("日本語", 4), "日本…");
        assert!(printable(&"\0".repeat(1000), 100).len() < 112);
    }

    #[test]
    fn quantities_are_written_as_people_do() {
        assert_eq!(duration(Duration::from_secs(5)), "5 s");
        assert_eq!(duration(Duration::from_millis(1500)), "1500 ms");
        assert_eq!(octets(64 << 20), "64 MiB");
        assert_eq!(octets(1536), "1536 octets");
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
