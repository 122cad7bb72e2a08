//! Verdicts that are known already, of filters that the configuration lets keep them.
//!
//! ```text
//! key of a message:  filter (code, settings, data files, limits) + message -> what the filter reads besides
//! key of a verdict:  the same + what stands there now                      -> verdict, edits, findings, learn token
//! ```
//!
//! What a filter reads besides the message (facts about the session, findings of others, what it remembers, data files) is
//! noted by the host while it runs, and is a part of the key. So a verdict is found again where the filter would find the
//! same, and nowhere else. Of the clock and of random numbers nobody knows what a filter makes: that is up to whoever lets
//! its verdicts be kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::debug;

use super::host::{Profile, apart};
use super::limits::AT_ONCE_MAX;
use super::remember::{Memory, Scope, Standing};
use super::runner::Runner;
use crate::filter::{Decision, Facts, Failure, Finding, Input};
use crate::message::{Edit, Message};
use crate::store;

/// What changes when entries are written in another way.
const FORMAT: u32 = 2;

/// Things that a filter reads, at most; verdicts of one that reads more are not kept.
const READINGS_MAX: usize = 64;

/// Octets of the name of such a thing, at most.
const NAME_MAX: usize = 256;

/// Octets of the edits and the learn token of a verdict that is kept, at most.
const EDITS_MAX: u64 = 192 * 1024;

/// What a verdict depends on besides the message.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Reading {
    /// A fact about the session, by its name.
    Fact(String),
    /// What the filters before have found.
    Findings,
    /// What the filter remembers.
    State(Scope),
    /// A data file, by its name.
    Data(String),
}

impl Reading {
    fn is_bounded(&self) -> bool {
        match self {
            Self::Fact(name) | Self::Data(name) => name.len() <= NAME_MAX,
            Self::Findings | Self::State(_) => true,
        }
    }
}

/// What a filter has read while it looked at a message; none if nobody wants to know, or if it was too much.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings(Option<BTreeSet<Reading>>);

impl Readings {
    /// Nothing yet.
    pub(super) fn noted() -> Self {
        Self(Some(BTreeSet::new()))
    }

    /// All facts: what a program finds in its environment.
    pub(super) fn all_facts() -> Self {
        Self(Some(Facts::NAMES.iter().map(|name| Reading::Fact((*name).to_owned())).collect()))
    }

    /// Notes one.
    pub(super) fn note(&mut self, reading: impl FnOnce() -> Reading) {
        let Some(readings) = &mut self.0 else { return };
        let reading = reading();
        if reading.is_bounded() && (readings.len() < READINGS_MAX || readings.contains(&reading)) {
            readings.insert(reading);
        } else {
            self.0 = None;
        }
    }
}

/// The verdicts of one filter.
pub(super) struct Known {
    verdicts: store::Verdicts,
    /// A hash of everything that does not differ between messages.
    filter: [u8; 32],
}

/// What there is to be read, as it was before the filter ran.
struct Circumstances<'a> {
    facts: Arc<Facts>,
    findings: Arc<[Finding]>,
    /// What it remembers for all, and of the user.
    remembered: [Standing; 2],
    /// Each data file with what changes when somebody writes to it.
    data: Vec<(&'a str, [i64; 5])>,
}

impl Known {
    /// The verdicts of a filter.
    pub(super) fn new(verdicts: store::Verdicts, profile: &Profile, fingerprint: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        let may = format!("{} {}", profile.grant, profile.state.is_some());
        let written = format!("{FORMAT} {}", env!("CARGO_PKG_VERSION"));
        for part in [written.as_bytes(), profile.name.as_bytes(), may.as_bytes(), fingerprint] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { verdicts, filter: hash.finalize().into() }
    }

    /// The decision on a message: the one that is known, else the filter's own, which is known from then on.
    ///
    /// # Errors
    /// The filter's failure, which nobody remembers here.
    pub(super) async fn or(
        &self,
        runner: &Runner,
        remembers: bool,
        input: Input,
        judged: impl AsyncFnOnce(Input) -> Result<(Decision, Readings), Failure>,
    ) -> Result<Decision, Failure> {
        let message = input.message.clone();
        let Some(circumstances) = Circumstances::of(runner, remembers, &input).await else {
            return Ok(judged(input).await?.0);
        };
        let first = self.key(&message).await;
        let before: Option<BTreeSet<Reading>> =
            self.verdicts.get(&first).await.and_then(|readings| postcard::from_bytes(&readings).ok());
        if let Some(readings) = &before
            && let Some(kept) = self.verdicts.get(&circumstances.key(&first, readings)).await
            && let Ok(decision) = postcard::from_bytes::<Decision>(&kept)
            && decision.edits.iter().all(|edit| edit.check(&message).is_ok())
        {
            debug!(filter = %runner.profile.name, "its verdict is known");
            return Ok(decision);
        }
        let (decision, readings) = judged(input).await?;
        if let Some(readings) = readings.0 {
            self.keep(&first, before, readings, &circumstances, &decision);
        }
        Ok(decision)
    }

    fn keep(
        &self,
        first: &[u8; 32],
        before: Option<BTreeSet<Reading>>,
        mut readings: BTreeSet<Reading>,
        circumstances: &Circumstances<'_>,
        decision: &Decision,
    ) {
        // What it reads may depend on what it has read: whatever it ever read counts.
        readings.extend(before.iter().flatten().cloned());
        let token = decision.learn_token.as_ref().map_or(0, Vec::len) as u64;
        let octets: u64 = token + decision.edits.iter().map(Edit::octets).sum::<u64>();
        if readings.len() > READINGS_MAX || octets > EDITS_MAX {
            return;
        }
        let (Ok(kept), Ok(names)) = (postcard::to_allocvec(decision), postcard::to_allocvec(&readings)) else { return };
        if before.as_ref() != Some(&readings) {
            self.verdicts.put(*first, names);
        }
        self.verdicts.put(circumstances.key(first, &readings), kept);
    }

    /// The key of a message.
    async fn key(&self, message: &Message) -> [u8; 32] {
        let (hashed, large) = (message.clone(), message.len() > AT_ONCE_MAX);
        // It can't fail but in a process that ends.
        let digest = apart(large, move || hashed.sha256()).await.unwrap_or_else(|_| message.sha256());
        Sha256::new().chain_update(self.filter).chain_update(digest).finalize().into()
    }
}

impl<'a> Circumstances<'a> {
    /// None where they can't be known: then nothing is known.
    async fn of(runner: &'a Runner, remembers: bool, input: &Input) -> Option<Self> {
        let profile = &runner.profile;
        let remembered = if remembers {
            let memory = Memory::new(&profile.name, profile.state.as_ref(), Some(&input.facts), profile.limits.timeout);
            memory.standing().await.ok()?
        } else {
            [Standing::default(), Standing::default()]
        };
        let data = profile.data.marks().ok()?;
        Some(Self { facts: Arc::clone(&input.facts), findings: Arc::clone(&input.findings), remembered, data })
    }

    /// The key of a verdict on the message with the key `first` that depends on these.
    fn key(&self, first: &[u8; 32], readings: &BTreeSet<Reading>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"verdict");
        hash.update(first);
        for reading in readings {
            let name = postcard::to_allocvec(reading).unwrap_or_default();
            let stands = match reading {
                Reading::Fact(name) => postcard::to_allocvec(&self.facts.by_name(name)),
                Reading::Findings => postcard::to_allocvec(&self.findings[..]),
                Reading::State(Scope::Shared) => postcard::to_allocvec(&self.remembered[0]),
                Reading::State(Scope::User) => postcard::to_allocvec(&self.remembered[1]),
                Reading::Data(name) => postcard::to_allocvec(&self.data.iter().find(|(known, _)| known == name)),
            };
            for part in [name, stands.unwrap_or_default()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Verdict;
    use crate::message::Splice;

    const MAIL: &str = "Subject: one\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\ntext\r\n--b\r\n\r\nmore\r\n--b\r\n\r\nthird\r\n--b--\r\n";

    fn text(message: &Message) -> String {
        String::from_utf8(message.read(0, 10_000)).unwrap()
    }

    #[test]
    fn a_decision_is_what_it_was() {
        let message = Message::from_bytes(MAIL.as_bytes().to_vec());
        let name = || "X-One".to_owned();
        let splices = [Splice { range: 0..4, text: "t\u{e9}xt".into() }];
        let small = vec![
            Edit::AddHeader { name: name(), value: "one".into() },
            Edit::SetHeader { name: "Subject".into(), value: "two".into() },
            Edit::RemoveHeader { name: "X-Two".into() },
            Edit::text(&message, 1, &splices).unwrap(),
            Edit::ReplacePart { index: 2, text: "instead".into() },
            Edit::RemovePart { index: 3 },
        ];
        let other = || Message::from_bytes(b"Subject: other\r\n\r\nother\r\n".to_vec());
        for edits in [small, vec![Edit::ReplaceMessage(other())], vec![Edit::ReplaceHeaders(other())]] {
            let finding = Finding {
                filter: "f".into(),
                symbol: "S".into(),
                points: -1.5,
                value: Some(0.25),
                text: "\u{fc}".into(),
            };
            let decision = Decision {
                verdict: Verdict::Hold("why".into()),
                edits,
                findings: vec![finding],
                learn_token: Some(vec![0, 255]),
                noted: false,
            };
            let again: Decision = postcard::from_bytes(&postcard::to_allocvec(&decision).unwrap()).unwrap();
            assert_eq!((&again.verdict, &again.findings), (&decision.verdict, &decision.findings));
            assert_eq!(again.learn_token, decision.learn_token);
            let applied = |decision: &Decision| text(&message.apply(&decision.edits).unwrap());
            assert_eq!(applied(&again), applied(&decision));
            let takes = |decision: &Decision| decision.edits.iter().any(Edit::takes_content);
            assert_eq!(takes(&again), takes(&decision));
        }
    }

    #[test]
    fn whoever_reads_too_much_is_not_remembered() {
        let mut readings = Readings::noted();
        for n in 0..READINGS_MAX {
            readings.note(|| Reading::Fact(n.to_string()));
        }
        readings.note(|| Reading::Fact("0".into()));
        assert_eq!(readings.0.as_ref().map(BTreeSet::len), Some(READINGS_MAX));
        readings.note(|| Reading::Findings);
        assert!(readings.0.is_none());
        let mut readings = Readings::noted();
        readings.note(|| Reading::Data("x".repeat(NAME_MAX + 1)));
        assert!(readings.0.is_none());
    }
}
