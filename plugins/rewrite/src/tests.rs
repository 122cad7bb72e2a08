//! The filter on messages in memory.

use popgate_plugin::testing::configure;
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::Rewrite;

const MAIL: &str = "\
From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>
Subject: WG: WG: price $1
Received: from a
Received: from b
X-Spam: no

text
";

/// What the filter does with the mail, an edit a line.
fn edits(settings: Value, mail: &str) -> Vec<String> {
    let filter: Rewrite = configure(settings).unwrap();
    let message = Message::from(mail).with_fact("user", "alice");
    assert_eq!(filter.filter(&message), Ok(Verdict::Pass));
    message.edits().iter().map(ToString::to_string).collect()
}

#[test]
fn the_subject_is_rewritten_by_rules_and_prefix() {
    for (settings, expected) in [
        (json!({}), None),
        (json!({"subject_prefix": "[ext] "}), Some("[ext] WG: WG: price $1")),
        (json!({"subject_prefix": "WG: "}), None),
        (json!({"subject": [{"match": "(?i)wg: *", "replace": ""}]}), Some("price $1")),
        (json!({"subject": [{"match": "^((WG): )+", "replace": "$2 "}]}), Some("WG price $1")),
        (json!({"subject": [{"match": "nothing", "replace": "x"}]}), None),
        (
            json!({"subject": [{"match": "price", "replace": "P"}, {"match": "P.*", "replace": "{user} {{}}"}]}),
            Some("WG: WG: alice {}"),
        ),
        // The mail's own `$1` is no group.
        (json!({"subject": [{"match": "^.*$", "replace": "{header:Subject}!"}]}), Some("WG: WG: price $1!")),
        (
            json!({"subject": [{"match": "^", "replace": "a ", "when": {"header": "From", "match": "Jörg"}},
                               {"match": "^", "replace": "b ", "when": {"header": "X-None"}}]}),
            Some("a WG: WG: price $1"),
        ),
    ] {
        let expected: Vec<_> = expected.map(|subject| format!("set Subject: {subject}")).into_iter().collect();
        assert_eq!(edits(settings.clone(), MAIL), expected, "{settings}");
    }
}

#[test]
fn a_mail_without_a_subject_can_get_one() {
    let settings = json!({"subject": [{"match": "^$", "replace": "(none)"}], "subject_prefix": "[x] "});
    assert_eq!(edits(settings, "From: a\n\nb\n"), ["set Subject: [x] (none)"]);
}

#[test]
fn header_rules_apply_in_order_and_by_their_conditions() {
    let settings = json!({"header": [
        {"action": "add", "name": "X-For", "value": "{user} at {upstream}, from {header:From}"},
        {"action": "set", "name": "X-Spam", "value": "yes", "when": {"header": "x-spam", "match": "^no$"}},
        {"action": "remove", "name": "Received", "when": {"header": "Received", "match": "from b"}},
        {"action": "add", "name": "X-1", "value": "1", "when": {"fact": "user", "match": "^alice$"}},
        {"action": "add", "name": "X-2", "value": "2", "when": {"fact": "user", "match": "^bob$"}},
        {"action": "add", "name": "X-3", "value": "3", "when": {"fact": "client"}},
        {"action": "add", "name": "X-4", "value": "4", "when": {"fact": "client", "not": true}},
    ]});
    assert_eq!(
        edits(settings, MAIL),
        [
            "add X-For: alice at , from Jörg <joerg@example.org>",
            "set X-Spam: yes",
            "remove Received",
            "add X-1: 1",
            "add X-4: 4",
        ]
    );
}

#[test]
fn line_ends_that_hide_in_encoded_words_can_not_forge_a_field() {
    let mail = "Subject: =?utf-8?q?a=0D=0AX-Forged:_b?=\n\ntext\n";
    let settings = json!({"subject_prefix": "[x] ",
                          "header": [{"action": "set", "name": "X-Copy", "value": "{header:Subject}"}]});
    let edits = edits(settings, mail);
    assert_eq!(edits.len(), 2);
    assert!(edits.iter().all(|edit| !edit.contains(char::is_control)), "{edits:?}");
}

#[test]
fn faults_in_settings_name_their_key() {
    for (settings, expected) in [
        (json!({"subject": [{"match": "a", "replace": ""}, {"match": "(", "replace": ""}]}), "`subject[1].match`: `(`"),
        (json!({"subject": [{"match": "a"}]}), "`subject[0]`: missing field `replace`"),
        (json!({"subject": [{"match": "a", "replace": "{oops"}]}), "`subject[0].replace`: `{oops`"),
        (json!({"header": [{"action": "put", "name": "A", "value": ""}]}), "`header[0].action`: unknown variant `put`"),
        (json!({"header": [{"action": "set", "name": "A"}]}), "`header[0]`: missing field `value`"),
        (json!({"header": [{"action": "remove", "name": "A", "value": ""}]}), "`header[0]`: the action `remove`"),
        (json!({"header": [{"action": "remove", "name": "A B"}]}), "`header[0].name`: `A B`"),
        (json!({"header": [{"action": "add", "name": "A", "value": "a\nb"}]}), "`header[0].value`: control"),
        (json!({"header": [{"action": "add", "name": "A", "value": "{Us er}"}]}), "`header[0].value`: `{Us er}`"),
        (
            json!({"header": [{"action": "remove", "name": "A", "when": {"match": "a"}}]}),
            "`header[0].when`: a condition",
        ),
        (json!({"subjects": []}), "`subjects`: unknown field"),
    ] {
        let fault = configure::<Rewrite>(&settings).unwrap_err();
        assert!(fault.starts_with(expected), "{settings}: {fault}");
    }
}
