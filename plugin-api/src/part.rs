//! A MIME part of a message.

use std::fmt;
use std::ops::Range;

use crate::{Message, Reader, Refused, TooLarge, host};

/// A MIME part (RFC 2045), decoded as clients do it: a part whose encoding is broken still yields what can be
/// decoded.
pub struct Part<'m> {
    pub(crate) message: &'m Message,
    pub(crate) index: u32,
    pub(crate) host: host::Part,
}

impl<'m> Part<'m> {
    /// Its position among the parts of the message; 0 for the message itself.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The media type in lower case without parameters, `text/plain` when none is given.
    #[must_use]
    pub fn media_type(&self) -> String {
        self.host.media_type()
    }

    /// A parameter of Content-Type, decoded (RFC 2231).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.host.parameter(name)
    }

    /// The decoded value of the first field of this name in the part's own header (letters of either case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The decoded values of all fields of this name in the part's own header, in their order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.host.headers(name)
    }

    /// The file name of Content-Disposition, else the `name` of Content-Type. It is what the sender wrote:
    /// [`crate::text::clean`] makes it fit to be shown.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        self.host.file_name()
    }

    /// `inline`, `attachment` or another disposition in lower case.
    #[must_use]
    pub fn disposition(&self) -> Option<String> {
        self.host.disposition()
    }

    /// The container that it is in; none for the message itself.
    #[must_use]
    pub fn parent(&self) -> Option<Part<'m>> {
        self.message.part(self.host.parent()?)
    }

    /// True for `multipart/*`, and for `message/rfc822` whose inner parts are listed; it has no content of its own.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.host.container()
    }

    /// True if its structure or encoding can be read in more than one way.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.host.ambiguous()
    }

    /// Its octets as they stand in the message, still encoded, without the headers of the part.
    #[must_use]
    pub fn encoded_size(&self) -> u64 {
        self.host.encoded_size()
    }

    /// The decoded content as a stream. Text keeps its charset.
    #[must_use]
    pub fn content(&self) -> Reader<'static> {
        let content = self.host.content();
        Reader::new(move || content.read(host::PIECE))
    }

    /// The content of a text as UTF-8, by its charset: U+FFFD stands where that can't be done, and markup stays. The pieces
    /// may end inside a character.
    #[must_use]
    pub fn text(&self) -> Reader<'static> {
        let content = self.host.text();
        Reader::new(move || content.read(host::PIECE))
    }

    /// The whole decoded content.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if it is longer than `limit` octets.
    pub fn read_to_end(&self, limit: usize) -> Result<Vec<u8>, TooLarge> {
        self.content().collect(limit, &format!("part {} of the message", self.index))
    }

    /// The whole text as UTF-8.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if it is longer than `limit` octets.
    pub fn read_text(&self, limit: usize) -> Result<String, TooLarge> {
        let octets = self.text().collect(limit, &format!("the text of part {}", self.index))?;
        Ok(String::from_utf8(octets).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Puts a plain text of at most 65,536 octets in the place of this part and all that is in it.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a text that is too long.
    pub fn replace(&self, text: &str) -> Result<(), Refused> {
        self.message.host.replace_part(self.index, text).map_err(Refused)
    }

    /// Changes this text in places, which come in their order and do not overlap.
    ///
    /// Charset and transfer encoding stay if they can, and so does the rest of the part's header. Where something is only
    /// inserted, nothing of the mail is taken away, and no copy of the original is kept for it.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the part is no text of at most 16 MiB, or lies inside of a message that is encoded as a whole, and if
    /// a place is none in [`Part::text`].
    pub fn edit_text(&self, changes: &[Splice]) -> Result<(), Refused> {
        let change = |change: &Splice| host::Splice {
            start: change.range.start as u64,
            end: change.range.end as u64,
            text: change.text.clone(),
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        self.message.host.edit_text(self.index, &changes).map_err(Refused)
    }

    /// Removes this part and all that is in it.
    ///
    /// # Errors
    ///
    /// [`Refused`] for part 0, the message itself.
    pub fn remove(&self) -> Result<(), Refused> {
        self.message.host.remove_part(self.index).map_err(Refused)
    }
}

/// A change of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Splice {
    /// What is replaced, in octets of the text in UTF-8; empty to insert.
    pub range: Range<usize>,
    /// What stands there then. A text in mail has CRLF line ends, as a rule.
    pub text: String,
}

impl Splice {
    /// Puts a text at a place.
    #[must_use]
    pub fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { range: at..at, text: text.into() }
    }

    /// Puts a text in the place of another.
    #[must_use]
    pub fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Part")
            .field("index", &self.index)
            .field("media_type", &self.media_type())
            .finish_non_exhaustive()
    }
}
