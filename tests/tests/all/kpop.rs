//! The exchange in front of KPOP, with peers that keep to it and peers that don't. What the messages say is made up: the
//! proxy does not look at it.

use std::net::TcpListener;

use popgate_tests::certificates::{Certificates, trust};
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::process;
use popgate_tests::upstream::Upstream;

const VERSIONS: &[u8] = b"\0\0\0\x13KRB5_SENDAUTH_V1.0\0\0\0\0\x09KPOPV1.0\0";

fn message(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a test's message is short");
    [&length.to_be_bytes(), content].concat()
}

fn start(address: &str, listener: &str, rest: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"kpop\"\naddress = \"127.0.0.1:0\"\nkpop = true\nupstream = \"server\"\n{listener}\n\
         [[upstream]]\nname = \"server\"\naddress = \"{address}\"\n{rest}\n"
    ))
}

fn popgate(server: &Upstream, listener: &str, rest: &str) -> Popgate {
    start(&server.address().to_string(), listener, rest)
}

/// The whole exchange; the greeting comes with its last octets.
fn exchange(client: &mut Connection, server: &mut Connection) {
    client.send(VERSIONS);
    assert_eq!(server.octets(VERSIONS.len()), VERSIONS);
    server.send([0]);
    assert_eq!(client.octets(1), [0]);
    let request = message(&[b'r'; 600]);
    client.send(&request);
    assert_eq!(server.octets(request.len()), request);
    let proof = [&message(b"")[..], &message(&[b'\n'; 80])].concat();
    server.send([&proof[..], b"+OK ready <1@a>\r\n"].concat());
    assert_eq!(client.octets(proof.len()), proof);
    assert_eq!(client.text(), "+OK ready <1@a>");
}

fn log_in(client: &mut Connection, server: &mut Connection) {
    for (command, reply) in [("USER alice", "+OK who else"), ("PASS krb_ticket", "+OK in"), ("NOOP", "+OK")] {
        client.send_line(command);
        assert_eq!(server.text(), command);
        server.send_line(reply);
        assert_eq!(client.text(), reply);
    }
}

/// The proxy has ended both connections, and has said nothing more.
fn expect_both_end(client: &mut Connection, server: &mut Connection) {
    client.expect_end();
    server.expect_end();
}

#[test]
fn nothing_is_said_before_the_client_speaks() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let mut client = popgate.connect("kpop");
    let mut upstream = server.accept();
    client.expect_quiet();
    upstream.expect_quiet();
    exchange(&mut client, &mut upstream);
    log_in(&mut client, &mut upstream);
}

#[test]
fn octets_that_come_one_by_one_are_relayed_one_by_one() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
    let relay = |from: &mut Connection, to: &mut Connection, octets: &[u8]| {
        for octet in octets {
            from.send([*octet]);
            assert_eq!(to.octets(1), [*octet]);
        }
    };
    relay(&mut client, &mut upstream, VERSIONS);
    relay(&mut upstream, &mut client, &[0]);
    relay(&mut client, &mut upstream, &message(b"+OK\r\n.\r\n"));
    relay(&mut upstream, &mut client, &[0; 4]);
    relay(&mut upstream, &mut client, &message(b"-ERR\r\n"));
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    log_in(&mut client, &mut upstream);
}

#[test]
fn a_server_that_proves_nothing_greets_at_once() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
    // A hasty client: what it says too early waits, commands too.
    client.send([VERSIONS, &message(b"ticket"), b"CAPA\r\n"].concat());
    assert_eq!(upstream.octets(VERSIONS.len()), VERSIONS);
    upstream.expect_quiet();
    upstream.send([0]);
    assert_eq!(upstream.octets(10), message(b"ticket"));
    upstream.expect_quiet();
    upstream.send(b"\0\0\0\0+OK ready\r\n");
    assert_eq!(upstream.text(), "CAPA");
    upstream.send(b"+OK\r\nUSER\r\nSASL PLAIN\r\nTOP\r\n.\r\n");
    assert_eq!(client.octets(5), [0; 5]);
    assert_eq!(client.text(), "+OK ready");
    assert_eq!(client.text(), "+OK capabilities");
    assert!(String::from_utf8_lossy(&client.body()).contains("USER\r\n"));
}

#[test]
fn refusals_reach_the_client_and_end_the_session() {
    for (octet, reason) in [(1, "version of sendauth"), (2, "another version of KPOP"), (255, "with status 255")] {
        let server = Upstream::listen();
        let popgate = popgate(&server, "", "");
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        client.send(VERSIONS);
        upstream.octets(VERSIONS.len());
        upstream.send([octet]);
        assert_eq!(client.octets(1), [octet]);
        expect_both_end(&mut client, &mut upstream);
        popgate.wait_for_log(reason);
    }
}

#[test]
fn a_refused_ticket_reaches_the_client_and_ends_the_session() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
    client.send(VERSIONS);
    upstream.octets(VERSIONS.len());
    upstream.send([0]);
    client.send(message(b"ticket"));
    upstream.octets(10);
    let error = message(&[0x7e; 120]);
    upstream.send(&error);
    assert_eq!(client.octets(1 + error.len())[1..], error);
    expect_both_end(&mut client, &mut upstream);
    popgate.wait_for_log("refuses the client's ticket");
}

#[test]
fn a_client_of_pop3_is_told_what_is_spoken_here() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
    client.send_line("CAPA");
    assert!(client.text().starts_with("-ERR this port speaks KPOP"));
    expect_both_end(&mut client, &mut upstream);
}

#[test]
fn a_server_of_pop3_is_no_server_of_kpop() {
    for late in [false, true] {
        let server = Upstream::listen();
        let popgate = popgate(&server, "", "");
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        if late {
            client.send(VERSIONS);
            upstream.octets(VERSIONS.len());
        }
        upstream.send_line("+OK ready");
        // An error in text would be read as the answer to the ticket.
        expect_both_end(&mut client, &mut upstream);
        popgate.wait_for_log("as one does that knows no KPOP");
    }
}

#[test]
fn a_server_that_is_not_there_or_goes_away_ends_the_session() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    let dead = start(&address.to_string(), "", "");
    dead.connect("kpop").expect_end();
    dead.wait_for_log("no connection to the upstream");
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    for step in 0..4 {
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        let mut awaited = 0;
        if step > 0 {
            client.send(VERSIONS);
            upstream.octets(VERSIONS.len());
        }
        if step > 1 {
            upstream.send([0]);
            client.send(message(b"ticket"));
            upstream.octets(10);
            awaited += 1;
        }
        if step > 2 {
            upstream.send([0, 0, 0, 0, 0, 0]);
            awaited += 6;
        }
        drop(upstream);
        client.octets(awaited);
        client.expect_end();
        popgate.wait_for_log("the upstream closed the connection");
    }
}

#[test]
fn what_breaks_behind_the_exchange_is_told_in_text() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    for (greeting, reply) in [("", "-ERR [SYS/TEMP] *"), ("-ERR [SYS/TEMP] go away\r\n", "-ERR [SYS/TEMP] go away")] {
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        client.send(VERSIONS);
        upstream.octets(VERSIONS.len());
        upstream.send([0]);
        client.send(message(b"ticket"));
        upstream.octets(10);
        upstream.send([&[0; 8][..], greeting.as_bytes()].concat());
        drop(upstream);
        client.octets(9);
        assert!(client.text().starts_with(reply.trim_end_matches('*')), "{greeting}");
        client.expect_end();
    }
}

#[test]
fn a_client_that_leaves_ends_the_session() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    for sent in [&b""[..], &VERSIONS[..2], &VERSIONS[..30]] {
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        client.send(sent);
        upstream.octets(sent.len());
        client.finish_sending();
        expect_both_end(&mut client, &mut upstream);
        popgate.wait_for_log("the client has left");
    }
    // One that only sends no more hears the server's answer.
    let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
    client.send(VERSIONS);
    client.finish_sending();
    upstream.octets(VERSIONS.len());
    upstream.send([1]);
    assert_eq!(client.octets(1), [1]);
    expect_both_end(&mut client, &mut upstream);
}

#[test]
fn neither_side_is_waited_for_without_end() {
    let server = Upstream::listen();
    let slow = popgate(&server, "", "[limits]\nlogin = \"1s\"");
    let (mut client, mut upstream) = (slow.connect("kpop"), server.accept());
    client.send(&VERSIONS[..7]);
    upstream.octets(7);
    expect_both_end(&mut client, &mut upstream);
    slow.wait_for_log("sent no login in time");
    let silent = popgate(&server, "", "[limits]\nconnect = \"1s\"");
    let (mut client, mut upstream) = (silent.connect("kpop"), server.accept());
    client.send(VERSIONS);
    upstream.octets(VERSIONS.len());
    expect_both_end(&mut client, &mut upstream);
    silent.wait_for_log("the upstream does not answer");
}

#[test]
fn messages_are_bounded() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "", "");
    let begun = |octets: &[u8]| {
        let (mut client, mut upstream) = (popgate.connect("kpop"), server.accept());
        client.send(VERSIONS);
        upstream.octets(VERSIONS.len());
        upstream.send([0]);
        client.octets(1);
        client.send(octets);
        (client, upstream)
    };
    // A ticket with all that a directory can put into it.
    let largest = message(&[b'x'; 65_536]);
    let (mut client, mut upstream) = begun(&largest);
    assert_eq!(upstream.octets(largest.len()), largest);
    upstream.send([&largest[..], b"more"].concat());
    assert_eq!(client.octets(largest.len()), largest);
    expect_both_end(&mut client, &mut upstream);
    // One octet more. Of the length that says so, the last octet stays here.
    let (mut client, mut upstream) = begun(&[0, 1, 0, 1]);
    assert!(upstream.rest().len() < 4);
    client.expect_end();
    popgate.wait_for_log("announces a message of 65537 octets");
    let (mut client, mut upstream) = begun(&message(b"ticket"));
    upstream.octets(10);
    upstream.send([0xff; 4]);
    assert!(client.rest().len() < 4);
    upstream.expect_end();
    popgate.wait_for_log("announces a message of 4294967295 octets");
    // A flood while it is the server's turn stays in the client's socket.
    let (mut client, mut upstream) = begun(&message(b"ticket"));
    upstream.octets(10);
    client.send(vec![b'x'; 300_000]);
    upstream.expect_quiet();
    upstream.send([[0; 4], [0, 0, 0, 0]].concat());
    upstream.send_line("+OK ready");
    client.octets(8);
    assert_eq!(client.text(), "+OK ready");
}

/// A client that connects from this address, as a balancer in front has it.
fn from_afar(popgate: &Popgate) -> Connection {
    let mut client = popgate.connect("kpop");
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1109\r\n");
    client
}

#[test]
fn after_kerberos_the_name_may_come_in_clear_but_no_password() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "proxy_protocol_from = [\"127.0.0.0/8\"]", "");
    let (mut client, mut upstream) = (from_afar(&popgate), server.accept());
    exchange(&mut client, &mut upstream);
    client.send_line("CAPA");
    assert_eq!(upstream.text(), "CAPA");
    upstream.send(b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n");
    assert_eq!(client.text(), "+OK capabilities");
    let offered = String::from_utf8_lossy(&client.body()).into_owned();
    assert!(offered.contains("USER\r\n") && !offered.contains("SASL"), "{offered}");
    assert!(client.command("AUTH PLAIN AGFsaWNlAHNlc2FtZQ==").starts_with("-ERR [AUTH]"));
    log_in(&mut client, &mut upstream);
}

#[test]
fn a_proxy_header_comes_before_the_exchange() {
    let server = Upstream::listen();
    let popgate = popgate(&server, "proxy_protocol_from = [\"127.0.0.0/8\"]", "send_proxy = \"v1\"");
    let (mut client, mut upstream) = (from_afar(&popgate), server.accept());
    assert_eq!(upstream.text(), "PROXY TCP4 192.0.2.7 192.0.2.1 40000 1109");
    exchange(&mut client, &mut upstream);
    log_in(&mut client, &mut upstream);
}

#[test]
fn the_exchange_may_be_inside_of_tls_on_both_sides() {
    let folder = process::folder();
    let certificates = Certificates::create(folder.path(), "server");
    let server = Upstream::listen();
    let popgate = start(
        &server.address().to_string(),
        "tls = \"implicit\"",
        &format!("tls = \"implicit\"\nserver_name = \"localhost\"\nca = {:?}", certificates.ca.display().to_string()),
    );
    let mut client = popgate.connect("kpop").with_client_tls(trust(popgate.ca()));
    let mut upstream = server.accept().with_server_tls(certificates.server()).expect("popgate trusts the server");
    exchange(&mut client, &mut upstream);
    log_in(&mut client, &mut upstream);
}
