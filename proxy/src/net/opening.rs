//! What a connection begins with when the other end does not speak POP3: a balancer that is not believed, a web browser
//! that was sent here (the attack ALPACA), TLS where none is spoken.
//!
//! No POP3 client begins like that, so such a connection ends before anything of it is answered or reflected.

/// Who speaks there instead of a POP3 client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stranger {
    /// A PROXY header that nobody has asked for.
    #[error("a PROXY header from an address that is not in `proxy_protocol_from`")]
    Proxy,
    /// A request of HTTP.
    #[error("an HTTP request")]
    Http,
    /// A handshake of TLS.
    #[error("a TLS handshake on a port that begins in clear")]
    Tls,
}

/// What strangers begin with. The header of the PROXY protocol's version 2 is told by its first five octets: the fifth
/// is a NUL, and the four before it are lines without anything in them.
const BEGINNINGS: [(&[u8], Stranger); 12] = [
    (b"PROXY ", Stranger::Proxy),
    (b"\r\n\r\n\0", Stranger::Proxy),
    (b"GET ", Stranger::Http),
    (b"POST ", Stranger::Http),
    (b"HEAD ", Stranger::Http),
    (b"PUT ", Stranger::Http),
    (b"DELETE ", Stranger::Http),
    (b"OPTIONS ", Stranger::Http),
    (b"CONNECT ", Stranger::Http),
    (b"PATCH ", Stranger::Http),
    (b"PRI * HT", Stranger::Http),
    (b"\x16\x03", Stranger::Tls),
];

/// The longest of them, in octets.
const LONGEST: usize = 8;

/// The first octets of a connection, which may come one by one.
#[derive(Debug, Default)]
pub struct Opening {
    first: [u8; LONGEST],
    length: usize,
}

impl Opening {
    /// Takes octets in, in their order; says who speaks as soon as that is certain, once.
    pub fn feed(&mut self, octets: &[u8]) -> Option<Stranger> {
        let known = self.length;
        for (place, octet) in self.first[known..].iter_mut().zip(octets) {
            *place = *octet;
            self.length += 1;
        }
        let first = &self.first[..self.length];
        let found = BEGINNINGS.iter().find(|(begin, _)| begin.len() > known && first.starts_with(begin));
        found.map(|(_, stranger)| *stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_known_however_their_octets_come() {
        for (octets, stranger) in [
            (&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..], Stranger::Proxy),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", Stranger::Proxy),
            (b"GET / HTTP/1.1\r\n", Stranger::Http),
            (b"OPTIONS * HTTP/1.1\r\n", Stranger::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Stranger::Http),
            (b"\x16\x03\x01\x02\x00\x01", Stranger::Tls),
        ] {
            assert_eq!(Opening::default().feed(octets), Some(stranger), "{}", octets.escape_ascii());
            let mut opening = Opening::default();
            let found: Vec<_> = octets.iter().filter_map(|octet| opening.feed(&[*octet])).collect();
            assert_eq!(found, [stranger], "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn clients_are_no_strangers() {
        for octets in [
            &b"USER alice\r\n"[..],
            b"CAPA\r\n",
            b"\r\n\r\nUSER alice\r\n",
            b"PROXY\r\n",
            b"GETX\r\n",
            b"DELE 1\r\n",
            b"STLS\r\n",
            b" GET / HTTP/1.1\r\n",
            b"USER GET \r\n",
        ] {
            let mut opening = Opening::default();
            assert_eq!(opening.feed(octets), None, "{}", octets.escape_ascii());
            // What comes later is no beginning.
            assert_eq!(opening.feed(b"GET / HTTP/1.1\r\n"), None, "{}", octets.escape_ascii());
        }
    }
}
