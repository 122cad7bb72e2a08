use mail_parser::MessageParser;

use super::super::{Edit, EditError, Message};
use super::*;

fn message(mail: impl Into<Vec<u8>>) -> Message {
    Message::from_bytes(mail.into())
}

fn octets(message: &Message) -> Vec<u8> {
    message.segments().collect::<Vec<_>>().concat()
}

fn text(message: &Message, index: usize) -> String {
    String::from_utf8(message.parts()[index].text(message).read(TEXT_MAX)).unwrap()
}

fn at(start: usize, end: usize, text: &str) -> Splice {
    Splice { range: start as u64..end as u64, text: text.into() }
}

fn changed(message: &Message, index: usize, splices: &[Splice]) -> (Message, bool) {
    let edit = Edit::text(message, index, splices).unwrap();
    let loses = edit.takes_content();
    (message.apply(&[edit]).unwrap(), loses)
}

#[test]
fn a_text_that_needs_no_encoding_keeps_every_other_octet() {
    let mail = "Subject: s\r\n\r\none\r\ntwo\r\n";
    let (new, loses) = changed(&message(mail), 0, &[at(0, 0, "zero\r\n"), at(10, 10, "three\r\n")]);
    assert_eq!(octets(&new), b"Subject: s\r\n\r\nzero\r\none\r\ntwo\r\nthree\r\n");
    assert!(!loses);
    let (new, loses) = changed(&message(mail), 0, &[at(0, 3, "1")]);
    assert_eq!(octets(&new), b"Subject: s\r\n\r\n1\r\ntwo\r\n");
    assert!(loses);
}

#[test]
fn characters_beyond_ascii_bring_their_charset_and_encoding() {
    let mail = "Subject: s\r\n\r\na somewhat longer text\r\n";
    let (new, _) = changed(&message(mail), 0, &[at(0, 0, "Grüße\r\n")]);
    let expected = "Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\nGr=C3=BC=C3=9Fe\r\n\
        a somewhat longer text\r\n";
    assert_eq!(String::from_utf8(octets(&new)).unwrap(), expected);
}

#[test]
fn charset_and_encoding_stay_where_they_can() {
    /// Charset, transfer encoding and body; what is inserted in front, and the body then.
    type Case = (&'static str, &'static str, &'static [u8], &'static str, &'static [u8]);
    let table: [Case; 9] = [
        ("iso-8859-1", "8bit", b"caf\xe9\r\n", "\u{fc}ber ", b"\xfcber caf\xe9\r\n"),
        ("iso-8859-1", "quoted-printable", b"caf=E9\r\n", "\u{fc}ber ", b"=FCber caf=E9\r\n"),
        ("iso-8859-1", "base64", b"Y2Fm6Q0K\r\n", "\u{fc}ber ", b"/GJlciBjYWbpDQo=\r\n"),
        ("windows-1252", "8bit", b"caf\xe9\r\n", "\u{20ac} ", b"\x80 caf\xe9\r\n"),
        ("utf-8", "8bit", b"\xef\xbb\xbfa\xc3\xa9\r\n", "\u{20ac} ", b"\xef\xbb\xbf\xe2\x82\xac a\xc3\xa9\r\n"),
        ("shift_jis", "8bit", b"\x93\xfa\r\n", "a ", b"a \x93\xfa\r\n"),
        ("iso-2022-jp", "7bit", b"\x1b$BF|\x1b(B\r\n", "\u{65e5} ", b"\x1b$BF|\x1b(B \x1b$BF|\x1b(B\r\n"),
        // Octets without a meaning stay too.
        ("utf-8", "8bit", b"a\xff\xfeb\r\n", "x", b"xa\xff\xfeb\r\n"),
        ("us-ascii", "8bit", b"caf\xe9\r\n", "x ", b"x caf\xe9\r\n"),
    ];
    for (charset, transfer, body, inserted, expected) in table {
        let head =
            format!("Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n");
        let old = message([head.as_bytes(), body].concat());
        let before = text(&old, 0);
        let (new, loses) = changed(&old, 0, &[at(0, 0, inserted)]);
        let shown = |octets: &[u8]| octets.escape_ascii().to_string();
        assert_eq!(shown(&octets(&new)), shown(&[head.as_bytes(), expected].concat()), "{charset} {transfer}");
        assert_eq!(text(&new, 0), format!("{inserted}{before}"));
        assert!(!loses);
    }
}

#[test]
fn what_a_charset_lacks_makes_the_text_utf_8() {
    for (charset, body) in [("iso-8859-1", &b"caf\xe9\r\n"[..]), ("us-ascii", b"caf\xe9\r\n"), ("gbk", b"caf\r\n")] {
        let head = format!(
            "MIME-Version: 1.0\r\nContent-Type: TEXT/plain; format=flowed; charset={charset}; name=\"a \\\"b\u{e9}\"\r\n\r\n"
        );
        let old = message([head.as_bytes(), body].concat());
        let before = text(&old, 0);
        let (new, loses) = changed(&old, 0, &[at(3, 3, "\u{1f600}")]);
        let expected = format!("{}\u{1f600}{}", &before[..3], &before[3..]);
        assert_eq!(text(&new, 0), expected, "{charset}");
        let part = &new.parts()[0];
        assert_eq!((part.parameter("charset"), part.parameter("format")), (Some("utf-8"), Some("flowed")));
        assert_eq!(part.parameter("name"), old.parts()[0].parameter("name"));
        assert!(!loses);
        let parsed = MessageParser::default().parse(&octets(&new)).unwrap().body_text(0).unwrap().into_owned();
        assert_eq!(parsed.trim_end(), expected.trim_end(), "{charset}");
    }
}

#[test]
fn other_parts_stay_octet_for_octet() {
    let mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nX-Y: 1\r\n\r\none\r\n--b\r\n\
        Content-Type: text/html\r\ncontent-transfer-encoding:\tQUOTED-PRINTABLE \r\n\r\n<p>=20\r\ntwo=\r\n more\r\n--b\r\n\
        Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n";
    let (new, _) = changed(&message(mail), 2, &[at(3, 3, "<b>x</b>")]);
    let expected = mail.replace("<p>=20\r\ntwo=\r\n more", "<p><b>x</b>=20\r\ntwo more").replace(
        "content-transfer-encoding:\tQUOTED-PRINTABLE \r\n",
        "content-transfer-encoding: quoted-printable\r\n",
    );
    let new = String::from_utf8(octets(&new)).unwrap();
    assert!(new == expected || new == mail.replace("<p>=20\r\ntwo=\r\n more", "<p><b>x</b>=20\r\ntwo more"), "{new}");
    // A boundary in the text must not become one in the mail.
    let (new, _) = changed(&message(mail), 1, &[at(3, 3, "\r\n--b--\r\nend")]);
    assert_eq!(text(&new, 1), "one\r\n--b--\r\nend");
    assert_eq!(new.parts().len(), 4);
    assert_eq!(new.parts()[3].media_type(), "image/png");
}

#[test]
fn a_header_that_does_not_end_is_ended() {
    let (new, _) = changed(&message("Subject: s\r\nX-Y: z"), 0, &[at(0, 0, "text")]);
    assert_eq!(octets(&new), b"Subject: s\r\nX-Y: z\r\n\r\ntext\r\n");
    let mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Y: z\r\n--b--\r\n";
    let (new, _) = changed(&message(mail), 1, &[at(0, 0, "text")]);
    assert_eq!(text(&new, 1), "text");
    assert_eq!(new.parts()[1].headers(&new, "X-Y"), ["z"]);
}

#[test]
fn long_lines_and_bare_line_feeds_are_encoded() {
    let (new, _) = changed(&message("Subject: s\r\n\r\ntext\r\n"), 0, &[at(0, 0, &"x".repeat(999))]);
    assert_eq!(text(&new, 0), "x".repeat(999) + "text\r\n");
    assert!(octets(&new).split(|&octet| octet == b'\n').all(|line| line.len() < 999));
    let (new, _) = changed(&message("Subject: s\r\n\r\na\nb\r\n"), 0, &[at(0, 0, "x")]);
    assert_eq!(text(&new, 0), "xa\nb\r\n");
}

#[test]
fn places_that_are_none_and_parts_that_are_no_text_are_refused() {
    let old = message("Content-Type: text/plain; charset=utf-8\r\n\r\na\u{e9}b\r\n");
    for splices in [
        &[at(2, 2, "x")][..],
        &[at(1, 2, "x")],
        &[at(7, 7, "x")],
        &[at(3, 1, "x")],
        &[at(3, 4, "x"), at(0, 1, "x")],
        &[at(0, 3, "x"), at(1, 4, "x")],
        &[at(usize::MAX, usize::MAX, "x")],
    ] {
        assert!(matches!(Edit::text(&old, 0, splices), Err(EditError::Splice)), "{splices:?}");
    }
    assert!(Edit::text(&old, 0, &[at(6, 6, "x")]).is_ok(), "the end is a place");
    let jpeg = message("Content-Type: image/jpeg\r\n\r\nx\r\n");
    assert!(matches!(Edit::text(&jpeg, 0, &[]), Err(EditError::NoText(0))));
    assert!(matches!(Edit::text(&jpeg, 1, &[]), Err(EditError::NoSuchPart(1))));
}

#[test]
fn every_place_in_a_text_with_broken_characters_is_found() {
    for (charset, body) in [
        ("utf-8", &b"a\xc3\xa9\xff\xe2\x82b\xf0\x9f\x98\x80\xff"[..]),
        ("windows-1252", b"a\xe9\x80\x81b"),
        ("koi8-r", b"\xc1\xc2a"),
        ("shift_jis", b"\x93\xfaa\x93\xfa"),
    ] {
        let head = format!("Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
        let old = message([head.as_bytes(), body].concat());
        let before = text(&old, 0);
        for (place, _) in before.char_indices().chain([(before.len(), ' ')]) {
            let (new, loses) = changed(&old, 0, &[at(place, place, "|")]);
            assert_eq!(
                text(&new, 0).trim_end(),
                format!("{}|{}", &before[..place], &before[place..]),
                "{charset} {place}"
            );
            assert!(!loses);
        }
    }
}

#[test]
fn the_text_of_an_attached_message_can_be_changed_and_of_an_encoded_one_not() {
    let inner = "Subject: in\r\n\r\ntext\r\n";
    let old = message(format!("Content-Type: message/rfc822\r\n\r\n{inner}"));
    let last = old.parts().len() - 1;
    let (new, _) = changed(&old, last, &[at(0, 0, "\u{e9} ")]);
    assert_eq!(text(&new, last), "\u{e9} text\r\n");
    let encoded = format!(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        String::from_utf8(super::encoding::base64(inner.as_bytes())).unwrap()
    );
    let old = message(encoded);
    let last = old.parts().len() - 1;
    assert!(last > 0 && matches!(Edit::text(&old, last, &[]), Err(EditError::Enclosed(_))));
}
