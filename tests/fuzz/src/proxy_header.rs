//! PROXY headers, read and written.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use popgate::net::{Header, HeaderError, Progress, header_v1, header_v2, parse};

/// A header is read the same however it arrives, and never an octet behind it; what one says is written so that it is read
/// as the same again.
///
/// Input: two octets for the cuts, then what arrives. Its first octets are taken for addresses, too.
pub fn proxy_header(input: &[u8]) {
    let Some((seed, wire)) = input.split_at_checked(2) else { return };
    let (outcome, used) = read(wire, u16::from_be_bytes([seed[0], seed[1]]));
    match (read(wire, 0), outcome) {
        // Of several faults, which one is seen first depends on how much is there.
        ((Err(_), _), Err(_)) => {}
        (whole, outcome) => assert_eq!(whole, (outcome, used), "cut"),
    }
    if let Ok(Some(Header::Proxied { source, destination })) = outcome {
        written(source, destination);
    }
    if let Some((source, rest)) = address(wire)
        && let Some((destination, _)) = address(rest)
    {
        written(source, destination);
    }
}

/// The header, if it is complete, and the octets that were taken for it; never more at once than it asks for.
fn read(wire: &[u8], seed: u16) -> (Result<Option<Header>, HeaderError>, usize) {
    let (mut taken, mut state) = (0, u32::from(seed));
    loop {
        match parse(&wire[..taken]) {
            Err(error) => return (Err(error), taken),
            Ok(Progress::Done(header)) => return (Ok(Some(header)), taken),
            Ok(Progress::More(missing)) => {
                assert!(missing > 0);
                if taken == wire.len() {
                    return (Ok(None), taken);
                }
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let some = if seed == 0 { missing } else { 1 + (state >> 16) as usize % missing };
                taken = wire.len().min(taken + some);
            }
        }
    }
}

fn written(source: SocketAddr, destination: SocketAddr) {
    let mut expected =
        [source, destination].map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
    if expected[0].is_ipv4() != expected[1].is_ipv4() {
        expected = expected.map(mapped);
    }
    let [source_read, destination_read] = expected;
    let expected = Header::Proxied { source: source_read, destination: destination_read };
    for header in [header_v1(source, destination), header_v2(source, destination)] {
        assert_eq!(parse(&header), Ok(Progress::Done(expected)), "{}", header.escape_ascii());
        for cut in 0..header.len() {
            let progress = parse(&header[..cut]);
            assert!(matches!(progress, Ok(Progress::More(more)) if cut + more <= header.len()), "{progress:?}");
        }
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// An address out of arbitrary octets: family, port, address.
fn address(octets: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (&[family, high, low], rest) = octets.split_first_chunk()?;
    let port = u16::from_be_bytes([high, low]);
    if family & 1 == 0 {
        let (ip, rest) = rest.split_first_chunk::<4>()?;
        return Some((SocketAddr::new((*ip).into(), port), rest));
    }
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    Some((SocketAddr::new(Ipv6Addr::from(*ip).into(), port), rest))
}
