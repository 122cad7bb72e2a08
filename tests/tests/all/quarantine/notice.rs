//! The notice in the place of a held message, as other programs read it.

use std::path::Path;
use std::process::Command;

use popgate_tests::PATIENCE;
use popgate_tests::connection::stuff;
use popgate_tests::mail::{crlf, eicar, message};
use popgate_tests::popgate::{Popgate, run_with};
use popgate_tests::process::{self, program, write};
use popgate_tests::upstream::mailbox::Mailbox;

use super::setup::{config, id_of, log_in, session};

/// Reads a mail with Python's `email` by the newest rules; prints what it is, one fact a line.
const READ: &str = r#"
import email, email.policy, sys
mail = email.message_from_bytes(open(sys.argv[1], "rb").read(), policy=email.policy.default)
print("defects", [str(d) for part in mail.walk() for d in part.defects], [str(d) for _, v in mail.items() for d in v.defects])
print("names", sorted(name.lower() for name in mail.keys()))
for name in ["From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"]:
    print(name.lower(), mail[name])
print("date", mail["Date"].datetime.isoformat())
print("type", mail.get_content_type(), mail.get_content_charset(), mail.is_multipart())
print("text", repr(mail.get_content()))
"#;

fn python_reads(folder: &Path, mail: &str) -> String {
    let path = folder.join("notice.eml");
    write(&path, mail);
    let ended = process::run(Command::new(program("python3", "python3")).arg("-c").arg(READ).arg(path), PATIENCE);
    assert_eq!(ended.code, Some(0), "{}\n{mail}", ended.errors);
    ended.output
}

/// A message that is held, with these header fields.
fn hostile(fields: &str) -> Vec<u8> {
    let mail = format!("{fields}Content-Type: text/plain\r\n\r\n{}\r\n", eicar());
    mail.into_bytes()
}

#[test]
fn a_notice_is_a_mail_to_others_whatever_it_stands_for() {
    let good = crlf(&message(1, "=?utf-8?B?w5xiZXI=?= an invoice", "", &format!("{}\n", eicar())));
    let forged = "=?utf-8?q?x=0D=0AX-Forged:_yes=0D=0A=0D=0Abody?=";
    let mails = [
        good,
        hostile(&format!("From: {forged} <a@b>\r\nSubject: {forged}\r\nMessage-ID: {forged}\r\n")),
        hostile(&format!("From: {0}\r\nSubject: {0}\r\nDate: {0}\r\n", "x".repeat(9_000))),
        hostile("Subject: \u{fc}\u{202e}cod.exe\r\n .\r\nMessage-ID: <a@b> <c@d>\r\n"),
        hostile(""),
    ];
    let popgate = Popgate::start(&config(Mailbox::serve(&mails).address(), ""));
    for number in 1..=mails.len() {
        let notice = session(&popgate, "alice", number).expect("it is held");
        assert_eq!(session(&popgate, "alice", number).as_deref(), Ok(&*notice), "it is the same each time");
        assert!(notice.lines().all(|line| line.len() <= 998), "{notice}");
        let read = python_reads(popgate.folder(), &notice);
        assert!(read.starts_with("defects [] []\n"), "{read}");
        assert!(!read.contains("'x-forged'") && read.contains("auto-submitted auto-generated\n"), "{read}");
        assert!(read.contains("type text/plain utf-8 False\n") && read.contains("to alice@localhost\n"), "{read}");
        assert!(read.contains(&id_of(&notice)) && !notice.contains(&eicar()[..20]), "{read}");
        if number == 1 {
            assert!(read.contains("subject [held] \u{dc}ber an invoice\n"), "{read}");
            assert!(read.contains("in-reply-to <test-1@example.org>\nreferences <test-1@example.org>\n"), "{read}");
            assert!(read.contains("Sender 1 <sender1@example.org>"), "{read}");
        } else {
            assert!(read.contains("in-reply-to None\n"), "{read}");
        }
    }
}

#[test]
fn a_notice_can_be_in_german_or_of_ones_own() {
    let mailbox = Mailbox::serve(&[crlf(&message(1, "offer", "", &format!("{}\n", eicar())))]);
    let german = Popgate::start(&config(mailbox.address(), "[quarantine]\nlanguage = \"de\"\n"));
    let notice = session(&german, "alice", 1).expect("it is held");
    let read = python_reads(german.folder(), &notice);
    assert!(read.starts_with("defects [] []\n") && read.contains("subject [zur\u{fc}ckgehalten] offer\n"), "{read}");
    assert!(read.contains("Eine Nachricht an Sie wurde zur\u{fc}ckgehalten"), "{read}");

    let folder = process::folder();
    let text = "From: Us <us@x.example>\nReply-To: help@x.example\nSubject: {filter}: {subject}\n\n\
        .{user} at {upstream}\n.\n..\n{{{id}}}\n";
    write(&folder.path().join("notice.txt"), text);
    let rules = config(mailbox.address(), "[quarantine]\nnotice = \"notice.txt\"\n");
    let own = Popgate::start_in(folder, &rules);
    let notice = session(&own, "alice", 1).expect("it is held");
    let (head, body) = notice.split_once("\r\n\r\n").expect("it has a header");
    assert!(head.contains("From: Us <us@x.example>\r\n") && head.contains("Subject: virus: offer\r\n"), "{head}");
    assert_eq!(body, format!(".alice at server\r\n.\r\n..\r\n{{{}}}\r\n", id_of(&notice)));
    // On the wire the dots are stuffed.
    let mut client = log_in(&own, "alice");
    client.succeed("RETR 1");
    assert_eq!(client.stuffed_body(), stuff(notice.as_bytes()));
}

#[test]
fn what_is_wrong_with_a_notice_is_found_before_anything_runs() {
    let mailbox = Mailbox::serve(&[]);
    let configuration = config(mailbox.address(), "[quarantine]\nnotice = \"notice.txt\"\n");
    for (text, expected) in [
        (None, "No such file"),
        (Some("Subject: {subject}\n\nText"), "line 1: there is no `From`"),
        (Some("From: a <a@b>\nSubject: s\n\nYou: {usr}\n"), "line 4: `{usr}` is not a variable"),
        (Some("From: a <a@b>\nSubject: s\nBcc: c@d\n\n"), "line 3: `Bcc` is not a field"),
    ] {
        let folder = process::folder();
        if let Some(text) = text {
            write(&folder.path().join("notice.txt"), text);
        }
        let ended = run_with("check", folder.path(), &configuration);
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        for part in [expected, "notice = \"notice.txt\"", "hint: "] {
            assert!(ended.errors.contains(part), "{part}: {}", ended.errors);
        }
    }
}
