//! What a server answers to the TLS of 2008, asked when a handshake of today failed.
//!
//! One ClientHello with the old cipher suites, and the server's choice; never a connection. It tells an operator which
//! of the things that popgate does not speak the server insists on.
//!
//! Sources: RFC 5246 sections 6.2 and 7.4.1, RFC 4492 section 5.1.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::Stream;
use super::tls::provider;

/// A registered cipher suite and its name; the best first, so that a server chooses a bad one only if it has no other.
const CIPHERS: [(u16, &str); 27] = [
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
];

/// The most octets of an answer that are looked at; a ServerHello's choice stands within the first 78.
const MAX_ANSWER: usize = 512;

/// What the server chose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LegacyChoice {
    /// The version: `TLS 1.0`.
    pub version: &'static str,
    /// The cipher suite's registered name, or its number.
    pub cipher: String,
}

/// Sends the hello over a connection on which a handshake may begin, and reads the choice; none where the server
/// refuses this too. It has no deadline of its own.
///
/// # Errors
///
/// When the connection breaks.
pub async fn legacy_choice(stream: &mut Stream, name: &str) -> io::Result<Option<LegacyChoice>> {
    stream.write_all(&hello(name)).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    loop {
        match read(&answer) {
            Reading::More if answer.len() < MAX_ANSWER => {}
            Reading::More | Reading::Refused => return Ok(None),
            Reading::Chosen(choice) => return Ok(Some(choice)),
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Ok(None);
        }
    }
}

/// A ClientHello of TLS 1.2 without anything of TLS 1.3.
fn hello(name: &str) -> Vec<u8> {
    let mut random = [0; 32];
    // Without randomness the question is as good: no key comes of it.
    let _ = provider().secure_random.fill(&mut random);
    let mut body = vec![3, 3];
    body.extend_from_slice(&random);
    body.push(0); // no session to resume
    let ciphers: Vec<u8> = CIPHERS.iter().flat_map(|(number, _)| number.to_be_bytes()).chain([0, 0xff]).collect();
    body.extend(sized(&ciphers));
    body.extend_from_slice(&[1, 0]); // no compression
    let mut extensions = Vec::new();
    if name.parse::<std::net::IpAddr>().is_err() && name.len() <= 255 {
        let entry = [&[0][..], &sized(name.as_bytes())].concat();
        extensions.extend(extension(0, &sized(&entry)));
    }
    // Groups: X25519, P-256, P-384, P-521. Points: uncompressed.
    extensions.extend(extension(10, &sized(&[0, 29, 0, 23, 0, 24, 0, 25])));
    extensions.extend(extension(11, &[1, 0]));
    // RSA and ECDSA with SHA-256, -384, -512 and SHA-1, RSA-PSS with SHA-256.
    extensions.extend(extension(13, &sized(&[4, 1, 4, 3, 5, 1, 5, 3, 6, 1, 6, 3, 8, 4, 2, 1, 2, 3])));
    body.extend(sized(&extensions));
    let handshake = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&handshake)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(content)].concat()
}

/// With its length in two octets in front. All that is built here is far shorter than 64 KiB.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], content].concat()
}

#[derive(Debug, Eq, PartialEq)]
enum Reading {
    More,
    Refused,
    Chosen(LegacyChoice),
}

/// Reads the beginning of the server's first flight.
fn read(answer: &[u8]) -> Reading {
    // Record: type, version, length; handshake: type, length; then version, random, session.
    match (answer.first(), answer.get(5)) {
        (None | Some(22), None) => return Reading::More,
        (Some(22), Some(2)) => {}
        _ => return Reading::Refused,
    }
    let Some(&session) = answer.get(43) else { return Reading::More };
    let at = 44 + usize::from(session);
    let (Some(&minor), Some(&[high, low])) = (answer.get(10), answer.get(at..).and_then(|rest| rest.first_chunk()))
    else {
        return Reading::More;
    };
    let version = match minor {
        0 => "SSL 3.0",
        1 => "TLS 1.0",
        2 => "TLS 1.1",
        _ => "TLS 1.2",
    };
    let number = u16::from_be_bytes([high, low]);
    let named = CIPHERS.iter().find(|(one, _)| *one == number);
    let cipher = named.map_or_else(|| format!("{number:#06x}"), |(_, name)| (*name).to_owned());
    Reading::Chosen(LegacyChoice { version, cipher })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_however_it_arrives() {
        let session = [7; 32];
        let mut answer = vec![22, 3, 1, 0, 80, 2, 0, 0, 76, 3, 1];
        answer.extend_from_slice(&[9; 32]);
        answer.push(32);
        answer.extend_from_slice(&session);
        answer.extend_from_slice(&[0, 0x2f, 0]);
        let whole = answer.len() - 1;
        for cut in 0..whole {
            assert_eq!(read(&answer[..cut]), Reading::More, "cut at {cut}");
        }
        let choice = LegacyChoice { version: "TLS 1.0", cipher: "TLS_RSA_WITH_AES_128_CBC_SHA".into() };
        assert_eq!(read(&answer), Reading::Chosen(choice));
    }

    #[test]
    fn alerts_and_other_protocols_are_refusals() {
        for answer in [&[21, 3, 1, 0, 2, 2, 40][..], b"-ERR what?\r\n", b"x"] {
            assert_eq!(read(answer), Reading::Refused, "{answer:?}");
        }
    }

    #[test]
    fn the_hello_has_true_lengths() {
        for name in ["pop.example.org", "192.0.2.1"] {
            let hello = hello(name);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
            assert_eq!(hello.windows(name.len()).any(|window| window == name.as_bytes()), name.starts_with('p'));
        }
    }
}
