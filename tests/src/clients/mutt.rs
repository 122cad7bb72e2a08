//! mutt in a pseudo-terminal, driven by keys in its settings: it fetches all mail and quits.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Account, Tls, installed, write_secret};
use crate::process::program;

/// Runs a program in a terminal of its own until it ends, and passes its exit code on.
const IN_TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

pub(super) fn command(account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
    let Account { port, user, password, ca, .. } = account;
    for part in ["cur", "new", "tmp"] {
        fs::create_dir(inbox.join(part)).expect("a new folder can be written");
    }
    let scheme = if account.tls == Tls::Implicit { "pops" } else { "pop" };
    let starttls = if account.tls == Tls::Stls { "yes" } else { "no" };
    let force = if account.tls == Tls::None { "no" } else { "yes" };
    let token = folder.join("token");
    write_secret(&token, password);
    let settings = folder.join("muttrc");
    write_secret(
        &settings,
        &format!(
            "set mbox_type=Maildir spoolfile={inbox} folder={folder} record=\"\" move=no quit=yes confirmappend=no\n\
             set pop_host=\"{scheme}://{user}@localhost:{port}\" pop_pass=\"{password}\" pop_delete=no pop_checkinterval=0\n\
             set pop_authenticators=\"{}\" pop_auth_try_all=no pop_oauth_refresh_command=\"cat {}\"\n\
             set ssl_starttls={starttls} ssl_force_tls={force} ssl_ca_certificates_file={} certificate_file={}\n\
             set wait_key=no sleep_time=0 pop_reconnect=no mark_old=no header_cache=\"\"\npush \"<fetch-mail><quit>\"\n",
            account.mechanism.name().to_lowercase(),
            token.display(),
            ca.display(),
            ca.display(),
            inbox = inbox.display(),
            folder = folder.display(),
        ),
    );
    let mut command = installed("python3", "python3");
    command.args(["-I", "-c", IN_TERMINAL]).arg(program("mutt", "mutt"));
    command.arg("-n").arg("-F").arg(settings).env("TERM", "vt100");
    command
}
