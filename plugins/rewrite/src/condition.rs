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
}

/// A condition as it is written in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    header: Option<HeaderName>,
    fact: Option<String>,
    #[serde(rename = "match")]
    pattern: Option<Pattern>,
    #[serde(default)]
    not: bool,
}

impl TryFrom<Written> for Condition {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let subject = match (written.header, written.fact) {
            (Some(header), None) => Subject::Header(header),
            (None, Some(fact)) => Subject::Fact(fact),
            _ => return Err("a condition has either `header` or `fact`"),
        };
        Ok(Self { subject, pattern: written.pattern, negated: written.not })
    }
}

impl Condition {
    pub(crate) fn holds(&self, message: &Message) -> bool {
        let values = match &self.subject {
            Subject::Header(name) => message.headers(name.as_str()),
            Subject::Fact(name) => message.fact(name).into_iter().collect(),
        };
        let holds = match &self.pattern {
            Some(pattern) => values.iter().any(|value| pattern.is_match(value)),
            None => !values.is_empty(),
        };
        holds != self.negated
    }
}
