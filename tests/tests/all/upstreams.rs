//! Servers that are not there, not themselves, or not in a hurry.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::certificates::Certificates;
use popgate_tests::connection::Connection;
use popgate_tests::popgate::Popgate;
use popgate_tests::process::{self, Process, program};
use popgate_tests::upstream::Upstream;
use socket2::{Domain, Socket, Type};

fn popgate(folder: tempfile::TempDir, address: &str, upstream: &str) -> Popgate {
    Popgate::start_in(
        folder,
        &format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{address}\"\n{upstream}\n"
        ),
    )
}

/// One that waits for no server longer than a second.
fn impatient(address: SocketAddr, upstream: &str) -> Popgate {
    popgate(process::folder(), &address.to_string(), &format!("{upstream}\n[limits]\nconnect = \"1s\""))
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
        let popgate = impatient(server.address(), &format!("tls = \"{tls}\""));
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
    let popgate = impatient(server.address(), "tls = \"stls\"");
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
            ("unknown authority", false, "localhost", Some("unknown issuer")),
            ("another name", true, "pop.example.org", Some("name mismatch")),
            ("expired", true, "localhost", Some("expired on")),
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
                    assert!(popgate.log().contains("fingerprint"), "{tls}, {what}: {}", popgate.log());
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

#[test]
fn a_server_that_comes_back_is_found_again() {
    // An address that is taken, and refuses connections until somebody listens there.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&address.into()).expect("a port is free");
    let address =
        socket.local_addr().ok().and_then(|address| address.as_socket()).expect("a bound socket has an address");
    let popgate = popgate(process::folder(), &address.to_string(), "tls = \"none\"");
    let reply = popgate.connect("pop3").text();
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    socket.listen(1).expect("a bound socket can be listened on");
    let mut client = popgate.connect("pop3");
    let (server, _) = socket.accept().expect("the proxy connects");
    Connection::over("upstream", server.into()).send_line("+OK here again");
    assert_eq!(client.text(), "+OK here again");
}

#[test]
fn a_server_that_never_accepts_is_a_temporary_error() {
    // Its queue is full, so that no connection comes about and none is refused.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port is free");
    socket.listen(0).expect("a bound socket can be listened on");
    let address =
        socket.local_addr().ok().and_then(|address| address.as_socket()).expect("a bound socket has an address");
    let _first = Connection::to("in the queue", address);
    let popgate = impatient(address, "tls = \"none\"");
    for _ in 0..2 {
        let begin = Instant::now();
        let mut client = popgate.connect("pop3");
        let reply = client.text();
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
        client.expect_end();
        assert!(begin.elapsed() < PATIENCE / 2, "it took {:?}", begin.elapsed());
    }
}

/// Credentials that are there already wait for a server that has shown itself to be one.
#[test]
fn a_server_that_does_not_greet_gets_no_credentials() {
    for says in
        ["", "-ERR [SYS/TEMP] not now\r\n", "220 mx.example.org ESMTP\r\n", "HTTP/1.1 200 OK\r\n\r\n", "+OK \x16\x03"]
    {
        let server = Upstream::listen();
        let popgate = Popgate::start(&format!(
            "[limits]\nconnect = \"1s\"\n\
             [[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{}\"\n\
             [[route]]\nuser = \"*\"\nupstream = \"server\"\n",
            server.address()
        ));
        let mut client = popgate.connect("pop3");
        client.send("USER alice\r\nPASS secret\r\n");
        let mut upstream = server.accept();
        upstream.send(says);
        upstream.expect_end();
        assert!(client.text().starts_with("+OK"), "{says:?}: the greeting");
        assert!(client.text().starts_with("+OK"), "{says:?}: USER");
        let reply = client.text();
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{says:?}: {reply}");
        // It is not the client's fault: the same connection can be used again.
        client.send_line("USER bob");
        assert!(client.text().starts_with("+OK"), "{says:?}: USER again");
    }
}

/// Under TLS an end that was not announced may be anybody's.
#[test]
fn a_message_under_tls_that_ends_without_close_notify_is_not_whole() {
    let filter = "[[filter]]\nplugin = \"virus\"\n";
    for (more, body, whole) in [
        ("", "A: b\r\n\r\nhalf\r\n", false),
        (filter, "A: b\r\n\r\nhalf\r\n", false),
        ("", "A: b\r\n\r\nall\r\n.\r\n", true),
        (filter, "A: b\r\n\r\nall\r\n.\r\n", true),
    ] {
        let folder = process::folder();
        let certificates = Certificates::create(folder.path(), "server");
        let settings = format!(
            "tls = \"implicit\"\nca = {:?}\nserver_name = \"localhost\"\n{more}",
            certificates.ca.display().to_string()
        );
        let server = Upstream::listen();
        let popgate = popgate(folder, &server.address().to_string(), &settings);
        let tls = certificates.server();
        let played = server.play(move |upstream| {
            let mut upstream = upstream.with_server_tls(tls).expect("a handshake");
            upstream.send_line("+OK ready");
            for _ in 0..2 {
                upstream.line();
                upstream.send_line("+OK");
            }
            upstream.line();
            upstream.send(format!("+OK\r\n{body}"));
        });
        let mut client = popgate.connect("pop3");
        client.log_in("alice", "secret");
        client.send_line("RETR 1");
        let came = client.rest();
        played.join().expect("the server's side");
        let (text, end) = (String::from_utf8_lossy(&came), "\r\n.\r\n-ERR ");
        assert_eq!(text.contains(end), whole, "{more}: {text}");
        assert!(!text.ends_with("\r\n.\r\n"), "{more}: {text}");
        popgate.wait_for_log("close_notify");
    }
}

/// Certificates that nobody should have any more, and one that nobody vouches for.
#[test]
fn a_weak_certificate_is_refused_before_anything_is_said() {
    let openssl = program("openssl", "openssl");
    let names = ["-addext", "subjectAltName=DNS:localhost"];
    for (what, expected, options) in [
        ("a short key", "the TLS handshake failed", &["-newkey", "rsa:1024", "-sha256", names[0], names[1]][..]),
        ("SHA-1", "algorithm", &["-newkey", "rsa:2048", "-sha1", names[0], names[1]]),
        ("a name in CN alone", "common name alone", &["-newkey", "rsa:2048", "-sha256"]),
        ("nobody's", "self-signed", &["-newkey", "rsa:2048", "-sha256", names[0], names[1]]),
    ] {
        let folder = process::folder();
        let path = |name: &str| folder.path().join(name);
        let run = |arguments: &[&str]| {
            let made = process::run(Command::new(&openssl).current_dir(folder.path()).args(arguments), PATIENCE);
            assert_eq!(made.code, Some(0), "{what}: {made:?}");
        };
        let subject = ["-nodes", "-days", "2", "-keyout"];
        run(&[
            &["req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=authority", "-out", "ca.pem"][..],
            &subject,
            &["ca.key"],
        ]
        .concat());
        let signed: &[&str] = if what == "nobody's" { &[] } else { &["-CA", "ca.pem", "-CAkey", "ca.key"] };
        let own = [
            "req",
            "-x509",
            "-subj",
            "/CN=localhost",
            "-out",
            "cert.pem",
            "-addext",
            "basicConstraints=critical,CA:false",
        ];
        run(&[&own[..], options, signed, &subject, &["cert.key"]].concat());
        let mut serve = Command::new(&openssl);
        serve.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cipher", "ALL:@SECLEVEL=0", "-cert"]);
        serve.arg(path("cert.pem")).arg("-key").arg(path("cert.key"));
        let server = Process::start(&mut serve);
        let port = server.output().find(PATIENCE, |line| Some(line.strip_prefix("ACCEPT 127.0.0.1:")?.to_owned()));
        let settings =
            format!("tls = \"implicit\"\nca = {:?}\nserver_name = \"localhost\"", path("ca.pem").display().to_string());
        let address = format!("127.0.0.1:{}", port.expect("a port"));
        let popgate = popgate(folder, &address, &settings);
        let reply = popgate.connect("pop3").text();
        assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{what}: {reply}");
        popgate.wait_for_log(expected);
    }
}
