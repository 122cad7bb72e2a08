//! Other proxies, and one of our own that knows no POP3: the floor.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use popgate_tests::PATIENCE;
use popgate_tests::process::{Process, find, folder, poll, write};
use tempfile::TempDir;

use crate::load;
use crate::mode::{Mode, Pki};

/// Which proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Relay,
    Haproxy,
    Nginx,
    Dovecot,
    Perdition,
    Stunnel,
}

/// All of them.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Relay, Kind::Haproxy, Kind::Nginx, Kind::Dovecot, Kind::Perdition, Kind::Stunnel];

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Process,
    address: SocketAddr,
    #[expect(dead_code, reason = "the folder goes when the proxy does")]
    folder: TempDir,
}

/// What a proxy is started with.
struct Place<'a> {
    mode: Mode,
    own: SocketAddr,
    server: SocketAddr,
    folder: &'a Path,
    certificate: &'a Path,
    private_key: &'a Path,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay without POP3",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Dovecot => "Dovecot",
            Self::Perdition => "Perdition",
            Self::Stunnel => "stunnel",
        }
    }

    /// The program, the Debian package that has it, and what prints its version.
    fn program(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Relay => None,
            Self::Haproxy => Some(("haproxy", "haproxy", "-v")),
            Self::Nginx => Some(("nginx", "nginx-light libnginx-mod-mail", "-v")),
            Self::Dovecot => Some(("dovecot", "dovecot-pop3d", "--version")),
            Self::Perdition => Some(("perdition.pop3", "perdition", "--version")),
            Self::Stunnel => Some(("stunnel4", "stunnel4", "-version")),
        }
    }

    /// The first line of what it says about its version; none if it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        let (name, _, argument) = self.program()?;
        let output = Command::new(find(name)?).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines()
            .map(str::trim)
            .find(|line| line.contains(|letter: char| letter.is_ascii_digit()))
            .map(str::to_owned)
    }

    /// Why it can't do this, by its nature.
    fn lacks(self, mode: Mode) -> Option<&'static str> {
        match (self, mode) {
            (Self::Nginx, Mode::Both) => Some("its mail module speaks no TLS to servers"),
            (Self::Stunnel, Mode::Plain | Mode::Both) => Some("it has TLS on exactly one side"),
            _ => None,
        }
    }

    fn command(self, place: &Place<'_>) -> std::io::Result<Command> {
        let Some((name, ..)) = self.program() else { return Ok(relay(place)) };
        let mut command = Command::new(find(name).unwrap_or_default());
        match self {
            Self::Relay => {}
            Self::Haproxy => {
                command.arg("-db").arg("-f").arg(haproxy(place));
            }
            Self::Nginx => {
                command.arg("-p").arg(place.folder).arg("-c").arg(nginx(place)?);
            }
            Self::Dovecot => {
                command.arg("-F").arg("-c").arg(dovecot(place));
            }
            Self::Perdition => perdition(place, &mut command),
            Self::Stunnel => {
                command.arg(stunnel(place));
            }
        }
        Ok(command)
    }
}

impl Peer {
    /// Starts it before a server.
    ///
    /// # Errors
    /// Why there is none here.
    pub(crate) fn start(kind: Kind, mode: Mode, server: SocketAddr, pki: &Pki) -> Result<Self, String> {
        if let Some(reason) = kind.lacks(mode) {
            return Err(reason.to_owned());
        }
        if let Some((name, package, _)) = kind.program()
            && find(name).is_none()
        {
            return Err(format!("not installed: apt-get install --no-install-recommends {package}"));
        }
        // It can't choose a port itself: one that is free now, and a second try if somebody was faster.
        for _ in 0..3 {
            let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            let (own, folder) = (own.map_err(|error| error.to_string())?, folder());
            let place = Place {
                mode,
                own,
                server,
                folder: folder.path(),
                certificate: &pki.certificates.certificate,
                private_key: &pki.certificates.private_key,
            };
            let mut command = kind.command(&place).map_err(|error| error.to_string())?;
            let process = Process::start(&mut command);
            if poll(Instant::now() + PATIENCE / 4, || load::answers(own)).is_some() {
                return Ok(Self { process, address: own, folder });
            }
            eprintln!("{} does not answer:\n{}", kind.name(), process.errors().text());
        }
        Err("it does not start".to_owned())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// This program itself, in another role.
fn relay(place: &Place<'_>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.args(["relay", place.mode.word(), &place.own.to_string(), &place.server.to_string()]);
    command.arg(place.certificate).arg(place.private_key);
    command
}

fn haproxy(Place { mode, own, server, folder, certificate, private_key }: &Place<'_>) -> PathBuf {
    let both = [certificate, private_key].map(|file| std::fs::read(file).unwrap_or_default()).concat();
    write(&folder.join("pem"), both);
    let front = match mode.client_has_tls() {
        true => format!("ssl crt {}", folder.join("pem").display()),
        false => String::new(),
    };
    let behind = if mode.server_has_tls() { "ssl verify none" } else { "" };
    let file = folder.join("haproxy.cfg");
    let config = format!(
        "global\n maxconn 9500\ndefaults\n mode tcp\n timeout connect 10s\n timeout client 10m\n timeout server 10m\n\
         listen pop3\n bind {own} {front}\n server one {server} {behind}\n"
    );
    write(&file, config);
    file
}

fn nginx(Place { mode, own, server, folder, certificate, private_key }: &Place<'_>) -> std::io::Result<PathBuf> {
    let guide = guide_to(*server)?;
    let front = match mode.client_has_tls() {
        true => format!(
            "listen {own} ssl; ssl_certificate {}; ssl_certificate_key {};",
            certificate.display(),
            private_key.display()
        ),
        false => format!("listen {own};"),
    };
    let module = "/usr/lib/nginx/modules/ngx_mail_module.so";
    let file = folder.join("nginx.conf");
    let config = format!(
        "load_module {module};\nuser root;\nworker_processes 2;\ndaemon off;\npid {0}/pid;\nerror_log {0}/log;\n\
         worker_rlimit_nofile 40000;\nevents {{ worker_connections 15000; }}\n\
         mail {{ server_name bench; auth_http {guide}/; pop3_auth plain; pop3_capabilities TOP USER UIDL PIPELINING;\n\
         timeout 10m; server {{ protocol pop3; {front} }} }}\n",
        folder.display()
    );
    write(&file, config);
    Ok(file)
}

/// Tells nginx, which asks for each login by HTTP, where to go.
fn guide_to(server: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let answer = move |stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(&stream).lines();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let reply = format!(
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: {}\r\nAuth-Port: {}\r\n\r\n",
            server.ip(),
            server.port()
        );
        (&stream).write_all(reply.as_bytes())
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _nginx_asks_again = answer(stream);
        }
    });
    Ok(address)
}

fn dovecot(Place { mode, own, server, folder, certificate, private_key }: &Place<'_>) -> PathBuf {
    let (front, other, tls) = match mode.client_has_tls() {
        true => ("pop3s", "pop3", "ssl = yes"),
        false => ("pop3", "pop3s", "ssl = no"),
    };
    let own_tls = if mode.client_has_tls() { "ssl = yes" } else { "" };
    let behind = if mode.server_has_tls() { "ssl=any-cert" } else { "" };
    let mut config = format!(
        "base_dir = {0}/base\nstate_dir = {0}/state\nlog_path = {0}/log\ninfo_log_path = /dev/null\nprotocols = pop3\n\
         listen = 127.0.0.1\ndisable_plaintext_auth = no\n{tls}\nssl_cert = <{1}\nssl_key = <{2}\n\
         ssl_client_require_valid_cert = no\nlogin_trusted_networks = 127.0.0.0/8\nlogin_proxy_max_disconnect_delay = 0\n\
         auth_failure_delay = 0\nmail_max_userip_connections = 0\n",
        folder.display(),
        certificate.display(),
        private_key.display()
    );
    let _infallible = write!(
        config,
        "service anvil {{\n client_limit = 40000\n}}\nservice auth {{\n client_limit = 40000\n}}\n\
         service pop3-login {{\n inet_listener {front} {{\n address = 127.0.0.1\n port = {}\n {own_tls}\n }}\n\
         inet_listener {other} {{\n port = 0\n }}\n service_count = 0\n process_min_avail = 2\n process_limit = 2\n\
         client_limit = 19000\n vsz_limit = 4G\n}}\n\
         passdb {{\n driver = static\n args = proxy=y nopassword=y host=127.0.0.1 port={} {behind}\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home=/tmp\n}}\n",
        own.port(),
        server.port()
    );
    let file = folder.join("dovecot.conf");
    write(&file, config);
    file
}

fn perdition(Place { mode, own, server, folder, certificate, private_key }: &Place<'_>, command: &mut Command) {
    let config = folder.join("perdition.conf");
    write(&config, "");
    command.arg("--config_file").arg(config).args(["--bind_address", "127.0.0.1", "--no_daemon", "--no_lookup"]);
    command.args(["--listen_port", &own.port().to_string()]);
    command.args(["--outgoing_server", "127.0.0.1", "--outgoing_port", &server.port().to_string()]);
    command.args(["--connection_limit", "0", "--connect_relog", "0", "--username", "root", "--group", "root"]);
    command.args(["--map_library", "", "-q", "--pid_file"]).arg(folder.join("pid"));
    command.arg("--log_facility").arg(folder.join("log"));
    let modes = match mode {
        Mode::Plain => {
            command.args(["--protocol", "POP3"]);
            return;
        }
        Mode::Front => "ssl_listen",
        Mode::Both => "ssl_all",
    };
    command.args(["--protocol", "POP3S", "--ssl_mode", modes]);
    command.arg("--ssl_cert_file").arg(certificate).arg("--ssl_key_file").arg(private_key);
    command.args(["--ssl_no_cert_verify", "--ssl_no_cn_verify", "--ssl_no_client_cert_verify"]);
}

fn stunnel(Place { own, server, folder, certificate, private_key, .. }: &Place<'_>) -> PathBuf {
    let file = folder.join("stunnel.conf");
    let config = format!(
        "foreground = yes\npid = {0}/pid\noutput = {0}/log\ndebug = 3\n[pop3]\naccept = {own}\nconnect = {server}\n\
         cert = {1}\nkey = {2}\n",
        folder.display(),
        certificate.display(),
        private_key.display()
    );
    write(&file, config);
    file
}
