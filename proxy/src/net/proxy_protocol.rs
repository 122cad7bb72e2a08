//! The PROXY protocol, versions 1 and 2, as it comes from a load balancer: who the client really is.
//!
//! Source: HAProxy's `doc/proxy-protocol.txt`. Strict, since what is believed here decides about access: one spelling
//! of each header, nothing optional left out, and a bound on its length.

mod write;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

pub use write::{header_v1, header_v2};

/// The longest header of version 1, its CRLF included, in octets.
const V1_MAX: usize = 107;
/// The shortest header of version 1: `PROXY UNKNOWN` and CRLF, in octets.
const V1_MIN: usize = 15;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of a header of version 2, in octets.
const V2_FIXED: usize = 16;
/// The most that may follow the fixed part, in octets: addresses and extensions.
const V2_REST_MAX: usize = 4096;

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// The connection is made on behalf of a client.
    Proxied {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
    },
    /// The connection is the sender's own (health checks), or made for a client of which nothing is known: the
    /// addresses of the connection itself count.
    Local,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// Something else was sent.
    #[error("no PROXY header")]
    Missing,
    /// It is longer than the protocol or popgate allows.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It breaks the rules.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// It is for something else than TCP over IP.
    #[error("the PROXY header is not for TCP over IPv4 or IPv6")]
    Unsupported,
}

/// Why no header was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadHeaderError {
    /// What came is no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The connection broke or ended.
    #[error("the connection broke before its PROXY header was complete: {0}")]
    Io(#[from] io::Error),
    /// It did not come in time.
    #[error("no PROXY header in time")]
    TimedOut,
}

/// How far the octets so far go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// At least so many octets more belong to the header.
    More(usize),
    /// The header, which is all of the octets.
    Done(Header),
}

/// Whether a peer's header is required and believed.
#[must_use]
pub fn is_trusted(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

/// Reads a header, and not one octet behind it.
///
/// # Errors
///
/// When something else comes, when the connection ends, or when `deadline` passes.
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin), deadline: Instant) -> Result<Header, ReadHeaderError> {
    let read = async {
        let mut octets = Vec::with_capacity(V1_MAX);
        loop {
            match parse(&octets)? {
                Progress::Done(header) => return Ok(header),
                Progress::More(missing) => {
                    let known = octets.len();
                    octets.resize(known + missing, 0);
                    match stream.read(&mut octets[known..]).await? {
                        0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                        count => octets.truncate(known + count),
                    }
                }
            }
        }
    };
    timeout_at(deadline, read).await.map_err(|_| ReadHeaderError::TimedOut)?
}

/// Reads as much of a header as is there. Octets must be added in the numbers that [`Progress::More`] names, so that
/// nothing behind the header is taken.
///
/// # Errors
///
/// As soon as it is certain that the octets begin no valid header.
pub fn parse(octets: &[u8]) -> Result<Progress, HeaderError> {
    if begins(octets, V1_START) {
        parse_v1(octets)
    } else if begins(octets, V2_START) {
        parse_v2(octets)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Whether one is the beginning of the other.
fn begins(octets: &[u8], start: &[u8]) -> bool {
    let common = octets.len().min(start.len());
    octets[..common] == start[..common]
}

fn parse_v1(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some(end) = octets.iter().position(|&octet| octet == b'\n') else {
        return match octets.len() {
            V1_MAX.. => Err(HeaderError::TooLong),
            length => Ok(Progress::More(V1_MIN.saturating_sub(length).max(1))),
        };
    };
    if end + 1 != octets.len() {
        return Err(HeaderError::Malformed("octets behind it"));
    }
    let line = octets.strip_suffix(b"\r\n").ok_or(HeaderError::Malformed("no CR before LF"))?;
    if octets.len() > V1_MAX {
        return Err(HeaderError::TooLong);
    }
    let line = line.strip_prefix(V1_START).ok_or(HeaderError::Missing)?;
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed("not ASCII"))?;
    if line.contains(['\r', '\0']) {
        return Err(HeaderError::Malformed("control characters"));
    }
    let header = match line.split(' ').collect::<Vec<_>>().as_slice() {
        // What follows has to be ignored.
        ["UNKNOWN", ..] => Header::Local,
        ["TCP4", source, destination, ports @ ..] => v1_addresses::<Ipv4Addr>(source, destination, ports)?,
        ["TCP6", source, destination, ports @ ..] => v1_addresses::<Ipv6Addr>(source, destination, ports)?,
        _ => return Err(HeaderError::Malformed("unknown protocol")),
    };
    Ok(Progress::Done(header))
}

fn v1_addresses<A: FromStr + Into<IpAddr>>(
    source: &str,
    destination: &str,
    ports: &[&str],
) -> Result<Header, HeaderError> {
    let &[source_port, destination_port] = ports else { return Err(HeaderError::Malformed("not two ports")) };
    let address = |text: &str| -> Result<IpAddr, HeaderError> {
        text.parse::<A>().map(Into::into).map_err(|_| HeaderError::Malformed("not an address of this protocol"))
    };
    Ok(Header::Proxied {
        source: SocketAddr::new(address(source)?, v1_port(source_port)?),
        destination: SocketAddr::new(address(destination)?, v1_port(destination_port)?),
    })
}

fn v1_port(text: &str) -> Result<u16, HeaderError> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical).ok_or(HeaderError::Malformed("not a port"))
}

fn parse_v2(octets: &[u8]) -> Result<Progress, HeaderError> {
    let Some((fixed, rest)) = octets.split_at_checked(V2_FIXED) else {
        return Ok(Progress::More(V2_FIXED - octets.len()));
    };
    let [command, family, length @ ..] = &fixed[V2_START.len()..] else { return Err(HeaderError::Missing) };
    let length = length.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet));
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed("unknown version or command")),
    };
    let addresses = match family {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        // Of a connection of the sender's own the family has to be ignored.
        _ if is_local => 0,
        _ => return Err(HeaderError::Unsupported),
    };
    if length > V2_REST_MAX {
        return Err(HeaderError::TooLong);
    }
    if length < addresses && !is_local {
        return Err(HeaderError::Malformed("too short for its addresses"));
    }
    if rest.len() < length {
        return Ok(Progress::More(length - rest.len()));
    }
    if rest.len() > length {
        return Err(HeaderError::Malformed("octets behind it"));
    }
    if is_local || addresses == 0 {
        return Ok(Progress::Done(Header::Local));
    }
    let (addresses, extensions) = rest.split_at(addresses);
    check_extensions(extensions)?;
    v2_addresses(addresses).map(Progress::Done).ok_or(HeaderError::Malformed("too short for its addresses"))
}

fn v2_addresses(octets: &[u8]) -> Option<Header> {
    let (addresses, ports) = octets.split_at_checked(octets.len().checked_sub(4)?)?;
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let address = |octets: &[u8]| -> Option<IpAddr> {
        <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
    };
    let port = |octets: &[u8]| <[u8; 2]>::try_from(octets).map(u16::from_be_bytes).ok();
    Some(Header::Proxied {
        source: SocketAddr::new(address(source)?, port(&ports[..2])?),
        destination: SocketAddr::new(address(destination)?, port(&ports[2..])?),
    })
}

/// Extensions (a type, two octets of length, a value) are not read, but they have to fill their space.
fn check_extensions(mut octets: &[u8]) -> Result<(), HeaderError> {
    while !octets.is_empty() {
        let &[_, high, low, ref rest @ ..] = octets else { return Err(HeaderError::Malformed("a cut extension")) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        octets = rest.get(length..).ok_or(HeaderError::Malformed("a cut extension"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> Header {
        Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdd, 0xd5, 0x03, 0xe3];

    fn valid() -> Vec<(Vec<u8>, Header)> {
        let v4 = proxied("192.0.2.1:56789", "198.51.100.7:995");
        let v6 = proxied("[2001:db8::1]:1", "[2001:db8::2]:65535");
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        six[16..20].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[31] = 2;
        six[32..].copy_from_slice(&[0, 1, 0xff, 0xff]);
        vec![
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 56789 995\r\n".into(), v4),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n".into(), v6),
            (b"PROXY UNKNOWN\r\n".into(), Header::Local),
            (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".into(), Header::Local),
            (v2(0x21, 0x11, &V4), v4),
            (v2(0x21, 0x11, &[&V4[..], &[4, 0, 2, 9, 9, 4, 0, 0]].concat()), v4),
            (v2(0x21, 0x21, &six), v6),
            (v2(0x21, 0x00, b"anything"), Header::Local),
            (v2(0x20, 0x00, b""), Header::Local),
            (v2(0x20, 0x11, &V4), Header::Local),
            (v2(0x20, 0x31, &[7; 216]), Header::Local),
            (v2(0x20, 0x00, &[0; V2_REST_MAX]), Header::Local),
        ]
    }

    #[tokio::test]
    async fn takes_the_header_s_octets_and_not_one_more() {
        for (wire, header) in valid() {
            let deadline = Instant::now() + std::time::Duration::from_secs(9);
            let mut stream: &[u8] = &[&wire[..], b"USER alice\r\n"].concat();
            assert_eq!(read_header(&mut stream, deadline).await.unwrap(), header, "{}", wire.escape_ascii());
            assert_eq!(stream, b"USER alice\r\n");
        }
    }

    #[tokio::test]
    async fn a_header_cut_anywhere_is_incomplete() {
        for (wire, _) in valid() {
            for cut in 0..wire.len().min(200) {
                let missing = match parse(&wire[..cut]) {
                    Ok(Progress::More(missing)) => missing,
                    other => panic!("{other:?} for {}", wire[..cut].escape_ascii()),
                };
                assert!(missing > 0 && cut + missing <= wire.len(), "{missing} more at {cut} of {}", wire.len());
                let deadline = Instant::now() + std::time::Duration::from_secs(9);
                let error = read_header(&mut &wire[..cut], deadline).await.unwrap_err();
                assert!(
                    matches!(&error, ReadHeaderError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn refuses_what_breaks_the_rules() {
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_MAX));
        let cases: &[(&[u8], HeaderError)] = &[
            (b"USER alice\r\n", HeaderError::Missing),
            (b"\x16\x03\x01", HeaderError::Missing),
            (b"proxy TCP4", HeaderError::Missing),
            (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", HeaderError::Malformed("unknown protocol")),
            (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", HeaderError::Malformed("unknown protocol")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n", HeaderError::Malformed("no CR before LF")),
            (b"PROXY TCP4 1.2.3.4\r1.2.3.4 1 1\r\n", HeaderError::Malformed("control characters")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", HeaderError::Malformed("not two ports")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", HeaderError::Malformed("not two ports")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", HeaderError::Malformed("not a port")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n", HeaderError::Malformed("not a port")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", HeaderError::Malformed("not a port")),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n", HeaderError::Malformed("not an address of this protocol")),
            (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", HeaderError::Malformed("not an address of this protocol")),
            (b"PROXY TCP4 1.2.3.004 1.2.3.4 1 1\r\n", HeaderError::Malformed("not an address of this protocol")),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\nUSER", HeaderError::Malformed("octets behind it")),
            (&long.as_bytes()[..V1_MAX], HeaderError::TooLong),
            (&v2(0x11, 0x11, &V4), HeaderError::Malformed("unknown version or command")),
            (&v2(0x22, 0x11, &V4), HeaderError::Malformed("unknown version or command")),
            (&v2(0x21, 0x12, &V4), HeaderError::Unsupported),
            (&v2(0x21, 0x31, &[0; 216]), HeaderError::Unsupported),
            (&v2(0x21, 0x11, &V4[..11]), HeaderError::Malformed("too short for its addresses")),
            (&v2(0x21, 0x21, &V4), HeaderError::Malformed("too short for its addresses")),
            (&v2(0x21, 0x11, &[&V4[..], &[4, 0]].concat()), HeaderError::Malformed("a cut extension")),
            (&v2(0x21, 0x11, &[&V4[..], &[4, 0, 3, 1]].concat()), HeaderError::Malformed("a cut extension")),
            (&v2(0x20, 0x00, &[0; V2_REST_MAX + 1])[..V2_FIXED], HeaderError::TooLong),
        ];
        for (wire, error) in cases {
            assert_eq!(parse(wire), Err(*error), "{}", wire.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_silent_sender_is_not_waited_for() {
        let (mut stream, _peer) = tokio::io::duplex(64);
        assert!(matches!(read_header(&mut stream, Instant::now()).await, Err(ReadHeaderError::TimedOut)));
    }

    #[tokio::test]
    async fn who_speaks_something_else_is_refused_at_once() {
        let (mut stream, mut peer) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"QUIT\r\n").await.unwrap();
        let deadline = Instant::now() + std::time::Duration::from_secs(600);
        let error = read_header(&mut stream, deadline).await.unwrap_err();
        assert!(matches!(error, ReadHeaderError::Header(HeaderError::Missing)), "{error}");
    }

    #[test]
    fn only_listed_networks_are_believed() {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).into();
        let trusted = |address: &str| is_trusted(&networks, address.parse().unwrap());
        assert!(["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"].into_iter().all(trusted));
        assert!(!["11.0.0.1", "::1", "127.0.0.1"].into_iter().any(trusted));
    }
}
