//! Cases of a project: a mail each, and beside it what is expected of the filter, as text that diffs well.
//!
//! ```text
//! verdict: pass
//! finding: SYMBOL 2.5 0.9 text
//!
//! @@ -1,2 +1,3 @@
//! +X-Tag: yes
//!  From: ...
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::filter::{self, Mail};
use crate::cli::diff::{self, Extent};
use crate::filter::{Chain, Disposition, Outcome};
use crate::plugin::printable;

/// Octets of one line of an expectation, about.
const LINE_MAX: usize = 4096;

/// What came of a case.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Result {
    /// What was expected.
    Passed,
    /// What was expected was written.
    Updated,
    /// There is no expectation; this would be one.
    NothingExpected(String),
    /// Something else: the difference from what was expected.
    Different(String),
    /// A file could not be read or written.
    Unusable(String),
}

/// A mail in the folder `cases`.
#[derive(Debug)]
pub(super) struct Case {
    mail: PathBuf,
}

impl Case {
    /// All cases of a project, by name.
    ///
    /// # Errors
    /// The folder can't be read; one that is not there has no cases.
    pub(super) fn all(project: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(project.join("cases")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut mails = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "eml") {
                mails.push(path);
            }
        }
        mails.sort();
        Ok(mails.into_iter().map(|mail| Self { mail }).collect())
    }

    /// Its name: that of the mail, without the ending.
    pub(super) fn name(&self) -> String {
        printable(&self.mail.file_stem().unwrap_or_default().to_string_lossy(), LINE_MAX)
    }

    /// Runs the filter, and compares; or writes what came out, if that is wanted.
    pub(super) async fn run(&self, chain: &Chain, update: bool) -> Result {
        let unusable = |path: &Path, error: io::Error| {
            Result::Unusable(printable(&format!("`{}`: {error}", path.display()), LINE_MAX))
        };
        let mail = match fs::read(&self.mail) {
            Ok(octets) => Mail::new(octets),
            Err(error) => return unusable(&self.mail, error),
        };
        let outcome = filter::run(chain, &mail, Some("alice"), "filter").await;
        let actual = described(&mail, &outcome);
        let path = self.mail.with_extension("expected");
        let expected = match fs::read_to_string(&path) {
            Ok(text) => Some(text.replace("\r\n", "\n")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if !update => return unusable(&path, error),
            Err(_) => None,
        };
        match expected {
            Some(expected) if expected == actual => Result::Passed,
            _ if update => match fs::write(&path, &actual) {
                Ok(()) => Result::Updated,
                Err(error) => unusable(&path, error),
            },
            Some(expected) => Result::Different(diff::of_texts(&expected, &actual)),
            None => Result::NothingExpected(actual),
        }
    }
}

/// What the filter made of a mail.
fn described(mail: &Mail, outcome: &Outcome) -> String {
    let line = |text: &str| printable(text, LINE_MAX);
    let failed = outcome.report.filters.iter().find_map(|filter| filter.error.as_deref());
    // The filter of a project holds the mail when something that it needs fails, and lets it be tried again when it fails itself.
    let verdict = match (&outcome.disposition, failed) {
        (Disposition::Deliver, _) => "pass".to_owned(),
        (Disposition::Hold { .. }, Some(failure)) => format!("failure: service: {}", line(failure)),
        (Disposition::Hold { reason, .. }, None) => format!("hold: {}", line(reason)),
        (Disposition::Retry { .. }, failure) => format!("failure: message: {}", line(failure.unwrap_or_default())),
    };
    let mut text = format!("verdict: {verdict}\n");
    for finding in &outcome.report.findings {
        let value = finding.value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        text.push_str(&format!(
            "finding: {} {} {value} {}\n",
            line(&finding.symbol),
            finding.points,
            line(&finding.text)
        ));
    }
    if outcome.disposition == Disposition::Deliver {
        let changes = diff::unified(&mail.message(), &outcome.message, Extent::Whole);
        text.push_str(&format!("\n{}\n", changes.as_deref().unwrap_or("unchanged")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{FilterReport, Finding, Report};
    use crate::message::Message;

    fn outcome(disposition: Disposition, error: Option<&str>) -> Outcome {
        let finding =
            Finding { filter: "f".into(), symbol: "S".into(), points: 2.5, value: None, text: "a\x1bb".into() };
        let filter = FilterReport {
            name: "f".into(),
            verdict: "pass",
            elapsed: std::time::Duration::ZERO,
            changed: false,
            error: error.map(str::to_owned),
        };
        let report = Report { findings: vec![finding], filters: vec![filter] };
        Outcome {
            disposition,
            message: Message::from_bytes(b"B: c\r\n\r\n".to_vec()),
            takes_content: false,
            learn_tokens: Vec::new(),
            noted: false,
            report,
        }
    }

    #[test]
    fn what_came_out_is_described() {
        let mail = Mail::new(b"A: b\n\n".to_vec());
        let (filter, reason) = ("f".to_owned(), "why".to_owned());
        for (disposition, error, expected) in [
            (Disposition::Deliver, None, "verdict: pass\nFINDING\n@@ -1,2 +1,2 @@\n-A: b\n+B: c\n \n"),
            (Disposition::Hold { filter: filter.clone(), reason: reason.clone() }, None, "verdict: hold: why\nFINDING"),
            (
                Disposition::Hold { filter: filter.clone(), reason: reason.clone() },
                Some("down"),
                "verdict: failure: service: down\nFINDING",
            ),
            (Disposition::Retry { filter, reason }, Some("trap"), "verdict: failure: message: trap\nFINDING"),
        ] {
            let expected = expected.replace("FINDING", "finding: S 2.5 - a\\u{1b}b\n");
            assert_eq!(described(&mail, &outcome(disposition, error)), expected);
        }
    }
}
