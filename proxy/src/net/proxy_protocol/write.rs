//! PROXY headers for servers behind this one.

use std::net::{IpAddr, SocketAddr};

use super::{V1_START, V2_START};

/// The header of version 1: one line of text. Source: the PROXY protocol, section 2.1.
#[must_use]
pub fn header_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = same_family(source, destination);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let addresses = format!("{} {} {} {}", source.ip(), destination.ip(), source.port(), destination.port());
    [V1_START, family.as_bytes(), b" ", addresses.as_bytes(), b"\r\n"].concat()
}

/// The header of version 2: binary. Source: the PROXY protocol, section 2.2.
#[must_use]
pub fn header_v2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (source, destination) = same_family(source, destination);
    let mut addresses = Vec::with_capacity(36);
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => addresses.extend(ip.octets()),
            IpAddr::V6(ip) => addresses.extend(ip.octets()),
        }
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    let length = if source.is_ipv4() { 12 } else { 36 };
    [V2_START, &[0x21, family, 0, length], &addresses].concat()
}

/// Both as IPv4, or both as IPv6: a balancer may have told of a client of the other kind.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(source), canonical(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(source), mapped(destination))
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Progress, parse};
    use super::*;

    #[test]
    fn what_is_written_is_what_a_server_reads() {
        for (source, destination) in [
            ("192.0.2.1:4711", "198.51.100.2:110"),
            ("[2001:db8::1]:4711", "[2001:db8::2]:995"),
            ("[2001:db8::1]:4711", "198.51.100.2:110"),
            ("[::ffff:192.0.2.1]:4711", "198.51.100.2:110"),
        ] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let (expected_source, expected_destination) = same_family(source, destination);
            let expected = Header::Proxied { source: expected_source, destination: expected_destination };
            for header in [header_v1(source, destination), header_v2(source, destination)] {
                match parse(&header) {
                    Ok(Progress::Done(read)) => assert_eq!(read, expected),
                    other => panic!("{other:?} for {source} to {destination}"),
                }
            }
        }
        let v1 = header_v1("192.0.2.1:4711".parse().unwrap(), "198.51.100.2:110".parse().unwrap());
        assert_eq!(v1, b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 110\r\n");
    }
}
