//! What real clients rely on, against a real server: deletions, refusals, own certificates.

use popgate_tests::certificates::trust;
use popgate_tests::clients::{Account, Mechanism, Tls, move_by_fetchmail};
use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{self, expect_same, normalised};
use popgate_tests::popgate::Popgate;

/// popgate before the shared Dovecot, with STLS to it.
fn popgate(dovecot: &Dovecot, listener: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"dovecot\"\n{listener}\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"stls\"\nca = {:?}\n",
        dovecot.plain().port(),
        dovecot.ca().display().to_string()
    ))
}

fn log_in(popgate: &Popgate, user: &str) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in(user, PASSWORD);
    client
}

/// Waits until the server has ended the session: it has seen all that it will ever see of it.
fn all_mail_behind(dovecot: &Dovecot, popgate: &Popgate, user: &str) -> usize {
    let mut client = log_in(popgate, user);
    let count = client.succeed("STAT").split(' ').nth(1).and_then(|count| count.parse().ok()).expect("STAT counts");
    assert_eq!(dovecot.mail(user).len(), count);
    count
}

#[test]
fn what_is_deleted_goes_with_quit() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(100));
    let (popgate, user) = (popgate(dovecot, "tls = \"none\""), dovecot.user(&messages));
    let mut client = log_in(&popgate, &user);
    client.succeed("DELE 1");
    client.succeed("DELE 2");
    client.succeed("RSET");
    client.succeed("DELE 3");
    client.succeed("QUIT");
    client.expect_end();
    assert_eq!(all_mail_behind(dovecot, &popgate, &user), messages.len() - 1);
    let left: Vec<_> =
        messages.iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, message)| message.clone()).collect();
    expect_same("after QUIT", &left, &dovecot.mail(&user));
}

#[test]
fn what_is_deleted_stays_without_quit() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(100));
    let (popgate, user) = (popgate(dovecot, "tls = \"none\""), dovecot.user(&messages));
    let mut client = log_in(&popgate, &user);
    client.succeed("DELE 1");
    drop(client);
    // The end of a session is in the log.
    popgate.wait_for_log("closed");
    assert_eq!(all_mail_behind(dovecot, &popgate, &user), messages.len());
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_taken() {
    let dovecot = Dovecot::shared();
    let (popgate, user) = (popgate(dovecot, "tls = \"none\""), dovecot.user(&mail::mailbox(100)));
    let mut client = popgate.connect("pop3");
    client.text();
    client.succeed(&format!("USER {user}"));
    let reply = client.command("PASS wrong");
    assert!(reply.starts_with("-ERR [AUTH]"), "{reply}");
    client.succeed(&format!("USER {user}"));
    client.succeed(&format!("PASS {PASSWORD}"));
    client.succeed("STAT");
}

#[test]
fn popgate_is_trusted_by_the_authority_that_it_has_made() {
    let dovecot = Dovecot::shared();
    let messages = mail::mailbox(100);
    let user = dovecot.user(&messages);
    let popgate = popgate(dovecot, "tls = \"implicit\"");
    let mut client = popgate.connect("pop3").with_client_tls(trust(popgate.ca()));
    client.log_in(&user, PASSWORD);
    client.succeed("RETR 1");
    assert_eq!(normalised(&client.body()), messages[0]);
    client.succeed("QUIT");
}

#[test]
fn private_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let popgate = popgate(Dovecot::shared(), "tls = \"implicit\"");
    let state = popgate.folder().join("state");
    assert!(popgate.ca().starts_with(&state), "{}", popgate.ca().display());
    let mut folders = vec![state];
    let mut keys = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().expect("the file is there"));
            if metadata.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("PRIVATE KEY")) {
                assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", path.display());
                keys += 1;
            }
        }
    }
    assert!(keys > 0, "no private key in the state folder");
}

#[test]
fn top_counts_lines_as_the_server_does() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(100));
    let user = dovecot.user(&messages);
    let plain = popgate(dovecot, "tls = \"none\"");
    let reader = "tls = \"none\"\n[[filter]]\nname = \"reader\"\nplugin = \"virus\"\nconfig = { ambiguous = \"pass\" }";
    let filtered = popgate(dovecot, reader);
    let (mut plain, mut filtered) = (log_in(&plain, &user), log_in(&filtered, &user));
    for number in 1..=messages.len() {
        for lines in [0, 1, 3, 1_000_000] {
            let command = format!("TOP {number} {lines}");
            plain.succeed(&command);
            filtered.succeed(&command);
            assert_eq!(filtered.body(), plain.body(), "{command}");
        }
    }
}

/// popgate that reads ahead, before the shared Dovecot.
fn reading_ahead(dovecot: &Dovecot, filters: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"none\"\nread_ahead = 5\n{filters}",
        dovecot.plain().port(),
    ))
}

/// The mail that a client gets that asks for one message after the other in this way, and deletes each if it is told to.
fn one_by_one(popgate: &Popgate, user: &str, count: usize, way: &str, deletes: bool) -> Vec<Vec<u8>> {
    let mut client = log_in(popgate, user);
    let mut came = Vec::new();
    for number in 1..=count {
        client.succeed(&format!("LIST {number}"));
        client.succeed(&way.replace("{}", &number.to_string()));
        came.push(normalised(&client.body()));
        if deletes {
            client.succeed(&format!("DELE {number}"));
        }
    }
    client.succeed("QUIT");
    client.expect_end();
    came
}

#[test]
fn what_is_read_ahead_is_the_same_mail() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(998));
    let all: Vec<_> = messages.iter().cycle().take(messages.len() * 4).cloned().collect();
    for filters in
        ["", "[[filter]]\nplugin = \"rewrite\"\n[[filter.config.header]]\naction = \"remove\"\nname = \"X-None\"\n"]
    {
        let popgate = reading_ahead(dovecot, filters);
        for way in ["RETR {}", "TOP {} 99999999"] {
            let user = dovecot.user(&all);
            expect_same(way, &all, &one_by_one(&popgate, &user, all.len(), way, false));
            assert_eq!(dovecot.mail(&user).len(), all.len());
            expect_same("with DELE", &all, &one_by_one(&popgate, &user, all.len(), way, true));
            assert_eq!(dovecot.mail(&user).len(), 0);
        }
    }
}

#[test]
fn fetchmail_by_default_gets_mail_that_was_read_ahead() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(998));
    let (popgate, user) = (reading_ahead(dovecot, ""), dovecot.user(&messages));
    let account = Account {
        port: popgate.port("pop3"),
        tls: Tls::None,
        ca: dovecot.ca(),
        user: &user,
        mechanism: Mechanism::User,
        password: PASSWORD,
        count: messages.len(),
    };
    expect_same("fetchmail", &messages, &move_by_fetchmail(&account));
    assert_eq!(dovecot.mail(&user).len(), 0);
}

#[test]
fn a_client_that_vanishes_while_mail_is_read_ahead_loses_nothing() {
    let (dovecot, messages) = (Dovecot::shared(), mail::mailbox(998));
    let (popgate, user) = (reading_ahead(dovecot, ""), dovecot.user(&messages));
    let mut client = log_in(&popgate, &user);
    for number in 1..=3 {
        client.succeed(&format!("RETR {number}"));
        client.body();
        client.succeed(&format!("DELE {number}"));
    }
    drop(client);
    popgate.wait_for_log("closed");
    assert_eq!(all_mail_behind(dovecot, &popgate, &user), messages.len());
}
