//! A mail taken apart, for tests.
//!
//! The structure is mail-parser's. Content is decoded here, tolerantly, as the real host does it: mail-parser
//! leaves a base64 part undecoded at the first illegal character.

use std::rc::Rc;

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use crate::Header;

/// A parsed mail.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) raw: Vec<u8>,
    pub(super) header_size: usize,
    pub(super) fields: Vec<Header>,
    /// Names, and what stands behind the colon.
    pub(super) raw_fields: Vec<(String, Vec<u8>)>,
    pub(super) parts: Vec<Rc<Part>>,
}

/// A part; the names are those of the WIT.
#[derive(Default)]
pub(super) struct Part {
    pub(super) media_type: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) fields: Vec<Header>,
    pub(super) file_name: Option<String>,
    pub(super) disposition: Option<String>,
    pub(super) parent: Option<u32>,
    pub(super) container: bool,
    pub(super) ambiguous: bool,
    pub(super) encoded_size: usize,
    pub(super) content: Vec<u8>,
}

impl Part {
    /// The content from its charset into UTF-8.
    pub(super) fn text(&self) -> String {
        let charset = self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("charset"));
        let decoder = charset.and_then(|(_, charset)| charset_decoder(charset.as_bytes()));
        match decoder {
            Some(decode) => decode(&self.content),
            None => String::from_utf8_lossy(&self.content).into_owned(),
        }
    }
}

impl Mail {
    pub(super) fn parse(raw: Vec<u8>) -> Self {
        let mut mail = Self::default();
        match MessageParser::default().parse(&raw) {
            Some(message) => {
                mail.fields = fields(&message, message.root_part());
                mail.raw_fields = raw_fields(&message);
                mail.header_size = message.root_part().raw_body_offset() as usize;
                mail.add(&message, 0, None);
            }
            None => mail.parts.push(Rc::new(Part {
                media_type: "text/plain".to_owned(),
                encoded_size: raw.len(),
                content: raw.clone(),
                ..Part::default()
            })),
        }
        mail.raw = raw;
        mail
    }

    /// Adds the part `id` of `message`, and what is in it behind it.
    fn add(&mut self, message: &Message<'_>, id: u32, parent: Option<u32>) {
        let Some(source) = message.parts.get(id as usize) else { return };
        let index = u32::try_from(self.parts.len()).ok();
        let raw = &message.raw_message;
        let range = source.raw_body_offset() as usize..source.raw_end_offset() as usize;
        let encoded = raw.get(range).unwrap_or_default();
        let mut part = describe(source);
        part.parent = parent;
        part.fields = fields(message, source);
        part.encoded_size = encoded.len();
        if !part.container {
            part.content = decode(source, encoded);
        }
        self.parts.push(Rc::new(part));
        match &source.body {
            PartType::Multipart(children) => {
                children.iter().for_each(|&child| self.add(message, child, index));
            }
            PartType::Message(inner) => self.add(inner, 0, index),
            _ => {}
        }
    }
}

/// The header fields with their names as they were written and their values decoded.
fn fields(message: &Message<'_>, part: &MessagePart<'_>) -> Vec<Header> {
    let raw = &message.raw_message;
    let text = |from: u32, to: u32| raw.get(from as usize..to as usize).unwrap_or_default();
    let field = |header: &mail_parser::Header<'_>| {
        let name = String::from_utf8_lossy(text(header.offset_field, header.offset_start));
        let value = MessageStream::new(text(header.offset_start, header.offset_end)).parse_unstructured();
        let value = match value {
            HeaderValue::Text(value) => value.into_owned(),
            _ => String::new(),
        };
        Header { name: name.trim_end_matches([':', ' ', '\t']).to_owned(), value }
    };
    part.headers.iter().map(field).collect()
}

/// The header fields with what stands behind the colon as it was written.
fn raw_fields(message: &Message<'_>) -> Vec<(String, Vec<u8>)> {
    let raw = &message.raw_message;
    let text = |from: u32, to: u32| raw.get(from as usize..to as usize).unwrap_or_default();
    let field = |header: &mail_parser::Header<'_>| {
        let name = String::from_utf8_lossy(text(header.offset_field, header.offset_start));
        let value = text(header.offset_start, header.offset_end).to_vec();
        (name.trim_end_matches([':', ' ', '\t']).to_owned(), value)
    };
    message.root_part().headers.iter().map(field).collect()
}

fn describe(source: &MessagePart<'_>) -> Part {
    let content_type = source.content_type();
    let disposition = source.content_disposition();
    let attributes = content_type.and_then(mail_parser::ContentType::attributes).unwrap_or_default();
    let several = |name: &HeaderName<'_>| source.headers.iter().filter(|header| header.name == *name).nth(1).is_some();
    Part {
        media_type: content_type.map_or_else(
            || "text/plain".to_owned(),
            |value| format!("{}/{}", value.ctype(), value.subtype().unwrap_or("plain")).to_lowercase(),
        ),
        parameters: attributes
            .iter()
            .map(|attribute| (attribute.name.to_string(), attribute.value.to_string()))
            .collect(),
        file_name: source.attachment_name().map(str::to_owned),
        disposition: disposition.map(|value| value.ctype().to_lowercase()),
        container: source.is_multipart() || source.is_message(),
        ambiguous: source.is_encoding_problem
            || several(&HeaderName::ContentType)
            || several(&HeaderName::ContentTransferEncoding),
        ..Part::default()
    }
}

fn decode(source: &MessagePart<'_>, encoded: &[u8]) -> Vec<u8> {
    let encoding = source.content_transfer_encoding().unwrap_or_default().trim().to_lowercase();
    match encoding.as_str() {
        "base64" => base64(encoded),
        "quoted-printable" => quoted_printable_decode(encoded).unwrap_or_else(|| encoded.to_vec()),
        _ => encoded.to_vec(),
    }
}

/// Decodes base64 (RFC 2045, section 6.8) and skips whatever is not of its alphabet.
fn base64(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for &octet in encoded {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                count = 0;
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::base64;
    use crate::Message;

    const MAIL: &str = "\
From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\n\
Received: one\nRECEIVED: two\n\
Content-Type: multipart/mixed; boundary=b; x-note=\"n\"\n\n\
--b\n\nplain text\n\
--b\nContent-Type: Application/X-Thing; name=\"other.bin\"\n\
Content-Disposition: ATTACHMENT; filename*=utf-8''na%C3%AFve.exe\n\
Content-Transfer-Encoding: base64\n\naGVs*bG8=\n\
--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n\
--b--\n";

    #[test]
    fn a_mail_is_taken_apart_as_the_host_does_it() {
        let message = Message::from(MAIL);
        assert_eq!(message.header("from").as_deref(), Some("Jörg <j@example.org>"));
        assert_eq!(message.headers("Received"), ["one", "two"]);
        assert_eq!(message.header_fields().nth(2).unwrap().name, "RECEIVED");
        assert_eq!(message.read(message.header_size(), 3), b"--b");
        assert_eq!(message.find(b"inner text", 0).map(|at| message.read(at, 5)), Some(b"inner".into()));

        let outline: Vec<_> = message
            .parts()
            .map(|part| (part.media_type(), part.parent().map(|parent| parent.index()), part.is_container()))
            .collect();
        assert_eq!(
            outline,
            [
                ("multipart/mixed".to_owned(), None, true),
                ("text/plain".to_owned(), Some(0), false),
                ("application/x-thing".to_owned(), Some(0), false),
                ("message/rfc822".to_owned(), Some(0), true),
                ("text/plain".to_owned(), Some(3), false),
            ]
        );
        let [root, _, thing, _, inner] = [0, 1, 2, 3, 4].map(|index| message.part(index).unwrap());
        assert_eq!(root.parameter("X-NOTE").as_deref(), Some("n"));
        assert_eq!(thing.file_name().as_deref(), Some("naïve.exe"));
        assert_eq!(thing.parameter("name").as_deref(), Some("other.bin"));
        assert_eq!(thing.disposition().as_deref(), Some("attachment"));
        assert_eq!(thing.read_to_end(100).unwrap(), b"hello");
        assert_eq!(thing.header("content-transfer-encoding").as_deref(), Some("base64"));
        assert_eq!(inner.headers("Subject"), ["inner"]);
        assert_eq!(message.raw_headers("received"), [b" one\r\n", b" two\r\n"].map(Vec::from));
        assert!(thing.is_ambiguous());
        assert_eq!(inner.read_to_end(100).unwrap().trim_ascii(), b"inner text");
    }

    #[test]
    fn text_is_utf_8_whatever_its_charset() {
        let message =
            Message::from("Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: base64\n\n6Q==\n");
        assert_eq!(message.part(0).unwrap().text().collect(100, "text").unwrap(), "\u{e9}".as_bytes());
    }

    #[test]
    fn what_is_no_mail_is_one_part() {
        for raw in ["", "\n", "no header at all", "\n\nbody"] {
            let message = Message::from(raw);
            assert_eq!(message.part_count(), 1, "{raw:?}");
            assert_eq!(message.part(0).unwrap().media_type(), "text/plain");
            assert!(message.part(1).is_none());
        }
    }

    #[test]
    fn base64_is_decoded_like_clients_do() {
        for (encoded, decoded) in
            [("aGVsbG8=", "hello"), ("aGV\r\nsbG8", "hello"), ("aGVs!!bG8=", "hello"), ("aGU=aGU=", "hehe"), ("", "")]
        {
            assert_eq!(base64(encoded.as_bytes()), decoded.as_bytes(), "{encoded}");
        }
    }
}
