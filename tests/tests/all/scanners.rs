//! Filters that ask daemons: clamd, spamd and rspamd, real ones.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use popgate_tests::PATIENCE;
use popgate_tests::clients::{Account, Client, Tls};
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{message, normalised};
use popgate_tests::popgate::{self, Popgate};
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

/// Filters that ask the daemons at these addresses, and `verdict` on what they say.
fn filters(addresses: [SocketAddr; 3], on_error: &str) -> String {
    let names = ["spamassassin", "rspamd", "clamav"];
    let asks = |(name, address): (&str, SocketAddr)| {
        format!(
            "[[filter]]\nplugin = \"{name}\"\non_error = \"{on_error}\"\ntimeout = \"20s\"\nbreaker = {{ failures = 0, pause = \"1s\" }}\n\
             grant = {{ connect = [\"{address}\"] }}\nconfig = {{ address = \"{address}\" }}\n"
        )
    };
    names.into_iter().zip(addresses).map(asks).collect::<String>()
        + "[[filter]]\nplugin = \"verdict\"\nconfig = { subject_tag = \"[spam] \" }\n"
}

/// All mail of a user, by a real client.
fn fetched(popgate: &Popgate, dovecot: &Dovecot, user: &str, count: usize) -> Result<Vec<String>, String> {
    let account = Account {
        port: popgate.port("pop3"),
        tls: Tls::None,
        ca: dovecot.ca(),
        user,
        mechanism: Client::Poplib.usual(),
        password: PASSWORD,
        count,
    };
    let mut came: Vec<_> = Client::Poplib
        .attempt(&account)?
        .iter()
        .map(|mail| String::from_utf8(normalised(mail)).expect("the mail is ASCII"))
        .collect();
    came.sort_by_key(|mail| mail.contains(MARK) || mail.contains("[held]"));
    Ok(came)
}

#[test]
fn what_daemons_say_counts_on_the_way_and_without_them_on_error_does() {
    let dovecot = Dovecot::shared();
    let user =
        dovecot.user(&[message(1, "hello", "", "nothing to see\n"), message(2, "offer", "", &format!("{MARK}\n"))]);
    let _log = dovecot.log_on_failure(&user);
    let server = format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"stls\"\nca = {:?}\n",
        dovecot.plain().port(),
        dovecot.ca().display().to_string()
    );
    let (spamd, rspamd, clamd) = (Scanner::spamd(), Scanner::rspamd(), Scanner::clamd());
    let addresses = [spamd.address(), rspamd.address(), clamd.address()];
    let with = |on_error: &str| format!("{server}{}", filters(addresses, on_error));

    let popgate = Popgate::start(&with("retry"));
    let came = fetched(&popgate, dovecot, &user, 2).expect("the daemons answer");
    assert!(came[0].contains("X-Spam-Flag: NO\n") && came[0].contains("nothing to see"), "{}", came[0]);
    assert!(came[1].contains("clamav") && came[1].contains("Popgate.Test") && !came[1].contains(MARK), "{}", came[1]);
    let scores = format!("{server}{}", filters(addresses, "retry"))
        .replace("plugin = \"clamav\"", "plugin = \"clamav\"\nmode = \"observe\"");
    popgate.reload(&scores);
    let came = fetched(&popgate, dovecot, &user, 2).expect("the daemons answer");
    assert!(came[1].contains("X-Spam-Flag: YES\n") && came[1].contains("Subject: [spam] offer"), "{}", came[1]);
    assert!(came[1].contains("SPAMASSASSIN=7.5") && came[1].contains("RSPAMD="), "{}", came[1]);

    // Each of them alone is enough to keep the mail where it is.
    let mut one_by_one = vec![(0, Some(spamd)), (1, Some(rspamd)), (2, Some(clamd))];
    for (at, daemon) in &mut one_by_one {
        drop(daemon.take());
        let only = filters(addresses, "retry")
            .split("[[filter]]")
            .skip(1)
            .nth(*at)
            .map(|one| format!("{server}[[filter]]{one}"));
        popgate.reload(&only.expect("there are three"));
        let failure = fetched(&popgate, dovecot, &user, 2).expect_err("a daemon is away");
        assert!(failure.contains("SYS/TEMP"), "{failure}");
    }
    popgate.reload(&with("deliver"));
    let came = fetched(&popgate, dovecot, &user, 2).expect("it is delivered");
    for name in ["spamassassin", "rspamd", "clamav"] {
        assert!(
            came[0].contains(&format!("X-Popgate-Error: {name}: ")) && came[0].contains("nothing to see"),
            "{}",
            came[0]
        );
    }
    popgate.reload(&with("hold"));
    let came = fetched(&popgate, dovecot, &user, 2).expect("notices are delivered");
    assert!(came.iter().all(|mail| mail.contains("Subject: [held] ")), "{came:?}");
    assert_eq!(dovecot.mail(&user).len(), 2);
}
