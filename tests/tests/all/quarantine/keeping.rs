//! For how long messages are kept, and how many.

use std::fs;

use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::mailbox::Mailbox;

use super::setup::{age, command, config, configure, id_of, infected, log_in, quarantine, session};

#[test]
fn a_quota_refuses_what_would_exceed_it_and_the_mail_stays() {
    let mailbox = Mailbox::serve(&[infected(1), infected(2), crlf(&message(3, "clean", "", "Text.\n"))]);
    let size = infected(1).len();
    let rules = format!("[quarantine]\nper_user = {}\n", size * 3 / 2);
    let popgate = Popgate::start(&config(mailbox.address(), &rules));
    let id = id_of(&session(&popgate, "alice", 1).expect("there is room for one"));
    let refused = session(&popgate, "alice", 2).expect_err("there is no room for two");
    assert!(refused.starts_with("-ERR [SYS/TEMP] "), "{refused}");
    popgate.wait_for_log("`quarantine.per_user` allows");
    // The rest of the maildrop is as it was, and the message is still there for all to see.
    assert!(session(&popgate, "alice", 3).is_ok_and(|mail| mail.contains("Subject: clean")));
    let mut client = log_in(&popgate, "alice");
    assert!(client.succeed("STAT").starts_with("+OK 3 "));
    client.succeed("QUIT");
    // What is held already is held without taking more, and others have room of their own.
    assert_eq!(id_of(&session(&popgate, "alice", 1).expect("it is held")), id);
    session(&popgate, "bob", 2).expect("there is room for bob's");
    let listed = quarantine(&popgate, &["list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    // As soon as somebody makes room there is some.
    quarantine(&popgate, &["delete", &id]);
    assert_ne!(id_of(&session(&popgate, "alice", 2).expect("there is room again")), id);
}

#[test]
fn what_is_held_for_too_long_is_removed_but_not_before_its_owner_has_it() {
    let mailbox = Mailbox::serve(&(1..=4).map(infected).collect::<Vec<_>>());
    let configuration = config(mailbox.address(), "[quarantine]\nkeep = \"7d\"\n");
    let popgate = Popgate::start(&configuration);
    let ids: Vec<_> = (1..=4).map(|number| id_of(&session(&popgate, "alice", number).expect("it is held"))).collect();
    for id in &ids[..3] {
        age(popgate.folder(), id, 8);
    }
    quarantine(&popgate, &["release", &ids[1]]);
    // It is held once more, so its time begins anew.
    session(&popgate, "alice", 3).expect("it is held");
    assert!(quarantine(&popgate, &["expire"]).starts_with("1 messages removed, "));
    let listed = quarantine(&popgate, &["list"]);
    let left: Vec<_> = ids.iter().map(|id| listed.contains(&**id)).collect();
    assert_eq!(left, [false, true, true, true], "{listed}");
    assert!(listed.contains(&format!("{} released", ids[1])));

    let mut client = log_in(&popgate, "alice");
    client.succeed("RETR 5");
    assert_eq!(client.body(), infected(2));
    client.succeed("DELE 5");
    client.succeed("QUIT");
    client.expect_end();
    assert!(quarantine(&popgate, &["expire"]).starts_with("1 messages removed, "));
    // A configuration that keeps everything says so.
    configure(popgate.folder(), &configuration.replace("7d", "0"));
    age(popgate.folder(), &ids[2], 400);
    assert!(quarantine(&popgate, &["expire"]).contains("everything is kept"));
    // The running proxy does the same by itself, when it gets the rule.
    popgate.reload(&configuration);
    popgate.wait_for_log(&format!("removed from quarantine: its time is over id={}", ids[2]));
    assert_eq!(quarantine(&popgate, &["list"]).lines().count(), 1);
}

#[test]
fn the_command_shows_what_is_held_to_people_and_programs() {
    let mailbox = Mailbox::serve(&[infected(1), infected(2)]);
    let popgate = Popgate::start(&config(mailbox.address(), ""));
    let id = id_of(&session(&popgate, "alice", 1).expect("it is held"));
    let other = id_of(&session(&popgate, "bob", 2).expect("it is held"));
    for user in ["alice", "alice@server"] {
        let listed = quarantine(&popgate, &["list", "--user", user]);
        assert!(listed.contains(&id) && !listed.contains(&other), "{listed}");
        assert!(listed.contains(&format!(" {} ", infected(1).len())), "{listed}");
    }
    assert_eq!(quarantine(&popgate, &["list", "--user", "eve"]), "");
    let listed = quarantine(&popgate, &["list", "--json"]);
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a line is a JSON object");
    let records: Vec<_> = listed.lines().map(read).collect();
    assert_eq!(records.len(), 2);
    let mine = records.iter().find(|record| record["id"] == *id).expect("alice's");
    assert_eq!((&mine["state"], &mine["identity"]["user"]), (&"held".into(), &"alice".into()));
    assert_eq!((&mine["size"], &mine["filter"]), (&infected(1).len().into(), &"virus".into()));
    assert_eq!(read(&quarantine(&popgate, &["show", &id, "--json"])), *mine);
    let shown = quarantine(&popgate, &["show", &id]);
    for fact in ["owner    alice@server", "filter   virus", "reason   ", "sha256   ", "message.eml"] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    let raw = command(popgate.folder(), &["show", &format!("pg-{id}"), "--raw"]);
    assert_eq!(raw.output.as_bytes(), infected(1));
    // What goes wrong is told.
    let missing = "0".repeat(32);
    for (arguments, code, text) in [
        (["show", "../../etc/passwd"], 2, "is not an id"),
        (["show", &missing], 1, "there is no message"),
        (["release", &missing], 1, "there is no message"),
        (["delete", &missing], 1, "there is no message"),
        (["delete", "x\u{1b}[2J"], 2, "`x\\u{1b}[2J` is not an id"),
    ] {
        let ended = command(popgate.folder(), &arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}");
        assert!(ended.errors.contains(text) && ended.errors.contains("hint: "), "{}", ended.errors);
    }
    let file = popgate.folder().join("state/quarantine").join(&id).join("message.eml");
    fs::write(&file, "half").expect("the file is there");
    assert_eq!(command(popgate.folder(), &["show", &id]).code, Some(1), "a damaged message is not shown");
}
