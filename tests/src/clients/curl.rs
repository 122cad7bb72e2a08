//! curl: one URL for each message, over one connection.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, installed};

/// It sends initial responses, and prefers APOP unless told otherwise.
pub(super) fn command(account: &Account<'_>, inbox: &Path) -> Command {
    let Account { port, user, password, count, mechanism, .. } = account;
    let scheme = if account.tls == Tls::Implicit { "pop3s" } else { "pop3" };
    let mut command = installed("curl", "curl");
    command.args(["-q", "-sS", "--fail-early", "--max-time", "50", "--cacert"]).arg(account.ca);
    match mechanism {
        Mechanism::User => {}
        Mechanism::Apop => drop(command.args(["--login-options", "AUTH=+APOP"])),
        sasl => drop(command.arg("--login-options").arg(format!("AUTH={}", sasl.name()))),
    }
    if *mechanism == Mechanism::Xoauth2 {
        command.args(["--oauth2-bearer", password, "-u"]).arg(format!("{user}:"));
    } else {
        command.arg("-u").arg(format!("{user}:{password}"));
    }
    if account.tls == Tls::Stls {
        command.arg("--ssl-reqd");
    }
    command.arg(format!("{scheme}://localhost:{port}/[1-{count}]")).arg("-o").arg(inbox.join("#1"));
    command
}

/// USER can't be asked for: it is what curl falls back to where the server has nothing else.
pub(super) fn lacks(mechanism: Mechanism, offered: &[Mechanism]) -> Option<&'static str> {
    match mechanism {
        Mechanism::User if offered.len() > 1 => Some("curl takes SASL or APOP wherever a server has either"),
        Mechanism::ScramSha1 | Mechanism::ScramSha256 => Some("Debian builds curl without GNU SASL, so without SCRAM"),
        _ => None,
    }
}
