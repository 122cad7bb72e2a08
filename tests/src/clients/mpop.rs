//! mpop: pipelines what it can, USER and PASS included.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Account, Tls, installed, write_secret};

pub(super) fn command(account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
    let Account { port, user, password, ca, .. } = account;
    let tls = match account.tls {
        Tls::None => "tls off".to_owned(),
        Tls::Stls => format!("tls on\ntls_starttls on\ntls_trust_file {}", ca.display()),
        Tls::Implicit => format!("tls on\ntls_starttls off\ntls_trust_file {}", ca.display()),
    };
    for part in ["cur", "new", "tmp"] {
        fs::create_dir(inbox.join(part)).expect("a new folder can be written");
    }
    let settings = folder.join("mpoprc");
    write_secret(
        &settings,
        &format!(
            "account test\nhost localhost\nport {port}\nuser {user}\npassword {password}\nauth {}\n{tls}\nkeep on\n\
             received_header off\ndelivery maildir {}\nuidls_file {}\ntimeout 50\naccount default : test\n",
            account.mechanism.name().to_lowercase(),
            inbox.display(),
            folder.join("uidls").display()
        ),
    );
    let mut command = installed("mpop", "mpop");
    command.arg("-C").arg(settings);
    command
}
