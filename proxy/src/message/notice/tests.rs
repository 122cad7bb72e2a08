//! Notices of messages that mean well, and of those that do not.

use std::time::Duration;

use super::*;

fn notice(template: &Template, original: &Message, user: &str) -> Message {
    let notice = Notice {
        template,
        original,
        user,
        upstream: "legacy",
        date: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        held: "7",
        filter: "virus",
        reason: "EICAR in invoice.com",
    };
    assert_eq!(notice.message().sha256(), notice.message().sha256());
    notice.message()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.parts()[0].content(message).read(99_999)).unwrap()
}

#[test]
fn a_notice_names_the_message_it_stands_for() {
    let original = Message::from_bytes(
        b"From: E =?utf-8?q?v=C3=AFl?= <e@example.org>\r\nSubject: =?utf-8?B?44GC?=\r\n free\r\n\
          Message-ID: <one@example.org>\r\n\r\nbody"
            .to_vec(),
    );
    let message = notice(&Template::english(), &original, "alice@dept.example");
    let expected = [
        ("From", "popgate <postmaster@localhost>"),
        ("To", "alice@dept.example"),
        ("Subject", "[held] \u{3042} free"),
        ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
        ("Message-ID", "<pg-7@popgate.invalid>"),
        ("In-Reply-To", "<one@example.org>"),
        ("References", "<one@example.org>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Popgate-Held", "7"),
    ];
    for (name, value) in expected {
        assert_eq!(message.header(name).as_deref(), Some(value));
    }
    assert_eq!((message.parts().len(), message.ambiguous()), (1, None));
    let text = text(&message);
    for line in [
        "  From:     E v\u{ef}l <e@example.org>\r\n",
        "  Subject:  \u{3042} free\r\n",
        "  Date:     (unknown)\r\n",
        "  Reason:   EICAR in invoice.com\r\n",
        "  Found by: virus\r\n",
        "  Id:       7\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_template_says_it_in_other_words() {
    let original = Message::from_bytes(b"Subject: {id} {{x}}\r\n\r\n".to_vec());
    let german = notice(&Template::german(), &original, "");
    assert_eq!(german.header("Subject").as_deref(), Some("[zur\u{fc}ckgehalten] {id} {{x}}"));
    assert_eq!(german.header("To").as_deref(), Some("undisclosed-recipients:;"));
    assert!(text(&german).contains("Grund:        EICAR in invoice.com"), "{}", text(&german));
    let own = "From: Tor <tor@x.example>\nReply-To: help@x.example\nSubject: {filter}\n\n{user|you} at {upstream}\n.\n--end\n";
    let own = notice(&Template::parse(own).unwrap(), &original, "");
    assert_eq!(own.header("Reply-To").as_deref(), Some("help@x.example"));
    assert_eq!(own.header("Subject").as_deref(), Some("virus"));
    assert_eq!(text(&own), "you at legacy\r\n.\r\n--end\r\n");
}

#[test]
fn a_message_without_a_header_and_a_hostile_user_name_are_no_harm() {
    let original = Message::from_bytes(b"just text".to_vec());
    let message = notice(&Template::english(), &original, "a\r\nBcc: x");
    assert_eq!(message.header("Subject").as_deref(), Some("[held] (no subject)"));
    for name in ["Bcc", "In-Reply-To", "References"] {
        assert_eq!(message.header(name), None, "{name}");
    }
}

#[test]
fn nothing_of_a_hostile_message_becomes_more_than_text() {
    let long = "x".repeat(50_000);
    let words = "=?utf-8?q?".to_owned() + &"=0D=0AX-Forged:_1".repeat(20) + "?=";
    let hostile = [
        "a\r\n\tX-Forged: 1".to_owned(),
        "a\rX-Forged: 1".to_owned(),
        "a\r\n \r\n \r\nX-Forged: 1".to_owned(),
        "=?utf-8?q?a=0D=0AX-Forged:_1=0D=0A=0D=0Abody?=".to_owned(),
        "=?utf-8?B?DQpYLUZvcmdlZDogMQ0KDQo=?=".to_owned(),
        "=?utf-16?B?AA0ACgBYAC0ARgBvAHIAZwBlAGQAOgAgADE=?=".to_owned(),
        "=?utf-8?q?a=E2=80=AEtxt.exe=E2=80=A8X-Forged:_1=00=1B[2J?=".to_owned(),
        "\u{85}X-Forged: 1\u{2028}".to_owned(),
        format!("=?utf-8?B?{}?=", "44GC".repeat(5_000)),
        long,
        words,
        "<script>{reason}</script> {id|x".to_owned(),
    ];
    for (at, value) in hostile.iter().enumerate() {
        let octets = format!("From: {value}\r\nSubject: {value}\r\nMessage-ID: {value}\r\nDate: {value}\r\n\r\nbody");
        let original = Message::from_bytes(octets.into_bytes());
        let fixed =
            Template::parse("From: p <p@x>\nSubject: {subject}\n\n[{subject}]\n[{sender}]\n[{date}]\n").unwrap();
        let message = notice(&fixed, &original, "alice");
        let raw = message.segments().collect::<Vec<_>>().concat();
        let shown = String::from_utf8_lossy(&raw).into_owned();
        assert!(raw.split(|octet| *octet == b'\n').all(|line| line.len() <= 999), "{at}");
        assert!(!shown.replace("\r\n", "").contains(['\r', '\n']), "{at}: {shown}");
        let (head, _) = shown.split_once("\r\n\r\n").unwrap();
        let names: Vec<_> =
            head.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split(':').next()).collect();
        let names: Vec<_> = names.into_iter().flatten().collect();
        assert_eq!(names[..4], ["From", "Subject", "To", "Date"], "{at}: {shown}");
        assert!(names.len() == 11 && names[4] == "Message-ID", "{at}: {shown}");
        assert!(head.is_ascii() && message.parts().len() == 1 && message.ambiguous().is_none(), "{at}: {shown}");
        let text = text(&message);
        assert_eq!(text.lines().count(), 3, "{at}: {text}");
        assert!(text.chars().all(|c| !c.is_control() || c == '\r' || c == '\n'), "{at}: {text}");
        assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{85}']) && text.chars().count() < 3 * 220, "{at}: {text}");
    }
}

#[test]
fn users_are_mailboxes_or_not_named() {
    for (user, expected) in [
        ("alice", "alice@localhost"),
        ("alice@x.example", "alice@x.example"),
        ("a b", "\"a b\"@localhost"),
        ("a..b@x", "\"a..b\"@x"),
        ("a\"\\,<b>@x", "\"a\\\"\\\\,<b>\"@x"),
        ("\u{fc}ser", "undisclosed-recipients:;"),
        ("a@x, b@y\r\n", "undisclosed-recipients:;"),
        ("@x", "undisclosed-recipients:;"),
        ("", "undisclosed-recipients:;"),
    ] {
        assert_eq!(mailbox(user), expected, "{user:?}");
    }
}

#[test]
fn only_one_whole_message_id_is_referred_to() {
    for (text, good) in [
        ("<a@b>", true),
        ("<a.b+c=d@[127.0.0.1]>", true),
        ("a@b", false),
        ("<a>", false),
        ("<a@b> <c@d>", false),
        ("<a@b>\r\nX: y", false),
        ("<\u{fc}@b>", false),
        (&format!("<{}@b>", "a".repeat(300)), false),
    ] {
        assert_eq!(is_message_id(text), good, "{text:?}");
    }
}
