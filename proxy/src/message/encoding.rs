//! Transfer encodings (RFC 2045, section 6), decoded step by step and as lenient clients decode them.
//!
//! A decoder never fails: it gives what can be decoded and notes whether a strict reader would have seen
//! something else.

mod base64;
mod quoted;
mod uu;

pub(super) use uu::is_begin as is_uuencode;

use super::parameters;

pub(super) use base64::encoded as base64;
pub(super) use quoted::encoded as quoted_printable;

/// How the body of a part is encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Encoding {
    Identity,
    Base64,
    QuotedPrintable,
    Uuencode,
}

impl Encoding {
    /// The encoding that the value of a Content-Transfer-Encoding field means, and whether a strict reader would
    /// know it by this spelling.
    pub(super) fn named(value: &str) -> (Self, bool) {
        let spelled = value.trim_matches([' ', '\t']).to_ascii_lowercase();
        let bare = parameters::without_comments(&spelled);
        let bare = bare.split(';').next().unwrap_or_default();
        let bare =
            bare.trim_matches(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '.' | ','));
        let plain = bare == spelled;
        match bare {
            "" => (Self::Identity, false),
            "7bit" | "8bit" | "binary" => (Self::Identity, plain),
            "base64" => (Self::Base64, plain),
            "quoted-printable" => (Self::QuotedPrintable, plain),
            "x-uuencode" | "uuencode" | "x-uue" | "uue" => (Self::Uuencode, plain),
            other if other.contains("base64") || other.contains("base-64") => (Self::Base64, false),
            other if other.contains("quoted") => (Self::QuotedPrintable, false),
            _ => (Self::Identity, false),
        }
    }
}

/// The state of decoding one body.
pub(super) enum Decoder {
    Identity,
    Base64(base64::Decoder),
    QuotedPrintable(quoted::Decoder),
    Uuencode(uu::Decoder),
}

impl Decoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Base64 => Self::Base64(base64::Decoder::default()),
            Encoding::QuotedPrintable => Self::QuotedPrintable(quoted::Decoder::default()),
            Encoding::Uuencode => Self::Uuencode(uu::Decoder::default()),
        }
    }

    /// Decodes the next octets of the body onto `out`.
    pub(super) fn push(&mut self, encoded: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(encoded),
            Self::Base64(decoder) => decoder.push(encoded, out),
            Self::QuotedPrintable(decoder) => decoder.push(encoded, out),
            Self::Uuencode(decoder) => decoder.push(encoded, out),
        }
    }

    /// The body is complete: gives what is still held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Identity => {}
            Self::Base64(decoder) => decoder.finish(out),
            Self::QuotedPrintable(decoder) => decoder.finish(out),
            Self::Uuencode(decoder) => decoder.finish(out),
        }
    }

    /// The fault seen so far that makes strict and lenient readers disagree.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Base64(decoder) => decoder.is_faulty().then_some("bad-base64"),
            Self::QuotedPrintable(decoder) => decoder.is_faulty().then_some("bad-quoted-printable"),
            Self::Uuencode(decoder) => decoder.is_faulty().then_some("bad-uuencode"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_spellings_of_an_encoding_are_understood_and_noted() {
        use Encoding::{Base64, Identity, QuotedPrintable, Uuencode};
        let table = [
            ("base64", Base64, true),
            ("BASE64", Base64, true),
            (" Base64 ", Base64, true),
            ("\"base64\"", Base64, false),
            ("base64 (as usual)", Base64, false),
            ("(x) base64;", Base64, false),
            ("x-base64", Base64, false),
            ("quoted-printable", QuotedPrintable, true),
            ("quoted_printable", QuotedPrintable, false),
            ("7bit", Identity, true),
            ("8-bit", Identity, false),
            ("", Identity, false),
            ("x-uuencode", Uuencode, true),
            ("none", Identity, false),
        ];
        for (value, encoding, plain) in table {
            assert_eq!(Encoding::named(value), (encoding, plain), "{value:?}");
        }
    }
}
