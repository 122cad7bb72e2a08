//! The MIME structure: a walk over the delimiter lines of a message, once from the beginning to the end.
//!
//! Where clients disagree about the structure, the reading that shows more parts is taken, and the part bears
//! a fault that says so. The walk keeps a stack of open containers and does not call itself, but for encoded
//! containers, of which four levels are opened.

mod boundary;
mod entity;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use self::boundary::{Boundaries, Delimiter};
use self::entity::Entity;
use super::content::Content;
use super::decoded::Kept;
use super::encoding::{self, Decoder, Encoding};
use super::fields;
use super::octets::Octets;
use super::part::{Part, Place};

/// Why a part can be read in more than one way, as a short word.
pub(super) type Fault = &'static str;

/// Parts that are listed; the last one holds the rest.
const PARTS_MAX: usize = 10_000;

/// What a part is that does not say what it is, outside of a digest.
const ROOT: &str = "text/plain";

/// Levels of containers that are opened.
const DEPTH_MAX: usize = 100;

/// Encoded containers within each other that are opened.
const ENCODED_DEPTH_MAX: usize = 4;

/// Octets of decoded containers that are kept, in sum over a message.
const ENCODED_MAX: usize = 8 * 1024 * 1024;

/// All parts of a message.
#[derive(Clone)]
pub(super) struct Structure {
    pub(super) parts: Vec<Part>,
    pub(super) faults: Vec<Fault>,
    pub(super) truncated: bool,
}

impl Structure {
    pub(super) fn parse(octets: &Octets, head_len: u64, mut kept: Kept) -> Self {
        let mut found = Found { parts: Vec::new(), truncated: false, encoded_room: ENCODED_MAX };
        Walk::new(octets, None).message(head_len, &mut found);
        let Found { mut parts, truncated, .. } = found;
        for part in &mut parts {
            check_content(part, octets, &mut kept);
        }
        let mut faults: Vec<Fault> = parts.iter().flat_map(|part| part.faults.iter().copied()).collect();
        if parts.iter().any(|part| part.container) && octets.find(b"\r--", 0, octets.len()).is_some() {
            // Some clients end a line at a bare CR, and then see a delimiter here.
            faults.push("bare-cr");
        }
        faults.sort_unstable();
        faults.dedup();
        Self { parts, faults, truncated }
    }

    /// The structure of a message whose header block alone is another one than that of the message that this is of. None
    /// where the new header may say something else about the body than the old one.
    pub(super) fn under(&self, old: &Headed<'_>, new: &Headed<'_>) -> Option<Self> {
        let (before, after) = (old.block()?, new.block()?);
        if Entity::parse(&before, ROOT) != Entity::parse(&after, ROOT) {
            return None;
        }
        let mut moved = self.clone();
        for (index, part) in moved.parts.iter_mut().enumerate() {
            let place = &mut part.place;
            if place.decoded.is_some() {
                continue;
            }
            let bounds = [&mut place.whole.end, &mut place.body.start, &mut place.body.end];
            let starts = [&mut place.whole.start, &mut place.header];
            // The message itself begins where it did.
            for offset in bounds.into_iter().chain(starts.into_iter().filter(|_| index > 0)) {
                *offset = *offset - old.head_len + new.head_len;
            }
        }
        Some(moved)
    }
}

/// A message, and how long its header block is.
pub(super) struct Headed<'a> {
    pub(super) octets: &'a Octets,
    pub(super) head_len: u64,
}

impl Headed<'_> {
    /// The header block, if it ends as such and is read to its end, and nobody sees a delimiter in it.
    fn block(&self) -> Option<Cow<'_, [u8]>> {
        if self.head_len > fields::BLOCK_MAX {
            return None;
        }
        let block = self.octets.bytes(0..self.head_len);
        let ended = block.ends_with(b"\n\r\n") || block.ends_with(b"\n\n");
        (ended && memmem::find(&block, b"\r--").is_none()).then_some(block)
    }
}

/// Reads the content of a leaf once for the faults of its encoding, and keeps it for those who ask for it.
fn check_content(part: &mut Part, octets: &Octets, kept: &mut Kept) {
    let octets = part.place.decoded.as_ref().unwrap_or(octets);
    let body = part.place.body.clone();
    if part.container {
        return;
    }
    if part.encoding == Encoding::Identity {
        if part.media_type.starts_with("text/") && holds_uuencode(octets, body.start, body.end) {
            part.faults.push("uuencode");
        }
        return;
    }
    let (mut decoder, mut at, mut scratch) = (Decoder::new(part.encoding), body.start, Vec::new());
    let keep = kept.takes(body.end - body.start);
    while keep || decoder.fault().is_none() {
        let chunk = octets.chunk(at, body.end.min(at + 64 * 1024));
        if chunk.is_empty() {
            decoder.finish(&mut scratch);
            break;
        }
        at += chunk.len() as u64;
        decoder.push(chunk, &mut scratch);
        if !keep {
            scratch.clear();
        }
    }
    if keep {
        part.decoded = kept.keep(scratch);
    }
    part.faults.extend(decoder.fault());
}

fn holds_uuencode(octets: &Octets, start: u64, end: u64) -> bool {
    let mut at = start;
    while let Some(found) = octets.find(b"begin ", at, end) {
        let starts_line = found == start || octets.bytes(found - 1..found)[..] == *b"\n";
        if starts_line && encoding::is_uuencode(&octets.bytes(found..end.min(found + 512))) {
            return true;
        }
        at = found + 6;
    }
    false
}

/// Octets of a line that are looked at.
const LINE_MAX: u64 = 1100;

/// What all walks over one message fill.
struct Found {
    parts: Vec<Part>,
    truncated: bool,
    encoded_room: usize,
}

/// A container whose end has not come.
struct Open {
    part: usize,
    /// Whether its close-delimiter has come; what follows is its epilogue.
    closed: bool,
    /// Whether it is a multipart; else a message.
    multipart: bool,
    /// Whether its children are messages unless they say otherwise (RFC 2046, section 5.1.5).
    digest: bool,
    children: usize,
}

/// The encoded container whose decoded content is walked over.
#[derive(Clone, Copy)]
struct Outer {
    part: usize,
    /// The outermost encoded container around it; itself, if there is no other.
    outermost: usize,
    /// Containers of all kinds around the content.
    depth: usize,
    /// Encoded containers around the content.
    encoded_depth: usize,
}

/// The walk over one text: the message, or the decoded content of an encoded container.
struct Walk<'a> {
    octets: &'a Octets,
    outer: Option<Outer>,
    stack: Vec<Open>,
    boundaries: Boundaries,
    /// The part whose end has not come, if it is no open container.
    leaf: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(octets: &'a Octets, outer: Option<Outer>) -> Self {
        Self { octets, outer, stack: Vec::new(), boundaries: Boundaries::default(), leaf: None }
    }

    /// Walks over a message from its first octet.
    fn message(mut self, head_len: u64, found: &mut Found) {
        self.open(0, 0, head_len..head_len, found);
        self.bodies(head_len, found);
    }

    /// Walks over the decoded content of an encoded container.
    fn content(mut self, part: usize, found: &mut Found) {
        self.push_container(part, 0, found);
        self.bodies(0, found);
    }

    fn bodies(&mut self, start: u64, found: &mut Found) {
        let mut next = Some(start);
        while let Some(body) = next {
            next = self.body(body, found);
        }
    }

    /// From the beginning of a body to the beginning of the next one. None at the end.
    fn body(&mut self, body: u64, found: &mut Found) -> Option<u64> {
        if self.leaf.is_none() && self.stack.last().is_some_and(|open| !open.multipart && open.children == 0) {
            return self.part(body, body, found);
        }
        let mut from = body;
        while let Some(line) = self.boundaries.next(self.octets, from) {
            self.end_parts(line.level + 1, line.start, found);
            let open = &mut self.stack[line.level];
            found.parts[open.part].faults.extend(line.fault);
            if line.kind == Delimiter::Close {
                open.closed = true;
                self.boundaries.set_closed(line.level, true);
                from = line.end;
                continue;
            }
            if open.closed {
                open.closed = false;
                self.boundaries.set_closed(line.level, false);
                found.parts[open.part].faults.push("part-after-close");
            }
            return self.part(line.start, line.end, found);
        }
        self.end_parts(0, self.octets.len(), found);
        None
    }

    /// A part begins: its delimiter line at `whole`, its header at `header`. Gives where its body begins.
    fn part(&mut self, whole: u64, header: u64, found: &mut Found) -> Option<u64> {
        if found.parts.len() + 1 >= PARTS_MAX {
            let rest = self.open(whole, header, header..header, found);
            found.parts[rest].faults.push("parts");
            found.truncated = true;
            self.end_parts(0, self.octets.len(), found);
            return None;
        }
        let head = self.head(header);
        let body = head.end;
        self.open(whole, header, head, found);
        Some(body)
    }

    /// Where the fields of a part's header end, and behind its blank line. A header ends, too, at a delimiter.
    fn head(&self, header: u64) -> Range<u64> {
        let (mut at, mut any_field) = (header, false);
        while at < self.octets.len() {
            let end = self.octets.line_end(at, self.octets.len());
            let line = self.octets.bytes(at..end.min(at + LINE_MAX));
            if fields::is_blank(&line) {
                return if any_field || at == header { at..end } else { header..header };
            }
            if line.starts_with(b"--") && self.boundaries.line(self.octets, at).is_some() {
                break;
            }
            any_field |= fields::name(&line).is_some();
            at = end;
        }
        if any_field { at..at } else { header..header }
    }

    /// Records a part whose fields are from `header` to `head.start` and whose body begins at `head.end`.
    fn open(&mut self, whole: u64, header: u64, head: Range<u64>, found: &mut Found) -> usize {
        let index = found.parts.len();
        let end = self.octets.len();
        let block = self.octets.bytes(header..head.start.min(header + fields::BLOCK_MAX));
        let digest = self.stack.last().is_some_and(|open| open.digest);
        let entity = Entity::parse(&block, if digest { "message/rfc822" } else { ROOT });
        found.truncated |= entity.truncated;
        let place = Place {
            decoded: self.outer.map(|_| self.octets.clone()),
            enclosing: self.outer.map(|outer| outer.outermost),
            whole: whole..end,
            header,
            body: head.end..end,
        };
        let parent = self.stack.last_mut().map(|open| {
            open.children += 1;
            open.part
        });
        found.parts.push(entity.into_part(parent, place));
        if self.opens(&mut found.parts[index]) {
            self.push_container(index, head.end, found);
        } else {
            self.leaf = Some(index);
        }
        index
    }

    /// Whether the parts of this one stand in the same text: it is a container that is not encoded, whatever it says.
    ///
    /// A multipart may not be encoded, and clients do not decode one; an encoded message they do.
    fn opens(&self, part: &mut Part) -> bool {
        if is_message(&part.media_type) && part.encoding != Encoding::Identity {
            part.faults.push("encoded-container");
            let body = part.place.body.start;
            let line = self.octets.bytes(body..self.octets.line_end(body, body + LINE_MAX));
            return fields::name(&line).is_some();
        }
        is_message(&part.media_type) || is_multipart(&part.media_type)
    }

    /// Puts a container on the stack, or makes it a leaf if the stack is full.
    fn push_container(&mut self, index: usize, body: u64, found: &mut Found) {
        let part = &mut found.parts[index];
        if self.depth() >= DEPTH_MAX {
            part.faults.push("depth");
            found.truncated = true;
            self.leaf = Some(index);
            return;
        }
        let multipart = is_multipart(&part.media_type);
        let mut boundaries = if multipart { entity::boundaries(part) } else { Vec::new() };
        if multipart && boundaries.is_empty() {
            part.faults.push("no-boundary");
            boundaries.extend(boundary::guess(self.octets, body));
        }
        if self.boundaries.open(boundaries) {
            part.faults.push("reused-boundary");
        }
        let digest = part.media_type == "multipart/digest";
        self.leaf = None;
        self.stack.push(Open { part: index, closed: false, multipart, digest, children: 0 });
    }

    fn depth(&self) -> usize {
        self.stack.len() + self.outer.map_or(0, |outer| outer.depth)
    }

    /// A delimiter at `line`, or the end of the text: ends the open leaf and all containers from `level` on.
    fn end_parts(&mut self, level: usize, line: u64, found: &mut Found) {
        let content_end = self.before_line_end(line);
        if let Some(leaf) = self.leaf.take() {
            end_place(&mut found.parts[leaf].place, line, content_end);
            self.open_encoded(leaf, found);
        }
        while self.stack.len() > level
            && let Some(open) = self.stack.pop()
        {
            self.boundaries.forget();
            let part = &mut found.parts[open.part];
            part.container = open.children > 0;
            if open.multipart && open.children == 0 {
                part.faults.push("no-parts");
            } else if open.multipart && !open.closed {
                part.faults.push("unclosed");
            }
            // The outer container itself has its place in another text.
            if self.outer.is_none_or(|outer| outer.part != open.part) {
                end_place(&mut part.place, line, content_end);
                if open.children == 0 {
                    self.open_encoded(open.part, found);
                }
            }
        }
    }

    /// The line end in front of a delimiter belongs to the delimiter (RFC 2046, section 5.1.1).
    fn before_line_end(&self, line: u64) -> u64 {
        if line == self.octets.len() {
            return line;
        }
        match &self.octets.bytes(line.saturating_sub(2)..line)[..] {
            [b'\r', b'\n'] => line - 2,
            [.., b'\n'] => line - 1,
            _ => line,
        }
    }

    /// Opens a leaf that is an encoded message or multipart, if there is room for its decoded content.
    fn open_encoded(&self, index: usize, found: &mut Found) {
        let part = &mut found.parts[index];
        let container = is_message(&part.media_type) || is_multipart(&part.media_type);
        if !container || part.encoding == Encoding::Identity || part.faults.contains(&"depth") {
            return;
        }
        let encoded_depth = self.outer.map_or(0, |outer| outer.encoded_depth) + 1;
        let decoded =
            Content::new(self.octets.clone(), part.place.body.clone(), part.encoding).read(found.encoded_room + 1);
        if decoded.len() > found.encoded_room || encoded_depth > ENCODED_DEPTH_MAX {
            part.faults.push("depth");
            found.truncated = true;
            return;
        }
        found.encoded_room -= decoded.len();
        let octets = Octets::from(Bytes::from(decoded));
        let outermost = self.outer.map_or(index, |outer| outer.outermost);
        let outer = Outer { part: index, outermost, depth: self.depth(), encoded_depth };
        Walk::new(&octets, Some(outer)).content(index, found);
    }
}

fn end_place(place: &mut Place, line: u64, content_end: u64) {
    place.whole.end = line;
    // A body that is empty has no line end that the delimiter could take.
    place.body.end = content_end.max(place.body.start);
}

/// Whether the body of this type is a message of its own.
fn is_message(media_type: &str) -> bool {
    matches!(media_type, "message/rfc822" | "message/global" | "message/news")
}

fn is_multipart(media_type: &str) -> bool {
    media_type.starts_with("multipart/")
}

#[cfg(test)]
mod tests;
