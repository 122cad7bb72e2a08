//! The ways from the load generator to the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use popgate_tests::PATIENCE;
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process;
use popgate_tests::usage;
use rustls::ClientConfig;

use crate::mode::{Mode, Pki, Servers};
use crate::peer::{self, Peer};

/// Three filters that need the header alone.
const THREE: &str = "[[filter]]\nname = \"one\"\nplugin = \"rewrite\"\n\
                     [[filter.config.header]]\naction = \"add\"\nname = \"X-One\"\nvalue = \"seen\"\n\
                     [[filter]]\nname = \"two\"\nplugin = \"rewrite\"\n\
                     [[filter.config.header]]\naction = \"add\"\nname = \"X-Two\"\nvalue = \"seen\"\n\
                     [[filter]]\nname = \"three\"\nplugin = \"rewrite\"\n\
                     [[filter.config.header]]\naction = \"add\"\nname = \"X-Three\"\nvalue = \"seen\"\n";

/// The filters that people run, but those that ask a service.
const CHAIN: [&str; 7] = ["attachments", "virus", "rules", "spam", "verdict", "rewrite", "defang"];

/// A way to the server.
#[derive(Debug)]
pub(crate) struct Way {
    name: String,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    filters: bool,
    proxy: Option<Proxy>,
}

#[derive(Debug)]
enum Proxy {
    Popgate(Box<Popgate>),
    Peer(Peer),
}

/// A kind of way, before it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Direct,
    /// popgate with no filter.
    Popgate,
    /// popgate with three filters that need the header.
    Three,
    /// popgate with the bundled chain.
    Chain,
    /// The same without `spam`.
    ChainWithoutSpam,
    Peer(peer::Kind),
}

impl Kind {
    /// All of them, in the order of the report; the direct one comes first.
    pub(crate) fn all() -> Vec<Self> {
        let own = [Self::Direct, Self::Popgate, Self::Three, Self::ChainWithoutSpam, Self::Chain];
        own.into_iter().chain(peer::KINDS.into_iter().map(Self::Peer)).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Popgate => "popgate",
            Self::Three => "popgate, 3 header filters",
            Self::ChainWithoutSpam => "popgate, chain without spam",
            Self::Chain => "popgate, whole chain",
            Self::Peer(peer) => peer.name(),
        }
    }

    /// As it is given on the command line.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Three => "three".to_owned(),
            Self::Chain => "chain".to_owned(),
            Self::ChainWithoutSpam => "chain-without-spam".to_owned(),
            Self::Peer(peer::Kind::Relay) => "relay".to_owned(),
            named => named.name().to_lowercase(),
        }
    }

    /// Whether it looks at mail, so that comparing it with what does not is beside the point.
    pub(crate) fn filters(self) -> bool {
        matches!(self, Self::Three | Self::Chain | Self::ChainWithoutSpam)
    }

    /// The way, ready for use.
    ///
    /// # Errors
    /// Why there is none on this machine.
    pub(crate) fn start(self, mode: Mode, servers: &Servers, pki: &Pki) -> Result<Way, String> {
        let tls = mode.client_has_tls().then(|| Arc::clone(&pki.client));
        let server = servers.behind(mode);
        let (address, proxy) = match self {
            Self::Direct => (servers.direct(mode), None),
            Self::Peer(kind) => {
                let peer = Peer::start(kind, mode, server, pki)?;
                (peer.address(), Some(Proxy::Peer(peer)))
            }
            _ => {
                let popgate = started(self, mode, server, pki, "");
                (popgate.listener("pop3").address, Some(Proxy::Popgate(Box::new(popgate))))
            }
        };
        Ok(Way { name: self.name().to_owned(), address, tls, filters: self.filters(), proxy })
    }
}

/// A popgate of this kind, with more keys for its upstream.
fn started(kind: Kind, mode: Mode, server: SocketAddr, pki: &Pki, upstream: &str) -> Popgate {
    let shown = |path: &std::path::Path| path.display().to_string();
    let front = if mode.client_has_tls() { "implicit" } else { "none" };
    let behind = match mode.server_has_tls() {
        true => format!("tls = \"implicit\"\nserver_name = \"localhost\"\nca = {:?}", shown(&pki.certificates.ca)),
        false => "tls = \"none\"".to_owned(),
    };
    let filters = match kind {
        Kind::Three => THREE.to_owned(),
        Kind::Chain => chain(|_| true),
        Kind::ChainWithoutSpam => chain(|name| name != "spam"),
        _ => String::new(),
    };
    let config = format!(
        "[tls]\ncertificate = {:?}\nprivate_key = {:?}\n\
         [limits]\nsessions_per_address = 100000\nsessions = 100000\n\
         [[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"{front}\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{server}\"\n{behind}\n{upstream}\n{filters}",
        shown(&pki.certificates.certificate),
        shown(&pki.certificates.private_key),
    );
    let folder = process::folder();
    if kind == Kind::Chain {
        train(folder.path(), &config);
    }
    // The peers log nothing of sessions that go well.
    Popgate::start_in_with(folder, &config, &["--log", "warn"])
}

fn chain(wanted: impl Fn(&str) -> bool) -> String {
    let filter = |name: &&str| {
        let more = match *name {
            "spam" => "grant.kv = true\n",
            "rewrite" => "[[filter.config.header]]\naction = \"add\"\nname = \"X-Bench\"\nvalue = \"seen\"\n",
            _ => "",
        };
        format!("[[filter]]\nname = \"{name}\"\nplugin = \"{name}\"\n{more}")
    };
    CHAIN.iter().filter(|name| wanted(name)).map(filter).collect()
}

/// Lets `spam` learn a little, or it would look nothing up.
fn train(folder: &std::path::Path, config: &str) {
    let file = popgate::configuration(folder, config);
    for (flag, words) in [("--spam", ["winner", "lottery", "pills"]), ("--ham", ["meeting", "invoice", "regards"])] {
        let mails = folder.join(flag.trim_start_matches('-'));
        std::fs::create_dir(&mails).expect("a folder of our own");
        for number in 0..100 {
            let text = format!(
                "From: {0}@example.org\r\nSubject: {0} {number}\r\n\r\nThe {1} of {number} and a {2}, line {3}.\r\n",
                words[number % 3],
                words[0],
                words[1],
                number * 7
            );
            process::write(&mails.join(format!("{number}.eml")), text);
        }
        let mut learn = popgate::command();
        learn.arg("learn").arg("--config").arg(&file).arg(flag).arg(&mails);
        let ended = process::run(&mut learn, 6 * PATIENCE);
        assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
    }
}

impl Way {
    /// popgate with these keys of its upstream, between plain connections.
    pub(crate) fn popgate_with(name: &str, kind: Kind, server: SocketAddr, upstream: &str, pki: &Pki) -> Self {
        let popgate = started(kind, Mode::Plain, server, pki, upstream);
        let address = popgate.listener("pop3").address;
        let proxy = Some(Proxy::Popgate(Box::new(popgate)));
        Self { name: name.to_owned(), address, tls: None, filters: kind.filters(), proxy }
    }

    /// Another proxy, between plain connections.
    pub(crate) fn of_peer(name: &str, peer: Peer) -> Self {
        let address = peer.address();
        Self { name: name.to_owned(), address, tls: None, filters: false, proxy: Some(Proxy::Peer(peer)) }
    }

    /// No proxy at all.
    pub(crate) fn straight(name: &str, server: SocketAddr) -> Self {
        Self { name: name.to_owned(), address: server, tls: None, filters: false, proxy: None }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its clients use.
    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Whether what comes may have other headers than what was sent.
    pub(crate) fn filters(&self) -> bool {
        self.filters
    }

    fn id(&self) -> Option<u32> {
        Some(match self.proxy.as_ref()? {
            Proxy::Popgate(popgate) => popgate.process().id(),
            Proxy::Peer(peer) => peer.id(),
        })
    }

    /// The processor time that the proxy and all its processes have used so far, in user and kernel.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        self.id().map(usage::processor_time)
    }

    /// Octets of memory of their own that the proxy and all its processes have.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.id().map(usage::memory_of_all)
    }
}
