//! TLS sessions that go on from earlier ones: a client that comes back, and a server that is connected to again, save a
//! signature and the certificates.

use std::sync::Arc;

use popgate_tests::certificates::{Certificates, trust, trust_and_show, trust_speaking};
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::process;
use popgate_tests::upstream::Upstream;
use rustls::{ClientConfig, version};

const LISTENERS: &str = "[[listener]]\nname = \"implicit\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\nupstream = \"server\"\n\
                         [[listener]]\nname = \"stls\"\naddress = \"127.0.0.1:0\"\ntls = \"stls\"\nupstream = \"server\"\n";

/// A client behind its handshake and the greeting, and the server's side.
fn session(
    popgate: &Popgate,
    server: &Upstream,
    listener: &str,
    config: &Arc<ClientConfig>,
) -> (Connection, Connection) {
    let mut client = popgate.connect(listener);
    if listener == "stls" {
        let mut upstream = server.accept();
        upstream.send_line("+OK ready");
        assert_eq!(client.text(), "+OK ready");
        client.succeed("STLS");
        return (client.with_client_tls(Arc::clone(config)), upstream);
    }
    let mut client = client.with_client_tls(Arc::clone(config));
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    assert_eq!(client.text(), "+OK ready");
    (client, upstream)
}

/// Ends both sides; the client has read all that the proxy had for it, tickets included.
fn end((mut client, mut upstream): (Connection, Connection)) {
    client.send_line("QUIT");
    assert_eq!(upstream.text(), "QUIT");
    upstream.send_line("+OK bye");
    assert_eq!(client.text(), "+OK bye");
    client.expect_end();
}

#[test]
fn a_client_that_comes_back_goes_on() {
    let server = Upstream::listen();
    let upstream = format!("[[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"none\"\n", server.address());
    let popgate = Popgate::start(&format!("{LISTENERS}{upstream}"));
    for version in [&version::TLS12, &version::TLS13] {
        let config = trust_speaking(popgate.ca(), version);
        for (listener, resumed) in [("implicit", false), ("implicit", true), ("stls", true), ("implicit", true)] {
            let session = session(&popgate, &server, listener, &config);
            assert_eq!(session.0.is_resumed(), resumed, "{version:?}, {listener}");
            end(session);
        }
    }
}

#[test]
fn a_client_that_comes_back_after_a_reload_goes_on() {
    let server = Upstream::listen();
    let upstream = format!("[[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"none\"\n", server.address());
    let config = format!("{LISTENERS}{upstream}");
    let popgate = Popgate::start(&config);
    let trusting = trust(popgate.ca());
    end(session(&popgate, &server, "implicit", &trusting));
    popgate.reload(&config);
    popgate.wait_for_log("configuration reloaded");
    let again = session(&popgate, &server, "implicit", &trusting);
    assert!(again.0.is_resumed());
    end(again);
}

#[test]
fn whoever_must_show_a_certificate_shows_it_each_time() {
    let folder = process::folder();
    let alice = Certificates::of_client(folder.path(), "alice", Some("alice@example.org"));
    let server = Upstream::listen();
    let popgate = Popgate::start_in(
        folder,
        &format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\nupstream = \"server\"\n\
             client_ca = \"{{dir}}/alice-ca.pem\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"none\"\n",
            server.address()
        ),
    );
    let config = trust_and_show(popgate.ca(), &alice);
    for _ in 0..2 {
        let session = session(&popgate, &server, "pop3", &config);
        assert!(!session.0.is_resumed());
        end(session);
    }
}

#[test]
fn a_server_is_asked_to_go_on() {
    for tls in ["implicit", "stls"] {
        for trust in ["ca", "pin"] {
            let folder = process::folder();
            let certificates = Certificates::create(folder.path(), "server");
            let trusted = match trust {
                "ca" => format!("ca = {:?}", certificates.ca.display().to_string()),
                _ => format!("pin_sha256 = [{:?}]", certificates.pin),
            };
            let server = Upstream::listen();
            let popgate = Popgate::start_in(
                folder,
                &format!(
                    "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
                     [[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"{tls}\"\n\
                     server_name = \"localhost\"\n{trusted}\n",
                    server.address()
                ),
            );
            // One configuration, as a server has: it knows its sessions.
            let config = certificates.server();
            for resumed in [false, true, true] {
                let mut client = popgate.connect("pop3");
                let mut upstream = server.accept();
                if tls == "stls" {
                    upstream.send_line("+OK ready");
                    assert_eq!(upstream.text(), "STLS");
                    upstream.send_line("+OK begin");
                }
                let mut upstream = upstream.with_server_tls(Arc::clone(&config)).expect("popgate trusts it");
                assert_eq!(upstream.is_resumed(), resumed, "{tls}, {trust}");
                if tls == "implicit" {
                    upstream.send_line("+OK ready");
                }
                assert_eq!(client.text(), "+OK ready");
                end((client, upstream));
            }
        }
    }
}
