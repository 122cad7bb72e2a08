//! SASL as far as a proxy has to understand it: who logs in, and PLAIN for logging in elsewhere.
//!
//! Sources: RFC 4616 (PLAIN), RFC 5034 (AUTH in POP3), RFC 5802 (SCRAM), RFC 7628 (OAUTHBEARER), and the
//! documents of Google and Microsoft for LOGIN and XOAUTH2.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};

use super::Secret;

/// The longest challenge or response that is passed on, in octets of base64. GSSAPI needs most.
pub const MAX_TOKEN: usize = 16_384;

/// Some clients leave the padding off, and some servers do not mind: what they take as a credential is one here, too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The credentials of PLAIN.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plain {
    /// On whose behalf; empty for the user's own.
    pub authorization: Vec<u8>,
    /// Who logs in.
    pub user: Vec<u8>,
    /// The password.
    pub password: Secret,
}

/// Why a response is no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SaslError {
    /// Not base64 (RFC 4648 section 4).
    #[error("invalid base64")]
    Base64,
    /// Base64 of something else.
    #[error("malformed credentials")]
    Malformed,
    /// A name or password that would not stay within its line or field.
    #[error("credentials with a line end or NUL in them")]
    Control,
}

/// True if a mechanism may have this name, in letters of either case: 1 to 20 of them, digits, hyphens and underscores.
///
/// Source: RFC 4422 section 3.1.
#[must_use]
pub fn is_mechanism(name: &[u8]) -> bool {
    (1..=20).contains(&name.len()) && name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet))
}

/// Decodes one line of an exchange; `=` alone is the empty response (RFC 5034 section 4).
///
/// # Errors
///
/// When it is not base64.
pub fn decode(line: &[u8]) -> Result<Secret, SaslError> {
    let line = line.trim_ascii();
    if line == b"=" {
        return Ok(Secret::new(Vec::new()));
    }
    BASE64.decode(line).map(Secret::new).map_err(|_| SaslError::Base64)
}

/// Encodes one line of an exchange.
#[must_use]
pub fn encode(bytes: &[u8]) -> Secret {
    Secret::new(BASE64.encode(bytes).into_bytes())
}

impl Plain {
    /// Reads a response of PLAIN, still in base64.
    ///
    /// # Errors
    ///
    /// When it is not base64, or not three fields with a user in the second.
    pub fn parse(line: &[u8]) -> Result<Self, SaslError> {
        let message = decode(line)?;
        let mut fields = message.expose().split(|&octet| octet == 0);
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(authorization), Some(user), Some(password), None) if !user.is_empty() => Ok(Self {
                authorization: authorization.to_vec(),
                user: user.to_vec(),
                password: Secret::new(password.to_vec()),
            }),
            _ => Err(SaslError::Malformed),
        }
    }

    /// The response of PLAIN in base64.
    #[must_use]
    pub fn encode(&self) -> Secret {
        let message = Secret::new([&self.authorization, self.user.as_slice(), self.password.expose()].join(&0));
        encode(message.expose())
    }

    /// The same credentials, if no field of them could become a line (CR, LF) or a field (NUL) of its own.
    ///
    /// # Errors
    ///
    /// [`SaslError::Control`] otherwise.
    pub fn contained(self) -> Result<Self, SaslError> {
        let fields = [&self.authorization[..], &self.user, self.password.expose()];
        if fields.into_iter().all(is_contained) { Ok(self) } else { Err(SaslError::Control) }
    }

    /// The user whose maildrop is asked for.
    #[must_use]
    pub fn maildrop(&self) -> &[u8] {
        if self.authorization.is_empty() { &self.user } else { &self.authorization }
    }

    /// True if nobody is acted for but the user who logs in.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.maildrop() == self.user
    }
}

/// True if a name or password holds nothing that could end its line or its field.
#[must_use]
pub fn is_contained(field: &[u8]) -> bool {
    !field.iter().any(|octet| b"\r\n\0".contains(octet))
}

/// Mechanisms that can protect or encrypt all that follows the login (RFC 4752, RFC 2831, RFC 2222 section 7.1).
const LAYERED: [&str; 4] = ["GSSAPI", "GSS-SPNEGO", "DIGEST-MD5", "KERBEROS_V4"];

/// True if client and server may agree on a security layer, which a proxy can't see into.
#[must_use]
pub fn may_have_layer(mechanism: &str) -> bool {
    LAYERED.contains(&mechanism)
}

/// The login name in the client's first response with data, for mechanisms that carry it there in clear.
///
/// `line` is the response in base64. It is none for mechanisms that hide the name (GSSAPI, EXTERNAL without a
/// name) and for what can't be read: the server decides about that.
#[must_use]
pub fn user_of(mechanism: &str, line: &[u8]) -> Option<Vec<u8>> {
    let message = decode(line).ok()?;
    let message = message.expose();
    let name = match mechanism {
        "PLAIN" => Plain::parse(line).ok()?.maildrop().to_vec(),
        "LOGIN" | "EXTERNAL" => message.to_vec(),
        "CRAM-MD5" => message[..memchr::memrchr(b' ', message)?].to_vec(),
        "DIGEST-MD5" => digest_user(message)?.to_vec(),
        "XOAUTH2" => field(message, b'\x01', b"user=")?.to_vec(),
        "OAUTHBEARER" => unescape(field(message, b',', b"a=")?),
        // RFC 5802 section 7: the binding flag, on whose behalf, who logs in, and more.
        _ if mechanism.starts_with("SCRAM-") => {
            let behalf = message.split(|&octet| octet == b',').nth(1)?.strip_prefix(b"a=");
            unescape(behalf.or_else(|| field(message, b',', b"n="))?)
        }
        _ => return None,
    };
    (!name.is_empty()).then_some(name)
}

/// RFC 2831 section 2.1.2: `username="..."`, with backslashes before quotes and backslashes; such a name is left out.
fn digest_user(message: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(message, b"username=\"")? + 10;
    let end = start + memchr::memchr2(b'"', b'\\', &message[start..])?;
    (message[end] == b'"').then(|| &message[start..end])
}

fn field<'a>(message: &'a [u8], separator: u8, name: &[u8]) -> Option<&'a [u8]> {
    message.split(|&octet| octet == separator).find_map(|field| field.strip_prefix(name))
}

/// RFC 5802 section 5.1: `=2C` is a comma, `=3D` an equals sign.
fn unescape(name: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(name).replace("=2C", ",").replace("=3D", "=").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b64(text: &str) -> Vec<u8> {
        encode(text.as_bytes()).expose().to_vec()
    }

    #[test]
    fn plain_goes_back_and_forth() {
        for text in ["\0alice\0secret", "admin\0alice\0 s p ", "\0\u{fc}\0\u{e9}"] {
            assert_eq!(Plain::parse(&b64(text)).unwrap().encode().expose(), b64(text));
        }
        for (bad, error) in [
            (b"!!!!".to_vec(), SaslError::Base64),
            (b"*".to_vec(), SaslError::Base64),
            (b64("alice"), SaslError::Malformed),
            (b64("\0alice"), SaslError::Malformed),
            (b64("\0\0secret"), SaslError::Malformed),
            (b64("\0a\0b\0c"), SaslError::Malformed),
            (b"=".to_vec(), SaslError::Malformed),
        ] {
            assert_eq!(Plain::parse(&bad), Err(error));
        }
    }

    #[test]
    fn a_line_end_in_a_credential_is_seen() {
        assert!(Plain::parse(&b64("\0alice\0se cret")).unwrap().contained().is_ok());
        for bad in ["\0alice\0x\r\nDELE 1", "\0al\nice\0x", "b\rob\0alice\0x"] {
            assert_eq!(Plain::parse(&b64(bad)).unwrap().contained(), Err(SaslError::Control));
        }
    }

    #[test]
    fn padding_does_not_matter() {
        for line in ["AGFsaWNlAHNlc2FtZQ==", "AGFsaWNlAHNlc2FtZQ", "AGFsaWNlAHNlc2FtZR=="] {
            assert_eq!(Plain::parse(line.as_bytes()).unwrap().password.expose(), b"sesame", "{line}");
        }
    }

    #[test]
    fn finds_the_user_in_every_mechanism_that_carries_it() {
        for (mechanism, response, user) in [
            ("PLAIN", "\0alice\0secret", Some("alice")),
            ("PLAIN", "bob\0alice\0secret", Some("bob")),
            ("LOGIN", "alice", Some("alice")),
            ("CRAM-MD5", "al ice b913a602c7eda7a495b4e6e7334d3890", Some("al ice")),
            ("XOAUTH2", "user=alice\x01auth=Bearer x\x01\x01", Some("alice")),
            ("OAUTHBEARER", "n,a=alice,\x01auth=Bearer x\x01\x01", Some("alice")),
            ("SCRAM-SHA-256", "n,,n=al=2Cice,r=abc", Some("al,ice")),
            ("SCRAM-SHA-1", "y,a=bob,n=alice,r=abc", Some("bob")),
            ("DIGEST-MD5", "charset=utf-8,username=\"alice\",realm=\"x\"", Some("alice")),
            ("DIGEST-MD5", "username=\"al\\\"ice\"", None),
            ("GSSAPI", "alice", None),
            ("EXTERNAL", "", None),
        ] {
            assert_eq!(user_of(mechanism, &b64(response)), user.map(|name| name.as_bytes().to_vec()), "{mechanism}");
        }
    }
}
