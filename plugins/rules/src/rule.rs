//! A rule: a name, points, and what must hold of a message.

use popgate_plugin::Message;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::anomaly::Anomaly;
use crate::view::{View, belongs, domain};

/// Octets that a compiled pattern may take.
const PATTERN_MAX: usize = 1 << 20;

/// A rule as it is written in the settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) points: f64,
    pub(crate) text: String,
    pub(crate) header: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) url_hosts: Option<Vec<String>>,
    pub(crate) attachment: Option<String>,
    pub(crate) media_types: Option<Vec<String>>,
    pub(crate) senders: Option<Vec<String>>,
    pub(crate) anomaly: Option<Anomaly>,
    pub(crate) all: Option<Vec<String>>,
    pub(crate) any: Option<Vec<String>>,
    #[serde(rename = "match")]
    pub(crate) pattern: Option<String>,
    pub(crate) not: bool,
}

/// A rule as it is used.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) points: f64,
    pub(crate) text: String,
    test: Test,
    not: bool,
}

/// What is looked at.
#[derive(Debug)]
enum Test {
    /// A header field is there, or one of its values matches.
    Header(String, Option<Regex>),
    Body(Regex),
    Source(Regex),
    Url(Regex),
    UrlHosts(Vec<String>),
    Attachment(Regex),
    MediaTypes(Vec<String>),
    Senders(Vec<String>),
    Anomaly(Anomaly),
    /// Positions of rules before this one, and whether each is to hold.
    All(Vec<(usize, bool)>),
    Any(Vec<(usize, bool)>),
}

impl Rule {
    /// Checks a rule; `before` are those that it may name.
    pub(crate) fn new(written: Written, before: &[Self]) -> Result<Self, String> {
        let Written { name, points, text, not, .. } = written.clone();
        let fits = |octet: u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || octet == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(format!("`{}` is no name of a rule: 1 to 64 capitals, digits and `_`", name.escape_debug()));
        }
        if before.iter().any(|rule| rule.name == name) {
            return Err(format!("rule `{name}`: there is one of this name already"));
        }
        if !(-1000.0..=1000.0).contains(&points) {
            return Err(format!("rule `{name}`: {points} points are not from -1000 to 1000"));
        }
        let test = Test::new(written, before).map_err(|fault| format!("rule `{name}`: {fault}"))?;
        Ok(Self { name, points, text, test, not })
    }

    /// Whether it holds of a message; `before` says which of the rules before it do.
    pub(crate) fn holds(&self, view: &View<'_>, before: &[bool]) -> bool {
        self.test.holds(view, before) != self.not
    }
}

impl Test {
    fn new(written: Written, before: &[Rule]) -> Result<Self, String> {
        let Written { header, body, source, url, url_hosts, attachment, media_types, senders, .. } = written;
        let Written { anomaly, all, any, pattern, .. } = written;
        let lower = |list: Vec<String>| list.iter().map(|entry| entry.to_lowercase()).collect();
        let positions = |names: Vec<String>| names.iter().map(|name| position(name, before)).collect::<Result<_, _>>();
        let mut tests: Vec<Self> = Vec::new();
        if pattern.is_some() && header.is_none() {
            return Err("`match` stands beside `header` alone".to_owned());
        }
        if let Some(header) = header {
            tests.push(Self::Header(header, pattern.map(|pattern| compile(&pattern)).transpose()?));
        }
        let compiled = |pattern: Option<String>| pattern.map(|pattern| compile(&pattern)).transpose();
        tests.extend(compiled(body)?.map(Self::Body));
        tests.extend(compiled(source)?.map(Self::Source));
        tests.extend(compiled(url)?.map(Self::Url));
        tests.extend(compiled(attachment)?.map(Self::Attachment));
        tests.extend(url_hosts.map(|list| Self::UrlHosts(lower(list))));
        tests.extend(media_types.map(|list| Self::MediaTypes(lower(list))));
        tests.extend(senders.map(|list| Self::Senders(lower(list))));
        tests.extend(anomaly.map(Self::Anomaly));
        tests.extend(all.map(|names| positions(names).map(Self::All)).transpose()?);
        tests.extend(any.map(|names| positions(names).map(Self::Any)).transpose()?);
        match (tests.pop(), tests.is_empty()) {
            (Some(test), true) => Ok(test),
            (None, _) => Err("it looks at nothing".to_owned()),
            (Some(_), false) => Err("it looks at more than one thing; `all` joins rules".to_owned()),
        }
    }

    fn holds(&self, view: &View<'_>, before: &[bool]) -> bool {
        match self {
            Self::Header(name, None) => view.message.header(name).is_some(),
            Self::Header(name, Some(pattern)) => values(view.message, name).iter().any(|value| pattern.is_match(value)),
            Self::Body(pattern) => pattern.is_match(&view.text),
            Self::Source(pattern) => pattern.is_match(&view.source),
            Self::Url(pattern) => view.links.iter().any(|link| pattern.is_match(&link.rest)),
            Self::UrlHosts(hosts) => view.links.iter().any(|link| hosts.iter().any(|host| belongs(&link.host, host))),
            Self::Attachment(pattern) => view.attachments.iter().any(|file| pattern.is_match(&file.name)),
            Self::MediaTypes(types) => view.attachments.iter().any(|file| types.contains(&file.media_type)),
            Self::Senders(senders) => senders.iter().any(|sender| is_sender(&view.author, sender)),
            Self::Anomaly(anomaly) => anomaly.is_in(view),
            Self::All(rules) => rules.iter().all(|&(position, wanted)| before[position] == wanted),
            Self::Any(rules) => rules.iter().any(|&(position, wanted)| before[position] == wanted),
        }
    }
}

/// The values of a field, of bounded length.
fn values(message: &Message, name: &str) -> Vec<String> {
    message.headers(name).into_iter().take(64).map(|value| value.chars().take(4096).collect()).collect()
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_MAX)
        .build()
        .map_err(|fault| format!("`{pattern}` is not a valid pattern: {fault}"))
}

/// The position of the rule that `NAME` or `!NAME` means, and whether it is to hold.
fn position(name: &str, before: &[Rule]) -> Result<(usize, bool), String> {
    let (plain, wanted) = name.strip_prefix('!').map_or((name, true), |plain| (plain, false));
    let found = before.iter().position(|rule| rule.name == plain);
    found.map(|position| (position, wanted)).ok_or_else(|| format!("there is no rule `{plain}` before it"))
}

/// `bob@example.org`, `*@example.org`, or `example.org` with what belongs to it.
fn is_sender(author: &str, sender: &str) -> bool {
    match sender.split_once('@') {
        Some(("*", wanted)) => !author.is_empty() && domain(author) == wanted,
        Some(_) => author == sender,
        None => !author.is_empty() && belongs(domain(author), sender),
    }
}
