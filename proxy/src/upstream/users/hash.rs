//! Hashes of passwords, in the forms that mail servers keep them in.

use std::str::FromStr as _;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use sha_crypt::{PasswordVerifier as _, ShaCrypt};

/// The longest password that is hashed, in octets. SHA-crypt does work for each of them.
const MAX_PASSWORD: usize = 1024;

/// A hash of a password; well-formed.
///
/// | written | is |
/// | --- | --- |
/// | `{SHA512-CRYPT}$6$...`, `{SHA256-CRYPT}$5$...` | what crypt(3) makes; `openssl passwd -6` |
/// | `{BLF-CRYPT}$2y$...` | bcrypt; `htpasswd -B` |
/// | `{ARGON2ID}$argon2id$...`, `{ARGON2I}$argon2i$...` | Argon2 (RFC 9106) |
///
/// The scheme in braces, or `{CRYPT}`, may be left out, as the hash itself says what it is.
pub(super) struct Hash {
    form: Form,
    text: Box<str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Sha512,
    Sha256,
    Bcrypt,
    Argon2id,
    Argon2i,
}

/// How hashes begin, and what Dovecot calls them.
const FORMS: [(Form, &[&str], &str); 5] = [
    (Form::Sha512, &["$6$"], "SHA512-CRYPT"),
    (Form::Sha256, &["$5$"], "SHA256-CRYPT"),
    (Form::Bcrypt, &["$2a$", "$2b$", "$2y$"], "BLF-CRYPT"),
    (Form::Argon2id, &["$argon2id$"], "ARGON2ID"),
    (Form::Argon2i, &["$argon2i$"], "ARGON2I"),
];

/// Why a hash can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HashFault {
    /// A scheme that is not known, or no hash at all.
    #[error("the scheme is none of SHA512-CRYPT, SHA256-CRYPT, BLF-CRYPT, ARGON2ID, ARGON2I")]
    Scheme,
    /// No scheme, and nothing that tells it.
    #[error("the hash has none of the known forms `$6$`, `$5$`, `$2y$`, `$argon2id$`, `$argon2i$`")]
    Form,
    /// Cut short, or with something else in it.
    #[error("the hash is damaged")]
    Malformed,
}

impl Hash {
    /// Reads a hash with or without its scheme.
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let (scheme, text) = match text.strip_prefix('{') {
            Some(rest) => rest.split_once('}').map(|(scheme, text)| (Some(scheme), text)).ok_or(HashFault::Scheme)?,
            None => (None, text),
        };
        let scheme = scheme.filter(|name| !name.eq_ignore_ascii_case("CRYPT"));
        if let Some(name) = scheme
            && !FORMS.iter().any(|(_, _, known)| name.eq_ignore_ascii_case(known))
        {
            return Err(HashFault::Scheme);
        }
        let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
        let (form, _, known) = FORMS.iter().find(|(_, starts, _)| begins(starts)).ok_or(HashFault::Form)?;
        let consistent = scheme.is_none_or(|name| name.eq_ignore_ascii_case(known));
        if !consistent || !form.is_whole(text) {
            return Err(HashFault::Malformed);
        }
        Ok(Self { form: *form, text: text.into() })
    }

    /// Whether it is the hash of this password. Takes as long as the hash was made to take.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let bounded = &password[..password.len().min(MAX_PASSWORD)];
        let right = match self.form {
            Form::Sha512 | Form::Sha256 => ShaCrypt::default().verify_password(bounded, &*self.text).is_ok(),
            Form::Bcrypt => bcrypt::verify(bounded, &self.text).unwrap_or(false),
            Form::Argon2id | Form::Argon2i => Argon2::default().verify_password(bounded, &*self.text).is_ok(),
        };
        right && bounded.len() == password.len()
    }
}

impl Form {
    /// Whether the text is a whole hash of this form.
    fn is_whole(self, text: &str) -> bool {
        match self {
            // The last field is the hash: 64 or 32 octets in a base64 without padding.
            Self::Sha512 => text.rsplit('$').next().is_some_and(|hash| hash.len() == 86) && has_crypt_fields(text),
            Self::Sha256 => text.rsplit('$').next().is_some_and(|hash| hash.len() == 43) && has_crypt_fields(text),
            Self::Bcrypt => bcrypt::HashParts::from_str(text).is_ok(),
            Self::Argon2id | Self::Argon2i => PasswordHash::new(text).is_ok_and(|hash| {
                hash.salt.is_some() && hash.hash.is_some() && argon2::Params::try_from(&hash).is_ok()
            }),
        }
    }
}

/// `$6$salt$hash` or `$6$rounds=N$salt$hash`, all in the alphabet of crypt(3).
fn has_crypt_fields(text: &str) -> bool {
    let fields: Vec<&str> = text.split('$').skip(2).collect();
    let (rounds, salt, hash) = match fields[..] {
        [salt, hash] => (None, salt, hash),
        [rounds, salt, hash] => (Some(rounds), salt, hash),
        _ => return false,
    };
    let is_crypt = |field: &str| field.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"./".contains(&octet));
    rounds.is_none_or(|rounds| sha_crypt::Params::from_str(rounds).is_ok())
        && !salt.is_empty()
        && salt.len() <= 16
        && is_crypt(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl passwd` and `doveadm pw` have written them.
    const SESAME: [&str; 8] = [
        "$6$saltstring$zw6YcBRuwlGueZoWIkK6CRJbQmJbhVf1zPxCfDBsJpbBlxfJ610F8Vp0i93QFh0AmoYe0z/GrJISxBfRQSsGe1",
        "{SHA512-CRYPT}$6$rounds=1000$Nn7t/E2AeFcOrZe2$ym2ZReCBGM2bcIhUOYFVUVQC7FxPankOUdL0IEezb3xuqwviia93U33uJxcx1SsnqqwcpmZGKME27zJw01Vrq0",
        "$5$saltstring$dpp83Gw80RwXMu3uTayJceXPuNPIaqrzxHgMiJWTXR0",
        "{sha256-crypt}$5$eSAufDm79dkURg9o$X86pxX1DSDdGgJciVInWLByG23PD5stxuY5URUvdjSB",
        "{CRYPT}$2y$05$MERJUxVcUckLdGcIqet1x.nyxCSW2GP5LJQ3j2yjneggUgXmO6lEe",
        "{BLF-CRYPT}$2y$05$MERJUxVcUckLdGcIqet1x.nyxCSW2GP5LJQ3j2yjneggUgXmO6lEe",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$/GrvemnOSTnbnYNLBXui7A$UTK8Ko4Fuzz8vGV9awRF6XqJMXp2uSdcWvEcE8o1uF0",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$ME+cGImlz36vswS/xYNH1g$s2aVANJVD8ECUXocsWe8xuwNeGNbyyjDMGbkowqbO0U",
    ];

    #[test]
    fn takes_what_other_programs_have_made() {
        for text in SESAME {
            let hash = Hash::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert!(hash.matches(b"sesame"), "{text}");
            for wrong in ["", "Sesame", "sesame ", "sesam"] {
                assert!(!hash.matches(wrong.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn a_very_long_password_is_nobodys() {
        // Of which no more is hashed than that, and which does not pass for what is hashed of it.
        let hash = Hash::parse(SESAME[1]).unwrap();
        assert!(!hash.matches(&[b'x'; 1_000_000]));
    }

    #[test]
    fn what_is_no_hash_is_refused_when_it_is_read() {
        for (text, fault) in [
            ("sesame", HashFault::Form),
            ("", HashFault::Form),
            ("$1$salt$hash", HashFault::Form),
            ("{PLAIN}sesame", HashFault::Scheme),
            ("{SHA512-CRYPT", HashFault::Scheme),
            ("{BLF-CRYPT}$6$saltstring$abc", HashFault::Malformed),
            ("$6$saltstring$abc", HashFault::Malformed),
            ("$6$rounds=5$salt$abc", HashFault::Malformed),
            ("$2y$05$short", HashFault::Malformed),
            ("$argon2id$v=19$m=65536,t=3,p=1$salt", HashFault::Malformed),
            ("{CRYPT}$argon2id$", HashFault::Malformed),
        ] {
            assert_eq!(Hash::parse(text).err(), Some(fault), "{text}");
        }
        for text in SESAME {
            assert!(Hash::parse(&text[..text.len() - 1]).is_err(), "{text}");
        }
    }
}
