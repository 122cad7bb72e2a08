//! How clients get in: what the proxy makes of their credentials, and that it knows them by name.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use popgate_tests::certificates::{Certificates, trust, trust_and_show};
use popgate_tests::clients::{Account, Client, Mechanism, Tls};
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, MASTER, MASTER_PASSWORD, PASSWORD};
use popgate_tests::mail::{self, expect_same};
use popgate_tests::popgate::{Popgate, run_with};
use popgate_tests::process::{folder, write};
use popgate_tests::upstream::Upstream;

/// `sesame`, as `openssl passwd -6` writes it.
const HASH: &str =
    "$6$saltstring$zw6YcBRuwlGueZoWIkK6CRJbQmJbhVf1zPxCfDBsJpbBlxfJ610F8Vp0i93QFh0AmoYe0z/GrJISxBfRQSsGe1";

fn base64(text: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(text)
}

/// An upstream section for this Dovecot with more keys, and a fixed and a routed listener before it.
fn before(dovecot: &Dovecot, keys: &str) -> String {
    format!(
        "[[listener]]\nname = \"fixed\"\naddress = \"127.0.0.1:0\"\nupstream = \"dovecot\"\n\
         [[listener]]\nname = \"routed\"\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nuser = \"*@dept.example\"\nupstream = \"dovecot\"\nrewrite_user = \"{{local}}\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"stls\"\nca = {:?}\n{keys}\n",
        dovecot.plain().port(),
        dovecot.ca().display().to_string()
    )
}

/// How many messages the user has to whom the session belongs.
fn count(client: &mut Connection) -> usize {
    client.succeed("STAT").split(' ').nth(1).and_then(|count| count.parse().ok()).expect("STAT counts")
}

#[test]
fn apop_is_made_for_a_real_server() {
    let dovecot = Dovecot::shared();
    let messages = mail::mailbox(100);
    let popgate = Popgate::start(&before(dovecot, "auth = \"apop\""));
    for (listener, domain) in [("fixed", ""), ("routed", "@dept.example")] {
        let user = dovecot.user(&messages[..2]);
        let name = format!("{user}{domain}");
        let mut client = popgate.connect(listener);
        let greeting = client.text();
        assert!(greeting.starts_with("+OK") && !greeting.contains('<'), "{greeting}");
        client.succeed(&format!("USER {name}"));
        let refusal = client.command("PASS wrong");
        assert!(refusal.starts_with("-ERR"), "{refusal}");
        client.succeed(&format!("USER {name}"));
        client.succeed(&format!("PASS {PASSWORD}"));
        assert_eq!(count(&mut client), 2);
        dovecot.wait_for_log(&user, "method=APOP");
        let user = dovecot.user(&messages[..3]);
        let mut client = popgate.connect(listener);
        client.text();
        client.succeed(&format!("AUTH PLAIN {}", base64(format!("\0{user}{domain}\0{PASSWORD}"))));
        assert_eq!(count(&mut client), 3);
        dovecot.wait_for_log(&user, "method=APOP");
    }
}

#[test]
fn a_master_user_of_a_real_server_logs_in_for_clients() {
    let dovecot = Dovecot::shared();
    let messages = mail::mailbox(100);
    let user = dovecot.user(&messages[..3]);
    let own = folder();
    write(&own.path().join("master"), format!("{MASTER_PASSWORD}\n"));
    write(&own.path().join("users"), format!("{user}:{{SHA512-CRYPT}}{HASH}\n"));
    let keys = format!(
        "auth = \"master\"\nmaster_user = \"{MASTER}\"\nmaster_password_file = \"master\"\nusers_file = \"users\""
    );
    let popgate = Popgate::start_in(own, &before(dovecot, &keys));
    for (listener, domain) in [("fixed", ""), ("routed", "@dept.example")] {
        let mut client = popgate.connect(listener);
        client.text();
        for (name, password) in [(user.as_str(), PASSWORD), ("mallory", "sesame"), (MASTER, MASTER_PASSWORD)] {
            client.succeed(&format!("USER {name}{domain}"));
            assert_eq!(client.command(&format!("PASS {password}")), "-ERR [AUTH] login failed");
        }
        client.succeed(&format!("USER {user}{domain}"));
        client.succeed("PASS sesame");
        assert_eq!(count(&mut client), 3);
        client.succeed("RETR 1");
        assert_eq!(mail::normalised(&client.body()), messages[0]);
    }
    assert!(!popgate.log().contains("sesame"), "a password is in the log:\n{}", popgate.log());
}

/// A client by each mechanism: what it gets is whole, and the filter that is only for this user has seen it.
#[test]
fn a_real_client_logs_in_by_every_mechanism() {
    let dovecot = Dovecot::shared();
    let messages = mail::mailbox(Client::Mpop.longest_line());
    let filter = "[[filter]]\nname = \"mark\"\nplugin = \"rewrite\"\nonly = { user = [\"user*\"] }\n[filter.config]\n\
                  [[filter.config.header]]\naction = \"add\"\nname = \"X-Seen-For\"\nvalue = \"{user}\"\n";
    let popgate = Popgate::start(&format!("{}{filter}", before(dovecot, "")));
    for mechanism in Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::Xoauth2) {
        let user = dovecot.user(&messages);
        let account = Account {
            port: popgate.port("fixed"),
            tls: Tls::None,
            ca: dovecot.ca(),
            user: &user,
            mechanism,
            password: PASSWORD,
            count: messages.len(),
        };
        let _log = popgate.log_on_failure(&user);
        // mpop takes no greeting of Dovecot's for one with a timestamp.
        let client = if mechanism == Mechanism::Apop { Client::NetPop3 } else { Client::Mpop };
        let came = client.download(&account);
        let mark = format!("X-Seen-For: {user}\n");
        let marked: Vec<_> = messages.iter().map(|message| [mark.as_bytes(), message.as_slice()].concat()).collect();
        expect_same(mechanism.name(), &marked, &came);
        let method = if mechanism == Mechanism::User { "PLAIN" } else { mechanism.name() };
        dovecot.wait_for_log(&user, &format!("method={method}"));
    }
}

/// What a client says in each mechanism that carries its name, and what the server asks before it. The last line of the
/// client, and the first of the server, is the one that the exchange ends with.
#[test]
fn the_user_is_known_to_filters_whatever_the_mechanism() {
    for (mechanism, responses) in [
        ("PLAIN", vec!["\0alice\0sesame"]),
        ("PLAIN", vec!["alice\0admin\0sesame"]),
        ("LOGIN", vec!["alice", "sesame"]),
        ("CRAM-MD5", vec!["alice b913a602c7eda7a495b4e6e7334d3890"]),
        ("SCRAM-SHA-1", vec!["n,,n=alice,r=abc", "c=biws,r=abcdef,p=x", ""]),
        ("SCRAM-SHA-256", vec!["y,a=alice,n=admin,r=abc", "c=biws,r=abcdef,p=x", ""]),
        ("XOAUTH2", vec!["user=alice\x01auth=Bearer sesame\x01\x01"]),
        ("OAUTHBEARER", vec!["n,a=alice,\x01host=x\x01auth=Bearer sesame\x01\x01"]),
        ("EXTERNAL", vec!["alice"]),
        // Nobody knows: the filter runs for fear of missing one.
        ("GSSAPI", vec!["YII opaque", ""]),
        ("EXTERNAL", vec![""]),
    ] {
        for initial in [false, true] {
            relayed_to_filters(mechanism, &responses, initial && mechanism != "CRAM-MD5");
        }
    }
}

fn relayed_to_filters(mechanism: &str, responses: &[&str], initial: bool) {
    let server = Upstream::listen();
    let popgate = Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"scripted\"\n\
         [[upstream]]\nname = \"scripted\"\naddress = \"{}\"\n\
         [[filter]]\nname = \"mark\"\nplugin = \"rewrite\"\nonly = {{ user = [\"alice\"] }}\n[filter.config]\n\
         subject_prefix = \"[seen] \"\n\
         [[filter]]\nname = \"others\"\nplugin = \"rewrite\"\nonly = {{ user = [\"admin\", \"sesame\"] }}\n[filter.config]\n\
         subject_prefix = \"[wrong] \"\n",
        server.address()
    ));
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send("+OK ready\r\n");
    client.text();
    let mut responses: Vec<String> = responses.iter().map(base64).collect();
    let first = if initial { format!(" {}", responses.remove(0)) } else { String::new() };
    // RFC 5034 section 4: an empty initial response is `=`.
    let first = if first == " " { " =".to_owned() } else { first };
    let mut said = format!("AUTH {mechanism}{first}");
    for response in responses {
        client.send_line(&said);
        assert_eq!(upstream.text(), said);
        upstream.send("+ c2VydmVy\r\n");
        assert_eq!(client.text(), "+ c2VydmVy");
        said = response;
    }
    client.send_line(&said);
    assert_eq!(upstream.text(), said, "{mechanism}");
    upstream.send("+OK in\r\n");
    assert_eq!(client.text(), "+OK in", "{mechanism}");
    client.send_line("RETR 1");
    assert_eq!(upstream.text(), "RETR 1");
    upstream.send("+OK\r\nFrom: a@b\r\nSubject: x\r\n\r\nbody\r\n.\r\n");
    assert!(client.text().starts_with("+OK"));
    let body = String::from_utf8(client.body()).expect("the mail is ASCII");
    let unknown = mechanism == "GSSAPI" || said.is_empty() && mechanism == "EXTERNAL" || said.ends_with(" =");
    assert!(body.contains("[seen] "), "{mechanism}, initial response: {initial}\n{body}");
    assert_eq!(body.contains("[wrong] "), unknown, "{mechanism}, initial response: {initial}\n{body}");
    let log = popgate.log();
    assert!(!log.contains("sesame") && !log.contains(&base64("sesame")), "{mechanism}\n{log}");
}

#[test]
fn an_unknown_user_is_refused_as_a_known_one() {
    let (own, server) = (folder(), Upstream::listen());
    write(&own.path().join("master"), "sesame\n");
    // So much work that it shows: half a million rounds of SHA-512.
    let slow = "$6$rounds=500000$saltstring$";
    let hash = format!("{slow}{}", &HASH[HASH.len() - 86..]);
    write(&own.path().join("users"), format!("alice:{hash}\n"));
    let popgate = Popgate::start_in(
        own,
        &format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"scripted\"\n\
             [[upstream]]\nname = \"scripted\"\naddress = \"{}\"\nauth = \"master\"\nmaster_user = \"gateway\"\n\
             master_password_file = \"master\"\nusers_file = \"users\"\n",
            server.address()
        ),
    );
    let refused = |user: &str| {
        let mut client = popgate.connect("pop3");
        let mut upstream = server.accept();
        upstream.send("+OK ready\r\n");
        client.text();
        client.succeed(&format!("USER {user}"));
        let begin = Instant::now();
        let reply = client.command("PASS wrong");
        let taken = begin.elapsed();
        upstream.expect_quiet();
        (reply, taken)
    };
    // The delay of refusals grows by whole seconds: that of the first, 0 s, and of the second, 1 s, are taken off.
    let (known, work) = refused("alice");
    let (unknown, more) = refused("mallory");
    assert_eq!(known, unknown);
    let more = more.saturating_sub(Duration::from_secs(1));
    assert!(work > Duration::from_millis(50), "no work was done in {work:?}");
    assert!(more > work / 4 && more < work * 4 + Duration::from_millis(500), "{work:?} {more:?}");
}

fn with_certificates(own: &Path, server: &str, listener: &str, users: &str) -> String {
    write(&own.join("master"), "masters-sesame\n");
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nclient_ca = \"{{dir}}/alice-ca.pem\"\n{listener}\n\
         [[route]]\nuser = \"*\"\nupstream = \"scripted\"\n\
         [[upstream]]\nname = \"scripted\"\naddress = \"{server}\"\nauth = \"master\"\nmaster_user = \"gateway\"\n\
         master_password_file = \"master\"\n{users}"
    )
}

#[test]
fn a_certificate_vouches_for_its_user_and_for_nobody_else() {
    for (tls, routed) in [("implicit", true), ("implicit", false), ("stls-required", false)] {
        let (own, server) = (folder(), Upstream::listen());
        let alice = Certificates::of_client(own.path(), "alice", Some("alice@dept.example"));
        let upstream = if routed { "" } else { "upstream = \"scripted\"" };
        let listener = format!("tls = \"{tls}\"\n{upstream}");
        let config = with_certificates(own.path(), &server.address().to_string(), &listener, "");
        let popgate = Popgate::start_in(own, &config);
        let show = trust_and_show(popgate.ca(), &alice);
        let mut client = popgate.connect("pop3");
        let mut scripted = None;
        let greet = |scripted: &mut Option<Connection>| {
            scripted.get_or_insert_with(|| server.accept()).send("+OK ready\r\n");
        };
        if tls == "implicit" {
            client = client.with_client_tls(show);
            if !routed {
                greet(&mut scripted);
            }
            client.text();
        } else {
            greet(&mut scripted);
            client.text();
            assert!(client.command("AUTH EXTERNAL =").starts_with("-ERR [AUTH]"));
            client.succeed("STLS");
            client = client.with_client_tls(show);
        }
        let refusal = client.command(&format!("AUTH EXTERNAL {}", base64("bob@dept.example")));
        assert_eq!(refusal, "-ERR [AUTH] login failed");
        client.send_line("AUTH EXTERNAL");
        assert_eq!(client.text(), "+ ");
        client.send_line(base64("alice@dept.example"));
        if routed {
            greet(&mut scripted);
        }
        let upstream = scripted.as_mut().expect("somebody has connected");
        assert_eq!(upstream.text(), "AUTH PLAIN");
        upstream.send("+ \r\n");
        assert_eq!(upstream.text(), base64("alice@dept.example\0gateway\0masters-sesame"));
        upstream.send("+OK in\r\n");
        assert_eq!(client.text(), "+OK in");
        assert!(!popgate.log().contains("sesame"), "{}", popgate.log());
    }
}

#[test]
fn without_a_trusted_certificate_nobody_gets_in() {
    let (own, server) = (folder(), Upstream::listen());
    let _alice = Certificates::of_client(own.path(), "alice", None);
    let mallory = Certificates::of_client(own.path(), "mallory", Some("alice@dept.example"));
    let config = with_certificates(own.path(), &server.address().to_string(), "tls = \"implicit\"", "");
    let popgate = Popgate::start_in(own, &config);
    for config in [trust(popgate.ca()), trust_and_show(popgate.ca(), &mallory)] {
        // With TLS 1.3 a client takes the handshake for done before the server has looked at its certificate.
        let ended = std::thread::scope(|scope| {
            let attempt = || {
                let mut client = popgate.connect("pop3").with_client_tls(config);
                client.text()
            };
            // The harness fails a client whose handshake or line does not come.
            scope.spawn(attempt).join()
        });
        assert!(ended.is_err(), "{ended:?}");
    }
    server.expect_nobody();
}

#[test]
fn a_master_login_without_anybody_who_vouches_is_no_configuration() {
    let own = folder();
    write(&own.path().join("master"), "sesame\n");
    write(&own.path().join("empty"), "# nobody yet\n");
    let base = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"m\"\n[[upstream]]\nname = \"m\"\n\
                address = \"127.0.0.1:110\"\nauth = \"master\"\nmaster_user = \"gateway\"\n";
    for (keys, expected) in [
        ("master_password_file = \"master\"\n", "nobody checks who the clients"),
        ("users_file = \"users\"\n", "needs `master_password_file`"),
        ("master_password_file = \"none\"\nusers_file = \"users\"\n", "none`: No such file"),
        ("master_password_file = \"master\"\nusers_file = \"none\"\n", "none`: No such file"),
        ("master_password_file = \"master\"\nusers_file = \"empty\"\n", "there is no user in"),
        ("master_password_file = \"empty\"\nusers_file = \"master\"\n", "line 1: it is not `name:hash`"),
    ] {
        let ended = run_with("check", own.path(), &format!("{base}{keys}"));
        assert_eq!(ended.code, Some(2), "{keys}\n{}{}", ended.output, ended.errors);
        assert!(ended.errors.contains(expected) && ended.errors.contains("hint:"), "{keys}\n{}", ended.errors);
        assert!(!ended.errors.contains("sesame"), "{}", ended.errors);
    }
}
