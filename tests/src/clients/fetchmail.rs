//! fetchmail: CAPA, USER, PASS, STAT, then LIST n and RETR n of each; by default LIST n, TOP n 99999999 and DELE n.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, delivery_agent, installed, write_secret};

/// Told to leave mail on the server.
pub(super) fn command(account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
    command_with(account, folder, inbox, "keep fetchall")
}

/// Told nothing of what to fetch and what to keep.
pub(super) fn by_default(account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
    command_with(account, folder, inbox, "")
}

/// Told to add no Received field and to leave addresses alone.
fn command_with(account: &Account<'_>, folder: &Path, inbox: &Path, keeps: &str) -> Command {
    let Account { port, user, password, .. } = account;
    let ca = account.ca.display();
    let tls = match account.tls {
        Tls::None => "sslproto '' no sslcertck".to_owned(),
        Tls::Stls => format!("sslproto 'tls1.2+' sslcertck sslcertfile '{ca}'"),
        Tls::Implicit => format!("ssl sslproto 'tls1.2+' sslcertck sslcertfile '{ca}'"),
    };
    let (protocol, auth) = match account.mechanism {
        Mechanism::Apop => ("apop", "any"),
        Mechanism::CramMd5 => ("pop3", "cram-md5"),
        _ => ("pop3", "password"),
    };
    let agent = delivery_agent(folder, inbox);
    let settings = folder.join("fetchmailrc");
    write_secret(
        &settings,
        &format!(
            "set invisible\nset no bouncemail\npoll localhost proto {protocol} service {port} auth {auth} timeout 50\n\
             user \"{user}\" password \"{password}\" is nobody here mda \"{}\" {tls} no rewrite {keeps} pass8bits\n",
            agent.display()
        ),
    );
    let mut command = installed("fetchmail", "fetchmail");
    command.env("FETCHMAILHOME", folder).arg("-f").arg(settings).args(["--nosyslog", "--nodetach"]);
    // Otherwise root's instances share one, and one runs at a time.
    command.arg("--pidfile").arg(folder.join("fetchmail.pid"));
    command
}

pub(super) fn lacks(mechanism: Mechanism) -> Option<&'static str> {
    let known = matches!(mechanism, Mechanism::User | Mechanism::Apop | Mechanism::CramMd5);
    (!known).then_some("fetchmail has USER, APOP and CRAM-MD5 alone")
}
