//! Where to listen, and where to connect: a host and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use toml::de::DeValue;

use crate::setting::{Refusal, Setting, text};

/// A host and a port, typed as `mail.internal:110`, `127.0.0.1:0` or `[::1]:995`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    /// A name, or an IP address without brackets: `mail.internal`, `127.0.0.1`, `::1`.
    pub host: String,
    /// The port; 0 stands for any free one and is for listeners only.
    pub port: u16,
}

impl Address {
    /// Whether only programs on this machine can be at the other end.
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.is_loopback(),
            None => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether a listener here is what a connection there reaches, for certain. Port 0 stands for none yet.
    pub(crate) fn receives(&self, there: &Self) -> bool {
        let reached = match (self.ip(), there.ip()) {
            (Some(IpAddr::V4(here)), Some(IpAddr::V4(there))) if here.is_unspecified() => there.is_loopback(),
            (Some(IpAddr::V6(here)), Some(there)) if here.is_unspecified() => there.is_loopback(),
            _ => self.host.eq_ignore_ascii_case(&there.host),
        };
        reached && self.port != 0 && self.port == there.port
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Why a text is not an [`Address`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// Nothing, or `*`, stands before the port.
    #[error("has no host")]
    NoHost,
    /// Nothing stands after the host.
    #[error("has no port")]
    NoPort,
    /// The port is not a number from 0 to 65535.
    #[error("has a port that is not a number from 0 to 65535")]
    BadPort,
    /// The host is neither a name nor an IP address.
    #[error("has a host that is neither a name nor an IP address")]
    BadHost,
    /// An IPv6 address without brackets, so that its end can't be told from the port.
    #[error("has no brackets around its IPv6 address")]
    NoBrackets,
}

impl AddressError {
    fn hint(self) -> &'static str {
        match self {
            Self::NoHost => "write `0.0.0.0` for every IPv4 address of this machine, `[::]` for IPv6 as well",
            Self::NoPort => "add the port, as in `mail.internal:110`",
            Self::BadPort | Self::BadHost => "write host and port, as in `mail.internal:110` or `[::1]:995`",
            Self::NoBrackets => "write brackets and a port, as in `[::1]:995`",
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(AddressError::BadHost)?;
                if !is_ipv6(host) {
                    return Err(AddressError::BadHost);
                }
                (host, port.strip_prefix(':').ok_or(AddressError::NoPort)?)
            }
            None if is_ipv6(text) => return Err(AddressError::NoBrackets),
            None => text.rsplit_once(':').ok_or(AddressError::NoPort)?,
        };
        match host {
            "" | "*" => return Err(AddressError::NoHost),
            _ if text.starts_with('[') => {}
            _ if is_ipv6(host) => return Err(AddressError::NoBrackets),
            _ if !is_name(host) => return Err(AddressError::BadHost),
            _ => {}
        }
        if port.is_empty() {
            return Err(AddressError::NoPort);
        }
        if !port.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(AddressError::BadPort);
        }
        let port = port.parse().map_err(|_| AddressError::BadPort)?;
        // One spelling of an IP address, so that equal ones are seen to be equal.
        let host = host.parse::<IpAddr>().map_or_else(|_| host.to_owned(), |ip| ip.to_string());
        Ok(Self { host, port })
    }
}

/// An IPv6 address, with its zone if it has one (`fe80::1%eth0`).
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.bytes().all(|octet| octet.is_ascii_graphic())
}

/// A host name or an IPv4 address, as far as its characters say. Names in other scripts are typed as `xn--...`.
///
/// Source: RFC 1123, section 2.1, and the underscore that internal names bear.
pub(crate) fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253 && name.split('.').all(label)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Setting for Address {
    fn kind() -> String {
        "an address".to_owned()
    }

    fn example() -> String {
        "\"127.0.0.1:1110\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        text.parse().map_err(|error: AddressError| Refusal::value(format!("`{text}` {error}"), error.hint()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_host_and_port() {
        for (text, host, port) in [
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("0.0.0.0:995", "0.0.0.0", 995),
            ("mail.internal:110", "mail.internal", 110),
            ("localhost:65535", "localhost", 65535),
            ("[::1]:995", "::1", 995),
            ("[fe80::1%eth0]:995", "fe80::1%eth0", 995),
        ] {
            let address = Address { host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("[0:0::1]:995".parse::<Address>().map(|address| address.host), Ok("::1".to_owned()));
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        use AddressError::{BadHost, BadPort, NoBrackets, NoHost, NoPort};
        for (text, error) in [
            ("", NoPort),
            ("mail.internal", NoPort),
            ("mail.internal:", NoPort),
            ("[::1]", NoPort),
            (":110", NoHost),
            ("*:110", NoHost),
            ("mail.internal:65536", BadPort),
            ("mail.internal:+110", BadPort),
            ("mail.internal:pop3", BadPort),
            ("pop3://mail.internal:110", BadHost),
            ("mail internal:110", BadHost),
            ("mail..internal:110", BadHost),
            ("[mail.internal]:110", BadHost),
            ("[::1:110", BadHost),
            ("::1", NoBrackets),
            ("2001:db8::1:110", NoBrackets),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[test]
    fn knows_its_own_reflection() {
        for (listener, upstream, same) in [
            ("127.0.0.1:110", "127.0.0.1:110", true),
            ("127.0.0.1:110", "127.0.0.1:995", false),
            ("127.0.0.1:110", "127.0.0.2:110", false),
            ("0.0.0.0:110", "127.0.0.2:110", true),
            ("0.0.0.0:110", "[::1]:110", false),
            ("[::]:110", "[::1]:110", true),
            ("0.0.0.0:110", "192.0.2.1:110", false),
            ("mail:110", "MAIL:110", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let address = |text: &str| text.parse::<Address>();
            let receives = address(listener).and_then(|here| Ok(here.receives(&address(upstream)?)));
            assert_eq!(receives, Ok(same), "{listener} {upstream}");
        }
    }

    #[test]
    fn knows_what_stays_on_this_machine() {
        for (text, loopback) in
            [("127.9.9.9:1", true), ("[::1]:1", true), ("LOCALHOST:1", true), ("0.0.0.0:1", false), ("mail:1", false)]
        {
            assert_eq!(text.parse::<Address>().map(|address| address.is_loopback()), Ok(loopback), "{text}");
        }
    }
}
