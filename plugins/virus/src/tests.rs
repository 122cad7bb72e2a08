//! The filter on messages in memory.

use popgate_plugin::testing::{Edit, configure, log_lines, set_data};
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::{Virus, eicar};

/// The SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn test_string() -> String {
    String::from_utf8(eicar::Finder::new().needle().to_vec()).unwrap()
}

/// A mail with a text and a part with these header fields and this body.
fn mail(fields: &str, body: &str) -> Message {
    let mail = format!(
        "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\n\ntext\n--b\n{fields}\n\n{body}\n--b--\n"
    );
    Message::from(&*mail)
}

/// The test string in base64, in lines of 20.
fn encoded() -> String {
    let mut encoded = String::new();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (index, group) in test_string().as_bytes().chunks(3).enumerate() {
        let bits = group.iter().fold(0, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        let digits = (0..4).map(|digit| char::from(alphabet[(bits >> (18 - 6 * digit) & 63) as usize]));
        encoded.extend(digits.take(group.len() + 1));
        encoded.push_str(if index % 5 == 4 { "\n" } else { "" });
    }
    encoded + "="
}

fn run(settings: Value, message: &Message) -> Verdict {
    configure::<Virus>(settings).unwrap().filter(message).unwrap()
}

fn symbols(message: &Message) -> Vec<String> {
    message.reported().into_iter().map(|finding| finding.symbol).collect()
}

#[test]
fn eicar_is_found_however_it_is_wrapped() {
    let base64 = "Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64";
    let plain = format!("Subject: s\n\n{}\n", test_string());
    let preamble = format!("Content-Type: multipart/mixed; boundary=b\n\n{}\n--b\n\ntext\n--b--\n", test_string());
    let nested = format!("Content-Type: multipart/mixed; boundary=c\n\n--c\n{base64}\n\n{}\n--c--", encoded());
    for message in [
        Message::from(&*plain),
        Message::from(&*preamble),
        mail("Content-Type: text/html", &format!("\u{feff}\n<p>{}</p>", test_string())),
        mail(base64, &encoded()),
        mail(base64, &encoded().replace('\n', "*\n")),
        mail("Content-Transfer-Encoding: quoted-printable", &test_string().replace('H', "=48").replace("-S", "-=\nS")),
        mail("Content-Type: message/rfc822", &nested),
    ] {
        assert!(matches!(run(json!({}), &message), Verdict::Hold(_)), "{:?}", message.edits());
        assert_eq!(symbols(&message), ["EICAR"]);
    }
    let message = mail("Content-Type: text/plain", &test_string()[1..]);
    assert_eq!(run(json!({}), &message), Verdict::Pass);
    assert_eq!(symbols(&message), [""; 0]);
}

#[test]
fn the_reason_names_the_file_and_is_fit_for_people() {
    let fields = "Content-Disposition: attachment; filename*=utf-8''%E2%80%AEmoc%0D%0A.com\n\
                  Content-Transfer-Encoding: base64";
    let message = mail(fields, &encoded());
    assert_eq!(run(json!({}), &message), Verdict::hold("`moc.com` is the EICAR test file"));
}

#[test]
fn known_files_are_found_by_their_digest() {
    let fields = "Content-Disposition: attachment; filename=h.txt\nContent-Transfer-Encoding: base64";
    let hello = || mail(fields, "aGVsbG8=");
    assert_eq!(run(json!({}), &hello()), Verdict::Pass);

    let message = hello();
    let verdict = run(json!({"sha256": [HELLO.to_uppercase()]}), &message);
    assert_eq!(verdict, Verdict::hold("`h.txt` is a file on the list of signatures"));
    assert_eq!(symbols(&message), ["SHA256_MATCH"]);

    set_data("signatures", format!("{HELLO}  Test.Hello\n"));
    assert_eq!(run(json!({}), &hello()), Verdict::hold("`h.txt` is `Test.Hello`"));
    assert_eq!(run(json!({}), &mail(fields, "aGVsbG8h")), Verdict::Pass);
}

#[test]
fn data_files_are_checked_when_the_filter_is_configured() {
    set_data("signatures", "# nothing\n");
    configure::<Virus>("{}").unwrap();
    assert_eq!(log_lines(), ["warn: the data file `signatures` has no signature"]);
    set_data("signatures", "virus\n");
    let fault = configure::<Virus>("{}").unwrap_err();
    assert_eq!(fault, "line 1 of the data file `signatures` does not begin with a SHA-256 digest");
}

#[test]
fn an_infected_part_is_stripped_on_request() {
    let fields = "Content-Disposition: attachment; filename=a.com\nContent-Transfer-Encoding: base64";
    let message = mail(fields, &encoded());
    assert_eq!(run(json!({"action": "strip"}), &message), Verdict::Pass);
    let text = "A part of this message was removed: `a.com` is the EICAR test file.\r\n".to_owned();
    assert_eq!(message.edits(), [Edit::ReplacePart { index: 2, text }]);
    // What is in no part can't be stripped.
    let preamble = format!("Content-Type: multipart/mixed; boundary=b\n\n{}\n--b\n\ntext\n--b--\n", test_string());
    assert!(matches!(run(json!({"action": "strip"}), &Message::from(&*preamble)), Verdict::Hold(_)));
}

#[test]
fn ambiguous_messages_are_treated_as_configured() {
    let fields = "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64";
    for (action, held, edits) in [("normalise", false, 1), ("hold", true, 0), ("pass", false, 0)] {
        let message = mail(fields, "aGVsbG8=");
        let verdict = run(json!({"ambiguous": action}), &message);
        assert_eq!(matches!(verdict, Verdict::Hold(_)), held, "{action}");
        assert_eq!(message.edits().len(), edits, "{action}");
    }
    // Found and stripped in the one message that is left.
    let message = mail("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: base64", &encoded());
    assert_eq!(run(json!({"action": "strip"}), &message), Verdict::Pass);
    let [Edit::Replace { message: new }] = &message.edits()[..] else { panic!("not rebuilt") };
    let new = Message::from(&**new);
    assert!(new.part(2).unwrap().read_to_end(1000).unwrap().starts_with(b"A part of this message was removed"));
    assert_eq!(run(json!({}), &new), Verdict::Pass);
}

#[test]
fn faults_in_settings_name_their_key() {
    for (settings, expected) in [
        (json!({"sha256": [HELLO, "abc"]}), "`sha256[1]`: `abc` is not a SHA-256 digest"),
        (json!({"action": "delete"}), "`action`: unknown variant `delete`, expected `hold` or `strip`"),
        (json!({"ambiguous": "no"}), "`ambiguous`: unknown variant"),
        (json!({"signatures": "x"}), "`signatures`: unknown field"),
    ] {
        let fault = configure::<Virus>(&settings).unwrap_err();
        assert!(fault.starts_with(expected), "{settings}: {fault}");
    }
}
