//! Held mail in a bucket: what several nodes have of it, and what happens while its server is away.

use std::net::SocketAddr;
use std::thread;

use popgate_tests::bucket::{BUCKET, Bucket};
use popgate_tests::mail::{crlf, eicar, message, numbered_lines};
use popgate_tests::popgate::{Popgate, run_with};
use popgate_tests::process::{folder, write};
use popgate_tests::upstream::Upstream;
use popgate_tests::upstream::mailbox::Mailbox;

use super::setup::{command, config, id_of, infected, log_in, quarantine, session};

const CREDENTIALS: &str = "[default]\naws_access_key_id = popgate\naws_secret_access_key = sesame-not-to-be-seen\n";

/// A configuration with a bucket at this address.
fn in_bucket(server: SocketAddr, bucket: SocketAddr, more: &str) -> String {
    let store = format!(
        "[store]\nquarantine = \"s3://{BUCKET}/nodes/one\"\ns3_endpoint = \"http://{bucket}\"\n\
         s3_credentials_file = \"s3.credentials\"\ns3_region = \"eu-central-1\"\n"
    );
    config(server, &format!("{store}{more}"))
}

fn start(config: &str) -> Popgate {
    let folder = folder();
    write(&folder.path().join("s3.credentials"), CREDENTIALS);
    Popgate::start_in(folder, config)
}

/// A message that is held and goes up in parts.
fn large() -> Vec<u8> {
    let text = numbered_lines(300_000);
    crlf(&message(9, "large", "", &format!("{}\n{text}", eicar())))
}

#[test]
fn nodes_have_one_quarantine_in_a_bucket() {
    let bucket = Bucket::start();
    let mailbox = Mailbox::serve(&[infected(1), large(), infected(3)]);
    let rules = in_bucket(mailbox.address(), bucket.address(), "");
    let (one, other) = (start(&rules), start(&rules));
    let id = id_of(&session(&one, "alice", 1).expect("it is held"));
    let notice = session(&other, "alice", 1).expect("it is held");
    assert_eq!(id_of(&notice), id);
    assert_eq!(session(&one, "alice", 1).as_deref(), Ok(&*notice), "the notice is the same at both");
    let names = bucket.names();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("nodes/one/")), "{names:?}");
    assert!(!one.folder().join("state/quarantine").exists());
    let big = id_of(&session(&other, "alice", 2).expect("it is held"));
    let listed = quarantine(&one, &["list"]);
    assert!(listed.lines().count() == 2 && listed.contains(&id) && listed.contains(&big), "{listed}");
    assert!(quarantine(&one, &["show", &big]).contains(&format!("s3://{BUCKET}/nodes/one/entry/{big}.json")));
    assert!(command(one.folder(), &["show", &big, "--raw"]).output.as_bytes() == large());

    quarantine(&one, &["release", &big]);
    assert!(quarantine(&other, &["list"]).contains(&format!("{big} released")));
    let mut client = log_in(&other, "alice");
    assert!(client.succeed("UIDL 4").ends_with(&format!("pg-{big}")));
    client.succeed("RETR 4");
    assert!(client.body() == large());
    client.succeed("DELE 4");
    client.succeed("QUIT");
    client.expect_end();
    let mut client = log_in(&one, "alice");
    assert!(client.succeed("STAT").starts_with("+OK 3 "));
    client.succeed("QUIT");
    for id in [&id, &big] {
        quarantine(&other, &["delete", id]);
    }
    assert_eq!(bucket.names(), [""; 0]);
    for popgate in [&one, &other] {
        assert!(!popgate.log().contains("sesame"), "{}", popgate.log());
    }
}

#[test]
fn many_sessions_at_two_nodes_store_a_message_once() {
    let bucket = Bucket::start();
    let mailbox = Mailbox::serve(&[infected(1)]);
    let rules = in_bucket(mailbox.address(), bucket.address(), "");
    let (one, other) = (start(&rules), start(&rules));
    let ids: Vec<_> = thread::scope(|scope| {
        let hold = |popgate| scope.spawn(move || id_of(&session(popgate, "alice", 1).expect("it is held")));
        let all: Vec<_> = (0..6).map(|n| hold(if n % 2 == 0 { &one } else { &other })).collect();
        all.into_iter().map(|one| one.join().expect("a session goes well")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(bucket.names().len(), 2, "{:?}", bucket.names());
    // What lost its message is no entry, and is stored again.
    let message = bucket.names().into_iter().find(|name| name.contains("/message/")).expect("a message");
    bucket.remove(&message);
    assert_eq!(quarantine(&one, &["list"]), "");
    session(&one, "alice", 1).expect("it is held");
    assert!(command(one.folder(), &["show", &ids[0], "--raw"]).output.as_bytes() == infected(1));
}

#[test]
fn what_is_over_expires_in_a_bucket_too() {
    let bucket = Bucket::start();
    let mailbox = Mailbox::serve(&[infected(1), infected(2)]);
    let rules = in_bucket(mailbox.address(), bucket.address(), "[quarantine]\nkeep = \"1s\"\n");
    let popgate = start(&rules);
    let [gone, released] = [1, 2].map(|number| id_of(&session(&popgate, "alice", number).expect("it is held")));
    quarantine(&popgate, &["release", &released]);
    let expired = || quarantine(&popgate, &["expire"]).starts_with("1 messages").then_some(());
    let deadline = std::time::Instant::now() + popgate_tests::PATIENCE;
    assert!(popgate_tests::process::poll(deadline, expired).is_some());
    let listed = quarantine(&popgate, &["list"]);
    assert!(listed.contains(&released) && !listed.contains(&gone), "{listed}");
    assert_eq!(bucket.names().len(), 3);
    // The time of what is still there is over, so nobody may count on it.
    let refused = session(&popgate, "alice", 2).expect_err("it is about to be removed");
    assert!(refused.starts_with("-ERR [SYS/TEMP] "), "{refused}");
}

#[test]
fn while_the_server_is_away_mail_flows_on_and_nothing_is_taken() {
    let mailbox = Mailbox::serve(&[infected(1), crlf(&message(2, "clean", "", "Text.\n"))]);
    let bucket = Bucket::start();
    let address = bucket.address();
    let popgate = start(&in_bucket(mailbox.address(), address, ""));
    bucket.stop();
    let refused = session(&popgate, "alice", 1).expect_err("it can't be held");
    assert!(refused.starts_with("-ERR [SYS/TEMP] "), "{refused}");
    assert!(session(&popgate, "alice", 2).is_ok_and(|mail| mail.contains("Subject: clean")));
    assert_eq!(command(popgate.folder(), &["list"]).code, Some(1));
    let bucket = Bucket::start_at(address).expect("it starts again");
    session(&popgate, "alice", 1).expect("it is held");
    assert_eq!(bucket.names().len(), 2);
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let mailbox = Mailbox::serve(&[infected(1), crlf(&message(2, "clean", "", "Text.\n"))]);
    let silent = Upstream::listen();
    let popgate = start(&in_bucket(mailbox.address(), silent.address(), ""));
    popgate.wait_for_log("the quarantine: the bucket's server did not answer");
    let mut client = log_in(&popgate, "alice");
    let refused = client.command("RETR 1");
    assert!(refused.starts_with("-ERR [SYS/TEMP] "), "{refused}");
    client.succeed("RETR 2");
    assert!(String::from_utf8_lossy(&client.body()).contains("Subject: clean"));
}

#[test]
fn check_says_what_is_wrong_with_a_bucket() {
    let mailbox = Mailbox::serve(&[]);
    let closed = Upstream::listen().address();
    for (credentials, code, expected) in [
        (None, 2, "No such file"),
        (Some("aws_access_key_id = a\n"), 2, "there is no `aws_secret_access_key`"),
        (Some(CREDENTIALS), 1, "what filters hold is refused and stays on its server"),
    ] {
        let folder = folder();
        if let Some(credentials) = credentials {
            write(&folder.path().join("s3.credentials"), credentials);
        }
        let ended = run_with("check", folder.path(), &in_bucket(mailbox.address(), closed, ""));
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert!(ended.errors.contains(expected) && !ended.errors.contains("sesame"), "{}", ended.errors);
    }
}
