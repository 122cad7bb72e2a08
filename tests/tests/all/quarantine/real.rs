//! Held mail of a real server: nothing of it is lost there, whatever becomes of it here.

use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::Popgate;

use super::setup::{config, id_of, infected, quarantine};

fn start(dovecot: &Dovecot, upstream: &str, more: &str) -> Popgate {
    let tls = format!("tls = \"stls\"\nca = {:?}\n{upstream}\n", dovecot.ca().display().to_string());
    let address = format!("localhost:{}", dovecot.plain().port());
    let config = config(dovecot.plain(), more).replace(&dovecot.plain().to_string(), &address);
    Popgate::start(&config.replace("[[filter]]", &format!("{tls}[[filter]]")))
}

fn log_in(popgate: &Popgate, user: &str) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in(user, PASSWORD);
    client
}

fn fetch(client: &mut Connection, number: usize) -> String {
    client.succeed(&format!("RETR {number}"));
    String::from_utf8(client.body()).expect("what is sent is ASCII")
}

fn quit(mut client: Connection) {
    client.succeed("QUIT");
    client.expect_end();
}

#[test]
fn a_message_is_held_deleted_at_the_server_released_and_fetched() {
    let dovecot = Dovecot::shared();
    let user = dovecot.user(&[message(1, "clean", "", "Text.\n"), infected(2)]);
    let _log = dovecot.log_on_failure(&user);
    let popgate = start(dovecot, "", "");
    let mut client = log_in(&popgate, &user);
    assert!(fetch(&mut client, 1).contains("Subject: clean"));
    let id = id_of(&fetch(&mut client, 2));
    // As clients do that leave nothing on the server.
    for number in [1, 2] {
        client.succeed(&format!("DELE {number}"));
    }
    quit(client);
    assert_eq!(dovecot.mail(&user).len(), 0, "the quarantine has the only copy");
    quarantine(&popgate, &["release", &id]);
    assert!(quarantine(&popgate, &["expire"]).starts_with("0 messages"));
    let mut client = log_in(&popgate, &user);
    assert!(client.succeed("STAT").starts_with("+OK 1 "));
    assert_eq!(client.command("UIDL 1"), format!("+OK 1 pg-{id}"));
    assert!(fetch(&mut client, 1).as_bytes() == infected(2));
    client.succeed("DELE 1");
    quit(client);
    let mut client = log_in(&popgate, &user);
    assert!(client.succeed("STAT").starts_with("+OK 0 "));
    quit(client);
}

#[test]
fn what_exceeds_a_quota_stays_at_the_server_and_what_is_hidden_does_too() {
    let dovecot = Dovecot::shared();
    let user = dovecot.user(&[infected(1), crlf(&message(2, "clean", "", "Text.\n")), infected(3)]);
    let _log = dovecot.log_on_failure(&user);
    let rules = format!("[quarantine]\nper_user = {}\n", infected(1).len() + 10);
    let popgate = start(dovecot, "held = \"hide\"", &rules);
    let mut client = log_in(&popgate, &user);
    let replies: Vec<_> = [1, 2, 3]
        .map(|number| {
            let reply = client.command(&format!("RETR {number}"));
            if reply.starts_with("+OK") {
                client.body();
            }
            reply.split(' ').take(2).collect::<Vec<_>>().join(" ")
        })
        .to_vec();
    assert_eq!(replies.iter().filter(|reply| *reply == "-ERR [SYS/TEMP]").count(), 1, "{replies:?}");
    quit(client);
    // One of the two is held and not shown any more; the other one is there as it was.
    let mut client = log_in(&popgate, &user);
    assert!(client.succeed("STAT").starts_with("+OK 2 "));
    quit(client);
    assert_eq!(dovecot.mail(&user).len(), 3);
    assert_eq!(quarantine(&popgate, &["list"]).lines().count(), 1);
}
