//! New octets for what edits touch, and shared ones for the rest: the lines of a header block, the parts of a body.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::Bytes;

use super::octets::Octets;
use super::retext::Retext;
use super::{Message, Part, encoding, fields, fold};

/// Octets of a line of text that needs no encoding (RFC 5322, section 2.1.1).
const TEXT_LINE: usize = 998;

/// The fields of a header block, to be changed.
pub(super) struct HeadLines {
    lines: Vec<HeadLine>,
    /// The blank line as it stood there, or the one that was missing.
    blank: Vec<u8>,
    /// Whether it was missing.
    open: bool,
    changed: bool,
}

struct HeadLine {
    /// None for a line that is no field.
    name: Option<Bytes>,
    raw: Bytes,
}

impl HeadLine {
    fn new(name: &str, value: &str) -> Self {
        Self { name: Some(Bytes::copy_from_slice(name.as_bytes())), raw: fold::field(name, value).into() }
    }

    fn is(&self, wanted: &str) -> bool {
        self.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// Whether a field in front of this line would swallow it, or would spoil the envelope line of a mailbox file.
    fn stays_first(&self) -> bool {
        self.name.is_none()
            && (self.raw.starts_with(b" ") || self.raw.starts_with(b"\t") || self.raw.starts_with(b"From "))
    }
}

impl HeadLines {
    /// The header block of a message.
    pub(super) fn of(message: &Message) -> Self {
        Self::parse(&message.0.octets.shared(0..message.head_len()))
    }

    fn parse(block: &Bytes) -> Self {
        let shared = |line: fields::Line<'_>| HeadLine {
            name: line.name.map(|name| block.slice_ref(name)),
            raw: block.slice_ref(line.raw),
        };
        let lines: Vec<_> = fields::lines(block).map(shared).collect();
        let length: usize = lines.iter().map(|line| line.raw.len()).sum();
        let open = length >= block.len();
        let blank = if open { b"\r\n".to_vec() } else { block[length..].to_vec() };
        Self { lines, blank, open, changed: false }
    }

    /// See [`super::Edit::AddHeader`].
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let at = self.lines.iter().take_while(|line| line.stays_first()).count();
        self.lines.insert(at, HeadLine::new(name, value));
        self.changed = true;
    }

    /// See [`super::Edit::SetHeader`].
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let Some(first) = self.lines.iter().position(|line| line.is(name)) else { return self.add(name, value) };
        let mut index = 0;
        self.lines.retain(|line| {
            index += 1;
            index <= first + 1 || !line.is(name)
        });
        let spelled = self.lines[first].name.take();
        let spelled = spelled.as_deref().and_then(|spelled| str::from_utf8(spelled).ok());
        self.lines[first] = HeadLine::new(spelled.unwrap_or(name), value);
        self.changed = true;
    }

    /// See [`super::Edit::RemoveHeader`].
    pub(super) fn remove(&mut self, name: &str) {
        let before = self.lines.len();
        self.lines.retain(|line| !line.is(name));
        self.changed |= self.lines.len() < before;
    }

    /// Makes the header that of a text: its Content fields in the place of those that were there.
    pub(super) fn describe(&mut self, text: &Text) {
        let content = |name: &Bytes| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
        self.lines.retain(|line| !line.name.as_ref().is_some_and(content));
        self.lines.extend(text.fields().into_iter().map(|(name, value)| HeadLine::new(name, value)));
        self.changed = true;
    }

    /// Makes the header that of a changed text.
    pub(super) fn say(&mut self, text: &Retext) {
        let fields =
            [("Content-Type", text.content_type.as_deref()), ("Content-Transfer-Encoding", text.transfer.as_deref())];
        for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            if self.lines.iter().any(|line| line.is(name)) {
                self.set(name, value);
            } else {
                self.lines.push(HeadLine::new(name, value));
                self.changed = true;
            }
        }
    }

    /// Ends the block, so that a body can follow.
    pub(super) fn end(&mut self) {
        self.changed |= self.open;
    }

    /// Adds MIME-Version, without which a message is not read as MIME.
    pub(super) fn require_mime(&mut self) {
        if !self.lines.iter().any(|line| line.is("mime-version")) {
            self.lines.push(HeadLine::new("MIME-Version", "1.0"));
        }
    }

    /// Whether an edit had any effect.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The header block with its blank line.
    pub(super) fn into_block(self) -> Vec<u8> {
        let octets: usize = self.lines.iter().map(|line| line.raw.len() + 2).sum();
        let mut block = Vec::with_capacity(octets + self.blank.len());
        for line in self.lines {
            // The last line of a block without a blank line may have no end.
            if !block.is_empty() && !block.ends_with(b"\n") {
                block.extend_from_slice(b"\r\n");
            }
            block.extend_from_slice(&line.raw);
        }
        if !block.is_empty() && !block.ends_with(b"\n") {
            block.extend_from_slice(b"\r\n");
        }
        block.extend_from_slice(&self.blank);
        block
    }
}

/// A text as the body of a part, without a last line end.
pub(super) struct Text {
    body: Vec<u8>,
    encoding: &'static str,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_suffix('\n').unwrap_or(&text);
        // A line that begins with dashes might be a delimiter.
        let plain = |line: &str| {
            line.len() <= TEXT_LINE
                && !line.starts_with("--")
                && line.bytes().all(|octet| matches!(octet, b'\t' | 32..=126))
        };
        if text.split('\n').all(plain) {
            return Self { body: text.replace('\n', "\r\n").into_bytes(), encoding: "7bit" };
        }
        Self { body: encoding::base64((text.replace('\n', "\r\n") + "\r\n").as_bytes()), encoding: "base64" }
    }

    /// The header fields of a part with this body.
    pub(super) fn fields(&self) -> [(&'static str, &'static str); 3] {
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", self.encoding),
            ("Content-Disposition", "inline"),
        ]
    }

    /// The body with a last line end.
    pub(super) fn into_lines(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"\r\n");
        self.body
    }
}

/// The body of a message and what is to happen to its parts.
pub(super) struct Body<'a> {
    message: &'a Message,
    changes: BTreeMap<usize, Change<'a>>,
}

enum Change<'a> {
    Replace(Text),
    Retext(&'a Retext),
    Remove,
}

impl<'a> Body<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        Self { message, changes: BTreeMap::new() }
    }

    /// See [`super::Edit::ReplacePart`].
    pub(super) fn replace(&mut self, index: usize, text: &str) {
        self.changes.insert(self.outermost(index), Change::Replace(Text::new(text)));
    }

    /// See [`super::Edit::Retext`].
    pub(super) fn retext(&mut self, text: &'a Retext) {
        self.changes.insert(text.index, Change::Retext(text));
    }

    /// See [`super::Edit::RemovePart`].
    pub(super) fn remove(&mut self, index: usize) {
        let index = self.outermost(index);
        // What remains of a message is a message; of an encoded message that is all of it, an empty one.
        let change = if self.can_vanish(index) { Change::Remove } else { Change::Replace(Text::new("")) };
        self.changes.insert(index, change);
    }

    /// Whether any part is to be changed.
    pub(super) fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    fn parts(&self) -> &'a [Part] {
        self.message.parts()
    }

    fn outermost(&self, index: usize) -> usize {
        self.parts().get(index).and_then(|part| part.place.enclosing).unwrap_or(index)
    }

    /// Whether the part stands between delimiters, not at the top of a message.
    fn can_vanish(&self, index: usize) -> bool {
        let parent = self.parts()[index].parent;
        parent.is_some_and(|parent| self.parts()[parent].media_type.starts_with("multipart/"))
    }

    /// The text that takes the place of the whole body.
    pub(super) fn whole(&self) -> Option<&Text> {
        match self.changes.get(&0) {
            Some(Change::Replace(text)) => Some(text),
            _ => None,
        }
    }

    /// The changed text that the whole body is.
    pub(super) fn whole_retext(&self) -> Option<&'a Retext> {
        match self.changes.get(&0) {
            Some(Change::Retext(text)) => Some(text),
            _ => None,
        }
    }

    /// Writes the body with its changes; octets outside of changed parts are shared.
    pub(super) fn write(mut self, out: &mut Octets) {
        let source = &self.message.0.octets;
        let mut at = self.message.head_len();
        if self.changes.is_empty() {
            return out.push_range(source, at..source.len());
        }
        self.keep_containers();
        let parts = self.parts();
        for (index, change) in std::mem::take(&mut self.changes) {
            let place = &parts[index].place;
            // Inside of a part that has been changed already.
            if place.whole.start < at && index != 0 {
                continue;
            }
            match change {
                Change::Replace(text) if index == 0 => {
                    out.push(Bytes::from(text.into_lines()));
                    return;
                }
                Change::Retext(text) => {
                    out.push_range(source, at..if index == 0 { at } else { place.header });
                    out.push(Bytes::from(self.changed(&parts[index], text)));
                    at = place.body.end;
                }
                Change::Replace(text) => {
                    out.push_range(source, at..place.header);
                    out.push(Bytes::from(self.entity(&parts[index], text)));
                    at = place.body.end;
                }
                Change::Remove => {
                    out.push_range(source, at..place.whole.start);
                    at = place.whole.end;
                }
            }
        }
        out.push_range(source, at..source.len());
    }

    /// Where all children of a container would go, an empty text stays in the place of the last.
    fn keep_containers(&mut self) {
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, part) in self.parts().iter().enumerate() {
            if let Some(parent) = part.parent {
                children.entry(parent).or_default().push(index);
            }
        }
        for all in children.values() {
            let gone = all.iter().all(|child| matches!(self.changes.get(child), Some(Change::Remove)));
            if let Some(last) = all.last().filter(|_| gone) {
                self.changes.insert(*last, Change::Replace(Text::new("")));
            }
        }
    }

    /// A part with its text changed, up to the delimiter that follows; of the message itself the body alone.
    fn changed(&self, part: &Part, text: &Retext) -> Vec<u8> {
        let Range { start, end } = part.place.body.clone();
        let mut entity = Vec::new();
        if text.index > 0 {
            let header = self.message.0.octets.shared(part.place.header..start);
            let mut head = HeadLines::parse(&header);
            head.say(text);
            head.end();
            entity = if head.is_changed() { head.into_block() } else { header.to_vec() };
        }
        entity.extend_from_slice(&text.body);
        if end == part.place.whole.end && !entity.ends_with(b"\r\n") {
            entity.extend_from_slice(b"\r\n");
        }
        entity
    }

    /// A part with a text in the place of its content, up to the delimiter that follows.
    fn entity(&self, part: &Part, text: Text) -> Vec<u8> {
        let Range { start, end } = part.place.body.clone();
        let mut head = HeadLines::parse(&self.message.0.octets.shared(part.place.header..start));
        head.describe(&text);
        let mut entity = head.into_block();
        let at_delimiter = end == part.place.whole.end;
        entity.extend_from_slice(&if at_delimiter { text.into_lines() } else { text.body });
        entity
    }
}
