//! A private Dovecot: own folder, own ports, and mailboxes that tests fill.

mod token;

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::certificates::Certificates;
use crate::kerberos::Kerberos;
use crate::process::{self, LogOnFailure, Process, program, write};

/// The password of every user.
pub const PASSWORD: &str = "open-sesame";
/// A user who may log in on behalf of all others.
pub const MASTER: &str = "gateway";
/// The password of [`MASTER`].
pub const MASTER_PASSWORD: &str = "masters-sesame";

/// A running Dovecot with a plain port (that has STLS) and one with implicit TLS.
#[derive(Debug)]
pub struct Dovecot {
    // Before the folder, so that it has ended when the folder goes.
    process: Process,
    folder: TempDir,
    certificates: Certificates,
    plain: SocketAddr,
    tls: SocketAddr,
    proxied: SocketAddr,
    users: AtomicUsize,
}

impl Dovecot {
    /// The one that all tests share. It ends with the test process.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Dovecot> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not get ready.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(|_| String::new(), &[])
    }

    /// Starts one that believes this machine who a client is, by XCLIENT, or by PROXY headers at a third port.
    ///
    /// # Panics
    ///
    /// As [`Dovecot::start`].
    #[must_use]
    pub fn trusting() -> Self {
        Self::start_with(trust, &[])
    }

    /// Starts one that takes tickets of this realm, too.
    ///
    /// # Panics
    ///
    /// As [`Dovecot::start`].
    #[must_use]
    pub fn with_gssapi(kerberos: &Kerberos) -> Self {
        let module = Path::new("/usr/lib/dovecot/modules/auth/libmech_gssapi.so");
        assert!(
            module.is_file(),
            "Dovecot is there without GSSAPI\nhint: apt-get install --no-install-recommends dovecot-gssapi"
        );
        // Some clients give the name with its realm.
        let settings = format!(
            "auth_mechanisms = plain login gssapi\nauth_krb5_keytab = {}\nauth_gssapi_hostname = \"$ALL\"\n\
             auth_username_format = %Ln\nimport_environment = KRB5_CONFIG KRB5RCACHETYPE TZ\n",
            kerberos.keytab().display()
        );
        let environment = [("KRB5_CONFIG", kerberos.settings()), ("KRB5RCACHETYPE", "none".into())];
        Self::start_with(|_| settings.clone(), &environment)
    }

    fn start_with(settings: impl Fn(SocketAddr) -> String, environment: &[(&str, PathBuf)]) -> Self {
        let binary = program("dovecot", "dovecot-pop3d");
        let module = ["/usr/lib/dovecot/pop3", "/usr/libexec/dovecot/pop3"];
        assert!(
            module.iter().any(|file| Path::new(file).is_file()),
            "Dovecot is there without POP3\nhint: apt-get install --no-install-recommends dovecot-pop3d"
        );
        let folder = process::folder();
        let certificates = Certificates::create(folder.path(), "dovecot");
        token::write_settings(folder.path());
        fs::create_dir(folder.path().join("mail")).expect("a new folder can be written");
        // Dovecot can't choose a free port itself, and another program may be faster to take it.
        for _ in 0..5 {
            let ((plain, tls), (proxied, _)) = (free_ports(), free_ports());
            let masters = folder.path().join("masters");
            write(&masters, format!("{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n"));
            let config = folder.path().join("dovecot.conf");
            write(&config, configuration(folder.path(), &certificates, plain, tls) + &settings(proxied));
            let mut command = Command::new(&binary);
            command.arg("-F").arg("-c").arg(&config).envs(environment.iter().map(|(key, value)| (key, value)));
            let process = Process::start_in(folder.path(), &mut command);
            let ready = process.errors().find(PATIENCE, |line| line.contains("starting up for pop3").then_some(()));
            if ready.is_some() {
                return Self { process, folder, certificates, plain, tls, proxied, users: AtomicUsize::new(0) };
            }
            let errors = process.errors().text();
            assert!(errors.contains("Address already in use"), "Dovecot does not start:\n{errors}");
        }
        panic!("no free ports for Dovecot");
    }

    /// The port without TLS, that offers STLS.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// The port with implicit TLS.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The port of a trusting one where every connection begins with a PROXY header.
    #[must_use]
    pub fn proxied(&self) -> SocketAddr {
        self.proxied
    }

    /// Waits until a line of the log about this user contains this.
    ///
    /// # Panics
    ///
    /// If none does in time.
    pub fn wait_for_log(&self, user: &str, wanted: &str) {
        let named = format!("<{user}>");
        let about = |line: &str| (line.contains(&named) && line.contains(wanted)).then_some(());
        let found = self.process.errors().find(PATIENCE, about);
        assert!(found.is_some(), "nothing about {user} and {wanted:?} in the log\n{}", self.process.errors().text());
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

    /// A new user with this mail. The password is [`PASSWORD`].
    ///
    /// # Panics
    ///
    /// If the mailbox can't be written.
    #[must_use]
    pub fn user(&self, messages: &[Vec<u8>]) -> String {
        let user = format!("user{}", self.users.fetch_add(1, Ordering::Relaxed));
        let maildir = self.folder.path().join("mail").join(&user);
        for folder in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(folder)).expect("a mailbox can be made");
        }
        for (at, message) in messages.iter().enumerate() {
            // The time in the name is what the order in the maildrop comes from.
            write(&maildir.join("new").join(format!("{}.M{at}P1.test", 1_780_300_000 + at)), message);
        }
        // As root, Dovecot serves mail only as somebody else.
        if geteuid().is_root() {
            let changed = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&maildir).status();
            assert!(changed.is_ok_and(|status| status.success()), "chown fails");
        }
        user
    }

    /// The user's token for XOAUTH2.
    #[must_use]
    pub fn token(&self, user: &str) -> String {
        token::token(user)
    }

    /// What the server's log calls the mechanism of this user's last login; a password in clear text is `PLAIN`, however
    /// it came.
    #[must_use]
    pub fn mechanism_of(&self, user: &str) -> Option<String> {
        let log = self.process.errors().text();
        let login = log.lines().rfind(|line| line.contains("Login: ") && line.contains(&format!("user=<{user}>")))?;
        login.split("method=").nth(1)?.split(',').next().map(str::to_owned)
    }

    /// Keep this while a test uses the server as this user.
    #[must_use]
    pub fn log_on_failure(&self, user: &str) -> LogOnFailure {
        self.process.errors().on_failure(user)
    }

    /// The mail that this user still has, in no order.
    ///
    /// # Panics
    ///
    /// If the mailbox can't be read.
    #[must_use]
    pub fn mail(&self, user: &str) -> Vec<Vec<u8>> {
        let maildir = self.folder.path().join("mail").join(user);
        let files = ["cur", "new"].map(|folder| fs::read_dir(maildir.join(folder)).expect("the mailbox is there"));
        files.into_iter().flatten().flatten().map(|file| fs::read(file.path()).expect("a mail can be read")).collect()
    }
}

/// Two ports that nobody uses now.
fn free_ports() -> (SocketAddr, SocketAddr) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let (one, other) = (bind(), bind());
    let address = |socket: &TcpListener| socket.local_addr().expect("a bound socket has an address");
    (address(&one), address(&other))
}

fn configuration(folder: &Path, certificates: &Certificates, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = folder.display();
    let (mail_user, mail_group, login, internal, internal_group) = accounts();
    let mut text = String::new();
    let _infallible = write!(
        text,
        "base_dir = {folder}/run
state_dir = {folder}/run
instance_name = test
log_path = /dev/stderr
protocols = pop3
listen = 127.0.0.1
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {internal_group}
mail_location = maildir:{folder}/mail/%u
mail_uid = {mail_user}
mail_gid = {mail_group}
first_valid_uid = 1
first_valid_gid = 1
mail_fsync = never
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop digest-md5 scram-sha-1 scram-sha-256 xoauth2
auth_failure_delay = 0
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  args = {folder}/masters
  master = yes
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={mail_user} gid={mail_group} home={folder}/mail/%u
}}
service anvil {{
  chroot =
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {plain}
  }}
  inet_listener pop3s {{
    port = {tls}
    ssl = yes
  }}
}}
",
        certificate = certificates.certificate.display(),
        key = certificates.private_key.display(),
        plain = plain.port(),
        tls = tls.port(),
    );
    text
}

/// What makes it believe this machine who a client is.
fn trust(proxied: SocketAddr) -> String {
    format!(
        "login_trusted_networks = 127.0.0.0/8
haproxy_trusted_networks = 127.0.0.0/8
service pop3-login {{
  inet_listener pop3-proxied {{
    port = {}
    haproxy = yes
  }}
}}
",
        proxied.port()
    )
}

/// Whom mail belongs to (user, group), and whom Dovecot runs its parts as (login user, internal user and group).
fn accounts() -> (String, String, String, String, String) {
    if geteuid().is_root() {
        return ["nobody", "nogroup", "dovenull", "dovecot", "dovecot"].map(str::to_owned).into();
    }
    let name = |flag: &str| {
        let output = Command::new("id").arg(flag).output().expect("`id` is there");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (user, group) = (name("-un"), name("-gn"));
    (user.clone(), group.clone(), user.clone(), user, group)
}
