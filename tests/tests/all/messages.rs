//! Bodies on their way: octet for octet, however they are cut, with and without a filter.

use std::fmt::Write as _;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::connection::{Connection, show, stuff, unstuff};
use popgate_tests::mail;
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::Upstream;
use popgate_tests::upstream::mailbox::Mailbox;

/// A filter that finds nothing in these messages, so that they are taken apart and put together again.
const READER: &str = "[[filter]]\nname = \"reader\"\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n";

/// Multi-line replies as a server sends them behind the status line.
const BODIES: [&[u8]; 18] = [
    b".\r\n",
    b"\r\n.\r\n",
    b"A: b\r\n.\r\n",
    b"A: b\r\n\r\n.\r\n",
    b"A: b\r\n\r\nc\r\n.\r\n",
    // A dot as the very first octet.
    b"..A: b\r\n\r\nc\r\n.\r\n",
    b"..\r\n.\r\n",
    // Lines of dots.
    b"A: b\r\n\r\n..\r\n...\r\n.. \r\n ..\r\n....x\r\nx.\r\n..\r\n.\r\n",
    // LF and CR alone end no line, so that these dots end nothing.
    b"A: b\r\n\r\na\n.\nb\r\n.\r\n",
    b"A: b\r\n\r\na\n.\r\nb\r\n.\r\n",
    b"A: b\r\n\r\na\r.\rb\r\n.\r\n",
    b"A: b\r\n\r\na\r.\r\nb\r\n.\r\n",
    b"A: b\r\n\r\n\r\r\n..\n\r\n.\r\n",
    // NUL, eight bits, and every octet.
    b"A: b\r\n\r\n\0\0a\0\r\n\0\r\n.\r\n",
    b"A: \xff\xfe\r\n\r\n\x80\xc3\x28\xf0\x9f\r\n.\r\n",
    b"\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0b\x0c\x0e\x1b\x7f\xff\r\n.\r\n",
    b"no header at all\r\n\r\n\r\n\r\n.\r\n",
    b"A: b\r\n folded\r\n\tmore\r\n\r\n..dot\r\n\r\n..\r\n.\r\n",
];

/// A proxy before a server that the test plays, both logged in.
struct Session {
    client: Connection,
    upstream: Connection,
    // Last: it would wait for sessions that have not ended.
    popgate: Popgate,
}

impl Session {
    fn start(filters: &str) -> Self {
        let server = Upstream::listen();
        let popgate = before(&server.address().to_string(), filters);
        let mut client = popgate.connect("pop3");
        let mut upstream = server.accept();
        upstream.send_line("+OK ready");
        assert_eq!(client.text(), "+OK ready");
        for command in ["USER alice", "PASS secret"] {
            client.send_line(command);
            assert_eq!(upstream.text(), command);
            upstream.send_line("+OK");
            assert_eq!(client.text(), "+OK");
        }
        Self { popgate, client, upstream }
    }

    /// Asks for message 1 and has the server answer with these pieces; gives the body as the client got it.
    fn retrieve(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        self.client.send_line("RETR 1");
        assert_eq!(self.upstream.text(), "RETR 1");
        for piece in pieces {
            self.upstream.send(piece);
        }
        let status = self.client.text();
        assert!(status.starts_with("+OK"), "{status} to {}\n{}", show(&pieces.concat()), self.popgate.log());
        self.client.stuffed_body()
    }
}

fn before(upstream: &str, more: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{upstream}\"\ntls = \"none\"\n{more}"
    ))
}

fn arrive_unchanged(filters: &str) {
    let mut session = Session::start(filters);
    for body in BODIES {
        let came = session.retrieve(&[b"+OK\r\n", body]);
        assert_eq!(show(&came), show(body));
    }
    // Still in step.
    session.client.send_line("NOOP");
    assert_eq!(session.upstream.text(), "NOOP");
}

#[test]
fn bodies_arrive_unchanged() {
    arrive_unchanged("");
}

#[test]
fn bodies_arrive_unchanged_through_a_filter() {
    arrive_unchanged(READER);
}

fn arrive_unchanged_however_cut(filters: &str) {
    let mut session = Session::start(filters);
    for body in BODIES {
        let reply = [b"+OK x\r\n", body].concat();
        for cut in 0..=reply.len() {
            let (head, tail) = reply.split_at(cut);
            let came = session.retrieve(&[head, tail]);
            assert_eq!(show(&came), show(body), "cut at {cut}");
        }
        let octets: Vec<_> = reply.chunks(1).collect();
        let came = session.retrieve(&octets);
        assert_eq!(show(&came), show(body), "octet by octet");
    }
}

#[test]
fn bodies_arrive_unchanged_however_they_are_cut() {
    arrive_unchanged_however_cut("");
}

#[test]
fn bodies_arrive_unchanged_through_a_filter_however_they_are_cut() {
    arrive_unchanged_however_cut(READER);
}

/// Some servers do not stuff a dot that is the very first octet of a message; clients take it off all the same.
#[test]
fn a_first_dot_that_is_not_stuffed_means_the_same_to_the_client() {
    for filters in ["", READER] {
        let mut session = Session::start(filters);
        let came = session.retrieve(&[b"+OK\r\n.A: b\r\n\r\nc\r\n.\r\n"]);
        assert_eq!(unstuff(&came), b"A: b\r\n\r\nc\r\n");
    }
}

#[test]
fn a_filtered_message_is_announced_with_its_exact_size() {
    let mut session = Session::start(READER);
    for body in BODIES {
        session.client.send_line("RETR 1");
        assert_eq!(session.upstream.text(), "RETR 1");
        // What the server says of the size is wrong, as it is with some.
        session.upstream.send([b"+OK 4711 octets\r\n", body].concat());
        let status = session.client.text();
        let came = unstuff(&session.client.stuffed_body());
        assert_eq!(status.split(' ').nth(1), Some(&*came.len().to_string()), "{status} before {}", show(&came));
    }
}

#[test]
fn an_unfiltered_message_has_the_status_line_of_the_server() {
    let mut session = Session::start("");
    session.client.send_line("RETR 1");
    assert_eq!(session.upstream.text(), "RETR 1");
    session.upstream.send("+OK 4711 octets, or so\r\nA: b\r\n\r\n.\r\n");
    assert_eq!(session.client.text(), "+OK 4711 octets, or so");
    assert_eq!(session.client.body(), b"A: b\r\n\r\n");
}

#[test]
fn a_filtered_message_that_breaks_off_is_not_delivered() {
    let mut session = Session::start(READER);
    session.client.send_line("RETR 1");
    assert_eq!(session.upstream.text(), "RETR 1");
    session.upstream.send("+OK\r\nA: b\r\n\r\nhalf of it\r\n");
    drop(session.upstream);
    let rest = session.client.rest();
    assert!(rest.starts_with(b"-ERR [SYS/TEMP]") && !rest.ends_with(b"\r\n.\r\n"), "{}", show(&rest));
}

#[test]
fn a_client_that_vanishes_inside_a_message_ends_the_session() {
    for filters in ["", READER] {
        let mut session = Session::start(filters);
        session.client.send("RETR 1\r\nQUIT\r\n");
        assert_eq!(session.upstream.text(), "RETR 1");
        drop(session.client);
        // The server goes on until it is hung up on, and then has got no QUIT.
        session.upstream.send("+OK\r\nA: b\r\n\r\n");
        let deadline = Instant::now() + PATIENCE;
        while session.upstream.try_send(&[b'x'; 8_192]).is_ok() && session.upstream.try_send(b"\r\n").is_ok() {
            assert!(Instant::now() < deadline, "the server is still listened to");
        }
        assert!(session.upstream.rest().is_empty());
    }
}

#[test]
fn a_filtered_message_with_junk_behind_it_is_delivered_whole() {
    let mut session = Session::start(READER);
    let came = session.retrieve(&[b"+OK\r\nA: b\r\n\r\nc\r\n.\r\n+OK 5 5\r\n"]);
    assert_eq!(show(&came), show(b"A: b\r\n\r\nc\r\n.\r\n"));
    let rest = session.client.rest();
    assert!(!rest.starts_with(b"+OK"), "{}", show(&rest));
}

#[test]
fn a_message_above_the_limit_stays_on_the_server() {
    let messages = [mail::of_size(100_000), mail::of_size(4_000)];
    let mailbox = Mailbox::serve(&messages);
    let popgate = before(&mailbox.address().to_string(), &format!("{READER}[limits]\nmax_message = \"50KiB\"\n"));
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    let reply = client.command("RETR 1");
    assert!(reply.starts_with("-ERR [SYS/PERM]"), "{reply}");
}

fn deliver_large(filters: &str) {
    // Above every limit for what is kept in memory.
    let messages = [mail::of_size(24 << 20)];
    let mailbox = Mailbox::serve(&messages);
    let popgate = before(&mailbox.address().to_string(), filters);
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client.succeed("RETR 1");
    assert!(client.body() == messages[0], "a large message was changed");
    client.succeed("QUIT");
}

#[test]
fn a_large_message_is_delivered_whole() {
    deliver_large("");
}

#[test]
fn a_large_message_is_delivered_whole_through_a_filter() {
    deliver_large(READER);
}

fn two_hundred_pipelined(filters: &str) {
    let messages: Vec<_> =
        (1..=200).map(|number| mail::crlf(&mail::message(number, "one", "", &".dot\n".repeat(number)))).collect();
    let mailbox = Mailbox::serve(&messages);
    let popgate = before(&mailbox.address().to_string(), filters);
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    let mut commands = String::new();
    for number in 1..=messages.len() {
        let _infallible = write!(commands, "RETR {number}\r\n");
    }
    client.send(commands + "QUIT\r\n");
    for (at, message) in messages.iter().enumerate() {
        let status = client.text();
        assert!(status.starts_with("+OK"), "RETR {}: {status}", at + 1);
        assert_eq!(show(&client.stuffed_body()), show(&stuff(message)));
    }
    assert!(client.text().starts_with("+OK"), "QUIT");
    client.expect_end();
    assert_eq!(mailbox.commands().last().map(String::as_str), Some("QUIT"));
}

#[test]
fn two_hundred_pipelined_messages_come_in_order() {
    two_hundred_pipelined("");
}

#[test]
fn two_hundred_pipelined_messages_come_in_order_through_a_filter() {
    two_hundred_pipelined(READER);
}

#[test]
fn top_of_filtered_mail_fetches_the_whole_message_without_reading_it() {
    let mut session = Session::start(READER);
    let whole = b"A: b\r\n\r\none\r\n..two\r\nthree\r\n.\r\n";
    session.client.send_line("TOP 1 2");
    // Not RETR: a client that only looks leaves the message unread on the server.
    assert_eq!(session.upstream.text(), "TOP 1 2147483647");
    session.upstream.send([b"+OK\r\n", &whole[..]].concat());
    assert!(session.client.text().starts_with("+OK"));
    assert_eq!(show(&session.client.stuffed_body()), show(b"A: b\r\n\r\none\r\n..two\r\n.\r\n"));

    // Once is enough.
    for (lines, shown) in [(0, &b"A: b\r\n\r\n.\r\n"[..]), (1, b"A: b\r\n\r\none\r\n.\r\n"), (99_999_999, whole)] {
        assert!(session.client.command(&format!("TOP 1 {lines}")).starts_with("+OK"));
        assert_eq!(show(&session.client.stuffed_body()), show(shown), "TOP 1 {lines}");
    }
    session.upstream.expect_quiet();

    // But RETR is the client's word, and the server's business.
    assert_eq!(show(&session.retrieve(&[b"+OK\r\n", whole])), show(whole));
}

#[test]
fn retr_once_answers_from_what_top_has_fetched() {
    let server = Mailbox::serve(&[mail::crlf(&mail::message(1, "one", "", "two\n"))]);
    let popgate = before(&server.address().to_string(), &format!("retr_once = true\n{READER}"));
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client.succeed("TOP 1 100");
    let top = client.body();
    client.succeed("RETR 1");
    assert_eq!(client.body(), top);
    assert!(!server.commands().iter().any(|command| command.starts_with("RETR")), "{:?}", server.commands());
}
