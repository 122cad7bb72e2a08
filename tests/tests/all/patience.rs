//! Long scans: the client is kept from giving up, the server from its idle timer.

use std::fs;

use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::Upstream;
use popgate_tests::{guest, process};

const PASS: &str = "i32.const 0";
const HOLD: &str = "i32.const 16";
const SERVICE: &str = "i32.const 32";
/// Passes after some seconds of work, for which the clock of the machine decides how many.
const SLOW_PASS: &str = "(local $left i64) (local.set $left (i64.const 1500000000))
    (loop $again (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get $left) (i64.const 0))))
    i32.const 0";

/// popgate with one filter and a server that the test plays; both sides are logged in.
fn sessions(filter: &str, settings: &str, limits: &str) -> (Popgate, Upstream, Connection, Connection) {
    let server = Upstream::listen();
    let folder = process::folder();
    fs::write(folder.path().join("guest.wasm"), guest::component(filter)).expect("a new folder can be written");
    let config = format!(
        "[limits]\n{limits}\n[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n{settings}\n\
         [[filter]]\nname = \"guest\"\nplugin = \"guest.wasm\"\ntimeout = \"60s\"\ncpu = \"60s\"\n",
        server.address()
    );
    let popgate = Popgate::start_in(folder, &config);
    let (client, upstream) = session(&popgate, &server);
    (popgate, server, client, upstream)
}

fn session(popgate: &Popgate, server: &Upstream) -> (Connection, Connection) {
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    client.line();
    for (command, reply) in [("USER alice", "+OK"), ("PASS secret", "+OK in")] {
        client.send_line(command);
        assert_eq!(upstream.text(), command);
        upstream.send_line(reply);
        assert_eq!(client.text(), reply);
    }
    (client, upstream)
}

/// Both sides get on as if nothing had been.
fn go_on(client: &mut Connection, upstream: &mut Connection) {
    client.send_line("DELE 1");
    assert_eq!(upstream.text(), "DELE 1");
    upstream.send_line("+OK gone");
    assert_eq!(client.text(), "+OK gone");
}

#[test]
fn a_status_line_can_be_drawn_out() {
    let (_popgate, _server, mut client, mut upstream) =
        sessions(PASS, "keepalive = \"status-line\"\nkeepalive_after = \"50ms\"", "");
    client.send_line("RETR 1");
    assert_eq!(upstream.text(), "RETR 1");
    upstream.send("+OK 18 octets\r\nSubject: x\r\n");
    // The server is as slow as it has to be for three signs of life.
    assert_eq!(client.octets(5), b"+OK  ");
    upstream.send("\r\none\r\n.\r\n");
    let status = client.text();
    assert_eq!(status.trim_start(), "19 octets", "{status:?}");
    assert_eq!(client.body(), b"Subject: x\r\n\r\none\r\n");
    go_on(&mut client, &mut upstream);
}

#[test]
fn header_lines_can_fill_the_time() {
    let (_popgate, _server, mut client, mut upstream) =
        sessions(PASS, "keepalive = \"headers\"\nkeepalive_after = \"50ms\"", "");
    client.send_line("TOP 1 0");
    assert_eq!(upstream.text(), "TOP 1 2147483647");
    upstream.send("+OK\r\nSubject: x\r\nX-Popgate-Wait: forged\r\n");
    assert!(client.text().starts_with("+OK"));
    for _ in 0..2 {
        assert!(client.text().starts_with("X-Popgate-Wait: "));
    }
    upstream.send("\r\none\r\n.\r\n");
    let body = String::from_utf8(client.body()).expect("it is text");
    let own = body.lines().filter(|line| !line.starts_with("X-Popgate-Wait: ")).collect::<Vec<_>>();
    assert_eq!(own, ["Subject: x", ""], "{body}");
    assert!(!body.contains("forged"), "{body}");
    go_on(&mut client, &mut upstream);
}

#[test]
fn without_keepalive_nothing_is_said_before_the_verdict() {
    let (_popgate, _server, mut client, mut upstream) = sessions(PASS, "keepalive_after = \"1ms\"", "");
    client.send_line("RETR 1");
    upstream.line();
    upstream.send("+OK\r\nSubject: x\r\n");
    client.expect_quiet();
    upstream.send("\r\n.\r\n");
    assert_eq!(client.text(), "+OK 14 octets");
    client.body();
}

#[test]
fn a_long_scan_keeps_both_sides_waiting() {
    let settings = "keepalive = \"status-line\"\nkeepalive_after = \"50ms\"\nnoop_after = \"50ms\"";
    let (_popgate, _server, mut client, mut upstream) = sessions(SLOW_PASS, settings, "");
    client.send_line("RETR 1");
    assert_eq!(upstream.text(), "RETR 1");
    upstream.send("+OK\r\nSubject: x\r\n\r\none\r\n.\r\n");
    assert_eq!(upstream.text(), "NOOP");
    upstream.send_line("+OK still here");
    assert_eq!(upstream.text(), "NOOP");
    assert_eq!(client.octets(4), b"+OK ");
    // This one is answered only behind what comes next, and belongs to nobody.
    client.send_line("DELE 1");
    assert!(client.text().ends_with(" 19 octets"));
    assert_eq!(client.body(), b"Subject: x\r\n\r\none\r\n");
    upstream.send_line("-ERR what is that?");
    loop {
        match &*upstream.text() {
            "NOOP" => upstream.send_line("+OK"),
            command => break assert_eq!(command, "DELE 1"),
        }
    }
    upstream.send_line("+OK gone");
    assert_eq!(client.text(), "+OK gone");
}

#[test]
fn an_idle_client_keeps_its_server() {
    let (_popgate, _server, mut client, mut upstream) = sessions(PASS, "noop_after = \"50ms\"", "");
    for _ in 0..3 {
        assert_eq!(upstream.text(), "NOOP");
        upstream.send_line("+OK");
    }
    client.expect_quiet();
    client.send_line("STAT");
    loop {
        match &*upstream.text() {
            "NOOP" => upstream.send_line("+OK nobody hears it"),
            command => break assert_eq!(command, "STAT"),
        }
    }
    upstream.send_line("+OK 1 19");
    assert_eq!(client.text(), "+OK 1 19");
}

#[test]
fn no_noop_goes_out_before_login() {
    let (popgate, server, _client, _upstream) = sessions(PASS, "noop_after = \"10ms\"", "");
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    client.line();
    upstream.expect_quiet();
}

#[test]
fn what_replaces_a_message_may_come_after_an_early_ok() {
    let (popgate, _server, mut client, mut upstream) =
        sessions(HOLD, "keepalive = \"status-line\"\nkeepalive_after = \"20ms\"", "");
    client.send_line("RETR 1");
    upstream.line();
    upstream.send("+OK\r\nSubject: x\r\n");
    client.octets(3);
    upstream.send("\r\n.\r\n");
    client.text();
    assert!(String::from_utf8_lossy(&client.body()).contains("Subject: [held] "));
    popgate.wait_for_log("held");
}

#[test]
fn after_an_early_ok_a_refusal_breaks_off_and_the_next_session_is_refused_in_order() {
    for (filter, limits, refusal) in [(SERVICE, "", "-ERR [SYS/TEMP] "), (PASS, "max_message = 20", "-ERR [SYS/PERM] ")]
    {
        let (popgate, server, mut client, mut upstream) =
            sessions(filter, "keepalive = \"status-line\"\nkeepalive_after = \"20ms\"", limits);
        client.send_line("RETR 1");
        upstream.line();
        upstream.send("+OK\r\nSubject: x\r\n");
        client.octets(3);
        upstream.send("\r\none\r\ntwo\r\nthree\r\n.\r\n");
        let rest = client.rest();
        assert!(rest.iter().all(|&octet| octet == b' '), "{}", String::from_utf8_lossy(&rest));
        // Nothing was deleted: there was no QUIT.
        upstream.expect_end();

        let (mut client, mut upstream) = session(&popgate, &server);
        client.send_line("RETR 1");
        upstream.line();
        upstream.send("+OK\r\nSubject: x\r\n");
        client.expect_quiet();
        upstream.send("\r\none\r\ntwo\r\nthree\r\n.\r\n");
        let reply = client.text();
        assert!(reply.starts_with(refusal), "{reply}");
        go_on(&mut client, &mut upstream);
    }
}
