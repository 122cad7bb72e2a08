//! Real clients download a whole mailbox from Dovecot: directly, through popgate, and through filters that edit.
//!
//! Directly first, so that a fault of a driver or of a client does not look like one of the proxy.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::OnceLock;

use popgate_tests::clients::{Account, Client, Tls};
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{self, expect_same};
use popgate_tests::popgate::Popgate;
use popgate_tests::{PATIENCE, process};

/// What the filter of [`edited`] does to every mail.
const EDITS: &str = r#"
[[filter]]
name = "rewrite"
plugin = "rewrite"
[filter.config]
subject_prefix = "[external] "
[[filter.config.header]]
action = "add"
name = "X-Delivered-For"
value = "{user}"
"#;

/// Without the proxy: the driver and the mailbox are right.
fn direct(client: Client, tls: Tls) {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(client.longest_line()));
    let user = dovecot.user(&messages);
    let _log = dovecot.log_on_failure(&user);
    let address = if tls == Tls::Implicit { dovecot.tls() } else { dovecot.plain() };
    let account = Account {
        port: address.port(),
        tls,
        ca: dovecot.ca(),
        user: &user,
        mechanism: client.usual(),
        password: PASSWORD,
        count: messages.len(),
    };
    expect_same(&format!("{client:?} {tls:?}"), &messages, &client.download(&account));
    assert_eq!(dovecot.mail(&user).len(), messages.len(), "the mail stays on the server");
}

/// Through the proxy, by every way to the server: nothing changes.
fn unchanged(client: Client, tls: Tls) {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(client.longest_line()));
    static POPGATE: OnceLock<Popgate> = OnceLock::new();
    let popgate = POPGATE.get_or_init(|| Popgate::start(&every_way(dovecot)));
    for upstream in Tls::ALL {
        let user = dovecot.user(&messages);
        let _logs = (dovecot.log_on_failure(&user), popgate.log_on_failure(&user));
        let came = client.download(&account(popgate, dovecot, &user, client, (tls, upstream), messages.len()));
        expect_same(&format!("{client:?} {tls:?}, upstream {upstream:?}"), &messages, &came);
        assert_eq!(dovecot.mail(&user).len(), messages.len(), "the mail stays on the server");
    }
}

/// Through the proxy with a filter: what is configured changes, and nothing else.
fn edited(client: Client, tls: Tls) {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(client.longest_line()));
    static POPGATE: OnceLock<Popgate> = OnceLock::new();
    let popgate = POPGATE.get_or_init(|| Popgate::start(&format!("{}{EDITS}", every_way(dovecot))));
    let user = dovecot.user(&messages);
    let _logs = (dovecot.log_on_failure(&user), popgate.log_on_failure(&user));
    let came = client.download(&account(popgate, dovecot, &user, client, (tls, Tls::Implicit), messages.len()));
    let expected: Vec<_> = messages.iter().map(|message| as_edited(message, &user)).collect();
    expect_same(&format!("{client:?} {tls:?}, edited"), &expected, &as_sent(&came));
}

/// A listener for every mode of a client times every mode of the server.
fn every_way(dovecot: &Dovecot) -> String {
    let certificates = dovecot.certificates();
    let mut config = format!(
        "[tls]\ncertificate = {:?}\nprivate_key = {:?}\n",
        certificates.certificate.display().to_string(),
        certificates.private_key.display().to_string()
    );
    for upstream in Tls::ALL {
        let address = if upstream == Tls::Implicit { dovecot.tls() } else { dovecot.plain() };
        let name = upstream.name();
        // Without the stamp: curl would prefer APOP, for which the server has no secrets.
        let _infallible = write!(
            config,
            "[[upstream]]\nname = \"{name}\"\naddress = \"localhost:{}\"\ntls = \"{name}\"\napop = false\n",
            address.port()
        );
        if upstream != Tls::None {
            let _infallible = writeln!(config, "ca = {:?}", dovecot.ca().display().to_string());
        }
        for client in Tls::ALL {
            let tls = client.name();
            let _infallible = write!(
                config,
                "[[listener]]\nname = \"{tls}-{name}\"\naddress = \"127.0.0.1:0\"\ntls = \"{tls}\"\nupstream = \"{name}\"\n"
            );
        }
    }
    config
}

fn account<'a>(
    popgate: &Popgate,
    dovecot: &'a Dovecot,
    user: &'a str,
    client: Client,
    (tls, upstream): (Tls, Tls),
    count: usize,
) -> Account<'a> {
    let port = popgate.port(&format!("{}-{}", tls.name(), upstream.name()));
    Account { port, tls, ca: dovecot.ca(), user, mechanism: client.usual(), password: PASSWORD, count }
}

/// The message with the edits of [`EDITS`], its subject in the form of [`as_sent`].
fn as_edited(message: &[u8], user: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    let (head, rest) = text.split_once("Subject: ").expect("every message has a subject");
    format!("X-Delivered-For: {user}\n{head}Subject: [external] {}", plain_subject(rest)).into_bytes()
}

/// The messages as they came, but with the subject decoded and unfolded: how it is written is the proxy's choice.
fn as_sent(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let one = |message: &Vec<u8>| {
        let text = String::from_utf8(mail::normalised(message)).expect("the mail is UTF-8");
        let (head, rest) = text.split_once("\nSubject: ").expect("every message has a subject");
        format!("{head}\nSubject: {}", plain_subject(rest)).into_bytes()
    };
    messages.iter().map(one).collect()
}

/// Text that begins with a subject, with that as one line of UTF-8 with single blanks.
fn plain_subject(text: &str) -> String {
    let end = text.match_indices('\n').map(|(at, _)| at).find(|&at| !text[at + 1..].starts_with([' ', '\t']));
    let (subject, rest) = text.split_at(end.expect("a field ends"));
    format!("{}{rest}", decoded(subject))
}

/// A subject with its encoded words decoded (RFC 2047), as Python understands them, and single blanks.
fn decoded(subject: &str) -> String {
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    if !subject.contains("=?") {
        return subject;
    }
    let script = "import sys; from email.header import *; print(make_header(decode_header(sys.argv[1])))";
    let python = process::program("python3", "python3");
    let ended = process::run(Command::new(python).args(["-I", "-X", "utf8", "-c", script, &subject]), PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    ended.output.split_whitespace().collect::<Vec<_>>().join(" ")
}

macro_rules! each_client {
    ($($name:ident: $client:ident $tls:ident;)*) => {
        each_client! { @direct $($name: $client $tls;)* }
        each_client! { @unchanged $($name: $client $tls;)* }
        each_client! { @edited $($name: $client $tls;)* }
    };
    (@$how:ident $($name:ident: $client:ident $tls:ident;)*) => {
        mod $how {
            use popgate_tests::clients::{Client, Tls};
            $(#[test] fn $name() { super::$how(Client::$client, Tls::$tls); })*
        }
    };
}

each_client! {
    curl_plain: Curl None;
    curl_stls: Curl Stls;
    curl_implicit: Curl Implicit;
    poplib_plain: Poplib None;
    poplib_stls: Poplib Stls;
    poplib_implicit: Poplib Implicit;
    fetchmail_plain: Fetchmail None;
    fetchmail_stls: Fetchmail Stls;
    fetchmail_implicit: Fetchmail Implicit;
    mpop_plain: Mpop None;
    mpop_stls: Mpop Stls;
    mpop_implicit: Mpop Implicit;
    getmail_plain: Getmail None;
    getmail_implicit: Getmail Implicit;
    net_pop3_plain: NetPop3 None;
    net_pop3_stls: NetPop3 Stls;
    net_pop3_implicit: NetPop3 Implicit;
    pop3client_plain: Pop3Client None;
    pop3client_implicit: Pop3Client Implicit;
    mutt_plain: Mutt None;
    mutt_stls: Mutt Stls;
    mutt_implicit: Mutt Implicit;
}
