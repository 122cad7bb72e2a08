//! What is known of messages after they have gone: `popgate history`.

use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::mail::{crlf, eicar, message};
use popgate_tests::popgate::{Popgate, run};
use popgate_tests::process::{self, poll};
use popgate_tests::upstream::mailbox::Mailbox;
use serde_json::Value;

fn mails() -> Vec<Vec<u8>> {
    vec![
        crlf(&message(1, "first secret subject", "", "A secret text.\n")),
        crlf(&message(2, "second", "", &format!("{}\n", eicar()))),
        crlf(&message(3, "third", "", "Text.\n")),
    ]
}

fn popgate(mailbox: &Mailbox, more: &str) -> Popgate {
    Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n[[filter]]\nplugin = \"virus\"\n{more}",
        mailbox.address()
    ))
}

fn fetch(popgate: &Popgate, user: &str, numbers: &[usize]) {
    let mut client = popgate.connect("pop3");
    client.log_in(user, "secret");
    client.succeed("UIDL");
    client.body();
    for number in numbers {
        client.succeed(&format!("RETR {number}"));
        client.body();
    }
    client.succeed("QUIT");
    client.expect_end();
}

/// What the command says, as soon as it knows of so many messages.
fn history(popgate: &Popgate, arguments: &[&str], count: usize) -> String {
    let file = popgate.folder().join("popgate.toml").to_string_lossy().into_owned();
    let ask = || {
        let ended = run(&[&["history", "--config", &file], arguments].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        (ended.output.lines().count() >= count).then_some(ended.output)
    };
    poll(Instant::now() + PATIENCE, ask).unwrap_or_else(|| panic!("{count} messages are not known for {arguments:?}"))
}

#[test]
fn what_became_of_messages_is_known_and_their_text_is_not() {
    let mailbox = Mailbox::serve(&mails());
    let prefix =
        "[[filter]]\nplugin = \"rewrite\"\nonly = { user = [\"bob\"] }\n[filter.config]\nsubject_prefix = \"[x] \"\n";
    let popgate = popgate(&mailbox, prefix);
    fetch(&popgate, "alice", &[1, 2]);
    fetch(&popgate, "bob", &[3]);
    let told = history(&popgate, &["--json"], 3);
    let records: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    let facts =
        |record: &Value| ["user", "verdict", "filter"].map(|key| record[key].as_str().unwrap_or("-").to_owned());
    assert_eq!(facts(&records[0]), ["alice", "pass", "-"]);
    assert_eq!(facts(&records[1]), ["alice", "hold", "virus"]);
    assert_eq!(facts(&records[2]), ["bob", "change", "rewrite"]);
    assert_eq!(records[0]["octets"], mails()[0].len());
    assert!(records[1]["reason"].as_str().is_some_and(|reason| reason.contains("EICAR")), "{told}");
    assert!(records.iter().all(|record| record["upstream"] == "server" && record["subject"].is_null()), "{told}");
    let lines = history(&popgate, &["--user", "alice", "--since", "1h"], 2);
    assert!(lines.lines().count() == 2 && lines.contains("alice@server hold "), "{lines}");
    let last = history(&popgate, &["--count", "1"], 1);
    assert!(last.lines().count() == 1 && last.contains("bob@server"), "{last}");
    let file = std::fs::read(popgate.folder().join("state/state.db")).expect("the database is there");
    let log = std::fs::read(popgate.folder().join("state/state.db-wal")).unwrap_or_default();
    let stored = [file, log].concat();
    for text in ["secret text", "secret subject", "EICAR-STANDARD"] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in the database");
    }
}

#[test]
fn subjects_are_noted_where_that_is_wanted_and_nothing_where_it_is_not() {
    let mailbox = Mailbox::serve(&mails());
    let with = popgate(&mailbox, "[store]\nhistory_subject = true\n");
    fetch(&with, "alice", &[1]);
    assert!(history(&with, &[], 1).contains("subject=\"first secret subject\""));
    let without = popgate(&mailbox, "[store]\nhistory = \"0\"\n");
    fetch(&without, "alice", &[1, 2]);
    assert_eq!(history(&without, &[], 0), "");
    assert!(!without.folder().join("state/state.db").exists());
}

#[test]
fn what_was_noted_last_is_written_before_the_end() {
    let mailbox = Mailbox::serve(&mails());
    let mut popgate = popgate(&mailbox, "");
    fetch(&popgate, "alice", &[1, 3]);
    popgate.process().terminate();
    assert!(popgate.process_mut().wait(PATIENCE).is_some_and(|status| status.success()));
    let file = popgate.folder().join("popgate.toml").to_string_lossy().into_owned();
    assert_eq!(run(&["history", "--config", &file]).output.lines().count(), 2);
}

#[test]
fn mail_flows_on_while_the_database_is_away() {
    let mailbox = Mailbox::serve(&mails());
    let folder = process::folder();
    // A folder where its file should be.
    std::fs::create_dir_all(folder.path().join("state/state.db")).expect("a folder can be made");
    let popgate = Popgate::start_in(
        folder,
        &format!(
            "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
             [[upstream]]\nname = \"server\"\naddress = \"{}\"\n[[filter]]\nplugin = \"virus\"\n",
            mailbox.address()
        ),
    );
    fetch(&popgate, "alice", &[1, 2, 3]);
    popgate.wait_for_log("what became of messages can't be written down for now");
    fetch(&popgate, "alice", &[1, 2, 3]);
}
