//! Real clients that log in with a Kerberos ticket, by KPOP or by GSSAPI.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{DOWNLOAD, delivery_agent, files, installed, write_secret};
use crate::kerberos::Kerberos;
use crate::process;

/// A real mail client with a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TicketClient {
    /// fetchmail by KPOP. It connects to a port of a fixed name that no machine knows, so socat does that for it.
    FetchmailKpop,
    /// fetchmail by AUTH GSSAPI.
    FetchmailGssapi,
    /// mpop by AUTH GSSAPI.
    MpopGssapi,
}

impl TicketClient {
    /// Downloads all messages of a user from a port of this machine, in any order.
    ///
    /// # Panics
    ///
    /// If the client is not installed or reports a failure.
    #[must_use]
    pub fn download(self, port: u16, user: &str, kerberos: &Kerberos, tickets: &Path) -> Vec<Vec<u8>> {
        let folder = process::folder();
        let inbox = folder.path().join("inbox");
        fs::create_dir(&inbox).expect("a new folder can be written");
        let mut command = match self {
            Self::FetchmailKpop => {
                let socat = process::program("socat", "socat");
                let way = format!(
                    "proto kpop service \"kpop\" auth kerberos_v5 plugin \"{} - TCP:127.0.0.1:{port}\"",
                    socat.display()
                );
                fetchmail(&way, user, folder.path(), &inbox)
            }
            Self::FetchmailGssapi => {
                fetchmail(&format!("proto pop3 service {port} auth gssapi"), user, folder.path(), &inbox)
            }
            Self::MpopGssapi => mpop(port, user, folder.path(), &inbox),
        };
        command.env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME");
        let ended = process::run(kerberos.equip(&mut command, tickets), DOWNLOAD);
        assert_eq!(ended.code, Some(0), "{command:?}\n{}{}", ended.output, ended.errors);
        files(&inbox)
    }

    /// The longest line that it stores as it came, or what is long for a mail.
    #[must_use]
    pub fn longest_line(self) -> usize {
        if self == Self::MpopGssapi { super::Client::Mpop } else { super::Client::Fetchmail }.longest_line()
    }
}

fn fetchmail(way: &str, user: &str, folder: &Path, inbox: &Path) -> Command {
    let agent = delivery_agent(folder, inbox);
    let settings = folder.join("fetchmailrc");
    write_secret(
        &settings,
        &format!(
            "set invisible\nset no bouncemail\npoll localhost {way} timeout 50\n\
             user \"{user}\" password \"no\" is nobody here mda \"{}\" sslproto '' no sslcertck no rewrite keep fetchall \
             pass8bits\n",
            agent.display()
        ),
    );
    let mut command = installed("fetchmail", "fetchmail");
    command.env("FETCHMAILHOME", folder).arg("-f").arg(settings).args(["--nosyslog", "--nodetach"]);
    // Otherwise root's instances share one, and one runs at a time.
    command.arg("--pidfile").arg(folder.join("fetchmail.pid"));
    command
}

fn mpop(port: u16, user: &str, folder: &Path, inbox: &Path) -> Command {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir(inbox.join(part)).expect("a new folder can be written");
    }
    let settings = folder.join("mpoprc");
    write_secret(
        &settings,
        &format!(
            "account test\nhost localhost\nport {port}\nuser {user}\nauth gssapi\ntls off\nkeep on\n\
             received_header off\ndelivery maildir {}\nuidls_file {}\ntimeout 50\naccount default : test\n",
            inbox.display(),
            folder.join("uidls").display()
        ),
    );
    let mut command = installed("mpop", "mpop");
    command.arg("-C").arg(settings);
    command
}
