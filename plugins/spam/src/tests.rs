//! The filter on messages in memory.

use popgate_plugin::state::Scope;
use popgate_plugin::testing::{self, configure};
use popgate_plugin::{Finding, Label, Message, Verdict};
use serde_json::{Value, json};

use super::Spam;
use super::counts::{Counters, InState};

const SPAM: &str = "From: Deals <deals@shop.example>\nSubject: cheap pills\n\nBuy cheap pills now, money back\n";
const HAM: &str = "From: Bob <bob@example.org>\nSubject: meeting\n\nShall we meet on Monday about the report?\n";

fn filter(settings: Value) -> Spam {
    configure(settings).unwrap()
}

/// Learns so many messages of either kind, each with a word of its own.
fn train(filter: &Spam, count: u32, user: Option<&str>, swap: bool) {
    for (label, mail) in [(Label::Spam, if swap { HAM } else { SPAM }), (Label::Ham, if swap { SPAM } else { HAM })] {
        for number in 0..count {
            testing::learn(filter, &message(&format!("{mail}number{number}\n"), user), label).unwrap();
        }
    }
}

fn message(mail: &str, user: Option<&str>) -> Message {
    let message = Message::from(mail);
    match user {
        Some(user) => message.with_fact("user", user),
        None => message,
    }
}

/// What is reported of a message, which always passes.
fn judge(filter: &Spam, mail: &str, user: Option<&str>) -> Finding {
    let message = message(mail, user);
    assert_eq!(testing::examine(filter, &message), Ok(Verdict::Pass));
    let [finding] = &message.reported()[..] else { panic!("{:?}", message.reported()) };
    finding.clone()
}

#[test]
fn what_was_not_trained_is_neutral_and_says_so() {
    let filter = filter(json!({"minimum": 3}));
    train(&filter, 2, None, false);
    let finding = judge(&filter, SPAM, None);
    assert_eq!((&*finding.symbol, finding.points, finding.value), ("SPAM_UNTRAINED", 0.0, Some(0.5)));
    assert_eq!(finding.text, "not trained yet: has learned 2 spam and 2 ham, needs 3 of each");
}

#[test]
fn mail_is_judged_by_what_was_learned() {
    let filter = filter(json!({"minimum": 3}));
    train(&filter, 10, None, false);
    let spam = judge(&filter, SPAM, None);
    assert_eq!((&*spam.symbol, spam.points), ("SPAM_CERTAIN", 5.0));
    assert!(spam.value > Some(0.98) && spam.value < Some(1.0), "{spam:?}");
    let ham = judge(&filter, HAM, None);
    assert_eq!((&*ham.symbol, ham.points), ("HAM_CERTAIN", -2.0));
    assert!(ham.value < Some(0.02) && ham.value > Some(0.0), "{ham:?}");
    let unknown = judge(&filter, "X-Q: r\n\nzzz\n", None);
    assert!(unknown.points.abs() < 2.0, "{unknown:?}");
}

#[test]
fn the_strongest_clues_are_told_in_the_finding_and_the_header() {
    let filter = filter(json!({"minimum": 3, "clues": 3}));
    train(&filter, 10, None, false);
    let message = Message::from(SPAM);
    assert_eq!(testing::examine(&filter, &message), Ok(Verdict::Pass));
    let finding = &message.reported()[0];
    let clues = finding.text.split_once("; for it: ").unwrap().1;
    assert_eq!(clues.split(';').next().unwrap().split(", ").count(), 3, "{clues}");
    assert_eq!(message.edits()[0].to_string(), format!("set X-Spam-Report: {}", finding.text));
    let quiet: Spam = configure(json!({"minimum": 3, "report": false})).unwrap();
    let message = Message::from(SPAM);
    assert_eq!(testing::examine(&quiet, &message), Ok(Verdict::Pass));
    assert_eq!(message.edits(), []);
}

#[test]
fn clues_are_fit_to_be_shown() {
    let filter = filter(json!({"minimum": 1}));
    let nasty = "Subject: =?utf-8?q?a=0D=0AX-Forged:_b=E2=80=AE,;?=\nX-Tool: \u{1b}[31m, a; b\n\ntext\n";
    testing::learn(&filter, &Message::from(nasty), Label::Spam).unwrap();
    testing::learn(&filter, &Message::from(HAM), Label::Ham).unwrap();
    let text = judge(&filter, nasty, None).text;
    assert!(!text.contains(char::is_control) && !text.contains('\u{202e}'), "{text:?}");
    assert!(text.len() <= 1024);
}

#[test]
fn random_words_and_good_words_out_of_sight_do_not_save_spam() {
    let filter = filter(json!({"minimum": 3}));
    train(&filter, 20, None, false);
    let plain = judge(&filter, SPAM, None).value.unwrap();
    let random: String = (0..500).map(|number| format!("random{number} ")).collect();
    let padded = judge(&filter, &format!("{SPAM}\n{random}\n"), None).value.unwrap();
    assert!((plain - padded).abs() < 0.02, "{plain} {padded}");
    let hidden = SPAM.replace("\n\n", "\nContent-Type: text/html\n\n")
        + "<p style='display:none'>Shall we meet on Monday about the report</p>\n";
    assert!(judge(&filter, &hidden, None).value.unwrap() > 0.9);
}

#[test]
fn words_of_both_kinds_say_nothing() {
    let filter = filter(json!({"minimum": 1}));
    for number in 0..10 {
        let word = if number % 2 == 0 { "maybe" } else { "other" };
        testing::learn(&filter, &Message::from(&*format!("A: b\n\n{word}\n")), Label::Spam).unwrap();
    }
    for number in 0..10 {
        let word = if number < 2 { "maybe" } else { "thing" };
        testing::learn(&filter, &Message::from(&*format!("A: b\n\n{word}\n")), Label::Ham).unwrap();
    }
    // Half of the spam and a fifth of the ham: that is not much.
    assert_eq!(judge(&filter, "A: b\n\nmaybe\n", None).value, Some(0.5));
    assert!(judge(&filter, "A: b\n\nother\n", None).value > Some(0.5));
}

#[test]
fn forgetting_undoes_learning() {
    let filter = filter(json!({"minimum": 3}));
    train(&filter, 10, None, false);
    let before = judge(&filter, SPAM, None);
    let other = Message::from("Subject: cheap report\n\npills and meetings\n");
    testing::learn(&filter, &other, Label::Ham).unwrap();
    assert_ne!(judge(&filter, SPAM, None), before);
    testing::forget(&filter, &other, Label::Ham).unwrap();
    assert_eq!(judge(&filter, SPAM, None), before);
}

#[test]
fn a_message_and_its_learn_token_are_the_same_lesson() {
    let odd = "Subject: cheap report\nContent-Type: text/html\n\n<a href='http://h.example/a'>pills</a> \u{fc}ber\n";
    for users in [false, true] {
        let filter = filter(json!({"minimum": 3, "users": users}));
        for user in [None, Some("user")] {
            let counters = |mail: &str| {
                let keys = filter.0.keys(&Message::from(mail));
                [Scope::Shared, Scope::User].map(|scope| {
                    let learned = InState.read(scope, &keys).unwrap();
                    (learned.totals, learned.tokens)
                })
            };
            for (mail, label) in [(SPAM, Label::Spam), (HAM, Label::Ham), (odd, Label::Spam), ("", Label::Ham)] {
                let before = counters(mail);
                let message = message(mail, user);
                assert_eq!(testing::examine(&filter, &message), Ok(Verdict::Pass));
                let token = message.learn_token().unwrap();
                testing::learn(&filter, &message, label).unwrap();
                let by_message = counters(mail);
                assert_ne!(by_message, before);
                // What was learned by the one is forgotten by the other.
                testing::forget_token(&filter, &token, user, label).unwrap();
                assert_eq!(counters(mail), before);
                testing::learn_token(&filter, &token, user, label).unwrap();
                assert_eq!(counters(mail), by_message);
                testing::forget(&filter, &message, label).unwrap();
                assert_eq!(counters(mail), before);
            }
        }
    }
}

#[test]
fn no_learn_token_is_left_where_that_is_configured() {
    let message = Message::from(SPAM);
    assert_eq!(testing::examine(&filter(json!({"learn_tokens": false})), &message), Ok(Verdict::Pass));
    assert_eq!(message.learn_token(), None);
}

#[test]
fn users_have_their_own_opinion_where_it_is_configured() {
    let filter = filter(json!({"minimum": 3, "users": true}));
    train(&filter, 10, None, false);
    // Nothing of her own yet: that of all.
    assert_eq!(judge(&filter, SPAM, Some("alice")).symbol, "SPAM_CERTAIN");
    // A few of her own, and of another mind: what all say still counts, and less so with time.
    train(&filter, 5, Some("alice"), true);
    let torn = judge(&filter, SPAM, Some("alice"));
    train(&filter, 100, Some("alice"), true);
    let own = judge(&filter, SPAM, Some("alice"));
    assert!(own.value < torn.value && own.value < Some(0.05), "{torn:?} {own:?}");
    // What she says is hers.
    assert_eq!(judge(&filter, SPAM, None).symbol, "SPAM_CERTAIN");
}

#[test]
fn own_fields_of_other_runs_are_not_believed() {
    let filter = filter(json!({"minimum": 3}));
    for _ in 0..10 {
        testing::learn(&filter, &Message::from("X-Spam-Flag: YES\nA: b\n\nsame\n"), Label::Spam).unwrap();
        testing::learn(&filter, &Message::from("X-Popgate-Note: x\nA: b\n\nsame\n"), Label::Ham).unwrap();
    }
    let value = judge(&filter, "X-Spam-Flag: YES\nA: b\n\nsame\n", None).value.unwrap();
    assert!((value - 0.5).abs() < 1e-9, "{value}");
}

#[test]
fn settings_are_checked() {
    for (settings, expected) in [
        (json!({"minimum": 0}), "`minimum`: 0 is not from 1 to 1000000"),
        (json!({"certain": 1.0}), "`certain`: 1 is not from 0.6 to 0.999999"),
        (json!({"tokens": 5000}), "`tokens`: 5000 is not from 100 to 4095"),
        (json!({"pairs": 9}), "`pairs`: 9 is not from 0 to 4"),
        (json!({"pints": 9}), "`pints`: unknown field `pints`"),
    ] {
        let fault = configure::<Spam>(settings).unwrap_err();
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn what_is_no_mail_is_judged_all_the_same() {
    let filter = filter(json!({"minimum": 3}));
    train(&filter, 5, None, false);
    for raw in [&b""[..], b"\r\n", b"\xff\xfe\0", b"no header at all", b"Content-Type: text/html\r\n\r\n<\xff<!--"] {
        let message = Message::from(raw);
        assert_eq!(testing::examine(&filter, &message), Ok(Verdict::Pass), "{raw:?}");
        assert_eq!(message.reported().len(), 1);
    }
}
