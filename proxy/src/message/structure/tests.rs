//! Messages and what lenient clients see in them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::message::{Edit, Message};

const EICAR: &str = concat!(r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*");

fn message(text: &str) -> Message {
    Message::from_bytes(text.replace('\n', "\r\n").into_bytes())
}

/// One line per part: depth as indentation, type, decoded content.
fn outline(message: &Message) -> String {
    let mut out = String::new();
    for part in message.parts() {
        let mut depth = 0;
        let mut parent = part.parent();
        while let Some(index) = parent {
            depth += 1;
            parent = message.parts()[index].parent();
        }
        let content = String::from_utf8_lossy(&part.content(message).read(usize::MAX)).replace("\r\n", "|");
        writeln!(out, "{:depth$}{} {}", "", part.media_type(), content, depth = depth * 2).unwrap();
    }
    out.replace(" \n", "\n")
}

#[test]
fn parts_are_found_as_lenient_clients_find_them() {
    let table = [
        ("just text", "text/plain just text\n", None),
        ("", "text/plain\n", None),
        ("A: b\n", "text/plain\n", None),
        ("\nbody", "text/plain body\n", None),
        (
            "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\nepi\n",
            "multipart/mixed\n  text/plain one\n  text/html two\n",
            None,
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b  \n\none\n--b-- \t\n",
            "multipart/mixed\n  text/plain one\n",
            None,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n",
            "multipart/mixed\n  text/plain one|\n",
            Some("unclosed"),
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\nA: b\n--b--\n",
            "multipart/mixed\n  text/plain\n  text/plain\n  text/plain\n",
            None,
        ),
        (
            "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n",
            "multipart/mixed\n  text/plain one\n",
            Some("no-boundary"),
        ),
        (
            "Content-Type: multipart/mixed; boundary=\"\"\n\n--b\n\none\n--b--\n",
            "multipart/mixed\n  text/plain one\n",
            Some("no-boundary"),
        ),
        ("Content-Type: multipart/mixed; boundary=x\n\nplain\n", "multipart/mixed plain|\n", Some("no-parts")),
        (
            "Content-Type: multipart/mixed; boundary=a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
            "multipart/mixed\n  text/plain one\n",
            Some("duplicate-content-type"),
        ),
        (
            "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
            "multipart/mixed\n  text/plain one\n",
            Some("duplicate-content-type"),
        ),
        (
            "Content-Type: multipart/mixed; boundary*0=\"b\"; boundary*1=c\n\n--bc\n\none\n--bc--\n",
            "multipart/mixed\n  text/plain one\n",
            None,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b (c)\n\n--b\n\none\n--b--\n",
            "multipart/mixed\n  text/plain one\n",
            Some("odd-parameter"),
        ),
        // A line that goes on behind the boundary: a delimiter by the RFC if a part follows, to most clients none.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bX\nA: b\n\ntwo\n--b--\n",
            "multipart/mixed\n  text/plain one\n  text/plain two\n",
            Some("boundary-prefix"),
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bX\ntwo\n--b--\n",
            "multipart/mixed\n  text/plain one|--bX|two\n",
            None,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
            "multipart/mixed\n  text/plain one\n  text/plain two\n",
            Some("part-after-close"),
        ),
        // The boundary of the outer container is a prefix of the inner one; the inner is not closed.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b1\n\n--b1\n\none\n--b1\n\ntwo\n--b\n\nthree\n--b--\n",
            "multipart/mixed\n  multipart/alternative\n    text/plain one\n    text/plain two\n  text/plain three\n",
            Some("unclosed"),
        ),
        (
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b--\n",
            "multipart/digest\n  message/rfc822\n    text/plain one\n",
            None,
        ),
        (
            "Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
            "message/rfc822\n  multipart/mixed\n    text/plain one\n",
            None,
        ),
        // The inner message is cut off by the outer delimiter.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nA: b\n--b\n\ntwo\n--b--\n",
            "multipart/mixed\n  message/rfc822\n    text/plain\n  text/plain two\n",
            None,
        ),
        // base64 of `Subject: x`, a blank line and `inner`.
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQppbm5lcg==\n",
            "message/rfc822\n  text/plain inner\n",
            Some("encoded-container"),
        ),
        ("Content-Type: text\n\nx", "text/plain x\n", Some("odd-content-type")),
        ("Content-Type: image/x y z; name=a.b\n\nx", "image/x x\n", Some("odd-parameter")),
        (
            "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\naGk=",
            "text/plain hi\n",
            Some("duplicate-transfer-encoding"),
        ),
        ("Content-Transfer-Encoding: \"base64\"\n\naGk=", "text/plain hi\n", Some("odd-transfer-encoding")),
        ("Content-Transfer-Encoding: base64\n\na!Gk=", "text/plain hi\n", Some("bad-base64")),
        ("Content-Transfer-Encoding: quoted-printable\n\na=ZZ", "text/plain a=ZZ\n", Some("bad-quoted-printable")),
        (
            "A: b\n\nsee\nbegin 644 a.exe\n#0V%T\n`\nend\n",
            "text/plain see|begin 644 a.exe|#0V%T|`|end|\n",
            Some("uuencode"),
        ),
        (
            "Content-Disposition: attachment; filename=a.exe\nContent-Type: image/png; name=a.png\n\nx",
            "image/png x\n",
            Some("different-names"),
        ),
        ("From: a\nFrom: b\nSubject: x\nSubject: y\n\n", "text/plain\n", Some("duplicate-from,duplicate-subject")),
        ("From: a\0b\n\n", "text/plain\n", Some("nul-in-header")),
    ];
    for (text, expected, ambiguous) in table {
        let message = message(text);
        assert_eq!(outline(&message), expected, "{text}");
        assert_eq!(message.ambiguous().as_deref(), ambiguous, "{text}");
        assert!(!message.truncated());
        takes_over(&message);
    }
}

/// All that is known of the structure, places included.
fn known(message: &Message) -> String {
    let mut all = format!("{:?} {} {}\n", message.ambiguous(), message.truncated(), message.head_len());
    for part in message.parts() {
        let place = &part.place;
        let places = (&place.whole, place.header, &place.body, place.enclosing, place.decoded.is_some());
        let of_header =
            (part.media_type(), part.encoding, &part.parameters, &part.disposition_parameters, part.disposition());
        let more = (part.parent, part.container, &part.faults, part.headers(message, "Content-Type"));
        writeln!(all, "{places:?} {of_header:?} {more:?} {:?}", part.content(message).read(usize::MAX)).unwrap();
    }
    all
}

/// With another header, a message has the structure that its octets have, whatever it takes over from the one before.
fn takes_over(message: &Message) {
    assert!(!message.parts().is_empty());
    let named = |name: &str| name.to_owned();
    let edits = [
        Edit::AddHeader { name: named("X-One"), value: named("1") },
        Edit::SetHeader { name: named("Subject"), value: named("a longer subject than it was") },
        Edit::RemoveHeader { name: named("A") },
        Edit::RemoveHeader { name: named("Content-Type") },
        Edit::AddHeader { name: named("Content-Type"), value: named("text/html") },
        Edit::SetHeader { name: named("Content-Transfer-Encoding"), value: named("base64") },
        Edit::SetHeader { name: named("Content-Type"), value: named("multipart/mixed; boundary=b") },
    ];
    for first in &edits {
        let edited = message.apply(std::slice::from_ref(first)).unwrap();
        for second in &edits {
            // Of the one before, or of the one before that.
            let twice = edited.apply(std::slice::from_ref(second)).unwrap();
            let anew = Message::from_bytes(twice.segments().collect::<Vec<_>>().concat());
            assert_eq!(known(&twice), known(&anew), "{first:?} {second:?} {anew:?}");
        }
        let anew = Message::from_bytes(edited.segments().collect::<Vec<_>>().concat());
        assert_eq!(known(&edited), known(&anew), "{first:?}");
    }
}

#[test]
fn a_message_with_another_header_is_not_parsed_anew() {
    let mail = "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n";
    let message = message(mail);
    let edit = |name: &str| [Edit::SetHeader { name: name.into(), value: "text/plain".into() }];
    assert!(message.apply(&edit("Subject")).unwrap().inherited().is_none(), "nobody has asked yet");
    let decoded = message.parts()[1].decoded.clone().unwrap();
    let edited = message.apply(&edit("Subject")).unwrap().apply(&edit("X-More")).unwrap();
    assert!(edited.inherited().is_some());
    assert_eq!(edited.parts()[1].decoded.as_ref().unwrap().as_ptr(), decoded.as_ptr());
    assert!(message.apply(&edit("Content-Type")).unwrap().inherited().is_none());
    // Of octets of which nothing was found out nothing is known.
    assert!(!edited.bare().is_parsed() && edited.bare().apply(&edit("Subject")).unwrap().inherited().is_none());
    let bare_cr = self::message(&mail.replace("Subject: s", "Subject: s\r--"));
    assert!(!bare_cr.parts().is_empty());
    assert!(bare_cr.apply(&edit("Subject")).unwrap().inherited().is_none());
}

#[test]
fn bare_line_feeds_make_the_same_structure() {
    let text = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n";
    let message = Message::from_bytes(text.into());
    assert_eq!(outline(&message), "multipart/mixed\n  text/plain one\n  text/plain two\n");
}

#[test]
fn a_virus_behind_an_illegal_character_is_seen() {
    use base64::Engine as _;
    let mut encoded = base64::engine::general_purpose::STANDARD.encode(EICAR);
    encoded.insert(17, '!');
    let text = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: Base64 (x)\n\n{encoded}\n--b--\n"
    );
    let message = message(&text);
    let mut content = message.parts()[1].content(&message);
    let mut decoded = Vec::new();
    loop {
        let octets = content.read(7);
        if octets.is_empty() {
            break;
        }
        decoded.extend(octets);
    }
    assert_eq!(String::from_utf8(decoded).unwrap(), EICAR);
    assert!(message.parts()[1].is_ambiguous());
}

#[test]
fn names_and_dispositions_are_decoded() {
    let message = message(
        "Content-Type: application/zip; name=\"=?utf-8?B?w6QuemlwCg==?=\"\nContent-Disposition: ATTACHMENT;\n filename*0*=utf-8''%c3;\n filename*1*=%a4.zip\n\nx",
    );
    let part = &message.parts()[0];
    assert_eq!(
        (part.file_name(), part.disposition(), part.encoded_size()),
        (Some("\u{e4}.zip"), Some("attachment"), 1)
    );
    assert_eq!(part.parameter("NAME").map(str::trim), Some("\u{e4}.zip"));
}

#[test]
fn a_part_has_a_header_of_its_own() {
    let message = message(
        "Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Id: <1@x>\nX-A: =?utf-8?q?=C3=A9?=\n folded\nx-a: two\n\n\
         text\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ntext\n--b--\n",
    );
    let of = |index: usize, name: &str| message.parts()[index].headers(&message, name);
    assert_eq!(of(0, "subject"), ["outer"]);
    assert_eq!(of(1, "CONTENT-ID"), ["<1@x>"]);
    assert_eq!(of(1, "X-A"), ["\u{e9} folded", "two"]);
    assert!(of(1, "Subject").is_empty());
    assert_eq!(of(3, "Subject"), ["inner"]);
}

#[test]
fn text_is_utf_8_however_it_is_cut() {
    let text = |charset: &str, encoded: &str| {
        let head = format!("Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n");
        let message = message(&format!("{head}{encoded}\n"));
        let mut text = message.parts()[0].text(&message);
        let pieces = std::iter::from_fn(|| Some(text.read(1)).filter(|piece| !piece.is_empty()));
        String::from_utf8(pieces.flatten().collect()).unwrap()
    };
    assert_eq!(text("iso-8859-1", "6Q=="), "\u{e9}");
    assert_eq!(text("utf-16", "//5hAOkA"), "a\u{e9}");
    assert_eq!(text("shift_jis", "g0E="), "\u{30a2}");
    assert_eq!(text("utf-8", "w6n/"), "\u{e9}\u{fffd}");
    assert_eq!(text("nonsense", "w6k="), "\u{e9}");
    // A character in two steps of the decoder.
    let long = "x".repeat(16 * 1024 / 4 * 3 - 1);
    let encoded = base64::engine::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{long}\u{e9}"));
    assert_eq!(text("utf-8", &encoded), format!("{long}\u{e9}"));
}

#[test]
fn every_prefix_of_a_message_can_be_read() {
    let text = "From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Transfer-Encoding: quoted-printable\n\na=3D=\nb\n--c--\n--b\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\n";
    let text = text.replace('\n', "\r\n");
    for end in 0..=text.len() {
        let message = Message::from_bytes(text.as_bytes()[..end].to_vec());
        for part in message.parts() {
            assert!(part.content(&message).read(usize::MAX).len() as u64 <= part.encoded_size());
        }
        assert!(message.head_len() <= message.len());
    }
}

/// Hostile shapes, each of which has to be read in linear time.
fn hostile() -> Vec<(&'static str, String)> {
    let nested = |kind: &str, count: usize| {
        (0..count).fold(String::new(), |mut text, level| {
            let _ = match kind {
                "message" => write!(text, "Content-Type: message/rfc822\n\n"),
                _ => write!(text, "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"),
            };
            text
        })
    };
    let multipart = |body: &str| format!("Content-Type: multipart/mixed; boundary=b\n\n{body}");
    vec![
        ("100 k headers", "X: y\n".repeat(100_000)),
        ("50 k recipients", "To: a@example.org\n".repeat(50_000)),
        ("a header line of a million octets", format!("Subject: {}\n\nx", "x".repeat(1_000_000))),
        ("100 k folds", format!("Subject: x{}\n\nx", "\n y".repeat(100_000))),
        ("40 k encoded words", format!("Subject: {}\n\nx", "=?utf-8?q?a=C3=A4?= ".repeat(40_000))),
        ("open encoded words", format!("Subject: {}\n\nx", "=?utf-8?q?a".repeat(90_000))),
        ("2000 nested multiparts", nested("multipart", 2000)),
        ("2000 nested messages", nested("message", 2000)),
        ("50 k parts", multipart(&"--b\n\nx\n".repeat(50_000))),
        ("a million dashes", multipart(&"--\n".repeat(1_000_000))),
        ("a million false prefixes", multipart(&"--bx\n".repeat(1_000_000))),
        ("a million close delimiters", multipart(&"--b--\n".repeat(1_000_000))),
        ("20 k parameters", format!("Content-Type: a/b{}\n\nx", "; a*1*=b%20".repeat(20_000))),
        ("a comment of 1 MB", format!("Content-Type: a/b {}\n\nx", "(".repeat(1_000_000))),
        ("a type of 1 MB", format!("Content-Type: {}\n\nx", "a /".repeat(300_000))),
        ("a name of 1 MB", format!("Content-Type: a/b; name={}\n\nx", "a b ".repeat(250_000))),
        ("250 k quotes", format!("Content-Type: a/b; name=\"{}\n\nx", "\\\"a".repeat(250_000))),
        ("beginnings", format!("A: b\n\n{}", "begin 644 x\n".repeat(500_000))),
        ("nested without boundary", "Content-Type: multipart/mixed\n\n--b\n".repeat(2000)),
        ("8 MB of base64 in one line", format!("Content-Transfer-Encoding: base64\n\n{}", "QUJD".repeat(2_000_000))),
        ("8 MB of padding", format!("Content-Transfer-Encoding: base64\n\n{}", "=".repeat(8_000_000))),
        ("8 MB of soft breaks", format!("Content-Transfer-Encoding: quoted-printable\n\n{}", "=\n".repeat(4_000_000))),
    ]
}

#[test]
fn hostile_messages_take_linear_time() {
    for (name, text) in hostile() {
        let begin = Instant::now();
        let message = message(&text);
        message.fields().iter().for_each(|field| assert!(field.value().len() <= message.len() as usize));
        let mut read = 0;
        for part in message.parts() {
            read += part.content(&message).read(usize::MAX).len();
        }
        assert!(read as u64 <= message.len(), "{name}");
        assert!(message.parts().len() <= super::PARTS_MAX + super::ENCODED_DEPTH_MAX);
        // A generous bound: quadratic time takes minutes.
        assert!(begin.elapsed() < Duration::from_secs(20), "{name}: {:?}", begin.elapsed());
    }
}

#[test]
fn what_is_too_deep_or_too_much_is_one_opaque_leaf() {
    for (name, text) in hostile() {
        let message = message(&text);
        let fault = match name {
            "2000 nested multiparts" | "2000 nested messages" => "depth",
            "50 k parts" => "parts",
            _ => continue,
        };
        let faults = message.ambiguous().unwrap_or_default();
        assert!(message.truncated() && faults.split(',').any(|word| word == fault), "{name}: {faults}");
        let last = message.parts().last().unwrap();
        assert!(!last.is_container() && last.encoded_size() > 20_000, "{name}");
    }
}
