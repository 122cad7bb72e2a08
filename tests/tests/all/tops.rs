//! The top of a message without the rest.

use popgate_tests::connection::Connection;
use popgate_tests::mail::{crlf, eicar, message, numbered_lines, with_attachment};
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::mailbox::Mailbox;

/// One filter that reads all of a message, one that reads its header.
const FILTERS: &str = "[[filter]]\nplugin = \"virus\"\n[filter.config]\nambiguous = \"pass\"\n\
    [[filter]]\nname = \"prefix\"\nplugin = \"rewrite\"\nreads = \"headers\"\n[filter.config]\nsubject_prefix = \"[x] \"\n";

fn session(messages: &[Vec<u8>], upstream: &str) -> (Popgate, Mailbox, Connection) {
    let mailbox = Mailbox::serve(messages);
    let popgate = Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n{upstream}\n{FILTERS}",
        mailbox.address()
    ));
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    (popgate, mailbox, client)
}

fn fetch(client: &mut Connection, command: &str) -> String {
    client.succeed(command);
    String::from_utf8_lossy(&client.body()).into_owned()
}

fn last(mailbox: &Mailbox) -> String {
    mailbox.commands().last().cloned().unwrap_or_default()
}

fn mail() -> Vec<u8> {
    crlf(&message(1, "news", "X-Popgate-Skipped: forged\n", "one\n.two\nthree\n"))
}

#[test]
fn filters_of_headers_see_the_header_block_alone() {
    let (_popgate, mailbox, mut client) = session(&[mail()], "top = \"headers\"");
    let top = fetch(&mut client, "TOP 1 0");
    assert_eq!(last(&mailbox), "TOP 1 0");
    assert!(top.contains("Subject: [x] news\r\n") && top.ends_with("\r\n\r\n"), "{top}");
    let marks: Vec<_> = top.lines().filter(|line| line.starts_with("X-Popgate")).collect();
    assert_eq!(marks, ["X-Popgate-Skipped: top: not examined by virus"]);
    let top = fetch(&mut client, "TOP 1 2");
    assert!(top.ends_with("\r\n\r\none\r\n.two\r\n") && top.contains("X-Popgate-Skipped: top: "), "{top}");
    // Nothing but these tops was asked for.
    assert!(mailbox.commands().iter().all(|command| !command.starts_with("RETR") && !command.contains("2147483647")));
}

#[test]
fn a_top_of_all_lines_is_a_download() {
    for lines in ["3", "4", "99999999", "99999999999999999999"] {
        let (_popgate, _mailbox, mut client) = session(&[mail()], "top = \"headers\"");
        let top = fetch(&mut client, &format!("TOP 1 {lines}"));
        assert!(!top.contains("X-Popgate"), "{top}");
        assert_eq!(top, fetch(&mut client, "RETR 1"), "{lines}");
    }
    let infected = crlf(&with_attachment(1, "invoice.com", "application/octet-stream", eicar().as_bytes()));
    let (_popgate, _mailbox, mut client) = session(&[infected], "top = \"headers\"");
    for command in ["TOP 1 200", "TOP 1 99999999", "RETR 1"] {
        assert!(fetch(&mut client, command).contains("X-Popgate-Held: "), "{command}");
    }
}

#[test]
fn a_message_that_is_known_whole_is_shown_as_it_was_filtered() {
    let (_popgate, mailbox, mut client) = session(&[mail()], "top = \"headers\"");
    let whole = fetch(&mut client, "TOP 1 100");
    let asked = mailbox.commands().len();
    let top = fetch(&mut client, "TOP 1 1");
    assert!(whole.starts_with(&top) && top.ends_with("\r\none\r\n"), "{top}");
    assert_eq!(mailbox.commands().len(), asked);
}

#[test]
fn large_messages_are_not_fetched_whole_for_their_top() {
    let large = crlf(&message(2, "large", "", &numbered_lines(1_000)));
    let (_popgate, mailbox, mut client) = session(&[mail(), large], "top_max_size = \"10KB\"");
    let small = fetch(&mut client, "TOP 1 1");
    assert!(!small.contains("X-Popgate"), "{small}");
    assert_eq!(last(&mailbox), "TOP 1 2147483647");
    let top = fetch(&mut client, "TOP 2 1");
    assert_eq!(last(&mailbox), "TOP 2 2");
    assert!(
        top.contains("X-Popgate-Skipped: top: not examined by virus\r\n") && top.contains("Subject: [x] large"),
        "{top}"
    );
    assert_eq!(top.split_once("\r\n\r\n").map(|(_, body)| body.lines().count()), Some(1));
    let whole = fetch(&mut client, "TOP 2 1000");
    assert_eq!(whole, fetch(&mut client, "RETR 2"));
    let reply = client.command("TOP 3 1");
    assert!(reply.starts_with("-ERR"), "{reply}");
    client.succeed("NOOP");
}

#[test]
fn commands_sent_ahead_are_answered_in_order() {
    for upstream in ["top = \"headers\"", "top_max_size = \"1\"", "sizes = \"exact\"\nheld = \"hide\""] {
        let (_popgate, _mailbox, mut client) = session(&[mail()], upstream);
        client.succeed("CAPA");
        client.body();
        client.send("NOOP\r\nTOP 1 9\r\nNOOP\r\nUIDL 1\r\nSTAT\r\nTOP 1 1\r\nDELE 1\r\nTOP 9 1\r\nRSET\r\nQUIT\r\n");
        client.line();
        assert!(client.text().starts_with("+OK"));
        assert!(client.body().ends_with(b"three\r\n"), "{upstream}");
        client.line();
        assert_eq!(client.text(), "+OK 1 uid-1", "{upstream}");
        assert!(client.text().starts_with("+OK 1 "), "{upstream}");
        assert!(client.text().starts_with("+OK"));
        assert!(client.body().ends_with(b"\r\none\r\n"), "{upstream}");
        assert!(client.text().starts_with("+OK"));
        assert!(client.text().starts_with("-ERR"), "{upstream}");
        assert!(client.text().starts_with("+OK") && client.text().starts_with("+OK"));
        client.expect_end();
    }
}
