//! Edits and the octets that come out.

use std::sync::Arc;

use super::{Edit, EditError};
use crate::message::{Budget, BuildError, Builder, Limits, Message};

fn message(text: &str) -> Message {
    Message::from_bytes(text.replace('\n', "\r\n").into_bytes())
}

fn text(message: &Message) -> String {
    String::from_utf8(message.read(0, usize::MAX)).unwrap().replace("\r\n", "\n")
}

fn add(name: &str, value: &str) -> Edit {
    Edit::AddHeader { name: name.into(), value: value.into() }
}

fn set(name: &str, value: &str) -> Edit {
    Edit::SetHeader { name: name.into(), value: value.into() }
}

fn drop_header(name: &str) -> Edit {
    Edit::RemoveHeader { name: name.into() }
}

fn replace(index: usize, text: &str) -> Edit {
    Edit::ReplacePart { index, text: text.into() }
}

const TEXT: &str =
    "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline\n";
const TREE: &str = "A: b\nContent-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nContent-Type: image/png\nX-Id: 7\n\ntwo\n--b--\nepi\n";

#[test]
fn header_edits_leave_everything_else_alone() {
    let table: [(&str, Vec<Edit>, &str); 13] = [
        ("A: b\n\nx", vec![add("X", "1"), add("Y", "2")], "Y: 2\nX: 1\nA: b\n\nx"),
        ("A: b\nB: c\n d\na : e\n\nx", vec![set("a", "new")], "A: new\nB: c\n d\n\nx"),
        ("A: b\n\nx", vec![set("B", "c")], "B: c\nA: b\n\nx"),
        ("A: b\nB: c\n d\nA: e\n\nx", vec![drop_header("a")], "B: c\n d\n\nx"),
        ("A: b\n\nx", vec![drop_header("zzz")], "A: b\n\nx"),
        ("A: b\n\nx", vec![set("A", "1"), drop_header("A"), add("A", "2")], "A: 2\n\nx"),
        ("", vec![add("X", "1")], "X: 1\n\n"),
        ("no header", vec![add("X", "1")], "X: 1\n\nno header"),
        ("no header", vec![drop_header("X")], "no header"),
        ("A: b", vec![add("X", "1")], "X: 1\nA: b\n\n"),
        ("\nbody", vec![add("X", "1")], "X: 1\n\nbody"),
        ("From me Mon\nA: b\n\nx", vec![add("X", "1")], "From me Mon\nX: 1\nA: b\n\nx"),
        ("junk\nA: b\n\nx", vec![add("X", "1")], "X: 1\njunk\nA: b\n\nx"),
    ];
    for (before, edits, after) in table {
        let message = message(before);
        let edited = message.apply(&edits).unwrap();
        assert_eq!(text(&edited), after, "{before:?}");
        assert_eq!(text(&message), before.to_owned());
    }
}

#[test]
fn a_header_edit_shares_the_body() {
    let message = message(&format!("A: b\n\n{}", "x".repeat(100_000)));
    let edited = message.apply(&[add("X", "\u{e4}")]).unwrap();
    let tails: Vec<_> =
        [&message, &edited].iter().map(|message| message.segments().last().map(<[u8]>::as_ptr_range)).collect();
    assert_eq!(tails[0].as_ref().map(|range| range.end), tails[1].as_ref().map(|range| range.end));
    assert_eq!(edited.header("X").as_deref(), Some("\u{e4}"));
}

#[test]
fn bare_line_feeds_and_every_octet_of_the_body_stay() {
    let message = Message::from_bytes(b"A: b\n\n\0\xff\r\r\nlast".to_vec());
    let edited = message.apply(&[add("X", "1")]).unwrap();
    assert_eq!(edited.read(0, 99), b"X: 1\r\nA: b\n\n\0\xff\r\r\nlast");
}

#[test]
fn parts_are_replaced_and_removed_in_place() {
    let table: [(&str, Vec<Edit>, String); 8] = [
        (
            TREE,
            vec![replace(2, "gone")],
            TREE.replace("Content-Type: image/png\nX-Id: 7\n\ntwo", &format!("X-Id: 7\n{TEXT}\ngone")),
        ),
        (TREE, vec![replace(1, "a\nb\n")], TREE.replace("\none\n", &format!("{TEXT}\na\nb\n"))),
        (TREE, vec![Edit::RemovePart { index: 1 }], TREE.replace("--b\n\none\n", "")),
        (TREE, vec![Edit::RemovePart { index: 2 }], TREE.replace("--b\nContent-Type: image/png\nX-Id: 7\n\ntwo\n", "")),
        (
            TREE,
            vec![Edit::RemovePart { index: 2 }, Edit::RemovePart { index: 1 }, add("X", "1")],
            "X: 1\n".to_owned()
                + &TREE
                    .replace("--b\n\none\n", "")
                    .replace("Content-Type: image/png\nX-Id: 7\n\ntwo", &format!("X-Id: 7\n{TEXT}\n")),
        ),
        (TREE, vec![replace(1, "lost"), replace(0, "all")], format!("A: b\n{TEXT}MIME-Version: 1.0\n\nall\n")),
        ("no header", vec![replace(0, "all")], format!("{TEXT}MIME-Version: 1.0\n\nall\n")),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\nx",
            vec![replace(1, "a"), replace(2, "b")],
            format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{TEXT}\na\n--b\n{TEXT}\nb\n"),
        ),
    ];
    for (before, edits, after) in table {
        assert_eq!(text(&message(before).apply(&edits).unwrap()), after, "{before:?} {edits:?}");
    }
}

#[test]
fn an_edit_within_an_encoded_message_takes_the_encoded_part() {
    let before = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQppbm5lcg==\n--b\n\ny\n--b--\n";
    let original = message(before);
    assert_eq!(original.parts()[2].parent(), Some(1));
    let edited = original.apply(&[Edit::RemovePart { index: 2 }]).unwrap();
    assert_eq!(text(&edited), "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ny\n--b--\n");
}

#[test]
fn an_emptied_message_in_a_message_stays_one() {
    let original = message("Content-Type: message/rfc822\n\nSubject: x\n\ninner");
    let edited = original.apply(&[Edit::RemovePart { index: 1 }]).unwrap();
    assert_eq!(text(&edited), format!("Content-Type: message/rfc822\n\nSubject: x\n{TEXT}\n\n"));
}

#[test]
fn replaced_text_comes_back_whatever_it_is() {
    for new in ["", "\u{e4}\u{20ac}", "--b\nnot a delimiter", "--b--", &"x".repeat(5000), "a\n\nb", ".", "\0"] {
        let edited = message(TREE).apply(&[replace(1, new)]).unwrap();
        assert_eq!((edited.parts().len(), edited.ambiguous()), (3, None), "{new:?}");
        let content = edited.parts()[1].content(&edited).read(usize::MAX);
        assert_eq!(String::from_utf8(content).unwrap().trim_end(), new.replace('\n', "\r\n"), "{new:?}");
        assert!(text(&edited).lines().all(|line| line.len() <= 998));
    }
}

#[test]
fn a_replaced_message_keeps_header_edits_and_is_repaired() {
    let new = Message::from_bytes(b"S: new\n\nbody\n".to_vec());
    let edits =
        [add("X", "1"), replace(0, "unused"), Edit::ReplaceMessage(message("S: first\n\n")), Edit::ReplaceMessage(new)];
    let edited = message("A: b\n\nx").apply(&edits).unwrap();
    assert_eq!(edited.read(0, 99), b"X: 1\r\nS: new\r\n\r\nbody\r\n");
}

#[test]
fn a_repaired_message_keeps_to_the_limits_of_the_one_it_replaces() {
    let budget = Arc::new(Budget::new(1000, 1000));
    let limits = Limits { memory: 10, max: 100, spool: std::env::temp_dir() };
    let original = Builder::new(limits, budget.clone()).finish().unwrap();
    let replacement = |body: &str| Edit::ReplaceMessage(Message::from_bytes(format!("A: b\n\n{body}").into_bytes()));
    let edited = original.apply(&[replacement("0123456789")]).unwrap();
    assert_eq!((edited.len(), budget.memory_used(), budget.spool_used()), (18, 0, 18));
    let fault = original.apply(&[replacement(&"x".repeat(100))]).unwrap_err();
    assert!(matches!(fault, EditError::Build(BuildError::TooLarge { max: 100 })));
    drop(edited);
    assert_eq!(budget.spool_used(), 0);
}

#[test]
fn an_edit_that_would_break_the_mail_is_refused() {
    let message = message(TREE);
    let refused = |edit: Edit| edit.check(&message).unwrap_err();
    for name in ["", "a b", "a:b", "a\n", "\u{e4}", &"x".repeat(77)] {
        assert!(matches!(refused(add(name, "x")), EditError::HeaderName(_)), "{name:?}");
        assert!(matches!(refused(drop_header(name)), EditError::HeaderName(_)), "{name:?}");
    }
    for value in ["a\rb", "a\nb", "a\0b"] {
        assert!(matches!(refused(set("X", value)), EditError::HeaderValue), "{value:?}");
    }
    assert!(matches!(refused(set("X", &"x".repeat(super::VALUE_MAX + 1))), EditError::TooLong { .. }));
    assert!(matches!(refused(replace(1, &"x".repeat(super::REPLACEMENT_MAX + 1))), EditError::TooLong { .. }));
    assert!(matches!(refused(replace(3, "x")), EditError::NoSuchPart(3)));
    assert!(matches!(refused(Edit::RemovePart { index: 0 }), EditError::RemoveRoot));
    assert!(matches!(refused(Edit::ReplaceMessage(Message::from_bytes(b"no header".to_vec()))), EditError::NoHeader));
    assert!(add("X", "fine").check(&message).is_ok());
    assert!(message.apply(&[add("X:", "x")]).is_err());
}

#[test]
fn every_subset_of_the_leaves_can_be_removed_and_the_others_stay() {
    let tree = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\n1\n--ab\n\n2\n--ab--\n--a\n\n3\n--a\nContent-Type: message/rfc822\n\nS: x\n\n4\n--a--\n";
    let original = message(tree);
    let leaves: Vec<usize> =
        (0..original.parts().len()).filter(|index| !original.parts()[*index].is_container()).collect();
    assert_eq!(leaves, [2, 3, 4, 6]);
    for subset in 0..16_u32 {
        let gone: Vec<usize> = (0..4).filter(|bit| subset >> bit & 1 == 1).map(|bit| leaves[bit]).collect();
        let edits: Vec<Edit> = gone.iter().map(|index| Edit::RemovePart { index: *index }).collect();
        let edited = original.apply(&edits).unwrap();
        let contents: String =
            edited.parts().iter().map(|part| String::from_utf8(part.content(&edited).read(99)).unwrap()).collect();
        let expected: String = (0..4).filter(|bit| subset >> bit & 1 == 0).map(|bit| (bit + 1).to_string()).collect();
        assert_eq!((contents.replace("\r\n", ""), edited.ambiguous()), (expected, None), "{gone:?}\n{}", text(&edited));
    }
}

#[test]
fn what_a_program_writes_is_taken_for_what_it_changes() {
    let message = Message::from_bytes(b"Subject: a\r\n\r\none\r\ntwo\r\n".to_vec());
    let edit = |text: &str| Edit::rewritten(&message, Message::from_bytes(text.into()));
    assert!(edit("Subject: a\r\n\r\none\r\ntwo\r\n").unwrap().is_none());
    assert!(edit("Subject: a\n\none\ntwo\n").unwrap().is_none());
    let headers = edit("X: 1\nSubject: a\n\none\ntwo\n").unwrap().unwrap();
    assert!(matches!(headers, Edit::ReplaceHeaders(_)) && !headers.takes_content());
    let headers = edit("X: 1\r\n\r\none\r\ntwo\r\n").unwrap().unwrap();
    let changed = message.apply(&[headers]).unwrap();
    assert_eq!(changed.read(0, 100), b"X: 1\r\n\r\none\r\ntwo\r\n");
    assert!(matches!(edit("Subject: a\r\n\r\none\r\n").unwrap(), Some(Edit::ReplaceMessage(_))));
    assert!(matches!(edit("no header\r\n"), Err(EditError::NoHeader)));
}
