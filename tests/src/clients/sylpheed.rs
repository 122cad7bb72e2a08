//! Sylpheed on a screen that nobody sees: USER or APOP, STAT, UIDL, LIST, then RETR of each.

use std::path::Path;

use super::graphical::{contained, folder, run_until, screen};
use super::{Account, Mechanism, Tls, files, write_secret};
use crate::process::write;

/// Fetches all mail into a folder of single files.
pub(super) fn attempt(account: &Account<'_>, home: &Path) -> Result<Vec<Vec<u8>>, String> {
    let Account { port, user, password, .. } = account;
    let settings = folder(home.join("settings"));
    let inbox = folder(home.join("Mail/inbox"));
    for other in ["sent", "draft", "queue", "trash"] {
        folder(home.join("Mail").join(other));
    }
    let tls = match account.tls {
        Tls::None => 0,
        Tls::Implicit => 1,
        Tls::Stls => 2,
    };
    let apop = u8::from(account.mechanism == Mechanism::Apop);
    write_secret(
        &settings.join("accountrc"),
        &format!(
            "[Account: 1]\naccount_name=test\nis_default=1\nname=Test\naddress={user}@localhost\nprotocol=0\n\
             receive_server=localhost\nsmtp_server=localhost\nuser_id={user}\npassword={password}\ninbox=inbox\n\
             use_apop_auth={apop}\nremove_mail=0\nget_all_mail=0\nenable_size_limit=0\nfilter_on_receive=0\n\
             receive_at_get_all=1\nssl_pop={tls}\nset_popport=1\npop_port={port}\n"
        ),
    );
    let items = ["inbox", "sent", "draft", "queue", "trash"].map(|name| {
        let kind = if name == "sent" { "outbox" } else { name };
        format!("<folderitem type=\"{kind}\" name=\"{name}\" path=\"{name}\"/>\n")
    });
    write(
        &settings.join("folderlist.xml"),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<folderlist>\n<folder type=\"mh\" name=\"Mailbox\" path=\"Mail\">\n\
             {}</folder>\n</folderlist>\n",
            items.concat()
        ),
    );
    // The authorities that it trusts without asking.
    std::fs::copy(account.ca, settings.join("certs.crt")).expect("a file of the test's own can be copied");
    let mut command = contained("sylpheed", "sylpheed");
    command.arg("--configdir").arg(&settings).arg("--receive-all");
    // There is the socket by which a second one would find the first.
    command.env("HOME", home).env("TMPDIR", home).env("DISPLAY", screen()).env("LC_ALL", "C.UTF-8");
    command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    // It writes the unique-ids of all messages when the session is over.
    let records = settings.join(format!("uidl/localhost-{user}"));
    run_until(&mut command, &records, account.count, "")?;
    let mut messages = files(&inbox);
    // Not a message: what it remembers of them.
    messages.retain(|message| message.windows(5).any(|window| window == b"From:"));
    Ok(messages)
}

pub(super) fn lacks(mechanism: Mechanism) -> Option<&'static str> {
    mechanism.is_sasl().then_some("Sylpheed has USER and APOP alone")
}
