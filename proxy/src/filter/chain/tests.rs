//! The chain with filters that do what the test says.

use std::future::ready;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use super::*;
use crate::filter::{Decision, FetchCommand};

/// Gives the same answer to every message.
struct Says(Result<Decision, Failure>);

impl Filter for Says {
    fn examine(&self, _: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(ready(self.0.clone()))
    }

    fn fingerprint(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// Reports what it sees of a header, so that a test knows what reached it.
struct Sees(&'static str);

impl Filter for Sees {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        let text = input.message.headers(self.0).join("|");
        let finding = Finding { filter: "sees".into(), symbol: "SEEN".into(), points: 1.5, value: None, text };
        Box::pin(ready(Ok(Decision {
            verdict: Verdict::Pass,
            edits: Vec::new(),
            findings: vec![finding],
            learn_token: None,
            noted: false,
        })))
    }

    fn fingerprint(&self) -> [u8; 32] {
        [1; 32]
    }
}

/// So many failures are forgiven.
struct Forgives(bool);

impl Poison for Forgives {
    fn failed(&self, _: &str, _: &[u8; 32], _: &Message) -> bool {
        !self.0
    }
}

fn decision(verdict: Verdict, edits: Vec<Edit>) -> Decision {
    Decision { verdict, edits, findings: Vec::new(), learn_token: None, noted: false }
}

fn pass(edits: Vec<Edit>) -> Arc<dyn Filter> {
    Arc::new(Says(Ok(decision(Verdict::Pass, edits))))
}

fn hold() -> Arc<dyn Filter> {
    let verdict = Verdict::Hold("bad".into());
    Arc::new(Says(Ok(decision(verdict, Vec::new()))))
}

fn fails(failure: Failure) -> Arc<dyn Filter> {
    Arc::new(Says(Err(failure)))
}

fn link(name: &str, filter: Arc<dyn Filter>) -> Link {
    Link {
        name: name.into(),
        filter,
        only: Only::default(),
        on_error: OnFailure::Retry,
        on_poison: OnFailure::Hold,
        oversize: Oversize::Skip,
        observe: false,
        reads_headers: false,
        writes: Vec::new(),
    }
}

fn facts() -> Facts {
    Facts {
        user: Some("alice".into()),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        listener: "l".into(),
        upstream: "u".into(),
        tls: false,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: None,
        sdps_recipient: None,
        examined_before: false,
    }
}

async fn run(links: Vec<Link>, text: &str, forgives: bool) -> Outcome {
    let message = Message::from_bytes(text.as_bytes().to_vec());
    Chain::new(links).select(Some("alice"), "l", false).run(message, facts(), &Forgives(forgives)).await
}

fn octets(outcome: &Outcome) -> String {
    outcome.message.segments().map(String::from_utf8_lossy).collect()
}

const MAIL: &str = "Subject: hi\r\n\r\nbody\r\n";

fn add(name: &str, value: &str) -> Edit {
    Edit::AddHeader { name: name.into(), value: value.into() }
}

#[tokio::test]
async fn a_later_filter_sees_the_edits_of_an_earlier_one() {
    let links = vec![link("a", pass(vec![add("X-A", "1")])), link("b", Arc::new(Sees("X-A")))];
    let outcome = run(links, MAIL, true).await;
    assert_eq!(outcome.report.findings[0].text, "1");
    assert_eq!(octets(&outcome), format!("X-A: 1\r\n{MAIL}"));
    assert!(!outcome.takes_content);
    let changed: Vec<bool> = outcome.report.filters.iter().map(|filter| filter.changed).collect();
    assert_eq!(changed, [true, false]);
}

#[tokio::test]
async fn a_hold_ends_the_chain() {
    let outcome = run(vec![link("a", hold()), link("b", Arc::new(Sees("Subject")))], MAIL, true).await;
    assert_eq!(outcome.disposition, Disposition::Hold { filter: "a".into(), reason: "bad".into() });
    assert_eq!(outcome.report.filters.len(), 1);
}

#[tokio::test]
async fn a_service_failure_follows_on_error() {
    for (policy, retry, hold) in
        [(OnFailure::Retry, true, false), (OnFailure::Hold, false, true), (OnFailure::Deliver, false, false)]
    {
        let failing = Link { on_error: policy, ..link("a", fails(Failure::Service("away".into()))) };
        let outcome = run(vec![failing], MAIL, false).await;
        assert_eq!(matches!(outcome.disposition, Disposition::Retry { .. }), retry, "{policy:?}");
        assert_eq!(matches!(outcome.disposition, Disposition::Hold { .. }), hold, "{policy:?}");
        let marked = octets(&outcome).starts_with("X-Popgate-Error: a: ");
        assert_eq!(marked, policy == OnFailure::Deliver, "{policy:?}");
    }
}

#[tokio::test]
async fn a_message_failure_is_forgiven_first_and_then_follows_on_poison() {
    // Whatever on_error says: one crafted mail must not open the gate.
    let failing = || Link { on_error: OnFailure::Deliver, ..link("a", fails(Failure::Message("trap".into()))) };
    let first = run(vec![failing()], MAIL, true).await;
    assert_eq!(first.disposition, Disposition::Retry { filter: "a".into(), reason: "trap".into() });
    let third = run(vec![failing()], MAIL, false).await;
    assert!(matches!(third.disposition, Disposition::Hold { .. }));
}

/// A filter that panics, as a parser might on a crafted mail.
struct Panics;

impl Filter for Panics {
    fn examine(&self, _: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(async { panic!("on purpose") })
    }

    fn fingerprint(&self) -> [u8; 32] {
        [2; 32]
    }
}

#[tokio::test]
async fn a_panic_is_a_failure_on_this_message() {
    let outcome = run(vec![link("a", Arc::new(Panics))], MAIL, true).await;
    assert!(matches!(outcome.disposition, Disposition::Retry { .. }));
}

#[tokio::test]
async fn edits_that_can_not_be_made_are_the_filters_failure() {
    let outcome = run(vec![link("a", pass(vec![add("X-A", "1"), add("X B", "2")]))], MAIL, true).await;
    assert!(matches!(outcome.disposition, Disposition::Retry { .. }));
    assert_eq!(octets(&outcome), MAIL);
}

#[tokio::test]
async fn an_observing_filter_changes_nothing() {
    for filter in [pass(vec![add("X-A", "1")]), hold(), fails(Failure::Service("away".into()))] {
        let outcome = run(vec![Link { observe: true, ..link("a", filter) }], MAIL, false).await;
        assert_eq!(outcome.disposition, Disposition::Deliver);
        assert_eq!(octets(&outcome), MAIL);
        assert_eq!(outcome.report.filters.len(), 1);
    }
}

#[tokio::test]
async fn a_message_above_a_filters_size_follows_oversize() {
    for (oversize, mark) in [(Oversize::Skip, true), (Oversize::Hold, false), (Oversize::Retry, false)] {
        let only = Only { max_size: Some(10), ..Only::default() };
        let outcome = run(vec![Link { only, oversize, ..link("a", hold()) }], MAIL, true).await;
        assert_eq!(octets(&outcome).starts_with("X-Popgate-Skipped: a: "), mark, "{oversize:?}");
        assert_eq!(matches!(outcome.disposition, Disposition::Deliver), mark, "{oversize:?}");
        assert_eq!(outcome.report.filters[0].verdict, "skipped");
    }
}

#[tokio::test]
async fn forged_results_do_not_reach_filters_or_clients() {
    let forged =
        "X-Popgate-Error: none\r\nx-spam-flag: NO\r\nX-Other: kept\r\nX-Spam-Flag: NO\r\nSubject: hi\r\n\r\nbody\r\n";
    let writer = Link { writes: vec!["X-Spam-Flag".into()], ..link("a", Arc::new(Sees("X-Spam-Flag"))) };
    let outcome = run(vec![writer], forged, true).await;
    assert_eq!(outcome.report.findings[0].text, "");
    assert_eq!(octets(&outcome), "X-Other: kept\r\nSubject: hi\r\n\r\nbody\r\n");
}

#[test]
fn filters_run_for_whom_they_are_meant() {
    let predicate: UserPredicate = Arc::new(|name| name == "bob");
    let for_bob = Link { only: Only { user: Some(predicate), ..Only::default() }, ..link("a", hold()) };
    let behind = Link { only: Only { listeners: vec!["l".into()], ..Only::default() }, ..link("b", hold()) };
    let chain = Chain::new(vec![for_bob, behind]);
    let count = |user, listener| chain.select(user, listener, false).links.len();
    assert_eq!(count(Some("bob"), "l"), 2);
    assert_eq!(count(Some("alice"), "l"), 1);
    assert_eq!(count(Some("alice"), "other"), 0);
    assert_eq!(count(None, "other"), 1, "where nobody knows who it is, the filter runs");
}

#[test]
fn filters_that_need_no_more_than_headers_are_told_from_the_others() {
    let chain = Chain::new(vec![Link { reads_headers: true, ..link("a", hold()) }, link("b", hold())]);
    let all = chain.select(None, "l", false);
    let (headers, others) = all.of_headers();
    assert_eq!((headers.links.len(), others), (1, vec!["b"]));
    assert_ne!(headers.fingerprint(), all.fingerprint());
    assert_eq!(chain.select(None, "l", false).fingerprint(), all.fingerprint());
}

/// Leaves a token, and says this.
fn leaves(token: &str, verdict: Verdict, edits: Vec<Edit>) -> Arc<dyn Filter> {
    Arc::new(Says(Ok(Decision { learn_token: Some(token.into()), ..decision(verdict, edits) })))
}

#[tokio::test]
async fn tokens_count_with_every_verdict_and_with_no_failure() {
    let hold = || Verdict::Hold("bad".into());
    let broken = || vec![Edit::RemovePart { index: 7 }];
    let observed = Link { observe: true, ..link("observed", leaves("o", hold(), Vec::new())) };
    let lenient = Link { on_poison: OnFailure::Deliver, ..link("fails", leaves("f", Verdict::Pass, broken())) };
    let links = vec![
        link("first", leaves("1", Verdict::Pass, Vec::new())),
        observed,
        lenient,
        link("none", pass(Vec::new())),
        link("holds", leaves("2", hold(), Vec::new())),
        link("never asked", leaves("3", Verdict::Pass, Vec::new())),
    ];
    let outcome = run(links, MAIL, false).await;
    assert!(matches!(outcome.disposition, Disposition::Hold { .. }), "{:?}", outcome.disposition);
    let left: Vec<_> = outcome.learn_tokens.iter().map(|left| (&*left.filter, &*left.token)).collect();
    assert_eq!(left, [("first", &b"1"[..]), ("observed", b"o"), ("holds", b"2")]);
}
