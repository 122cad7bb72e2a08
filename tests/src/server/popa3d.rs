//! popa3d: one process for each connection, accounts of the system, mailboxes in one file.

use super::{Plan, accounts, namespace};
use crate::process::{Process, program};

/// Whom it runs as before a login. The name is built in.
const ID: usize = 53_140;

pub(super) fn start(plan: &Plan<'_>) -> Process {
    let mut script = accounts::with_mailboxes(plan) + &accounts::account("popa3d", ID, "/nonexistent/");
    // Its empty root.
    script += "install -d -m 755 /var/lib/popa3d\n";
    script += &listener(plan, "/usr/sbin/popa3d");
    namespace::start(plan.folder, Some("popa3d"), &script)
}

/// What accepts connections for a program that only serves the one it is started with.
pub(super) fn listener(plan: &Plan<'_>, server: &str) -> String {
    let socat = program("socat", "socat");
    format!("exec {} TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork EXEC:{server},nofork\n", socat.display(), plan.plain)
}
