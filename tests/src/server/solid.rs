//! solid-pop3d: one process for each connection, accounts of the system, mailboxes in one file.

use super::popa3d::listener;
use super::{Plan, accounts, namespace};
use crate::process::Process;

/// Whom it runs as before a login. The name is built in.
const ID: usize = 53_150;

pub(super) fn start(plan: &Plan<'_>) -> Process {
    let mut script = accounts::with_mailboxes(plan) + &accounts::account("spop3d", ID, "/nonexistent/");
    script += &listener(plan, "/usr/sbin/solid-pop3d");
    namespace::start(plan.folder, Some("solid"), &script)
}
