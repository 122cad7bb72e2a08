//! Hashes typed as text: pins of certificates, and of plugin files.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::de::DeValue;

use crate::setting::{Refusal, Setting, text};

/// The SHA-256 of a certificate's public key (its SubjectPublicKeyInfo in DER).
///
/// Typed as curl has it (`sha256//` and base64, the prefix may be left out), or as 64 hexadecimal digits with or
/// without colons.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Pin(pub [u8; 32]);

/// `sha256//` and base64, as `curl --pinnedpubkey` takes it.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl Setting for Pin {
    fn kind() -> String {
        "a pin".to_owned()
    }

    fn example() -> String {
        "\"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        let base64 = || STANDARD.decode(text.strip_prefix("sha256//").unwrap_or(text)).ok()?.try_into().ok();
        hexadecimal(text).or_else(base64).map(Self).ok_or_else(|| {
            let hint = "write `sha256//` and 44 characters of base64, as curl's --pinnedpubkey has it, \
                        or 64 hexadecimal digits";
            Refusal::value(format!("`{text}` is not a SHA-256"), hint)
        })
    }
}

/// The SHA-256 of a file, as `sha256sum` prints it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FileHash(pub(crate) [u8; 32]);

impl Setting for FileHash {
    fn kind() -> String {
        "a SHA-256".to_owned()
    }

    fn example() -> String {
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"".to_owned()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Refusal> {
        let text = text(value)?;
        let refusal = || {
            Refusal::value(
                format!("`{text}` is not a SHA-256"),
                "write the 64 hexadecimal digits that `sha256sum` prints",
            )
        };
        hexadecimal(text).map(Self).ok_or_else(refusal)
    }
}

/// 32 octets from 64 hexadecimal digits; colons between octets are passed over.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(':').unwrap_or(rest);
        }
        let digits = rest.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *octet = u8::from_str_radix(digits, 16).ok()?;
        rest = &rest[2..]; // two ASCII digits stand there
    }
    rest.is_empty().then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_spelling_of_a_pin() {
        let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let colons: Vec<&str> = (0..32).map(|index| &digits[2 * index..2 * index + 2]).collect();
        let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for text in [digits, &digits.to_uppercase(), &colons.join(":"), base64, &format!("sha256//{base64}")] {
            let pin = Pin::read(&DeValue::String(text.into()));
            assert_eq!(pin.map(|pin| pin.to_string()), Ok(format!("sha256//{base64}")), "{text}");
        }
    }

    #[test]
    fn refuses_a_hash_of_another_length() {
        for text in [
            "",
            "sha256//",
            "e3b0",
            "47DEQpj8HBSa",
            "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            &"0".repeat(65),
            &"é".repeat(32),
        ] {
            assert!(Pin::read(&DeValue::String(text.into())).is_err(), "{text}");
        }
    }
}
