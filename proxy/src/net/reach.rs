//! Where a connection may go: never back to popgate itself, and to this machine or its network only for those who
//! configure it.
//!
//! Decided about addresses that have been looked up, before anything is connected to: a name can mean another address
//! at the next look.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

/// Whom the operator trusts to have chosen a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chosen {
    /// The configuration names it: it may be anywhere.
    ByOperator,
    /// The client names it: it must be out in the Internet.
    ByClient,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Forbidden {
    /// Popgate listens there.
    #[error("it is popgate's own listener")]
    Own,
    /// It belongs to this machine or its network, or to nobody.
    #[error("it is not an address of the Internet; name the host in `allowed_servers` if it may be reached")]
    Local,
}

/// The addresses on which popgate listens. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses(Arc<RwLock<Vec<SocketAddr>>>);

impl OwnAddresses {
    /// Takes the place of what was known.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Whether a connection to `address` ends at popgate.
    fn receive(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let own = self.0.read().unwrap_or_else(PoisonError::into_inner);
        own.iter().filter(|listener| listener.port() == address.port()).any(|listener| {
            let listener = listener.ip().to_canonical();
            listener == ip || listener.is_unspecified() && (listener.is_ipv6() || ip.is_ipv4()) && is_of_machine(ip)
        })
    }

    /// Decides about an address.
    ///
    /// # Errors
    ///
    /// Why it is not to be connected to.
    pub fn check(&self, address: SocketAddr, chosen: Chosen) -> Result<(), Forbidden> {
        if self.receive(address) {
            return Err(Forbidden::Own);
        }
        match chosen {
            Chosen::ByClient if !is_public(address.ip()) || is_of_machine(address.ip()) => Err(Forbidden::Local),
            _ => Ok(()),
        }
    }
}

/// Whether this machine has the address: it would be the source of what is sent there. Nothing is sent.
pub(super) fn is_of_machine(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    ip.is_loopback() || ip.is_unspecified() || source().is_ok_and(|source| source.ip() == ip)
}

/// Whether an address can be one of the Internet: none of a machine or a private network, none that means many or none.
///
/// Source: the registries of special-purpose addresses (RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [first, second, third, _] = ip.octets();
    let special = match first {
        // This network; reserved, and multicast below it.
        0 | 224.. => true,
        // Carrier-grade NAT (RFC 6598).
        100 => second & 0xc0 == 64,
        // IETF protocol assignments (RFC 6890), the old relays of 6to4 (RFC 7526).
        192 => (second, third) == (0, 0) || (second, third) == (88, 99),
        // Benchmarks (RFC 2544).
        198 => second & 0xfe == 18,
        _ => false,
    };
    !(special || ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        // An IPv4 address that a translator reaches (RFC 6052), or 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Discarded, Teredo and other assignments of the IETF, documentation.
        [0x100, ..] | [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => false,
        // Only 2000::/3 is given out: not ::1, fc00::/7, fe80::/10, fec0::/10, ff00::/8.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_internet_are_told_from_others() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("172.32.0.1", true),
            ("192.0.1.1", true),
            ("2a01:4f8::1", true),
            ("2001:4860:4860::8888", true),
            ("64:ff9b::808:808", true),
            ("2002:808:808::1", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("169.254.169.254", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("224.0.0.251", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::7f00:1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b:1::808:808", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn a_connection_to_an_own_listener_is_a_loop() {
        let own = OwnAddresses::default();
        let check = |address: &str, chosen| own.check(address.parse().unwrap(), chosen);
        assert_eq!(check("127.0.0.1:110", Chosen::ByOperator), Ok(()));
        own.set(["127.0.0.1:110", "0.0.0.0:995", "[::]:1110"].iter().map(|it| it.parse().unwrap()).collect());
        for (address, own) in [
            ("127.0.0.1:110", true),
            ("[::ffff:127.0.0.1]:110", true),
            ("127.0.0.2:110", false),
            ("127.0.0.1:111", false),
            ("127.0.0.2:995", true),
            ("8.8.8.8:995", false),
            ("[::1]:995", false),
            ("[::1]:1110", true),
            ("127.0.0.1:1110", true),
        ] {
            assert_eq!(check(address, Chosen::ByOperator), if own { Err(Forbidden::Own) } else { Ok(()) }, "{address}");
        }
        assert_eq!(check("127.0.0.1:110", Chosen::ByClient), Err(Forbidden::Own));
        assert_eq!(check("127.0.0.1:2110", Chosen::ByClient), Err(Forbidden::Local));
        assert_eq!(check("127.0.0.1:2110", Chosen::ByOperator), Ok(()));
    }
}
