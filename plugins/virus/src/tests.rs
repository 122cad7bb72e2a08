//! The filter on messages in memory.

use popgate_plugin::testing::{Edit, configure, log_lines, set_data};
use popgate_plugin::{Filter, Message, Verdict};
use serde_json::{Value, json};

use super::{Virus, eicar};

mod made;

/// The SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn test_string() -> String {
    String::from_utf8(eicar::test_string()).unwrap()
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
    assert_eq!(fault, "line 1 of the data file `signatures` has neither a digest nor a signature");
    set_data("signatures", format!("{HELLO}  Test.Hello\n"));
    set_data("hashes", format!("{HELLO}  Test.Hello\n"));
    let fault = configure::<Virus>("{}").unwrap_err();
    assert!(fault.starts_with("nothing reads the data file `hashes`: call it `signatures`, `hdb`"), "{fault}");
    configure::<Virus>(r#"{"signatures": ["hashes"]}"#).unwrap();
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
        (json!({"unscannable": "drop"}), "`unscannable`: unknown variant `drop`"),
        (json!({"signature": "x"}), "`signature`: unknown field"),
        (json!({"signatures": ["x"]}), "`signatures`: the configuration has no data file `x`"),
    ] {
        let fault = configure::<Virus>(&settings).unwrap_err();
        assert!(fault.starts_with(expected), "{settings}: {fault}");
    }
}

/// A mail with a file in it.
fn with_file(name: &str, content: &[u8]) -> Message {
    let fields = format!(
        "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename={name}\n\
         Content-Transfer-Encoding: base64"
    );
    mail(&fields, &made::base64(content))
}

#[test]
fn eicar_is_found_inside_of_archives_and_named_with_its_path() {
    let inner = made::zip("folder/e.com", test_string().as_bytes());
    let gzip = made::gzip(&made::zip("inner.zip", &inner));
    let message = with_file("outer.zip.gz", &gzip);
    let reason = "`outer.zip.gz/outer.zip/inner.zip/folder/e.com` is the EICAR test file";
    assert_eq!(run(json!({}), &message), Verdict::hold(reason));
    assert_eq!(symbols(&message), ["EICAR"]);

    let message = with_file("winmail.dat", &made::tnef("a.zip", &inner));
    assert_eq!(run(json!({}), &message), Verdict::hold("`winmail.dat/a.zip/folder/e.com` is the EICAR test file"));

    let message = with_file("a.zip", &inner);
    assert_eq!(run(json!({"action": "strip"}), &message), Verdict::Pass);
    assert_eq!(message.edits().len(), 1);
}

#[test]
fn signatures_of_every_format_are_found_in_files_and_in_the_message() {
    let file = b"MZ\x90\0 a program with 0123 in it".as_slice();
    let zip = made::zip("a.exe", file);
    let plain = || with_file("a.exe", file);
    let packed = || with_file("a.zip", &zip);
    set_data("ndb", "Test.Body:1:0:4d5a90??20*30313233\nTest.Mail:4:*:5375626a6563743a2073\n");
    for (message, expected) in [
        (plain(), "`a.exe` contains `Test.Body`"),
        (packed(), "`a.zip/a.exe` contains `Test.Body`"),
        (Message::from("Subject: safe\n\ntext\n"), "the message contains `Test.Mail`"),
    ] {
        assert_eq!(run(json!({}), &message), Verdict::hold(expected));
        assert_eq!(symbols(&message), ["SIGNATURE"]);
    }
    set_data("ndb", "");
    let (md5, sha1) = made::digests(file);
    set_data("hdb", format!("{md5}:{}:Test.Md5\n{md5}:1:Test.Other\n", file.len()));
    set_data("hsb", format!("{sha1}:*:Test.Sha1:73\n"));
    let message = packed();
    assert_eq!(run(json!({}), &message), Verdict::hold("`a.zip/a.exe` is `Test.Sha1`"));
    assert_eq!(symbols(&message), ["SHA1_MATCH"]);
    set_data("hsb", format!("{sha1}:17:Test.Sha1\n"));
    let message = plain();
    assert_eq!(run(json!({}), &message), Verdict::hold("`a.exe` is `Test.Md5`"));
    assert_eq!(symbols(&message), ["MD5_MATCH"]);
}

#[test]
fn a_file_is_known_by_its_digest_if_a_file_of_its_size_is_listed_or_any_size() {
    let file = [&b"\x89PNG\r\n\x1a\n\0"[..], &[7; 3_000]].concat();
    let (md5, sha1) = made::digests(&file);
    let size = file.len();
    let message = || with_file("a.png", &file);
    for (lists, found) in [
        (format!("{md5}:{size}:Test.Md5\n"), Some("`a.png` is `Test.Md5`")),
        (format!("{md5}:{}:Test.Md5\n", size + 1), None),
        (format!("{md5}:{}:Test.Md5\n{sha1}:{size}:Test.Sha1\n", size + 1), Some("`a.png` is `Test.Sha1`")),
        (format!("{md5}:{}:Test.Md5\n{md5}:*:Test.Any:73\n", size - 1), Some("`a.png` is `Test.Any`")),
        (format!("{md5}:1:Test.Md5\n{sha1}:999999999:Test.Sha1\n"), None),
    ] {
        set_data("hdb", &*lists);
        assert_eq!(run(json!({}), &message()), found.map_or(Verdict::Pass, Verdict::hold), "{lists}");
    }
    // The mail as it came, by its size.
    let mail = message();
    let raw = mail.read(0, 65_536);
    let (md5, _) = made::digests(&raw);
    for (size, verdict) in [(raw.len(), Verdict::hold("the message is `Test.Mail`")), (raw.len() + 1, Verdict::Pass)] {
        set_data("hdb", format!("{md5}:{size}:Test.Mail\n"));
        assert_eq!(run(json!({}), &mail), verdict);
    }
}

#[test]
fn texts_are_searched_in_small_letters_where_signatures_are_for_texts() {
    set_data("further", "Test.Page:3:*:6f6e6c6f61643d");
    let message = mail("Content-Type: text/html", "<html><body ONLOAD=x>");
    let settings = json!({"signatures": ["further"]});
    assert!(matches!(run(settings, &message), Verdict::Hold(_)));
}

#[test]
fn what_can_not_be_looked_into_is_treated_as_configured() {
    let rar = || with_file("a.rar", b"Rar!\x1a\x07\x01\0");
    let message = rar();
    assert_eq!(run(json!({}), &message), Verdict::Pass);
    let edits: Vec<_> = message.edits().iter().map(ToString::to_string).collect();
    assert_eq!(edits, ["set X-Virus-Status: unscannable (a.rar: RAR can't be opened)"]);
    assert_eq!(symbols(&message), ["UNSCANNABLE"]);

    let message = rar();
    let verdict = run(json!({"unscannable": "hold"}), &message);
    assert_eq!(verdict, Verdict::hold("it can't be scanned: a.rar: RAR can't be opened"));
    let message = rar();
    assert_eq!(run(json!({"unscannable": "pass"}), &message), Verdict::Pass);
    assert_eq!(message.edits(), []);
    assert_eq!(symbols(&message), ["UNSCANNABLE"]);

    let deep = made::zip("a.zip", &made::zip("b.zip", &made::zip("c.txt", b"text")));
    let message = with_file("a.zip", &deep);
    assert_eq!(run(json!({"max_depth": 2}), &message), Verdict::Pass);
    assert_eq!(message.reported()[0].text, "a.zip/a.zip/b.zip: too deeply nested");
}

#[test]
fn what_is_left_out_is_counted() {
    set_data("signatures", "A:1:EP+0:6162\nB:1:EP+1:6162\nC:0:*:6162\n");
    configure::<Virus>("{}").unwrap();
    assert_eq!(log_lines(), ["warn: 2 signatures of the data file `signatures` look for what is not looked for"]);
}

#[test]
fn long_names_make_no_long_findings() {
    let name = "\u{1f600}".repeat(5000);
    for content in [&test_string().into_bytes()[..], b"Rar!\x1a\x07\x01\0"] {
        let message = with_file(&format!("{name}.zip"), &made::zip(&name, content));
        assert!(configure::<Virus>("{}").unwrap().filter(&message).is_ok());
        assert!(!message.reported().is_empty());
        assert!(message.reported().iter().all(|finding| finding.text.len() <= 1024));
    }
}
