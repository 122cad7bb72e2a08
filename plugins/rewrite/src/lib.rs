//! The filter `rewrite`: rules for the subject and other header fields, banners and disclaimers.
//!
//! # Settings
//!
//! ```toml
//! [filter.config]
//! # Put before the subject, unless the subject has it already (as in a reply).
//! subject_prefix = "[external] "
//!
//! # Rules for the subject, one after the other. All matches are replaced; `$1` and `${name}` are groups.
//! [[filter.config.subject]]
//! match = "(?i)^(fwd|wg): *"
//! replace = "Fw: "
//!
//! # Rules for header fields, one after the other.
//! [[filter.config.header]]
//! action = "set"                  # "add" in front of all others; "set" once, whatever was there; "remove" all
//! name = "X-Delivered-For"
//! value = "{user}, from {header:From}"
//! when = { header = "From", match = "@example\\.org>?$" }
//!
//! # Texts that are put into the message's body, plain and HTML.
//! [[filter.config.banner]]
//! text = "This mail comes from outside of Example Ltd."
//! place = "top"                   # default; | "bottom"
//! html = "<b>From outside</b>"    # what stands in HTML; default: the text, escaped, in a box
//! when = { sender = ["example.org"], not = true }
//! ```
//!
//! All keys are optional but `match` and `replace` of a subject rule, `action`, `name` and (unless it is
//! `remove`) `value` of a header rule, and `text` of a banner.
//!
//! * `when` makes a rule conditional: `header` or `fact` names what is looked at, `match` is the pattern
//!   that one of its values must match (without it, it only must be there), `not = true` turns the answer round.
//!   `sender = [...]` holds if every address in every From field belongs to one of these domains or to a domain below one.
//!   Anybody can write any address there: it tells outside from inside only where the server refuses forged ones.
//! * A banner stands in each alternative of the text that clients show as the message's body. Charset and transfer encoding
//!   stay if they can. HTML of a banner must be well-formed; values in it are escaped. Signed and encrypted mail keeps its
//!   body as it is, and where no text is shown there is no place for a banner: a finding says so.
//! * `{user}` in `value` or `replace` is the fact `user` (`client`, `listener`, `upstream`, `uidl`, ... likewise),
//!   `{header:From}` the decoded value of that field; what is not known is empty. `{{` and `}}` are braces.
//! * Rules see the message as it came, not the edits of other rules; only the subject rules work on each
//!   other's result.
//! * Patterns are those of the crate [`regex_lite`]: linear time, case-insensitive for ASCII letters with `(?i)`, no
//!   look-around. They are compiled once; an invalid one is an error of the settings.

mod banner;
mod condition;
mod pattern;
mod template;

use popgate_plugin::{Failure, Filter, Message, Verdict};
use serde::Deserialize;

use crate::banner::Banner;
use crate::condition::Condition;
use crate::pattern::{HeaderName, Pattern};
use crate::template::Template;

/// The settings; see the crate's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    subject_prefix: String,
    subject: Vec<SubjectRule>,
    header: Vec<HeaderRule>,
    banner: Vec<Banner>,
}

/// Replaces what matches in the subject.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectRule {
    #[serde(rename = "match")]
    pattern: Pattern,
    replace: Template,
    when: Option<Condition>,
}

/// Edits one header field.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenHeaderRule")]
struct HeaderRule {
    edit: HeaderEdit,
    name: HeaderName,
    when: Option<Condition>,
}

#[derive(Debug)]
enum HeaderEdit {
    Add(Template),
    Set(Template),
    Remove,
}

/// A header rule as it is written in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHeaderRule {
    action: Action,
    name: HeaderName,
    value: Option<Template>,
    when: Option<Condition>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Add,
    Set,
    Remove,
}

impl TryFrom<WrittenHeaderRule> for HeaderRule {
    type Error = &'static str;

    fn try_from(written: WrittenHeaderRule) -> Result<Self, Self::Error> {
        let WrittenHeaderRule { action, name, value, when } = written;
        let edit = match (action, value) {
            (Action::Add, Some(value)) => HeaderEdit::Add(value),
            (Action::Set, Some(value)) => HeaderEdit::Set(value),
            (Action::Remove, None) => HeaderEdit::Remove,
            (Action::Add | Action::Set, None) => return Err("missing field `value`"),
            (Action::Remove, Some(_)) => return Err("the action `remove` takes no `value`"),
        };
        Ok(Self { edit, name, when })
    }
}

/// The filter.
#[derive(Debug)]
pub struct Rewrite(Settings);

impl Filter for Rewrite {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        self.edit_subject(message)?;
        for rule in &self.0.header {
            if !holds(rule.when.as_ref(), message) {
                continue;
            }
            let name = rule.name.as_str();
            match &rule.edit {
                HeaderEdit::Add(value) => message.add_header(name, &one_line(&value.fill(message)))?,
                HeaderEdit::Set(value) => message.set_header(name, &one_line(&value.fill(message)))?,
                HeaderEdit::Remove => message.remove_header(name)?,
            }
        }
        let banners: Vec<_> = self.0.banner.iter().filter(|banner| holds(banner.when.as_ref(), message)).collect();
        banner::put(&banners, message)?;
        Ok(Verdict::Pass)
    }
}

impl Rewrite {
    fn edit_subject(&self, message: &Message) -> Result<(), Failure> {
        let Settings { subject_prefix: prefix, subject: rules, .. } = &self.0;
        if prefix.is_empty() && rules.is_empty() {
            return Ok(());
        }
        let before = message.header("Subject").unwrap_or_default();
        let mut subject = before.clone();
        for rule in rules.iter().filter(|rule| holds(rule.when.as_ref(), message)) {
            // `$` of a value from the mail must not name a group.
            let replacement = rule.replace.fill_with(message, |value| value.replace('$', "$$"));
            subject = rule.pattern.replace_all(&subject, &replacement);
        }
        if !subject.contains(prefix.trim()) {
            subject.insert_str(0, prefix);
        }
        if subject != before {
            message.set_header("Subject", &one_line(&subject))?;
        }
        Ok(())
    }
}

fn holds(condition: Option<&Condition>, message: &Message) -> bool {
    condition.is_none_or(|condition| condition.holds(message))
}

/// The value on one line: an encoded word can hide CR and LF, and the host refuses them.
fn one_line(value: &str) -> String {
    value.replace(char::is_control, " ").trim().to_owned()
}

popgate_plugin::export!(Rewrite);

#[cfg(test)]
mod tests;
