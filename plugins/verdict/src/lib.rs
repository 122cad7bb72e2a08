//! The filter `verdict`: adds up the points of all filters before it, and acts on the sum.
//!
//! # Settings
//!
//! ```toml
//! [[filter]]
//! name = "verdict"                      # behind the filters whose points count
//! plugin = "verdict"
//! [filter.config]
//! required = 5.0                        # points from which on a message is spam
//! subject_tag = ""                      # put before the subject of spam, for example "[spam] "
//! hold_above = 15.0                     # optional: from these points on it is held; without, it never is
//! headers = true                        # write the fields below
//! points = { FORBIDDEN_EXTENSION = 3 }  # other points for findings, by their symbols
//! ignore = ["experiment"]               # filters whose findings do not count
//! ```
//!
//! All keys are optional.
//!
//! * **Header fields**: `X-Spam-Flag` is `YES` or `NO`, `X-Spam-Score` the sum with one digit, `X-Spam-Status` all of it:
//!   `Yes, score=7.3 required=5.0 tests=SPAM_CERTAIN=5.0,FROM_NO_ADDRESS=2.3`. Incoming fields of these names are taken out by popgate.
//! * **As long as the classifier is not trained** (a finding `SPAM_UNTRAINED`), nothing is held: the rules alone know too little of
//!   the mail of this place.
//! * Points that are no number count nothing.
//!
//! # Findings
//!
//! `SPAM` or `NOT_SPAM`, without points; the value is the sum.

use std::collections::BTreeMap;

use popgate_plugin::{Failure, Filter, Finding, Message, Verdict};
use serde::Deserialize;

/// Findings that the header field and the reason name.
const NAMED_MAX: usize = 24;

/// The settings; see the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    required: f64,
    subject_tag: String,
    hold_above: Option<f64>,
    headers: bool,
    points: BTreeMap<String, f64>,
    ignore: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let (subject_tag, points, ignore) = (String::new(), BTreeMap::new(), Vec::new());
        Self { required: 5.0, subject_tag, hold_above: None, headers: true, points, ignore }
    }
}

/// The filter.
#[derive(Debug)]
pub struct Judge(Settings);

impl Filter for Judge {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        let numbers = settings.points.values().copied().chain([settings.required]).chain(settings.hold_above);
        if let Some(number) = numbers.into_iter().find(|number| number.abs() > 10_000.0) {
            return Err(format!("{number} points are not from -10,000 to 10,000"));
        }
        if settings.hold_above.is_some_and(|hold| hold < settings.required) {
            return Err("`hold_above` is less than `required`: what is held would not be spam".to_owned());
        }
        if settings.subject_tag.contains(char::is_control) {
            return Err("`subject_tag` has a control character".to_owned());
        }
        Ok(Self(settings))
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let findings = message.findings();
        let counted = self.count(&findings);
        // Tenths, so that what is shown is what is compared; and not -0.0, which a sum of nothing is.
        let score = (counted.iter().map(|(_, points)| points).sum::<f64>() * 10.0).round() / 10.0 + 0.0;
        let spam = score >= self.0.required;
        let tests = name(&counted);
        let answer = if spam { "Yes" } else { "No" };
        let status = format!("{answer}, score={score:.1} required={:.1} tests={tests}", self.0.required);
        let symbol = if spam { "SPAM" } else { "NOT_SPAM" };
        message.report(&Finding::new(symbol, &*status).with_value(score))?;
        let untrained = findings.iter().any(|finding| finding.symbol == "SPAM_UNTRAINED");
        if self.0.hold_above.is_some_and(|hold| score >= hold) && !untrained {
            return Ok(Verdict::hold(format!("spam: {score:.1} points ({tests})")));
        }
        self.write(message, spam, score, &status)?;
        Ok(Verdict::Pass)
    }
}

impl Judge {
    /// The findings that count, with their points, the strongest first.
    fn count<'f>(&self, findings: &'f [Finding]) -> Vec<(&'f str, f64)> {
        let mut counted: Vec<_> = findings
            .iter()
            .filter(|finding| !self.0.ignore.contains(&finding.filter))
            .map(|finding| (&*finding.symbol, self.0.points.get(&finding.symbol).copied().unwrap_or(finding.points)))
            .filter(|(_, points)| points.is_finite() && *points != 0.0)
            .collect();
        counted.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
        counted
    }

    fn write(&self, message: &Message, spam: bool, score: f64, status: &str) -> Result<(), Failure> {
        if self.0.headers {
            message.set_header("X-Spam-Flag", if spam { "YES" } else { "NO" })?;
            message.set_header("X-Spam-Score", &format!("{score:.1}"))?;
            message.set_header("X-Spam-Status", status)?;
        }
        let tag = &self.0.subject_tag;
        if spam && !tag.is_empty() {
            // An encoded word can hide line ends, and the host refuses them.
            let subject = message.header("Subject").unwrap_or_default().replace(char::is_control, " ");
            if !subject.starts_with(tag.trim_end()) {
                message.set_header("Subject", format!("{tag}{}", subject.trim()).trim_end())?;
            }
        }
        Ok(())
    }
}

/// The findings that count as a list: `SPAM_CERTAIN=5.0,RULE=-0.5`; `none` if there are none.
fn name(counted: &[(&str, f64)]) -> String {
    if counted.is_empty() {
        return "none".to_owned();
    }
    let named: Vec<_> =
        counted.iter().take(NAMED_MAX).map(|(symbol, points)| format!("{symbol}={points:.1}")).collect();
    let mut list = named.join(",");
    // A symbol has 64 octets at most, a finding's text 1,024: the list is cut between two names.
    while list.len() > 900 {
        list.truncate(list.rfind(',').unwrap_or_default());
    }
    list
}

popgate_plugin::export!(Judge);

#[cfg(test)]
mod tests;
