//! The keys of a message's tokens as a learn token: what can be learned of a message when it is gone.
//!
//! ```text
//! one octet: the form, 1    eight octets of each key, little-endian
//! ```
//!
//! Tokens lie in the store for 30 days, so a form that was released stays readable.

use popgate_plugin::Failure;

/// The form.
const FORM: u8 = 1;

/// Octets of a key.
const KEY: usize = 8;

/// The learn token of these keys: at most 32,761 octets, since a message has at most [`crate::tokens::MOST`] of them.
pub(crate) fn write(keys: &[u64]) -> Vec<u8> {
    std::iter::once(FORM).chain(keys.iter().flat_map(|key| key.to_le_bytes())).collect()
}

/// The keys in a learn token.
///
/// # Errors
///
/// It is none of this filter's.
pub(crate) fn read(token: &[u8]) -> Result<Vec<u64>, Failure> {
    match token.split_first() {
        Some((&FORM, keys)) if keys.len().is_multiple_of(KEY) => {
            let (keys, _) = keys.as_chunks::<KEY>();
            Ok(keys.iter().map(|key| u64::from_le_bytes(*key)).collect())
        }
        _ => Err(Failure::Message("its learn token is of a form that is not known".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use crate::tokens::MOST;

    #[test]
    fn keys_are_what_they_were_and_fit_in() {
        for keys in [vec![], vec![0], vec![u64::MAX, 1, 0x0102_0304_0506_0708], vec![7; MOST]] {
            let token = write(&keys);
            assert!((1..=65_536).contains(&token.len()));
            assert_eq!(read(&token).unwrap(), keys);
        }
    }

    #[test]
    fn what_is_no_token_is_told() {
        for token in [&b""[..], b"\x01\0", b"\x02\0\0\0\0\0\0\0\0", b"12345678"] {
            assert!(read(token).is_err(), "{token:?}");
        }
    }
}
