//! `[[listener]]`: where clients connect.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::address::Address;
use crate::keyword::{Keyword, TLS_WORDS};
use crate::mechanism::SaslMechanism;
use crate::names::Names;
use crate::place::Place;
use crate::section::Section;
use crate::transparent::Transparent;

/// A port that clients connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name in logs and in a filter's `only.listener`; if none was given, the text of its address.
    pub name: String,
    /// Where it listens; port 0 stands for any free one.
    pub address: Address,
    /// How clients get TLS.
    pub tls: ListenerTls,
    /// The name of the upstream of every session, which exists; none: the routes decide by user.
    pub upstream: Option<String>,
    /// Whether passwords are taken over unencrypted connections that are not loopback.
    pub allow_cleartext: bool,
    /// The networks whose PROXY header is required and believed.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whether a Kerberos exchange comes before POP3.
    pub kpop: bool,
    /// The SASL mechanisms that are offered while the user, and so the upstream, is not known.
    pub sasl: Vec<SaslMechanism>,
    /// The file of authorities (PEM) of which every client must show a certificate; none: no certificate is asked for.
    pub client_ca: Option<PathBuf>,
    /// How clients are taken to where they were going; none: the upstream is a configured one.
    pub transparent: Option<Transparent>,
    /// The section.
    pub place: Place,
    /// The value of `address`.
    pub address_place: Place,
    /// The value of `kpop`, or the section.
    pub kpop_place: Place,
    /// The value of `sasl`, if it is there.
    pub sasl_place: Option<Place>,
    /// The value of `client_ca`, or the section.
    pub client_ca_place: Place,
}

/// How clients of a listener get TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ListenerTls {
    /// Not at all: `"none"`.
    #[default]
    None,
    /// By the command STLS, if they want to: `"stls"`. Source: RFC 2595.
    Stls,
    /// By the command STLS; before it no credentials are taken, not even from loopback: `"stls-required"`.
    StlsRequired,
    /// From the first octet on: `"implicit"`. Source: RFC 8314.
    Implicit,
}

impl Keyword for ListenerTls {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("stls", Self::Stls),
        ("stls-required", Self::StlsRequired),
        ("implicit", Self::Implicit),
    ];

    const OTHER_WORDS: &'static [(&'static str, &'static str)] = TLS_WORDS;
}

impl Listener {
    /// Whether the routes decide where its clients go.
    pub fn is_routed(&self) -> bool {
        self.upstream.is_none() && self.transparent.is_none()
    }

    pub(crate) fn read(mut section: Section<'_>, names: &mut Names, upstreams: &Names) -> Self {
        let address: Option<Address> = section.require("address", "127.0.0.1:1110");
        let name = read_name(&mut section, address.as_ref(), names);
        let upstream: Option<String> = section.get("upstream");
        if let Some(upstream) = &upstream {
            upstreams.expect(upstream, &section.place_of("upstream"), section.faults());
        }
        let tls = section.get("tls").unwrap_or_default();
        let listener = Self {
            name,
            address: address.unwrap_or(Address { host: String::new(), port: 0 }),
            tls,
            // One that can't be read is a fault already, not a missing one.
            upstream: upstream.or_else(|| section.has("upstream").then(String::new)),
            allow_cleartext: section.get("allow_cleartext").unwrap_or_default(),
            proxy_protocol_from: section.list("proxy_protocol_from").into_iter().map(|(network, _)| network).collect(),
            kpop: section.get("kpop").unwrap_or_default(),
            sasl: read_mechanisms(&mut section),
            client_ca: section.path("client_ca"),
            transparent: Transparent::read(&mut section, tls),
            place: section.place().clone(),
            address_place: section.place_of("address"),
            kpop_place: section.place_of("kpop"),
            sasl_place: section.has("sasl").then(|| section.place_of("sasl")),
            client_ca_place: section.place_of("client_ca"),
        };
        if listener.allow_cleartext && listener.tls == ListenerTls::StlsRequired {
            let place = section.place_of("allow_cleartext");
            let message = "`allow_cleartext = true` contradicts `tls = \"stls-required\"`, which never takes cleartext";
            section.fault(&place, message, "remove it, or write `tls = \"stls\"`");
        }
        if listener.kpop && listener.transparent.is_none() {
            listener.check_kpop(&section);
        }
        listener.check_client_ca(&section);
        section.finish();
        listener
    }

    /// The Kerberos exchange is the first thing on the connection, before a user has a name and before any command.
    fn check_kpop(&self, section: &Section<'_>) {
        if self.upstream.is_none() {
            let message = "`kpop = true` needs a fixed upstream: the Kerberos exchange comes before the user's name, by which a route is chosen";
            section.fault(&self.kpop_place, message, "add `upstream` with the name of an `[[upstream]]`");
        }
        if matches!(self.tls, ListenerTls::Stls | ListenerTls::StlsRequired) {
            let message = "STLS makes both sides forget what was proved before it, and with `kpop = true` Kerberos comes before it";
            let hint = "write `tls = \"implicit\"`, or `tls = \"none\"`: a ticket may travel in clear";
            section.fault(&section.place_of("tls"), message, hint);
        }
    }

    /// Whoever asks for certificates means all clients, so nobody may get in beside TLS.
    fn check_client_ca(&self, section: &Section<'_>) {
        let encrypted = matches!(self.tls, ListenerTls::Implicit | ListenerTls::StlsRequired);
        if self.client_ca.is_some() && !encrypted {
            let message = "`client_ca` lets nobody in without a certificate, so TLS must be required";
            let hint = "write `tls = \"implicit\"` or `tls = \"stls-required\"`";
            section.fault(&self.client_ca_place, message, hint);
        }
    }
}

fn read_mechanisms(section: &mut Section<'_>) -> Vec<SaslMechanism> {
    let listed = section.list("sasl").into_iter().map(|(mechanism, _)| mechanism).collect();
    if !section.has("sasl") {
        return SaslMechanism::DEFAULT.to_vec();
    }
    listed
}

/// The name, by default the text of the address. Port 0 may be there several times, then the names are numbered.
fn read_name(section: &mut Section<'_>, address: Option<&Address>, names: &mut Names) -> String {
    let typed: Option<String> = section.get("name");
    let name = match (typed, address) {
        (Some(name), _) => name,
        (None, Some(address)) if !section.has("name") => {
            let mut name = address.to_string();
            for number in 2.. {
                if !names.is_taken(&name) {
                    break;
                }
                name = format!("{address}#{number}");
            }
            name
        }
        (None, _) => {
            names.miss();
            return String::new();
        }
    };
    names.give(&name, &section.place_of("name"), section.faults());
    name
}
