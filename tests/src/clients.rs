//! Real mail clients that download a whole mailbox and leave it on the server.
//!
//! A driver runs the same way against a server itself and against the proxy before it, so that a fault of the driver
//! does not look like one of the proxy.

mod account;
mod curl;
mod fetchmail;
mod getmail;
mod graphical;
pub mod kerberos;
mod mpop;
mod mutt;
mod net_pop3;
mod pop3client;
mod poplib;
mod sylpheed;
mod thunderbird;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use account::{Account, Mechanism, Tls};

use crate::process::{self, run};

/// How long a client may take for a mailbox.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// A real mail client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// Perl's Net::POP3.
    NetPop3,
    /// Perl's Mail::POP3Client, which knows no STLS.
    Pop3Client,
    /// mutt.
    Mutt,
    /// Thunderbird, which needs no screen.
    Thunderbird,
    /// Sylpheed.
    Sylpheed,
}

impl Client {
    /// All of them that need no graphical screen.
    pub const LIGHT: [Self; 8] = [
        Self::Curl,
        Self::Poplib,
        Self::Fetchmail,
        Self::Mpop,
        Self::Getmail,
        Self::NetPop3,
        Self::Pop3Client,
        Self::Mutt,
    ];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Poplib => "poplib",
            Self::Fetchmail => "fetchmail",
            Self::Mpop => "mpop",
            Self::Getmail => "getmail",
            Self::NetPop3 => "Net::POP3",
            Self::Pop3Client => "Mail::POP3Client",
            Self::Mutt => "mutt",
            Self::Thunderbird => "Thunderbird",
            Self::Sylpheed => "Sylpheed",
        }
    }

    /// Why it can't be told to log in this way, if so; `offered` is what the server knows.
    #[must_use]
    pub fn lacks(self, tls: Tls, mechanism: Mechanism, offered: &[Mechanism]) -> Option<&'static str> {
        match self {
            Self::Curl => curl::lacks(mechanism, offered),
            Self::Poplib => poplib::lacks(mechanism),
            Self::Fetchmail => fetchmail::lacks(mechanism),
            Self::Getmail => getmail::lacks(tls, mechanism),
            Self::NetPop3 => net_pop3::lacks(mechanism),
            Self::Pop3Client => pop3client::lacks(tls, mechanism),
            Self::Thunderbird => thunderbird::lacks(mechanism, offered),
            Self::Sylpheed => sylpheed::lacks(mechanism),
            Self::Mpop | Self::Mutt => None,
        }
    }

    /// A mechanism of the client's that every server has that has SASL.
    #[must_use]
    pub fn usual(self) -> Mechanism {
        if self == Self::Curl { Mechanism::Plain } else { Mechanism::User }
    }

    /// Downloads all messages, in any order.
    ///
    /// # Panics
    ///
    /// If the client is not installed or reports a failure.
    #[must_use]
    pub fn download(self, account: &Account<'_>) -> Vec<Vec<u8>> {
        self.attempt(account).unwrap_or_else(|failure| panic!("{self:?} fails with {account:?}\n{failure}"))
    }

    /// Downloads all messages, in any order.
    ///
    /// # Errors
    ///
    /// What the client says if it reports a failure.
    ///
    /// # Panics
    ///
    /// If the client is not installed.
    pub fn attempt(self, account: &Account<'_>) -> Result<Vec<Vec<u8>>, String> {
        for _ in 0..3 {
            let folder = process::folder();
            let inbox = folder.path().join("inbox");
            fs::create_dir(&inbox).expect("a new folder can be written");
            let mut command = match self {
                Self::Thunderbird => return thunderbird::attempt(account, folder.path()),
                Self::Sylpheed => return sylpheed::attempt(account, folder.path()),
                _ => self.command(account, folder.path(), &inbox),
            };
            let ended = run(&mut command, DOWNLOAD);
            if self == Self::Getmail && getmail::lost_its_child(&ended) {
                continue;
            }
            let mut messages = files(&inbox);
            // mutt stays content whatever happens.
            if ended.code != Some(0) || (self == Self::Mutt && messages.is_empty()) {
                return Err(format!("{}{}", ended.output, ended.errors));
            }
            if self == Self::Getmail {
                messages.iter_mut().for_each(getmail::take_off_return_path);
            }
            return Ok(messages);
        }
        Err("it does not come to its end".to_owned())
    }

    /// The command of a client that ends by itself.
    fn command(self, account: &Account<'_>, folder: &Path, inbox: &Path) -> Command {
        let command = match self {
            Self::Thunderbird | Self::Sylpheed => panic!("{self:?} does not end by itself"),
            Self::Curl => curl::command(account, inbox),
            Self::Poplib => poplib::command(account, inbox),
            Self::Fetchmail => fetchmail::command(account, folder, inbox),
            Self::Mpop => mpop::command(account, folder, inbox),
            Self::Getmail => getmail::command(account, folder, inbox),
            Self::NetPop3 => net_pop3::command(account, inbox),
            Self::Pop3Client => pop3client::command(account, inbox),
            Self::Mutt => mutt::command(account, folder, inbox),
        };
        own(command, folder)
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

/// The mail that fetchmail gets when it is told nothing but where: it downloads by TOP and deletes what it has.
///
/// # Panics
///
/// If it is not installed or reports a failure.
#[must_use]
pub fn move_by_fetchmail(account: &Account<'_>) -> Vec<Vec<u8>> {
    let folder = process::folder();
    let inbox = folder.path().join("inbox");
    fs::create_dir(&inbox).expect("a new folder can be written");
    let ended = run(&mut own(fetchmail::by_default(account, folder.path(), &inbox), folder.path()), DOWNLOAD);
    assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
    files(&inbox)
}

/// With nothing of the developer's own settings.
fn own(mut command: Command, folder: &Path) -> Command {
    command.env("HOME", folder).env_remove("XDG_CONFIG_HOME").env("LC_ALL", "C.UTF-8");
    command
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
