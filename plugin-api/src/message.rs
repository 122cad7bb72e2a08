//! The message under examination.

use std::fmt;
use std::io::{self, Write};

use crate::{Part, Reader, Refused, host};

/// A message, as POP3 transports it after un-stuffing: line ends are CRLF as a rule, but NUL, bare LF and
/// 8-bit octets occur.
///
/// It stays with the host; what a filter does not read costs nothing. Reading never fails: what does not exist
/// is empty or none. Edits take effect together when the filter has answered `Pass`, and are discarded
/// otherwise; they do not change what this filter reads.
pub struct Message {
    pub(crate) host: host::Message,
}

/// A header field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name as it stands in the message.
    pub name: String,
    /// The value, unfolded, with encoded words (RFC 2047) decoded.
    pub value: String,
}

/// What a filter found out about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The configured name of the filter that reported it. The host fills it in.
    pub filter: String,
    /// A short name, for example `EICAR`: 1 to 64 letters, digits and `_`.
    pub symbol: String,
    /// Spam points; 0 for a finding that is no evidence of spam.
    pub points: f64,
    /// A measured value, for example a probability.
    pub value: Option<f64>,
    /// One line for people, at most 1,024 octets.
    pub text: String,
}

impl Finding {
    /// A finding without points and value.
    pub fn new(symbol: impl Into<String>, text: impl Into<String>) -> Self {
        Self { filter: String::new(), symbol: symbol.into(), points: 0.0, value: None, text: text.into() }
    }

    /// The same with spam points.
    #[must_use]
    pub fn with_points(self, points: f64) -> Self {
        Self { points, ..self }
    }

    /// The same with a measured value.
    #[must_use]
    pub fn with_value(self, value: f64) -> Self {
        Self { value: Some(value), ..self }
    }
}

/// Of how many parts the host tells at a time.
const INFOS: u32 = 256;

/// What a filter reads.
impl Message {
    /// Octets of the whole message.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.host.size()
    }

    /// Octets of the header block, the empty line included.
    #[must_use]
    pub fn header_size(&self) -> u64 {
        self.host.header_size()
    }

    /// Up to `length` octets from `offset`; never more than 65,536.
    #[must_use]
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap_or(host::CHUNK).min(host::CHUNK);
        self.host.read(offset, length)
    }

    /// The whole message as a stream.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        let mut offset = 0;
        Reader::new(move || {
            let chunk = self.host.read(offset, host::CHUNK);
            offset += chunk.len() as u64;
            chunk
        })
    }

    /// The offset of the first occurrence of `needle` (1 to 1,024 octets) at or behind `start`. The host
    /// searches; nothing is copied.
    #[must_use]
    pub fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        self.host.find(needle, start)
    }

    /// A fact about the session or the message: `user`, `client`, `listener`, `upstream`, `tls`, `command`,
    /// `uidl`, `ambiguous`, `truncated`, `sdps-sender`, `sdps-recipient`. None when it is not known.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<String> {
        self.host.fact(name)
    }

    /// The decoded value of the first header field of this name (letters of either case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.host.header(name)
    }

    /// The decoded values of all header fields of this name, in their order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.host.headers(name)
    }

    /// What stands behind the colon of all header fields of this name, octet for octet, line ends included.
    #[must_use]
    pub fn raw_headers(&self, name: &str) -> Vec<Vec<u8>> {
        self.host.raw_headers(name)
    }

    /// All header fields, in their order.
    pub fn header_fields(&self) -> impl Iterator<Item = Header> {
        /// As many as the host gives at a time.
        const COUNT: u32 = 256;
        (0..)
            .map(|page| host::header_fields(&self.host, page * COUNT, COUNT))
            .take_while(|fields| !fields.is_empty())
            .flatten()
    }

    /// How many parts the message has, containers included; at least 1.
    #[must_use]
    pub fn part_count(&self) -> u32 {
        self.host.part_count()
    }

    /// The part at `index`; part 0 is the message itself.
    #[must_use]
    pub fn part(&self, index: u32) -> Option<Part<'_>> {
        let info = host::part_infos(&self.host, index, 1).pop()?;
        Some(Part::known(self, index, info))
    }

    /// All parts: the message itself first, children behind their container.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let info = |(index, info)| Part::known(self, index, info);
        (0..)
            .step_by(INFOS as usize)
            .map(|start| (start, host::part_infos(&self.host, start, INFOS)))
            .take_while(|(_, infos)| !infos.is_empty())
            .flat_map(|(start, infos)| (start..).zip(infos))
            .map(info)
    }

    /// What filters before this one have reported.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        host::findings(&self.host)
    }
}

/// What a filter reports and edits.
impl Message {
    /// Reports a finding.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the symbol or the text is not as [`Finding`] says.
    pub fn report(&self, finding: &Finding) -> Result<(), Refused> {
        let Finding { filter: _, symbol, points, value, text } = finding;
        self.host.report(symbol, *points, *value, text).map_err(Refused)
    }

    /// Leaves a token of 1 to 65,536 octets, by which the filter can learn the message when it is gone: see
    /// [`LearningByToken`](crate::LearningByToken). The last one counts, whether the filter passes the message or holds it.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it has another size.
    pub fn leave_learn_token(&self, token: &[u8]) -> Result<(), Refused> {
        self.host.leave_learn_token(token).map_err(Refused)
    }

    /// Adds a header field in front of all others. The host encodes and folds the value.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a name that is none and for CR, LF or NUL in the value.
    pub fn add_header(&self, name: &str, value: &str) -> Result<(), Refused> {
        self.host.add_header(name, value).map_err(Refused)
    }

    /// Gives the first header field of this name a new value and removes all further ones; adds one in front if
    /// there is none.
    ///
    /// # Errors
    ///
    /// As [`Message::add_header`].
    pub fn set_header(&self, name: &str, value: &str) -> Result<(), Refused> {
        self.host.set_header(name, value).map_err(Refused)
    }

    /// Removes all header fields of this name.
    ///
    /// # Errors
    ///
    /// [`Refused`] for a name that is none.
    pub fn remove_header(&self, name: &str) -> Result<(), Refused> {
        self.host.remove_header(name).map_err(Refused)
    }

    /// Starts a new text for the whole message: header fields, an empty line, the body. The last one that was
    /// started counts. Each write is a call of the host: a [`std::io::BufWriter`] around it pays.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the host allows no replacement here.
    pub fn replace(&self) -> Result<Replacement, Refused> {
        Ok(Replacement { host: self.host.replace_message().map_err(Refused)? })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its size only: text of mail has no business in a log.
        formatter.debug_struct("Message").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// A message that takes the place of the one that came; what is written is appended.
pub struct Replacement {
    host: host::Replacement,
}

impl Write for Replacement {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = buffer.len().min(host::CHUNK as usize);
        self.host.write(&buffer[..length]).map_err(io::Error::other)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Replacement").finish_non_exhaustive()
    }
}
