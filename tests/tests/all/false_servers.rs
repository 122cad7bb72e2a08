//! Servers that break off, fall silent, talk nonsense or never stop, at each command.

use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::connection::{Connection, show};
use popgate_tests::fleet::{Fleet, Mail, Place};

/// How many conversations with each kind of mail go on at the same time: those with silent servers take a second.
const PAIRS: usize = 12;
const LIMITS: &str = "stall = \"1s\"\nconnect = \"1s\"\n";

/// A command; what was said before it is what is needed to get there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Greeting,
    /// Before login.
    Early(&'static str),
    /// After login, answered with one line.
    Single(&'static str),
    /// After login, answered with many lines.
    Multi(&'static str),
}

const EVERYWHERE: [At; 15] = [
    At::Greeting,
    At::Early("CAPA"),
    At::Early("USER alice"),
    At::Early("PASS secret"),
    At::Single("STAT"),
    At::Single("LIST 1"),
    At::Single("UIDL 1"),
    At::Single("DELE 1"),
    At::Single("RSET"),
    At::Single("NOOP"),
    At::Single("QUIT"),
    At::Multi("LIST"),
    At::Multi("UIDL"),
    At::Multi("TOP 1 1"),
    At::Multi("RETR 1"),
];

/// What the server does once it has said something.
#[derive(Clone, Copy, Debug)]
enum Then {
    Closes,
    Resets,
    /// Says no more, and waits until it is hung up on.
    Waits,
    /// Goes on with these octets until it is hung up on.
    Repeats(&'static [u8]),
}

/// What a server can say that is no reply. The client gets one line with `-ERR` and its connection ends; the server is hung
/// up on and has got nothing more, no QUIT in particular.
const NO_REPLY: [(&str, &[u8], Then); 20] = [
    ("closes", b"", Then::Closes),
    ("resets", b"", Then::Resets),
    ("is silent", b"", Then::Waits),
    ("closes within the status", b"+O", Then::Closes),
    ("closes within the line", b"+OK that is", Then::Closes),
    ("resets within the line", b"+OK that is\r", Then::Resets),
    ("is silent within the line", b"+OK that is", Then::Waits),
    ("another word", b"*OK 1 2\r\n", Then::Waits),
    ("a longer word", b"+OKAY 1 2\r\n", Then::Waits),
    ("a longer word for an error", b"-ERROR no\r\n", Then::Waits),
    ("lower case", b"+ok 1 2\r\n", Then::Waits),
    ("an empty line", b"\r\n", Then::Waits),
    ("a status behind an empty line", b"\r\n+OK 1 2\r\n", Then::Waits),
    ("a challenge", b"+ \r\n", Then::Waits),
    ("SMTP", b"220 mx.example.org ESMTP\r\n", Then::Waits),
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Then::Closes),
    ("an alert of TLS", b"\x15\x03\x03\0\x02\x02\x0a\r\n", Then::Waits),
    ("NUL", b"\0\r\n", Then::Waits),
    ("a line without end", b"+OK ", Then::Repeats(b"that is what it is ")),
    ("an error without end", b"-ERR ", Then::Repeats(b"no ")),
];

/// How a reply of many lines can break behind its first lines. The client gets no terminator, and no `-ERR` within the
/// reply; where a filter wants the message first, it gets `-ERR` alone.
const BROKEN_BODY: [(&str, &[u8], Then); 7] = [
    ("closes", b"", Then::Closes),
    ("resets", b"", Then::Resets),
    ("is silent", b"", Then::Waits),
    ("closes within a line", b"2 half", Then::Closes),
    ("closes before the dot", b"2 b\r\n", Then::Closes),
    ("closes behind a dot that is none", b"2 b\n.\n", Then::Closes),
    ("closes behind a stuffed dot", b"2 b\r\n..\r\n", Then::Closes),
];

/// A client and a server that have come as far as a command.
struct Conversation {
    client: Connection,
    upstream: Connection,
}

impl Conversation {
    /// Everything that goes before this command, answered as it should be, and then the command itself.
    fn up_to(place: &Place<'_>, at: At) -> Self {
        let client = place.connect();
        let upstream = place.server.accept();
        let mut conversation = Self { client, upstream };
        let before: &[&str] = match at {
            At::Greeting => return conversation,
            At::Early("PASS secret") => &["USER alice"],
            At::Early(_) => &[],
            At::Single(_) | At::Multi(_) => &["USER alice", "PASS secret"],
        };
        conversation.upstream.send_line("+OK ready");
        assert_eq!(conversation.client.text(), "+OK ready");
        for command in before {
            conversation.ask(command);
            conversation.upstream.send_line("+OK");
            assert_eq!(conversation.client.text(), "+OK");
        }
        let (At::Early(command) | At::Single(command) | At::Multi(command)) = at else { return conversation };
        conversation.ask(command);
        conversation
    }

    /// Sends a command, which must reach the server.
    fn ask(&mut self, command: &str) {
        self.client.send_line(command);
        let verb = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        assert_eq!(verb(&self.upstream.text()), verb(command));
    }

    /// The server says this and goes on; gives everything that the client gets to its end.
    fn says(self, octets: &[u8], then: Then) -> Vec<u8> {
        let Self { mut client, mut upstream } = self;
        let server = std::thread::spawn({
            let octets = octets.to_vec();
            move || {
                let _hung_up = upstream.try_send(&octets);
                match then {
                    Then::Closes => {}
                    Then::Resets => upstream.reset(),
                    Then::Waits => upstream.expect_end(),
                    Then::Repeats(more) => {
                        let (more, deadline) = (more.repeat(1000), Instant::now() + PATIENCE);
                        while upstream.try_send(&more).is_ok() {
                            assert!(Instant::now() < deadline, "the server is still listened to");
                        }
                        upstream.expect_end();
                    }
                }
            }
        });
        let came = client.rest();
        server.join().expect("the server's side");
        came
    }
}

fn is_one_error(came: &[u8]) -> bool {
    came.starts_with(b"-ERR ") && came.ends_with(b"\r\n") && came.iter().filter(|&&octet| octet == b'\n').count() == 1
}

/// A session in which nothing goes wrong.
fn clean(place: &Place<'_>) {
    let conversation = Conversation::up_to(place, At::Single("QUIT"));
    assert_eq!(conversation.says(b"+OK bye\r\n", Then::Closes), b"+OK bye\r\n", "{}", place.name);
}

#[test]
fn what_is_no_reply_breaks_the_session_off() {
    let fleet = Fleet::start(PAIRS, LIMITS);
    let cases = EVERYWHERE.iter().flat_map(|&at| NO_REPLY.iter().map(move |event| (at, event)));
    let cases: Vec<_> = cases.collect();
    fleet.play(
        |_| cases.clone(),
        |place, &(at, (what, octets, then))| {
            let came = Conversation::up_to(place, at).says(octets, *then);
            assert!(is_one_error(&came), "{}, {at:?}, {what}: {}", place.name, show(&came));
            clean(place);
        },
    );
}

#[test]
fn a_reply_that_breaks_within_its_lines_has_no_terminator() {
    let fleet = Fleet::start(PAIRS, LIMITS);
    let many = EVERYWHERE.iter().filter(|at| matches!(at, At::Multi(_)));
    let cases: Vec<_> = many.flat_map(|&at| BROKEN_BODY.iter().map(move |event| (at, event))).collect();
    fleet.play(
        |_| cases.clone(),
        |place, &(at, (what, octets, then))| {
            let sent = [b"+OK\r\n1 a\r\n", *octets].concat();
            let came = Conversation::up_to(place, at).says(&sent, *then);
            let gathered = place.mail == Mail::Filtered && matches!(at, At::Multi("TOP 1 1" | "RETR 1"));
            let as_it_should = match gathered {
                true => is_one_error(&came),
                false => came.starts_with(b"+OK\r\n1 a\r\n") && sent.starts_with(&came),
            };
            assert!(as_it_should, "{}, {at:?}, {what}: {}", place.name, show(&came));
            clean(place);
        },
    );
}

/// What is behind a reply belongs to no command: the reply is delivered whole, then the session ends.
#[test]
fn octets_behind_a_reply_never_answer_the_next_command() {
    let fleet = Fleet::start(4, LIMITS);
    let cases: Vec<_> =
        EVERYWHERE.iter().copied().filter(|at| !matches!(at, At::Early("CAPA") | At::Single("QUIT"))).collect();
    fleet.play(
        |_| cases.clone(),
        |place, &at| {
            let reply: &[u8] = match at {
                At::Multi("RETR 1") => b"+OK 8 octets\r\nA: b\r\n\r\n.\r\n",
                At::Multi("TOP 1 1") => b"+OK top of message follows\r\nA: b\r\n\r\n.\r\n",
                At::Multi(_) => b"+OK\r\n1 a\r\n.\r\n",
                _ => b"+OK 1 a\r\n",
            };
            for junk in [&b"+OK 2 b\r\n"[..], b"-ERR no\r\n", b"x", b"\r\n", b".\r\n"] {
                let came = Conversation::up_to(place, at).says(&[reply, junk].concat(), Then::Waits);
                let rest = came.strip_prefix(reply);
                let rest = rest.unwrap_or_else(|| panic!("{}, {at:?}, {}: {}", place.name, show(junk), show(&came)));
                assert!(is_one_error(rest), "{}, {at:?}, {}: {}", place.name, show(junk), show(&came));
            }
            clean(place);
        },
    );
}
