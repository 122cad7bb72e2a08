//! The filter on messages in memory.

use popgate_plugin::testing::{Edit, configure};
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

/// The texts that the filter's banners make of the mail.
fn texts(settings: Value, mail: &str) -> Vec<(u32, String)> {
    let filter: Rewrite = configure(settings).unwrap();
    let message = Message::from(mail).with_fact("user", "alice");
    assert_eq!(filter.filter(&message), Ok(Verdict::Pass));
    let text = |edit| match edit {
        Edit::EditText { index, text } => Some((index, text)),
        _ => None,
    };
    message.edits().into_iter().filter_map(text).collect()
}

const BOTH: &str = "From: eve@other.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\ntext\n--b\n\
    Content-Type: text/html\n\n<html><body>text</body></html>\n--b--\n";

#[test]
fn a_banner_stands_in_each_alternative() {
    let banner = json!({"banner": [{"text": "From {header:From} & outside"}, {"text": "Bye", "place": "bottom"}]});
    let texts = texts(banner, BOTH);
    assert_eq!(texts[0], (1, "From eve@other.example & outside\r\n\r\ntext\r\n\r\nBye\r\n".to_owned()));
    let (index, html) = &texts[1];
    assert_eq!(*index, 2);
    assert!(html.starts_with("<html><body><div style=\"display:block !important;"), "{html}");
    assert!(html.contains(">From eve@other.example &amp; outside</div>\r\ntext<div"), "{html}");
    assert!(html.trim_end().ends_with("Bye</div>\r\n</body></html>"), "{html}");
}

#[test]
fn html_of_a_banner_is_taken_as_it_is_and_values_in_it_are_escaped() {
    let mail = "Subject: <script>\nContent-Type: text/html\n\n<p>\n";
    let banner = json!({"banner": [{"text": "x", "html": "<b>{header:Subject}</b>"}]});
    assert_eq!(texts(banner, mail)[0].1, "<b>&lt;script&gt;</b>\r\n<p>\r\n");
}

#[test]
fn the_sender_decides_by_all_addresses_that_people_see() {
    let banner = json!({"banner": [{"text": "outside", "when": {"sender": ["example.org"], "not": true}}]});
    for (from, outside) in [
        ("From: joe@example.org", false),
        ("From: Joe <JOE@Mail.Example.ORG>", false),
        ("From: joe@example.org, ann@example.org", false),
        ("From: joe@badexample.org", true),
        ("From: \"joe@example.org\" <eve@other.example>", true),
        ("From: joe@example.org\nFrom: eve@other.example", true),
        ("From: joe@example.org@other.example", true),
        ("From: nobody", true),
        ("X-No: from", true),
    ] {
        assert_eq!(!texts(banner.clone(), &format!("{from}\n\ntext\n")).is_empty(), outside, "{from}");
    }
}

#[test]
fn signed_mail_and_mail_without_a_text_keep_their_body_and_say_so() {
    for (mail, symbol) in [
        ("Content-Type: multipart/signed; boundary=b\n\n--b\n\ntext\n--b\n\nx\n--b--\n", "BODY_LEFT_ALONE"),
        ("Content-Type: image/png\n\nx\n", "NO_PLACE_FOR_BANNER"),
    ] {
        let filter: Rewrite = configure(json!({"banner": [{"text": "x"}]})).unwrap();
        let message = Message::from(mail);
        assert_eq!(filter.filter(&message), Ok(Verdict::Pass));
        assert_eq!((message.edits().len(), &*message.reported()[0].symbol), (0, symbol));
    }
}
