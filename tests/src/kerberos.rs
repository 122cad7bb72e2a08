//! Kerberos of the tests' own: a key distribution centre with a realm for nobody else, keys, tickets, and programs that
//! use them.

pub mod kpop;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::PATIENCE;
use crate::process::{self, Ended, Process, program, write};

/// The realm.
pub const REALM: &str = "POPGATE.TEST";
/// The service on this machine that tickets are for; servers are reached as `localhost`.
pub const SERVICE: &str = "pop/localhost";

/// One side of `sendauth`, compiled when a realm is made.
const SENDAUTH: &str = include_str!("kerberos/sendauth.c");

/// A running key distribution centre.
#[derive(Debug)]
pub struct Kerberos {
    // Before the folder, so that it has ended when the folder goes.
    _process: Process,
    folder: TempDir,
}

impl Kerberos {
    /// The one that all tests share. It ends with the test process.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kerberos> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes a realm with a key for [`SERVICE`] and starts its centre.
    ///
    /// # Panics
    ///
    /// If programs are missing, or it does not get ready.
    #[must_use]
    pub fn start() -> Self {
        let centre = program("krb5kdc", "krb5-kdc");
        let folder = process::folder();
        compile(folder.path());
        let mut made = false;
        // The centre can't choose a free port itself, and another program may be faster to take it.
        for _ in 0..5 {
            configure(folder.path());
            if !made {
                let mut database = tool(folder.path(), "kdb5_util", "krb5-kdc");
                succeed(database.args(["create", "-s", "-r", REALM, "-P", "of the tests"]));
                made = true;
            }
            let process = Process::start_in(folder.path(), tool(folder.path(), "krb5kdc", "krb5-kdc").arg("-n"));
            let ready = process.errors().find(PATIENCE, |line| line.contains("commencing operation").then_some(()));
            if ready.is_some() {
                let kerberos = Self { _process: process, folder };
                kerberos.add(SERVICE, &kerberos.keytab());
                return kerberos;
            }
            let errors = process.errors().text();
            assert!(errors.contains("in use"), "{} does not start:\n{errors}", centre.display());
        }
        panic!("no free port for a key distribution centre");
    }

    /// The key of [`SERVICE`]. Every user of this machine can read it: servers give up their rights.
    #[must_use]
    pub fn keytab(&self) -> PathBuf {
        self.folder.path().join("service.keytab")
    }

    /// Another key of [`SERVICE`], that no ticket was made with.
    #[must_use]
    pub fn wrong_keytab() -> PathBuf {
        static MADE: OnceLock<Kerberos> = OnceLock::new();
        MADE.get_or_init(Self::start).keytab()
    }

    /// The settings of programs that use the realm.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// Makes a user and gives the file with their ticket, for `KRB5CCNAME`.
    #[must_use]
    pub fn log_in(&self, user: &str) -> PathBuf {
        let folder = self.folder.path();
        let (keys, tickets) = (folder.join(format!("{user}.keytab")), folder.join(format!("{user}.tickets")));
        self.add(user, &keys);
        let mut command = tool(folder, "kinit", "krb5-user");
        succeed(command.arg("-c").arg(&tickets).arg("-k").arg("-t").arg(&keys).arg(user));
        tickets
    }

    /// A program of the realm, with these tickets.
    pub fn equip<'a>(&self, command: &'a mut Command, tickets: &Path) -> &'a mut Command {
        equip(command, self.folder.path()).env("KRB5CCNAME", format!("FILE:{}", tickets.display()))
    }

    /// One side of `sendauth`.
    fn sendauth(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("sendauth"));
        equip(&mut command, self.folder.path());
        command
    }

    /// Makes a principal with a random key, which it puts into a file.
    fn add(&self, principal: &str, keytab: &Path) {
        let keytab_name = keytab.display();
        for query in [format!("addprinc -randkey {principal}"), format!("ktadd -k {keytab_name} {principal}")] {
            succeed(tool(self.folder.path(), "kadmin.local", "krb5-admin-server").args(["-r", REALM, "-q"]).arg(query));
        }
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(keytab, std::fs::Permissions::from_mode(0o644)).expect("the key is there");
    }
}

/// An administrator's program, told where this realm is.
fn tool(folder: &Path, name: &str, package: &str) -> Command {
    let mut command = Command::new(program(name, package));
    equip(&mut command, folder);
    command
}

fn equip<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", folder.join("kdc.conf"))
        .env("LC_ALL", "C.UTF-8")
        // Tickets are used once only; the notes on that would be all users' of the machine.
        .env("KRB5RCACHETYPE", "none")
}

fn succeed(command: &mut Command) -> Ended {
    let ended = process::run(command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{command:?}\n{}{}", ended.output, ended.errors);
    ended
}

fn compile(folder: &Path) {
    let (source, sendauth) = (folder.join("sendauth.c"), folder.join("sendauth"));
    write(&source, SENDAUTH);
    let mut compiler = Command::new(program("cc", "gcc libc6-dev"));
    compiler.args(["-O1", "-Wall", "-o"]).args([&sendauth, &source]).arg("-lkrb5");
    let ended = process::run(&mut compiler, PATIENCE);
    let hint = "hint: apt-get install --no-install-recommends libkrb5-dev libc6-dev";
    assert_eq!(ended.code, Some(0), "{compiler:?}\n{}\n{hint}", ended.errors);
}

/// Writes the settings of the realm, with a port that nobody uses now.
fn configure(folder: &Path) {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("a port is free")
        .port();
    let folder_name = folder.display();
    write(
        &folder.join("krb5.conf"),
        format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n\
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n"
        ),
    );
    write(
        &folder.join("kdc.conf"),
        format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {REALM} = {{\n  database_name = {folder_name}/principals\n  key_stash_file = {folder_name}/stash\n  \
             acl_file = {folder_name}/nobody.acl\n }}\n[logging]\n kdc = STDERR\n"
        ),
    );
}
