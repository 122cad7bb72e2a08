//! What is known about a message in quarantine: `entry.json`.

use std::time::{Duration, SystemTime};
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Characters of a text from the message that are kept.
const TEXT_MAX: usize = 1000;

/// Whose mail it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Identity {
    /// The upstream.
    pub upstream: String,
    /// The login name there; not known for mechanisms that do not carry one.
    pub user: Option<String>,
}

impl Identity {
    /// The beginning of a hash of which it is a part.
    fn hash(&self) -> Sha256 {
        let mut hash = Sha256::new();
        // Lengths go before the texts, so that no two identities run into the same octets.
        for text in [Some(&self.upstream), self.user.as_ref()] {
            hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hash.update(text.map_or("", |text| text.as_str()));
        }
        hash
    }

    /// 32 hexadecimal digits that can be part of a path.
    pub(in crate::store) fn key(&self) -> String {
        hex(&self.hash().finalize()[..16])
    }
}

/// What a filter reported.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Finding {
    /// The configured name of the filter.
    pub filter: String,
    /// A short name in capitals.
    pub symbol: String,
    /// Spam points.
    pub points: f64,
    /// A measured value.
    pub value: Option<f64>,
    /// One line for people.
    pub text: String,
}

impl Finding {
    /// JSON has no infinities and no NaN.
    fn finite(mut self) -> Self {
        self.points = if self.points.is_finite() { self.points } else { 0.0 };
        self.value = self.value.filter(|value| value.is_finite());
        self
    }
}

/// A message that is to be stored.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Whose it is.
    pub identity: Identity,
    /// The hash of its octets.
    pub sha256: [u8; 32],
    /// When it was taken.
    pub when: SystemTime,
    /// The filters that took it, or took something from it.
    pub filter: String,
    /// One line for people.
    pub reason: String,
    /// The decoded subject.
    pub subject: Option<String>,
    /// The decoded sender.
    pub from: Option<String>,
    /// What the filters reported.
    pub findings: Vec<Finding>,
}

/// A message that is stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Whose it is.
    pub identity: Identity,
    /// The hash of its octets, in hexadecimal digits.
    pub sha256: String,
    /// Octets.
    pub size: u64,
    /// When it was taken, to the second.
    #[serde(with = "rfc3339")]
    pub when: SystemTime,
    /// The filters that took it, or took something from it.
    pub filter: String,
    /// One line for people.
    pub reason: String,
    /// The decoded subject.
    pub subject: Option<String>,
    /// The decoded sender.
    pub from: Option<String>,
    /// What the filters reported.
    pub findings: Vec<Finding>,
    /// The last line has no end, and gets one when it is sent.
    #[serde(default)]
    pub unended: bool,
}

impl Entry {
    /// The entry of a message with these octets.
    pub(super) fn new<'a>(new: NewEntry, octets: impl Iterator<Item = &'a [u8]>) -> Self {
        let short = |text: String| text.chars().take(TEXT_MAX).collect();
        let (mut size, mut end) = (0, [0, 0]);
        for piece in octets {
            size += piece.len() as u64;
            for &octet in &piece[piece.len().saturating_sub(2)..] {
                end = [end[1], octet];
            }
        }
        Self {
            id: EntryId::of(&new.identity, &new.sha256),
            identity: new.identity,
            sha256: hex(&new.sha256),
            size,
            when: whole_seconds(new.when),
            filter: new.filter,
            reason: new.reason,
            subject: new.subject.map(short),
            from: new.from.map(short),
            findings: new.findings.into_iter().map(Finding::finite).collect(),
            unended: size > 0 && end != *b"\r\n",
        }
    }

    /// The octets that RETR sends.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.size + if self.unended { 2 } else { 0 }
    }

    /// None if the text is not an entry.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn to_json(&self) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// The name of an entry: 32 hexadecimal digits, the same for the same message of the same identity.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct EntryId(String);

impl EntryId {
    /// The id of a message.
    #[must_use]
    pub fn of(identity: &Identity, sha256: &[u8; 32]) -> Self {
        let mut hash = identity.hash();
        hash.update(sha256);
        Self(hex(&hash.finalize()[..16]))
    }

    /// An id as an operator types it; none if it is not 32 hexadecimal digits in small letters. Only what passes here
    /// becomes part of a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EntryId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an id has 32 hexadecimal digits")
    }
}

/// Hexadecimal digits in small letters.
pub(in crate::store) fn hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(*octet)]).collect()
}

/// What is stored and what is read again are the same.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// `2031-05-17T08:30:00Z`. Source: RFC 3339.
mod rfc3339 {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, OffsetDateTime, Rfc3339, SystemTime};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from(*time).format(&Rfc3339).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(SystemTime::from).map_err(D::Error::custom)
    }
}
