//! Which server a session goes to, when it is connected to, and how many sessions it gets.

use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use popgate_tests::certificates::{self, Certificates};
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::Upstream;
use popgate_tests::{PATIENCE, process};

/// A listener without an upstream, and a route to servers that users name.
fn named(folder: tempfile::TempDir, allowed: &str, more: &str) -> Popgate {
    Popgate::start_in(
        folder,
        &format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\n\
             [[route]]\nserver_in_user = true\nallowed_servers = [{allowed}]\n{more}\n"
        ),
    )
}

/// A listener with one upstream.
fn fixed(address: &str, more: &str) -> String {
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{address}\"\n{more}\n"
    )
}

/// Says who logs in; gives the client, whose password is not answered yet.
fn credentials(popgate: &Popgate, user: &str) -> Connection {
    let mut client = popgate.connect("pop3");
    assert_eq!(client.text(), "+OK POP3 ready");
    client.succeed(&format!("USER {user}"));
    client.send_line("PASS secret");
    client
}

/// The server's part of a login.
fn accept_login(upstream: &mut Connection, user: &str) {
    for command in [&*format!("USER {user}"), "PASS secret"] {
        assert_eq!(upstream.text(), command);
        upstream.send_line("+OK go on");
    }
}

fn refusal(popgate: &Popgate, user: &str) -> String {
    credentials(popgate, user).text()
}

#[test]
fn a_server_that_the_user_names_proves_that_name() {
    for (tls, bears) in [("implicit", "localhost"), ("stls", "localhost"), ("implicit", "pop.example.org")] {
        let folder = process::folder();
        let certificates = Certificates::with(folder.path(), "server", |params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName(bears.try_into().expect("a valid name"))];
        });
        let server = Upstream::listen();
        let port = server.address().port();
        let ca = format!("ca = {:?}", certificates.ca.display().to_string());
        let popgate = named(folder, &format!("\"localhost:{port} {tls}\""), &ca);
        // Case and the dot of the root are no part of the name.
        let mut client = credentials(&popgate, &format!("alice@example.org#LocalHost.:{port}"));
        let mut upstream = server.accept();
        if tls == "stls" {
            upstream.send_line("+OK ready");
            assert_eq!(upstream.text(), "STLS");
            upstream.send_line("+OK begin");
        }
        let handshake = upstream.with_server_tls(certificates.server());
        if bears != "localhost" {
            assert!(client.text().starts_with("-ERR [SYS/TEMP]"));
            popgate.wait_for_log("name mismatch: certificate is for pop.example.org");
            continue;
        }
        let mut upstream = handshake.expect("the certificate is trusted");
        if tls == "implicit" {
            upstream.send_line("+OK ready");
        }
        accept_login(&mut upstream, "alice@example.org");
        assert_eq!(client.text(), "+OK go on", "{tls}");
    }
}

#[test]
fn mail_belongs_to_the_server_and_the_name_there() {
    let server = Upstream::listen();
    let address = server.address();
    let filter = "[[filter]]\nplugin = \"rewrite\"\n[[filter.config.header]]\naction = \"set\"\nname = \"X-For\"\n\
                  value = \"{user} at {upstream}\"\n";
    let popgate = named(process::folder(), &format!("\"{address} cleartext\""), filter);
    let mut client = credentials(&popgate, &format!("alice#1@example.org#{address}"));
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    accept_login(&mut upstream, "alice#1@example.org");
    assert_eq!(client.text(), "+OK go on");
    client.send_line("RETR 1");
    assert_eq!(upstream.text(), "RETR 1");
    upstream.send("+OK\r\nA: b\r\n\r\nc\r\n.\r\n");
    assert!(client.text().starts_with("+OK"));
    assert_eq!(client.body(), b"X-For: alice#1@example.org at 127.0.0.1\r\nA: b\r\n\r\nc\r\n");
}

#[test]
fn a_name_that_leads_into_the_own_network_is_refused() {
    let server = Upstream::listen();
    let port = server.address().port();
    // The resolver takes `127.1` for a short form of 127.0.0.1, though it is a name as far as names go.
    let popgate = named(process::folder(), &format!("\"*.1:{port} cleartext\""), "");
    let begin = Instant::now();
    assert_eq!(refusal(&popgate, &format!("alice#127.1:{port}")), "-ERR [AUTH] login failed");
    popgate.wait_for_log(&format!("`127.1:{port}` is not connected to: it is not an address of the Internet"));
    // The wait of a refused credential, as after a wrong password: none at first, then a second.
    assert_eq!(refusal(&popgate, &format!("alice#127.1:{port}")), "-ERR [AUTH] login failed");
    assert!(begin.elapsed().as_millis() >= 1000, "{:?}", begin.elapsed());
    server.expect_nobody();
}

#[test]
fn a_host_that_is_listed_itself_may_be_in_the_own_network() {
    let server = Upstream::listen();
    let port = server.address().port();
    let popgate = named(process::folder(), &format!("\"*.1:{port} cleartext\", \"127.1:{port} cleartext\""), "");
    let mut client = credentials(&popgate, &format!("alice#127.1:{port}"));
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    accept_login(&mut upstream, "alice");
    assert_eq!(client.text(), "+OK go on");
}

#[test]
fn popgate_is_never_its_own_server() {
    let server = Upstream::listen();
    let popgate = Popgate::start(&fixed(&server.address().to_string(), ""));
    // The port is known only now.
    let port = popgate.port("pop3");
    popgate.reload(&fixed(&format!("localhost:{port}"), ""));
    let mut client = popgate.connect("pop3");
    assert_eq!(client.text(), "-ERR [SYS/PERM] this proxy is configured to be its own mail server");
    client.expect_end();
    popgate.wait_for_log("it is popgate's own listener");
    popgate.reload(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nserver_in_user = true\nallowed_servers = [\"localhost:{port} cleartext\"]\n"
    ));
    assert_eq!(refusal(&popgate, &format!("alice#localhost:{port}")), "-ERR [AUTH] login failed");
    // The log comes when it comes; the first session's is behind us.
    popgate.wait_for_log(" opened");
    // Nothing has gone round: each session was one.
    assert_eq!(popgate.log().matches(" opened").count(), 2, "{}", popgate.log());
}

/// A client whose session has begun, both sides.
fn admitted(popgate: &Popgate, server: &Upstream) -> (Connection, Connection) {
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    (client, upstream)
}

const FULL: &str = "-ERR [SYS/TEMP] there are too many connections to the mail server, try again later";

fn expect_full(popgate: &Popgate) {
    let mut client = popgate.connect("pop3");
    assert_eq!(client.text(), FULL);
    client.expect_end();
}

#[test]
fn a_server_gets_so_many_sessions_and_no_more() {
    let server = Upstream::listen();
    let config = fixed(&server.address().to_string(), "max_sessions = 2");
    let popgate = Popgate::start(&config);
    let first = admitted(&popgate, &server);
    let mut second = admitted(&popgate, &server);
    expect_full(&popgate);
    // The sessions that are there count for the next configuration, too.
    popgate.reload(&config.replace("max_sessions", "noop_after = \"1m\"\nmax_sessions"));
    expect_full(&popgate);
    popgate.reload(&config);
    expect_full(&popgate);
    drop(first);
    let refused = || popgate.log().matches("too many connections").count();
    let third = process::poll(Instant::now() + PATIENCE, || {
        let before = refused();
        let client = popgate.connect("pop3");
        let done = || server.try_accept().map(Some).or_else(|| (refused() > before).then_some(None));
        Some((client, process::poll(Instant::now() + PATIENCE, done)??))
    });
    assert!(third.is_some(), "the place was never free again");
    second.0.send_line("USER alice");
    assert_eq!(second.1.text(), "USER alice");
    server.expect_nobody();
}

#[test]
fn strangers_use_up_no_more_than_their_share() {
    let server = Upstream::listen();
    let popgate = Popgate::start(&fixed(&server.address().to_string(), "max_unauthenticated = 1"));
    let (mut client, mut upstream) = admitted(&popgate, &server);
    expect_full(&popgate);
    for command in ["USER alice", "PASS secret"] {
        client.send_line(command);
        assert_eq!(upstream.text(), command);
        upstream.send_line("+OK go on");
        assert_eq!(client.text(), "+OK go on");
    }
    let (_second, _waiting) = admitted(&popgate, &server);
    expect_full(&popgate);
}

#[test]
fn the_credential_of_a_full_server_may_be_tried_again() {
    let server = Upstream::listen();
    let settings = "greeting = \"own\"\nmax_sessions = 1";
    let popgate = Popgate::start(&fixed(&server.address().to_string(), settings));
    let first = credentials(&popgate, "alice");
    let mut upstream = server.accept();
    let mut second = credentials(&popgate, "bob");
    assert_eq!(second.text(), FULL);
    drop(first);
    upstream.expect_end();
    // The server sees the end of a connection a moment before the next one may take its place.
    thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            let mut upstream = server.accept();
            upstream.send_line("+OK ready");
            accept_login(&mut upstream, "bob");
            upstream
        });
        let reply = loop {
            second.succeed("USER bob");
            second.send_line("PASS secret");
            let reply = second.text();
            if reply != FULL {
                break reply;
            }
        };
        assert_eq!(reply, "+OK go on");
        drop(accepting.join());
    });
}

#[test]
fn behind_implicit_tls_the_handshake_comes_before_the_server() {
    let server = Upstream::listen();
    let config = fixed(&server.address().to_string(), "").replacen("upstream", "tls = \"implicit\"\nupstream", 1);
    let popgate = Popgate::start(&config);
    // Who says nothing costs the server nothing, though it was there first.
    let _silent = TcpStream::connect(popgate.listener("pop3").address).expect("popgate listens");
    let mut client = popgate.connect("pop3").with_client_tls(certificates::trust(popgate.ca()));
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    server.expect_nobody();
}
