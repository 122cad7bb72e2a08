//! A text part with some of its text changed: octets that no change touches stay as they were, where its charset allows
//! that, and its header says what the octets are.

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Serialize};

use super::encoding::{self, Encoding as Transfer};
use super::{EditError, Message, Part};

/// Octets of a decoded text that can be changed, at most.
pub const TEXT_MAX: usize = 16 * 1024 * 1024;

/// One change of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Splice {
    /// What is replaced, in octets of the text as UTF-8, as [`Part::text`] gives it; empty to insert.
    pub range: Range<u64>,
    /// What stands there then, with line ends as they are to be.
    pub text: String,
}

/// A text part as it is to be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Retext {
    /// The part.
    pub(super) index: usize,
    /// Its body, encoded for transport.
    pub(super) body: Vec<u8>,
    /// Content-Transfer-Encoding, if that changes.
    pub(super) transfer: Option<Cow<'static, str>>,
    /// Content-Type, if that changes.
    pub(super) content_type: Option<String>,
    /// Whether any of the text is lost.
    pub(super) loses: bool,
}

impl Retext {
    pub(super) fn new(message: &Message, index: usize, splices: &[Splice]) -> Result<Self, EditError> {
        let part = message.parts().get(index).ok_or(EditError::NoSuchPart(index))?;
        if part.container || !part.media_type.starts_with("text/") {
            return Err(EditError::NoText(index));
        }
        if part.place.enclosing.is_some() {
            return Err(EditError::Enclosed(index));
        }
        let mut content = part.content(message);
        let old = content.read(TEXT_MAX + 1);
        if old.len() > TEXT_MAX {
            return Err(EditError::TooLong { what: "the text", max: TEXT_MAX });
        }
        let label = Label::of(part);
        let Spliced { octets, charset, lossy } = spliced(&old, &label, splices)?;
        let eight_bit = part.encoding == Transfer::Identity && !old.is_ascii();
        let (body, transfer) = encoded(octets, part, eight_bit, &boundaries(message, part));
        Ok(Self {
            index,
            body,
            transfer: transfer.filter(|name| !has_transfer(message, part, name)).map(Cow::Borrowed),
            content_type: charset.map(|charset| content_type(part, charset)),
            loses: lossy || splices.iter().any(|splice| !splice.range.is_empty()),
        })
    }

    /// Whether the part's header says something else of the new body.
    pub(super) fn changes_header(&self) -> bool {
        self.transfer.is_some() || self.content_type.is_some()
    }

    /// Octets of the new body.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len()
    }
}

/// The charset of a text.
struct Label {
    encoding: &'static Encoding,
    reach: Reach,
}

/// Which octets the label has a meaning for, where the encoding that readers use for it has more.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reach {
    /// All that the encoding has.
    All,
    /// None from 0x80 to 0x9F: ISO 8859, read as a code page of Windows.
    Iso8859,
    /// None beyond ASCII.
    Ascii,
}

impl Reach {
    fn includes(self, octet: u8) -> bool {
        match self {
            Self::All => true,
            Self::Iso8859 => !(0x80..0xa0).contains(&octet),
            Self::Ascii => octet.is_ascii(),
        }
    }
}

impl Label {
    fn of(part: &Part) -> Self {
        let label = part.parameter("charset").unwrap_or_default().trim().to_ascii_lowercase();
        let known = Encoding::for_label(label.as_bytes());
        let ascii = known.is_none() || label.contains("ascii") || label == "ansi_x3.4-1968";
        let windows = ["windows-", "x-cp", "cp1"].iter().any(|start| label.starts_with(start));
        let encoding = known.unwrap_or(UTF_8);
        let reach = match () {
            () if ascii => Reach::Ascii,
            () if encoding.name().starts_with("windows-") && !windows => Reach::Iso8859,
            () => Reach::All,
        };
        Self { encoding, reach }
    }

    /// The text in this charset, if it has all of its characters.
    fn encode<'t>(&self, text: &'t str) -> Option<Cow<'t, [u8]>> {
        if text.is_ascii() && self.encoding.is_ascii_compatible() {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        let (octets, used, unmappable) = self.encoding.encode(text);
        let fits = !unmappable && used == self.encoding && octets.iter().all(|octet| self.reach.includes(*octet));
        fits.then_some(octets)
    }
}

struct Spliced {
    octets: Vec<u8>,
    /// The charset to name, if another one.
    charset: Option<&'static str>,
    /// Whether the old text had octets without a meaning, and they are gone.
    lossy: bool,
}

fn spliced(old: &[u8], label: &Label, splices: &[Splice]) -> Result<Spliced, EditError> {
    if let Some(octets) = in_place(old, label, splices)? {
        return Ok(Spliced { octets, charset: None, lossy: false });
    }
    let (text, lossy) = label.encoding.decode_with_bom_removal(old);
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for splice in splices {
        let (start, end) = (offset(splice.range.start)?, offset(splice.range.end)?);
        let between = text.get(at..start).filter(|_| start <= end && text.is_char_boundary(end));
        new.push_str(between.ok_or(EditError::Splice)?);
        new.push_str(&splice.text);
        at = end;
    }
    new.push_str(text.get(at..).ok_or(EditError::Splice)?);
    if !lossy && let Some(octets) = label.encode(&new) {
        return Ok(Spliced { octets: octets.into_owned(), charset: None, lossy });
    }
    Ok(Spliced { octets: new.into_bytes(), charset: Some("utf-8"), lossy })
}

/// The octets with the splices between them; none for a charset in which a place in the text is not found so, and for texts that
/// it has no characters for.
fn in_place(old: &[u8], label: &Label, splices: &[Splice]) -> Result<Option<Vec<u8>>, EditError> {
    let bom = if label.encoding == UTF_8 && old.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut places: Box<dyn FnMut(u64) -> Option<usize>> = if label.encoding == UTF_8 {
        Box::new(utf8_places(&old[bom..]))
    } else if label.encoding.is_single_byte() {
        Box::new(single_byte_places(old, label.encoding))
    } else {
        return Ok(None);
    };
    let mut new = Vec::with_capacity(old.len());
    let mut at = 0;
    for splice in splices {
        let start = bom + places(splice.range.start).ok_or(EditError::Splice)?;
        let end = bom + places(splice.range.end).ok_or(EditError::Splice)?;
        let Some(text) = label.encode(&splice.text) else { return Ok(None) };
        new.extend_from_slice(old.get(at..start).filter(|_| start <= end).ok_or(EditError::Splice)?);
        new.extend_from_slice(&text);
        at = end;
    }
    new.extend_from_slice(&old[at..]);
    Ok(Some(new))
}

/// Where an offset of the text is in octets that should be UTF-8. Offsets have to come in their order; none for one inside of a
/// character or beyond the end.
fn utf8_places(old: &[u8]) -> impl FnMut(u64) -> Option<usize> + '_ {
    /// Octets of U+FFFD, which stands for each sequence that is none.
    const REPLACEMENT: usize = 3;
    let mut stretches = old.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid();
        let replaced = (!invalid.is_empty()).then_some(("", invalid.len()));
        [Some((chunk.valid(), chunk.valid().len())), replaced].into_iter().flatten()
    });
    let mut current = stretches.next().unwrap_or_default();
    let (mut text_at, mut raw_at) = (0, 0);
    move |wanted| {
        let wanted = usize::try_from(wanted).ok()?;
        loop {
            let (valid, raw) = current;
            let length = if valid.is_empty() && raw > 0 { REPLACEMENT } else { valid.len() };
            let within = wanted.checked_sub(text_at)?;
            if within < length || (within == length && raw_at + raw == old.len()) {
                let boundary = if valid.is_empty() { within == 0 } else { valid.is_char_boundary(within) };
                return match (boundary, valid.is_empty() && within == length) {
                    (_, true) => Some(raw_at + raw),
                    (true, false) => Some(raw_at + within),
                    (false, false) => None,
                };
            }
            text_at += length;
            raw_at += raw;
            current = stretches.next()?;
        }
    }
}

/// The same for a charset with one octet per character.
fn single_byte_places<'o>(old: &'o [u8], encoding: &'static Encoding) -> impl FnMut(u64) -> Option<usize> + 'o {
    let mut lengths = [1u8; 256];
    for octet in 128..=255u8 {
        let length = encoding.decode_without_bom_handling(&[octet]).0.len();
        lengths[usize::from(octet)] = u8::try_from(length).unwrap_or(u8::MAX);
    }
    let (mut text_at, mut raw_at) = (0u64, 0);
    move |wanted| {
        while text_at < wanted {
            text_at += u64::from(lengths[usize::from(*old.get(raw_at)?)]);
            raw_at += 1;
        }
        (text_at == wanted).then_some(raw_at)
    }
}

fn offset(offset: u64) -> Result<usize, EditError> {
    usize::try_from(offset).map_err(|_| EditError::Splice)
}

/// The body for transport, and its encoding if that is another one.
fn encoded(octets: Vec<u8>, part: &Part, eight_bit: bool, boundaries: &[&str]) -> (Vec<u8>, Option<&'static str>) {
    match part.encoding {
        Transfer::Base64 => (encoding::base64(&octets), None),
        Transfer::Identity if is_plain(&octets, eight_bit, boundaries) => (octets, None),
        Transfer::Identity | Transfer::Uuencode | Transfer::QuotedPrintable => {
            let ascii = octets.iter().filter(|octet| octet.is_ascii()).count();
            // Quoted-printable takes three octets for one, base64 four for three.
            if part.encoding == Transfer::QuotedPrintable || ascii * 6 >= octets.len() * 5 {
                let quoted = encoding::quoted_printable(&octets);
                if is_plain(&quoted, false, boundaries) {
                    return (quoted, Some("quoted-printable"));
                }
            }
            (encoding::base64(&octets), Some("base64"))
        }
    }
}

/// Whether octets can be sent as they are (RFC 5322, section 2.1.1; RFC 2045, section 2.8).
fn is_plain(octets: &[u8], eight_bit: bool, boundaries: &[&str]) -> bool {
    const LINE: usize = 998;
    let lines = octets.strip_suffix(b"\r\n").unwrap_or(octets).split(|&octet| octet == b'\n');
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        let text = match (line.strip_suffix(b"\r"), lines.peek()) {
            (Some(text), Some(_)) => text,
            (None, None) => line,
            _ => return false,
        };
        let delimits =
            |boundary: &&str| text.strip_prefix(b"--").is_some_and(|rest| rest.starts_with(boundary.as_bytes()));
        if text.len() > LINE
            || text.iter().any(|&octet| matches!(octet, 0 | b'\r') || (!eight_bit && octet >= 128))
            || boundaries.iter().any(delimits)
        {
            return false;
        }
    }
    true
}

/// The boundaries of the containers around a part.
fn boundaries<'m>(message: &'m Message, part: &Part) -> Vec<&'m str> {
    let parts = message.parts();
    let outward = std::iter::successors(part.parent, |&index| parts[index].parent);
    outward.filter_map(|index| parts[index].parameter("boundary")).collect()
}

/// Whether the header says this encoding already.
fn has_transfer(message: &Message, part: &Part, name: &str) -> bool {
    let fields = part.headers(message, "Content-Transfer-Encoding");
    matches!(&fields[..], [only] if only.eq_ignore_ascii_case(name))
}

/// Content-Type as it was, with another charset (RFC 2045, section 5.1; RFC 2231, section 4).
fn content_type(part: &Part, charset: &str) -> String {
    let mut value = format!("{}; charset={charset}", part.media_type);
    let mut known = vec!["charset"];
    for (name, text) in part.parameters.iter() {
        if known.contains(&name) || !name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
            continue;
        }
        known.push(name);
        value.push_str("; ");
        value.push_str(name);
        if text.bytes().all(|octet| matches!(octet, 32..=126)) {
            value.push_str("=\"");
            value.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
            value.push('"');
        } else {
            value.push_str("*=utf-8''");
            for octet in text.bytes() {
                if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
                    value.push(char::from(octet));
                } else {
                    value.push_str(&format!("%{octet:02X}"));
                }
            }
        }
    }
    value
}

#[cfg(test)]
mod tests;
