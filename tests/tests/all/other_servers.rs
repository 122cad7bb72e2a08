//! Servers of other make than Dovecot, each with its own habits: what popgate must know of them, and hide from clients.

use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::PASSWORD;
use popgate_tests::mail;
use popgate_tests::popgate::Popgate;
use popgate_tests::process::poll;
use popgate_tests::server::{Kind, Server, download};

/// A filter that reads every message and changes none.
const READER: &str = "[[filter]]\nname = \"reader\"\nplugin = \"virus\"\nconfig = { ambiguous = \"pass\" }\n";

/// popgate before a server, without TLS on either side.
fn popgate(server: &Server, filters: &str) -> Popgate {
    // What mailutils sends for TOP has one empty line more behind the header than for RETR.
    let fetch = if server.kind() == Kind::Mailutils { "retr" } else { "auto" };
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\ntop_fetch = \"{fetch}\"\n{filters}",
        server.plain()
    ))
}

fn log_in(popgate: &Popgate, user: &str) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in(user, PASSWORD);
    client
}

/// The capabilities that are listed now.
fn capabilities(client: &mut Connection) -> Vec<String> {
    client.succeed("CAPA");
    String::from_utf8_lossy(&client.body()).lines().map(str::to_owned).collect()
}

/// The number at the end of a reply to `LIST n`, or behind `+OK` of one to RETR.
fn octets(reply: &str, word: usize) -> usize {
    reply.split(' ').nth(word).and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no size in {reply:?}"))
}

/// Everything may be sent at once, although two of them lose what comes behind PASS.
fn login_may_be_pipelined(kind: Kind) {
    let server = Server::start(kind, &[("alice", &mail::mailbox(100)[..2])]);
    let popgate = popgate(&server, "");
    let mut client = popgate.connect("pop3");
    client.send(format!("USER alice\r\nPASS {PASSWORD}\r\nSTAT\r\nDELE 1\r\nRSET\r\nNOOP\r\nLIST 2\r\nQUIT\r\n"));
    // The greeting and a reply to each.
    for _ in 0..9 {
        let reply = client.text();
        assert!(reply.starts_with("+OK"), "{reply}");
    }
    client.expect_end();
}

/// Whatever the lists announce, and with a filter that has to read all of it.
fn top_agrees_with_retr(kind: Kind) {
    let server = Server::start(kind, &[("alice", &mail::mailbox(8_000))]);
    // The first download may leave marks in the mailbox, such as the time of the first access.
    let _marks = server.mail("alice");
    let held = server.mail("alice");
    for filters in ["", READER] {
        let popgate = popgate(&server, filters);
        let mut client = log_in(&popgate, "alice");
        for (number, message) in (1..).zip(&held) {
            client.succeed(&format!("TOP {number} 1000000"));
            let top = client.body();
            client.succeed(&format!("RETR {number}"));
            let retr = client.body();
            assert_eq!(mail::normalised(&retr), mail::normalised(message), "RETR {number}, filters {filters:?}");
            if filters.is_empty() {
                continue;
            }
            assert_eq!(top, retr, "TOP {number}");
            client.succeed(&format!("TOP {number} 0"));
            let (header, _) = split(&retr);
            assert_eq!(client.body(), header, "TOP {number} 0");
        }
        client.succeed("QUIT");
        client.expect_end();
    }
}

/// The header with the empty line behind it, and the body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").expect("a header ends");
    message.split_at(end + 4)
}

/// With QUIT, and only with QUIT.
fn deletions_take_effect_with_quit(kind: Kind) {
    let messages = &mail::mailbox(100)[..4];
    let server = Server::start(kind, &[("alice", messages), ("bob", messages)]);
    let popgate = popgate(&server, READER);

    let mut client = log_in(&popgate, "bob");
    client.succeed("RETR 1");
    client.body();
    client.succeed("DELE 1");
    drop(client);
    popgate.wait_for_log("closed");

    let mut client = log_in(&popgate, "alice");
    client.succeed("DELE 1");
    client.succeed("RSET");
    client.succeed("TOP 3 0");
    client.body();
    client.succeed("DELE 3");
    client.succeed("QUIT");
    client.expect_end();

    let subjects = |user: &str| -> Vec<String> {
        let subject = |message: &Vec<u8>| {
            let text = String::from_utf8_lossy(message).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)).expect("there is a subject")
        };
        download(server.plain(), user).iter().map(subject).collect()
    };
    assert_eq!(subjects("alice"), ["short", "dots", "300 kB"]);
    assert_eq!(subjects("bob"), ["short", "dots", "eight bits, no last line end", "300 kB"]);
}

macro_rules! each_server {
    ($($test:ident)*) => {
        $(mod $test {
            use popgate_tests::server::Kind;
            #[test] fn courier() { super::$test(Kind::Courier); }
            #[test] fn cyrus() { super::$test(Kind::Cyrus); }
            #[test] fn mailutils() { super::$test(Kind::Mailutils); }
            #[test] fn popa3d() { super::$test(Kind::Popa3d); }
            #[test] fn solid() { super::$test(Kind::Solid); }
        })*
    };
}

each_server! { login_may_be_pipelined top_agrees_with_retr deletions_take_effect_with_quit }

#[test]
fn servers_without_capa_have_what_all_have() {
    for kind in [Kind::Popa3d, Kind::Solid] {
        let server = Server::start(kind, &[("alice", &[])]);
        let popgate = popgate(&server, "");
        let mut client = popgate.connect("pop3");
        client.text();
        let before = capabilities(&mut client);
        for expected in ["USER", "TOP", "UIDL", "PIPELINING"] {
            assert!(before.iter().any(|line| line == expected), "{kind:?}: {before:?}");
        }
        assert!(!before.iter().any(|line| line.starts_with("SASL")), "{kind:?}: {before:?}");
        client.succeed("USER alice");
        client.succeed(&format!("PASS {PASSWORD}"));
        let after = capabilities(&mut client);
        for expected in ["TOP", "UIDL", "PIPELINING"] {
            assert!(after.iter().any(|line| line == expected), "{kind:?}: {after:?}");
        }
        client.succeed("QUIT");
    }
}

#[test]
fn courier_offers_stls_for_ever_and_popgate_does_not() {
    let server = Server::start(Kind::Courier, &[("alice", &[])]);
    let mut direct = Connection::to("the test itself", server.plain());
    direct.log_in("alice", PASSWORD);
    assert!(capabilities(&mut direct).contains(&"STLS".to_owned()), "what this test is about has gone");
    let popgate = popgate(&server, "");
    let mut client = log_in(&popgate, "alice");
    let after = capabilities(&mut client);
    assert!(!after.iter().any(|line| line == "STLS" || line.starts_with("SASL") || line == "USER"), "{after:?}");
}

#[test]
fn courier_takes_four_connections_from_an_address() {
    let server = Server::start(Kind::Courier, &[("alice", &[])]);
    let popgate = popgate(&server, "");
    let mut clients: Vec<_> = (0..4).map(|_| log_in(&popgate, "alice")).collect();
    let mut refused = popgate.connect("pop3");
    let reply = refused.text();
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    refused.expect_end();
    // Those that are there are not disturbed.
    for client in &mut clients {
        client.succeed("STAT");
    }
    clients[0].succeed("QUIT");
    clients[0].expect_end();
    // Courier counts it out when its process has ended: nobody tells when.
    let again = poll(Instant::now() + PATIENCE, || {
        let mut client = popgate.connect("pop3");
        client.text().starts_with("+OK").then_some(client)
    });
    let mut client = again.expect("there is room for one again");
    client.succeed("USER alice");
    client.succeed(&format!("PASS {PASSWORD}"));
}

#[test]
fn mailutils_echoes_long_lines_and_popgate_does_not() {
    let server = Server::start(Kind::Mailutils, &[("alice", &[])]);
    let long = "Q".repeat(600);
    let mut direct = Connection::to("the test itself", server.plain());
    direct.text();
    assert!(direct.command(&format!("USER {long}")).contains("QQQ"), "what this test is about has gone");
    for (first, second) in [(format!("USER {long}"), None), ("USER alice".to_owned(), Some(format!("PASS {long}")))] {
        let popgate = popgate(&server, "");
        let mut client = popgate.connect("pop3");
        client.text();
        let mut reply = client.command(&first);
        if let Some(second) = second {
            reply = client.command(&second);
        }
        assert!(reply.starts_with("-ERR") && !reply.contains("QQQ"), "{reply}");
        client.expect_end();
        popgate.wait_for_log("closed");
        assert!(!popgate.log().contains("QQQ"), "{}", popgate.log());
    }
}

#[test]
fn mailutils_announces_less_than_it_sends_and_the_filtered_size_is_true() {
    let server = Server::start(Kind::Mailutils, &[("alice", &mail::mailbox(100)[..2])]);
    let mut direct = Connection::to("the test itself", server.plain());
    direct.log_in("alice", PASSWORD);
    let announced = octets(&direct.succeed("LIST 1"), 2);
    // It adds the unique-id to a message once it has been asked for it.
    direct.succeed("UIDL 1");
    direct.succeed("RETR 1");
    assert_ne!(direct.body().len(), announced, "what this test is about has gone");
    direct.succeed("QUIT");
    direct.rest();
    let popgate = popgate(&server, READER);
    let mut client = log_in(&popgate, "alice");
    client.succeed("UIDL 1");
    client.succeed("RETR 1");
    let length = client.body().len();
    assert_eq!(octets(&client.succeed("LIST 1"), 2), length);
    client.succeed("QUIT");
}

#[test]
fn mailutils_lets_one_session_at_a_mailbox() {
    let server = Server::start(Kind::Mailutils, &[("alice", &[])]);
    let popgate = popgate(&server, "");
    let _first = log_in(&popgate, "alice");
    let mut second = popgate.connect("pop3");
    second.text();
    second.succeed("USER alice");
    let reply = second.command(&format!("PASS {PASSWORD}"));
    assert!(reply.starts_with("-ERR [IN-USE]"), "{reply}");
}
