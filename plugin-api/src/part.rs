//! A MIME part of a message.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use crate::{Message, Reader, Refused, TooLarge, host};

/// A MIME part (RFC 2045), decoded as clients do it: a part whose encoding is broken still yields what can be
/// decoded.
pub struct Part<'m> {
    message: &'m Message,
    index: u32,
    info: OnceCell<Info>,
    /// The host's handle, for what it has to be asked about.
    handle: OnceCell<Option<host::Part>>,
}

/// What the host tells about a part in advance; the names are those of the WIT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info {
    pub(crate) media_type: String,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) file_name: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) parent: Option<u32>,
    pub(crate) container: bool,
    pub(crate) ambiguous: bool,
    pub(crate) encoded_size: u64,
}

impl<'m> Part<'m> {
    /// The part at this index, which is there.
    fn at(message: &'m Message, index: u32) -> Self {
        Self { message, index, info: OnceCell::new(), handle: OnceCell::new() }
    }

    pub(crate) fn known(message: &'m Message, index: u32, info: Info) -> Self {
        Self { info: info.into(), ..Self::at(message, index) }
    }

    fn info(&self) -> &Info {
        self.info.get_or_init(|| host::part_infos(&self.message.host, self.index, 1).pop().unwrap_or_default())
    }

    fn handle(&self) -> Option<&host::Part> {
        self.handle.get_or_init(|| self.message.host.part(self.index)).as_ref()
    }

    /// Its position among the parts of the message; 0 for the message itself.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The media type in lower case without parameters, `text/plain` when none is given.
    #[must_use]
    pub fn media_type(&self) -> String {
        self.info().media_type.clone()
    }

    /// A parameter of Content-Type, decoded (RFC 2231).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let named = self.info().parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.clone())
    }

    /// The decoded value of the first field of this name in the part's own header (letters of either case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The decoded values of all fields of this name in the part's own header, in their order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.handle().map(|part| part.headers(name)).unwrap_or_default()
    }

    /// The file name of Content-Disposition, else the `name` of Content-Type. It is what the sender wrote:
    /// [`crate::text::clean`] makes it fit to be shown.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        self.info().file_name.clone()
    }

    /// `inline`, `attachment` or another disposition in lower case.
    #[must_use]
    pub fn disposition(&self) -> Option<String> {
        self.info().disposition.clone()
    }

    /// The container that it is in; none for the message itself.
    #[must_use]
    pub fn parent(&self) -> Option<Part<'m>> {
        Some(Self::at(self.message, self.info().parent?))
    }

    /// True for `multipart/*`, and for `message/rfc822` whose inner parts are listed; it has no content of its own.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.info().container
    }

    /// True if its structure or encoding can be read in more than one way.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.info().ambiguous
    }

    /// Its octets as they stand in the message, still encoded, without the headers of the part.
    #[must_use]
    pub fn encoded_size(&self) -> u64 {
        self.info().encoded_size
    }

    /// Octets of the decoded content, for which the host may have to decode all of it.
    #[must_use]
    pub fn content_size(&self) -> u64 {
        self.handle().map(host::Part::content_size).unwrap_or_default()
    }

    /// The offset in the decoded content of the first occurrence of `needle` (1 to 1,024 octets) at or behind `start`. The host
    /// searches; nothing is copied.
    #[must_use]
    pub fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        self.handle()?.find(needle, start)
    }

    /// The first octets of the decoded content: `length` of them, or all if there are fewer.
    #[must_use]
    pub fn start(&self, length: usize) -> Vec<u8> {
        let mut start = Vec::new();
        let Some(content) = self.handle().map(host::Part::content) else { return start };
        while start.len() < length {
            let more = content.read(u32::try_from(length - start.len()).unwrap_or(u32::MAX));
            if more.is_empty() {
                break;
            }
            // As a rule one read gives all of it.
            if start.is_empty() { start = more } else { start.extend(more) }
        }
        start
    }

    /// The decoded content as a stream. Text keeps its charset.
    #[must_use]
    pub fn content(&self) -> Reader<'static> {
        let content = self.handle().map(host::Part::content);
        Reader::new(move || content.as_ref().map(|content| content.read(host::PIECE)).unwrap_or_default())
    }

    /// The content of a text as UTF-8, by its charset: U+FFFD stands where that can't be done, and markup stays. The pieces
    /// may end inside a character.
    #[must_use]
    pub fn text(&self) -> Reader<'static> {
        let content = self.handle().map(host::Part::text);
        Reader::new(move || content.as_ref().map(|content| content.read(host::PIECE)).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use crate::Message;

    #[test]
    fn the_content_is_searched_and_its_start_is_given() {
        let message = Message::from("Content-Transfer-Encoding: base64\n\naGVsbG8gaGVsbG8=\n");
        let part = message.part(0).unwrap();
        assert_eq!(part.find(b"hello", 0), Some(0));
        assert_eq!(part.find(b"hello", 1), Some(6));
        assert_eq!(part.content_size(), 11);
        assert_eq!((part.find(b"hello", 7), part.find(b"aGVs", 0), part.find(b"", 0)), (None, None, None));
        assert_eq!(
            (part.start(4), part.start(99), part.start(0)),
            (b"hell".to_vec(), b"hello hello".to_vec(), Vec::new())
        );
    }

    #[test]
    fn all_parts_are_listed_with_what_they_are_in() {
        for count in [1, 254, 255, 256, 600] {
            let mut mail = String::from("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n");
            for number in 0..count {
                mail.push_str(&format!(
                    "--b\nContent-Type: text/x-{number}; charset=utf-8; name=f{number}\n\ntext {number}\n"
                ));
            }
            mail.push_str("--b--\n");
            let message = Message::from(mail.as_str());
            let parts: Vec<_> = message.parts().collect();
            assert_eq!(parts.len(), count + 1);
            assert!(parts[0].is_container() && parts[0].parent().is_none());
            for (number, part) in parts[1..].iter().enumerate() {
                assert_eq!(part.index() as usize, number + 1);
                assert_eq!(part.media_type(), format!("text/x-{number}"));
                assert_eq!(part.file_name(), Some(format!("f{number}")));
                assert_eq!(part.parameter("charset").as_deref(), Some("utf-8"));
                assert_eq!(part.read_text(100).unwrap(), format!("text {number}"));
                let parent = part.parent().unwrap();
                assert_eq!((parent.index(), parent.media_type()), (0, "multipart/mixed".to_owned()));
            }
            assert_eq!(message.part(count as u32).unwrap().media_type(), format!("text/x-{}", count - 1));
            assert!(message.part(count as u32 + 1).is_none());
        }
    }
}
