//! Signatures that are found and not found, however the stream is cut.

use popgate_archive::Kind;

use super::{Bodies, Fault, Search, Subject};
use crate::names::Names;

fn bodies(signatures: &[(&str, &str, &str)]) -> Result<(Bodies, Names), Fault> {
    let (mut bodies, mut names) = (Bodies::default(), Names::default());
    for (index, (target, offset, body)) in signatures.iter().enumerate() {
        let name = names.add(&format!("Test.{index}")).unwrap();
        bodies.add(name, target, offset, body)?;
    }
    bodies.finish();
    Ok((bodies, names))
}

fn finds_in(bodies: &Bodies, subject: Subject, text: &[u8], size: usize) -> bool {
    let mut search = Search::new(subject);
    text.chunks(size).for_each(|chunk| search.update(bodies, chunk));
    search.end(bodies).is_some()
}

fn finds(offset: &str, body: &str, text: &[u8]) -> bool {
    let (bodies, _) = bodies(&[("0", offset, body)]).unwrap();
    let subject = Subject::File(Kind::Unknown);
    let whole = finds_in(&bodies, subject, text, text.len().max(1));
    for size in [1, 2, 3, 7] {
        assert_eq!(finds_in(&bodies, subject, text, size), whole, "{body} in pieces of {size}");
    }
    // The same far behind the beginning of a stream.
    if offset == "*" {
        let far = [&vec![b'.'; 300_000], text].concat();
        assert_eq!(finds_in(&bodies, subject, &far, 10_000), whole, "{body} far behind");
        // Cut everywhere, with much in front of the cut and behind it.
        for cut in 0..=text.len() {
            let cut = [&vec![b'.'; 5_000 - cut], text, &vec![b'.'; 9_000]].concat();
            assert_eq!(finds_in(&bodies, subject, &cut, 5_000), whole, "{body} at the bounds of pieces");
            let mut search = Search::new(subject);
            for piece in [&cut[..4_999], &cut[4_999..5_001], &cut[5_001..]] {
                search.update(&bodies, piece);
            }
            assert_eq!(search.end(&bodies).is_some(), whole, "{body} around a small piece");
        }
    }
    whole
}

#[test]
fn wildcards_gaps_and_alternatives_match_what_they_say() {
    for (body, found, not_found) in [
        ("6162636465", &["xabcdey", "abcde"][..], &["abcd", "abcdX"][..]),
        ("6162??6364", &["abXcd"], &["abcd", "abXXcd"]),
        ("61626?64", &["abcd", "abod"], &["abpd"]),
        ("6162?364", &["abcd", "absd"], &["abdd"]),
        ("6162*6364", &["abcd", "ab...........cd"], &["cdab", "abc"]),
        ("6162{2}6364", &["ab..cd"], &["ab.cd", "ab...cd"]),
        ("6162{200}6364", &[], &["ab..cd"]),
        ("6162{2-4}6364", &["ab..cd", "ab....cd", "ab.ab...cd"], &["ab.cd", "ab.....cd"]),
        ("6162{-2}6364", &["abcd", "ab..cd"], &["ab...cd"]),
        ("6162{3-}6364", &["ab...cd", "ab.........cd"], &["ab..cd"]),
        ("6162(63|7a)64", &["abcd", "abzd"], &["abxd"]),
        ("6162(6363|7a)6465", &["abccde", "abzde"], &["abcde"]),
        ("6162!(63|7a)64", &["abxd"], &["abcd", "abzd", "ab"]),
        ("6162{1-2}6364*6566", &["ab.cd..ef", "ab.ab.cdef"], &["ab.ef..cd", "abcd..ef"]),
        ("(61|62)6364", &["acd", "bcd"], &["ccd"]),
    ] {
        for text in found {
            assert!(finds("*", body, text.as_bytes()), "{body} in {text}");
        }
        for text in not_found {
            assert!(!finds("*", body, text.as_bytes()), "{body} not in {text}");
        }
    }
    let distant = [b"ab".as_slice(), &[b'.'; 200], b"cd"].concat();
    assert!(finds("*", "6162{200}6364", &distant));
}

#[test]
fn offsets_bind() {
    for (offset, text, found) in [
        ("0", "abcdef", true),
        ("0", ".abcdef", false),
        ("2", "..abcd", true),
        ("2,2", "....abcd", true),
        ("2,2", ".....abcd", false),
        ("EOF-4", "....abcd", true),
        ("EOF-4", "....abcd.", false),
        ("EOF-6,2", "....abcd.", true),
        ("EOF-100", "abcd", false),
    ] {
        assert_eq!(finds(offset, "61626364", text.as_bytes()), found, "{offset} in {text}");
    }
}

#[test]
fn targets_bind() {
    for (target, subject, found) in [
        ("0", Subject::File(Kind::Pdf), true),
        ("0", Subject::Mail, true),
        ("1", Subject::File(Kind::Pe), true),
        ("1", Subject::File(Kind::Pdf), false),
        ("4", Subject::Mail, true),
        ("4", Subject::File(Kind::Text), false),
        ("3", Subject::Normalised, true),
        ("7", Subject::File(Kind::Text), true),
        ("11", Subject::File(Kind::Unknown), true),
    ] {
        let (bodies, _) = bodies(&[(target, "*", "61626364")]).unwrap();
        assert_eq!(finds_in(&bodies, subject, b"abcd", 4), found, "{target} in {subject:?}");
    }
}

#[test]
fn what_can_not_be_looked_for_is_left_out() {
    for (offset, body) in [("EP+0", "6162"), ("S1+4", "6162"), ("VI", "6162"), ("*", "6162(B)"), ("*", "6162(6?|63)64")]
    {
        assert_eq!(bodies(&[("1", offset, body)]).unwrap_err(), Fault::LeftOut, "{offset} {body}");
    }
    for body in ["61", "61??62", "", "*", "6", "6162{x}63", "6162{4-2}63", "6162(63"] {
        assert!(matches!(bodies(&[("0", "*", body)]), Err(Fault::Body(_) | Fault::Weak)), "{body}");
    }
}

#[test]
fn each_of_many_signatures_is_found() {
    let octets = |seed: u32| {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        (0..24).map(|_| next()).collect::<Vec<u8>>()
    };
    let (mut bodies, mut names) = (Bodies::default(), Names::default());
    for seed in 0..20_000 {
        let name = names.add(&format!("Many.{seed}")).unwrap();
        bodies.add_text(name, &octets(seed)).unwrap();
    }
    bodies.finish();
    for seed in (0..20_000).step_by(997) {
        let text = [&b"some text before "[..], &octets(seed), b" and behind"].concat();
        let mut search = Search::new(Subject::File(Kind::Text));
        search.update(&bodies, &text);
        let found = search.end(&bodies).expect("it is there");
        assert_eq!(names.text(found.name), format!("Many.{seed}"));
    }
}
