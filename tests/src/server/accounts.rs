//! Accounts and mailboxes of the system, inside a server's namespaces.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Plan;
use crate::dovecot::PASSWORD;
use crate::process::write;

/// The first of the users' ids. No system has that many accounts of its own.
const FIRST_ID: usize = 53_000;

/// Lines of a script that make an account for each user, the mailbox in `/var/mail` included.
pub(super) fn with_mailboxes(plan: &Plan<'_>) -> String {
    let mut script = format!("hash=$(openssl passwd -6 {PASSWORD})\ninstall -d -m 1777 /var/mail\n");
    for (at, (user, messages)) in plan.users.iter().enumerate() {
        let id = FIRST_ID + at;
        let seed = plan.folder.join(format!("{user}.mbox"));
        write(&seed, mailbox(messages));
        script.push_str(&account(user, id, "/var/home/"));
        let _infallible = write!(
            script,
            "echo \"{user}:$hash:20000:0:99999:7:::\" >>/etc/shadow\nmkdir -p /var/home/{user}\n\
             chown {id}:{id} /var/home/{user}\ninstall -o {id} -g {id} -m 600 {} /var/mail/{user}\n",
            seed.display()
        );
    }
    script
}

/// Lines of a script that make an account that nobody logs in to.
pub(super) fn account(name: &str, id: usize, home: &str) -> String {
    format!("echo {name}:x:{id}:{id}::{home}{name}:/bin/sh >>/etc/passwd\necho {name}:x:{id}: >>/etc/group\n")
}

/// A file with all messages (RFC 4155): lines that begin like a separator are quoted.
fn mailbox(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for message in messages {
        file.extend_from_slice(b"From sender@example.org Mon Jun  1 10:00:00 2026\n");
        for line in message.split_inclusive(|&octet| octet == b'\n') {
            if line.starts_with(b"From ") {
                file.push(b'>');
            }
            file.extend_from_slice(line);
        }
        if !file.ends_with(b"\n") {
            file.push(b'\n');
        }
        file.push(b'\n');
    }
    file
}

/// Writes a Maildir for each user: `FOLDER/USER/Maildir`.
pub(super) fn write_maildirs(folder: &Path, plan: &Plan<'_>) {
    for (user, messages) in plan.users {
        let maildir = folder.join(user).join("Maildir");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(part)).expect("a mailbox can be made");
        }
        for (at, message) in messages.iter().enumerate() {
            // The time in the name is what the order in the maildrop comes from.
            write(&maildir.join("new").join(format!("{}.M{at}P1.test", 1_780_300_000 + at)), message);
        }
    }
}
