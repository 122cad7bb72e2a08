//! What became of messages, told to whoever wants to know: the history, and who else observes.

use std::time::SystemTime;

use crate::filter::{Disposition, Report};
use crate::session::driver::{Judged, Observer};
use crate::store::{History, Judgement};

/// Symbols of findings that a reason names, at most.
const SYMBOLS: usize = 10;

/// Tells both of each message; none if there is nobody to be told.
pub(super) fn observers(first: Option<Observer>, history: Option<History>, subjects: bool) -> Option<Observer> {
    let Some(history) = history else { return first };
    Some(std::sync::Arc::new(move |judged: &Judged| {
        if let Some(first) = &first {
            first(judged);
        }
        history.note(judgement(judged, subjects));
    }))
}

fn judgement(judged: &Judged, subjects: bool) -> Judgement {
    let (verdict, filter, reason) = match &judged.disposition {
        Disposition::Hold { filter, reason } if judged.refused => {
            ("retry", filter.clone(), format!("it can't be held now: {reason}"))
        }
        Disposition::Deliver if judged.refused => {
            ("retry", changed_by(&judged.report), "its original can't be kept".into())
        }
        Disposition::Hold { filter, reason } => ("hold", filter.clone(), reason.clone()),
        Disposition::Retry { filter, reason } => ("retry", filter.clone(), reason.clone()),
        Disposition::Deliver => {
            let filters = changed_by(&judged.report);
            (if filters.is_empty() { "pass" } else { "change" }, filters, symbols(&judged.report))
        }
    };
    let subject = subjects.then(|| judged.original.header("Subject")).flatten();
    Judgement {
        when: SystemTime::now(),
        identity: judged.identity.clone(),
        verdict: verdict.to_owned(),
        filter,
        reason,
        uidl: judged.uidl.clone().unwrap_or_default(),
        octets: judged.original.len(),
        sha256: judged.original.sha256(),
        subject: subject.unwrap_or_default(),
    }
}

fn changed_by(report: &Report) -> String {
    let names = report.filters.iter().filter(|filter| filter.changed).map(|filter| filter.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// What filters have found, without their texts, which may repeat the message's.
fn symbols(report: &Report) -> String {
    let findings = report.findings.iter().take(SYMBOLS);
    let told = findings.map(|finding| match finding.points {
        0.0 => finding.symbol.clone(),
        points => format!("{} {points:+.1}", finding.symbol),
    });
    told.collect::<Vec<_>>().join(", ")
}
