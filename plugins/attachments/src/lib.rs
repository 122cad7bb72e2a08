//! The filter `attachments`: what may come by mail, by file name and media type.
//!
//! # Settings
//!
//! ```toml
//! [filter.config]
//! deny_extensions = ["exe", "js", "tar.gz"]  # default: what Windows and macOS run, see `DENIED_EXTENSIONS`
//! deny_media_types = ["application/x-msdownload", "application/vnd.ms-*"]  # default: `DENIED_MEDIA_TYPES`
//! action = "strip"                           # or "hold"
//! notice = "`{name}` was removed: {reason}." # what a reader finds in the place of a stripped attachment
//! allow_partial = false                      # message/partial and message/external-body
//! ambiguous = "pass"                         # or "normalise", "hold"
//! ```
//!
//! All keys are optional; a list that is given replaces the default, so an empty one denies nothing.
//!
//! * **Extensions** are compared with the end of the name, in either case, for the file name and for the `name` of
//!   Content-Type: `invoice.pdf.exe` ends in `exe`. Names are read as systems do that save them: folders, trailing
//!   dots and blanks, invisible characters, a stream (`a.exe:x`) and what stands behind a NUL are left out.
//! * **Media types** may end in `*`. They are compared with what the mail declares, containers included.
//! * `strip` puts `notice` in the place of the attachment (`{name}`, `{type}` and `{reason}` are filled in); `hold`
//!   keeps the whole message from the client.
//! * **Partial messages** (RFC 2046, section 5.2) are put together, or fetched, behind every filter's back. They are
//!   held whatever `action` says, unless `allow_partial` is true.
//! * **Ambiguous messages** can be read in more than one way, so a client may see a name that the filter did not.
//!   `normalise` builds such a message anew, as the filter saw it, and holds it where that is impossible.
//!
//! # Findings
//!
//! `FORBIDDEN_EXTENSION`, `FORBIDDEN_TYPE`, `AMBIGUOUS`: one for each part concerned, without points.

mod names;
mod policy;

use std::collections::BTreeSet;

use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict, text};
use serde::Deserialize;

use crate::policy::{Denied, Extension, MediaTypes, Reason};

pub use crate::policy::{DENIED_EXTENSIONS, DENIED_MEDIA_TYPES};

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    deny_extensions: Vec<Extension>,
    deny_media_types: Vec<MediaTypes>,
    action: Action,
    notice: String,
    allow_partial: bool,
    ambiguous: Ambiguous,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deny_extensions: Extension::defaults(),
            deny_media_types: MediaTypes::defaults(),
            action: Action::Strip,
            notice: "The attachment `{name}` was removed: {reason}.\r\n".to_owned(),
            allow_partial: false,
            ambiguous: Ambiguous::Pass,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Action {
    Strip,
    Hold,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Ambiguous {
    Normalise,
    Hold,
    Pass,
}

/// The filter.
#[derive(Debug)]
pub struct Attachments(Settings);

impl Filter for Attachments {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let denied = self.examine(message)?;
        let held = denied.iter().find(|part| self.0.action == Action::Hold || part.reason == Reason::Partial);
        if let Some(part) = held {
            return Ok(Verdict::Hold(part.to_string()));
        }
        if self.0.ambiguous != Ambiguous::Pass && message.is_ambiguous() {
            message.report(&Finding::new("AMBIGUOUS", "the message can be read in more than one way"))?;
            return self.resolve(message, &denied);
        }
        for part in &denied {
            if let Some(original) = message.part(part.index) {
                original.replace(&self.notice(part))?;
            }
        }
        Ok(Verdict::Pass)
    }
}

impl Attachments {
    /// The parts that are denied, each reported; without those inside of a denied one.
    fn examine(&self, message: &Message) -> Result<Vec<Denied>, Failure> {
        let mut denied: Vec<Denied> = Vec::new();
        // Children follow their container, so one look at the parent is enough.
        let mut gone = BTreeSet::new();
        for part in message.parts() {
            if part.parent().is_some_and(|parent| gone.contains(&parent.index())) {
                gone.insert(part.index());
                continue;
            }
            let Some(reason) = self.reason(&part) else { continue };
            gone.insert(part.index());
            let part = Denied { index: part.index(), name: describe(&part), media_type: part.media_type(), reason };
            message.report(&Finding::new(part.reason.symbol(), part.to_string()))?;
            denied.push(part);
        }
        Ok(denied)
    }

    /// Why a part is denied, if it is.
    fn reason(&self, part: &Part<'_>) -> Option<Reason> {
        let media_type = part.media_type();
        if !self.0.allow_partial && matches!(&*media_type, "message/partial" | "message/external-body") {
            return Some(Reason::Partial);
        }
        let names: Vec<_> = [part.file_name(), part.parameter("name")]
            .into_iter()
            .flatten()
            .flat_map(|name| names::readings(&name))
            .collect();
        if let Some(extension) = self.0.deny_extensions.iter().find(|extension| extension.ends_any(&names)) {
            return Some(Reason::Extension(extension.to_string()));
        }
        self.0.deny_media_types.iter().any(|types| types.include(&media_type)).then_some(Reason::MediaType)
    }

    /// What becomes of a message that can be read in more than one way.
    fn resolve(&self, message: &Message, denied: &[Denied]) -> Result<Verdict, Failure> {
        if self.0.ambiguous == Ambiguous::Hold {
            return Ok(Verdict::hold("the message can be read in more than one way"));
        }
        let notice = |part: &Part<'_>| {
            denied.iter().find(|denied| denied.index == part.index()).map(|denied| self.notice(denied))
        };
        match message.rebuild(notice) {
            Ok(()) => Ok(Verdict::Pass),
            Err(fault) => Ok(Verdict::Hold(format!("the message can be read in more than one way ({fault})"))),
        }
    }

    /// What a reader finds in the place of the part.
    fn notice(&self, part: &Denied) -> String {
        let reason = part.reason.to_string();
        fill(&self.0.notice, &[("{name}", &part.name), ("{type}", &part.media_type), ("{reason}", &reason)])
    }
}

/// The part's name for people, else what it is.
fn describe(part: &Part<'_>) -> String {
    let name = part.file_name().or_else(|| part.parameter("name")).unwrap_or_default();
    let name = text::clean(&name, 100);
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Replaces placeholders in one pass, so that a value with braces stays as it is.
fn fill(template: &str, values: &[(&str, &String)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (text, behind) = rest.split_at(at);
        filled.push_str(text);
        match values.iter().find(|(placeholder, _)| behind.starts_with(placeholder)) {
            Some((placeholder, value)) => {
                filled.push_str(value);
                rest = &behind[placeholder.len()..];
            }
            None => {
                filled.push('{');
                rest = &behind[1..];
            }
        }
    }
    filled + rest
}

popgate_plugin::export!(Attachments);

#[cfg(test)]
mod tests;
