//! Mail that is learned after its client has taken it off the server, by the tokens that filters have left.

use std::path::{Path, PathBuf};
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process::{self, poll, write};
use popgate_tests::upstream::mailbox::Mailbox;
use serde_json::Value;

use crate::state::{CACHED, GRANTED, config, known, plain, reads, run_of, session};

/// popgate's answer to these arguments, with its exit code in front.
fn ask(command: &str, config: &Path, arguments: &[&str]) -> String {
    let mut asked = popgate::command();
    asked.arg(command).arg("--config").arg(config).args(arguments);
    let ended = process::run(&mut asked, PATIENCE);
    format!("{} {}{}", ended.code.unwrap_or(-1), ended.output, ended.errors)
}

/// The hashes of the messages that came, the oldest first, as soon as there are so many.
fn hashes(config: &Path, count: usize) -> Vec<String> {
    let told = || {
        let mut asked = popgate::command();
        let told = process::run(asked.args(["history", "--json", "--config"]).arg(config), PATIENCE).output;
        (told.lines().count() >= count).then_some(told)
    };
    let told = poll(Instant::now() + PATIENCE, told).expect("the history knows them");
    let hash = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("a JSON object");
        record["sha256"].as_str().expect("a hash").to_owned()
    };
    told.lines().map(hash).collect()
}

/// `popgate learn` with these arguments, once the token of a message that has just come is there.
fn learn(config: &Path, arguments: &[&str]) -> String {
    let told = || Some(ask("learn", config, arguments)).filter(|told| !told.contains("has left a token"));
    poll(Instant::now() + PATIENCE, told).expect("the token is there")
}

fn file(popgate: &Popgate) -> PathBuf {
    popgate.folder().join("popgate.toml")
}

/// What the filter `spam` reports of a mail.
fn judged(config: &Path, mail: &Path) -> Value {
    let mut asked = popgate::command();
    let ended = process::run(asked.args(["filter", "--json", "--config"]).arg(config).arg(mail), PATIENCE);
    let report: Value = serde_json::from_str(&ended.errors).unwrap_or_else(|_| panic!("{}", ended.errors));
    report["findings"][0].clone()
}

const SPAM: &str = "From: Deals <deals@shop.example>\nSubject: cheap pills\n\nBuy cheap pills now, money back\n";
const HAM: &str = "From: Bob <bob@example.org>\nSubject: meeting\n\nShall we meet on Monday about the report?\n";

#[test]
fn mail_that_the_client_has_deleted_is_learned_known_and_forgotten() {
    let dovecot = Dovecot::shared();
    let user = dovecot.user(&[SPAM.into(), HAM.into()]);
    let config = format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"none\"\n\
         [[filter]]\nplugin = \"spam\"\n[filter.config]\nminimum = 1\n",
        dovecot.plain().port(),
    );
    let popgate = Popgate::start(&config);
    let mut client = popgate.connect("pop3");
    client.log_in(&user, PASSWORD);
    for number in [1, 2] {
        client.succeed(&format!("RETR {number}"));
        client.body();
        client.succeed(&format!("DELE {number}"));
    }
    client.succeed("QUIT");
    client.expect_end();
    assert_eq!(dovecot.mail(&user).len(), 0);

    let file = file(&popgate);
    let hashes = hashes(&file, 2);
    let (spam, ham) = (hashes[0].as_str(), &hashes[1][..8]);
    let mail = popgate.folder().join("mail.eml");
    write(&mail, SPAM);
    let value = || judged(&file, &mail)["value"].as_f64().expect("a probability");
    let untrained = |spam: u32, ham: u32| {
        let text = judged(&file, &mail)["text"].as_str().unwrap_or_default().to_owned();
        text.starts_with(&format!("not trained yet: has learned {spam} spam and {ham} ham"))
    };
    assert!(untrained(0, 0));
    assert_eq!(learn(&file, &["--spam", "--seen", spam]), "0 1 learned, 0 known already, 0 failed\n");
    assert!(untrained(1, 0));
    assert_eq!(learn(&file, &["--ham", "--seen", ham]), "0 1 learned, 0 known already, 0 failed\n");
    let trained = value();
    assert!(trained > 0.6, "{trained}");
    // Another popgate learns the same from files.
    let folder = process::folder();
    let other = popgate::configuration(folder.path(), &config);
    for (label, text) in [("--spam", SPAM), ("--ham", HAM)] {
        let saved = folder.path().join("saved.eml");
        write(&saved, text);
        let told = ask("learn", &other, &[label, &saved.to_string_lossy()]);
        assert_eq!(told, "0 1 learned, 0 known already, 0 failed\n");
    }
    let by_files = judged(&other, &mail)["value"].as_f64().expect("a probability");
    assert!((by_files - trained).abs() < 1e-12, "{by_files} {trained}");
    assert_eq!(learn(&file, &["--spam", "--seen", spam, spam]), "0 0 learned, 2 known already, 0 failed\n");
    // The same mail out of a file is the same lesson.
    let saved = popgate.folder().join("saved.eml");
    write(&saved, SPAM);
    let saved = saved.to_string_lossy();
    assert_eq!(learn(&file, &["--spam", &saved]), "0 0 learned, 1 known already, 0 failed\n");
    assert!((value() - trained).abs() < 1e-12);

    // Tokens and lessons outlive the process.
    let popgate = popgate.killed_and_restarted();
    assert_eq!(learn(&file, &["--spam", "--seen", spam]), "0 0 learned, 1 known already, 0 failed\n");
    assert!((value() - trained).abs() < 1e-12);
    assert_eq!(learn(&file, &["--forget", "--seen", spam]), "0 1 forgotten, 0 not known, 0 failed\n");
    assert!(untrained(0, 1));
    assert_eq!(learn(&file, &["--forget", "--seen", spam]), "0 0 forgotten, 1 not known, 0 failed\n");
    // By file it comes to the same; with the other label it is forgotten first.
    assert_eq!(learn(&file, &["--spam", &saved]), "0 1 learned, 0 known already, 0 failed\n");
    assert!((value() - trained).abs() < 1e-12);
    assert_eq!(learn(&file, &["--ham", &saved]), "0 1 learned, 0 known already, 0 failed\n");
    assert!(untrained(0, 2));
    assert_eq!(learn(&file, &["--spam", "--seen", spam]), "0 1 learned, 0 known already, 0 failed\n");
    assert!((value() - trained).abs() < 1e-12);
    drop(popgate);
}

#[test]
fn hashes_that_are_none_or_are_not_known_say_why() {
    let popgate = serve(&[plain(1)], GRANTED);
    let file = file(&popgate);
    session(&popgate, "alice", &["RETR 1"]);
    let hash = &hashes(&file, 1)[0];
    for bad in ["0123456", "0123456x", &format!("{hash}0")] {
        let told = ask("learn", &file, &["--spam", "--seen", bad]);
        assert!(told.starts_with("2 ") && told.contains("64 hexadecimal digits"), "{told}");
    }
    let told = ask("learn", &file, &["--spam", "--seen", "0000000000"]);
    assert!(told.starts_with("1 0 learned, 0 known already, 1 failed\n"), "{told}");
    assert!(
        told.contains("error: `0000000000`: no message is known by this hash") && told.contains("30 days"),
        "{told}"
    );
    let told = ask("learn", &file, &["--spam", "--seen", hash, &file.to_string_lossy()]);
    assert!(told.starts_with("2 "), "{told}");
    let told = ask("learn", &file, &["--spam"]);
    assert!(told.starts_with("2 ") && told.contains("PATH"), "{told}");
    // Some are learned, and others are not.
    let told = learn(&file, &["--spam", "--seen", "0000000000", hash]);
    assert!(told.starts_with("1 1 learned, 0 known already, 1 failed\n"), "{told}");
    let other = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"u\"\n[[upstream]]\nname = \"u\"\n\
         address = \"127.0.0.1:110\"\n[[filter]]\nplugin = \"rewrite\"\n";
    let folder = process::folder();
    let other = popgate::configuration(folder.path(), other);
    assert!(ask("learn", &other, &["--spam", "--seen", hash]).contains("no filter of this configuration learns"));
}

/// popgate with the filter that counts, before a server with these messages.
fn serve(messages: &[Vec<u8>], more: &str) -> Popgate {
    let messages: Vec<_> = messages.iter().map(|message| crlf(message)).collect();
    Popgate::start(&config(&Mailbox::serve(&messages).address().to_string(), more))
}

fn does(number: usize, what: &str) -> Vec<u8> {
    message(number, "hello", &format!("X-Do: {what}\n"), "Text.\n")
}

#[test]
fn tokens_are_those_of_a_user_and_count_with_a_verdict_alone() {
    let popgate = serve(&[plain(1), plain(2), does(3, "fail"), does(4, "hold"), does(5, "leave nothing")], GRANTED);
    let file = file(&popgate);
    session(&popgate, "alice", &["RETR 1"]);
    session(&popgate, "bob", &["RETR 1", "RETR 2", "RETR 3", "RETR 4", "RETR 5"]);
    let hashes = hashes(&file, 6);
    let [_, both, of_bob, failed, held, none] = &hashes[..] else { panic!("{hashes:?}") };
    let learned = "0 1 learned, 0 known already, 0 failed\n";
    assert_eq!(learn(&file, &["--spam", "--user", "bob", "--seen", held]), learned);
    assert_eq!(learn(&file, &["--spam", "--user", "alice", "--seen", both]), learned);
    assert_eq!(known(&file, popgate.folder(), Some("alice")), "1");
    let told = learn(&file, &["--spam", "--user", "alice", "--seen", of_bob]);
    assert!(told.contains("did not come for `alice`") && told.starts_with("1 0 learned"), "{told}");
    let forget = |user: &str| learn(&file, &["--forget", "--user", user, "--seen", both]);
    assert_eq!(forget("bob"), "0 0 forgotten, 1 not known, 0 failed\n");
    assert_eq!(forget("alice"), "0 1 forgotten, 0 not known, 0 failed\n");
    assert_eq!(known(&file, popgate.folder(), Some("alice")), "0");
    // For all, whoever has it.
    assert_eq!(learn(&file, &["--ham", "--seen", of_bob]), learned);
    for hash in [failed, none] {
        let told = ask("learn", &file, &["--spam", "--seen", hash]);
        assert!(told.starts_with("1 0 learned") && told.contains("no filter has left a token of it"), "{told}");
    }
}

#[test]
fn a_filter_that_is_only_observed_leaves_tokens_and_one_without_state_does_not() {
    for (more, leaves) in [("mode = \"observe\"\ngrant = { kv = true }\n", true), ("", false)] {
        let popgate = serve(&[reads(1, "listener")], more);
        session(&popgate, "alice", &["RETR 1"]);
        let file = file(&popgate);
        let hash = &hashes(&file, 1)[0];
        if leaves {
            assert_eq!(learn(&file, &["--spam", "--seen", hash]), "0 1 learned, 0 known already, 0 failed\n");
        } else {
            let told = ask("learn", &file, &["--spam", "--seen", hash]);
            assert!(told.contains("no filter of this configuration learns messages that are gone"), "{told}");
        }
    }
}

#[test]
fn a_verdict_that_is_known_leaves_its_token_for_each_user() {
    let popgate = serve(&[reads(1, "listener")], CACHED);
    let first = run_of(&popgate, "alice", 1);
    assert_eq!(run_of(&popgate, "bob", 1), first, "it was found out anew");
    let file = file(&popgate);
    let hash = &hashes(&file, 2)[1];
    for user in ["bob", "alice"] {
        let told = || {
            let told = ask("learn", &file, &["--spam", "--user", user, "--seen", hash]);
            (!told.contains("did not come") && !told.contains("has left a token")).then_some(told)
        };
        let told = poll(Instant::now() + PATIENCE, told).expect("the token is there");
        assert_eq!(told, "0 1 learned, 0 known already, 0 failed\n");
    }
}

#[test]
fn mail_flows_on_where_tokens_can_not_be_written() {
    let folder = process::folder();
    // A folder where the database should be.
    std::fs::create_dir_all(folder.path().join("state/state.db")).expect("a folder can be made");
    let mailbox = Mailbox::serve(&[crlf(&reads(1, "listener"))]);
    let popgate = Popgate::start_in(folder, &config(&mailbox.address().to_string(), GRANTED));
    for _ in 0..3 {
        run_of(&popgate, "alice", 1);
    }
    popgate.wait_for_log("what messages can be learned by can't be written down for now");
    run_of(&popgate, "alice", 1);
}

#[test]
fn what_was_left_last_is_written_before_the_end() {
    let mut popgate = serve(&[plain(1)], GRANTED);
    session(&popgate, "alice", &["RETR 1"]);
    popgate.process().terminate();
    assert!(popgate.process_mut().wait(PATIENCE).is_some_and(|status| status.success()));
    let file = file(&popgate);
    let hash = &hashes(&file, 1)[0];
    assert_eq!(ask("learn", &file, &["--spam", "--seen", hash]), "0 1 learned, 0 known already, 0 failed\n");
}
