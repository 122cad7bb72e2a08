//! What the chain did to a mail, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::mail::Mail;
use crate::filter::{Disposition, Outcome};

/// Octets of a line that are shown.
const LINE_MAX: usize = 4096;

/// A report of one mail. The fields and their names are part of the command's contract.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mail: String,
    verdict: &'static str,
    reason: Option<String>,
    changed: bool,
    score: f64,
    findings: Vec<Finding>,
    filters: Vec<FilterLine>,
}

#[derive(Debug, Serialize)]
struct Finding {
    filter: String,
    symbol: String,
    points: f64,
    value: Option<f64>,
    text: String,
}

#[derive(Debug, Serialize)]
struct FilterLine {
    name: String,
    verdict: &'static str,
    microseconds: u64,
    error: Option<String>,
}

impl Report {
    /// The report of an outcome.
    pub(super) fn new(path: &str, mail: &Mail, outcome: &Outcome) -> Self {
        let (verdict, reason) = match &outcome.disposition {
            Disposition::Deliver => ("pass", None),
            Disposition::Hold { filter, reason } => ("hold", Some(format!("{filter}: {reason}"))),
            Disposition::Retry { filter, reason } => ("retry", Some(format!("{filter}: {reason}"))),
        };
        let findings: Vec<Finding> = outcome.report.findings.iter().cloned().map(Finding::from).collect();
        Self {
            mail: path.to_owned(),
            verdict,
            reason,
            changed: verdict == "pass" && outcome.message.sha256() != mail.message().sha256(),
            score: findings.iter().fold(0.0, |sum, finding| sum + finding.points),
            findings,
            filters: outcome.report.filters.iter().map(FilterLine::from).collect(),
        }
    }

    /// One JSON object on one line.
    pub(super) fn json(&self) -> String {
        // Only maps with other keys than strings could fail, and there is none.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let changed = if self.changed { ", changed" } else { "" };
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        harmless(&format!("{}: {}{changed}{reason}", self.mail, self.verdict))
    }

    /// Several lines for people, with what changed in the message below.
    pub(super) fn text(&self, changes: Option<&str>) -> String {
        let mut text = self.line();
        for filter in &self.filters {
            let time = filter.microseconds as f64 / 1000.0;
            let error = filter.error.as_deref().map(|error| format!("  {}", harmless(error))).unwrap_or_default();
            let _ = write!(text, "\n  {:<16} {:<8} {time:>9.3} ms{error}", filter.name, filter.verdict);
            for finding in self.findings.iter().filter(|finding| finding.filter == filter.name) {
                let points =
                    if finding.points == 0.0 { String::new() } else { format!(" ({:+} points)", finding.points) };
                let _ = write!(text, "\n    {}{points}: {}", finding.symbol, harmless(&finding.text));
            }
        }
        for line in changes.into_iter().flat_map(str::lines) {
            let _ = write!(text, "\n  {line}");
        }
        text
    }
}

/// Text that came from a filter or a path, for a terminal.
fn harmless(text: &str) -> String {
    crate::plugin::printable(text, LINE_MAX)
}

impl From<crate::filter::Finding> for Finding {
    fn from(finding: crate::filter::Finding) -> Self {
        let crate::filter::Finding { filter, symbol, points, value, text } = finding;
        Self { filter, symbol, points, value, text }
    }
}

impl From<&crate::filter::FilterReport> for FilterLine {
    fn from(report: &crate::filter::FilterReport) -> Self {
        Self {
            name: report.name.clone(),
            verdict: report.verdict,
            microseconds: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            error: report.error.clone(),
        }
    }
}
