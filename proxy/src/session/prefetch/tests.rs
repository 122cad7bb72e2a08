//! The session before a server that is played here, with a client that asks for anything in any order.

#[path = "play.rs"]
mod play;

use self::play::{MESSAGES, Play, Server, in_any_order};
use super::super::tests::logged_in;
use super::super::{Event, FetchPolicy, Purpose};
use crate::pop3::{self, MessageNumber};
use crate::session;

fn fetch(filtered: bool, messages: usize, octets: u64) -> FetchPolicy {
    FetchPolicy { filtered, read_ahead: (messages, octets), ..FetchPolicy::default() }
}

fn server() -> Server {
    Server { pipelining: true, ..Server::default() }
}

#[test]
fn after_two_messages_in_sequence_the_next_ones_are_asked_for() {
    for filtered in [false, true] {
        let mut play = Play::new(logged_in(fetch(filtered, 3, 1 << 20)), server());
        play.say("RETR 1", 99);
        assert_eq!(play.server.fetched, [1]);
        play.say("RETR 2", 99);
        assert_eq!(play.server.fetched, [1, 2, 3, 4, 5]);
        play.say("RETR 3", 99);
        assert_eq!(play.server.fetched, [1, 2, 3, 4, 5, 6]);
        let messages: Vec<_> = play.shown.iter().filter(|line| line.starts_with("message")).collect();
        assert_eq!(messages, ["message RETR 1", "message RETR 2", "message RETR 3"]);
    }
}

#[test]
fn who_downloads_by_top_is_read_ahead_by_top() {
    for (filtered, lines) in [(false, 99_999_999), (true, super::super::transaction::ALL_LINES)] {
        let mut play = Play::new(logged_in(fetch(filtered, 3, 1 << 20)), server());
        for number in 1..=MESSAGES {
            for line in [format!("LIST {number}"), format!("TOP {number} 99999999"), format!("DELE {number}")] {
                play.say(&line, 99);
            }
        }
        assert_eq!(play.server.fetched, (1..=MESSAGES).collect::<Vec<_>>());
        assert_eq!(play.most_stashed, 3);
        let messages: Vec<_> = play.shown.iter().filter(|line| line.starts_with("message")).cloned().collect();
        assert_eq!(messages, (1..=MESSAGES).map(|number| format!("message TOP {number}")).collect::<Vec<_>>());
        assert!(play.server.ways.iter().all(|line| line.ends_with(&format!(" {lines}"))), "{:?}", play.server.ways);
    }
}

#[test]
fn a_message_read_ahead_in_one_way_is_none_in_another() {
    for (first, second) in
        [("RETR {}", "TOP {} 99999999"), ("TOP {} 99999999", "RETR {}"), ("TOP {} 99999999", "TOP {} 1000000")]
    {
        let mut play = Play::new(logged_in(fetch(false, 4, 1 << 20)), server());
        for (way, number) in [(first, "1"), (first, "2"), (second, "3")] {
            play.say(&way.replace("{}", number), 99);
        }
        assert_eq!(play.server.fetched, [1, 2, 3, 4, 5, 6, 3]);
        assert!(play.stash.is_empty() && play.server.replies.is_empty());
        play.say(&second.replace("{}", "4"), 99);
        assert_eq!(play.server.fetched[7..], [4, 5, 6, 7, 8], "a sequence of its own");
    }
}

#[test]
fn tops_of_few_lines_are_no_sequence() {
    let mut play = Play::new(logged_in(fetch(false, 4, 1 << 20)), server());
    for number in 1..=MESSAGES {
        play.say(&format!("TOP {number} 20"), 99);
    }
    assert_eq!(play.server.fetched, [] as [u32; 0]);
    assert!(!play.server.listed);
}

#[test]
fn without_pipelining_nothing_is_asked_for_ahead() {
    let mut play = Play::new(logged_in(fetch(true, 3, 1 << 20)), Server::default());
    for number in 1..=MESSAGES {
        play.say(&format!("RETR {number}"), 99);
    }
    assert_eq!(play.server.fetched, (1..=MESSAGES).collect::<Vec<_>>());
    assert!(!play.server.listed);
}

#[test]
fn messages_are_read_ahead_up_to_their_octets_and_the_end() {
    let mut play = Play::new(logged_in(fetch(true, 10, 900)), server());
    play.say("RETR 1", 99);
    play.say("RETR 2", 99);
    // 300 and 400 octets; with 500 more it would be too much.
    assert_eq!(play.server.fetched, [1, 2, 3, 4]);
    play.say("RETR 3", 99);
    assert_eq!(play.server.fetched, [1, 2, 3, 4, 5]);
    for number in 4..=MESSAGES {
        play.say(&format!("RETR {number}"), 99);
    }
    assert_eq!(play.server.fetched, (1..=MESSAGES).collect::<Vec<_>>());
}

#[test]
fn with_dele_in_between_every_message_is_fetched_once() {
    let mut play = Play::new(logged_in(fetch(true, 4, 1 << 20)), server());
    for number in 1..=MESSAGES {
        play.say(&format!("RETR {number}"), 99);
        play.say(&format!("DELE {number}"), 99);
    }
    assert_eq!(play.server.fetched, (1..=MESSAGES).collect::<Vec<_>>());
    assert!(play.most_stashed > 0 && play.stash.is_empty());
    assert_eq!(play.server.deleted.len(), MESSAGES as usize);
}

#[test]
fn deleted_messages_are_jumped_over_and_never_fetched() {
    let mut play = Play::new(logged_in(fetch(false, 4, 1 << 20)), server());
    for line in ["DELE 4", "RETR 1", "RETR 2", "RETR 3", "RETR 5", "RETR 6"] {
        play.say(line, 99);
    }
    assert_eq!(play.server.fetched, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn rset_quit_and_another_order_give_everything_back() {
    for line in ["RSET", "QUIT", "RETR 9"] {
        let mut play = Play::new(logged_in(fetch(true, 4, 1 << 20)), server());
        for line in ["RETR 1", "RETR 2", "NOOP", line] {
            play.say(line, 99);
        }
        assert_eq!(play.most_stashed, 4);
        assert!(play.stash.is_empty() && play.server.replies.is_empty(), "{line}");
        assert_eq!(play.session.expects_ahead(), None);
    }
}

#[test]
fn a_message_that_is_refused_ahead_is_refused_when_it_is_asked_for() {
    let mut play = Play::new(logged_in(fetch(true, 4, 1 << 20)), Server { refuses: Some(4), ..server() });
    for line in ["RETR 1", "RETR 2", "RETR 3", "RETR 4", "RETR 5"] {
        play.say(line, 99);
    }
    assert!(play.shown.contains(&"-ERR no such message".to_owned()), "{:?}", play.shown);
    assert_eq!(play.shown.last().map(String::as_str), Some("message RETR 5"));
}

#[test]
fn in_whatever_order_a_client_asks_it_gets_what_it_asked_for() {
    let mut seed = 7u64;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(seed >> 33).unwrap_or(0) % below
    };
    for _ in 0..20_000 {
        in_any_order(&mut random, logged_in);
    }
}

#[test]
fn purposes_without_a_client_show_nothing() {
    let mut session = logged_in(fetch(true, 4, 1 << 20));
    let number = MessageNumber::new(1).unwrap();
    let effects = session.on(Event::Reply(Purpose::Stash { number, keep: true }, "-ERR gone".into()));
    assert!(effects.is_empty(), "{effects:?}");
}
