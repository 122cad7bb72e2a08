//! A message built anew from its parts, so that there is one way left to read it.
//!
//! The structure and the content are what the host reads. Every leaf is base64, every header field of a part one that
//! was written here. What the host does not tell is lost: Content-ID, Content-Description, preamble and
//! epilogue. So this is for messages that could not be delivered as they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::host::CHUNK;
use crate::{Message, Part, Refused, text};

/// Octets of a line of base64 before they are encoded; 76 behind it (RFC 2045, section 6.8).
const LINE: usize = 57;

/// What the host calls ambiguous although it hides nothing: clients agree on what they show of the parts.
const HARMLESS: [&str; 5] = ["unclosed", "duplicate-from", "duplicate-sender", "duplicate-subject", "duplicate-date"];

/// The longest header block that is rewritten, in octets.
const MAX_HEADER: usize = 1 << 20;

impl Message {
    /// True if the message can be read in more than one way, so that a client may see what a filter did not:
    /// the fact `ambiguous`, or [`Part::is_ambiguous`] of any part.
    ///
    /// A multipart that is never closed, and two From or Subject fields, do not count here: they are in the fact, and hide no
    /// part.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        let told = self.fact("ambiguous").unwrap_or_default();
        told.split(',').any(|word| !word.is_empty() && !HARMLESS.contains(&word))
            || self.parts().any(|part| part.is_ambiguous())
    }

    /// Replaces the message by one built anew, as the host reads it; `replace` may give a plain text that takes
    /// the place of a part and all that is in it.
    ///
    /// It is for messages that are ambiguous: what a client sees of the new one is what filters have seen. Signatures and
    /// inline images (Content-ID) do not survive it. It takes the place of all other edits of parts.
    ///
    /// # Errors
    ///
    /// [`Refused`] if a message is inside of the message, since its header fields are not known, or if the header
    /// block is longer than 1 MiB.
    pub fn rebuild(&self, replace: impl Fn(&Part<'_>) -> Option<String>) -> Result<(), Refused> {
        let root = Node::of(self, replace)?;
        let fields = self.plain_fields()?;
        // In large pieces: each write of a replacement is a call of the host.
        let mut new = BufWriter::with_capacity(CHUNK as usize, self.replace()?);
        let written = new
            .write_all(&fields)
            .and_then(|()| new.write_all(b"MIME-Version: 1.0\r\n"))
            .and_then(|()| root.write(self, &mut new))
            .and_then(|()| new.flush());
        written.map_err(|fault| Refused(fault.to_string()))
    }

    /// The header fields of the message that say nothing about its structure, as they stand in it. Lines that
    /// are no field are left out.
    fn plain_fields(&self) -> Result<Vec<u8>, Refused> {
        let size = usize::try_from(self.header_size()).unwrap_or(usize::MAX);
        if size > MAX_HEADER {
            return Err(Refused(format!("the header block is longer than {MAX_HEADER} octets")));
        }
        let mut block = Vec::with_capacity(size);
        self.reader().take(size as u64).read_to_end(&mut block).map_err(|fault| Refused(fault.to_string()))?;

        let mut fields = Vec::with_capacity(size);
        let mut kept = false;
        for line in block.split(|&octet| octet == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !matches!(line.first(), Some(b' ' | b'\t')) {
                kept = is_plain_field(line);
            }
            if kept {
                // A bare CR is a line end to some.
                fields.extend(line.iter().map(|&octet| if matches!(octet, b'\r' | 0) { b' ' } else { octet }));
                fields.extend_from_slice(b"\r\n");
            }
        }
        Ok(fields)
    }
}

/// True for the first line of a header field that is not of MIME.
fn is_plain_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&octet| octet == b':') else { return false };
    let name = line[..colon].trim_ascii_end().to_ascii_lowercase();
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    valid && !name.starts_with(b"content-") && name != b"mime-version"
}

/// A part of the new message.
struct Node {
    index: u32,
    body: Body,
}

enum Body {
    /// A `multipart/*` with what is in it.
    Multipart(Vec<Node>),
    /// The content of the part.
    Content,
    /// A text in its place.
    Text(String),
}

impl Node {
    /// The tree of the message's parts. The parts come container first, so it is built from its path.
    fn of(message: &Message, replace: impl Fn(&Part<'_>) -> Option<String>) -> Result<Self, Refused> {
        // The containers that are open, the innermost last.
        let mut path: Vec<Self> = Vec::new();
        let mut replaced = BTreeSet::new();
        for part in message.parts() {
            let parent = part.parent().map(|parent| parent.index());
            if parent.is_some_and(|parent| replaced.contains(&parent)) {
                replaced.insert(part.index());
                continue;
            }
            while path.len() > 1 && path.last().map(|open| open.index) != parent {
                close_last(&mut path);
            }
            let body = match replace(&part) {
                Some(text) => {
                    replaced.insert(part.index());
                    Body::Text(text)
                }
                None if !part.is_container() => Body::Content,
                None if part.media_type().starts_with("multipart/") => Body::Multipart(Vec::new()),
                None => return Err(Refused("there is a message inside of the message".to_owned())),
            };
            path.push(Self { index: part.index(), body });
        }
        while path.len() > 1 {
            close_last(&mut path);
        }
        path.pop().ok_or_else(|| Refused("the message has no parts".to_owned()))
    }

    fn write(&self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        let part = message.part(self.index).ok_or_else(|| io::Error::other("a part is gone"))?;
        match &self.body {
            Body::Text(text) => {
                out.write_all(b"Content-Type: text/plain; charset=utf-8\r\n")?;
                write_base64(text.as_bytes(), out)
            }
            Body::Content => {
                out.write_all(leaf_fields(&part).as_bytes())?;
                write_base64(part.content(), out)
            }
            Body::Multipart(children) => {
                // No line of base64 has `_`, so the boundary can't occur in what it bounds.
                let boundary = format!("=_popgate_{}", self.index);
                let media_type = known_type(&part, "multipart/mixed");
                write!(out, "Content-Type: {media_type};\r\n boundary=\"{boundary}\"\r\n\r\n")?;
                for child in children {
                    write!(out, "--{boundary}\r\n")?;
                    child.write(message, out)?;
                }
                write!(out, "--{boundary}--\r\n")
            }
        }
    }
}

/// Puts the last of the open parts into its container.
fn close_last(path: &mut Vec<Node>) {
    let Some(last) = path.pop() else { return };
    match path.last_mut() {
        Some(Node { body: Body::Multipart(children), .. }) => children.push(last),
        // Nothing is ever inside of what is no container; if it were, it must not get lost.
        _ => path.push(last),
    }
}

/// Header fields of a part with content, without its transfer encoding.
fn leaf_fields(part: &Part<'_>) -> String {
    let mut fields = format!("Content-Type: {}", known_type(part, "application/octet-stream"));
    for name in ["charset", "format", "delsp"] {
        if let Some(value) = part.parameter(name) {
            add_parameter(&mut fields, name, &text::clean(&value, 40));
        }
    }
    fields.push_str("\r\n");
    let name = part.file_name().map(|name| text::clean(&name, 100));
    let inline = part.disposition().map_or(name.is_none(), |disposition| disposition == "inline");
    let _ = write!(fields, "Content-Disposition: {}", if inline { "inline" } else { "attachment" });
    if let Some(name) = name {
        add_parameter(&mut fields, "filename", &name);
    }
    fields.push_str("\r\n");
    fields
}

/// The part's media type if it can stand as it is in a header field and in base64. `message/*` can't
/// (RFC 2046, section 5.2).
fn known_type(part: &Part<'_>, otherwise: &str) -> String {
    let media_type = part.media_type();
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&octet);
    let valid = media_type.split_once('/').is_some_and(|(name, subtype)| {
        name != "message" && [name, subtype].iter().all(|word| !word.is_empty() && word.bytes().all(fits))
    });
    if valid && media_type.len() <= 127 { media_type } else { otherwise.to_owned() }
}

/// Adds a parameter on a line of its own, in the segments of RFC 2231 if it is long or not plain ASCII.
fn add_parameter(field: &mut String, name: &str, value: &str) {
    let plain = |octet: u8| (octet.is_ascii_graphic() || octet == b' ') && !matches!(octet, b'"' | b'\\');
    if value.len() <= 60 && value.bytes().all(plain) {
        let _ = write!(field, ";\r\n {name}=\"{value}\"");
        return;
    }
    let mut segments = vec!["utf-8''".to_owned()];
    for octet in value.bytes() {
        if segments.last().is_none_or(|segment| segment.len() > 60) {
            segments.push(String::new());
        }
        if let Some(segment) = segments.last_mut() {
            let _ = match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                    write!(segment, "{}", char::from(octet))
                }
                _ => write!(segment, "%{octet:02X}"),
            };
        }
    }
    for (index, segment) in segments.iter().enumerate() {
        let _ = write!(field, ";\r\n {name}*{index}*={segment}");
    }
}

/// Ends the header fields and writes the content in base64.
fn write_base64(mut content: impl Read, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"Content-Transfer-Encoding: base64\r\n\r\n")?;
    let mut octets = Vec::with_capacity(LINE * 1024);
    let mut lines = String::with_capacity((LINE / 3 * 4 + 2) * 1024);
    loop {
        octets.clear();
        content.by_ref().take((LINE * 1024) as u64).read_to_end(&mut octets)?;
        if octets.is_empty() {
            return Ok(());
        }
        lines.clear();
        for line in octets.chunks(LINE) {
            STANDARD.encode_string(line, &mut lines);
            lines.push_str("\r\n");
        }
        out.write_all(lines.as_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use crate::Message;
    use crate::testing::Edit;

    const MAIL: &str = "\
From: a@example.org\n\
Content-Type: multipart/mixed; boundary=b\n\
Content-Type: multipart/mixed; boundary=c\n\
no field\n\
Subject: folded\n line\n\
MIME-Version: 1.0\n\n\
--b\nContent-Type: multipart/alternative; boundary=d\n\n\
--d\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nh=E9llo\n\
--d\nContent-Type: text/html\n\n<p>hello\n\
--d--\n\
--b\nContent-Disposition: attachment; filename*=utf-8''na%C3%AFve%22.bin\n\
Content-Transfer-Encoding: base64\n\naGVs*bG8=\n\
--b--\n";

    fn rebuilt(message: &Message) -> Message {
        match message.edits().pop() {
            Some(Edit::Replace { message }) => Message::from(message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_new_message_reads_like_the_old_one_and_in_one_way() {
        // mail-parser takes the last Content-Type, so the boundaries are made the same.
        let message = Message::from(&*MAIL.replace("boundary=c", "boundary=b"));
        assert!(message.is_ambiguous());
        message.rebuild(|_| None).unwrap();
        let new = rebuilt(&message);
        assert!(!new.is_ambiguous());
        assert_eq!(new.header("Subject").as_deref(), Some("folded line"));
        let names: Vec<_> = new.header_fields().map(|field| field.name).collect();
        assert_eq!(names, ["From", "Subject", "MIME-Version", "Content-Type"]);

        assert_eq!(new.part_count(), message.part_count());
        for (old, new) in message.parts().zip(new.parts()) {
            assert_eq!(old.parent().map(|part| part.index()), new.parent().map(|part| part.index()));
            assert_eq!(old.read_to_end(1000).unwrap(), new.read_to_end(1000).unwrap());
            assert_eq!(old.file_name(), new.file_name());
            assert_eq!(old.parameter("charset"), new.parameter("charset"));
        }
    }

    #[test]
    fn parts_can_be_replaced_with_all_that_is_in_them() {
        let message = Message::from(&*MAIL.replace("boundary=c", "boundary=b"));
        message.rebuild(|part| (part.index() == 1).then(|| "gone".to_owned())).unwrap();
        let new = rebuilt(&message);
        assert_eq!(new.part_count(), 3);
        assert_eq!(new.part(1).unwrap().read_to_end(10).unwrap(), b"gone");
    }

    #[test]
    fn a_message_inside_of_the_message_is_refused() {
        let message = Message::from("Content-Type: message/rfc822\n\nSubject: inner\n\ntext\n");
        assert!(message.rebuild(|_| None).is_err());
        assert_eq!(message.edits(), []);
    }

    #[test]
    fn a_single_part_stays_a_single_part() {
        let long: String = "0123456789\n".repeat(20_000);
        let message = Message::from(&*format!("Subject: s\nContent-Transfer-Encoding: 8bit\n\n{long}"));
        message.rebuild(|_| None).unwrap();
        let new = rebuilt(&message);
        assert_eq!(new.part_count(), 1);
        assert_eq!(new.part(0).unwrap().read_to_end(1 << 20), message.part(0).unwrap().read_to_end(1 << 20));
    }
}
