//! What has been released stays as it is: the text of the interface, and filters that were built against it.

use std::collections::BTreeSet;

use super::*;

/// The interface as it was first released.
const FIRST: &str = include_str!("released/first.wit");

/// The declarations of a text, each with the blocks around it. What can grow (packages, interfaces, resources, worlds) is
/// taken apart; what can't (records, variants, enums) is one declaration with all of its members.
fn declarations(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect();
    let code = code.join(" ");
    let (mut found, mut around, mut words) = (BTreeSet::new(), Vec::<String>::new(), String::new());
    let mut frozen = 0;
    for next in code.chars() {
        words.push(next);
        let plain = words.split_whitespace().collect::<Vec<_>>().join(" ");
        match next {
            '{' if frozen == 0 && ["interface ", "resource ", "world "].iter().any(|kind| plain.starts_with(kind)) => {
                around.push(plain);
                words.clear();
            }
            '{' => frozen += 1,
            '}' if frozen > 0 => {
                frozen -= 1;
                // `use mail.{message};` goes on to its semicolon.
                if frozen == 0 && !plain.starts_with("use ") {
                    found.insert(format!("{} {plain}", around.concat()));
                    words.clear();
                }
            }
            '}' => {
                around.pop();
                words.clear();
            }
            ';' if frozen == 0 => {
                found.insert(format!("{} {plain}", around.concat()));
                words.clear();
            }
            _ => {}
        }
    }
    assert!(around.is_empty() && frozen == 0, "{around:?}");
    found
}

fn now() -> String {
    let (_, text) = popgate_plugins::projects::WIT[0];
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn what_was_released_is_still_there_word_for_word() {
    let (first, now) = (declarations(FIRST), declarations(&now()));
    assert!(first.len() > 40, "{first:#?}");
    let gone: Vec<&String> = first.difference(&now).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn a_change_of_what_was_released_is_noticed() {
    let first = declarations(FIRST);
    for (old, new) in [
        ("size: func() -> u64;", "size: func() -> u32;"),
        ("header: func(name: string) -> option<string>;", ""),
        ("hold(string),", "hold(string), drop,"),
        ("text: string,\n    }", "text: string,\n more: u32,\n    }"),
        ("import data;", ""),
    ] {
        assert!(FIRST.contains(old), "{old}");
        let changed = declarations(&FIRST.replacen(old, new, 1));
        assert!(first.difference(&changed).next().is_some(), "{old}");
    }
    let grown = FIRST.replacen("size: func() -> u64;", "size: func() -> u64; age: func() -> u64;", 1);
    assert!(first.difference(&declarations(&grown)).next().is_none());
}

/// A filter that was compiled against the first text and nothing else; `released/first.rs` is its source. It stays as it is.
const BUILT: &[u8] = include_bytes!("released/first.wasm");

const PARTS: &str = "From: a@example.org\r\nTo: b@example.net\r\nSubject: see\r\nX-Old: yes\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe text\r\n\
    --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=a.txt\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nZmlsZQ==\r\n--b--\r\n";

/// The same with another subject.
fn asking(subject: &str) -> String {
    PARTS.replace("Subject: see", &format!("Subject: {subject}"))
}

fn built() -> Bench {
    let bench = Bench::new();
    bench.write("first.wasm", BUILT);
    bench.write("list", "one, two");
    bench
}

const SECTION: &str = "plugin = \"first.wasm\"\ndata = { list = \"list\" }\nconfig = { a = 1 }\n";

#[tokio::test]
async fn a_filter_that_was_built_against_the_first_release_reads_what_it_read() {
    let filter = built().load(SECTION).await.unwrap_or_else(|error| panic!("{error}"));
    let decision = examine(&*filter, PARTS).await.unwrap();
    let seen: Vec<&str> = decision.findings.iter().map(|finding| &*finding.text).collect();
    let (size, body) = (PARTS.len(), PARTS.len() - PARTS.find("--b").unwrap());
    assert_eq!(
        seen,
        [
            "settings {\"a\":1}",
            "list one, two",
            &format!("size {size}"),
            &format!("text at {:?}", PARTS.find("the text")),
            "user Some(\"alice\")",
            "unknown None",
            "to [\"b@example.net\"]",
            "fields [\"From\", \"To\", \"Subject\", \"X-Old\", \"MIME-Version\", \"Content-Type\"]",
            "findings 0",
            &format!("part 0 multipart/mixed None None None None true false {body} \"\""),
            "part 1 text/plain Some(\"utf-8\") None None Some(0) false false 8 \"the text\"",
            "part 2 application/octet-stream None Some(\"a.txt\") Some(\"attachment\") Some(0) false false 8 \"file\"",
        ]
    );
    let finding = &decision.findings[0];
    assert_eq!((&*finding.symbol, finding.points, finding.value), ("SEEN", 0.5, Some(1.0)));
}

#[tokio::test]
async fn a_filter_that_was_built_against_the_first_release_edits_what_it_edited() {
    let filter = built().load(SECTION).await.unwrap_or_else(|error| panic!("{error}"));
    let edits = examine(&*filter, PARTS).await.unwrap().edits;
    let message = Message::from_bytes(PARTS.into()).apply(&edits).unwrap();
    let text = String::from_utf8(message.read(0, usize::MAX)).unwrap();
    for (has, lacks) in
        [("X-First: added", "X-Old"), ("Subject: set", "see"), ("instead", "the text"), ("X-Refused: yes", "ZmlsZQ==")]
    {
        assert!(text.contains(has) && !text.contains(lacks), "{has} {lacks}\n{text}");
    }
    let mail = asking("replace");
    let edits = examine(&*filter, &*mail).await.unwrap().edits;
    let message = Message::from_bytes(mail.clone().into()).apply(&edits).unwrap();
    let head = mail.split_inclusive("\r\n\r\n").next().unwrap();
    assert_eq!(String::from_utf8(message.read(0, usize::MAX)).unwrap(), format!("{head}another body\r\n"));
}

#[tokio::test]
async fn a_filter_that_was_built_against_the_first_release_answers_as_it_answered() {
    let loaded = built().loaded(&format!("{SECTION}grant = {{ kv = true }}\n")).await;
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.configuring, Configuring::Once);
    assert!(!loaded.filter.learns() && !loaded.filter.learns_by_token());
    let answer = async |subject| examine(&*loaded.filter, asking(subject)).await;
    assert_eq!(answer("hold").await.unwrap().verdict, Verdict::Hold("as it says".into()));
    assert_eq!(answer("service").await.unwrap_err(), Failure::Service("no service".into()));
    assert_eq!(answer("message").await.unwrap_err(), Failure::Message("no message".into()));
    let error = built().load(&SECTION.replace("a = 1", "wrong = 1")).await.err().unwrap();
    assert!(error.to_string().ends_with("refuses its settings: the first filter takes no `wrong`"), "{error}");
}
