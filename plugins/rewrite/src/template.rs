//! Texts with placeholders: `{user}`, `{header:From}`.

use popgate_plugin::Message;
use serde::Deserialize;

use crate::pattern::HeaderName;

/// A text with placeholders for facts and header fields.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Fact(String),
    Header(HeaderName),
}

impl Template {
    /// The text for this message; what is not known is empty.
    pub(crate) fn fill(&self, message: &Message) -> String {
        self.fill_with(message, |value| value)
    }

    /// The same, with each value from the mail passed through `escape`.
    pub(crate) fn fill_with(&self, message: &Message, escape: impl Fn(String) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Fact(name) => escape(message.fact(name).unwrap_or_default()),
            Piece::Header(name) => escape(message.header(name.as_str()).unwrap_or_default()),
        };
        self.0.iter().map(piece).collect()
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if written.contains(char::is_control) {
            return Err("control characters can't stand in a header field".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = written.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (text, behind) = rest.split_at(at);
            pieces.push(Piece::Text(text.to_owned()));
            rest = if let Some(behind) = behind.strip_prefix("{{") {
                pieces.push(Piece::Text("{".to_owned()));
                behind
            } else if let Some(behind) = behind.strip_prefix("}}") {
                pieces.push(Piece::Text("}".to_owned()));
                behind
            } else if let Some((name, behind)) = behind[1..].split_once('}').filter(|_| behind.starts_with('{')) {
                pieces.push(placeholder(name)?);
                behind
            } else {
                return Err(format!("`{written}` has a brace without its other; `{{{{` and `}}}}` are braces"));
            };
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }
}

/// The placeholder between the braces.
fn placeholder(name: &str) -> Result<Piece, String> {
    if let Some(header) = name.strip_prefix("header:") {
        return HeaderName::try_from(header.to_owned()).map(Piece::Header);
    }
    let fits = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_' || octet == b'-';
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!("`{{{name}}}` is neither `{{header:Name}}` nor a fact like `{{user}}`"));
    }
    Ok(Piece::Fact(name.to_owned()))
}
