//! `popgate probe`: what it says about servers, and that it never logs in.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use popgate_tests::PATIENCE;
use popgate_tests::certificates::Certificates;
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::Dovecot;
use popgate_tests::popgate::{run, run_with};
use popgate_tests::process::{self, Ended, Process, program};
use popgate_tests::upstream::Upstream;
use serde_json::Value;

/// The report about a server.
fn report(server: &str, options: &[&str]) -> Value {
    let ended = probe(server, options);
    serde_json::from_str(&ended.output).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn probe(server: &str, options: &[&str]) -> Ended {
    run(&[&["probe", server, "--json"], options].concat())
}

/// The codes of its problems.
fn codes(report: &Value) -> Vec<&str> {
    let problems = report["problems"].as_array().expect("a list of problems");
    problems.iter().map(|problem| problem["code"].as_str().expect("a code")).collect()
}

fn localhost(address: SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

/// Answers what a probe asks until it goes: a capability list, AUTH by a refusal, QUIT. Nothing else may come.
fn answer(upstream: &mut Connection, capabilities: &[&str]) {
    while let Some(line) = upstream.next_line() {
        match &line[..] {
            b"CAPA" => upstream.send_line(["+OK", &capabilities.join("\r\n"), "."].join("\r\n")),
            b"AUTH" => upstream.send_line("-ERR which?"),
            b"QUIT" => {
                upstream.send_line("+OK bye");
                return;
            }
            other => panic!("`{}` was not expected", other.escape_ascii()),
        }
    }
}

/// Whether the section is one that popgate takes.
fn expect_usable(report: &Value) {
    let section = report["upstream"].as_str().expect("a section");
    let name = report["address"].as_str().and_then(|address| address.rsplit_once(':')).expect("an address").0;
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"{name}\"\n");
    let folder = process::folder();
    let ended = run_with("check", folder.path(), &format!("{listener}{section}"));
    assert_eq!(ended.code, Some(0), "{section}\n{ended:?}");
}

#[test]
fn a_real_server_is_described_before_and_after_tls() {
    let dovecot = Dovecot::shared();
    let ca = dovecot.ca().to_str().expect("a path of text");
    for (server, options, tls) in [
        (dovecot.plain(), &["--ca", ca][..], "stls"),
        (dovecot.plain(), &["--ca", ca, "--tls", "stls"], "stls"),
        (dovecot.tls(), &["--ca", ca, "--tls", "implicit"], "implicit"),
    ] {
        let report = report(&localhost(server), options);
        assert_eq!(report["tls"], tls);
        assert!(report["greeting"]["line"].as_str().is_some_and(|line| line.starts_with("+OK")), "{report}");
        assert_eq!(report["handshake"]["version"], "TLS 1.3");
        assert_eq!(report["certificate"]["verified"], true, "{report}");
        let leaf = &report["certificate"]["chain"][0];
        assert_eq!(leaf["pin_sha256"], dovecot.certificates().pin.as_str());
        assert_eq!(leaf["names"], serde_json::json!(["localhost", "127.0.0.1"]));
        assert_eq!(leaf["key"], "EC P-256");
        assert_eq!(report["capabilities"]["clear"].is_array(), tls == "stls");
        let mechanisms = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2"];
        assert_eq!(report["mechanisms"], serde_json::json!({"capa": mechanisms, "auth": mechanisms}));
        let offers = report["offers"]["secure"].as_array().expect("a list");
        assert!(offers.iter().any(|line| *line == format!("SASL {}", mechanisms.join(" "))), "{offers:?}");
        assert!(offers.iter().all(|line| line != "CAPA" && line != "STLS"), "{offers:?}");
        assert!(report["offers"]["before_stls"].as_array().is_some_and(|list| list.iter().any(|line| line == "STLS")));
        let expected = if tls == "stls" { &["plaintext-login", "capa-listed"][..] } else { &["capa-listed"] };
        assert_eq!(codes(&report), expected);
        expect_usable(&report);
    }
}

#[test]
fn what_popgate_would_offer_is_what_it_offers() {
    let dovecot = Dovecot::shared();
    let ca = dovecot.ca().to_str().expect("a path of text");
    let report = report(&localhost(dovecot.plain()), &["--ca", ca]);
    let section = report["upstream"].as_str().expect("a section");
    let popgate = popgate_tests::popgate::Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"localhost\"\n{section}"
    ));
    let mut client = popgate.connect("pop3");
    client.text();
    client.succeed("CAPA");
    let listed = String::from_utf8(client.body()).expect("text");
    assert_eq!(report["offers"]["secure"], serde_json::json!(listed.lines().collect::<Vec<_>>()));
}

#[test]
fn a_certificate_that_is_not_trusted_is_shown_with_its_pin() {
    let dovecot = Dovecot::shared();
    for (server, tls) in [(dovecot.plain(), "stls"), (dovecot.tls(), "implicit")] {
        let report = report(&localhost(server), &["--tls", tls]);
        assert_eq!(report["certificate"]["verified"], false);
        assert_eq!(codes(&report)[0], "unknown-issuer", "{report}");
        assert!(report["upstream"].as_str().is_some_and(|section| section.contains(&dovecot.certificates().pin)));
        assert!(report["capabilities"]["tls"].is_array());
        expect_usable(&report);
    }
}

#[test]
fn the_report_for_people_says_the_same() {
    let dovecot = Dovecot::shared();
    let ended = run(&["probe", &localhost(dovecot.plain())]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for expected in ["greeting", "not trusted: unknown issuer", "pin_sha256", "under TLS", "problems", "[[upstream]]"] {
        assert!(ended.output.contains(expected), "{expected} in\n{}", ended.output);
    }
}

#[test]
fn capability_lists_are_criticised_and_nobody_logs_in() {
    let server = Upstream::listen();
    let address = server.address();
    let playing = server.play(|mut upstream| {
        upstream.send_line("+OK ready <1.2@host> \x1b[31m");
        answer(&mut upstream, &["USER", "TOP", "UIDL", "EXPIRENEVER", "LOGIN-DELAY 60"]);
        upstream.expect_end();
    });
    let report = report(&address.to_string(), &[]);
    playing.join().expect("the server was spoken to properly");
    assert_eq!(report["greeting"]["apop"], "<1.2@host>");
    assert_eq!(report["greeting"]["line"], "+OK ready <1.2@host> [31m");
    assert_eq!(codes(&report), ["stls-missing", "plaintext-login", "malformed-capability", "login-delay"]);
    assert_eq!(report["tls"], "none");
    expect_usable(&report);
}

#[test]
fn stls_that_is_offered_but_refused_is_told() {
    let server = Upstream::listen();
    let address = server.address();
    let playing = server.play(|mut upstream| {
        upstream.send_line("+OK ready");
        assert_eq!(upstream.text(), "CAPA");
        upstream.send_line("+OK\r\nUSER\r\nTOP\r\nUIDL\r\nSTLS\r\n.");
        assert_eq!(upstream.text(), "STLS");
        upstream.send_line("-ERR no certificate");
        answer(&mut upstream, &[]);
    });
    let report = report(&address.to_string(), &[]);
    playing.join().expect("the server was spoken to properly");
    assert_eq!(codes(&report), ["stls-refused", "plaintext-login"]);
    assert_eq!(report["stls"]["answer"], "-ERR no certificate");
}

#[test]
fn certificates_are_judged_and_the_conversation_goes_on() {
    let (past, now) = (rcgen::date_time_ymd(2020, 1, 1), std::time::SystemTime::now());
    for (what, expected) in [
        ("expired", &["expired"][..]),
        ("soon", &["expires-soon"]),
        ("other", &["wrong-name"]),
        ("nameless", &["no-names"]),
    ] {
        let folder = process::folder();
        let certificates = Certificates::with(folder.path(), "server", |params| match what {
            "expired" => params.not_after = past,
            "soon" => params.not_after = (now + std::time::Duration::from_secs(86_400 * 3)).into(),
            "other" => {
                params.subject_alt_names = vec![rcgen::SanType::DnsName("mx.example.org".try_into().expect("a name"))];
            }
            _ => params.subject_alt_names.clear(),
        });
        let server = Upstream::listen();
        let address = server.address();
        let tls = certificates.server();
        let playing = server.play(move |upstream| {
            let mut upstream = upstream.with_server_tls(tls).expect("a handshake with anybody");
            upstream.send_line("+OK ready");
            answer(&mut upstream, &["USER", "TOP", "UIDL"]);
        });
        let ca = certificates.ca.to_str().expect("a path of text");
        let report = report(&localhost(address), &["--tls", "implicit", "--ca", ca]);
        playing.join().expect("the server was spoken to properly");
        assert_eq!(codes(&report), expected, "{what}: {report}");
        expect_usable(&report);
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_a_hint() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    let ended = probe(&address.to_string(), &[]);
    assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""));
    assert!(ended.errors.contains("refuses connections") && ended.errors.contains("hint: "), "{}", ended.errors);
}

#[test]
fn a_server_that_says_nothing_or_something_else_is_an_error() {
    for (says, tls, expected) in [
        (None, "none", "no greeting within 1s"),
        (None, "implicit", "no TLS handshake within 1s"),
        (Some("220 smtp.example.org ESMTP"), "none", "does not speak POP3"),
        (Some(""), "none", "closed the connection"),
    ] {
        let server = Upstream::listen();
        let address = server.address();
        let playing = server.play(move |mut upstream| match says {
            Some("") => {}
            Some(line) => upstream.send_line(line),
            None => drop(upstream.rest()),
        });
        let ended = probe(&address.to_string(), &["--tls", tls, "--timeout", "1"]);
        playing.join().expect("the server was spoken to properly");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains(expected) && ended.errors.contains("hint: "), "{}", ended.errors);
    }
}

#[test]
fn the_wrong_kind_of_port_is_told() {
    let dovecot = Dovecot::shared();
    let ended = probe(&localhost(dovecot.plain()), &["--tls", "implicit"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.output).expect("a report");
    assert_eq!(codes(&report), ["not-tls"]);
    assert_eq!(report["upstream"], Value::Null);
}

#[test]
fn what_is_typed_wrongly_is_a_usage_error() {
    for arguments in [
        &["probe"][..],
        &["probe", "localhost"],
        &["probe", "localhost:0"],
        &["probe", "pop3://localhost:110"],
        &["probe", "localhost:110", "--tls", "maybe"],
        &["probe", "localhost:110", "--ca", "/nowhere/ca.pem"],
        &["probe", "localhost:110", "--timeout", "0"],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.output, "", "{arguments:?}");
    }
}

#[test]
fn tls_that_popgate_does_not_speak_is_named() {
    for (options, expected) in [
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"][..], "rsa-key-exchange"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0"], "cbc-ciphers"),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "old-tls"),
    ] {
        let folder = process::folder();
        let openssl = program("openssl", "openssl");
        let files = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let mut make = Command::new(&openssl);
        make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-out"]);
        let made = process::run(make.arg(&files[0]).arg("-keyout").arg(&files[1]), PATIENCE);
        assert_eq!(made.code, Some(0), "{made:?}");
        let mut serve = Command::new(&openssl);
        serve.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-naccept", "2", "-cert"]).arg(&files[0]);
        let server = Process::start(serve.arg("-key").arg(&files[1]).args(options));
        let port = server.output().find(PATIENCE, |line| Some(line.strip_prefix("ACCEPT 127.0.0.1:")?.to_owned()));
        let ended = probe(&format!("localhost:{}", port.expect("a port")), &["--tls", "implicit"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.output).expect("a report");
        assert_eq!(codes(&report), [expected], "{report}");
    }
}
