//! Connections of those who speak no POP3, or another TLS: they end soon, and nothing of them is answered or goes on.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::certificates::trust;
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::Upstream;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Error};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdd\xd5\x03\xe3";

/// What strangers begin with, and what the log says of them.
const STRANGERS: [(&[u8], &str); 6] = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.7 56789 995\r\nUSER alice\r\n", "a PROXY header"),
    (b"PROXY \r\n", "a PROXY header"),
    (V2, "a PROXY header"),
    (b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: pop.example.org\r\n\r\n", "an HTTP request"),
    (b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nUSER alice\r\nPASS x\r\n", "an HTTP request"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP request"),
];

/// popgate with a listener for each mode of TLS, one that believes a balancer elsewhere, and one that believes this machine.
fn popgate(server: &Upstream) -> Popgate {
    let listener = |name: &str, keys: &str| {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n{keys}\n")
    };
    Popgate::start(&format!(
        "{}{}{}{}{}[[upstream]]\nname = \"server\"\naddress = \"{}\"\n[limits]\nconnect = \"2s\"\n",
        listener("none", "tls = \"none\""),
        listener("stls", "tls = \"stls\""),
        listener("implicit", "tls = \"implicit\""),
        listener("elsewhere", "proxy_protocol_from = [\"192.0.2.0/24\"]"),
        listener("here", "proxy_protocol_from = [\"127.0.0.0/8\"]"),
        server.address()
    ))
}

#[test]
fn strangers_get_no_answer() {
    let server = Upstream::listen();
    let popgate = popgate(&server);
    for (octets, reason) in STRANGERS {
        for name in ["none", "stls", "elsewhere"] {
            // Behind the greeting, in one piece and octet by octet.
            for pieces in [1, octets.len()] {
                let mut client = popgate.connect(name);
                let mut upstream = server.accept();
                upstream.send_line("+OK ready");
                assert_eq!(client.text(), "+OK ready");
                for piece in octets.chunks(octets.len() / pieces) {
                    if client.try_send(piece).is_err() {
                        break;
                    }
                }
                let rest = client.rest();
                // The lines without anything in them that version 2 begins with may have come one by one.
                let lines = rest.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
                let answered: Vec<_> = lines.collect();
                let empty = if pieces > 1 && octets == V2 { 2 } else { 0 };
                assert!(answered.len() <= empty, "{name}, {}: {}", octets.escape_ascii(), rest.escape_ascii());
                upstream.expect_end();
                popgate.wait_for_log(reason);
            }
            // Before the greeting.
            let mut client = popgate.connect(name);
            client.send(octets);
            client.expect_end();
            popgate.wait_for_log(reason);
            // What it begins with may be there before anybody is connected to.
            while let Some(mut upstream) = server.try_accept() {
                upstream.expect_end();
            }
        }
        let mut client = popgate.connect("implicit");
        client.send(octets);
        client.expect_end();
        popgate.wait_for_log(reason);
        server.expect_nobody();
    }
}

#[test]
fn strangers_get_no_answer_under_tls_either() {
    let server = Upstream::listen();
    let popgate = popgate(&server);
    for (octets, reason) in STRANGERS {
        let mut client = popgate.connect("implicit").with_client_tls(trust(popgate.ca()));
        let mut upstream = server.accept();
        upstream.send_line("+OK ready");
        assert_eq!(client.text(), "+OK ready");
        client.send(octets);
        client.expect_end();
        upstream.expect_end();
        popgate.wait_for_log(reason);
    }
}

#[test]
fn proxy_headers_that_break_the_rules_end_the_connection() {
    let server = Upstream::listen();
    let popgate = popgate(&server);
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(200));
    let short = [&V2[..15], b"\x04", &V2[16..20]].concat();
    let wrong = [&V2[..12], b"\x31", &V2[13..]].concat();
    for octets in [
        &b"USER alice\r\n"[..],
        b"\r\n",
        b"PROXY TCP4 192.0.2.1\r\n 198.51.100.7 56789 995\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56789 995\nUSER alice\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56789 99999\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.7 56789 995\r\n",
        long.as_bytes(),
        &short,
        &wrong,
    ] {
        let mut client = popgate.connect("here");
        client.send(octets);
        client.expect_end();
        popgate.wait_for_log("PROXY header");
        server.expect_nobody();
    }
    // One is believed, and a second one is a stranger's.
    let mut client = popgate.connect("here");
    client.send(b"PROXY TCP4 192.0.2.1 198.51.100.7 56789 995\r\n");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    client.send(V2);
    client.expect_end();
    popgate.wait_for_log("client=192.0.2.1");
}

/// A handshake of a client with this configuration.
fn handshake(popgate: &Popgate, config: ClientConfig, name: &str) -> Result<ClientConnection, Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a valid name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
    let mut socket = TcpStream::connect(popgate.listener("implicit").address).expect("popgate listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
    match tls.complete_io(&mut socket) {
        Ok(_) => Ok(tls),
        Err(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            Err(inner.unwrap_or_else(|| panic!("no fault of TLS: {error}")).clone())
        }
    }
}

#[test]
fn clients_of_other_protocols_are_told_so() {
    let popgate = popgate(&Upstream::listen());
    let offering = |names: &[&str]| {
        let mut config = Arc::unwrap_or_clone(trust(popgate.ca()));
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        handshake(&popgate, config, "localhost")
    };
    let refused = offering(&["h2", "http/1.1"]).expect_err("this is no web server");
    // Alert 120. Source: RFC 7301 section 3.2.
    assert_eq!(refused, Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    for (names, agreed) in [(&["h2", "pop3"][..], Some(&b"pop3"[..])), (&[], None)] {
        let tls = offering(names).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!(tls.alpn_protocol(), agreed, "{names:?}");
    }
}

#[test]
fn an_unknown_name_gets_the_one_certificate() {
    let popgate = popgate(&Upstream::listen());
    let error = handshake(&popgate, Arc::unwrap_or_clone(trust(popgate.ca())), "unknown.example.org");
    // The client itself refuses what it is shown.
    let error = error.expect_err("the certificate is for another name");
    assert!(matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })), "{error:?}");
}

/// A ClientHello as it was before TLS 1.3, without extensions: the version, and suites that every old server knew.
fn old_hello(minor: u8) -> Vec<u8> {
    let suites = [0xc0, 0x14, 0xc0, 0x13, 0x00, 0x35, 0x00, 0x2f, 0x00, 0x0a];
    let mut body = vec![3, minor];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, suites.len() as u8]);
    body.extend_from_slice(&suites);
    body.extend_from_slice(&[1, 0]);
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, 1, 0, handshake.len() as u8][..], &handshake].concat()
}

#[test]
fn old_versions_of_tls_and_garbage_are_refused() {
    let popgate = popgate(&Upstream::listen());
    // SSL 3.0, TLS 1.0, TLS 1.1.
    for minor in [0, 1, 2] {
        let mut client = popgate.connect("implicit");
        client.send(old_hello(minor));
        let alert = client.rest();
        // A fatal alert, `protocol_version` (70), or that there is nothing in common (40).
        assert!(
            matches!(alert[..], [21, 3, _, 0, 2, 2, 70 | 40]),
            "TLS 1.{}: {}",
            i16::from(minor) - 1,
            alert.escape_ascii()
        );
    }
    for octets in [&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff"[..], b"\x16\x03\x01\xff\xff", b"\0\0\0\0\0\0\0\0"] {
        let begin = Instant::now();
        let mut client = popgate.connect("implicit");
        client.send(octets);
        client.rest();
        assert!(begin.elapsed() < PATIENCE / 2, "{}", octets.escape_ascii());
    }
}

#[test]
fn tls_and_plain_text_at_the_wrong_port_end_within_the_handshake_s_limit() {
    let server = Upstream::listen();
    let popgate = popgate(&server);
    let begin = Instant::now();
    let mut client = popgate.connect("none");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    client.text();
    client.send(old_hello(3));
    client.expect_end();
    popgate.wait_for_log("a TLS handshake on a port that begins in clear");

    let mut client = popgate.connect("implicit");
    client.send_line("USER alice");
    let rest = client.rest();
    assert!(!rest.starts_with(b"+OK") && !rest.starts_with(b"-ERR"), "{}", rest.escape_ascii());

    let mut silent = popgate.connect("implicit");
    silent.expect_end();
    assert!(begin.elapsed() < PATIENCE / 2, "it took {:?}", begin.elapsed());
    server.expect_nobody();
    drop::<Connection>(silent);
}
