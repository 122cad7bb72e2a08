//! The filter on what attachments really are, and on what is inside of them.

use std::io::{Cursor, Write as _};

use popgate_plugin::{Filter as _, Message, Verdict};
use serde_json::{Value, json};

use super::{Attachments, configure, run};

const PROGRAM: &[u8] = b"MZ\x90\0 a program";

fn base64(content: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, group) in content.chunks(3).enumerate() {
        let bits = group.iter().fold(0, |bits, &octet| bits << 8 | u32::from(octet)) << (8 * (3 - group.len()));
        text.extend((0..=group.len()).map(|digit| char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])));
        text.push_str(&"=".repeat(3 - group.len()));
        text.push_str(if index % 19 == 18 { "\n" } else { "" });
    }
    text
}

/// A mail with a file in it.
fn with_file(name: &str, content: &[u8]) -> Message {
    Message::from(&*format!(
        "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n\
         Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"{name}\"\n\
         Content-Transfer-Encoding: base64\n\n{}\n--b--\n",
        base64(content)
    ))
}

/// A zip archive of files that are stored.
fn zip(files: &[(&str, &[u8])], flags: u8) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let size = (content.len() as u32).to_le_bytes();
        let length = (name.len() as u16).to_le_bytes();
        let header = [&[20, 0, flags, 0], &[0; 10][..], &size, &size, &length, &[0, 0]].concat();
        directory.extend(
            [b"PK\x01\x02\x14\0", &*header, &[0; 10], &(zip.len() as u32).to_le_bytes(), name.as_bytes()].concat(),
        );
        zip.extend([b"PK\x03\x04", &*header, name.as_bytes(), content].concat());
    }
    let (start, count) = (zip.len() as u32, (files.len() as u16).to_le_bytes());
    let size = (directory.len() as u32).to_le_bytes();
    [
        zip,
        directory,
        b"PK\x05\x06\0\0\0\0".to_vec(),
        count.to_vec(),
        count.to_vec(),
        size.to_vec(),
        start.to_le_bytes().to_vec(),
        vec![0, 0],
    ]
    .concat()
}

fn ole(stream: &str) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_storage_all("/Macros/VBA").unwrap();
    file.create_stream(stream).unwrap().write_all(b"content").unwrap();
    file.flush().unwrap();
    file.into_inner().into_inner()
}

/// Symbols, and the edits in a line each.
fn outcome(settings: Value, message: &Message) -> (Vec<String>, Vec<String>) {
    assert_eq!(run(settings, message), Verdict::Pass);
    let symbols = message.reported().into_iter().map(|finding| finding.symbol).collect();
    (symbols, message.edits().iter().map(ToString::to_string).collect())
}

#[test]
fn programs_are_stripped_whatever_they_are_called() {
    for (name, content) in [
        ("holiday.jpg", PROGRAM.to_vec()),
        ("unnamed", b"L\0\0\0\x01\x14\x02\0".to_vec()),
        ("a.zip", zip(&[("readme.txt", b"text"), ("holiday.jpg", PROGRAM)], 0)),
        ("a.zip", zip(&[("b.zip", &zip(&[("holiday.jpg", PROGRAM)], 0))], 0)),
    ] {
        let (symbols, edits) = outcome(json!({}), &with_file(name, &content));
        assert_eq!(symbols[0], "FORBIDDEN_TYPE", "{name}");
        assert_eq!(edits, ["replace part 2"], "{name}");
    }
    let (symbols, edits) = outcome(json!({"deny_kinds": [], "mismatch": "pass"}), &with_file("holiday.jpg", PROGRAM));
    assert!(symbols.is_empty() && edits.is_empty());
}

#[test]
fn names_inside_of_archives_are_denied_like_those_of_attachments() {
    let archive = zip(&[("folder/readme.txt", b"text"), ("folder/run.JS", b"text")], 0);
    let message = with_file("a.zip", &archive);
    let (symbols, edits) = outcome(json!({}), &message);
    assert_eq!((&*symbols[0], &*edits[0]), ("FORBIDDEN_EXTENSION", "replace part 2"));
    let expected =
        "attachment `a.zip` (application/octet-stream): `a.zip/folder/run.JS`: files ending in `.js` are not allowed";
    assert_eq!(message.reported()[0].text, expected);
    let (symbols, edits) = outcome(json!({"inside_archives": false}), &with_file("a.zip", &archive));
    assert!(symbols.is_empty() && edits.is_empty(), "{symbols:?} {edits:?}");
    let verdict = run(json!({"action": "deny"}), &with_file("a.zip", &archive));
    assert_eq!(verdict, Verdict::hold(expected));
}

#[test]
fn deceptive_names_are_denied_even_if_their_ending_is_not() {
    let settings = || json!({"deny_extensions": []});
    for name in ["invoice.pdf.exe", "invoice.pdf          .txt"] {
        let (symbols, edits) = outcome(settings(), &with_file(name, b"text"));
        assert_eq!((&*symbols[0], &*edits[0]), ("DECEPTIVE_NAME", "replace part 2"), "{name}");
    }
    let inside = zip(&[("invoice.pdf.exe", b"text")], 0);
    let (symbols, _) = outcome(settings(), &with_file("a.zip", &inside));
    assert_eq!(symbols, ["DECEPTIVE_NAME"]);
    let settings = json!({"deny_extensions": [], "deceptive_names": false});
    assert!(outcome(settings, &with_file("invoice.pdf.exe", b"text")).0.is_empty());
}

#[test]
fn macros_are_found_in_old_documents_and_in_new_ones() {
    let new = zip(&[("[Content_Types].xml", b"<x/>"), ("word/vbaProject.bin", &ole("/Macros/VBA/dir"))], 0);
    for (name, content) in
        [("old.doc", ole("/Macros/VBA/dir")), ("new.docx", new), ("declared.docm", b"PK pretend".to_vec())]
    {
        let message = with_file(name, &content);
        let (symbols, edits) = outcome(json!({}), &message);
        assert_eq!(symbols, ["MACROS"], "{name}");
        let line = format!("set X-Attachment-Policy: attachment `{name}` (application/octet-stream): it has macros");
        assert_eq!(edits, [line]);
        assert_eq!(outcome(json!({"macros": "strip"}), &with_file(name, &content)).1, ["replace part 2"]);
        assert!(outcome(json!({"macros": "pass"}), &with_file(name, &content)).0.is_empty());
    }
    assert!(outcome(json!({}), &with_file("plain.doc", &ole("/WordDocument"))).0.is_empty());
}

#[test]
fn what_can_not_be_looked_into_has_policies_of_its_own() {
    let encrypted = zip(&[("a.txt", b"ciphertext")], 1);
    let message = with_file("a.zip", &encrypted);
    let (symbols, edits) = outcome(json!({}), &message);
    assert_eq!(symbols, ["ENCRYPTED"]);
    let line = "set X-Attachment-Policy: attachment `a.zip` (application/octet-stream): `a.zip/a.txt`: it is encrypted";
    assert_eq!(edits, [line]);
    assert!(matches!(run(json!({"encrypted": "hold"}), &with_file("a.zip", &encrypted)), Verdict::Hold(_)));

    let rar = b"Rar!\x1a\x07\x01\0";
    assert_eq!(outcome(json!({}), &with_file("a.rar", rar)).0, ["UNSCANNABLE"]);
    assert_eq!(outcome(json!({"unscannable": "strip"}), &with_file("a.rar", rar)).1, ["replace part 2"]);
    assert!(outcome(json!({"unscannable": "pass"}), &with_file("a.rar", rar)).0.is_empty());
    assert_eq!(outcome(json!({"deny_kinds": ["rar"]}), &with_file("a.dat", rar)).1, ["replace part 2"]);
}

#[test]
fn a_mismatch_is_told_and_size_is_bounded() {
    let page = b"<!DOCTYPE html><script>";
    assert_eq!(outcome(json!({}), &with_file("a.jpg", page)).0, ["TYPE_MISMATCH"]);
    assert!(outcome(json!({}), &with_file("a.html", page)).0.is_empty());
    let settings = || json!({"max_size": 1000});
    assert_eq!(outcome(settings(), &with_file("a.txt", &[b'x'; 1001])).1, ["replace part 2"]);
    assert!(outcome(settings(), &with_file("a.txt", &[b'x'; 1000])).1.is_empty());
}

#[test]
fn honest_attachments_are_left_alone() {
    let document = zip(&[("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<x/>")], 0);
    for (name, content) in [
        ("a.docx", &document[..]),
        ("a.pdf", b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n"),
        ("a.png", b"\x89PNG\r\n\x1a\n and so on"),
        ("a.txt", b"text"),
        ("source.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"),
    ] {
        let message = with_file(name, content);
        assert_eq!(configure::<Attachments>("{}").unwrap().filter(&message), Ok(Verdict::Pass));
        assert_eq!(message.edits(), [], "{name}");
        assert!(message.reported().is_empty(), "{name}");
    }
}

#[test]
fn long_names_make_no_long_findings() {
    let name = "\u{1f600}".repeat(5000);
    let archive = zip(&[(&*format!("{name}.exe"), PROGRAM)], 0);
    let message = with_file(&name, &archive);
    assert_eq!(outcome(json!({"action": "tag"}), &message).0, ["FORBIDDEN_EXTENSION", "FORBIDDEN_TYPE"]);
    assert!(message.reported().iter().all(|finding| finding.text.len() <= 1024));
}
