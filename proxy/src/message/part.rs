//! One MIME part: what its header says, and where its octets are.

use std::ops::Range;

use bytes::Bytes;

use super::content::Content;
use super::encoding::Encoding;
use super::octets::Octets;
use super::parameters::Parameters;
use super::{Message, fields, structure, words};

/// A part of a message: a container, or a leaf with content.
#[derive(Clone)]
pub struct Part {
    pub(super) media_type: String,
    pub(super) parameters: Parameters,
    pub(super) disposition: Option<String>,
    pub(super) disposition_parameters: Parameters,
    pub(super) encoding: Encoding,
    pub(super) parent: Option<usize>,
    pub(super) container: bool,
    pub(super) faults: Vec<structure::Fault>,
    pub(super) place: Place,
    /// Its decoded content, where that was kept.
    pub(super) decoded: Option<Bytes>,
}

/// Where a part is. Offsets count in the message, or in `decoded` if that is set.
#[derive(Clone)]
pub(super) struct Place {
    /// The decoded content of the encoded part around this one, if there is one.
    pub(super) decoded: Option<Octets>,
    /// The outermost encoded part around this one.
    pub(super) enclosing: Option<usize>,
    /// From the delimiter line in front of the part up to the next delimiter line.
    pub(super) whole: Range<u64>,
    /// Where the part's header begins.
    pub(super) header: u64,
    /// The body, without the line end that belongs to the next delimiter.
    pub(super) body: Range<u64>,
}

impl Part {
    /// The media type in lower case without parameters; `text/plain` when none, or none that can be read, is given.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// A parameter of Content-Type, decoded (RFC 2231); names match in either case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.first(name)
    }

    /// The parameters of Content-Type, decoded: names in lower case, and values. Of several with one name the first counts.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter()
    }

    /// The file name of Content-Disposition, else the `name` of Content-Type, decoded. It is not cleaned.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.disposition_parameters.first("filename").or_else(|| self.parameter("name"))
    }

    /// `inline`, `attachment` or another disposition in lower case.
    #[must_use]
    pub fn disposition(&self) -> Option<&str> {
        self.disposition.as_deref()
    }

    /// The index of the container; none for part 0.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Whether its inner parts are listed. A container has no content of its own.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.container
    }

    /// Whether its structure or encoding can be read in more than one way. A container that is never closed is not: every
    /// client takes the end of the message for its end, and plenty of honest mail is cut so.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.faults.iter().any(|fault| *fault != "unclosed")
    }

    /// Octets of its body, still encoded, without its header.
    #[must_use]
    pub fn encoded_size(&self) -> u64 {
        self.place.body.end - self.place.body.start
    }

    /// The decoded values of all fields of this name (ASCII letters of either case) in the part's own header, in their order,
    /// from its first MiB. `message` is the one that the part is of.
    #[must_use]
    pub fn headers(&self, message: &Message, name: &str) -> Vec<String> {
        let octets = self.place.decoded.as_ref().unwrap_or(&message.0.octets);
        let end = self.place.body.start.min(self.place.header.saturating_add(fields::BLOCK_MAX));
        let block = octets.bytes(self.place.header..end.max(self.place.header));
        let named = fields::lines(&block)
            .filter(|line| line.name.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())));
        named.map(|line| words::decode(line.value)).collect()
    }

    /// The decoded content as UTF-8, from its beginning, by the part's charset; see [`Content::as_text`]. `message` is the
    /// one that the part is of.
    #[must_use]
    pub fn text(&self, message: &Message) -> Content {
        self.content(message).as_text(self.parameter("charset").unwrap_or_default())
    }

    /// The decoded content from its beginning, as a stream. `message` is the one that the part is of.
    #[must_use]
    pub fn content(&self, message: &Message) -> Content {
        if let Some(decoded) = &self.decoded {
            return Content::new(decoded.clone().into(), 0..decoded.len() as u64, Encoding::Identity);
        }
        let octets = self.place.decoded.as_ref().unwrap_or(&message.0.octets);
        let body = if self.container { 0..0 } else { self.place.body.clone() };
        Content::new(octets.clone(), body, self.encoding)
    }
}

impl std::fmt::Debug for Part {
    /// The type and the size alone: mail text does not belong into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.encoded_size();
        f.debug_struct("Part").field("media_type", &self.media_type).field("octets", &size).finish_non_exhaustive()
    }
}
