//! The client's view of the maildrop: sizes that are true, messages that are not shown, messages that only the proxy has.

use std::fs;
use std::net::SocketAddr;

use popgate_tests::connection::Connection;
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::{self, crlf, eicar, message, with_attachment};
use popgate_tests::popgate::{Popgate, run};
use popgate_tests::upstream::Upstream;
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::{guest, process};

/// Holds, shrinks and grows mail.
const FILTERS: &str = "[[filter]]\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n\
    [[filter]]\nplugin = \"attachments\"\n[filter.config]\ndeny_extensions = [\"exe\"]\ndeny_media_types = []\naction = \"strip\"\n\
    [[filter]]\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefix = \"[a rather long prefix] \"\n";
const VIRUS: &str = "[[filter]]\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n";

fn configuration(server: SocketAddr, upstream: &str, more: &str) -> String {
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{server}\"\n{upstream}\n{more}"
    )
}

fn popgate(server: SocketAddr, upstream: &str, more: &str) -> Popgate {
    Popgate::start(&configuration(server, upstream, more))
}

fn log_in(popgate: &Popgate) -> Connection {
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client
}

fn infected(number: usize) -> Vec<u8> {
    crlf(&with_attachment(number, "invoice.com", "application/octet-stream", eicar().as_bytes()))
}

fn plain(number: usize) -> Vec<u8> {
    crlf(&message(number, "plain", "", ".a dot\nand more\nand the end\n"))
}

/// What filters do not touch, hold, shrink and grow.
fn messages() -> Vec<Vec<u8>> {
    let stripped = with_attachment(3, "setup.exe", "application/octet-stream", &[b'x'; 20_000]);
    vec![plain(1), infected(2), crlf(&stripped), crlf(&message(4, "no line end", "", "..\n.\nlast")), plain(5)]
}

/// The lines of a list: number and value.
fn list(client: &mut Connection, command: &str) -> Vec<(usize, String)> {
    client.succeed(command);
    let body = String::from_utf8(client.body()).expect("a list is text");
    let entry = |line: &str| {
        let (number, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        (number.parse().unwrap_or_else(|_| panic!("{line:?}")), value.to_owned())
    };
    body.lines().map(entry).collect()
}

fn stat(client: &mut Connection) -> (usize, usize) {
    let reply = client.succeed("STAT");
    let mut numbers = reply.split(' ').skip(1).map(|word| word.parse().unwrap_or_else(|_| panic!("{reply:?}")));
    (numbers.next().expect("a count"), numbers.next().expect("octets"))
}

/// Reads a message as a client does that believes LIST: so many octets behind the status line, then the dot. Octets that
/// stuffing has added do not count.
fn retrieve_exactly(client: &mut Connection, number: usize, octets: usize) -> Vec<u8> {
    client.succeed(&format!("RETR {number}"));
    let mut came = Vec::new();
    while came.len() < octets {
        let line = client.line();
        assert_ne!(line, b".", "message {number} has {} octets, {octets} were announced", came.len());
        came.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        came.extend_from_slice(b"\r\n");
    }
    assert_eq!(came.len(), octets, "message {number} is longer than announced");
    assert_eq!(client.line(), b".", "message {number} goes on behind the {octets} octets that were announced");
    came
}

/// Fetches everything by what the lists say; gives the messages.
fn download_exactly(client: &mut Connection) -> Vec<Vec<u8>> {
    let (count, sum) = stat(client);
    let sizes: Vec<usize> =
        list(client, "LIST").into_iter().map(|(_, octets)| octets.parse().expect("octets are digits")).collect();
    assert_eq!((count, sum), (sizes.len(), sizes.iter().sum()));
    let mut messages = Vec::new();
    for (number, octets) in (1..).zip(sizes) {
        assert_eq!(client.command(&format!("LIST {number}")), format!("+OK {number} {octets}"));
        let came = retrieve_exactly(client, number, octets);
        // Fetched again it is the same.
        assert!(retrieve_exactly(client, number, octets) == came, "message {number} has changed");
        messages.push(came);
    }
    messages
}

fn count(mailbox: &Mailbox, verb: &str) -> usize {
    mailbox.commands().iter().filter(|command| command.starts_with(verb)).count()
}

#[test]
fn exact_sizes_are_those_of_the_filtered_messages() {
    // Without room to keep anything every message is fetched and filtered again, and is the same.
    for limits in ["", "[limits]\nkept_per_session = \"1KiB\"\n"] {
        let mailbox = Mailbox::serve(&messages());
        let popgate = popgate(mailbox.address(), "sizes = \"exact\"", &format!("{FILTERS}{limits}"));
        let mut client = log_in(&popgate);
        stat(&mut client);
        assert_eq!(count(&mailbox, "RETR"), 0, "nothing may count as delivered");
        assert_eq!(count(&mailbox, "TOP"), 5);
        let first = download_exactly(&mut client);
        let text = |at: usize| String::from_utf8_lossy(&first[at]).into_owned();
        assert!(text(0).contains("Subject: [a rather long prefix] plain"), "{}", text(0));
        assert!(text(1).contains("X-Popgate-Held: ") && text(2).len() < 3_000 && text(3).ends_with("last\r\n"));
        client.succeed("QUIT");
        client.expect_end();
        // The next session knows.
        let before = count(&mailbox, "TOP");
        let mut client = log_in(&popgate);
        stat(&mut client);
        assert_eq!(count(&mailbox, "TOP"), before);
        assert!(download_exactly(&mut client) == first);
    }
}

#[test]
fn exact_sizes_hold_before_a_real_server() {
    let dovecot = Dovecot::shared();
    let user = dovecot.user(&mail::mailbox(5_000));
    let upstream = format!("tls = \"stls\"\nca = {:?}\nsizes = \"exact\"", dovecot.ca().display().to_string());
    let config = configuration(dovecot.plain(), &upstream, FILTERS)
        .replace(&dovecot.plain().to_string(), &format!("localhost:{}", dovecot.plain().port()));
    let popgate = Popgate::start(&config);
    let mut downloads = Vec::new();
    for _ in 0..2 {
        let mut client = popgate.connect("pop3");
        client.log_in(&user, PASSWORD);
        downloads.push(download_exactly(&mut client));
        client.succeed("QUIT");
        client.expect_end();
    }
    assert_eq!(downloads[0].len(), mail::mailbox(5_000).len());
    assert!(downloads[0] == downloads[1]);
}

#[test]
fn other_filters_find_the_sizes_anew() {
    let mailbox = Mailbox::serve(&messages());
    let config = |filters: &str| configuration(mailbox.address(), "sizes = \"exact\"", filters);
    let first = Popgate::start(&config(FILTERS));
    let mut client = log_in(&first);
    download_exactly(&mut client);
    client.succeed("QUIT");
    client.expect_end();
    drop(client);
    let state = process::folder();
    fs::rename(first.folder().join("state"), state.path().join("state")).expect("a folder can be renamed");
    drop(first);
    let second = Popgate::start_in(state, &config(VIRUS));
    assert_eq!(download_exactly(&mut log_in(&second))[0], plain(1));
}

#[test]
fn without_filters_sizes_are_the_servers_and_nothing_is_read_ahead() {
    let mailbox = Mailbox::serve(&messages());
    let filters = "[[filter]]\nplugin = \"virus\"\nonly = { user = [\"bob\"] }\n";
    let popgate = popgate(mailbox.address(), "sizes = \"exact\"\nheld = \"hide\"", filters);
    let mut client = log_in(&popgate);
    let (count, octets) = stat(&mut client);
    assert_eq!((count, octets), (5, messages().iter().map(Vec::len).sum()));
    assert_eq!(list(&mut client, "LIST").len(), 5);
    let asked = mailbox.commands();
    assert_eq!(asked, ["USER", "PASS", "STAT", "LIST"]);
}

#[test]
fn a_message_that_can_not_be_examined_keeps_the_servers_size_and_is_refused() {
    let mailbox = Mailbox::serve(&[plain(1)]);
    let folder = process::folder();
    fs::write(folder.path().join("guest.wasm"), guest::component("i32.const 32")).expect("a new folder can be written");
    let filter = "[[filter]]\nname = \"guest\"\nplugin = \"guest.wasm\"\n";
    let popgate = Popgate::start_in(folder, &configuration(mailbox.address(), "sizes = \"exact\"", filter));
    let mut client = log_in(&popgate);
    assert_eq!(stat(&mut client), (1, plain(1).len()));
    let reply = client.command("RETR 1");
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    client.succeed("NOOP");
}

/// A server that the test plays, and a client; both logged in.
fn played(popgate: &Popgate, server: &Upstream) -> (Connection, Connection) {
    let mut client = popgate.connect("pop3");
    let mut upstream = server.accept();
    upstream.send_line("+OK ready");
    client.line();
    for command in ["USER alice", "PASS secret"] {
        client.send_line(command);
        answer(&mut upstream, command, "+OK");
        client.line();
    }
    (client, upstream)
}

fn answer(upstream: &mut Connection, command: &str, reply: &str) {
    assert_eq!(upstream.text(), command);
    upstream.send_line(reply);
}

#[test]
fn a_message_that_is_another_than_remembered_ends_the_session() {
    let server = Upstream::listen();
    let popgate = popgate(server.address(), "sizes = \"exact\"", VIRUS);
    // The server says that each has 10 octets, whatever it sends.
    let explore = |client: &mut Connection, upstream: &mut Connection| {
        client.send_line("STAT");
        answer(upstream, "LIST", "+OK\r\n1 10\r\n.");
        answer(upstream, "UIDL", "+OK\r\n1 same\r\n.");
    };
    let (mut client, mut upstream) = played(&popgate, &server);
    explore(&mut client, &mut upstream);
    answer(&mut upstream, "TOP 1 2147483647", "+OK\r\nA: b\r\n\r\none\r\n.");
    answer(&mut upstream, "LIST", "+OK\r\n1 10\r\n.");
    assert_eq!(client.text(), "+OK 1 13");
    client.send_line("QUIT");
    answer(&mut upstream, "QUIT", "+OK");
    assert_eq!(client.text(), "+OK");

    let (mut client, mut upstream) = played(&popgate, &server);
    explore(&mut client, &mut upstream);
    answer(&mut upstream, "LIST", "+OK\r\n1 10\r\n.");
    assert_eq!(client.text(), "+OK 1 13");
    client.send_line("RETR 1");
    answer(&mut upstream, "RETR 1", "+OK\r\nA: b\r\n\r\nsomething else\r\n.");
    let reply = client.text();
    assert!(reply.starts_with("-ERR [SYS/TEMP]"), "{reply}");
    client.expect_end();
    upstream.expect_end();

    let (mut client, mut upstream) = played(&popgate, &server);
    explore(&mut client, &mut upstream);
    answer(&mut upstream, "TOP 1 2147483647", "+OK\r\nA: b\r\n\r\nsomething else\r\n.");
    answer(&mut upstream, "LIST", "+OK\r\n1 10\r\n.");
    assert_eq!(client.text(), "+OK 1 24");
}

#[test]
fn lists_that_lie_are_no_harm() {
    for (octets, shown) in [("0", "13"), ("18446744073709551616", "13"), ("-7", "13"), ("", "13"), ("x", "13")] {
        let server = Upstream::listen();
        let popgate = popgate(server.address(), "sizes = \"exact\"", VIRUS);
        let (mut client, mut upstream) = played(&popgate, &server);
        client.send_line("LIST");
        let lines = format!("+OK\r\n1 {octets}\r\n.");
        answer(&mut upstream, "LIST", &lines);
        answer(&mut upstream, "UIDL", "-ERR not here");
        if !octets.is_empty() {
            answer(&mut upstream, "TOP 1 2147483647", "+OK\r\nA: b\r\n\r\none\r\n.");
        }
        answer(&mut upstream, "LIST", &lines);
        assert_eq!(client.text(), "+OK", "{octets:?}");
        let line = client.text();
        assert!(line == format!("1 {shown}") || octets.is_empty(), "{line:?} for {octets:?}");
        assert_eq!(client.text(), ".");
    }
}

#[test]
fn unique_ids_of_any_kind_are_passed_on_and_never_become_names_of_files() {
    let long = "y".repeat(5_000);
    let uidls = format!("+OK\r\n1 ../../../../tmp/evil\r\n2 same\r\n3 same\r\n4 {long}\r\n5\r\n.");
    let server = Upstream::listen();
    let popgate = popgate(server.address(), "sizes = \"exact\"", VIRUS);
    let (mut client, mut upstream) = played(&popgate, &server);
    client.send_line("STAT");
    let sizes = "+OK\r\n1 10\r\n2 10\r\n3 10\r\n4 10\r\n5 10\r\n.";
    answer(&mut upstream, "LIST", sizes);
    answer(&mut upstream, "UIDL", &uidls);
    for number in 1..=5 {
        answer(
            &mut upstream,
            &format!("TOP {number} 2147483647"),
            &format!("+OK\r\nA: b\r\n\r\n{}\r\n.", "x".repeat(number)),
        );
    }
    answer(&mut upstream, "LIST", sizes);
    assert_eq!(client.text(), "+OK 5 65");
    client.send_line("UIDL");
    answer(&mut upstream, "UIDL", &uidls);
    assert_eq!(client.text(), "+OK");
    let came = String::from_utf8(client.body()).expect("a list is text");
    assert_eq!(came, uidls.trim_start_matches("+OK\r\n").trim_end_matches('.'));
    client.send_line("QUIT");
    answer(&mut upstream, "QUIT", "+OK");
    client.line();
    let files = fs::read_dir(popgate.folder().join("state/hints")).expect("the folder is there");
    let names: Vec<_> = files.flatten().map(|file| file.file_name().into_string().expect("a plain name")).collect();
    assert!(names.len() == 1 && names[0].len() == 32 && names[0].chars().all(|c| c.is_ascii_hexdigit()), "{names:?}");
    // The one that can be known again is; nothing tells the two apart that have the same id.
    let (mut client, mut upstream) = played(&popgate, &server);
    client.send_line("STAT");
    answer(&mut upstream, "LIST", sizes);
    answer(&mut upstream, "UIDL", &uidls);
    assert_eq!(upstream.text(), "TOP 2 2147483647");
}

#[test]
fn lists_of_200_000_messages_are_complete() {
    let mailbox = Mailbox::serve(&vec![b"A: b\r\n".to_vec(); 200_000]);
    for (upstream, filters) in [("", ""), ("held = \"hide\"", VIRUS)] {
        let popgate = popgate(mailbox.address(), upstream, filters);
        let mut client = log_in(&popgate);
        for command in ["LIST", "UIDL"] {
            let entries = list(&mut client, command);
            assert!(
                entries.len() == 200_000 && entries.iter().zip(1..).all(|((number, _), at)| *number == at),
                "{command}"
            );
        }
        client.succeed("NOOP");
    }
}

#[test]
fn held_messages_can_be_hidden_from_the_next_session_on() {
    let mails = [infected(1), plain(2), infected(3), plain(4)];
    let mailbox = Mailbox::serve(&mails);
    let popgate = popgate(mailbox.address(), "held = \"hide\"", VIRUS);
    let mut client = log_in(&popgate);
    for number in 1..=4 {
        client.succeed(&format!("RETR {number}"));
        let came = client.body();
        assert_eq!(came == mails[number - 1], number % 2 == 0, "held mail is a notice at first");
    }
    assert_eq!(stat(&mut client).0, 4);
    client.succeed("QUIT");
    client.expect_end();

    let mut client = log_in(&popgate);
    assert_eq!(stat(&mut client), (2, mails[1].len() + mails[3].len()));
    let uidls = [(1, "uid-2".to_owned()), (2, "uid-4".to_owned())];
    assert_eq!(list(&mut client, "UIDL"), uidls);
    let sizes = [(1, mails[1].len().to_string()), (2, mails[3].len().to_string())];
    assert_eq!(list(&mut client, "LIST"), sizes);
    assert_eq!(client.command("UIDL 2"), "+OK 2 uid-4");
    assert_eq!(client.command("LIST 2"), format!("+OK 2 {}", mails[3].len()));
    client.succeed("RETR 1");
    assert_eq!(client.body(), mails[1]);
    client.succeed("TOP 2 9999");
    assert_eq!(client.body(), mails[3]);
    for command in ["RETR 3", "TOP 4 0", "DELE 3", "LIST 3", "UIDL 4"] {
        let reply = client.command(command);
        assert!(reply.starts_with("-ERR"), "{command}: {reply}");
    }
    assert_eq!(client.command("DELE 2"), "+OK message 2 deleted");
    client.command("*ENV 2");
    client.succeed("QUIT");
    let asked = mailbox.commands();
    assert_eq!(asked[asked.len() - 3..], ["DELE 4", "*ENV 4", "QUIT"]);
}

/// What `popgate quarantine` says.
fn quarantine(popgate: &Popgate, arguments: &[&str]) -> String {
    let file = popgate.folder().join("popgate.toml");
    let file = file.to_string_lossy().into_owned();
    let ended = run(&[&["quarantine", "--config", &file], arguments].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
    ended.output
}

/// Has message 1 held and gives its id.
fn held(popgate: &Popgate) -> String {
    let mut client = log_in(popgate);
    client.succeed("RETR 1");
    let notice = String::from_utf8_lossy(&client.body()).into_owned();
    client.succeed("QUIT");
    client.expect_end();
    let listed = quarantine(popgate, &["list"]);
    let id = listed.split(' ').next().expect("an id").to_owned();
    assert!(notice.contains(&format!("X-Popgate-Held: {id}")), "{notice}\n{listed}");
    id
}

#[test]
fn a_released_message_stands_behind_the_others_until_its_owner_has_deleted_it() {
    for filters in [VIRUS, "[[filter]]\nplugin = \"virus\"\nonly = { user = [\"alice\"] }\n"] {
        let mails = [infected(1), plain(2)];
        let mailbox = Mailbox::serve(&mails);
        let popgate = popgate(mailbox.address(), "", filters);
        let id = held(&popgate);
        // What is released meanwhile is for the next session.
        let mut earlier = log_in(&popgate);
        assert!(quarantine(&popgate, &["release", &id]).contains("released"));
        assert_eq!(stat(&mut earlier).0, 2);
        drop(earlier);
        assert!(quarantine(&popgate, &["list"]).contains(&format!("{id} released")));
        assert!(quarantine(&popgate, &["show", &id]).contains("alice@server"));

        let mut client = log_in(&popgate);
        assert_eq!(stat(&mut client), (3, mails[0].len() * 2 + mails[1].len()));
        let uidls = [(1, "uid-1".to_owned()), (2, "uid-2".to_owned()), (3, format!("pg-{id}"))];
        assert_eq!(list(&mut client, "UIDL"), uidls);
        assert_eq!(list(&mut client, "LIST")[2], (3, mails[0].len().to_string()));
        assert_eq!(client.command("UIDL 3"), format!("+OK 3 pg-{id}"));
        assert_eq!(retrieve_exactly(&mut client, 3, mails[0].len()), mails[0]);
        client.succeed("TOP 3 0");
        assert!(mails[0].starts_with(&client.body()));
        assert!(client.command("RETR 4").starts_with("-ERR"));
        client.succeed("DELE 3");
        for command in ["DELE 3", "RETR 3", "LIST 3"] {
            assert!(client.command(command).starts_with("-ERR"), "{command}");
        }
        assert_eq!(list(&mut client, "UIDL").len(), 2);
        client.succeed("RSET");
        assert_eq!(list(&mut client, "UIDL").len(), 3);
        // Without QUIT nothing is deleted.
        client.succeed("DELE 3");
        drop(client);

        // Another user has none of it.
        let mut other = popgate.connect("pop3");
        other.log_in("bob", "secret");
        assert_eq!(stat(&mut other).0, 2);
        let mut client = log_in(&popgate);
        client.send("DELE 3\r\nQUIT\r\n");
        assert!(client.text().starts_with("+OK") && client.text().starts_with("+OK"));
        client.expect_end();
        assert_eq!(stat(&mut log_in(&popgate)).0, 2);
        quarantine(&popgate, &["delete", &id]);
        assert_eq!(quarantine(&popgate, &["list"]), "");
    }
}

#[test]
fn a_quit_that_fails_deletes_no_released_message() {
    let server = Upstream::listen();
    let popgate = popgate(server.address(), "", VIRUS);
    let mail = String::from_utf8(mail::crlf(&infected(1))).expect("a mail of ASCII");
    let (mut client, mut upstream) = played(&popgate, &server);
    client.send_line("RETR 1");
    answer(&mut upstream, "RETR 1", &format!("+OK\r\n{mail}."));
    client.line();
    client.body();
    drop((client, upstream));
    let id = quarantine(&popgate, &["list"]).split(' ').next().expect("an id").to_owned();
    quarantine(&popgate, &["release", &id]);
    for reply in [Some("-ERR some messages were not removed"), None, Some("+OK bye")] {
        let (mut client, mut upstream) = played(&popgate, &server);
        client.send_line("DELE 2");
        answer(&mut upstream, "LIST", "+OK\r\n1 10\r\n.");
        assert_eq!(client.text(), "+OK message 2 deleted");
        client.send_line("QUIT");
        assert_eq!(upstream.text(), "QUIT");
        match reply {
            Some(reply) => {
                upstream.send_line(reply);
                assert_eq!(client.text(), reply);
            }
            None => drop(upstream),
        }
        client.rest();
        let listed = quarantine(&popgate, &["list"]);
        assert_eq!(listed.contains("released"), reply != Some("+OK bye"), "{reply:?}: {listed}");
    }
}
