//! Servers that are not there, not themselves, or not in a hurry.

use std::net::TcpListener;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::certificates::Certificates;
use popgate_tests::popgate::Popgate;
use popgate_tests::process;
use popgate_tests::upstream::Upstream;

fn popgate(folder: tempfile::TempDir, address: &str, upstream: &str) -> Popgate {
    Popgate::start_in(
        folder,
        &format!(
            "[limits]\nconnect = \"1s\"\n\
             [[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{address}\"\n{upstream}\n"
        ),
    )
}

#[test]
fn a_dead_server_is_a_temporary_error() {
    // A port that nobody listens on: it was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    let popgate = popgate(process::folder(), &address.to_string(), "tls = \"none\"");
    for _ in 0..2 {
        let mut client = popgate.connect("pop3");
        let reply = client.text();
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
        client.expect_end();
    }
}

#[test]
fn a_server_without_greeting_is_a_temporary_error() {
    for tls in ["none", "stls", "implicit"] {
        let server = Upstream::listen();
        let popgate = popgate(process::folder(), &server.address().to_string(), &format!("tls = \"{tls}\""));
        let begin = Instant::now();
        let mut client = popgate.connect("pop3");
        let _silent = server.accept();
        let reply = client.text();
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{tls}: {reply}");
        client.expect_end();
        assert!(begin.elapsed() < PATIENCE / 2, "{tls}: it took {:?}", begin.elapsed());
    }
}

#[test]
fn a_server_that_falls_silent_in_its_handshake_is_a_temporary_error() {
    let server = Upstream::listen();
    let popgate = popgate(process::folder(), &server.address().to_string(), "tls = \"stls\"");
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(upstream.text(), "STLS");
    upstream.send_line("+OK begin");
    let reply = client.text();
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    client.expect_end();
}

/// Lets the server present its certificate, over implicit TLS or STLS; the result of its handshake and of the client.
fn present(server: &Upstream, popgate: &Popgate, certificates: &Certificates, tls: &str) -> (bool, String) {
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    if tls == "stls" {
        upstream.send_line("+OK ready");
        assert_eq!(upstream.text(), "STLS");
        upstream.send_line("+OK begin");
    }
    let Ok(mut upstream) = upstream.with_server_tls(certificates.server()) else { return (false, client.text()) };
    // In TLS 1.3 the server is done before the client has judged its certificate.
    if tls == "implicit" && upstream.try_send(b"+OK ready\r\n").is_err() {
        return (false, client.text());
    }
    let reply = client.text();
    if !reply.starts_with("+OK") {
        upstream.expect_end();
    }
    (true, reply)
}

#[test]
fn a_certificate_is_verified() {
    let now = rcgen::date_time_ymd(2020, 1, 1);
    for tls in ["implicit", "stls"] {
        for (what, trusted, name, expected) in [
            ("good", true, "localhost", None),
            ("unknown authority", false, "localhost", Some("certificate")),
            ("another name", true, "pop.example.org", Some("certificate")),
            ("expired", true, "localhost", Some("certificate")),
        ] {
            let folder = process::folder();
            let certificates = Certificates::with(folder.path(), "server", |params| {
                if what == "expired" {
                    params.not_after = now;
                }
            });
            let other = Certificates::create(folder.path(), "other");
            let ca = if trusted { &certificates.ca } else { &other.ca };
            let settings = format!("tls = \"{tls}\"\nca = {:?}\nserver_name = \"{name}\"", ca.display().to_string());
            let server = Upstream::listen();
            let popgate = popgate(folder, &server.address().to_string(), &settings);
            let (_, reply) = present(&server, &popgate, &certificates, tls);
            match expected {
                None => assert_eq!(reply, "+OK ready", "{tls}, {what}"),
                Some(reason) => {
                    assert!(reply.starts_with("-ERR"), "{tls}, {what}: {reply}");
                    popgate.wait_for_log(reason);
                }
            }
        }
    }
}

#[test]
fn a_pin_replaces_the_other_checks_and_must_match() {
    for (matches, expected) in [(true, "+OK ready"), (false, "-ERR")] {
        let folder = process::folder();
        let expired = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let certificates = Certificates::with(folder.path(), "server", expired);
        let other = Certificates::create(folder.path(), "other");
        let pin = if matches { &certificates.pin } else { &other.pin };
        let settings = format!("tls = \"implicit\"\npin_sha256 = [{pin:?}]\nserver_name = \"pop.example.org\"");
        let server = Upstream::listen();
        let popgate = popgate(folder, &server.address().to_string(), &settings);
        let (_, reply) = present(&server, &popgate, &certificates, "implicit");
        assert!(reply.starts_with(expected), "{matches}: {reply}");
    }
}
