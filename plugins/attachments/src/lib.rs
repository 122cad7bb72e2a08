//! The filter `attachments`: what may come by mail, by file name, declared type and real type, in archives too.
//!
//! # Settings
//!
//! ```toml
//! [filter.config]
//! deny_extensions = ["exe", "js", "tar.gz"]  # default: what Windows and macOS run, see `DENIED_EXTENSIONS`
//! deny_media_types = ["application/x-msdownload", "application/vnd.ms-*"]  # default: `DENIED_MEDIA_TYPES`
//! deny_kinds = ["lnk", "pe"]                 # by the first octets; default: chm, java, lnk, macho, pe
//! max_size = 0                               # octets of an attachment; 0: any
//! action = "strip"                           # what is done about all of these; also "hold" (or "deny"), "tag"
//! deceptive_names = true                     # invoice.pdf.exe, names that change direction, endings behind many blanks
//! inside_archives = true                     # names and kinds of what is in archives and documents, too
//! macros = "tag"                             # documents with macros; also "strip", "hold", "pass"
//! encrypted = "tag"                          # archives and documents that need a password
//! mismatch = "tag"                           # a picture that is a page, a PDF that is an archive
//! unscannable = "tag"                        # archives that can't be looked into
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
//! * **Kinds** are what a file is by its first octets, whatever it is called: 7z, ace, arj, bzip2, cab, chm, cpio, elf, gzip, html,
//!   java, lha, lnk, macho, ole, onenote, pdf, pe, rar, rtf, script, sis, tar, tnef, wasm, xz, zip, zstd.
//! * **Deceptive names** are denied even where their ending is not: a program behind a harmless ending, marks that turn the
//!   direction of writing in front of an ending, and an ending behind eight blanks.
//! * **Inside archives**, names and kinds are looked at as if the files were attached themselves. The crate `popgate-archive` says
//!   which archives are opened; what can't be is `encrypted` or `unscannable`.
//! * **Macros** are found by the name of the document, by `vbaProject.bin` in new documents, and by the storages of VBA in old ones.
//! * **A mismatch** is counted where both the ending and the content are clear, and don't belong together.
//! * `strip` puts `notice` in the place of the attachment (`{name}`, `{type}` and `{reason}` are filled in); `hold`
//!   keeps the whole message from the client; `tag` adds the header field `X-Attachment-Policy`. Incoming fields of this name are
//!   removed. Of several the strictest is done.
//! * **Partial messages** (RFC 2046, section 5.2) are put together, or fetched, behind every filter's back. They are
//!   held whatever `action` says, unless `allow_partial` is true.
//! * **Ambiguous messages** can be read in more than one way, so a client may see a name that the filter did not.
//!   `normalise` builds such a message anew, as the filter saw it, and holds it where that is impossible.
//!
//! Encrypted archives, macros and what can't be looked into are tagged by default, since honest mail is full of them; programs
//! are stripped, since hardly any honest mail has them.
//!
//! # Findings
//!
//! `FORBIDDEN_EXTENSION`, `FORBIDDEN_TYPE`, `TYPE_MISMATCH`, `DECEPTIVE_NAME`, `MACROS`, `ENCRYPTED`, `TOO_LARGE`, `UNSCANNABLE`,
//! `AMBIGUOUS`, without points.

mod content;
mod denied;
mod kinds;
mod names;
mod policy;

use std::collections::BTreeSet;
use std::io::BufRead as _;

use popgate_archive::{HEAD, Limits, Object, Visitor as _, plain, walk};
use popgate_plugin::{Failure, Filter, Finding, Message, Part, Verdict, text};
use serde::Deserialize;

use crate::content::Content;
use crate::denied::{Action, Denied, Reason};
use crate::policy::{Extension, MediaTypes};

pub use crate::kinds::DENIED_KINDS;
pub use crate::policy::{DENIED_EXTENSIONS, DENIED_MEDIA_TYPES};

/// The header field that names what was found and left in the mail.
const POLICY: &str = "X-Attachment-Policy";

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    deny_extensions: Vec<Extension>,
    deny_media_types: Vec<MediaTypes>,
    deny_kinds: Vec<kinds::Denied>,
    max_size: u64,
    action: Action,
    deceptive_names: bool,
    inside_archives: bool,
    macros: Action,
    encrypted: Action,
    mismatch: Action,
    unscannable: Action,
    notice: String,
    allow_partial: bool,
    ambiguous: Ambiguous,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deny_extensions: Extension::defaults(),
            deny_media_types: MediaTypes::defaults(),
            deny_kinds: kinds::Denied::defaults(),
            max_size: 0,
            action: Action::Strip,
            deceptive_names: true,
            inside_archives: true,
            macros: Action::Tag,
            encrypted: Action::Tag,
            mismatch: Action::Tag,
            unscannable: Action::Tag,
            notice: "The attachment `{name}` was removed: {reason}.\r\n".to_owned(),
            allow_partial: false,
            ambiguous: Ambiguous::Pass,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Ambiguous {
    Normalise,
    Hold,
    Pass,
}

impl Settings {
    /// The extension of one of these names, which are in lower case, if it is denied.
    fn extension(&self, names: &[String]) -> Option<String> {
        self.deny_extensions.iter().find(|extension| extension.ends_any(names)).map(ToString::to_string)
    }

    /// What is wrong with a name that shall be taken for another.
    fn deception(&self, name: &str) -> Option<&'static str> {
        let runs = |ending: &str| DENIED_EXTENSIONS.contains(&ending);
        self.deceptive_names.then(|| names::deception(name, runs)).flatten()
    }
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
        let found = self.examine(message)?;
        if let Some(part) = found.iter().find(|part| part.action == Action::Hold) {
            return Ok(Verdict::Hold(part.line()));
        }
        let (denied, tagged): (Vec<_>, Vec<_>) = found.into_iter().partition(|part| part.action == Action::Strip);
        let mut verdict = Verdict::Pass;
        if self.0.ambiguous != Ambiguous::Pass && message.is_ambiguous() {
            message.report(&Finding::new("AMBIGUOUS", "the message can be read in more than one way"))?;
            verdict = self.resolve(message, &denied)?;
        } else {
            for part in &denied {
                if let Some(original) = message.part(part.index) {
                    original.replace(&self.notice(part))?;
                }
            }
        }
        if let Some(first) = tagged.first() {
            let more = if tagged.len() > 1 { format!(" and {} more", tagged.len() - 1) } else { String::new() };
            message.set_header(POLICY, &format!("{}{more}", first.line()))?;
        }
        Ok(verdict)
    }
}

impl Attachments {
    /// What there is against parts, each reported; nothing of those inside of a part that is not delivered.
    fn examine(&self, message: &Message) -> Result<Vec<Denied>, Failure> {
        let mut all: Vec<Denied> = Vec::new();
        // Children follow their container, so one look at the parent is enough.
        let mut gone = BTreeSet::new();
        for part in message.parts() {
            if part.parent().is_some_and(|parent| gone.contains(&parent.index())) {
                gone.insert(part.index());
                continue;
            }
            let mut found = self.examine_part(&part)?;
            for one in &found {
                message.report(&Finding::new(one.reason.symbol(), one.line()))?;
            }
            // Where the part goes, what was to be said of it goes too.
            let strictest = found.iter().map(|one| one.action).max();
            if strictest >= Some(Action::Strip) {
                gone.insert(part.index());
                let at = found.iter().position(|one| Some(one.action) == strictest);
                found = at.map(|at| found.swap_remove(at)).into_iter().collect();
            }
            all.extend(found);
        }
        Ok(all)
    }

    /// What there is against a part.
    fn examine_part(&self, part: &Part<'_>) -> Result<Vec<Denied>, Failure> {
        let settings = &self.0;
        let (media_type, name) = (part.media_type(), describe(part));
        let denied = |reason, action, inside| Denied {
            index: part.index(),
            name: name.clone(),
            media_type: media_type.clone(),
            inside,
            reason,
            action,
        };
        if !settings.allow_partial && matches!(&*media_type, "message/partial" | "message/external-body") {
            return Ok(vec![denied(Reason::Partial, Action::Hold, None)]);
        }
        let given: Vec<_> = [part.file_name(), part.parameter("name")].into_iter().flatten().collect();
        let names: Vec<_> = given.iter().flat_map(|name| names::readings(name)).collect();
        if let Some(extension) = settings.extension(&names) {
            return Ok(vec![denied(Reason::Extension(extension), settings.action, None)]);
        }
        if settings.deny_media_types.iter().any(|types| types.include(&media_type)) {
            return Ok(vec![denied(Reason::MediaType, settings.action, None)]);
        }
        if let Some(why) = given.iter().find_map(|name| settings.deception(name)) {
            return Ok(vec![denied(Reason::Deceptive(why), settings.action, None)]);
        }
        // A text without a name is what people read.
        if part.is_container() || (given.is_empty() && matches!(&*media_type, "text/plain" | "text/html")) {
            return Ok(Vec::new());
        }
        let mut content = Content::new(settings, &names);
        match plain(&part.start(HEAD), |octets, start| part.find(octets, start)) {
            Some(kind) => content.begin(&Object { path: &name, name: &name, kind, depth: 0, encrypted: false }),
            None => walk(&mut part.content(), &name, &Limits::default(), &mut content),
        }
        let mut found = content.found;
        if media_type.contains("macroenabled") && !found.iter().any(|(reason, ..)| *reason == Reason::Macros) {
            found.push((Reason::Macros, settings.macros, None));
        }
        if settings.max_size > 0 && self.is_larger(part)? {
            found.push((Reason::Size(settings.max_size), settings.action, None));
        }
        found.retain(|(_, action, _)| *action > Action::Pass);
        Ok(found.into_iter().map(|(reason, action, inside)| denied(reason, action, inside)).collect())
    }

    /// Whether the content of a part has more octets than are allowed.
    fn is_larger(&self, part: &Part<'_>) -> Result<bool, Failure> {
        // Decoded it is no longer than encoded.
        if part.encoded_size() <= self.0.max_size {
            return Ok(false);
        }
        let mut content = part.content();
        let mut size = 0;
        loop {
            let length = content.fill_buf()?.len();
            size += length as u64;
            if length == 0 || size > self.0.max_size {
                return Ok(size > self.0.max_size);
            }
            content.consume(length);
        }
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
        let reason = part.why();
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
