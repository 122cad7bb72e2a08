//! Filters that ask daemons: clamd, spamd and rspamd, real ones.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use popgate_tests::PATIENCE;
use popgate_tests::popgate;
use popgate_tests::process::{self, folder, write};
use popgate_tests::scanner::{MARK, Scanner};
use serde_json::Value;

/// What a bundled filter that asks at this address says of a mail with this body.
fn report(plugin: &str, address: SocketAddr, granted: SocketAddr, body: &str) -> Value {
    report_within(plugin, "20s", address, granted, body)
}

fn report_within(plugin: &str, timeout: &str, address: SocketAddr, granted: SocketAddr, body: &str) -> Value {
    let folder = folder();
    let config = popgate::configuration(
        folder.path(),
        &format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n\
             [[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n\
             [[filter]]\nplugin = \"{plugin}\"\ntimeout = \"{timeout}\"\ncpu = \"5s\"\n\
             grant = {{ connect = [\"{granted}\"] }}\nconfig = {{ address = \"{address}\" }}\n"
        ),
    );
    let mail = folder.path().join("mail");
    write(
        &mail,
        format!(
            "From: a@example.org\nTo: b@example.org\nSubject: hello\nDate: Sat, 1 Aug 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\n\n{body}\n"
        ),
    );
    let mut command = popgate::command();
    let ended = process::run(command.args(["filter", "--json", "--config"]).arg(config).arg(mail), PATIENCE);
    let report = ended.errors.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{}", ended.errors));
    serde_json::from_str(report).expect("a line of JSON")
}

fn asked(plugin: &str, scanner: &Scanner, body: &str) -> Value {
    report(plugin, scanner.address(), scanner.address(), body)
}

#[test]
fn clamd_finds_a_signature_and_passes_the_rest() {
    let clamd = Scanner::clamd();
    let clean = asked("clamav", &clamd, "nothing to see");
    assert_eq!(clean["verdict"], "pass", "{clean}");
    let found = asked("clamav", &clamd, MARK);
    assert_eq!(found["verdict"], "hold", "{found}");
    assert_eq!(found["findings"][0]["text"], "Popgate.Test.UNOFFICIAL", "{found}");
    // Beyond what clamd takes: its own words, and not clean.
    let large = asked("clamav", &clamd, &"a line of text, and another one\n".repeat(60_000));
    assert_eq!(large["verdict"], "retry", "{large}");
    assert!(large["reason"].as_str().is_some_and(|reason| reason.contains("clamd at ")), "{large}");
}

#[test]
fn spamd_gives_points() {
    let spamd = Scanner::spamd();
    let ham = asked("spamassassin", &spamd, "nothing to see");
    assert_eq!((&ham["verdict"], &ham["score"]), (&"pass".into(), &0.0.into()), "{ham}");
    let spam = asked("spamassassin", &spamd, MARK);
    assert_eq!((&spam["verdict"], &spam["score"]), (&"pass".into(), &7.5.into()), "{spam}");
    assert_eq!(spam["findings"][0]["text"], "POPGATE_TEST", "{spam}");
}

#[test]
fn rspamd_gives_points() {
    let rspamd = Scanner::rspamd();
    let ham = asked("rspamd", &rspamd, "nothing to see");
    assert_eq!(ham["verdict"], "pass", "{ham}");
    let spam = asked("rspamd", &rspamd, MARK);
    assert_eq!(spam["verdict"], "pass", "{spam}");
    let text = spam["findings"][0]["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("reject: GTUBE"), "{spam}");
}

#[test]
fn a_daemon_that_is_away_silent_or_not_granted_is_never_clean() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent_address = silent.local_addr().expect("it is bound");
    let breaks_off = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let breaks_off_address = breaks_off.local_addr().expect("it is bound");
    thread::spawn(move || {
        for connection in breaks_off.incoming() {
            drop(connection);
        }
    });
    for plugin in ["clamav", "spamassassin", "rspamd"] {
        let away = report(plugin, gone, gone, "text");
        assert_eq!(away["verdict"], "retry", "{plugin}: {away}");
        let half = report(plugin, breaks_off_address, breaks_off_address, "text");
        assert_eq!(half["verdict"], "retry", "{plugin}: {half}");
        // It takes the connection and never says a word.
        let silence = report_within(plugin, "500ms", silent_address, silent_address, "text");
        assert_eq!(silence["verdict"], "retry", "{plugin}: {silence}");
        let denied = report(plugin, silent_address, gone, "text");
        assert_eq!(denied["verdict"], "retry", "{plugin}: {denied}");
        let reason = denied["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("grant"), "{plugin}: {denied}");
    }
}
