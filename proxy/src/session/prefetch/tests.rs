//! The session before a server that is played here, with a client that asks for anything in any order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::super::tests::logged_in;
use super::super::{Effect, Event, Fetch, FetchPolicy, Job, Purpose, Session};
use super::DOWNLOAD;
use crate::pop3::MessageNumber;

/// Messages in the maildrop; the size of each is its number times 100.
const MESSAGES: u32 = 12;

/// A server with its maildrop, as far as a client can tell.
#[derive(Default)]
struct Server {
    deleted: BTreeSet<u32>,
    listed: bool,
    /// Replies on their way: the status, and what a multi-line one holds.
    replies: VecDeque<(String, Vec<String>)>,
    /// Each RETR that has come, and each TOP of a whole message.
    fetched: Vec<u32>,
    /// Those of what is not there, and the client has not asked for.
    strays: Vec<u32>,
    asked: BTreeSet<u32>,
    /// The TOPs of whole messages, as they came.
    ways: Vec<String>,
    refuses: Option<u32>,
    pipelining: bool,
}

impl Server {
    fn command(&mut self, line: &str) {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let number: Option<u32> = argument.split(' ').next().and_then(|digits| digits.parse().ok());
        let there = |deleted: &BTreeSet<u32>| {
            number.filter(|number| (1..=MESSAGES).contains(number) && !deleted.contains(number))
        };
        let ok = |lines: Vec<String>| ("+OK".to_owned(), lines);
        let reply = match verb {
            "CAPA" => ok(vec![if self.pipelining { "PIPELINING" } else { "UIDL" }.into(), "TOP".into()]),
            "LIST" if number.is_none() => {
                self.listed = true;
                let all = (1..=MESSAGES).filter(|number| !self.deleted.contains(number));
                ok(all.map(|number| format!("{number} {}", number * 100)).collect())
            }
            "LIST" => match there(&self.deleted) {
                Some(number) => (format!("+OK {number} {}", number * 100), vec![]),
                None => ("-ERR no such message".into(), vec![]),
            },
            "RETR" | "TOP" => {
                let lines: Option<u64> = argument.split(' ').nth(1).and_then(|digits| digits.parse().ok());
                let whole = lines.is_none_or(|lines| lines >= DOWNLOAD);
                if whole {
                    self.ways.extend((verb == "TOP").then(|| line.to_owned()));
                    self.fetched.extend(number);
                    let stray = number.filter(|number| !self.asked.contains(number));
                    self.strays.extend(stray.filter(|_| there(&self.deleted).is_none() || !self.listed));
                }
                match there(&self.deleted) {
                    Some(number) if !whole || self.refuses != Some(number) => ok(vec![format!("{verb} {number}")]),
                    _ => ("-ERR no such message".into(), vec![]),
                }
            }
            "DELE" => match there(&self.deleted) {
                Some(number) => {
                    self.deleted.insert(number);
                    (format!("+OK DELE {number}"), vec![])
                }
                None => ("-ERR no such message".into(), vec![]),
            },
            "RSET" => {
                self.deleted.clear();
                ("+OK RSET".into(), vec![])
            }
            _ => (format!("+OK {verb}"), vec![]),
        };
        self.replies.push_back(reply);
    }
}

/// Does what the driver does.
struct Play {
    session: Session,
    server: Server,
    queue: VecDeque<Effect>,
    stash: BTreeMap<MessageNumber, String>,
    /// Lines behind the status line that was read last.
    body: Vec<String>,
    /// What the client has got.
    shown: Vec<String>,
    most_stashed: usize,
}

impl Play {
    fn new(fetch: FetchPolicy, server: Server) -> Self {
        Self {
            session: logged_in(fetch),
            server,
            queue: VecDeque::new(),
            stash: BTreeMap::new(),
            body: Vec::new(),
            shown: Vec::new(),
            most_stashed: 0,
        }
    }

    /// The client says this, and so many jobs are done.
    fn say(&mut self, line: &str, jobs: usize) {
        while !self.session.takes_line() && !self.queue.is_empty() {
            self.work(1);
        }
        if self.session.takes_line() {
            if let Some(("RETR" | "TOP", argument)) = line.split_once(' ') {
                self.server.asked.extend(argument.split(' ').next().and_then(|number| number.parse::<u32>().ok()));
            }
            let effects = self.session.on(Event::Line(Ok(Bytes::copy_from_slice(line.as_bytes()))));
            self.push(effects, false);
            self.work(jobs);
        }
    }

    fn push(&mut self, effects: Vec<Effect>, front: bool) {
        let mut rest = VecDeque::new();
        for effect in effects {
            match effect {
                Effect::Upstream(line) => self.server.command(&String::from_utf8_lossy(line.expose())),
                other => rest.push_back(other),
            }
        }
        if front {
            rest.append(&mut self.queue);
            self.queue = rest;
        } else {
            self.queue.append(&mut rest);
        }
    }

    fn work(&mut self, jobs: usize) {
        for _ in 0..jobs {
            let Some(effect) = self.queue.pop_front() else { return };
            match effect {
                Effect::Client(octets) => self.shown.push(String::from_utf8_lossy(&octets).trim_end().to_owned()),
                Effect::Forget(Some(number)) => drop(self.stash.remove(&number)),
                Effect::Forget(None) => self.stash.clear(),
                Effect::Job(job) => {
                    let event = self.job(job);
                    let effects = self.session.on(event);
                    self.push(effects, true);
                }
                Effect::Close => self.queue.clear(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn deliver(&mut self, fetch: &Fetch, text: &str) -> Event {
        self.shown.push(format!("message {text}"));
        Event::Fetched { number: fetch.number, size: u64::from(fetch.number.get()) * 100, kept: false }
    }

    fn job(&mut self, job: Job) -> Event {
        match job {
            Job::Reply(purpose) => {
                let (status, body) = self.server.replies.pop_front().expect("a reply that was asked for");
                self.body = body;
                Event::Reply(purpose, Bytes::from(status))
            }
            Job::Collect(purpose) => {
                let lines = std::mem::take(&mut self.body);
                Event::Collected(purpose, lines.into_iter().map(Bytes::from).collect())
            }
            Job::List(mut listing) => {
                for line in std::mem::take(&mut self.body) {
                    if let Some(line) = self.session.list_line(&mut listing, Bytes::from(line)) {
                        self.shown.push(String::from_utf8_lossy(&line).into_owned());
                    }
                }
                Event::Listed(listing)
            }
            Job::Pass(_) => {
                let (status, body) = self.server.replies.pop_front().expect("a reply that was asked for");
                self.shown.push(status);
                self.shown.extend(body.iter().map(|line| format!("message {line}")));
                Event::Relayed
            }
            Job::Fetch(fetch) => {
                let body = std::mem::take(&mut self.body).concat();
                self.deliver(&fetch, &body)
            }
            Job::Stash { number, keep } => {
                let body = std::mem::take(&mut self.body).concat();
                if keep {
                    self.stash.insert(number, body);
                    self.most_stashed = self.most_stashed.max(self.stash.len());
                }
                Event::Stashed { number, wanted: keep, there: keep }
            }
            Job::Stashed(fetch) => {
                let body = self.stash.remove(&fetch.number).expect("what the session says is stashed");
                self.deliver(&fetch, &body)
            }
            Job::Turn(command) => Event::Turn(command),
            other => panic!("{other:?}"),
        }
    }
}

fn fetch(filtered: bool, messages: usize, octets: u64) -> FetchPolicy {
    FetchPolicy { filtered, read_ahead: (messages, octets), ..FetchPolicy::default() }
}

fn server() -> Server {
    Server { pipelining: true, ..Server::default() }
}

#[test]
fn after_two_messages_in_sequence_the_next_ones_are_asked_for() {
    for filtered in [false, true] {
        let mut play = Play::new(fetch(filtered, 3, 1 << 20), server());
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
        let mut play = Play::new(fetch(filtered, 3, 1 << 20), server());
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
        let mut play = Play::new(fetch(false, 4, 1 << 20), server());
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
    let mut play = Play::new(fetch(false, 4, 1 << 20), server());
    for number in 1..=MESSAGES {
        play.say(&format!("TOP {number} 20"), 99);
    }
    assert_eq!(play.server.fetched, [] as [u32; 0]);
    assert!(!play.server.listed);
}

#[test]
fn without_pipelining_nothing_is_asked_for_ahead() {
    let mut play = Play::new(fetch(true, 3, 1 << 20), Server::default());
    for number in 1..=MESSAGES {
        play.say(&format!("RETR {number}"), 99);
    }
    assert_eq!(play.server.fetched, (1..=MESSAGES).collect::<Vec<_>>());
    assert!(!play.server.listed);
}

#[test]
fn messages_are_read_ahead_up_to_their_octets_and_the_end() {
    let mut play = Play::new(fetch(true, 10, 900), server());
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
    let mut play = Play::new(fetch(true, 4, 1 << 20), server());
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
    let mut play = Play::new(fetch(false, 4, 1 << 20), server());
    for line in ["DELE 4", "RETR 1", "RETR 2", "RETR 3", "RETR 5", "RETR 6"] {
        play.say(line, 99);
    }
    assert_eq!(play.server.fetched, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn rset_quit_and_another_order_give_everything_back() {
    for line in ["RSET", "QUIT", "RETR 9"] {
        let mut play = Play::new(fetch(true, 4, 1 << 20), server());
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
    let mut play = Play::new(fetch(true, 4, 1 << 20), Server { refuses: Some(4), ..server() });
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
        let policy = fetch(random(2) == 0, random(5) as usize + 1, [250, 900, 1 << 20][random(3) as usize]);
        let server =
            Server { refuses: (random(3) == 0).then(|| random(MESSAGES) + 1), pipelining: random(6) > 0, ..server() };
        let mut play = Play::new(policy, server);
        let (mut expected, mut deleted) = (Vec::new(), BTreeSet::new());
        let mut next = 1;
        let by_top = random(3) == 0;
        for _ in 0..random(24) {
            // Mostly in sequence.
            let number = if random(4) > 0 { next } else { random(MESSAGES + 2) + 1 };
            let there = number <= MESSAGES && !deleted.contains(&number);
            let none = "-ERR no such message".to_owned();
            let (line, reply) = match random(11) {
                10 => (format!("LIST {number}"), if there { format!("+OK {number} {}", number * 100) } else { none }),
                0..6 => {
                    next = number + 1;
                    let there = there && play.server.refuses != Some(number);
                    // Mostly in one way.
                    match by_top ^ (random(12) == 0) {
                        false => {
                            (format!("RETR {number}"), if there { format!("message RETR {number}") } else { none })
                        }
                        true => {
                            let reply = if there { format!("message TOP {number}") } else { none };
                            (format!("TOP {number} 99999999"), reply)
                        }
                    }
                }
                6 | 7 => {
                    let gone = number <= MESSAGES && deleted.insert(number);
                    (format!("DELE {number}"), if gone { format!("+OK DELE {number}") } else { none })
                }
                8 => {
                    if random(3) > 0 {
                        ("NOOP".into(), "+OK NOOP".into())
                    } else {
                        deleted.clear();
                        ("RSET".into(), "+OK RSET".into())
                    }
                }
                _ if play.session.fetch.filtered && play.server.refuses == Some(number) => {
                    (format!("TOP {number} 0"), none)
                }
                _ => (format!("TOP {number} 0"), if there { format!("message TOP {number}") } else { none }),
            };
            expected.push(reply);
            play.say(&line, [0, 1, 3, 99][random(4) as usize]);
        }
        play.say("QUIT", 999);
        while !play.queue.is_empty() {
            play.work(1);
        }
        let shown: Vec<_> = play.shown.iter().filter(|line| !matches!(line.as_str(), "+OK" | "+OK QUIT")).collect();
        let expected: Vec<_> = expected.iter().map(|line| line.replace("message TOP", "message T")).collect();
        let shown: Vec<_> = shown.iter().map(|line| line.replace("message TOP", "message T")).collect();
        assert_eq!(shown, expected);
        assert!(play.stash.is_empty() && play.server.replies.is_empty());
        assert_eq!(play.server.strays, [] as [u32; 0], "asked for ahead, and not there");
    }
}

#[test]
fn purposes_without_a_client_show_nothing() {
    let mut session = logged_in(fetch(true, 4, 1 << 20));
    let number = MessageNumber::new(1).unwrap();
    let effects = session.on(Event::Reply(Purpose::Stash { number, keep: true }, "-ERR gone".into()));
    assert!(effects.is_empty(), "{effects:?}");
}
