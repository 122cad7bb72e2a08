//! What changed between two messages, line by line, in text that is safe to show.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use crate::message::Message;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// How long a diff for people may look for a short answer. After that it is longer, and still right.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of a diff is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extent {
    /// All of it, the same whatever the machine.
    Whole,
    /// At most this many lines, found in bounded time.
    Lines(usize),
}

/// The difference in hunks like those of `diff -u`; none if there is none.
///
/// A line is shown without its CRLF; one that ends otherwise says how.
pub(super) fn unified(old: &Message, new: &Message, extent: Extent) -> Option<String> {
    let (old, new): (Vec<u8>, Vec<u8>) = (octets(old), octets(new));
    let (old, new) = (lines(&old), lines(&new));
    let deadline = match extent {
        Extent::Whole => None,
        Extent::Lines(_) => Some(Instant::now() + PATIENCE),
    };
    let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
    if changes.iter().all(|change| change.tag() == DiffTag::Equal) {
        return None;
    }
    let mut shown = Vec::new();
    for hunk in group_diff_ops(changes, CONTEXT) {
        render(&hunk, &old, &new, &mut shown);
    }
    if let Extent::Lines(most) = extent
        && shown.len() > most
    {
        let more = shown.len() - most;
        shown.truncate(most);
        shown.push(format!("... {more} more lines of the diff"));
    }
    Some(shown.join("\n"))
}

/// The difference between two texts, without hunks: all lines of both.
pub(super) fn of_texts(old: &str, new: &str) -> String {
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (
        old.split_inclusive('\n').map(str::as_bytes).collect(),
        new.split_inclusive('\n').map(str::as_bytes).collect(),
    );
    let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(Instant::now() + PATIENCE));
    let mut shown = Vec::new();
    let mut show = |mark: char, lines: &[&[u8]]| {
        for line in lines {
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
            shown.push(format!("{mark}{}", safe_line(&text)));
        }
    };
    for change in changes {
        let (tag, before, after) = change.as_tag_tuple();
        if tag == DiffTag::Equal {
            show(' ', &old[before]);
        } else {
            show('-', &old[before]);
            show('+', &new[after]);
        }
    }
    shown.join("\n")
}

fn octets(message: &Message) -> Vec<u8> {
    message.segments().flatten().copied().collect()
}

fn lines(octets: &[u8]) -> Vec<&[u8]> {
    octets.split_inclusive(|&octet| octet == b'\n').collect()
}

fn render(hunk: &[DiffOp], old: &[&[u8]], new: &[&[u8]], shown: &mut Vec<String>) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { return };
    let before = first.old_range().start..last.old_range().end;
    let after = first.new_range().start..last.new_range().end;
    let position = |range: &std::ops::Range<usize>| match range.len() {
        0 => format!("{},0", range.start),
        1 => (range.start + 1).to_string(),
        length => format!("{},{length}", range.start + 1),
    };
    shown.push(format!("@@ -{} +{} @@", position(&before), position(&after)));
    for change in hunk {
        let (tag, before, after) = change.as_tag_tuple();
        if tag == DiffTag::Equal {
            shown.extend(old[before].iter().map(|line| marked(' ', line)));
        } else {
            shown.extend(old[before].iter().map(|line| marked('-', line)));
            shown.extend(new[after].iter().map(|line| marked('+', line)));
        }
    }
}

fn marked(mark: char, line: &[u8]) -> String {
    let (text, end) = match line.strip_suffix(b"\r\n") {
        Some(text) => (text, ""),
        None => match line.strip_suffix(b"\n") {
            Some(text) => (text, "\\n"),
            None => (line, "\\ no line end"),
        },
    };
    format!("{mark}{}{end}", visible(text))
}

/// Octets as text that does nothing to a terminal: what is not UTF-8, control characters and those that turn the direction
/// of writing are escaped, and so is the backslash.
fn visible(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if is_plain(character) => text.push(character),
                _ if u32::from(character) < 0x80 => escape(&mut text, character as u8),
                _ => text.extend(character.escape_unicode()),
            }
        }
        chunk.invalid().iter().for_each(|&octet| escape(&mut text, octet));
    }
    text
}

/// A line of text whose escapes have been made already: only what could still do harm is escaped.
fn safe_line(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if is_plain(character) { text.push(character) } else { text.extend(character.escape_default()) }
    }
    text
}

/// A text of several lines for a terminal: all but line ends and tabs is harmless in it.
pub(super) fn for_terminal(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let harmless = |character: char| character == '\n' || character == '\t' || is_plain(character);
    let mut shown = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        if harmless(character) { shown.push(character) } else { shown.extend(character.escape_default()) }
    }
    shown
}

fn is_plain(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns
}

fn escape(text: &mut String, octet: u8) {
    // Writing to a text does not fail.
    let _ = write!(text, "\\x{octet:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &[u8]) -> Option<String> {
        let message = |octets: &[u8]| Message::from_bytes(octets.to_vec());
        unified(&message(old.as_bytes()), &message(new), Extent::Whole)
    }

    #[test]
    fn changed_lines_stand_between_unchanged_ones() {
        let old = "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\ntext\r\n";
        assert_eq!(diff(old, old.as_bytes()), None);
        let new = old.replace("B: 2\r\n", "B: 3\r\n");
        let expected = "@@ -1,5 +1,5 @@\n A: 1\n-B: 2\n+B: 3\n C: 3\n D: 4\n E: 5";
        assert_eq!(diff(old, new.as_bytes()).as_deref(), Some(expected));
        assert_eq!(diff("", b"A: b\r\n").as_deref(), Some("@@ -0,0 +1 @@\n+A: b"));
    }

    #[test]
    fn nothing_in_a_diff_moves_the_cursor() {
        let new = b"\x1b[2J\xff\\\t\xe2\x80\xae caf\xc3\xa9\r\nbare\nend";
        let expected = "@@ -0,0 +1,3 @@\n+\\x1b[2J\\xff\\\\\\x09\\u{202e} caf\u{e9}\n+bare\\n\n+end\\ no line end";
        assert_eq!(diff("", new).as_deref(), Some(expected));
        assert_eq!(for_terminal(b"a\r\n\x1b[31m\tb"), "a\n\\u{1b}[31m\tb");
        assert_eq!(of_texts("a\nb\n", "a\n\x1bc\n"), " a\n-b\n+\\u{1b}c");
    }

    #[test]
    fn long_diffs_are_cut() {
        let message = |octets: &str| Message::from_bytes(octets.as_bytes().to_vec());
        let new = "line\r\n".repeat(100);
        let text = unified(&message(""), &message(&new), Extent::Lines(10)).unwrap();
        assert_eq!(text.lines().count(), 11);
        assert!(text.ends_with("... 91 more lines of the diff"), "{text}");
    }
}
