//! `allowed_servers`: the servers that users may name themselves.

use std::net::IpAddr;

use toml::de::DeValue;

use crate::address::{Address, AddressError, is_name};
use crate::setting::{Refusal, Setting, text};
use crate::upstream::UpstreamTls;

/// POP3 over TLS. Source: RFC 8314, section 7.2.
pub(crate) const DEFAULT_PORT: u16 = 995;
/// POP3, where TLS begins with STLS.
const CLEAR_PORT: u16 = 110;

/// Words behind the server, and what they mean.
const WORDS: [(&str, UpstreamTls); 3] =
    [("implicit", UpstreamTls::Implicit), ("stls", UpstreamTls::Stls), ("cleartext", UpstreamTls::None)];

/// A server that users may name, or all below a domain: `pop.example.net:110 cleartext`, `*.example.org`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedServer {
    /// Which hosts.
    host: AllowedHost,
    /// Their port, 995 if none was typed.
    port: u16,
    /// How the connection is encrypted: what was typed, else STLS at port 110 and from the first octet elsewhere.
    pub tls: UpstreamTls,
}

/// Hosts as they are compared, see [`server_address`].
#[derive(Clone, Debug, Eq, PartialEq)]
enum AllowedHost {
    /// This one. It may well be a machine of the own network, since it is named.
    Exact(String),
    /// All names that end in a dot and this.
    Below(String),
}

impl AllowedServer {
    /// Whether the entry stands for this server, in the form of [`server_address`].
    pub fn allows(&self, server: &Address) -> bool {
        self.allows_host(&server.host) && server.port == self.port
    }

    /// The same for the host alone.
    pub(crate) fn allows_host(&self, server: &str) -> bool {
        match &self.host {
            AllowedHost::Exact(host) => server == *host,
            AllowedHost::Below(domain) => {
                let name = server.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
                server.parse::<IpAddr>().is_err() && name.is_some_and(|name| !name.is_empty())
            }
        }
    }

    /// Whether the host was typed as it is, so that its addresses may be of the own network.
    pub fn is_literal(&self) -> bool {
        matches!(self.host, AllowedHost::Exact(_))
    }

    /// The domain of a wildcard that is no more than a top-level domain, where anybody may have a server.
    pub(crate) fn wide(&self) -> Option<&str> {
        match &self.host {
            AllowedHost::Below(domain) if !domain.contains('.') => Some(domain),
            _ => None,
        }
    }

    fn parse(typed: &str) -> Result<Self, Refusal> {
        let mut words = typed.split_ascii_whitespace();
        let server = words.next().unwrap_or_default();
        let word = words.next();
        let tls = match word {
            None => None,
            Some(word) => Some(tls_of(word).ok_or_else(|| unknown_word(word))?),
        };
        if let Some(more) = words.next() {
            return Err(unknown_word(more));
        }
        let (host, port) = if let Some(rest) = server.strip_prefix('*') {
            let (domain, port) = rest.rsplit_once(':').unwrap_or((rest, "995"));
            let port = if port.bytes().all(|octet| octet.is_ascii_digit()) { port.parse().ok() } else { None };
            (wildcard(typed, domain)?, port.ok_or_else(|| unreadable(typed, AddressError::BadPort))?)
        } else {
            let address = server_address(server).map_err(|error| unreadable(typed, error))?;
            (AllowedHost::Exact(address.host), address.port)
        };
        if port == 0 {
            let hint = "POP3 over TLS has port 995, POP3 port 110";
            return Err(Refusal::value(format!("`{typed}` has port 0, to which nothing can connect"), hint));
        }
        let usual = if port == CLEAR_PORT { UpstreamTls::Stls } else { UpstreamTls::Implicit };
        Ok(Self { host, port, tls: tls.unwrap_or(usual) })
    }
}

/// A server as users and `allowed_servers` name it, in the one form that is compared: lower case, no dot of the root,
/// an IPv4 address never within an IPv6 one; port 995 unless another is given.
///
/// # Errors
///
/// What is wrong with it. A port 0 is left to the caller.
pub fn server_address(typed: &str) -> Result<Address, AddressError> {
    let has_port = if typed.starts_with('[') { !typed.ends_with(']') } else { typed.contains(':') };
    let address: Address = if has_port { typed.parse()? } else { format!("{typed}:{DEFAULT_PORT}").parse()? };
    let host = match address.ip() {
        Some(ip) => ip.to_canonical().to_string(),
        // An address with a zone is one of this machine's own links.
        None if address.host.contains('%') => return Err(AddressError::BadHost),
        None => address.host.trim_end_matches('.').to_ascii_lowercase(),
    };
    Ok(Address { host, port: address.port })
}

fn wildcard(typed: &str, domain: &str) -> Result<AllowedHost, Refusal> {
    if domain.is_empty() || domain.trim_matches(['.', '*']).is_empty() {
        let message = format!("`{typed}` would let everybody use popgate to reach any server");
        return Err(Refusal::value(message, "name the servers, or a domain of theirs as in `*.example.org`"));
    }
    let domain = domain.strip_prefix('.').filter(|domain| is_name(domain));
    let domain = domain.ok_or_else(|| {
        let hint = "a star stands alone before the first dot, as in `*.example.org`";
        Refusal::value(format!("`{typed}` is not a server or a domain of servers"), hint)
    })?;
    Ok(AllowedHost::Below(domain.trim_end_matches('.').to_ascii_lowercase()))
}

fn tls_of(word: &str) -> Option<UpstreamTls> {
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, tls)| *tls)
}

fn unknown_word(word: &str) -> Refusal {
    let hint = "behind the server may stand `stls`, `implicit` or `cleartext`, which encrypts nothing";
    Refusal::value(format!("unknown word `{word}`"), hint)
}

fn unreadable(typed: &str, error: AddressError) -> Refusal {
    let hint = "write `pop.example.org:995`, `*.example.org:995` or `[2001:db8::1]:995`; without a port 995 is meant";
    Refusal::value(format!("`{typed}` {error}"), hint)
}

impl Setting for AllowedServer {
    fn kind() -> String {
        "a server".to_owned()
    }

    fn example() -> String {
        "\"*.example.org:995\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        Self::parse(text(value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(typed: &str) -> AllowedServer {
        AllowedServer::parse(typed).unwrap_or_else(|_| panic!("{typed}"))
    }

    #[test]
    fn entries_stand_for_servers() {
        for (typed, server, allowed) in [
            ("pop.example.org", "pop.example.org", true),
            ("pop.example.org", "pop.example.org:995", true),
            ("pop.example.org:995", "POP.Example.ORG.", true),
            ("POP.example.org.:0995", "pop.example.org", true),
            ("pop.example.org", "pop.example.org:110", false),
            ("pop.example.org", "sub.pop.example.org", false),
            ("pop.example.org", "pop.example.org.evil.example", false),
            ("*.example.org:995", "pop.example.org", true),
            ("*.example.org", "a.b.example.org:995", true),
            ("*.Example.org.", "pop.example.ORG", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("*.example.org", ".example.org", false),
            ("*.0.0.1:995", "127.0.0.1:995", false),
            ("127.0.0.1:1995", "127.0.0.1:1995", true),
            ("127.0.0.1:1995", "[::ffff:127.0.0.1]:1995", true),
            ("[::1]:995", "[0:0::1]", true),
            ("[::1]", "[::1]:995", true),
        ] {
            let allows = server_address(server).is_ok_and(|server| entry(typed).allows(&server));
            assert_eq!(allows, allowed, "{typed} {server}");
        }
        assert!(entry("127.0.0.1").is_literal() && entry("a.example").is_literal());
        assert!(!entry("*.example.org").is_literal());
        assert_eq!(entry("*.com").wide(), Some("com"));
        assert_eq!(entry("*.example.org").wide(), None);
    }

    #[test]
    fn no_encryption_is_never_a_default() {
        for (typed, tls) in [
            ("a.example", UpstreamTls::Implicit),
            ("a.example:995", UpstreamTls::Implicit),
            ("a.example:1234", UpstreamTls::Implicit),
            ("a.example:110", UpstreamTls::Stls),
            ("*.a.example:110", UpstreamTls::Stls),
            ("a.example:110 cleartext", UpstreamTls::None),
            ("a.example:110  implicit", UpstreamTls::Implicit),
            ("a.example:1234 stls", UpstreamTls::Stls),
        ] {
            assert_eq!(entry(typed).tls, tls, "{typed}");
        }
    }

    #[test]
    fn an_open_proxy_is_refused() {
        for typed in ["*", "*:995", "*.", "*.*", "**", "*.*:110 cleartext"] {
            let Err(Refusal::Value { message, .. }) = AllowedServer::parse(typed) else { panic!("{typed}") };
            assert!(message.contains("would let everybody use popgate"), "{typed}: {message}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for typed in [
            "",
            ":995",
            "pop*.example.org",
            "*pop.example.org",
            "a.*.example.org",
            "*.*.example.org",
            "a.example:0",
            "*.a.example:0",
            "*.a.example:+995",
            "a.example:99999",
            "a.example:",
            "a.example:995 tls",
            "a.example:995 stls cleartext",
            "a.example : 995",
            "::1",
            "[fe80::1%eth0]:995",
            "b\u{fc}cher.example",
        ] {
            assert!(AllowedServer::parse(typed).is_err(), "{typed}");
        }
    }
}
