//! A session that reads ahead, before a server that is played here.
//!
//! The fuzzer plays it, too, from a crate of its own: all that this needs of the session is public, and whoever includes it has it as
//! `session`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::pop3::MessageNumber;
use super::session::{Effect, Event, Fetch, FetchPolicy, Job, Session};

/// From so many lines on TOP is a way to download a message.
const DOWNLOAD: u64 = 1_000_000;

/// Messages in the maildrop; the size of each is its number times 100.
pub(super) const MESSAGES: u32 = 12;

/// A server with its maildrop, as far as a client can tell.
#[derive(Default)]
pub(super) struct Server {
    pub(super) deleted: BTreeSet<u32>,
    pub(super) listed: bool,
    /// Replies on their way: the status, and what a multi-line one holds.
    pub(super) replies: VecDeque<(String, Vec<String>)>,
    /// Each RETR that has come, and each TOP of a whole message.
    pub(super) fetched: Vec<u32>,
    /// Those of what is not there, and the client has not asked for.
    pub(super) strays: Vec<u32>,
    pub(super) asked: BTreeSet<u32>,
    /// The TOPs of whole messages, as they came.
    pub(super) ways: Vec<String>,
    pub(super) refuses: Option<u32>,
    pub(super) pipelining: bool,
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
pub(super) struct Play {
    pub(super) session: Session,
    pub(super) server: Server,
    pub(super) queue: VecDeque<Effect>,
    pub(super) stash: BTreeMap<MessageNumber, String>,
    /// Lines behind the status line that was read last.
    pub(super) body: Vec<String>,
    /// What the client has got.
    pub(super) shown: Vec<String>,
    pub(super) most_stashed: usize,
}

impl Play {
    pub(super) fn new(session: Session, server: Server) -> Self {
        Self {
            session,
            server,
            queue: VecDeque::new(),
            stash: BTreeMap::new(),
            body: Vec::new(),
            shown: Vec::new(),
            most_stashed: 0,
        }
    }

    /// The client says this, and so many jobs are done.
    pub(super) fn say(&mut self, line: &str, jobs: usize) {
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

    pub(super) fn work(&mut self, jobs: usize) {
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

/// A client that asks for anything in any order, mostly in sequence, gets what it asked for, and the server hears nothing that it may
/// not hear. Each choice is one of so many numbers from 0 on.
pub(super) fn in_any_order(mut random: impl FnMut(u32) -> u32, logged_in: impl Fn(FetchPolicy) -> Session) {
    let filtered = random(2) == 0;
    let read_ahead = (random(5) as usize + 1, [250, 900, 1 << 20][random(3) as usize]);
    let policy = FetchPolicy { filtered, read_ahead, ..FetchPolicy::default() };
    let server = Server {
        refuses: (random(3) == 0).then(|| random(MESSAGES) + 1),
        pipelining: random(6) > 0,
        ..Server::default()
    };
    let mut play = Play::new(logged_in(policy), server);
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
                    false => (format!("RETR {number}"), if there { format!("message RETR {number}") } else { none }),
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
            _ if filtered && play.server.refuses == Some(number) => (format!("TOP {number} 0"), none),
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
