//! The bundled filters on mail that is under way, and what is kept of what they take away.

use std::fs;
use std::path::Path;

use popgate_tests::connection::{Connection, show};
use popgate_tests::mail::{crlf, eicar, message, normalised, with_attachment};
use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::mailbox::Mailbox;

/// popgate with these filters before a server with these messages, and a client that has logged in.
fn session(messages: &[Vec<u8>], filters: &str) -> (Popgate, Connection) {
    let messages: Vec<_> = messages.iter().map(|message| crlf(message)).collect();
    let popgate = Popgate::start(&format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\ntls = \"none\"\n{filters}",
        Mailbox::serve(&messages).address()
    ));
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    (popgate, client)
}

fn fetch(client: &mut Connection, command: &str) -> String {
    client.succeed(command);
    String::from_utf8_lossy(&client.body()).into_owned()
}

/// Whether a file in this folder, or below it, holds exactly this message.
fn keeps(folder: &Path, message: &[u8]) -> bool {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.flatten().map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => keeps(&path, message),
        false => fs::read(&path).is_ok_and(|content| content == message),
    })
}

fn infected() -> Vec<u8> {
    with_attachment(1, "invoice.com", "application/octet-stream", eicar().as_bytes())
}

#[test]
fn an_infected_message_is_held_and_kept() {
    let (original, clean) = (infected(), message(2, "clean", "", "Nothing here.\n"));
    let filters = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\n";
    let (popgate, mut client) = session(&[original.clone(), clean.clone()], filters);
    let notice = fetch(&mut client, "RETR 1");
    // The notice stands in the mail's place, without anything of what was attached.
    assert!(!notice.contains("WDVPIVAl"), "{notice}");
    assert!(notice.contains("From: ") && notice.contains("Subject: ") && notice.contains("\r\n\r\n"), "{notice}");
    assert!(keeps(&popgate.folder().join("state"), &crlf(&original)), "the original is not in the state folder");
    // The same again: nothing gets through, whichever way it is asked for.
    assert_eq!(fetch(&mut client, "RETR 1"), notice);
    assert_eq!(fetch(&mut client, "TOP 1 99999"), notice);
    assert_eq!(normalised(fetch(&mut client, "RETR 2").as_bytes()), clean);
    client.succeed("QUIT");
}

#[test]
fn the_notice_of_a_held_message_is_what_the_lists_announce() {
    let filters = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\n";
    let (_popgate, mut client) = session(&[infected()], filters);
    let status = client.succeed("RETR 1");
    let length = client.body().len();
    assert_eq!(status.split(' ').nth(1), Some(&*length.to_string()));
    assert_eq!(client.command("LIST 1"), format!("+OK 1 {length}"));
    assert!(client.command("STAT").starts_with(&format!("+OK 1 {length}")));
    client.succeed("UIDL 1");
}

#[test]
fn an_attachment_is_stripped_and_the_original_kept() {
    let original = with_attachment(1, "invoice.pdf.exe", "application/pdf", b"MZ\x90\0 pretend");
    let filters = "[[filter]]\nname = \"policy\"\nplugin = \"attachments\"\n[filter.config]\ndeny_extensions = [\"exe\"]\n\
                   deny_media_types = []\naction = \"strip\"\n";
    let (popgate, mut client) = session(std::slice::from_ref(&original), filters);
    let came = fetch(&mut client, "RETR 1");
    assert!(came.contains("See the file.") && came.contains("invoice.pdf.exe") && !came.contains("TVqQ"), "{came}");
    assert!(keeps(&popgate.folder().join("state"), &crlf(&original)), "the original is not in the state folder");
    assert_eq!(fetch(&mut client, "TOP 1 99999"), came);
}

#[test]
fn an_attachment_can_have_the_whole_message_held() {
    let original = with_attachment(1, "macro.docm", "application/vnd.ms-word.document.macroEnabled.12", b"PK pretend");
    let filters = "[[filter]]\nname = \"policy\"\nplugin = \"attachments\"\n[filter.config]\ndeny_extensions = []\n\
                   deny_media_types = [\"application/vnd.ms-*\"]\naction = \"hold\"\n";
    let (popgate, mut client) = session(std::slice::from_ref(&original), filters);
    let came = fetch(&mut client, "RETR 1");
    assert!(!came.contains("See the file."), "{came}");
    assert!(keeps(&popgate.folder().join("state"), &crlf(&original)), "the original is not in the state folder");
}

#[test]
fn header_edits_change_the_header_alone() {
    let original = message(1, "fwd: news", "X-Spam: yes\n", ".a dot\nand  \ttabs\n");
    let filters = "[[filter]]\nname = \"rules\"\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefix = \"[ext] \"\n\
                   [[filter.config.subject]]\nmatch = \"(?i)^fwd: *\"\nreplace = \"Fw: \"\n\
                   [[filter.config.header]]\naction = \"remove\"\nname = \"X-Spam\"\n\
                   [[filter.config.header]]\naction = \"set\"\nname = \"X-For\"\nvalue = \"{user}\"\n\
                   [[filter.config.header]]\naction = \"add\"\nname = \"X-Never\"\nvalue = \"1\"\nwhen = { header = \"X-Not-There\" }\n";
    let (popgate, mut client) = session(std::slice::from_ref(&original), filters);
    let came = fetch(&mut client, "RETR 1");
    let (header, body) = came.split_once("\r\n\r\n").expect("a header and a body");
    let fields: Vec<_> = header.split("\r\n").collect();
    assert!(fields.contains(&"Subject: [ext] Fw: news") && fields.contains(&"X-For: alice"), "{header}");
    assert!(!header.contains("X-Spam") && !header.contains("X-Never"), "{header}");
    assert_eq!(body, ".a dot\r\nand  \ttabs\r\n");
    // Nothing was taken away, so nothing is kept.
    assert!(!keeps(&popgate.folder().join("state"), &crlf(&original)), "{}", show(came.as_bytes()));
}

#[test]
fn a_later_filter_sees_the_edits_of_an_earlier_one() {
    let filters = "[[filter]]\nname = \"one\"\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefix = \"1 \"\n\
                   [[filter]]\nname = \"two\"\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefix = \"2 \"\n\
                   [[filter]]\nname = \"three\"\nplugin = \"rewrite\"\n[[filter.config.header]]\naction = \"add\"\n\
                   name = \"X-Seen\"\nvalue = \"{header:Subject}\"\n";
    let (_popgate, mut client) = session(&[message(1, "news", "", "text\n")], filters);
    let came = fetch(&mut client, "RETR 1");
    assert!(came.contains("\r\nSubject: 2 1 news\r\n") && came.contains("X-Seen: 2 1 news\r\n"), "{came}");
}

#[test]
fn a_filter_for_others_leaves_the_mail_alone() {
    let original = infected();
    let filters = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\nonly = { user = [\"*@dept.example\"] }\n";
    let (_popgate, mut client) = session(std::slice::from_ref(&original), filters);
    assert_eq!(normalised(fetch(&mut client, "RETR 1").as_bytes()), original);
}

#[test]
fn a_filter_that_observes_changes_nothing() {
    let original = infected();
    let filters = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\nmode = \"observe\"\n";
    let (_popgate, mut client) = session(std::slice::from_ref(&original), filters);
    assert_eq!(normalised(fetch(&mut client, "RETR 1").as_bytes()), original);
}

#[test]
fn the_log_tells_of_a_held_message_without_its_text() {
    let filters = "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\n";
    let (popgate, mut client) = session(&[infected()], filters);
    fetch(&mut client, "RETR 1");
    popgate.wait_for_log("held");
    let log = popgate.log();
    assert!(!log.contains("See the file.") && !log.contains("secret"), "{log}");
}

#[test]
fn a_banner_is_put_in_and_nothing_is_taken_away() {
    let original = message(1, "news", "", "caf\u{e9}\n");
    let filters = "[[filter]]\nplugin = \"rewrite\"\n[[filter.config.banner]]\ntext = \"From outside.\"\n\
                   when = { sender = [\"inside.example\"], not = true }\n";
    let (popgate, mut client) = session(std::slice::from_ref(&original), filters);
    let came = fetch(&mut client, "RETR 1");
    let (_, body) = came.split_once("\r\n\r\n").expect("a header and a body");
    assert!(body.starts_with("From outside.\r\n\r\n") && body.ends_with("caf\u{e9}\r\n"), "{body}");
    assert!(!keeps(&popgate.folder().join("state"), &crlf(&original)), "nothing was taken away, and a copy is kept");
    assert_eq!(fetch(&mut client, "TOP 1 99999"), came);
}

#[test]
fn active_html_goes_and_the_original_is_kept() {
    let fields = "MIME-Version: 1.0\nContent-Type: text/html\n";
    let active = message(1, "offer", fields, "<p onclick=x()>Hello<script>x()</script></p>\n");
    let quiet = message(2, "offer", fields, "<p class=x>Hello</p>\n");
    let (popgate, mut client) = session(&[active.clone(), quiet.clone()], "[[filter]]\nplugin = \"defang\"\n");
    let came = fetch(&mut client, "RETR 1");
    assert!(came.ends_with("\r\n\r\n<p>Hello</p>\r\n"), "{came}");
    let state = popgate.folder().join("state");
    assert!(keeps(&state, &crlf(&active)), "the original is not in the state folder");
    assert_eq!(normalised(fetch(&mut client, "RETR 2").as_bytes()), quiet);
    assert!(!keeps(&state, &crlf(&quiet)), "a message that was not changed is kept");
}
