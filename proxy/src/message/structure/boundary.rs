//! Delimiter lines (RFC 2046, section 5.1.1) as clients see them: with trailing white space, of any open container, and by prefix.

use std::collections::HashMap;

use super::{Fault, LINE_MAX};
use crate::message::fields;
use crate::message::octets::Octets;

/// Octets of a multipart without a boundary in which its first delimiter is looked for.
const GUESS_MAX: u64 = 64 * 1024;

/// Innermost containers whose boundaries count as a prefix of a line, too.
const PREFIX_LEVELS: usize = 4;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Delimiter {
    /// A part follows.
    Part,
    /// The container has ended.
    Close,
}

/// A delimiter line.
pub(super) struct Line {
    pub(super) kind: Delimiter,
    /// The open container that it belongs to, 0 for the outermost.
    pub(super) level: usize,
    pub(super) start: u64,
    /// Behind its line end.
    pub(super) end: u64,
    pub(super) fault: Option<Fault>,
}

/// The boundaries of all open containers. A container has several if its header can be read in several ways.
#[derive(Default)]
pub(super) struct Boundaries {
    levels: Vec<Level>,
    /// The levels that have a boundary, innermost last.
    by_name: HashMap<Vec<u8>, Vec<usize>>,
}

struct Level {
    names: Vec<Vec<u8>>,
    closed: bool,
}

impl Boundaries {
    /// Adds a container inside all others, maybe without boundaries. True if it shares one with a container around it.
    pub(super) fn open(&mut self, names: Vec<Vec<u8>>) -> bool {
        let level = self.levels.len();
        let mut reused = false;
        for name in &names {
            let levels = self.by_name.entry(name.clone()).or_default();
            reused |= !levels.is_empty() && !levels.contains(&level);
            levels.push(level);
        }
        self.levels.push(Level { names, closed: false });
        reused
    }

    /// Removes the innermost container.
    pub(super) fn forget(&mut self) {
        for name in self.levels.pop().map(|level| level.names).unwrap_or_default() {
            if let Some(levels) = self.by_name.get_mut(&name) {
                levels.pop();
                if levels.is_empty() {
                    self.by_name.remove(&name);
                }
            }
        }
    }

    /// Notes that a container has ended, or goes on after all.
    pub(super) fn set_closed(&mut self, level: usize, closed: bool) {
        self.levels[level].closed = closed;
    }

    /// The first delimiter line at or behind `from`, which is the beginning of a line.
    pub(super) fn next(&self, octets: &Octets, from: u64) -> Option<Line> {
        if self.by_name.is_empty() {
            return None;
        }
        if let Some(line) = self.line(octets, from) {
            return Some(line);
        }
        let mut at = from;
        while let Some(lf) = octets.find(b"\n--", at, octets.len()) {
            if let Some(line) = self.line(octets, lf + 1) {
                return Some(line);
            }
            at = lf + 1;
        }
        None
    }

    /// The line that begins at `start`, if it is a delimiter.
    pub(super) fn line(&self, octets: &Octets, start: u64) -> Option<Line> {
        let end = octets.line_end(start, octets.len());
        let text = octets.bytes(start..end.min(start + LINE_MAX));
        let text = text.strip_prefix(b"--")?.trim_ascii_end();
        if let Some(level) = self.level(text) {
            return Some(Line { kind: Delimiter::Part, level, start, end, fault: None });
        }
        if let Some(level) = text.strip_suffix(b"--").and_then(|text| self.level(text.trim_ascii_end())) {
            return Some(Line { kind: Delimiter::Close, level, start, end, fault: None });
        }
        let (level, rest) = self.prefix(text)?;
        let kind = if rest.starts_with(b"--") { Delimiter::Close } else { Delimiter::Part };
        let plausible = kind == Delimiter::Close || begins_part(octets, end);
        plausible.then_some(Line { kind, level, start, end, fault: Some("boundary-prefix") })
    }

    /// The innermost container of this boundary that has not ended, else the innermost that has.
    fn level(&self, name: &[u8]) -> Option<usize> {
        let levels = self.by_name.get(name)?;
        levels.iter().rev().find(|level| !self.levels[**level].closed).or(levels.last()).copied()
    }

    /// The longest boundary that the text begins with, and what follows it.
    ///
    /// By the RFC such a line is a delimiter; most clients want the whole line to match.
    fn prefix<'a>(&self, text: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let levels = self.levels.iter().enumerate().rev().take(PREFIX_LEVELS);
        let names = levels.flat_map(|(level, open)| open.names.iter().map(move |name| (level, name)));
        let matching = names.filter(|(_, name)| text.starts_with(name));
        matching.max_by_key(|(_, name)| name.len()).map(|(level, name)| (level, &text[name.len()..]))
    }
}

/// Whether a part seems to begin here: with a field, or with the blank line behind no fields.
fn begins_part(octets: &Octets, at: u64) -> bool {
    let line = octets.bytes(at..octets.line_end(at, at + LINE_MAX));
    at < octets.len() && (fields::is_blank(&line) || fields::name(&line).is_some())
}

/// The boundary of a multipart that names none: that of the first line which looks like a delimiter.
pub(super) fn guess(octets: &Octets, body: u64) -> Option<Vec<u8>> {
    let mut at = body;
    while at < octets.len().min(body + GUESS_MAX) {
        let end = octets.line_end(at, octets.len());
        let line = octets.bytes(at..end.min(at + LINE_MAX));
        if let Some(name) = line.strip_prefix(b"--").map(<[u8]>::trim_ascii_end)
            && begins_part(octets, end)
        {
            return Some(name.to_vec());
        }
        at = end;
    }
    None
}
