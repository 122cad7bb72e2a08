//! What became of messages, told to whoever wants to know: the history, what filters leave of them, and who else observes.

use std::time::SystemTime;

use crate::filter::{Disposition, Report};
use crate::session::driver::{Judged, Observer};
use crate::store::{History, Judgement, LearnToken, LearnTokens, Owner};

/// Symbols of findings that a reason names, at most.
const SYMBOLS: usize = 10;

/// Where it is written down what is known of messages; each, where that is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// What became of them.
    pub(super) history: Option<History>,
    /// By what filters can learn them when they are gone.
    pub(super) learn_tokens: Option<LearnTokens>,
}

impl Notes {
    /// Waits until what was noted is written, but not for long.
    pub(super) async fn flush(&self) {
        if let Some(history) = &self.history {
            history.flush().await;
        }
        if let Some(learn_tokens) = &self.learn_tokens {
            learn_tokens.flush().await;
        }
    }
}

/// Tells all of each message; none if there is nobody to be told.
pub(super) fn observers(first: Option<Observer>, notes: Notes, subjects: bool) -> Option<Observer> {
    if notes.history.is_none() && notes.learn_tokens.is_none() {
        return first;
    }
    Some(std::sync::Arc::new(move |judged: &Judged| {
        if let Some(first) = &first {
            first(judged);
        }
        if let Some(history) = &notes.history {
            history.note(judgement(judged, subjects));
        }
        if let Some(learn_tokens) = &notes.learn_tokens {
            left(judged).for_each(|token| learn_tokens.note(token));
        }
    }))
}

/// What filters have left of a message, with whose it is: the user's, where one is known, as what filters learn is.
fn left(judged: &Judged) -> impl Iterator<Item = LearnToken> {
    let is_known = judged.identity.user.as_ref().is_some_and(|user| !user.is_empty());
    judged.learn_tokens.iter().map(move |left| {
        let user = is_known.then(|| Owner::user(&left.filter, &judged.identity)).flatten();
        let owner = user.unwrap_or_else(|| Owner::shared(&left.filter));
        LearnToken { owner, message: judged.original.sha256(), token: left.token.clone() }
    })
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
