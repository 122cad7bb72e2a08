//! APOP: the timestamp of a greeting, and the digest that proves a password without showing it.
//!
//! Source: RFC 1939 section 7.

use std::fmt::Write as _;
use std::ops::Range;

use md5::{Digest, Md5};

use super::Secret;

/// Where a greeting has what clients take for a timestamp.
#[must_use]
pub fn timestamp(greeting: &[u8]) -> Option<Range<usize>> {
    let open = greeting.iter().position(|&octet| octet == b'<')?;
    let close = open + greeting[open..].iter().position(|&octet| octet == b'>')?;
    greeting[open..close].contains(&b'@').then_some(open..close + 1)
}

/// A timestamp for which a digest may be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stamp(Box<[u8]>);

impl Stamp {
    /// The timestamp of a greeting, if it is a message id of printable ASCII.
    ///
    /// Anything else is no timestamp: by octets of its own choice somebody who stands in for the server could learn a
    /// password character by character from digests that collide (CVE-2007-1558).
    #[must_use]
    pub fn of(greeting: &[u8]) -> Option<Self> {
        let stamp = &greeting[timestamp(greeting)?];
        let inner = &stamp[1..stamp.len() - 1];
        let mut sides = inner.split(|&octet| octet == b'@');
        let sides = (sides.next()?, sides.next()?, sides.next());
        let whole = |side: &[u8]| !side.is_empty() && side.iter().all(u8::is_ascii_graphic);
        let is_id = whole(sides.0) && whole(sides.1) && sides.2.is_none() && !inner.contains(&b'<');
        is_id.then(|| Self(stamp.into()))
    }

    /// The digest for APOP in small hexadecimal digits: MD5 over the timestamp, brackets included, and the password.
    #[must_use]
    pub fn digest(&self, password: &Secret) -> Secret {
        let digest = Md5::new().chain_update(&self.0).chain_update(password.expose()).finalize();
        let mut digits = String::with_capacity(32);
        for octet in digest {
            let _infallible = write!(digits, "{octet:02x}");
        }
        Secret::new(digits.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_rfc() {
        let stamp = Stamp::of(b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>").unwrap();
        let digest = stamp.digest(&Secret::new(b"tanstaaf".to_vec()));
        assert_eq!(digest.expose(), b"c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn only_a_message_id_of_printable_octets_gets_a_digest() {
        for (greeting, stamped) in [
            ("+OK <1.2@host>", true),
            ("+OK ready <1.2@host> now", true),
            ("+OK ready", false),
            ("+OK <no-id>", false),
            ("+OK <@host>", false),
            ("+OK <1.2@>", false),
            ("+OK <1@2@host>", false),
            ("+OK <<1@host>", false),
            ("+OK <1.2@ho st>", false),
            ("+OK <1.2@host\u{1}>", false),
            ("+OK <1.2@h\u{f6}st>", false),
            ("+OK <1.2@host", false),
        ] {
            assert_eq!(Stamp::of(greeting.as_bytes()).is_some(), stamped, "{greeting}");
        }
    }
}
