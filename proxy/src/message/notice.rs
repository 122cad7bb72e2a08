//! The small message that the proxy itself sends: the notice that takes the place of a held one.
//!
//! What it repeats of the held message is text and nothing else: it is cut to a length, has no control characters and none that
//! turn the direction of writing, and becomes part of no header field but the subject.

mod template;

use std::time::{SystemTime, UNIX_EPOCH};

use mail_parser::DateTime;

use super::rewrite::Text;
use super::{Message, fold, words};
use template::Variable;

pub use template::{TEMPLATE_MAX, Template, TemplateError};

/// Characters of a text from elsewhere that a notice repeats.
const VALUE_MAX: usize = 200;

/// Octets of a message id that a notice refers to.
const MESSAGE_ID_MAX: usize = 250;

/// Tells the user that a message is held. The same fields make the same octets.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// What it says.
    pub template: &'a Template,
    /// The message that is held; the notice repeats its sender, date and subject, and refers to it.
    pub original: &'a Message,
    /// The login name of the user; empty if it is not known.
    pub user: &'a str,
    /// The server that has the message.
    pub upstream: &'a str,
    /// When the message was held.
    pub date: SystemTime,
    /// The id of the message in quarantine.
    pub held: &'a str,
    /// Who says so.
    pub filter: &'a str,
    /// Why it is held.
    pub reason: &'a str,
}

impl Notice<'_> {
    /// The notice as a message.
    #[must_use]
    pub fn message(&self) -> Message {
        let value = |variable| self.value(variable);
        let body = Text::new(&self.template.body(value));
        let mut fields = self.template.fields(value);
        fields.push(("To", mailbox(self.user)));
        fields.push(("Date", date(self.date)));
        fields.push(("Message-ID", format!("<pg-{}@popgate.invalid>", self.held)));
        // So that it stands in the conversation to which the message belongs, and the message below it once it is released.
        if let Some(id) = self.original.header("Message-ID").filter(|id| is_message_id(id)) {
            fields.push(("In-Reply-To", id.clone()));
            fields.push(("References", id));
        }
        fields.push(("Auto-Submitted", "auto-generated".into()));
        fields.push(("X-Popgate-Held", self.held.into()));
        fields.push(("MIME-Version", "1.0".into()));
        fields.extend(body.fields().map(|(name, value)| (name, value.to_owned())));
        let mut octets: Vec<u8> =
            fields.into_iter().flat_map(|(name, value)| fold::field(name, &words::clean(value))).collect();
        octets.extend_from_slice(b"\r\n");
        octets.append(&mut body.into_lines());
        Message::from_bytes(octets)
    }

    fn value(&self, variable: Variable) -> Option<String> {
        let header = |name| self.original.header(name).unwrap_or_default();
        let text = match variable {
            Variable::Subject => header("Subject"),
            Variable::Sender => header("From"),
            Variable::Date => header("Date"),
            Variable::Reason => self.reason.to_owned(),
            Variable::Id => self.held.to_owned(),
            Variable::Filter => self.filter.to_owned(),
            Variable::Upstream => self.upstream.to_owned(),
            Variable::User => self.user.to_owned(),
        };
        Some(harmless(&text)).filter(|text| !text.is_empty())
    }
}

/// A text in one line of bounded length that shows what it is.
fn harmless(text: &str) -> String {
    let is_hidden = |c: char| {
        // What has no width, or turns the direction of what follows (Unicode's standard annex 9).
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{e0000}'..='\u{e007f}')
    };
    let shown: String = text
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .collect();
    let line = shown.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

/// The mailbox of a user (RFC 5322, section 3.4.1): what can't be one in ASCII is not named.
fn mailbox(user: &str) -> String {
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let (local, domain) = user.rsplit_once('@').unwrap_or((user, "localhost"));
    let has_domain = !domain.is_empty() && domain.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    if local.is_empty() || local.len() > 200 || !has_domain || !local.chars().all(|c| c.is_ascii_graphic() || c == ' ')
    {
        return "undisclosed-recipients:;".to_owned();
    }
    let is_plain = local.chars().all(is_atom) && local.split('.').all(|atom| !atom.is_empty());
    match is_plain {
        true => format!("{local}@{domain}"),
        false => format!("\"{}\"@{domain}", local.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Whether a text is one message id and no more (RFC 5322, section 3.6.4).
fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    text.len() <= MESSAGE_ID_MAX
        && inner.is_some_and(|id| {
            id.contains('@') && id.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>,()".contains(&octet))
        })
}

/// A date and time in UTC (RFC 5322, section 3.3). Times before 1970 become its beginning.
#[must_use]
pub fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).to_rfc822()
}

#[cfg(test)]
mod tests;
