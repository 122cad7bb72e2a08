//! Checked values of the settings: patterns and header names.

use serde::Deserialize;

/// A pattern, compiled while the settings are read, so that an invalid one is reported with its key.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern(regex_lite::Regex);

impl Pattern {
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Replaces all matches; `$1` and `${name}` in the replacement are groups.
    pub(crate) fn replace_all(&self, text: &str, replacement: &str) -> String {
        self.0.replace_all(text, replacement).into_owned()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        regex_lite::Regex::new(&pattern)
            .map(Self)
            .map_err(|fault| format!("`{pattern}` is not a valid pattern: {fault}"))
    }
}

/// The name of a header field (RFC 5322, section 2.2: printable ASCII without the colon).
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HeaderName(String);

impl HeaderName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let fits = |octet: u8| octet.is_ascii_graphic() && octet != b':';
        if name.is_empty() || name.len() > 255 || !name.bytes().all(fits) {
            return Err(format!("`{}` is not the name of a header field", name.escape_debug()));
        }
        Ok(Self(name))
    }
}
