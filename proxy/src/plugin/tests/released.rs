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

/// The guests of these tests know nothing of what came later: neither of the state, nor of learning.
#[tokio::test]
async fn a_filter_of_the_first_release_still_runs() {
    let bench = Bench::new();
    let text = guest::text("(func $filter (param i32) (result i32) i32.const 16)");
    assert!(!text.contains("popgate:filter/state") && !text.contains("popgate:filter/learning"));
    for grant in ["", "grant = { kv = true }"] {
        let decision = bench.run("(func $filter (param i32) (result i32) i32.const 16)", grant).await.unwrap();
        assert_eq!(decision.verdict, Verdict::Hold("why".into()));
    }
    let filter = bench.guest("(func $filter (param i32) (result i32) i32.const 0)", "").await;
    assert!(!filter.unwrap_or_else(|error| panic!("{error}")).learns());
}
