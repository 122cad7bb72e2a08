//! Filters that fail, and what becomes of the mail.

use std::fs;

use popgate_tests::connection::Connection;
use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::{guest, process};

const PASS: &str = "i32.const 0";
const HOLD: &str = "i32.const 16";
const SERVICE: &str = "i32.const 32";
const MESSAGE: &str = "i32.const 48";
const TRAP: &str = "unreachable";
const LOOP: &str = "(loop $again (br $again)) i32.const 0";
const HOG: &str = "(if (i32.eq (memory.grow $memory (i32.const 4096)) (i32.const -1)) (then unreachable)) i32.const 0";
/// Passes in the first call of an instance, traps in any further one.
const COUNTS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                      (if (i32.gt_s (global.get $calls) (i32.const 1)) (then unreachable)) i32.const 0";

/// popgate with one filter before a server with two messages.
fn popgate(body: &str, settings: &str) -> (Popgate, Mailbox, Vec<u8>) {
    let mail = crlf(&message(1, "first", "", "One.\n"));
    let mailbox = Mailbox::serve(&[mail.clone(), crlf(&message(2, "second", "", "Two.\n"))]);
    let folder = process::folder();
    fs::write(folder.path().join("guest.wasm"), guest::component(body)).expect("a new folder can be written");
    let config = format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n\
         [[filter]]\nname = \"guest\"\nplugin = \"guest.wasm\"\n{settings}",
        mailbox.address()
    );
    (Popgate::start_in(folder, &config), mailbox, mail)
}

fn logged_in(popgate: &Popgate) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client
}

fn fetch(client: &mut Connection) -> String {
    client.succeed("RETR 1");
    String::from_utf8_lossy(&client.body()).into_owned()
}

/// The message stays on the server, the session goes on.
fn is_refused(client: &mut Connection) {
    let reply = client.command("RETR 1");
    assert!(reply.starts_with("-ERR [SYS/TEMP] "), "{reply}");
    client.succeed("NOOP");
}

#[test]
fn a_filter_that_passes_changes_nothing() {
    let (popgate, _mailbox, mail) = popgate(PASS, "");
    assert_eq!(fetch(&mut logged_in(&popgate)).as_bytes(), mail);
}

#[test]
fn a_failing_service_leaves_the_mail_on_the_server() {
    let (popgate, _mailbox, _) = popgate(SERVICE, "");
    for _ in 0..3 {
        is_refused(&mut logged_in(&popgate));
    }
    popgate.wait_for_log("why");
}

#[test]
fn a_service_that_keeps_failing_is_left_alone_for_a_while() {
    let (popgate, _mailbox, _) = popgate(SERVICE, "breaker = { failures = 2, pause = \"1h\" }\n");
    is_refused(&mut logged_in(&popgate));
    is_refused(&mut logged_in(&popgate));
    popgate.wait_for_log("filter is out of order");
    is_refused(&mut logged_in(&popgate));
    popgate.wait_for_log("not asked, since it has failed repeatedly");
    // A message that it fails on is not a service that fails.
    let (popgate, _mailbox, _) = self::popgate(MESSAGE, "breaker = { failures = 1, pause = \"1h\" }\n");
    is_refused(&mut logged_in(&popgate));
    is_refused(&mut logged_in(&popgate));
    assert!(!popgate.log().contains("out of order"), "{}", popgate.log());
}

#[test]
fn a_failing_service_can_let_mail_through_marked() {
    let (popgate, _mailbox, mail) = popgate(SERVICE, "on_error = \"deliver\"\n");
    let came = fetch(&mut logged_in(&popgate));
    assert!(came.starts_with("X-Popgate-Error: guest: "), "{came}");
    assert!(came.as_bytes().ends_with(&mail), "{came}");
}

#[test]
fn a_failing_service_can_hold_mail() {
    let (popgate, _mailbox, _) = popgate(SERVICE, "on_error = \"hold\"\n");
    assert!(fetch(&mut logged_in(&popgate)).contains("Subject: [held] "));
}

#[test]
fn a_message_on_which_a_filter_fails_in_two_sessions_is_held_in_the_third() {
    // on_error says nothing about it: a crafted mail must not open the gate.
    for body in [TRAP, MESSAGE, HOG] {
        let (popgate, _mailbox, _) = popgate(body, "on_error = \"deliver\"\n");
        for _ in 0..2 {
            let mut client = logged_in(&popgate);
            is_refused(&mut client);
            is_refused(&mut client);
        }
        let notice = fetch(&mut logged_in(&popgate));
        assert!(notice.contains("Subject: [held] ") && !notice.contains("One."), "{body}: {notice}");
    }
}

#[test]
fn on_poison_can_be_chosen() {
    let (popgate, _mailbox, mail) = popgate(TRAP, "on_poison = \"deliver\"\n");
    for _ in 0..2 {
        is_refused(&mut logged_in(&popgate));
    }
    let came = fetch(&mut logged_in(&popgate));
    assert!(came.starts_with("X-Popgate-Error: guest: ") && came.as_bytes().ends_with(&mail), "{came}");
}

#[test]
fn a_filter_that_loops_is_stopped_and_disturbs_nobody() {
    let (popgate, _mailbox, _) = popgate(LOOP, "cpu = \"300ms\"\n");
    let mut looping = logged_in(&popgate);
    looping.send_line("RETR 1");
    // Another session is served meanwhile.
    let mut other = logged_in(&popgate);
    other.succeed("STAT");
    let reply = looping.text();
    assert!(reply.starts_with("-ERR [SYS/TEMP] "), "{reply}");
    looping.succeed("NOOP");
    popgate.wait_for_log("CPU");
}

#[test]
fn every_message_gets_an_instance_of_its_own() {
    let (popgate, _mailbox, mail) = popgate(COUNTS, "");
    let mut client = logged_in(&popgate);
    for _ in 0..5 {
        assert_eq!(fetch(&mut client).as_bytes(), mail);
    }
}

#[test]
fn a_larger_message_than_a_filter_takes_follows_oversize() {
    let only = "only = { max_size = 10 }\n";
    let (skipping, _mailbox, mail) = popgate(HOLD, only);
    let came = fetch(&mut logged_in(&skipping));
    assert!(came.starts_with("X-Popgate-Skipped: guest: ") && came.as_bytes().ends_with(&mail), "{came}");
    let (holding, _mailbox, _) = popgate(PASS, &format!("{only}oversize = \"hold\"\n"));
    assert!(fetch(&mut logged_in(&holding)).contains("Subject: [held] "));
    let (retrying, _mailbox, _) = popgate(PASS, &format!("{only}oversize = \"retry\"\n"));
    is_refused(&mut logged_in(&retrying));
}

#[test]
fn a_filter_that_observes_changes_nothing() {
    let (popgate, _mailbox, mail) = popgate(HOLD, "mode = \"observe\"\n");
    assert_eq!(fetch(&mut logged_in(&popgate)).as_bytes(), mail);
}

#[test]
fn without_a_place_to_keep_the_original_nothing_takes_its_place() {
    let (popgate, _mailbox, _) = popgate(HOLD, "");
    let quarantine = popgate.folder().join("state/quarantine");
    // Root may write anywhere, but not into a folder that is a file.
    fs::remove_dir_all(&quarantine).expect("it is empty");
    fs::write(&quarantine, "in the way").expect("the folder can be written");
    is_refused(&mut logged_in(&popgate));
}
