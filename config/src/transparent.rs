//! `transparent = true` of a listener: its clients go where they were going, through the proxy.

use std::path::PathBuf;

use crate::listener::ListenerTls;
use crate::pin::Pin;
use crate::place::Place;
use crate::section::Section;

/// The ports of POP3 and of POP3 over TLS, which stand for all when none are listed.
const PORTS: [u16; 2] = [110, 995];

/// The keys that mean nothing without `transparent = true`.
const KEYS: [&str; 3] = ["transparent_ports", "upstream_ca", "upstream_pin_sha256"];

/// How a transparent listener takes connections on to their original destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Transparent {
    /// The original ports that are served; at least one, none is 0.
    pub ports: Vec<u16>,
    /// The file of roots (PEM) that replaces the system's when a destination's certificate is checked.
    pub ca: Option<PathBuf>,
    /// Public keys of which a destination's certificate must have one; a match replaces the other checks.
    pub pin_sha256: Vec<Pin>,
    /// The value of `upstream_ca`, or the section.
    pub ca_place: Place,
}

impl Transparent {
    /// None for a listener that is not transparent.
    pub(crate) fn read(section: &mut Section<'_>, tls: ListenerTls) -> Option<Self> {
        let wanted = section.get("transparent").unwrap_or(false);
        let ports = read_ports(section);
        let transparent = Self {
            ports,
            ca: section.path("upstream_ca"),
            pin_sha256: section.list("upstream_pin_sha256").into_iter().map(|(pin, _)| pin).collect(),
            ca_place: section.place_of("upstream_ca"),
        };
        if !wanted {
            for key in KEYS.into_iter().filter(|key| section.has(key)) {
                let message = format!("`{key}` has no effect, since the listener is not transparent");
                section.fault(&section.place_of(key), message, "add `transparent = true`, or remove it");
            }
            return None;
        }
        transparent.check(section, tls);
        Some(transparent)
    }

    fn check(&self, section: &Section<'_>, tls: ListenerTls) {
        let contradictions = [
            ("upstream", "the upstream is where the client was going", "remove one of the two"),
            (
                "proxy_protocol_from",
                "a balancer's PROXY header hides where the client was going",
                "use a listener with `upstream` behind a balancer",
            ),
            (
                "kpop",
                "KPOP has ports of its own, and no TLS by which a server could be known",
                "use a listener with `upstream`",
            ),
            ("sasl", "the server's own mechanisms are offered", "remove `sasl`"),
            ("client_ca", "the servers themselves know their clients", "use a listener with `upstream`"),
        ];
        for (key, why, hint) in contradictions.into_iter().filter(|(key, _, _)| section.has(key)) {
            let message = format!("`{key}` contradicts `transparent = true`: {why}");
            section.fault(&section.place_of(key), message, hint);
        }
        if tls == ListenerTls::None {
            let hint = "write `tls = \"stls\"` or `tls = \"implicit\"`, or remove it";
            for key in ["upstream_ca", "upstream_pin_sha256"].into_iter().filter(|key| section.has(key)) {
                let message = format!("`{key}` checks nothing, since the listener has no TLS and passes none on");
                section.fault(&section.place_of(key), message, hint);
            }
        }
    }
}

fn read_ports(section: &mut Section<'_>) -> Vec<u16> {
    let given = section.has("transparent_ports");
    let mut ports = Vec::new();
    for (port, place) in section.list::<u16>("transparent_ports") {
        if port == 0 {
            section.fault(&place, "`transparent_ports`: `0` is not a port", "a port is a number from 1 to 65535");
        }
        ports.push(port);
    }
    if given && section.lacks("transparent_ports") {
        let message = "`transparent_ports` is empty, so the listener would serve nobody";
        section.fault(&section.place_of("transparent_ports"), message, "remove it for `[110, 995]`");
    }
    if given { ports } else { PORTS.to_vec() }
}
