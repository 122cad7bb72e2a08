//! `[[upstream]]`: the servers that hold the mail.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::address::{Address, is_name};
use crate::keyword::{Keyword, TLS_WORDS};
use crate::login::Login;
use crate::names::Names;
use crate::pin::Pin;
use crate::place::Place;
use crate::section::Section;
use crate::setting::{Refusal, Setting, integer, text};
use crate::size::Octets;

/// A POP3 server behind the proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its name, to which listeners and routes refer.
    pub name: String,
    /// Where it is; the port is not 0.
    pub address: Address,
    /// How the connection is encrypted.
    pub tls: UpstreamTls,
    /// The file of roots (PEM) that replaces the system's.
    pub ca: Option<PathBuf>,
    /// Public keys of which the server's certificate must have one; a match replaces the checks of chain, name, expiry.
    pub pin_sha256: Vec<Pin>,
    /// The name that the certificate must bear; none: the address's host.
    pub server_name: Option<String>,
    /// How the proxy logs in there.
    pub login: Login,
    /// Whether the greeting keeps its APOP stamp.
    pub apop: bool,
    /// Whether the server is told by a PROXY header who the client is.
    pub send_proxy: SendProxy,
    /// Whether the server is told by XCLIENT who the client is, where it offers that.
    pub xclient: bool,
    /// By which command the whole message is fetched when a client asks for its top.
    pub top_fetch: TopFetch,
    /// Whether a RETR of what TOP has fetched already is answered without asking the server again.
    pub retr_once: bool,
    /// How many messages are asked for before the client asks, while it takes one after the other; 0: none.
    pub read_ahead: usize,
    /// Octets of them at a time.
    pub read_ahead_bytes: u64,
    /// What filters see of a message when a client asks for its top.
    pub top: Top,
    /// Octets, by the server's LIST, above which TOP is answered as with [`Top::Headers`]; none: no limit.
    pub top_max_size: Option<u64>,
    /// Whose sizes STAT and LIST tell.
    pub sizes: Sizes,
    /// What a client sees of messages that were held in earlier sessions.
    pub held: Held,
    /// What a client gets while its message is fetched and filtered for long.
    pub keepalive: Keepalive,
    /// After how long it gets that.
    pub keepalive_after: Duration,
    /// After how long without an octet the server is sent a NOOP, while the client is there.
    pub noop_after: Duration,
    /// How clients of a listener with this upstream are greeted.
    pub greeting: Greeting,
    /// Connections at a time; 0: no limit.
    pub max_sessions: usize,
    /// Those of them on which nobody has logged in yet; 0: no limit.
    pub max_unauthenticated: usize,
    /// Whether the server answers `*ENV`, and so is asked for the envelope of each message that filters see.
    pub sdps: bool,
    /// Whether headers that filters write are believed when they come from this server, and so not stripped.
    pub trust_headers: bool,
    /// The section.
    pub place: Place,
    /// The value of `address`, or the section.
    pub address_place: Place,
    /// The value of `ca`, or the section.
    pub ca_place: Place,
}

/// How a connection to an upstream is encrypted. What is named is required: there is no opportunistic mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UpstreamTls {
    /// Not at all: `"none"`.
    #[default]
    None,
    /// By the command STLS: `"stls"`. Source: RFC 2595.
    Stls,
    /// From the first octet on: `"implicit"`. Source: RFC 8314.
    Implicit,
}

impl Keyword for UpstreamTls {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("stls", Self::Stls), ("implicit", Self::Implicit)];

    const OTHER_WORDS: &'static [(&'static str, &'static str)] = TLS_WORDS;
}

/// In which form a PROXY header tells a server who the client is.
///
/// Source: the PROXY protocol, sections 2.1 and 2.2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SendProxy {
    /// None is sent: `"none"`.
    #[default]
    None,
    /// Text: `"v1"`.
    V1,
    /// Binary: `"v2"`.
    V2,
}

impl Keyword for SendProxy {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("v1", Self::V1), ("v2", Self::V2)];
}

/// By which command a whole message is fetched for a client's TOP.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TopFetch {
    /// TOP with as many lines as there can be, which no server counts as delivery: `"top"`.
    Top,
    /// RETR, for servers that cut TOP short: `"retr"`.
    Retr,
    /// TOP, and RETR where the server lists its capabilities without TOP: `"auto"`. Sizes decide nothing, since servers
    /// announce wrong ones.
    #[default]
    Auto,
}

impl Keyword for TopFetch {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("top", Self::Top), ("retr", Self::Retr)];
}

/// Who greets a client whose upstream is fixed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Greeting {
    /// The server: `"relay"`. It is connected to at once, and its greeting passes on.
    #[default]
    Relay,
    /// The proxy: `"own"`. The server is connected to when credentials are there.
    Own,
}

impl Keyword for Greeting {
    const WORDS: &'static [(&'static str, Self)] = &[("relay", Self::Relay), ("own", Self::Own)];
}

/// What filters see of a message when a client asks for its top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Top {
    /// The whole message, of which the client gets the top: `"filtered"`.
    #[default]
    Filtered,
    /// The header block, those of them that need no more; the lines of the body are the server's: `"headers"`.
    Headers,
}

impl Keyword for Top {
    const WORDS: &'static [(&'static str, Self)] = &[("filtered", Self::Filtered), ("headers", Self::Headers)];
}

/// Whose sizes STAT and LIST tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sizes {
    /// The server's, until a message was filtered: `"upstream"`.
    #[default]
    Upstream,
    /// What RETR will send, for which the proxy reads ahead: `"exact"`.
    Exact,
}

impl Keyword for Sizes {
    const WORDS: &'static [(&'static str, Self)] = &[("upstream", Self::Upstream), ("exact", Self::Exact)];
}

/// What a client sees of messages that were held in earlier sessions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Held {
    /// The notice: `"notice"`.
    #[default]
    Notice,
    /// Nothing, not even their numbers: `"hide"`.
    Hide,
}

impl Keyword for Held {
    const WORDS: &'static [(&'static str, Self)] = &[("notice", Self::Notice), ("hide", Self::Hide)];
}

/// What a client gets that waits for a message, so that it does not give up. Both ways give up the right to refuse the
/// message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Keepalive {
    /// Nothing: `"none"`.
    #[default]
    None,
    /// `+OK` and one blank after the other, of the same line: `"status-line"`.
    StatusLine,
    /// The status line, and one header line after the other: `"headers"`.
    Headers,
}

impl Keyword for Keepalive {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("status-line", Self::StatusLine), ("headers", Self::Headers)];
}

/// The name in a certificate.
struct ServerName(String);

impl Setting for ServerName {
    fn kind() -> String {
        "a host name".to_owned()
    }

    fn example() -> String {
        "\"mail.internal\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        if is_name(text) || text.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        let hint = "write a name such as `mail.internal`, or an IP address, without port";
        Err(Refusal::value(format!("`{text}` is not a host name"), hint))
    }
}

/// Messages that are read ahead. More than this at a time saves nothing, and some servers lose commands.
struct ReadAhead(usize);

impl ReadAhead {
    const MAX: i128 = 64;
}

impl Setting for ReadAhead {
    fn kind() -> String {
        "a number of messages".to_owned()
    }

    fn example() -> String {
        "16".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let messages = integer(value)?;
        let fits = usize::try_from(messages).ok().filter(|_| messages <= Self::MAX);
        fits.map(Self).ok_or_else(|| {
            Refusal::value(format!("{messages} messages can't be read ahead"), "write a number from 0 to 64; 0: none")
        })
    }
}

impl Upstream {
    pub(crate) fn read(mut section: Section<'_>, names: &mut Names) -> Self {
        let name: Option<String> = section.require("name", "mail");
        match &name {
            Some(name) => names.give(name, &section.place_of("name"), section.faults()),
            None => names.miss(),
        }
        let default = Self::of_users(section.place().clone());
        let upstream = Self {
            name: name.unwrap_or_default(),
            address: section.require("address", "mail.internal:110").unwrap_or(default.address),
            tls: section.get("tls").unwrap_or_default(),
            ca: section.path("ca"),
            pin_sha256: section.list("pin_sha256").into_iter().map(|(pin, _)| pin).collect(),
            server_name: section.get("server_name").map(|ServerName(name)| name),
            login: Login::read(&mut section),
            apop: section.get("apop").unwrap_or(true),
            send_proxy: section.get("send_proxy").unwrap_or_default(),
            xclient: section.get("xclient").unwrap_or_default(),
            top_fetch: section.get("top_fetch").unwrap_or_default(),
            retr_once: section.get("retr_once").unwrap_or_default(),
            read_ahead: section.get("read_ahead").map_or(0, |ReadAhead(messages)| messages),
            read_ahead_bytes: section.get("read_ahead_bytes").map_or(default.read_ahead_bytes, |Octets(octets)| octets),
            top: section.get("top").unwrap_or_default(),
            top_max_size: section.get("top_max_size").map(|Octets(octets)| octets).filter(|&octets| octets > 0),
            sizes: section.get("sizes").unwrap_or_default(),
            held: section.get("held").unwrap_or_default(),
            keepalive: section.get("keepalive").unwrap_or_default(),
            keepalive_after: section.positive("keepalive_after").unwrap_or(default.keepalive_after),
            noop_after: section.positive("noop_after").unwrap_or(default.noop_after),
            greeting: section.get("greeting").unwrap_or_default(),
            max_sessions: section.get("max_sessions").unwrap_or_default(),
            max_unauthenticated: section.get("max_unauthenticated").unwrap_or_default(),
            sdps: section.get("sdps").unwrap_or_default(),
            trust_headers: section.get("trust_headers").unwrap_or_default(),
            place: section.place().clone(),
            address_place: section.place_of("address"),
            ca_place: section.place_of("ca"),
        };
        if upstream.address.port == 0 {
            let message = format!("`address`: `{}` has port 0, to which nothing can connect", upstream.address);
            section.fault(&section.place_of("address"), message, "POP3 has port 110, POP3 over TLS 995");
        }
        upstream.check_tls(&section);
        if upstream.read_ahead > 0 && upstream.sizes == Sizes::Exact {
            let message =
                "`read_ahead` has no effect with `sizes = \"exact\"`, which fetches all mail before it is listed";
            section.fault(&section.place_of("read_ahead"), message, "remove one of them");
        }
        if upstream.keepalive == Keepalive::Headers && upstream.sizes == Sizes::Exact {
            let message = format!(
                "`keepalive`: `headers` of `{}` adds lines that `sizes = \"exact\"` can't count",
                upstream.name
            );
            section.fault(&section.place_of("keepalive"), message, "write `keepalive = \"status-line\"`");
        }
        section.finish();
        upstream
    }

    /// What holds for servers that users name: the defaults. It has no address.
    pub(crate) fn of_users(place: Place) -> Self {
        Self {
            name: String::new(),
            address: Address { host: String::new(), port: 1 },
            tls: UpstreamTls::None,
            ca: None,
            pin_sha256: Vec::new(),
            server_name: None,
            login: Login::Relay,
            apop: true,
            send_proxy: SendProxy::None,
            xclient: false,
            top_fetch: TopFetch::Auto,
            retr_once: false,
            read_ahead: 0,
            read_ahead_bytes: 1 << 20,
            top: Top::Filtered,
            top_max_size: None,
            sizes: Sizes::Upstream,
            held: Held::Notice,
            keepalive: Keepalive::None,
            keepalive_after: Duration::from_secs(15),
            noop_after: Duration::from_mins(2),
            greeting: Greeting::Own,
            max_sessions: 0,
            max_unauthenticated: 0,
            sdps: false,
            trust_headers: false,
            address_place: place.clone(),
            ca_place: place.clone(),
            place,
        }
    }

    /// What speaks of certificates promises a check, so without TLS it is a fault and not a spare key.
    fn check_tls(&self, section: &Section<'_>) {
        if self.tls != UpstreamTls::None {
            return;
        }
        let given = [
            ("ca", self.ca.is_some()),
            ("pin_sha256", !self.pin_sha256.is_empty()),
            ("server_name", self.server_name.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` checks nothing, since `tls` of `{}` is `none`", self.name);
            section.fault(
                &section.place_of(key),
                message,
                format!("write `tls = \"stls\"` or `tls = \"implicit\"`, or remove `{key}`"),
            );
        }
    }
}
