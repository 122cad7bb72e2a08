//! Python's poplib: USER, PASS, STAT, RETR of each.

use std::path::Path;
use std::process::Command;

use super::{Account, Mechanism, Tls, installed};

/// The longest line that poplib takes is raised, since mail has longer ones.
const SCRIPT: &str = r#"
import pathlib, poplib, ssl, sys
mode, port, ca, mechanism, user, password, inbox = sys.argv[1:]
poplib._MAXLINE = 1 << 20
context = ssl.create_default_context(cafile=ca)
if mode == "implicit":
    server = poplib.POP3_SSL("localhost", int(port), context=context, timeout=50)
else:
    server = poplib.POP3("localhost", int(port), timeout=50)
if mode == "stls":
    server.stls(context)
if mechanism == "APOP":
    server.apop(user, password)
else:
    server.user(user)
    server.pass_(password)
count, _ = server.stat()
for number in range(1, count + 1):
    _, lines, _ = server.retr(number)
    pathlib.Path(inbox, str(number)).write_bytes(b"".join(line + b"\r\n" for line in lines))
server.quit()
"#;

pub(super) fn command(account: &Account<'_>, inbox: &Path) -> Command {
    let mut command = installed("python3", "python3");
    command.arg("-I").arg("-c").arg(SCRIPT).arg(Tls::name(account.tls)).arg(account.port.to_string());
    command.arg(account.ca).args([account.mechanism.name(), account.user, account.password]).arg(inbox);
    command
}

pub(super) fn lacks(mechanism: Mechanism) -> Option<&'static str> {
    mechanism.is_sasl().then_some("poplib has USER and APOP alone")
}
