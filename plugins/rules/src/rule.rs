//! A rule: a name, points, and what must hold of a message.

use serde::Deserialize;

use crate::anomaly::Anomaly;
use crate::patterns::Patterns;
use crate::view::{View, belongs, domain};

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
    /// A header field is there.
    Header(String),
    /// The pattern of this number stands in one of the texts of this number.
    Pattern(usize, usize),
    UrlHosts(Vec<String>),
    MediaTypes(Vec<String>),
    Senders(Vec<String>),
    Anomaly(Anomaly),
    /// Positions of rules before this one, and whether each is to hold.
    All(Vec<(usize, bool)>),
    Any(Vec<(usize, bool)>),
}

/// In what patterns are looked for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// The values of a header field.
    Header(String),
    /// What people read, and the same with its markup.
    Body,
    Source,
    /// Links, and the names of attachments.
    Url,
    Attachment,
}

/// The patterns of all rules, by what they are looked for in.
pub(crate) type Places = Vec<(Place, Patterns)>;

impl Rule {
    /// Checks a rule; `before` are those that it may name. Its pattern is put to those of the others.
    pub(crate) fn new(written: Written, before: &[Self], places: &mut Places) -> Result<Self, String> {
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
        let test = Test::new(written, before, places).map_err(|fault| format!("rule `{name}`: {fault}"))?;
        Ok(Self { name, points, text, test, not })
    }

    /// Whether it holds of a message; `before` says which of the rules before it do.
    pub(crate) fn holds(&self, view: &View<'_>, before: &[bool]) -> bool {
        self.test.holds(view, before) != self.not
    }
}

impl Test {
    fn new(written: Written, before: &[Rule], places: &mut Places) -> Result<Self, String> {
        let Written { header, body, source, url, url_hosts, attachment, media_types, senders, .. } = written;
        let Written { anomaly, all, any, pattern, .. } = written;
        let lower = |list: Vec<String>| list.iter().map(|entry| entry.to_lowercase()).collect();
        let positions = |names: Vec<String>| names.iter().map(|name| position(name, before)).collect::<Result<_, _>>();
        let mut tests: Vec<Self> = Vec::new();
        if pattern.is_some() && header.is_none() {
            return Err("`match` stands beside `header` alone".to_owned());
        }
        let mut patterns =
            vec![(Place::Body, body), (Place::Source, source), (Place::Url, url), (Place::Attachment, attachment)];
        if let Some(header) = header {
            match pattern {
                Some(pattern) => patterns.push((Place::Header(header.to_ascii_lowercase()), Some(pattern))),
                None => tests.push(Self::Header(header)),
            }
        }
        for (place, pattern) in patterns {
            if let Some(pattern) = pattern {
                tests.push(Self::pattern(place, &pattern, places)?);
            }
        }
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

    /// The test for a pattern.
    fn pattern(place: Place, pattern: &str, places: &mut Places) -> Result<Self, String> {
        let known = places.iter().position(|(known, _)| *known == place);
        let at = known.unwrap_or_else(|| {
            places.push((place, Patterns::default()));
            places.len() - 1
        });
        Ok(Self::Pattern(at, places[at].1.add(pattern)?))
    }

    fn holds(&self, view: &View<'_>, before: &[bool]) -> bool {
        match self {
            Self::Header(name) => !view.headers(name).is_empty(),
            Self::Pattern(place, number) => view.held(*place, *number),
            Self::UrlHosts(hosts) => view.links.iter().any(|link| hosts.iter().any(|host| belongs(&link.host, host))),
            Self::MediaTypes(types) => view.attachments.iter().any(|file| types.contains(&file.media_type)),
            Self::Senders(senders) => senders.iter().any(|sender| is_sender(&view.author, sender)),
            Self::Anomaly(anomaly) => anomaly.is_in(view),
            Self::All(rules) => rules.iter().all(|&(position, wanted)| before[position] == wanted),
            Self::Any(rules) => rules.iter().any(|&(position, wanted)| before[position] == wanted),
        }
    }
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
