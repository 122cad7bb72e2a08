//! The configured filters in their order, over one message.

use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Decision, Facts, Failure, Filter, Finding, Input, Label, Learned, Lesson, Verdict};
use crate::message::{Edit, EditError, Message};

/// Header names with this prefix are the proxy's own; what comes in under them is forged.
const OWN_HEADERS: &str = "X-Popgate-";

/// What to do when a filter can't decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFailure {
    /// Keep the message on the server; the client asks again later.
    Retry,
    /// Go on as if the filter did not exist, with a header that says so.
    Deliver,
    /// Hold the message.
    Hold,
}

/// What to do with a message that is larger than a filter takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Oversize {
    /// Go on without the filter, with a header that says so.
    Skip,
    /// Hold the message.
    Hold,
    /// Keep the message on the server.
    Retry,
}

/// Decides about a login name.
pub type UserPredicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// For whom and what a filter runs.
#[derive(Clone, Default)]
pub struct Only {
    /// For which users; everybody when none.
    pub user: Option<UserPredicate>,
    /// Behind which listeners; all when empty.
    pub listeners: Vec<String>,
    /// Up to which size of the message, in octets.
    pub max_size: Option<u64>,
}

impl fmt::Debug for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, listeners, max_size } = self;
        write!(f, "Only {{ user: {}, listeners: {listeners:?}, max_size: {max_size:?} }}", user.is_some())
    }
}

/// A filter in its place.
#[derive(Clone)]
pub struct Link {
    /// Its configured name.
    pub name: String,
    /// The filter itself.
    pub filter: Arc<dyn Filter>,
    /// For whom and what it runs.
    pub only: Only,
    /// When something that it needs is out of order.
    pub on_error: OnFailure,
    /// When it keeps failing on one message.
    pub on_poison: OnFailure,
    /// When the message is too large for it.
    pub oversize: Oversize,
    /// Record everything, change nothing.
    pub observe: bool,
    /// It needs no more of a message than the header block.
    pub reads_headers: bool,
    /// Names of the headers that it writes itself; they are taken out of what comes in.
    pub writes: Vec<String>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).field("only", &self.only).finish_non_exhaustive()
    }
}

/// Remembers on which messages a filter has failed.
pub trait Poison: Send + Sync {
    /// Notes that a filter has failed on a message; true once it did so in enough sessions for the message to be at fault.
    fn failed(&self, filter: &str, fingerprint: &[u8; 32], message: &Message) -> bool;
}

/// All configured filters.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Vec<Arc<Link>>,
}

impl Chain {
    /// The filters in their order.
    #[must_use]
    pub fn new(links: Vec<Link>) -> Self {
        Self { links: links.into_iter().map(Arc::new).collect() }
    }

    /// The filters that run for a user behind a listener. Where no user is known, filters for certain users run.
    #[must_use]
    pub fn select(&self, user: Option<&str>, listener: &str, trust_headers: bool) -> Selection {
        let wanted = |link: &&Arc<Link>| {
            let only = &link.only;
            let user_matches = match (&only.user, user) {
                (Some(predicate), Some(user)) => predicate(user),
                _ => true,
            };
            user_matches && (only.listeners.is_empty() || only.listeners.iter().any(|name| name == listener))
        };
        self.selected(wanted, trust_headers)
    }

    /// The filters that run for a user behind any listener; for a user whom nobody knows, all.
    #[must_use]
    pub fn select_anywhere(&self, user: Option<&str>) -> Selection {
        let wanted = |link: &&Arc<Link>| match (&link.only.user, user) {
            (Some(predicate), Some(user)) => predicate(user),
            _ => true,
        };
        self.selected(wanted, false)
    }

    fn selected(&self, wanted: impl FnMut(&&Arc<Link>) -> bool, trust_headers: bool) -> Selection {
        let links: Arc<[_]> = self.links.iter().filter(wanted).cloned().collect();
        let strip = match trust_headers {
            true => Arc::default(),
            false => links.iter().flat_map(|link| link.writes.iter().cloned()).collect(),
        };
        Selection { links, strip }
    }
}

/// The filters that run in a session.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    links: Arc<[Arc<Link>]>,
    strip: Arc<[String]>,
}

/// What becomes of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Disposition {
    /// The client gets [`Outcome::message`].
    Deliver,
    /// The original is held.
    Hold {
        /// Who says so.
        filter: String,
        /// One line for people.
        reason: String,
    },
    /// It stays on the server for now.
    Retry {
        /// Who could not decide.
        filter: String,
        /// One line for the log.
        reason: String,
    },
}

/// What the chain made of a message.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What becomes of it.
    pub disposition: Disposition,
    /// The message with all edits.
    pub message: Message,
    /// Whether content was taken away or replaced: the original has to be kept first.
    pub takes_content: bool,
    /// Whether a filter has noted something about it.
    pub noted: bool,
    /// By what filters can learn it when it is gone.
    pub learn_tokens: Vec<LearnToken>,
    /// What was seen on the way.
    pub report: Report,
}

/// By what a filter can learn a message when it is gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LearnToken {
    /// The filter's configured name.
    pub filter: String,
    /// Octets that mean something to the filter alone.
    pub token: Arc<[u8]>,
}

/// What was seen on the way through the chain.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All findings, in the order of their reports.
    pub findings: Vec<Finding>,
    /// One entry for each filter that was asked, in order.
    pub filters: Vec<FilterReport>,
}

/// One filter's share of a report.
#[derive(Clone, Debug)]
pub struct FilterReport {
    /// Its configured name.
    pub name: String,
    /// `pass`, `hold`, `failed` or `skipped`.
    pub verdict: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it changed the message.
    pub changed: bool,
    /// Why it failed or was skipped.
    pub error: Option<String>,
}

impl Selection {
    /// True if no filter runs: mail may pass without being looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The filters that need no more than the header block, and the names of the others.
    #[must_use]
    pub fn of_headers(&self) -> (Self, Vec<&str>) {
        let (links, others): (Vec<_>, Vec<_>) = self.links.iter().partition(|link| link.reads_headers);
        let links = links.into_iter().cloned().collect();
        let others = others.into_iter().map(|link| link.name.as_str()).collect();
        (Self { links, strip: Arc::clone(&self.strip) }, others)
    }

    /// A hash of everything that decides what becomes of a message.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        for link in self.links.iter() {
            let policies = format!(
                "{:?} {:?} {:?} {:?} {}",
                link.only, link.on_error, link.on_poison, link.oversize, link.observe
            );
            for text in [&link.name, &policies] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
            hash.update(link.filter.fingerprint());
        }
        for name in self.strip.iter() {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
        }
        hash.finalize().into()
    }

    /// Runs the filters over a message.
    pub async fn run(&self, original: Message, mut facts: Facts, poison: &dyn Poison) -> Outcome {
        facts.user = facts.user.filter(|name| !name.is_empty());
        let mut run = Run {
            message: self.without_forged_headers(original),
            facts: Arc::new(facts),
            takes_content: false,
            noted: false,
            learn_tokens: Vec::new(),
            findings: [].into(),
            report: Report::default(),
        };
        for link in self.links.iter() {
            if let Some(disposition) = run.step(link, poison).await {
                return run.ends(disposition);
            }
        }
        run.ends(Disposition::Deliver)
    }

    /// Whether there is a filter that learns.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.links.iter().any(|link| link.filter.learns())
    }

    /// Has the filters that learn learn a message, or forget it. Gives what came of it for each, by its name; none for none.
    pub async fn learn(
        &self,
        original: Message,
        facts: Facts,
        label: Option<Label>,
    ) -> Vec<(&str, Result<Learned, Failure>)> {
        let id = original.sha256();
        // As the filters see it when it comes.
        let message = Some(self.without_forged_headers(original));
        self.taught(Lesson { message, id, facts: Arc::new(facts), label }).await
    }

    /// Whether there is a filter that learns messages that are gone.
    #[must_use]
    pub fn learns_by_token(&self) -> bool {
        self.links.iter().any(|link| link.filter.learns_by_token())
    }

    /// The same as [`Self::learn`] for a message that is gone, by the hash of its octets as they came.
    pub async fn learn_seen(
        &self,
        id: [u8; 32],
        facts: Facts,
        label: Option<Label>,
    ) -> Vec<(&str, Result<Learned, Failure>)> {
        self.taught(Lesson { message: None, id, facts: Arc::new(facts), label }).await
    }

    async fn taught(&self, lesson: Lesson) -> Vec<(&str, Result<Learned, Failure>)> {
        let mut results = Vec::new();
        for link in self.links.iter().filter(|link| link.filter.learns()) {
            results.push((link.name.as_str(), link.filter.learn(lesson.clone()).await));
        }
        results
    }

    fn without_forged_headers(&self, message: Message) -> Message {
        let forged = |name: &str| {
            name.get(..OWN_HEADERS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_HEADERS))
                || self.strip.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        let mut edits: Vec<Edit> = Vec::new();
        for field in message.fields().iter().filter(|field| forged(field.name())) {
            let name = field.name().to_string();
            if !edits.iter().any(|edit| matches!(edit, Edit::RemoveHeader { name: known } if *known == name)) {
                edits.push(Edit::RemoveHeader { name });
            }
        }
        if edits.is_empty() { message } else { message.apply(&edits).unwrap_or(message) }
    }
}

/// A panic while a message is looked at costs this message a failure, and no session.
async fn caught(
    mut examined: Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>>,
) -> Result<Decision, Failure> {
    poll_fn(|context| {
        // What the future has touched is dropped with it, never looked at again.
        catch_unwind(AssertUnwindSafe(|| examined.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Err(Failure::Message("popgate failed on the message itself".into()))))
    })
    .await
}

/// The message with the edits made; where that takes long, it holds up nobody else.
async fn applied(message: &Message, edits: &[Edit]) -> Result<Message, EditError> {
    /// Octets that are taken apart and put together in a millisecond or two.
    const AT_ONCE: u64 = 1024 * 1024;
    let octets = edits.iter().fold(message.len(), |octets, edit| octets.saturating_add(edit.octets()));
    if octets <= AT_ONCE || edits.iter().all(Edit::is_of_header) {
        return message.apply(edits);
    }
    let (before, wanted) = (message.clone(), edits.to_vec());
    match tokio::task::spawn_blocking(move || before.apply(&wanted)).await {
        Ok(applied) => applied,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process ends.
            Err(_) => pending().await,
        },
    }
}

struct Run {
    message: Message,
    facts: Arc<Facts>,
    takes_content: bool,
    noted: bool,
    learn_tokens: Vec<LearnToken>,
    /// Those of the report, for the filters to share.
    findings: Arc<[Finding]>,
    report: Report,
}

impl Run {
    fn ends(self, disposition: Disposition) -> Outcome {
        let Self { message, takes_content, noted, learn_tokens, report, .. } = self;
        Outcome { disposition, message: message.bare(), takes_content, noted, learn_tokens, report }
    }

    /// One filter; an end of the chain where it decides so.
    async fn step(&mut self, link: &Link, poison: &dyn Poison) -> Option<Disposition> {
        if let Some(limit) = link.only.max_size.filter(|&limit| self.message.len() > limit) {
            return self.oversize(link, limit);
        }
        let started = Instant::now();
        let input = Input {
            message: self.message.clone(),
            facts: Arc::clone(&self.facts),
            findings: Arc::clone(&self.findings),
        };
        let result = match caught(link.filter.examine(input)).await {
            Ok(decision) if decision.verdict == Verdict::Pass && !decision.edits.is_empty() && !link.observe => {
                match applied(&self.message, &decision.edits).await {
                    Ok(changed) => {
                        self.message = changed;
                        self.takes_content |= decision.edits.iter().any(Edit::takes_content);
                        Ok((decision, true))
                    }
                    Err(error) => Err(Failure::Message(format!("its edits can't be applied: {error}"))),
                }
            }
            Ok(decision) => Ok((decision, false)),
            Err(failure) => Err(failure),
        };
        let elapsed = started.elapsed();
        match result {
            Ok((decision, changed)) => {
                self.noted |= decision.noted;
                if let Some(token) = decision.learn_token {
                    self.learn_tokens.push(LearnToken { filter: link.name.clone(), token: token.into() });
                }
                if !decision.findings.is_empty() {
                    self.report.findings.extend(decision.findings);
                    self.findings = self.report.findings.as_slice().into();
                }
                let verdict = if decision.verdict == Verdict::Pass { "pass" } else { "hold" };
                self.note(link, verdict, elapsed, changed, None);
                match decision.verdict {
                    Verdict::Hold(reason) if !link.observe => {
                        Some(Disposition::Hold { filter: link.name.clone(), reason })
                    }
                    _ => None,
                }
            }
            Err(failure) => {
                self.note(link, "failed", elapsed, false, Some(failure.to_string()));
                if link.observe { None } else { self.failed(link, &failure, poison) }
            }
        }
    }

    fn failed(&mut self, link: &Link, failure: &Failure, poison: &dyn Poison) -> Option<Disposition> {
        let policy = match failure {
            Failure::Service(_) => link.on_error,
            Failure::Message(_) if poison.failed(&link.name, &link.filter.fingerprint(), &self.message) => {
                link.on_poison
            }
            // A passing weakness of the filter does not hold mail: the message gets another session.
            Failure::Message(_) => OnFailure::Retry,
        };
        match policy {
            OnFailure::Retry => Some(Disposition::Retry { filter: link.name.clone(), reason: failure.to_string() }),
            OnFailure::Hold => {
                let reason = format!("the filter {} could not examine it", link.name);
                Some(Disposition::Hold { filter: link.name.clone(), reason })
            }
            OnFailure::Deliver => {
                self.mark(
                    "X-Popgate-Error",
                    format!("{}: the filter failed, the message was not examined by it", link.name),
                );
                None
            }
        }
    }

    fn oversize(&mut self, link: &Link, limit: u64) -> Option<Disposition> {
        let reason = format!("larger than {limit} octets, the most that {} takes", link.name);
        self.note(link, "skipped", Duration::ZERO, false, Some(reason.clone()));
        match link.oversize {
            _ if link.observe => None,
            Oversize::Skip => {
                self.mark("X-Popgate-Skipped", format!("{}: larger than {limit} octets", link.name));
                None
            }
            Oversize::Hold => Some(Disposition::Hold { filter: link.name.clone(), reason }),
            Oversize::Retry => Some(Disposition::Retry { filter: link.name.clone(), reason }),
        }
    }

    /// Adds a header of the proxy's own. Where not even that can be done the message goes on as it is: the report has it.
    fn mark(&mut self, name: &str, value: String) {
        if let Ok(marked) = self.message.apply(&[Edit::AddHeader { name: name.into(), value }]) {
            self.message = marked;
        }
    }

    fn note(&mut self, link: &Link, verdict: &'static str, elapsed: Duration, changed: bool, error: Option<String>) {
        self.report.filters.push(FilterReport { name: link.name.clone(), verdict, elapsed, changed, error });
    }
}

#[cfg(test)]
mod tests;
