//! Guests that leave tokens of messages, and learn by them.

use super::*;
use crate::filter::{Label, Learned, Lesson};
use crate::store::{LearnToken, LearnTokens, Owner, State};

/// What learns by messages alone: whatever it is told it does.
const LEARNS: &str = "(func $learn (param i32 i32) (result i32) i32.const 0) (export \"learn\" (func $learn))";

/// The same by tokens: where no user is named, it fails.
const BY_TOKEN: &str = r#"
    (func $learn_token (param i32 i32 i32 i32 i32 i32) (result i32)
      (if (result i32) (local.get 2) (then (i32.const 0)) (else (i32.const 48))))
    (export "learn-token" (func $learn_token))"#;

/// Leaves a token of so many octets, and gives the answer at this address; holds what came if it was refused.
fn leaves(octets: u32, answer: u32) -> String {
    format!(
        "(func $filter (param i32) (result i32)
           (call $leave (local.get 0) (i32.const 8192) (i32.const {octets}) (i32.const 4096))
           (if (result i32) (i32.load8_u (i32.const 4096)) (then (i32.const 16)) (else (i32.const {answer}))))"
    )
}

fn bench() -> (Bench, State) {
    let (bench, state) = (Bench::new(), State::in_memory().unwrap());
    bench.catalogue.keep_state_in(state.clone());
    (bench, state)
}

const GRANTED: &str = "grant = { kv = true }";

/// Octets of the token that comes with the decision.
fn left(decision: &Decision) -> Option<usize> {
    decision.learn_token.as_ref().map(Vec::len)
}

#[tokio::test]
async fn tokens_are_bounded_and_count_with_every_verdict_and_with_no_failure() {
    let (bench, _) = bench();
    let held = Verdict::Hold("why".into());
    for (octets, answer, verdict, expected) in [
        (1, 0, &Verdict::Pass, Some(1)),
        (65_536, 0, &Verdict::Pass, Some(65_536)),
        (9, 16, &held, Some(9)),
        (0, 0, &held, None),
        (65_537, 0, &held, None),
    ] {
        let decision = bench.run(&(leaves(octets, answer) + LEARNS + BY_TOKEN), GRANTED).await.unwrap();
        assert_eq!((&decision.verdict, left(&decision)), (verdict, expected), "{octets}");
    }
    assert!(bench.run(&(leaves(9, 48) + LEARNS + BY_TOKEN), GRANTED).await.is_err());
}

#[tokio::test]
async fn where_nothing_can_be_learned_no_token_is_left() {
    let (bench, _) = bench();
    for (functions, section) in [
        (leaves(9, 0) + LEARNS + BY_TOKEN, ""),
        // Older plugins, which know nothing of tokens: they run as ever.
        (leaves(9, 0) + LEARNS, GRANTED),
        (leaves(9, 0), GRANTED),
    ] {
        let decision = bench.run(&functions, section).await.unwrap();
        assert_eq!((&decision.verdict, left(&decision)), (&Verdict::Pass, None), "{section}");
    }
}

fn lesson(user: Option<&str>, label: Option<Label>) -> Lesson {
    let facts = Facts {
        user: user.map(str::to_owned),
        client: [127, 0, 0, 1].into(),
        listener: "l".into(),
        upstream: "u".into(),
        tls: true,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: None,
        sdps_recipient: None,
        examined_before: false,
    };
    Lesson { message: None, id: [7; 32], facts: Arc::new(facts), label }
}

#[tokio::test]
async fn what_is_gone_is_learned_once_by_its_token_and_for_whom_it_came() {
    let (bench, state) = bench();
    let filter =
        bench.guest(&(leaves(9, 0) + LEARNS + BY_TOKEN), GRANTED).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(filter.learns() && filter.learns_by_token());
    let (spam, ham) = (Some(Label::Spam), Some(Label::Ham));
    assert_eq!(filter.learn(lesson(Some("alice"), spam)).await, Ok(Learned::NoToken));
    let identity = crate::store::Identity { upstream: "u".into(), user: Some("alice".into()) };
    let owner = Owner::user("guest", &identity).unwrap();
    let tokens = LearnTokens::start(&state);
    tokens.note(LearnToken { owner, message: [7; 32], token: Arc::from(*b"token") });
    tokens.flush().await;
    for (user, label, expected) in [
        ("bob", spam, Learned::NoToken),
        ("alice", spam, Learned::New),
        ("alice", spam, Learned::Known),
        ("alice", ham, Learned::New),
        ("alice", None, Learned::New),
        ("alice", None, Learned::Known),
    ] {
        assert_eq!(filter.learn(lesson(Some(user), label)).await, Ok(expected), "{user} {label:?}");
    }
    // For all it is learned by the same token; this guest refuses that.
    assert_eq!(filter.learn(lesson(None, spam)).await, Err(Failure::Message("why".into())));
    let filter = bench.guest(&(leaves(9, 0) + LEARNS), GRANTED).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(filter.learns() && !filter.learns_by_token());
    assert_eq!(filter.learn(lesson(Some("alice"), spam)).await, Ok(Learned::NoToken));
}

#[tokio::test]
async fn the_bundled_filter_leaves_a_token() {
    let (bench, _) = bench();
    for (settings, leaves) in [("", true), ("config = { learn_tokens = false }", false)] {
        let section = format!("name = \"spam\"\nplugin = \"spam\"\n{settings}");
        let filter = bench.load(&section).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(filter.learns_by_token());
        let decision = examine(&*filter, MAIL).await.unwrap();
        assert_eq!(left(&decision).is_some_and(|octets| octets > 80 && octets % 8 == 1), leaves);
    }
}
