//! What was found against a part, and what is done about it.

use std::fmt;

use popgate_plugin::text;
use serde::Deserialize;

/// Characters of a line: at most 1,024 octets, however many each of them has.
const LINE: usize = 250;

/// What is done about a part, the mildest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Nothing.
    Pass,
    /// The header says so.
    Tag,
    /// A notice takes its place.
    Strip,
    /// The message is held.
    #[serde(alias = "deny")]
    Hold,
}

/// Something against a part.
#[derive(Debug)]
pub(crate) struct Denied {
    /// The position of the part in the message.
    pub(crate) index: u32,
    /// Its name, fit for people.
    pub(crate) name: String,
    pub(crate) media_type: String,
    /// What inside of it is meant, fit for people; none for the part itself.
    pub(crate) inside: Option<String>,
    pub(crate) reason: Reason,
    pub(crate) action: Action,
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "attachment `{}` ({}): {}", self.name, self.media_type, self.why())
    }
}

impl Denied {
    /// One line for people, in a finding, in the header and as the reason of a hold; short enough for all of these, whatever
    /// names and types the mail has.
    pub(crate) fn line(&self) -> String {
        text::clean(&self.to_string(), LINE)
    }

    /// Why, and what inside of the part is meant.
    pub(crate) fn why(&self) -> String {
        match &self.inside {
            Some(path) => format!("`{path}`: {}", self.reason),
            None => self.reason.to_string(),
        }
    }
}

/// Why a part is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reason {
    Extension(String),
    MediaType,
    Partial,
    /// What it really is.
    Kind(&'static str),
    /// What it really is, and not what its name says.
    Mismatch(&'static str),
    /// What is wrong with its name.
    Deceptive(&'static str),
    Macros,
    Encrypted,
    /// Octets that are allowed.
    Size(u64),
    /// Why.
    Unscannable(String),
}

impl Reason {
    pub(crate) fn symbol(&self) -> &'static str {
        match self {
            Self::Extension(_) => "FORBIDDEN_EXTENSION",
            Self::MediaType | Self::Partial | Self::Kind(_) => "FORBIDDEN_TYPE",
            Self::Mismatch(_) => "TYPE_MISMATCH",
            Self::Deceptive(_) => "DECEPTIVE_NAME",
            Self::Macros => "MACROS",
            Self::Encrypted => "ENCRYPTED",
            Self::Size(_) => "TOO_LARGE",
            Self::Unscannable(_) => "UNSCANNABLE",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extension(extension) => write!(formatter, "files ending in `.{extension}` are not allowed"),
            Self::MediaType => formatter.write_str("files of this type are not allowed"),
            Self::Partial => formatter.write_str("a message in pieces can't be examined"),
            Self::Kind(kind) => write!(formatter, "it is a {kind}, which is not allowed"),
            Self::Mismatch(kind) => write!(formatter, "it is a {kind}, and not what its name says"),
            Self::Deceptive(why) => formatter.write_str(why),
            Self::Macros => formatter.write_str("it has macros"),
            Self::Encrypted => formatter.write_str("it is encrypted"),
            Self::Size(allowed) => write!(formatter, "files of more than {allowed} octets are not allowed"),
            Self::Unscannable(why) => write!(formatter, "it can't be looked into: {why}"),
        }
    }
}
