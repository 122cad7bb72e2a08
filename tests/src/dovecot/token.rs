//! Bearer tokens that Dovecot can check by itself: JSON Web Tokens with a shared key (RFC 7519, HS256).

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::process::write;

/// What signs the tokens.
const KEY: &[u8] = b"a key for tests";

/// How long a token holds.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of a user.
#[must_use]
pub(super) fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let claims = serde_json::json!({
        "sub": user, "email": user, "scope": "mail",
        "iat": now.as_secs() - 60, "exp": (now + LIFE).as_secs(),
    });
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims.to_string()));
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(hmac(KEY, signed.as_bytes())))
}

/// Writes what Dovecot checks tokens with into its folder: the settings `oauth2.conf` and the key.
pub(super) fn write_settings(folder: &Path) {
    let keys = folder.join("keys/default/HS256");
    fs::create_dir_all(&keys).expect("a new folder can be written");
    write(&keys.join("default"), BASE64_STANDARD.encode(KEY));
    let settings = format!(
        "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={}/keys/\nusername_attribute = email\n",
        folder.display()
    );
    write(&folder.join("oauth2.conf"), settings);
}

/// HMAC-SHA-256 (RFC 2104) with a key that is shorter than a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| -> Vec<u8> {
        let mut block = vec![pad; 64];
        block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
        block
    };
    let inner = Sha256::digest([&padded(0x36), text].concat());
    Sha256::digest([&padded(0x5c)[..], &inner[..]].concat()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, section 4.3.
    #[test]
    fn hmac_is_as_the_rfc_has_it() {
        let digest = hmac(b"Jefe", b"what do ya want for nothing?");
        let text: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
