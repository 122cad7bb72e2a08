//! The filter on messages in memory.

use popgate_plugin::testing::configure;
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::{Rules, defaults};

/// A mail that no rule of the default set is about.
const PLAIN: &str = "Date: Mon, 1 Jan 2024 10:00:00 +0000\nMessage-ID: <1@example.org>\nFrom: Bob <bob@example.org>\n\
                     To: alice@example.org\nSubject: the report\n\nIt is attached.\n";

/// The names of the rules that report something.
fn symbols(rules: &Rules, mail: &str) -> Vec<String> {
    let message = Message::from(mail);
    assert_eq!(rules.filter(&message), Ok(Verdict::Pass));
    message.reported().into_iter().map(|finding| finding.symbol).collect()
}

/// Whether a single rule holds.
fn holds(mut rule: Value, mail: &str) -> bool {
    rule["name"] = json!("R");
    rule["points"] = json!(1);
    let rules: Rules = configure(json!({"defaults": false, "rule": [rule]})).unwrap();
    !symbols(&rules, mail).is_empty()
}

fn html(body: &str) -> String {
    PLAIN.replace("\n\n", "\nContent-Type: text/html\n\n") + body + "\n"
}

fn attachment(name: &str) -> String {
    format!(
        "From: a@example.org\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: \
         application/octet-stream\nContent-Disposition: attachment; filename=\"{name}\"\n\nx\n--b--\n"
    )
}

#[test]
fn rules_look_at_what_they_say() {
    let link = html("see <a href='http://www.Shop.example/buy?x=1'>x</a> fr<b>ee</b><!-- no --> now");
    for (rule, mail, expected) in [
        (json!({"header": "subject", "match": "^the"}), PLAIN, true),
        (json!({"header": "subject", "match": "^report"}), PLAIN, false),
        (json!({"header": "X-None"}), PLAIN, false),
        (json!({"header": "X-None", "not": true}), PLAIN, true),
        (json!({"body": "free now"}), &link, true),
        (json!({"body": "<b>|no --"}), &link, false),
        (json!({"source": "<b>ee</b>"}), &link, true),
        (json!({"url": "buy\\?x"}), &link, true),
        (json!({"url_hosts": ["shop.example"]}), &link, true),
        (json!({"url_hosts": ["op.example"]}), &link, false),
        (json!({"attachment": "\\.zip$"}), &attachment("A.ZIP"), true),
        (json!({"media_types": ["application/octet-stream"]}), &attachment("a"), true),
        (json!({"senders": ["*@example.org"]}), PLAIN, true),
        (json!({"senders": ["BOB@example.org"]}), PLAIN, true),
        (json!({"senders": ["org"]}), PLAIN, true),
        (json!({"senders": ["*@org", "ample.org", "ob@example.org"]}), PLAIN, false),
    ] {
        assert_eq!(holds(rule.clone(), mail), expected, "{rule}");
    }
}

#[test]
fn rules_are_joined_by_their_names() {
    let rules: Rules = configure(json!({"defaults": false, "rule": [
        {"name": "A", "header": "Subject"},
        {"name": "B", "header": "X-None"},
        {"name": "BOTH", "points": 1, "all": ["A", "B"]},
        {"name": "ONE", "points": 1, "any": ["A", "B"]},
        {"name": "A_NOT_B", "points": 1, "all": ["A", "!B"]},
        {"name": "NEITHER", "points": -1, "any": ["A", "B"], "not": true},
    ]}))
    .unwrap();
    assert_eq!(symbols(&rules, PLAIN), ["ONE", "A_NOT_B"]);
    assert_eq!(symbols(&rules, "X: y\n\n"), ["NEITHER"]);
}

#[test]
fn anomalies_are_seen_and_their_absence_too() {
    let header = |old: &str, new: &str| PLAIN.replace(old, new);
    for (anomaly, mail) in [
        ("repeated-field", header("Subject:", "Subject: a\nSubject:")),
        ("from-without-address", header("Bob <bob@example.org>", "Bob")),
        ("from-shows-other-address", header("Bob <", "\"help@bank.example\" <")),
        ("message-id-malformed", header("<1@example.org>", "1@example.org")),
        ("date-malformed", header("10:00:00 +0000", "")),
        ("reply-to-free", header("Subject:", "Reply-To: x@yahoo.example\nSubject:")),
        ("subject-capitals", header("the report", "BUY IT NOW")),
        ("subject-spaced", header("the report", "f.r.e.e.s tuff")),
        ("fake-reply", header("the report", "Re: x")),
        ("html-only", html("")),
        ("image-only", html("<img src=a.gif>")),
        ("empty", header("It is attached.", "")),
        ("form", html("<FORM action=x>")),
        ("script", html("<script>x</script>")),
        ("hidden-text", html("<p style='display: none'>x</p>")),
        ("link-to-address", html("http://192.0.2.1/x")),
        ("link-with-user", html("http://bank.example@other.example/")),
        ("link-to-odd-port", html("http://a.example:8123/")),
        ("link-international", html("http://xn--bnk-0na.example/")),
        ("link-shows-other-host", html("<a href=\"http://bad.example/\">www.bank.test</a>")),
        ("executable", attachment("a.exe")),
        ("double-extension", attachment("a.PDF.exe ")),
        ("html-attachment", attachment("page.html")),
        ("many-recipients", header("To: ", &format!("Cc: {}\nTo: ", "x@example.org, ".repeat(21)))),
        ("no-recipient", header("To: alice@example.org\n", "")),
    ] {
        let rule = json!({"anomaly": anomaly});
        assert!(holds(rule.clone(), &mail), "{anomaly} is not seen in {mail}");
        assert!(!holds(rule, PLAIN), "{anomaly} is seen in a plain mail");
    }
    let mut raw = PLAIN.as_bytes().to_vec();
    let at = PLAIN.find("the report").unwrap();
    raw[at] = 0xe9;
    let rules: Rules = configure(json!({})).unwrap();
    let message = Message::from(raw);
    rules.filter(&message).map(|_| ()).unwrap();
    assert_eq!(message.reported()[0].symbol, "RAW_OCTETS");
    let ambiguous = PLAIN.replace("\n\n", "\nContent-Type: text/plain\nContent-Type: text/html\n\n");
    assert!(holds(json!({"anomaly": "ambiguous"}), &ambiguous));
}

#[test]
fn the_default_set_is_sound() {
    let rules: Rules = configure(json!({})).unwrap();
    assert_eq!(rules.rules.len(), defaults::all().len());
    assert!(rules.rules.iter().all(|rule| (rule.points == 0.0) == rule.text.is_empty()));
    assert_eq!(symbols(&rules, PLAIN), [] as [&str; 0]);
    let scam = "From: X\nReply-To: x@yahoo.example\nSubject: URGENT REPLY NEEDED\n\nI am the next of kin and need your bank account.\n";
    let found = symbols(&rules, scam);
    for wanted in
        ["NO_DATE", "FROM_NO_ADDRESS", "SUBJECT_CAPITALS", "ADVANCE_FEE", "ADVANCE_FEE_TRUST", "ADVANCE_FEE_WHOLE"]
    {
        assert!(found.iter().any(|name| name == wanted), "{wanted} is missing in {found:?}");
    }
    for (text, wanted) in [
        ("Subject: hello           x7f3q", "SUBJECT_GAP_NUMBER"),
        ("Subject: ADV: new", "SUBJECT_ADV"),
        ("X-Mailer: The Bat Bulk Mailer", "BULK_MAILER"),
        ("X: y\n\nhttp://%77%77w.example/", "LINK_ENCODED_HOST"),
        ("X: y\n\nhttp://a.example:8123/", "LINK_ODD_PORT"),
    ] {
        assert!(symbols(&rules, &format!("{text}\n")).iter().any(|name| name == wanted), "{wanted}");
    }
    assert!(
        !symbols(&rules, "X: y\n\nhttp://a.example:80/ http://b.example:8080/ http://b.example:443/\n")
            .iter()
            .any(|name| name == "LINK_ODD_PORT")
    );
}

#[test]
fn rules_can_be_changed_and_left_out() {
    let rules: Rules = configure(json!({"disable": ["NO_DATE"], "points": {"NO_FROM": 7.5}})).unwrap();
    let message = Message::from("Subject: s\n\ntext\n");
    rules.filter(&message).map(|_| ()).unwrap();
    let reported = message.reported();
    assert!(reported.iter().all(|finding| finding.symbol != "NO_DATE"));
    assert!(reported.iter().any(|finding| finding.symbol == "NO_FROM" && finding.points == 7.5));
}

#[test]
fn settings_are_checked() {
    for (settings, expected) in [
        (json!({"rule": [{"name": "a"}]}), "`a` is no name of a rule"),
        (json!({"rule": [{"name": "A"}]}), "rule `A`: it looks at nothing"),
        (json!({"rule": [{"name": "A", "body": "x", "url": "y"}]}), "rule `A`: it looks at more than one thing"),
        (json!({"rule": [{"name": "A", "body": "x", "match": "y"}]}), "rule `A`: `match` stands beside `header`"),
        (json!({"rule": [{"name": "A", "body": "("}]}), "rule `A`: `(` is not a valid pattern"),
        (json!({"rule": [{"name": "A", "body": "(?:x{1000}){90}"}]}), "rule `A`: `(?:x{1000}){90}` is not"),
        (json!({"rule": [{"name": "A", "all": ["LATER"]}]}), "rule `A`: there is no rule `LATER` before it"),
        (json!({"rule": [{"name": "NO_DATE", "body": "x"}]}), "rule `NO_DATE`: there is one of this name"),
        (json!({"rule": [{"name": "A", "points": 1e6, "body": "x"}]}), "rule `A`: 1000000 points"),
        (json!({"disable": ["NONE"]}), "there is no rule `NONE`"),
        (json!({"rule": [{"name": "A", "anomaly": "odd"}]}), "`rule[0].anomaly`: unknown variant `odd`"),
        (json!({"rule": [{"name": "A", "bdy": "x"}]}), "`rule[0].bdy`: unknown field `bdy`"),
    ] {
        let fault = configure::<Rules>(settings).unwrap_err();
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn what_is_no_mail_is_examined_all_the_same() {
    let rules: Rules = configure(json!({})).unwrap();
    for raw in [
        &b""[..],
        b"\r\n",
        b"\xff\xfe\0",
        b"no header",
        b"Content-Type: text/html\r\n\r\n<\xff<!--<a href=http://",
        b"From: <@>\r\n\r\n",
    ] {
        assert_eq!(rules.filter(&Message::from(raw)), Ok(Verdict::Pass), "{raw:?}");
    }
}
