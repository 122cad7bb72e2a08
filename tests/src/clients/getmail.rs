//! getmail6: USER, PASS, UIDL, LIST, then RETR of each. It offers no STLS.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, delivery_agent, installed, process};
use crate::process::Ended;

/// Told to add no fields of its own. It refuses to write a Maildir as root, hence the delivery agent.
pub(super) fn command(account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
    let Account { port, user, password, ca, .. } = account;
    let retriever = match account.tls {
        Tls::None => "type = SimplePOP3Retriever".to_owned(),
        Tls::Implicit => format!("type = SimplePOP3SSLRetriever\nca_certs = {}", ca.display()),
        Tls::Stls => panic!("getmail knows no STLS"),
    };
    let settings = folder.join("getmailrc");
    process::write(
        &settings,
        format!(
            "[retriever]\n{retriever}\nserver = localhost\nport = {port}\nusername = {user}\npassword = {password}\ntimeout = 10\n\
             use_apop = {}\n\n\
             [destination]\ntype = MDA_external\npath = {}\nallow_root_commands = true\nunixfrom = false\n\n\
             [options]\ndelete = false\nread_all = true\ndelivered_to = false\nreceived = false\nverbose = 2\n",
            account.mechanism == Mechanism::Apop,
            delivery_agent(folder, inbox).display()
        ),
    );
    let mut command = installed("getmail", "getmail6");
    command.arg("--getmaildir").arg(folder).arg("--rcfile").arg(settings);
    command
}

/// getmail 6.18 starts a process for each delivery before it listens for the end of that. A quick one ends unnoticed now
/// and then, and getmail gives up: nothing that a server could help.
pub(super) fn lost_its_child(ended: &Ended) -> bool {
    ended.output.contains("waiting child pid") || ended.errors.contains("waiting child pid")
}

/// Every message gets the field from getmail, in front of all others.
pub(super) fn take_off_return_path(message: &mut Vec<u8>) {
    assert!(message.starts_with(b"Return-Path: <"), "getmail begins with Return-Path");
    let end = message.iter().position(|&octet| octet == b'\n').expect("a field ends");
    message.drain(..=end);
}

pub(super) fn lacks(tls: Tls, mechanism: Mechanism) -> Option<&'static str> {
    if tls == Tls::Stls {
        return Some("getmail has no STLS");
    }
    mechanism.is_sasl().then_some("getmail has USER and APOP alone")
}
