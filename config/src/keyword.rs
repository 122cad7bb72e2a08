//! Values that are one of a few words.

use toml::de::DeValue;

use crate::setting::{Refusal, Setting, text};
use crate::suggest::{listed, nearest};

/// An enumeration that is typed as one of its words.
pub(crate) trait Keyword: Copy + 'static {
    /// Every word and what it means, the default first.
    const WORDS: &'static [(&'static str, Self)];

    /// Words that others use for the same, and which one is meant.
    const OTHER_WORDS: &'static [(&'static str, &'static str)] = &[];
}

/// What mail clients and servers call the modes of TLS.
pub(crate) const TLS_WORDS: &[(&str, &str)] = &[
    ("starttls", "stls"),
    ("start-tls", "stls"),
    ("starttls-required", "stls-required"),
    ("ssl", "implicit"),
    ("ssl/tls", "implicit"),
    ("tls", "implicit"),
    ("pop3s", "implicit"),
    ("off", "none"),
    ("plain", "none"),
];

impl<K: Keyword> Setting for K {
    fn kind() -> String {
        format!("one of {}", listed(K::WORDS.iter().map(|(word, _)| *word)))
    }

    fn example() -> String {
        format!("\"{}\"", K::WORDS[0].0) // no enumeration is empty
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let typed = text(value)?;
        if let Some((_, meaning)) = K::WORDS.iter().find(|(word, _)| *word == typed) {
            return Ok(*meaning);
        }
        let other = K::OTHER_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(typed)).map(|(_, meant)| *meant);
        let hint = match other.or_else(|| nearest(typed, K::WORDS.iter().map(|(word, _)| *word))) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write {}", Self::kind()),
        };
        Err(Refusal::value(format!("unknown value `{typed}`"), hint))
    }
}
