//! Real POP3 servers beside Dovecot, each as Debian ships it.
//!
//! Every server has a folder, ports and namespaces of its own. Its users and their mail are given when it starts; their
//! password is Dovecot's, [`PASSWORD`].

mod accounts;
mod courier;
mod cyrus;
mod mailutils;
mod namespace;
mod popa3d;
mod solid;

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;
use crate::certificates::Certificates;
use crate::clients::Mechanism;
use crate::connection::Connection;
use crate::dovecot::PASSWORD;
use crate::process::{self, Process, poll};

/// A server program.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Courier's POP3 server: loses what is sent behind PASS, and offers STLS for ever.
    Courier,
    /// Cyrus: every mechanism, and SCRAM with channel binding in TLS.
    Cyrus,
    /// GNU mailutils: adds a field to every message, and announces sizes without it.
    Mailutils,
    /// popa3d: neither CAPA nor TLS, SASL or APOP.
    Popa3d,
    /// solid-pop3d: no CAPA, no TLS, and loses what is sent behind PASS.
    Solid,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Courier, Self::Cyrus, Self::Mailutils, Self::Popa3d, Self::Solid];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Courier => "Courier",
            Self::Cyrus => "Cyrus",
            Self::Mailutils => "mailutils",
            Self::Popa3d => "popa3d",
            Self::Solid => "solid-pop3d",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Courier | Self::Cyrus | Self::Mailutils)
    }

    fn start(self, plan: &Plan<'_>) -> Process {
        match self {
            Self::Courier => courier::start(plan),
            Self::Cyrus => cyrus::start(plan),
            Self::Mailutils => mailutils::start(plan),
            Self::Popa3d => popa3d::start(plan),
            Self::Solid => solid::start(plan),
        }
    }
}

/// A user's name, without anything that a shell would understand, and the user's mail.
pub type User<'a> = (&'a str, &'a [Vec<u8>]);

/// What a server is started with.
struct Plan<'a> {
    folder: &'a Path,
    certificates: &'a Certificates,
    /// The port without TLS, and the one with implicit TLS.
    plain: u16,
    tls: u16,
    users: &'a [User<'a>],
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    // Before the folder, so that it has ended when the folder goes.
    process: Process,
    _folder: TempDir,
    kind: Kind,
    certificates: Certificates,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Server {
    /// Starts one with these users and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn start(kind: Kind, users: &[User<'_>]) -> Self {
        let mut errors = String::new();
        // The ports were free a moment ago; another program may be faster to take one.
        for _ in 0..3 {
            let folder = process::folder();
            let certificates = Certificates::create(folder.path(), "server");
            let (plain, tls) = free_ports();
            let plan = Plan {
                folder: folder.path(),
                certificates: &certificates,
                plain: plain.port(),
                tls: tls.port(),
                users,
            };
            let mut process = kind.start(&plan);
            let ready = is_ready(&mut process, plain) && (!kind.has_tls() || accepts(&mut process, tls));
            if ready {
                if kind == Kind::Cyrus {
                    cyrus::deliver(&plan);
                }
                return Self { process, _folder: folder, kind, certificates, plain, tls };
            }
            errors = process.errors().text();
        }
        panic!("{} does not start:\n{errors}", kind.name());
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The port without TLS. Where the server knows TLS it offers STLS there.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The port with implicit TLS, if it has one.
    #[must_use]
    pub fn tls(&self) -> Option<SocketAddr> {
        self.kind.has_tls().then_some(self.tls)
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.certificates.ca
    }

    /// Its key and certificate, for a proxy that stands in for it.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The mechanisms that its users can log in with.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [Mechanism] {
        use Mechanism::{Apop, CramMd5, DigestMd5, Login, Plain, ScramSha1, ScramSha256, User};
        match self.kind {
            Kind::Courier => &[User, Plain, Login, CramMd5],
            Kind::Cyrus => &[User, Apop, Plain, Login, CramMd5, DigestMd5, ScramSha1, ScramSha256],
            Kind::Mailutils => &[User, Apop],
            // solid-pop3d shows a stamp, but its users have no secrets for it.
            Kind::Popa3d | Kind::Solid => &[User],
        }
    }

    /// The user's mail as the server itself hands it out, in the order of the maildrop.
    ///
    /// # Panics
    ///
    /// If the user can't log in, or a message does not come to its end.
    #[must_use]
    pub fn mail(&self, user: &str) -> Vec<Vec<u8>> {
        download(self.plain, user)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The first process of a namespace ignores SIGTERM, and nothing in there is worth a farewell.
        self.process.kill();
    }
}

/// All mail of a user, in the order of the maildrop, from a server without TLS.
///
/// # Panics
///
/// If the user can't log in with [`PASSWORD`], or a message does not come to its end.
#[must_use]
pub fn download(address: SocketAddr, user: &str) -> Vec<Vec<u8>> {
    let mut client = Connection::to("the test itself", address);
    client.log_in(user, PASSWORD);
    // mailutils puts the unique-id into the messages once it has been asked for it.
    client.succeed("UIDL");
    client.body();
    let stat = client.succeed("STAT");
    let count: usize = stat.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("STAT counts messages");
    let mut message = |number: usize| {
        client.succeed(&format!("RETR {number}"));
        client.body()
    };
    let messages = (1..=count).map(&mut message).collect();
    client.succeed("QUIT");
    client.rest();
    messages
}

/// Waits for a greeting; `false` when the server ends before.
fn is_ready(process: &mut Process, address: SocketAddr) -> bool {
    until_up(process, || {
        let mut socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut greeting = [0; 3];
        socket.read_exact(&mut greeting).ok()?;
        (&greeting == b"+OK").then_some(())
    })
}

/// Waits for somebody who listens; `false` when the server ends before.
fn accepts(process: &mut Process, address: SocketAddr) -> bool {
    until_up(process, || TcpStream::connect(address).ok().map(drop))
}

fn until_up(process: &mut Process, mut ask: impl FnMut() -> Option<()>) -> bool {
    let answer = poll(Instant::now() + PATIENCE, || match ask() {
        Some(()) => Some(true),
        None => process.wait(Duration::ZERO).map(|_ended| false),
    });
    answer == Some(true)
}

/// Two ports that nobody uses now.
fn free_ports() -> (SocketAddr, SocketAddr) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let (one, other) = (bind(), bind());
    let address = |socket: &TcpListener| socket.local_addr().expect("a bound socket has an address");
    (address(&one), address(&other))
}
