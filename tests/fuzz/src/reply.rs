//! Replies of servers: status lines, capability lists, lists of messages.

use bytes::Bytes;
use popgate::pop3::{Capabilities, MAX_ERROR_TEXT, MAX_REPLY_LINE, Status};
use popgate::session::{Listing, Session, Standing, offered_capabilities};

use crate::policy::policy;

/// Whatever line a server sends: what passes on to a client is one clean line of the same meaning, nothing is offered that
/// can't be kept, and a list keeps its lines.
///
/// Input: an octet for what decides besides, then lines that LF ends.
pub fn reply(input: &[u8]) {
    let Some((&standing, wire)) = input.split_first() else { return };
    let lines: Vec<&[u8]> = wire.split(|&octet| octet == b'\n').collect();
    for line in &lines {
        status(line);
    }
    capabilities(&lines, standing);
    lists(&lines);
}

fn status(line: &[u8]) {
    let Ok(status) = Status::parse(Bytes::copy_from_slice(line)) else { return };
    assert!(line.starts_with(if status.ok { b"+OK" } else { b"-ERR" }));
    assert!(line.ends_with(status.text()) || line.trim_ascii_end().ends_with(status.text()));
    let relayed = status.relayed();
    let text = relayed.strip_suffix(b"\r\n").expect("a relayed line ends with CRLF");
    assert_clean(text);
    assert!(text.len() <= if status.ok { MAX_REPLY_LINE } else { MAX_ERROR_TEXT });
    let again = Status::parse(relayed.slice(..text.len())).expect("a relayed status is one");
    assert_eq!((again.ok, again.relayed()), (status.ok, relayed.clone()), "relayed twice");
}

fn capabilities(lines: &[&[u8]], standing: u8) {
    let list = Capabilities::parse(lines.iter().copied());
    for mechanism in list.mechanisms() {
        assert_one_word(&mechanism);
    }
    let bit = |at: u8| standing >> at & 1 == 1;
    let standing = Standing { logged_in: bit(0), may_log_in: bit(1), offers_stls: bit(2), kpop: bit(3) };
    let offered = offered_capabilities(&list, standing);
    for line in &offered {
        assert_clean(line.as_bytes());
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("STLS") => assert!(standing.offers_stls),
            Some("USER") => assert!((standing.may_log_in || standing.kpop) && !standing.logged_in),
            Some("SASL") => {
                assert!(standing.may_log_in && !standing.logged_in);
                assert!(words.all(|mechanism| !mechanism.ends_with("-PLUS")), "{line}");
            }
            Some(word) if word.eq_ignore_ascii_case("IMPLEMENTATION") => assert!(standing.logged_in),
            word => assert!(word.is_some_and(|word| !word.starts_with('.')), "{line}"),
        }
    }
    assert!(offered.iter().any(|line| line == "PIPELINING"));
}

fn lists(lines: &[&[u8]]) {
    let mut session = Session::new(policy(0));
    let mut sum = Listing::Sum { messages: 0, octets: 0 };
    for line in lines {
        let line = Bytes::copy_from_slice(line);
        for mut listing in [Listing::Sizes, Listing::Uidls] {
            let shown = session.list_line(&mut listing, line.clone());
            assert_eq!(shown.as_ref(), Some(&line), "nothing was filtered, so nothing differs");
        }
        assert_eq!(session.list_line(&mut sum, line), None);
    }
    let Listing::Sum { messages, .. } = sum else { panic!("it was a sum") };
    assert_eq!(messages, lines.len() as u64);
}

/// One word that is no line end, no terminator and no argument of its own.
pub(crate) fn assert_one_word(word: &str) {
    assert!(!word.is_empty() && word.bytes().all(|octet| octet.is_ascii_graphic()) && word != ".", "{word:?}");
}

pub(crate) fn assert_clean(line: &[u8]) {
    assert!(!line.iter().any(u8::is_ascii_control), "{}", line.escape_ascii());
}
