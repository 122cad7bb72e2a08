//! Real mail clients that download a whole mailbox and leave it on the server.
//!
//! A driver runs the same way against a server itself and against the proxy before it, so that a fault of the driver
//! does not look like one of the proxy.

mod curl;
mod fetchmail;
mod getmail;
mod mpop;
mod poplib;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, run};

/// How long a client may take for a mailbox.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// A real mail client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Client {
    /// curl.
    Curl,
    /// Python's poplib.
    Poplib,
    /// fetchmail.
    Fetchmail,
    /// mpop.
    Mpop,
    /// getmail6, which knows no STLS.
    Getmail,
}

/// How a client connects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    /// Without TLS.
    None,
    /// With STLS, which must succeed.
    Stls,
    /// TLS from the first octet.
    Implicit,
}

impl Tls {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::None, Self::Stls, Self::Implicit];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stls => "stls",
            Self::Implicit => "implicit",
        }
    }
}

/// What a client is told. The host is `localhost`.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The port.
    pub port: u16,
    /// How to connect.
    pub tls: Tls,
    /// The authority to trust.
    pub ca: &'a Path,
    /// The user's name.
    pub user: &'a str,
    /// The password, without quotation marks and white space.
    pub password: &'a str,
    /// How many messages there are, for clients that must be told.
    pub count: usize,
}

impl Client {
    /// Downloads all messages, in any order.
    ///
    /// # Panics
    ///
    /// If the client is not installed or reports a failure.
    #[must_use]
    pub fn download(self, account: &Account<'_>) -> Vec<Vec<u8>> {
        for _ in 0..3 {
            let folder = process::folder();
            let inbox = folder.path().join("inbox");
            fs::create_dir(&inbox).expect("a new folder can be written");
            let mut command = self.command(account, folder.path(), &inbox);
            let ended = run(&mut command, DOWNLOAD);
            if self == Self::Getmail && getmail::lost_its_child(&ended) {
                continue;
            }
            assert_eq!(ended.code, Some(0), "{command:?}\n{}{}", ended.output, ended.errors);
            let mut messages = files(&inbox);
            if self == Self::Getmail {
                messages.iter_mut().for_each(getmail::take_off_return_path);
            }
            return messages;
        }
        panic!("{self:?} does not come to its end");
    }

    fn command(self, account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
        let mut command = match self {
            Self::Curl => curl::command(account, inbox),
            Self::Poplib => poplib::command(account, inbox),
            Self::Fetchmail => fetchmail::command(account, folder, inbox),
            Self::Mpop => mpop::command(account, folder, inbox),
            Self::Getmail => getmail::command(account, folder, inbox),
        };
        // Nothing of the developer's own settings.
        command.env("HOME", folder).env_remove("XDG_CONFIG_HOME").env("LC_ALL", "C.UTF-8");
        command
    }

    /// The longest line that it stores as it came, or what is long for a mail.
    #[must_use]
    pub fn longest_line(self) -> usize {
        match self {
            // fetchmail 6.4 reads lines in pieces of its buffer and puts octets of its own between them.
            Self::Fetchmail => 8_000,
            _ => 9_000,
        }
    }
}

/// The content of all files in a folder and below it.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the inbox is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(fs::read(path).expect("a file in the inbox can be read"));
        }
    }
    found
}

/// Writes a file with a password in it: some clients insist that nobody else can read it.
fn write_secret(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    process::write(path, content);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the mode of an own file can be changed");
}

/// Writes a program that stores the mail on its standard input as a file of its own in the inbox.
fn delivery_agent(folder: &Path, inbox: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let agent = folder.join("deliver");
    process::write(&agent, format!("#!/bin/sh\nexec cat >\"$(mktemp '{}/XXXXXXXX')\"\n", inbox.display()));
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).expect("the mode of an own file can be changed");
    agent
}

/// The command of an installed program.
fn installed(name: &str, package: &str) -> Command {
    Command::new(process::program(name, package))
}
