//! A real server with popgate before it: a listener for every mode of TLS on both sides, with and without filters.

use std::fmt::Write as _;
use std::net::SocketAddr;

use popgate_tests::certificates::Certificates;
use popgate_tests::clients::{Account, Mechanism, Tls};
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail;
use popgate_tests::popgate::Popgate;
use popgate_tests::server::{Kind, Server};

/// What the filters add to every mail that they do not replace.
pub(super) const MARK: &str = "X-Checked: yes";

/// The name of the file in the one message that the filters replace.
pub(super) const INFECTED: &str = "invoice.com";

/// The users of servers that are given theirs when they start. They take turns, since some servers keep a mailbox locked
/// for a moment behind a session.
const USERS: [&str; 2] = ["alice", "bob"];

/// A server, and the proxy before it.
pub(super) struct Place {
    server: Real,
    popgate: Popgate,
    ways: Vec<(Tls, SocketAddr)>,
    /// The number of visits so far.
    visits: usize,
}

enum Real {
    Dovecot(&'static Dovecot),
    /// With what the server itself hands out to each of the users.
    Other(Box<Server>, [Vec<Vec<u8>>; 2]),
}

/// A user whose mailbox is to be downloaded once, and popgate's way to the server.
pub(super) struct Visit {
    pub(super) user: String,
    password: String,
    mechanism: Mechanism,
    pub(super) way: Tls,
    /// The mail that the server holds.
    pub(super) held: Vec<Vec<u8>>,
}

impl Place {
    pub(super) fn dovecot() -> Self {
        let dovecot = Dovecot::shared();
        let ways = vec![(Tls::None, dovecot.plain()), (Tls::Stls, dovecot.plain()), (Tls::Implicit, dovecot.tls())];
        let popgate = Popgate::start(&configuration(dovecot.certificates(), &ways, ""));
        Self { server: Real::Dovecot(dovecot), popgate, ways, visits: 0 }
    }

    pub(super) fn other(kind: Kind) -> Self {
        let messages = messages();
        let server = Server::start(kind, &USERS.map(|user| (user, &messages[..])));
        let mut ways = vec![(Tls::None, server.plain())];
        if let Some(tls) = server.tls() {
            ways.extend([(Tls::Stls, server.plain()), (Tls::Implicit, tls)]);
        }
        // Clients prefer APOP where there is a stamp, and solid-pop3d's users have no secrets for it.
        let settings = if kind == Kind::Solid { "apop = false\n" } else { "" };
        let popgate = Popgate::start(&configuration(server.certificates(), &ways, settings));
        let held = USERS.map(|user| {
            // The first download leaves marks in some mailboxes, such as fields for what has been read.
            let _first = server.mail(user);
            server.mail(user)
        });
        Self { server: Real::Other(Box::new(server), held), popgate, ways, visits: 0 }
    }

    pub(super) fn name(&self) -> &'static str {
        match &self.server {
            Real::Dovecot(_) => "Dovecot",
            Real::Other(server, _) => server.kind().name(),
        }
    }

    /// What its users can log in with.
    pub(super) fn mechanisms(&self) -> &'static [Mechanism] {
        match &self.server {
            Real::Dovecot(_) => &Mechanism::ALL,
            Real::Other(server, _) => server.mechanisms(),
        }
    }

    /// The next user, and the next way to the server.
    pub(super) fn visit(&mut self, mechanism: Mechanism) -> Visit {
        self.visits += 1;
        // Cyrus offers SCRAM in TLS with channel binding, which can't be had through a proxy: popgate offers none there.
        let scram = matches!(mechanism, Mechanism::ScramSha1 | Mechanism::ScramSha256);
        let ways = if scram && self.name() == Kind::Cyrus.name() { &self.ways[..1] } else { &self.ways };
        let (way, _) = ways[self.visits % ways.len()];
        match &self.server {
            Real::Dovecot(dovecot) => {
                let held = messages();
                let user = dovecot.user(&held);
                let token = mechanism == Mechanism::Xoauth2;
                let password = if token { dovecot.token(&user) } else { PASSWORD.to_owned() };
                Visit { user, password, mechanism, way, held }
            }
            Real::Other(_, held) => {
                let turn = self.visits % USERS.len();
                let (user, password) = (USERS[turn].to_owned(), PASSWORD.to_owned());
                Visit { user, password, mechanism, way, held: held[turn].clone() }
            }
        }
    }

    /// What a client is told that goes through popgate.
    pub(super) fn account<'a>(&'a self, visit: &'a Visit, tls: Tls, filtered: bool) -> Account<'a> {
        self.account_at(visit, tls, self.popgate.port(&listener(tls, visit.way, filtered)))
    }

    /// What a client is told that goes to the server itself; none if that has no such port.
    pub(super) fn direct<'a>(&'a self, visit: &'a Visit, tls: Tls) -> Option<Account<'a>> {
        let (_, address) = self.ways.iter().find(|(way, _)| *way == tls)?;
        Some(self.account_at(visit, tls, address.port()))
    }

    fn account_at<'a>(&'a self, visit: &'a Visit, tls: Tls, port: u16) -> Account<'a> {
        let certificates = match &self.server {
            Real::Dovecot(dovecot) => dovecot.certificates(),
            Real::Other(server, _) => server.certificates(),
        };
        Account {
            port,
            tls,
            ca: &certificates.ca,
            user: &visit.user,
            mechanism: visit.mechanism,
            password: &visit.password,
            count: visit.held.len(),
        }
    }

    /// Whether the server says that another mechanism was used. Only Dovecot tells.
    pub(super) fn contradiction(&self, visit: &Visit) -> Option<String> {
        let Real::Dovecot(dovecot) = &self.server else { return None };
        let expected = match visit.mechanism {
            Mechanism::User => Mechanism::Plain.name(),
            mechanism => mechanism.name(),
        };
        let used = dovecot.mechanism_of(&visit.user).unwrap_or_else(|| "no login".to_owned());
        (used != expected).then(|| format!("Dovecot saw {used}"))
    }

    /// What popgate has logged about a user.
    pub(super) fn log(&self, user: &str) -> String {
        let log = self.popgate.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(user)).collect();
        lines[lines.len().saturating_sub(4)..].join("\n")
    }
}

/// The mail of every user.
fn messages() -> Vec<Vec<u8>> {
    let mut messages = mail::mailbox(8_000);
    let number = messages.len() + 1;
    messages.push(mail::with_attachment(number, INFECTED, "application/octet-stream", mail::eicar().as_bytes()));
    messages
}

fn listener(tls: Tls, way: Tls, filtered: bool) -> String {
    format!("{}{}-{}", if filtered { "filtered-" } else { "" }, tls.name(), way.name())
}

fn configuration(certificates: &Certificates, ways: &[(Tls, SocketAddr)], settings: &str) -> String {
    let path = |path: &std::path::Path| format!("{:?}", path.display().to_string());
    let mut config = format!(
        "[tls]\ncertificate = {}\nprivate_key = {}\n",
        path(&certificates.certificate),
        path(&certificates.private_key)
    );
    let mut filtered_listeners = Vec::new();
    for &(way, address) in ways {
        let name = way.name();
        let _infallible = write!(
            config,
            "[[upstream]]\nname = \"{name}\"\naddress = \"localhost:{}\"\ntls = \"{name}\"\n{settings}",
            address.port()
        );
        if way != Tls::None {
            let _infallible = writeln!(config, "ca = {}", path(&certificates.ca));
        }
        for (tls, filtered) in Tls::ALL.into_iter().flat_map(|tls| [(tls, false), (tls, true)]) {
            let listener = listener(tls, way, filtered);
            let _infallible = write!(
                config,
                "[[listener]]\nname = \"{listener}\"\naddress = \"127.0.0.1:0\"\ntls = \"{}\"\nupstream = \"{name}\"\n",
                tls.name()
            );
            if filtered {
                filtered_listeners.push(listener);
            }
        }
    }
    let (name, value) = MARK.split_once(": ").expect("the mark is a field");
    let _infallible = write!(
        config,
        "[[filter]]\nname = \"virus\"\nplugin = \"virus\"\nonly = {{ listener = {filtered_listeners:?} }}\n\
         config = {{ ambiguous = \"pass\" }}\n\
         [[filter]]\nname = \"rewrite\"\nplugin = \"rewrite\"\nonly = {{ listener = {filtered_listeners:?} }}\n\
         [[filter.config.header]]\naction = \"add\"\nname = \"{name}\"\nvalue = \"{value}\"\n"
    );
    config
}
