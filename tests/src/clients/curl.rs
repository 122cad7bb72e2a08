//! curl: one URL for each message, over one connection.

use std::path::Path;
use std::process::Command;

use super::{Account, Tls, installed};

/// Without an APOP stamp in the greeting it sends AUTH PLAIN with an initial response; with one it would prefer APOP.
pub(super) fn command(account: &Account<'_>, inbox: &Path) -> Command {
    let Account { port, user, password, count, .. } = account;
    let scheme = if account.tls == Tls::Implicit { "pop3s" } else { "pop3" };
    let mut command = installed("curl", "curl");
    command.args(["-q", "-sS", "--fail-early", "--max-time", "50", "--login-options", "AUTH=PLAIN"]);
    command.arg("--cacert").arg(account.ca).arg("-u").arg(format!("{user}:{password}"));
    if account.tls == Tls::Stls {
        command.arg("--ssl-reqd");
    }
    command.arg(format!("{scheme}://localhost:{port}/[1-{count}]")).arg("-o").arg(inbox.join("#1"));
    command
}
