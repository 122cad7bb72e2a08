//! The filter on messages in memory.

use popgate_plugin::testing::configure;
use popgate_plugin::{Filter, Finding, Message, Verdict};
use serde_json::{Value, json};

use super::Judge;

const MAIL: &str = "From: a@example.org\nSubject: hello\n\ntext\n";

/// What the filter says of a mail with these findings, and its edits.
fn judge(settings: Value, mail: &str, findings: &[(&str, f64)]) -> (Verdict, Vec<String>, Finding) {
    let filter: Judge = configure(settings).unwrap();
    let mut message = Message::from(mail);
    for (symbol, points) in findings {
        let mut finding = Finding::new(*symbol, "").with_points(*points);
        finding.filter = "rules".to_owned();
        message = message.with_finding(finding);
    }
    let verdict = filter.filter(&message).unwrap();
    let edits = message.edits().iter().map(ToString::to_string).collect();
    (verdict, edits, message.reported().remove(0))
}

#[test]
fn the_points_of_all_findings_are_added() {
    let (verdict, edits, finding) = judge(json!({}), MAIL, &[("A", 1.25), ("B", 4.0), ("C", -0.1), ("D", 0.0)]);
    assert_eq!(verdict, Verdict::Pass);
    assert_eq!(
        edits,
        [
            "set X-Spam-Flag: YES",
            "set X-Spam-Score: 5.2",
            "set X-Spam-Status: Yes, score=5.2 required=5.0 tests=B=4.0,A=1.2,C=-0.1",
        ]
    );
    assert_eq!((&*finding.symbol, finding.value, finding.points), ("SPAM", Some(5.2), 0.0));
}

#[test]
fn what_is_not_spam_keeps_its_subject() {
    let (verdict, edits, finding) = judge(json!({"subject_tag": "[spam] "}), MAIL, &[("A", 4.9)]);
    assert_eq!((verdict, &*finding.symbol), (Verdict::Pass, "NOT_SPAM"));
    assert_eq!(edits[2], "set X-Spam-Status: No, score=4.9 required=5.0 tests=A=4.9");
    assert_eq!(edits.len(), 3);
    let (_, edits, _) = judge(json!({}), MAIL, &[]);
    assert_eq!(edits[2], "set X-Spam-Status: No, score=0.0 required=5.0 tests=none");
}

#[test]
fn the_subject_of_spam_is_tagged_once() {
    for (subject, expected) in [
        ("Subject: hello\n", Some("[spam] hello")),
        ("Subject: [spam] hello\n", None),
        ("", Some("[spam]")),
        ("Subject: =?utf-8?q?a=0D=0AX-Forged:_b?=\n", Some("[spam] a  X-Forged: b")),
    ] {
        let settings = json!({"subject_tag": "[spam] ", "headers": false});
        let (_, edits, _) = judge(settings, &format!("From: a\n{subject}\ntext\n"), &[("A", 9.0)]);
        let expected: Vec<_> = expected.map(|subject| format!("set Subject: {subject}")).into_iter().collect();
        assert_eq!(edits, expected, "{subject}");
    }
}

#[test]
fn spam_is_held_above_a_limit_and_never_untrained() {
    let settings = json!({"hold_above": 8.0});
    let (verdict, edits, _) = judge(settings.clone(), MAIL, &[("A", 8.0)]);
    assert_eq!((verdict, edits.len()), (Verdict::hold("spam: 8.0 points (A=8.0)"), 0));
    let (verdict, _, _) = judge(settings.clone(), MAIL, &[("A", 7.9)]);
    assert_eq!(verdict, Verdict::Pass);
    let (verdict, edits, _) = judge(settings, MAIL, &[("A", 80.0), ("SPAM_UNTRAINED", 0.0)]);
    assert_eq!((verdict, &*edits[0]), (Verdict::Pass, "set X-Spam-Flag: YES"));
}

#[test]
fn points_can_be_changed_and_filters_left_out() {
    let (_, _, finding) = judge(json!({"points": {"A": 1.0}}), MAIL, &[("A", 5.0), ("B", 2.0)]);
    assert_eq!(finding.value, Some(3.0));
    let (_, _, finding) = judge(json!({"ignore": ["rules"]}), MAIL, &[("A", 5.0)]);
    assert_eq!(finding.value, Some(0.0));
}

#[test]
fn nonsense_does_not_count() {
    let (_, _, finding) = judge(json!({}), MAIL, &[("A", f64::NAN), ("B", f64::INFINITY), ("C", 1.0)]);
    assert_eq!(finding.value, Some(1.0));
    let names: Vec<_> = (0..500).map(|number| format!("{}{number}", "LONG".repeat(15))).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, 0.1)).collect();
    let (_, edits, finding) = judge(json!({}), MAIL, &many);
    assert_eq!(finding.value, Some(50.0));
    assert!(edits[2].len() < 1024, "{}", edits[2].len());
}

#[test]
fn settings_are_checked() {
    for (settings, expected) in [
        (json!({"hold_above": 4.0}), "`hold_above` is less than `required`"),
        (json!({"required": 1e9}), "1000000000 points are not"),
        (json!({"subject_tag": "a\nb"}), "`subject_tag` has a control character"),
        (json!({"requierd": 1}), "`requierd`: unknown field"),
    ] {
        let fault = configure::<Judge>(settings).unwrap_err();
        assert!(fault.starts_with(expected), "{fault}");
    }
}
