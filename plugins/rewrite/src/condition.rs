//! The condition of a rule, `when`.

use popgate_plugin::Message;
use serde::Deserialize;

use crate::pattern::{HeaderName, Pattern};

/// What must hold of a message for a rule to apply.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Condition {
    subject: Subject,
    pattern: Option<Pattern>,
    negated: bool,
}

/// What a condition looks at.
#[derive(Debug)]
enum Subject {
    Header(HeaderName),
    Fact(String),
    Sender(Vec<String>),
}

/// A condition as it is written in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    header: Option<HeaderName>,
    fact: Option<String>,
    sender: Option<Vec<String>>,
    #[serde(rename = "match")]
    pattern: Option<Pattern>,
    #[serde(default)]
    not: bool,
}

impl TryFrom<Written> for Condition {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let subject = match (written.header, written.fact, written.sender) {
            (Some(header), None, None) => Subject::Header(header),
            (None, Some(fact), None) => Subject::Fact(fact),
            (None, None, Some(domains)) if written.pattern.is_none() => {
                Subject::Sender(domains.iter().map(|domain| domain.trim_start_matches('.').to_lowercase()).collect())
            }
            (None, None, Some(_)) => return Err("`sender` takes no `match`"),
            _ => return Err("a condition has one of `header`, `fact` and `sender`"),
        };
        Ok(Self { subject, pattern: written.pattern, negated: written.not })
    }
}

impl Condition {
    pub(crate) fn holds(&self, message: &Message) -> bool {
        let values = match &self.subject {
            Subject::Header(name) => message.headers(name.as_str()),
            Subject::Fact(name) => message.fact(name).into_iter().collect(),
            Subject::Sender(domains) => return is_from(message, domains) != self.negated,
        };
        let holds = match &self.pattern {
            Some(pattern) => values.iter().any(|value| pattern.is_match(value)),
            None => !values.is_empty(),
        };
        holds != self.negated
    }
}

/// Whether there is an address in From, and all belong to these domains. What looks like an address in a display name is
/// one, since that is what people see.
fn is_from(message: &Message, domains: &[String]) -> bool {
    let fields = message.headers("From");
    let ends = |next: char| next.is_whitespace() || next.is_control() || "<>()[],;:\"\\'".contains(next);
    let mut addresses = fields.iter().flat_map(|field| field.split(ends)).filter(|word| word.contains('@')).peekable();
    let inside = |address: &str| {
        let host = address.rsplit_once('@').map_or("", |(_, host)| host).trim_end_matches('.').to_lowercase();
        let belongs = |domain: &String| {
            host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        address.matches('@').count() == 1 && domains.iter().any(belongs)
    };
    addresses.peek().is_some() && addresses.all(inside)
}
