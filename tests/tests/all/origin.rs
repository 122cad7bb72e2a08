//! Who the client is, told from one real program to the next.

use std::net::SocketAddr;
use std::process::Command;

use popgate_tests::PATIENCE;
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::haproxy::Haproxy;
use popgate_tests::mail;
use popgate_tests::popgate::Popgate;
use popgate_tests::process::{self, program};

/// The ways to tell a server, and whether it is on the port that waits for a PROXY header.
const WAYS: [(&str, bool); 3] =
    [("xclient = true", false), ("send_proxy = \"v1\"", true), ("send_proxy = \"v2\"", true)];

/// popgate before a Dovecot that believes it, behind a balancer on this machine.
fn popgate(dovecot: &Dovecot, way: &str, proxied: bool) -> Popgate {
    let server = if proxied { dovecot.proxied() } else { dovecot.plain() };
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"dovecot\"\n\
         allow_cleartext = true\nproxy_protocol_from = [\"127.0.0.1\"]\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"stls\"\nca = {:?}\n{way}\n",
        server.port(),
        dovecot.ca().display().to_string()
    ))
}

#[test]
fn a_real_server_is_told_who_the_client_is() {
    let dovecot = Dovecot::trusting();
    for (way, proxied) in WAYS {
        for client in ["203.0.113.7", "2001:db8::7"] {
            let user = dovecot.user(&mail::mailbox(1));
            let popgate = popgate(&dovecot, way, proxied);
            let mut connection = popgate.connect("pop3");
            let (family, to) = if client.contains(':') { ("TCP6", "2001:db8::1") } else { ("TCP4", "198.51.100.1") };
            connection.send(format!("PROXY {family} {client} {to} 4711 110\r\n"));
            connection.log_in(&user, PASSWORD);
            dovecot.wait_for_log(&user, &format!("rip={client}"));
            connection.succeed("QUIT");
            popgate.wait_for_log(&format!("client={client}"));
        }
    }
}

/// Fetches the first message with curl from this address of the machine, over this server.
fn fetch(from: &str, server: SocketAddr, user: &str) {
    let mut curl = Command::new(program("curl", "curl"));
    let ended = process::run(
        curl.args(["--silent", "--show-error", "--interface", from, "--user"])
            .arg(format!("{user}:{PASSWORD}"))
            .arg(format!("pop3://{server}/1")),
        PATIENCE,
    );
    assert_eq!(ended.code, Some(0), "curl: {}", ended.errors);
    assert!(!ended.output.is_empty(), "curl got nothing");
}

#[test]
fn a_real_balancer_is_believed() {
    let dovecot = Dovecot::trusting();
    // The whole of it is loopback; the balancer is 127.0.0.1.
    for (number, keyword) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        for (other, (way, proxied)) in WAYS.into_iter().enumerate() {
            let client = format!("127.0.{}.{}", number + 1, other + 1);
            let user = dovecot.user(&mail::mailbox(1));
            let popgate = popgate(&dovecot, way, proxied);
            let haproxy = Haproxy::start(popgate.listener("pop3").address, keyword);
            fetch(&client, haproxy.address(), &user);
            dovecot.wait_for_log(&user, &format!("rip={client}"));
            popgate.wait_for_log(&format!("client={client}"));
        }
    }
}

#[test]
fn a_balancer_that_sends_no_header_is_refused() {
    let dovecot = Dovecot::trusting();
    let popgate = popgate(&dovecot, "", false);
    let haproxy = Haproxy::start(popgate.listener("pop3").address, "");
    let mut client = Connection::to("client", haproxy.address());
    client.send_line("USER alice");
    client.expect_end();
    popgate.wait_for_log("no PROXY header");
}
