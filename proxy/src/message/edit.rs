//! What a filter may change, what is refused, and how a list of changes becomes a new message.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::retext::{Retext, Splice};
use super::rewrite::{Body, HeadLines};
use super::{BuildError, Message, Octets, repair};

/// Octets of the value of a header field that a filter writes, at most.
pub const VALUE_MAX: usize = 16 * 1024;

/// Octets of the text that takes the place of a part, at most.
pub const REPLACEMENT_MAX: usize = 64 * 1024;

/// Characters of a header field's name, at most; with its colon it then leaves room for a value (RFC 2047 has 76).
const NAME_MAX: usize = 76;

/// One change of a message. Part indices are those of [`Message::parts`] of the unchanged message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Edit {
    /// Adds a header field in front of all others.
    AddHeader {
        /// The field's name.
        name: String,
        /// Its value, neither encoded nor folded.
        value: String,
    },
    /// Gives the first field of this name a new value and removes all further ones; adds one if there is none.
    SetHeader {
        /// The field's name; a field that stands keeps its own spelling.
        name: String,
        /// Its value, neither encoded nor folded.
        value: String,
    },
    /// Removes all fields of this name.
    RemoveHeader {
        /// The field's name.
        name: String,
    },
    /// Puts a plain text in the place of a part and all that is in it.
    ///
    /// A part that lies inside an encoded message stands for the outermost encoded part around it.
    ReplacePart {
        /// The part.
        index: usize,
        /// The text, with line ends of any kind.
        text: String,
    },
    /// Removes a part and all that is in it; where a container would be left empty, a part with an empty text stays.
    ///
    /// A part that lies inside an encoded message stands for the outermost encoded part around it.
    RemovePart {
        /// The part; not 0.
        index: usize,
    },
    /// Gives a text part a text that differs in places; made by [`Edit::text`].
    Retext(Box<Retext>),
    /// Puts another message in the place of this one, its line ends and overlong lines repaired.
    ReplaceMessage(#[serde(with = "whole")] Message),
    /// The same with a message that differs in its header block only, so that no content is lost.
    ReplaceHeaders(#[serde(with = "whole")] Message),
}

/// Why an edit is refused: it would break the mail.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Not a header field name (RFC 5322: printable ASCII without colon), or longer than 76 characters.
    #[error("`{0}` is not a header field name")]
    HeaderName(String),
    /// A value that would end the field or start another.
    #[error("a header value may not contain CR, LF or NUL")]
    HeaderValue,
    /// A value or text above its limit.
    #[error("{what} is larger than {max} octets")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit in octets.
        max: usize,
    },
    /// There is no part of this index.
    #[error("there is no part {0}")]
    NoSuchPart(usize),
    /// The part is a container, or no text.
    #[error("part {0} is no text")]
    NoText(usize),
    /// The part lies inside of a message that is encoded as a whole.
    #[error("part {0} lies inside of an encoded message")]
    Enclosed(usize),
    /// Changes that are out of order, overlap, or begin or end beyond the text or inside of a character.
    #[error("the changes of a text come in its order, do not overlap, and begin and end at its characters")]
    Splice,
    /// Part 0 is the message, which can be replaced but not removed.
    #[error("part 0 is the message itself and can't be removed")]
    RemoveRoot,
    /// A replacement that does not begin with header fields and a blank line.
    #[error("the replacement has no valid header block")]
    NoHeader,
    /// The repaired replacement found no room.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Edit {
    /// Whether this edit can be made to `message`. Called when a filter asks for it, so that it hears the reason.
    ///
    /// # Errors
    /// Says what is wrong with the edit.
    pub fn check(&self, message: &Message) -> Result<(), EditError> {
        match self {
            Self::AddHeader { name, value } | Self::SetHeader { name, value } => {
                check_name(name)?;
                check_value(value)
            }
            Self::RemoveHeader { name } => check_name(name),
            Self::ReplacePart { index, text } => {
                check_length("the text", text, REPLACEMENT_MAX)?;
                check_part(*index, message)
            }
            Self::Retext(retext) => check_part(retext.index, message),
            Self::RemovePart { index: 0 } => Err(EditError::RemoveRoot),
            Self::RemovePart { index } => check_part(*index, message),
            Self::ReplaceMessage(replacement) | Self::ReplaceHeaders(replacement) => repair::check_head(replacement),
        }
    }

    /// The edit that changes the text of a part in these places, which come in their order and do not overlap.
    ///
    /// Octets that no change touches stay, where the charset of the part has all characters of the new text; otherwise the
    /// text becomes UTF-8. Its encoding for transport stays if it can. The rest of the part's header stays as it is.
    ///
    /// # Errors
    /// Says why the text can't be changed.
    pub fn text(message: &Message, index: usize, splices: &[Splice]) -> Result<Self, EditError> {
        Ok(Self::Retext(Box::new(Retext::new(message, index, splices)?)))
    }

    /// The edit that makes of `message` what a filter has written in its place; none if that is the same.
    ///
    /// # Errors
    /// What was written is no mail, or its repaired copy finds no room.
    pub fn rewritten(message: &Message, written: Message) -> Result<Option<Self>, EditError> {
        let same = |from: u64, other: &Message, other_from: u64| same_octets(message, from, other, other_from);
        if same(0, &written, 0) {
            return Ok(None);
        }
        repair::check_head(&written)?;
        if same(message.head_len(), &written, written.head_len()) {
            return Ok(Some(Self::ReplaceHeaders(written)));
        }
        // Programs that know only LF as a line end change no content by that.
        let repaired = repair::repaired(&written, message.0.origin.as_ref())?;
        Ok(match () {
            () if same(0, &repaired, 0) => None,
            () if same(message.head_len(), &repaired, repaired.head_len()) => Some(Self::ReplaceHeaders(repaired)),
            () => Some(Self::ReplaceMessage(repaired)),
        })
    }

    /// Octets that it brings.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let octets = match self {
            Self::AddHeader { name, value } | Self::SetHeader { name, value } => name.len() + value.len(),
            Self::RemoveHeader { name } => name.len(),
            Self::ReplacePart { text, .. } => text.len(),
            Self::Retext(retext) => retext.size(),
            Self::RemovePart { .. } => 0,
            Self::ReplaceMessage(message) | Self::ReplaceHeaders(message) => return message.len(),
        };
        octets as u64
    }

    /// Whether it is about header fields of the message alone, and takes the same time however long the rest is.
    #[must_use]
    pub fn is_of_header(&self) -> bool {
        matches!(self, Self::AddHeader { .. } | Self::SetHeader { .. } | Self::RemoveHeader { .. })
    }

    /// Whether content is lost by this edit, so that the original has to be kept in quarantine first.
    #[must_use]
    pub fn takes_content(&self) -> bool {
        match self {
            Self::ReplacePart { .. } | Self::RemovePart { .. } | Self::ReplaceMessage(_) => true,
            Self::Retext(retext) => retext.loses,
            Self::AddHeader { .. } | Self::SetHeader { .. } | Self::RemoveHeader { .. } | Self::ReplaceHeaders(_) => {
                false
            }
        }
    }
}

/// A message as its octets, in memory.
mod whole {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Message;

    pub(super) fn serialize<S: Serializer>(message: &Message, serializer: S) -> Result<S::Ok, S::Error> {
        message.segments().flatten().copied().collect::<Vec<u8>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Message, D::Error> {
        Vec::deserialize(deserializer).map(Message::from_bytes)
    }
}

/// Whether two messages have the same octets from these offsets on.
fn same_octets(message: &Message, from: u64, other: &Message, other_from: u64) -> bool {
    const STEP: usize = 64 * 1024;
    let length = message.len() - from;
    let step = |at: u64| message.read(from + at, STEP) == other.read(other_from + at, STEP);
    length == other.len() - other_from && (0..length).step_by(STEP).all(step)
}

fn check_name(name: &str) -> Result<(), EditError> {
    let ftext = |octet: u8| matches!(octet, 33..=57 | 59..=126);
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(ftext) {
        return Err(EditError::HeaderName(name.chars().take(NAME_MAX).collect::<String>().escape_debug().to_string()));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), EditError> {
    if value.contains(['\r', '\n', '\0']) {
        return Err(EditError::HeaderValue);
    }
    check_length("the header value", value, VALUE_MAX)
}

fn check_length(what: &'static str, text: &str, max: usize) -> Result<(), EditError> {
    if text.len() > max {
        return Err(EditError::TooLong { what, max });
    }
    Ok(())
}

fn check_part(index: usize, message: &Message) -> Result<(), EditError> {
    if index >= message.parts().len() {
        return Err(EditError::NoSuchPart(index));
    }
    Ok(())
}

/// See [`Message::apply`].
pub(super) fn apply(message: &Message, edits: &[Edit]) -> Result<Message, EditError> {
    edits.iter().try_for_each(|edit| edit.check(message))?;
    let replacement = edits.iter().rev().find_map(|edit| match edit {
        Edit::ReplaceMessage(replacement) | Edit::ReplaceHeaders(replacement) => Some(replacement),
        _ => None,
    });
    let base = match replacement {
        Some(replacement) => repair::repaired(replacement, message.0.origin.as_ref())?,
        None => message.clone(),
    };
    let mut body = Body::of(&base);
    let mut head = None;
    for edit in edits {
        match edit {
            Edit::AddHeader { name, value } => lines(&mut head, &base).add(name, value),
            Edit::SetHeader { name, value } => lines(&mut head, &base).set(name, value),
            Edit::RemoveHeader { name } => lines(&mut head, &base).remove(name),
            Edit::ReplacePart { index, text } if replacement.is_none() => body.replace(*index, text),
            Edit::RemovePart { index } if replacement.is_none() => body.remove(*index),
            Edit::Retext(retext) if replacement.is_none() => body.retext(retext),
            Edit::Retext(_)
            | Edit::ReplacePart { .. }
            | Edit::RemovePart { .. }
            | Edit::ReplaceMessage(_)
            | Edit::ReplaceHeaders(_) => {}
        }
    }
    if let Some(text) = body.whole() {
        let lines = lines(&mut head, &base);
        lines.describe(text);
        lines.require_mime();
    }
    if let Some(retext) = body.whole_retext() {
        let lines = lines(&mut head, &base);
        lines.end();
        if retext.changes_header() {
            lines.say(retext);
            lines.require_mime();
        }
    }
    let mut octets = Octets::default();
    match head.filter(HeadLines::is_changed) {
        Some(lines) => octets.push(Bytes::from(lines.into_block())),
        None => octets.push_range(&base.0.octets, 0..base.head_len()),
    }
    let ancestor = if body.is_changed() { None } else { base.as_ancestor() };
    body.write(&mut octets);
    Ok(Message::new(octets, base.0.origin.clone(), ancestor))
}

/// The header block as lines, from the first edit that needs them.
fn lines<'a>(head: &'a mut Option<HeadLines>, message: &Message) -> &'a mut HeadLines {
    head.get_or_insert_with(|| HeadLines::of(message))
}

#[cfg(test)]
mod tests;
