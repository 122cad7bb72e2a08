//! Much of everything: commands, connections, users, octets, and what the proxy uses for it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use popgate_tests::PATIENCE;
use popgate_tests::connection::{Connection, show, stuff};
use popgate_tests::mail::{crlf, message, of_size};
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process::{self, poll};
use popgate_tests::upstream::Upstream;
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::usage::{descriptors, forget_peak, memory, peak_memory, wait_for_descriptors};

/// A filter that changes nothing.
const READER: &str = "[[filter]]\nname = \"reader\"\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n";

/// By how much the memory of the process may grow under a flood, in octets: buffers of a few connections, and what the
/// allocator keeps.
const GROWTH: u64 = 16 << 20;

fn before(server: &str, more: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{server}\"\n{more}"
    ))
}

fn logged_in(popgate: &Popgate) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client
}

/// A session in which nothing goes wrong.
fn clean(popgate: &Popgate) {
    let mut client = logged_in(popgate);
    client.succeed("NOOP");
    client.succeed("QUIT");
    client.expect_end();
}

/// What a flood does to the memory of the process.
struct Growth<'a> {
    popgate: &'a Popgate,
    base: u64,
}

impl<'a> Growth<'a> {
    /// Behind a first session, which warms everything up.
    fn from_now(popgate: &'a Popgate) -> Self {
        clean(popgate);
        forget_peak(popgate.process().id());
        Self { popgate, base: peak_memory(popgate.process().id()) }
    }

    fn expect_bounded(&self, what: &str) {
        let peak = peak_memory(self.popgate.process().id());
        assert!(peak < self.base + GROWTH, "{what}: {} octets became {peak}", self.base);
    }
}

/// Sends the same again and again, until it is done, or nobody takes it any more. Gives the octets sent.
fn pour(client: &mut Connection, piece: &[u8], most: usize) -> usize {
    client.give_up_sending_after(Duration::from_millis(500));
    let mut sent = 0;
    while sent < most && client.try_send(piece).is_ok() {
        sent += piece.len();
    }
    sent
}

#[test]
fn a_thousand_commands_in_one_write_are_answered_in_order_by_a_server_that_can_only_do_one() {
    let server = Upstream::listen();
    let popgate = before(&server.address().to_string(), "");
    let played = server.play(|mut upstream| {
        upstream.send_line("+OK ready");
        for _ in 0..1002 {
            let command = upstream.text();
            assert!(!upstream.has_more(), "more came behind {command} before it was answered");
            upstream.send_line(format!("+OK {command}"));
        }
    });
    let mut commands = "USER alice\r\nPASS secret\r\n".to_owned();
    for number in 1..1000 {
        let _infallible = write!(commands, "LIST {number}\r\n");
    }
    let mut client = popgate.connect("pop3");
    client.send(commands + "QUIT\r\n");
    assert_eq!(client.text(), "+OK ready");
    assert_eq!([client.text(), client.text()], ["+OK USER alice", "+OK PASS secret"]);
    for number in 1..1000 {
        assert_eq!(client.text(), format!("+OK LIST {number}"));
    }
    assert_eq!(client.text(), "+OK QUIT");
    client.expect_end();
    played.join().expect("the server's side");
}

#[test]
fn commands_of_a_client_that_reads_nothing_wait_in_its_socket() {
    let mailbox = Mailbox::serve(&[of_size(100_000)]);
    for filter in ["", READER] {
        let popgate = before(&mailbox.address().to_string(), &format!("{filter}[limits]\nstall = \"1s\"\n"));
        let growth = Growth::from_now(&popgate);
        let mut client = logged_in(&popgate);
        let sent = pour(&mut client, &b"RETR 1\r\n".repeat(10_000), 100_000_000);
        assert!(sent < 50_000_000, "{sent} octets were taken");
        popgate.wait_for_log("took nothing");
        growth.expect_bounded(filter);
        clean(&popgate);
    }
}

#[test]
fn a_line_without_end_is_cut_off() {
    let mailbox = Mailbox::serve(&[]);
    let popgate = before(&mailbox.address().to_string(), "");
    let growth = Growth::from_now(&popgate);
    for log_in in [false, true] {
        let mut client = if log_in { logged_in(&popgate) } else { popgate.connect("pop3") };
        let sent = pour(&mut client, &[b'x'; 65_536], 16 << 20);
        assert!(sent < 16 << 20, "all of it was taken");
        growth.expect_bounded("16 MiB without a line end");
    }
    clean(&popgate);
}

/// One that says something before each wait runs out, and one that says so much that nobody waits.
#[test]
fn who_does_not_log_in_is_cut_off_in_time_whatever_he_says_meanwhile() {
    let mailbox = Mailbox::serve(&[]);
    let popgate = before(&mailbox.address().to_string(), "[limits]\nlogin = \"1s\"\nsessions_per_address = 1000\n");
    let begin = Instant::now();
    let mut slow: Vec<_> = (0..60).map(|_| popgate.connect("pop3")).collect();
    let busy: Vec<_> = (0..2).map(|_| popgate.connect("pop3")).collect();
    thread::scope(|scope| {
        for mut client in busy {
            scope.spawn(move || {
                client.line();
                client.send_line("CAPA");
                let reply = client.text().len() + 2 + client.stuffed_body().len();
                // One batch is always waiting behind the one that is answered.
                let (batch, replies) = (b"CAPA\r\n".repeat(2_000), 2_000 * reply);
                client.send(&batch);
                while client.try_send(&batch).is_ok() && client.up_to(replies).len() == replies {
                    assert!(begin.elapsed() < PATIENCE, "a client asks for ever");
                }
            });
        }
        clean(&popgate);
        let gone = poll(begin + PATIENCE, || {
            slow.retain_mut(|client| client.try_send(b"U").is_ok());
            slow.is_empty().then_some(())
        });
        assert!(gone.is_some(), "{} of 60 are still there", slow.len());
    });
    clean(&popgate);
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let mailbox = Mailbox::serve(&[]);
    let popgate = before(&mailbox.address().to_string(), "[limits]\nsessions_per_address = 1000\n");
    clean(&popgate);
    let process = popgate.process().id();
    let address = popgate.listener("pop3").address;
    // Once nothing moves any more; the first session may still be on its way out.
    let mut base = descriptors(process);
    wait_for_descriptors(process, base);
    for round in 0..400 {
        let mut client = Connection::over("client", TcpStream::connect(address).expect("the proxy accepts"));
        match round % 4 {
            0 => {}
            1 => drop(client.line()),
            2 => client.reset(),
            _ => client.send("USER alice\r\nPA"),
        }
        base = base.min(descriptors(process));
    }
    wait_for_descriptors(process, base);
    clean(&popgate);
}

fn fifty_users(filter: &str) {
    let mail = |user: &str| vec![crlf(&message(1, user, "", &format!("{user} only\n").repeat(2_000)))];
    let mailbox = Mailbox::serve_each(mail);
    let popgate = before(&mailbox.address().to_string(), filter);
    thread::scope(|scope| {
        for user in 0..50 {
            let popgate = &popgate;
            scope.spawn(move || {
                let user = format!("user{user}");
                let own = stuff(&mail(&user)[0]);
                let mut client = popgate.connect("pop3");
                client.log_in(&user, "secret");
                for _ in 0..10 {
                    client.succeed("RETR 1");
                    assert!(client.stuffed_body() == own, "{user} got something else");
                }
                client.succeed("QUIT");
            });
        }
    });
}

#[test]
fn fifty_users_at_once_get_their_own_mail() {
    fifty_users("");
    fifty_users(READER);
}

#[test]
fn a_client_that_stops_reading_a_large_message_is_waited_for_and_given_up() {
    let mailbox = Mailbox::serve(&[of_size(47 << 20)]);
    for filter in ["", READER] {
        let popgate = before(&mailbox.address().to_string(), &format!("{filter}[limits]\nstall = \"1s\"\n"));
        clean(&popgate);
        let process = popgate.process().id();
        let base = memory(process);
        let mut client = logged_in(&popgate);
        client.succeed("RETR 1");
        let mut most = 0;
        let given_up = poll(Instant::now() + PATIENCE, || {
            most = most.max(memory(process));
            popgate.log().contains("took nothing").then_some(())
        });
        assert!(given_up.is_some(), "{filter}: the client is still waited for");
        assert!(most < base + GROWTH, "{filter}: {base} octets became {most}");
        assert!(!client.rest().ends_with(b"\r\n.\r\n"), "{filter}: a terminator");
        assert!(!mailbox.commands().ends_with(&["QUIT".to_owned()]), "{:?}", mailbox.commands());
        clean(&popgate);
    }
}

#[test]
fn a_line_of_sixteen_megabytes_is_delivered() {
    let mail = [b"A: b\r\n\r\n".as_slice(), &b"0123456789abcdef".repeat(1 << 20), b"\r\nend\r\n"].concat();
    let mailbox = Mailbox::serve(std::slice::from_ref(&mail));
    for filter in ["", READER] {
        let popgate = before(&mailbox.address().to_string(), filter);
        let mut client = logged_in(&popgate);
        client.succeed("RETR 1");
        assert!(client.body() == mail, "{filter}: a long line was changed");
        client.succeed("QUIT");
    }
}

#[test]
fn a_list_of_two_hundred_thousand_messages_is_complete() {
    let listing = |value: &str| {
        let lines: String = (1..=200_000).map(|number| format!("{number} {value}{number}\r\n")).collect();
        format!("+OK\r\n{lines}.\r\n")
    };
    for filter in ["", READER] {
        let server = Upstream::listen();
        let popgate = before(&server.address().to_string(), filter);
        let played = server.play(move |mut upstream| {
            upstream.send_line("+OK ready");
            for reply in ["+OK\r\n", "+OK\r\n", &listing(""), &listing("a")] {
                upstream.line();
                upstream.send(reply);
            }
            upstream.expect_end();
        });
        let mut client = logged_in(&popgate);
        for (command, value) in [("LIST", ""), ("UIDL", "a")] {
            client.send_line(command);
            let expected = listing(value);
            assert!(client.up_to(expected.len()) == expected.as_bytes(), "{filter}, {command}: not the server's list");
        }
        drop(client);
        played.join().expect("the server's side");
    }
}

/// A server that goes on with a message for as long as anybody listens.
fn endless(mut upstream: Connection) {
    upstream.send_line("+OK ready");
    for _ in 0..3 {
        upstream.line();
        upstream.send_line("+OK");
    }
    let piece = b"all work and no play\r\n".repeat(3_000);
    while upstream.try_send(&piece).is_ok() {}
    assert!(upstream.rest().is_empty(), "the server got more than RETR");
}

#[test]
fn a_message_without_end_streams_for_as_long_as_the_client_wants() {
    let server = Upstream::listen();
    let popgate = before(&server.address().to_string(), "");
    let played = server.play(endless);
    let mut client = logged_in(&popgate);
    client.succeed("RETR 1");
    forget_peak(popgate.process().id());
    let base = peak_memory(popgate.process().id());
    for _ in 0..200 {
        assert_eq!(client.up_to(1 << 20).len(), 1 << 20);
    }
    let peak = peak_memory(popgate.process().id());
    assert!(peak < base + GROWTH, "{base} octets became {peak}");
    client.reset();
    played.join().expect("the server's side");
}

#[test]
fn a_message_without_end_that_a_filter_wants_is_refused() {
    let server = Upstream::listen();
    let popgate = before(&server.address().to_string(), &format!("{READER}[limits]\nmax_message = \"4MiB\"\n"));
    let played = server.play(endless);
    let mut client = logged_in(&popgate);
    let reply = client.command("RETR 1");
    assert!(reply.starts_with("-ERR [SYS/PERM] "), "{reply}");
    // It could be that the end comes, so that the session could go on; not for ever.
    let rest = client.rest();
    assert!(!rest.starts_with(b"+OK") && !rest.ends_with(b"\r\n.\r\n"), "{}", show(&rest));
    played.join().expect("the server's side");
}

/// Above what 32 bits count: nothing on the way counts octets of mail that no filter wants.
#[test]
fn a_message_of_more_than_four_gibibytes_streams_through() {
    const PIECES: usize = 4_100;
    let piece = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(16 << 10);
    let octets = PIECES * piece.len();
    assert!(u32::try_from(octets).is_err());
    let server = Upstream::listen();
    let popgate = before(&server.address().to_string(), "");
    let played = server.play(move |mut upstream| {
        upstream.send_line("+OK ready");
        for _ in 0..3 {
            upstream.line();
            upstream.send_line("+OK");
        }
        for _ in 0..PIECES {
            upstream.send(&piece);
        }
        upstream.send(".\r\n");
        assert_eq!(upstream.text(), "QUIT");
        upstream.send_line("+OK bye");
    });
    let mut client = logged_in(&popgate);
    client.succeed("RETR 1");
    forget_peak(popgate.process().id());
    let base = peak_memory(popgate.process().id());
    let mut left = octets;
    while left > 0 {
        let came = client.up_to(left.min(1 << 20)).len();
        assert!(came > 0, "the connection ended {left} octets before the end");
        left -= came;
    }
    assert_eq!(client.text(), ".");
    let peak = peak_memory(popgate.process().id());
    assert!(peak < base + GROWTH, "{base} octets became {peak}");
    client.succeed("QUIT");
    played.join().expect("the server's side");
}

#[test]
fn a_log_that_nobody_reads_keeps_no_session_waiting() {
    /// Each has lines of its own, and all of them are more than fit into the pipe and into popgate.
    const SESSIONS: usize = 3000;
    let server = Mailbox::serve(&[of_size(500)]);
    let folder = process::folder();
    let config = format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n",
        server.address()
    );
    let file = popgate::configuration(folder.path(), &config);
    let mut command = popgate::command();
    command.args(["--log", "debug", "run", "--config"]).arg(file);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("popgate starts");
    let mut output = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
    let address = output
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening pop3 ").and_then(|rest| rest.split(' ').next()?.parse().ok()));
    let address = address.expect("it says where it listens");
    for _ in 0..SESSIONS {
        let mut client = Connection::to("client", address);
        client.log_in("alice", "secret");
        client.succeed("QUIT");
        client.expect_end();
    }
    // It says what was lost, as soon as somebody listens.
    let mut log = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
    assert!(log.by_ref().map_while(Result::ok).any(|line| line.contains("log lines were lost")));
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
}
