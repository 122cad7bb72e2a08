//! Connections that end at every octet of a conversation, on either side of the proxy.

use std::thread;

use popgate_tests::connection::{Connection, show};
use popgate_tests::fleet::{Fleet, Mail, Place};

/// How many conversations with each kind of mail go on at the same time.
const PAIRS: usize = 4;

/// How a reply reaches the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// Whole or not at all.
    Whole,
    /// As it comes, once its status line is there.
    Streamed,
}

/// A command, and what both sides see of it.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    /// What the client sends and the server must get, unless it gets something else; empty for the greeting.
    command: &'static str,
    asked: &'static str,
    /// What the server sends.
    reply: &'static str,
    /// What the client must get.
    shown: &'static str,
    way: Way,
}

const fn one(command: &'static str, reply: &'static str) -> Exchange {
    Exchange { command, asked: command, reply, shown: reply, way: Way::Whole }
}

const fn many(command: &'static str, reply: &'static str) -> Exchange {
    Exchange { command, asked: command, reply, shown: reply, way: Way::Streamed }
}

/// CAPA is read to its end before the client gets what the proxy makes of it.
const CAPABILITIES: Exchange = Exchange {
    command: "CAPA",
    asked: "CAPA",
    reply: "+OK\r\nTOP\r\nUIDL\r\nUSER\r\n.\r\n",
    shown: "+OK capabilities\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n",
    way: Way::Whole,
};
const LIST: Exchange = many("LIST", "+OK 2\r\n1 25\r\n2 31\r\n.\r\n");
const UIDL: Exchange = many("UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n");

/// Mail that no filter wants.
const PASSED: [Exchange; 11] = [
    one("", "+OK ready\r\n"),
    CAPABILITIES,
    one("USER alice", "+OK name\r\n"),
    one("PASS secret", "+OK in\r\n"),
    one("STAT", "+OK 2 56\r\n"),
    LIST,
    UIDL,
    many("TOP 1 1", "+OK top\r\nA: b\r\n\r\none\r\n.\r\n"),
    many("RETR 1", "+OK 19 octets\r\nA: b\r\n\r\none\r\n..two\r\n.\r\n"),
    one("DELE 1", "+OK gone\r\n"),
    one("QUIT", "+OK bye\r\n"),
];

/// The same for mail that a filter looks at before the client gets any of it.
const FILTERED: [Exchange; 11] = {
    let mut conversation = PASSED;
    conversation[7] = Exchange {
        command: "TOP 1 1",
        asked: "TOP 1 2147483647",
        reply: "+OK top\r\nA: b\r\n\r\none\r\n..two\r\n.\r\n",
        shown: "+OK top of message follows\r\nA: b\r\n\r\none\r\n.\r\n",
        way: Way::Whole,
    };
    conversation[8].shown = "+OK 19 octets\r\nA: b\r\n\r\none\r\n..two\r\n.\r\n";
    conversation[8].way = Way::Whole;
    conversation
};

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Reset,
}

impl End {
    fn of(self, connection: Connection) {
        match self {
            Self::Fin => drop(connection),
            Self::Reset => connection.reset(),
        }
    }
}

/// The conversation with mail of this kind.
fn conversation(mail: Mail) -> &'static [Exchange] {
    match mail {
        Mail::Passed => &PASSED,
        Mail::Filtered => &FILTERED,
    }
}

/// Plays conversations for every octet up to the last; then clean ones.
fn everywhere(octets: impl Fn(&[Exchange]) -> usize, each: impl Fn(&Worker<'_>, usize) + Sync) {
    let fleet = Fleet::start(PAIRS, "");
    fleet.play(|mail| (0..=octets(conversation(mail))).collect(), |place, &octets| each(&Worker::at(place), octets));
    fleet.play(
        |_| vec![(); PAIRS],
        |place, ()| {
            let worker = Worker::at(place);
            worker.server_ends(all_replies(worker.conversation), End::Fin);
        },
    );
}

struct Worker<'a> {
    place: &'a Place<'a>,
    conversation: &'a [Exchange],
}

impl<'a> Worker<'a> {
    fn at(place: &'a Place<'a>) -> Self {
        Self { place, conversation: conversation(place.mail) }
    }

    /// A conversation in which the server ends behind so many octets.
    fn server_ends(&self, octets: usize, end: End) {
        let what = format!("{}, {end:?} behind {octets} octets", self.place.name);
        thread::scope(|scope| {
            let server = scope.spawn(|| self.serve(octets, end));
            let mut client = self.place.connect();
            let mut done = 0;
            for exchange in self.conversation {
                // An end that is known already may meet the command on its way.
                if !exchange.command.is_empty() {
                    let _ended = client.try_send(format!("{}\r\n", exchange.command).as_bytes());
                }
                let mut came = client.up_to(exchange.shown.len());
                if came != exchange.shown.as_bytes() {
                    came.extend(client.rest());
                    // A reset that comes before the proxy has seen that it is connected hides the greeting.
                    let unseen = matches!(end, End::Reset) && done == 0 && octets == exchange.reply.len();
                    self.expect_broken(done, octets - usize::from(unseen), &came, &what);
                    server.join().expect("the server's side");
                    return;
                }
                done += 1;
            }
            client.expect_end();
            server.join().expect("the server's side");
            assert!(octets >= self.starts(done), "{what}: the client got more than there was");
        });
    }

    fn serve(&self, octets: usize, end: End) {
        let mut upstream = self.place.server.accept();
        let mut left = octets;
        for exchange in self.conversation {
            if left == 0 {
                break;
            }
            if !exchange.command.is_empty() {
                assert_eq!(upstream.text(), exchange.asked);
            }
            let part = &exchange.reply[..left.min(exchange.reply.len())];
            upstream.send(part);
            left -= part.len();
        }
        end.of(upstream);
    }

    /// Where the reply to this command begins.
    fn starts(&self, exchange: usize) -> usize {
        self.conversation[..exchange].iter().map(|exchange| exchange.reply.len()).sum()
    }

    /// What must have come in the place of the first reply that is not what it should be.
    fn expect_broken(&self, done: usize, octets: usize, came: &[u8], what: &str) {
        let exchange = self.conversation[done];
        let start = self.starts(done);
        assert!(
            (start..start + exchange.reply.len()).contains(&octets),
            "{what}: {:?} was answered {}",
            exchange.command,
            show(came)
        );
        let sent = &exchange.reply.as_bytes()[..octets - start];
        let status = exchange.reply.find('\n').map_or(0, |at| at + 1);
        if exchange.way == Way::Streamed && sent.len() >= status {
            let lines = sent.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
            assert!(sent.starts_with(came) && came.len() >= lines, "{what}: {} of {}", show(came), show(sent));
            let last = came.split(|&octet| octet == b'\n').next_back().unwrap_or_default();
            let ended = matches!(last, b"." | b".\r") || came.ends_with(b"\r\n.\r\n");
            assert!(!ended, "{what}: a terminator, or what a client takes for one: {}", show(came));
        } else {
            let one_line = came.iter().filter(|&&octet| octet == b'\n').count() == 1;
            assert!(came.starts_with(b"-ERR ") && came.ends_with(b"\r\n") && one_line, "{what}: {}", show(came));
        }
    }
}

fn all_replies(conversation: &[Exchange]) -> usize {
    conversation.iter().map(|exchange| exchange.reply.len()).sum()
}

/// What was complete is delivered; then comes `-ERR`, or nothing where a reply of many lines has begun. Never its dot.
#[test]
fn a_server_may_close_behind_every_octet() {
    everywhere(all_replies, |worker, octets| worker.server_ends(octets, End::Fin));
}

#[test]
fn a_server_may_reset_behind_every_octet() {
    everywhere(all_replies, |worker, octets| worker.server_ends(octets, End::Reset));
}

/// How a client goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leave {
    /// Sends everything at once, sends no more, and reads on.
    HalfClosed,
    /// Sends everything at once and resets.
    Reset,
    /// Waits for every reply, sends the rest and resets.
    ResetInStep,
}

impl Worker<'_> {
    /// A conversation in which the client goes behind so many octets.
    fn client_leaves(&self, octets: usize, leave: Leave) {
        let what = format!("{}, {leave:?} behind {octets} octets", self.place.name);
        let commands = commands(self.conversation);
        let sent = &commands[..octets];
        let whole = sent.matches('\n').count();
        let heard = thread::scope(|scope| {
            let server = scope.spawn(|| self.hear());
            let mut client = self.place.connect();
            let mut replies = self.conversation.iter().map(|exchange| exchange.shown);
            assert_eq!(client.text() + "\r\n", replies.next().unwrap_or_default());
            if leave == Leave::ResetInStep {
                for (command, reply) in sent.split_inclusive('\n').zip(replies) {
                    client.send(command);
                    if command.ends_with('\n') {
                        assert_eq!(show(&client.up_to(reply.len())), show(reply.as_bytes()), "{what}: {command}");
                    }
                }
                client.reset();
            } else {
                client.send(sent);
                if leave == Leave::HalfClosed {
                    client.finish_sending();
                    let expected: String = replies.take(whole).collect();
                    assert_eq!(show(&client.rest()), show(expected.as_bytes()), "{what}");
                } else {
                    client.reset();
                }
            }
            server.join().expect("the server's side")
        });
        let asked: Vec<_> = self.conversation.iter().map(|exchange| exchange.asked).skip(1).take(whole).collect();
        // A reset may overtake what was sent before it; it never adds to it.
        let at_most = leave == Leave::Reset && asked.starts_with(&heard);
        assert!(at_most || heard == asked, "{what}: the server got {heard:?}");
    }

    /// Answers every command; gives those that came, none of them in part.
    fn hear(&self) -> Vec<&'static str> {
        let mut upstream = self.place.server.accept();
        let mut heard = Vec::new();
        let _gone = upstream.try_send(self.conversation[0].reply.as_bytes());
        while let Some(line) = upstream.next_line() {
            let known = |exchange: &&Exchange| !exchange.command.is_empty() && exchange.asked.as_bytes() == line;
            let exchange = self.conversation.iter().find(known);
            let exchange = exchange.unwrap_or_else(|| panic!("{}: the server got {}", self.place.name, show(&line)));
            heard.push(exchange.asked);
            let _gone = upstream.try_send(exchange.reply.as_bytes());
        }
        heard
    }
}

/// All commands as the client sends them.
fn commands(conversation: &[Exchange]) -> String {
    conversation[1..].iter().map(|exchange| format!("{}\r\n", exchange.command)).collect()
}

/// The server hears what was sent whole and nothing else: no QUIT, and so no deletion, that the client did not ask for.
#[test]
fn a_client_may_stop_sending_behind_every_octet() {
    everywhere(
        |conversation| commands(conversation).len(),
        |worker, octets| {
            worker.client_leaves(octets, Leave::HalfClosed);
        },
    );
}

#[test]
fn a_client_may_reset_behind_every_octet() {
    everywhere(
        |conversation| commands(conversation).len(),
        |worker, octets| {
            worker.client_leaves(octets, Leave::Reset);
            worker.client_leaves(octets, Leave::ResetInStep);
        },
    );
}
