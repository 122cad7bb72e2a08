//! GNU mailutils: accounts of the system, an APOP database, mailboxes in one file.

use std::fmt::Write as _;

use super::{Plan, accounts, namespace};
use crate::dovecot::PASSWORD;
use crate::process::{Process, program, write};

/// Who owns the APOP secrets. The name is built in.
const ID: usize = 53_130;

pub(super) fn start(plan: &Plan<'_>) -> Process {
    let binary = program("pop3d", "mailutils-pop3d");
    let settings = plan.folder.join("pop3d.conf");
    write(
        &settings,
        format!(
            "mode daemon;
foreground yes;
logging {{ syslog no; }};
mailbox {{ mail-spool /var/mail; mailbox-type mbox; }};
tls {{ ssl-certificate-file {certificate}; ssl-key-file {key}; ssl-ca-file {ca}; }};
tls-file-checks {{ key-file (none); }};
auth {{
  authentication \"clear\"; authentication \"pam:system\";
  authorization \"clear\"; authorization \"system\";
}};
apop-database-file /var/lib/apop.db;
server 127.0.0.1:{plain} {{ tls-mode ondemand; }};
server 127.0.0.1:{tls} {{ tls-mode connection; }};
",
            certificate = plan.certificates.certificate.display(),
            key = plan.certificates.private_key.display(),
            ca = plan.certificates.ca.display(),
            plain = plan.plain,
            tls = plan.tls,
        ),
    );
    let mut script = accounts::with_mailboxes(plan) + &accounts::account("apop", ID, "/nonexistent/");
    for (user, _) in plan.users {
        let _infallible = writeln!(script, "popauth --file /var/lib/apop.db --add --user {user} --password {PASSWORD}");
    }
    let _infallible =
        writeln!(script, "exec {} --no-site-config --config-file={}", binary.display(), settings.display());
    namespace::start(plan.folder, None, &script)
}
