//! `grant` of a filter: what it can reach besides the message.

use std::fmt;
use std::net::SocketAddr;

use toml::de::DeValue;

use crate::section::Section;
use crate::setting::{Refusal, Setting, text};

/// What a filter may reach. The default is nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Where it may connect to, by TCP.
    pub connect: Vec<SocketAddr>,
    /// Whether it may remember something from one message to the next.
    pub kv: bool,
}

impl Grant {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let Some(mut grant) = section.section("grant") else { return Self::default() };
        let connect = grant.list("connect").into_iter().map(|(Peer(address), _)| address).collect();
        let kv = grant.get("kv").unwrap_or_default();
        grant.finish();
        Self { connect, kv }
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.connect.is_empty() && !self.kv
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connect = self.connect.iter().map(|address| format!("connect to {address}"));
        let kv = self.kv.then(|| "keep state".to_owned());
        f.write_str(&connect.chain(kv).collect::<Vec<_>>().join(", "))
    }
}

/// An address that a filter may connect to: an IP address, since filters can't look names up.
struct Peer(SocketAddr);

impl Setting for Peer {
    fn kind() -> String {
        "an IP address and a port".to_owned()
    }

    fn example() -> String {
        "\"127.0.0.1:3310\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self(address)),
            _ => Err(Refusal::value(
                format!("`{text}` is not an IP address and a port"),
                "write both, as in `127.0.0.1:3310` or `[::1]:3310`; filters can't look names up",
            )),
        }
    }
}
