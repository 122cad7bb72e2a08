//! What both sides of TLS share: the provider of the cryptography, and the few fields of a certificate that are read here.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use sha2::{Digest, Sha256};
use x509_parser::parse_x509_certificate;

/// TLS 1.2 and 1.3, no older version and no weak cipher; the key exchange that outlasts quantum computers comes first.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups.sort_by_key(|group| group.name() != kx_group::X25519MLKEM768.name());
        Arc::new(provider)
    });
    Arc::clone(provider)
}

/// The public key of a certificate; none if it is no certificate.
///
/// Reads certificates of version 1 too, which webpki does not: old servers have them, and a pin is about the key alone.
pub(super) fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    Some(SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))
}

/// From when to when a certificate is valid; none if it is no certificate.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    let time = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Some((time(validity.not_before.timestamp()), time(validity.not_after.timestamp())))
}

/// Whether a certificate names itself as its issuer.
pub(super) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// SHA-256 in small hexadecimal digits.
pub(super) fn sha256_hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A date for people, `2031-05-17`.
pub(super) fn date(time: SystemTime) -> String {
    let time = time::OffsetDateTime::from(time).date();
    format!("{:04}-{:02}-{:02}", time.year(), u8::from(time.month()), time.day())
}
