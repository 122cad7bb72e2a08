//! The filter `virus`: the EICAR test file and files known by their SHA-256.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! name = "virus"
//! plugin = "virus"
//! data = { signatures = "virus.sha256" }  # optional: a line for each file, `HEX NAME`, as sha256sum writes it
//! [filter.config]
//! action = "hold"                         # or "strip": a notice takes the place of the infected part
//! ambiguous = "normalise"                 # or "hold", "pass"
//! sha256 = ["275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"]
//! ```
//!
//! All keys are optional. In the file `signatures` the name is optional; empty lines and lines that begin with `#`
//! are skipped.
//!
//! * **What is examined** is the decoded content of every part, at any depth, whatever its name and type.
//! * **EICAR**: the standard says that a file counts only if it begins with the test string. Here it counts
//!   anywhere in a part, and in the octets of the message behind its header: a part may begin with a blank line or a
//!   mark of its charset. A mail that quotes the whole string is a hit, too.
//! * **SHA-256** is that of a part's whole decoded content.
//! * **Ambiguous messages** can be read in more than one way, so a client may see a file that the filter did not.
//!   `normalise` builds such a message anew, as the filter saw it, and holds it where that is impossible.
//!
//! # Findings
//!
//! `EICAR`, `SHA256_MATCH` and `AMBIGUOUS`, without points; the text names the part.

mod eicar;
mod signatures;

use std::io::BufRead;

use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict, data, log, text};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::signatures::{Digest, Signatures};

/// The settings; see the crate's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    action: Action,
    ambiguous: Ambiguous,
    sha256: Vec<Digest>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Hold,
    Strip,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Ambiguous {
    #[default]
    Normalise,
    Hold,
    Pass,
}

/// The filter.
#[derive(Debug)]
pub struct Virus {
    action: Action,
    ambiguous: Ambiguous,
    signatures: Signatures,
    eicar: eicar::Finder,
}

/// What was found in a part.
struct Threat {
    /// The position of the part; none for the message as a whole.
    part: Option<u32>,
    symbol: &'static str,
    /// One line for people.
    text: String,
}

impl Filter for Virus {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        let mut signatures = Signatures::from(settings.sha256);
        if let Some(file) = data::open("signatures") {
            let read = signatures.read(file)?;
            if read == 0 {
                log::warn("the data file `signatures` has no signature");
            }
        }
        signatures.finish();
        let Settings { action, ambiguous, .. } = settings;
        Ok(Self { action, ambiguous, signatures, eicar: eicar::Finder::new() })
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let threats = self.examine(message)?;
        for threat in &threats {
            message.report(&Finding::new(threat.symbol, &*threat.text))?;
        }
        let in_parts = threats.iter().all(|threat| threat.part.is_some());
        if let Some(threat) = threats.first().filter(|_| self.action == Action::Hold || !in_parts) {
            return Ok(Verdict::hold(&*threat.text));
        }
        if self.ambiguous != Ambiguous::Pass && message.is_ambiguous() {
            message.report(&Finding::new("AMBIGUOUS", "the message can be read in more than one way"))?;
            return self.resolve(message, &threats);
        }
        for threat in &threats {
            if let Some(part) = threat.part.and_then(|index| message.part(index)) {
                part.replace(&notice(threat))?;
            }
        }
        Ok(Verdict::Pass)
    }
}

impl Virus {
    fn examine(&self, message: &Message) -> Result<Vec<Threat>, Failure> {
        let mut threats = Vec::new();
        for part in message.parts().filter(|part| !part.is_container()) {
            threats.extend(self.examine_part(&part)?);
        }
        let behind_header = message.header_size();
        if threats.is_empty() && message.find(self.eicar.needle(), behind_header).is_some() {
            let text = "the message has the EICAR test file outside of its parts".to_owned();
            threats.push(Threat { part: None, symbol: "EICAR", text });
        }
        Ok(threats)
    }

    /// Looks for EICAR and takes the hash in one pass.
    fn examine_part(&self, part: &Part<'_>) -> Result<Option<Threat>, Failure> {
        let mut content = part.content();
        let mut search = self.eicar.search();
        let mut hasher = (!self.signatures.is_empty()).then(Sha256::new);
        let mut eicar = false;
        loop {
            let chunk = content.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            eicar = eicar || search.found_in(chunk);
            if let Some(hasher) = &mut hasher {
                hasher.update(chunk);
            }
            let length = chunk.len();
            content.consume(length);
        }
        let known = hasher.and_then(|hasher| self.signatures.name_of(&hasher.finalize().into()));
        let (symbol, what) = match known {
            _ if eicar => ("EICAR", "is the EICAR test file".to_owned()),
            Some("") => ("SHA256_MATCH", "is a file on the list of signatures".to_owned()),
            Some(name) => ("SHA256_MATCH", format!("is `{}`", text::clean(name, 100))),
            None => return Ok(None),
        };
        Ok(Some(Threat { part: Some(part.index()), symbol, text: format!("{} {what}", describe(part)) }))
    }

    /// What becomes of a message that can be read in more than one way.
    fn resolve(&self, message: &Message, threats: &[Threat]) -> Result<Verdict, Failure> {
        if self.ambiguous == Ambiguous::Hold {
            return Ok(Verdict::hold("the message can be read in more than one way"));
        }
        let replacement = |part: &Part<'_>| threats.iter().find(|threat| threat.part == Some(part.index())).map(notice);
        match message.rebuild(replacement) {
            Ok(()) => Ok(Verdict::Pass),
            Err(fault) => Ok(Verdict::Hold(format!("the message can be read in more than one way ({fault})"))),
        }
    }
}

/// What a reader finds in the place of an infected part.
fn notice(threat: &Threat) -> String {
    format!("A part of this message was removed: {}.\r\n", threat.text)
}

/// The part for people, by its name if it has one.
fn describe(part: &Part<'_>) -> String {
    let name = text::clean(&part.file_name().unwrap_or_default(), 100);
    match (name.is_empty(), part.index()) {
        (false, _) => format!("`{name}`"),
        (true, 0) => "the message".to_owned(),
        (true, _) => format!("an unnamed part of type `{}`", text::clean(&part.media_type(), 100)),
    }
}

popgate_plugin::export!(Virus);

#[cfg(test)]
mod tests;
