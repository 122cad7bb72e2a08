//! The fields of a certificate that an operator asks for.

use std::net::IpAddr;

use popgate_config::Pin;
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::facts::plain;

/// Signature algorithms that nobody accepts any more: with MD5 and SHA-1.
const WEAK_SIGNATURES: [&str; 3] = ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"];

/// One certificate of a chain. The fields and their names are part of the command's contract.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Certificate {
    /// Whom it is for, as X.500 writes it.
    pub(super) subject: String,
    /// Its subject alternative names, the only ones that count.
    pub(super) names: Vec<String>,
    /// Who has signed it.
    pub(super) issuer: String,
    /// From when it is valid (RFC 3339).
    pub(super) not_before: String,
    /// Until when it is valid (RFC 3339).
    pub(super) not_after: String,
    /// The kind of its key: `RSA 2048`, `EC P-256`, `Ed25519`.
    pub(super) key: String,
    /// SHA-256 of the certificate in hexadecimal digits.
    pub(super) sha256: String,
    /// The value for `pin_sha256`.
    pub(super) pin_sha256: String,
    /// Both ends of its time, in seconds since 1970.
    #[serde(skip)]
    pub(super) validity: (i64, i64),
    /// The bits of an RSA key; none for other keys.
    #[serde(skip)]
    pub(super) rsa_bits: Option<usize>,
    /// Whether its signature is one that nobody accepts any more.
    #[serde(skip)]
    pub(super) weak_signature: bool,
}

impl Certificate {
    /// Reads a certificate in DER; of what is none there is the hash alone.
    pub(super) fn read(der: &[u8]) -> Self {
        let sha256 = Sha256::digest(der).iter().map(|octet| format!("{octet:02x}")).collect();
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else {
            return Self { sha256, subject: "(not readable as X.509)".into(), ..Self::default() };
        };
        let validity = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let (key, rsa_bits) = key(parsed.public_key());
        Self {
            subject: plain(&parsed.subject().to_string()),
            names: names(&parsed),
            issuer: plain(&parsed.issuer().to_string()),
            not_before: rfc3339(validity.0),
            not_after: rfc3339(validity.1),
            key,
            sha256,
            pin_sha256: Pin(Sha256::digest(parsed.public_key().raw).into()).to_string(),
            validity,
            rsa_bits,
            weak_signature: WEAK_SIGNATURES.contains(&parsed.signature_algorithm.algorithm.to_id_string().as_str()),
        }
    }
}

/// The DNS names and IP addresses.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(plain(name)),
        GeneralName::IPAddress(octets) => ip(octets).map(|ip| ip.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// The kind of a key, and its bits if it is of RSA.
fn key(key: &SubjectPublicKeyInfo<'_>) -> (String, Option<usize>) {
    let curve = || {
        let parameters = key.algorithm.parameters.as_ref()?;
        Some(parameters.as_oid().ok()?.to_id_string())
    };
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => (format!("RSA {}", rsa.key_size()), Some(rsa.key_size())),
        Ok(PublicKey::EC(_)) => match curve().as_deref() {
            Some("1.2.840.10045.3.1.7") => ("EC P-256".into(), None),
            Some("1.3.132.0.34") => ("EC P-384".into(), None),
            Some("1.3.132.0.35") => ("EC P-521".into(), None),
            other => (format!("EC on curve {}", other.unwrap_or("unknown")), None),
        },
        _ => match key.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => ("Ed25519".into(), None),
            "1.3.101.113" => ("Ed448".into(), None),
            other => (format!("algorithm {other}"), None),
        },
    }
}

fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "out of range".into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _};

    use super::*;

    #[test]
    fn the_fields_are_those_of_the_certificate() {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["pop.example.org".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "pop\u{1b}[31m");
        params.not_after = rcgen::date_time_ymd(2031, 5, 17);
        let der = params.self_signed(&pair).unwrap();
        let read = Certificate::read(der.der());
        assert_eq!(read.names, ["pop.example.org", "192.0.2.1"]);
        assert!(read.subject.contains("pop[31m"), "{}", read.subject);
        assert_eq!((read.key.as_str(), read.rsa_bits, read.weak_signature), ("EC P-256", None, false));
        assert_eq!(read.not_after, "2031-05-17T00:00:00Z");
        assert_eq!(read.pin_sha256, Pin(Sha256::digest(pair.subject_public_key_info()).into()).to_string());
        assert_eq!(read.sha256.len(), 64);
        assert_eq!(Certificate::read(b"none").names, [""; 0]);
    }
}
