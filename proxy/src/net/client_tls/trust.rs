//! Deciding about a server's certificate.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use popgate_config::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use super::ClientTlsError;
use crate::net::tls::{date, is_self_issued, provider, public_key, sha256_hex, validity};

/// A certificate that was not trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// SHA-256 of the certificate, in hexadecimal digits: what browsers and `openssl x509 -fingerprint` show.
    pub fingerprint: String,
    /// The pin of its public key; none if it is no certificate.
    pub pin: Option<Pin>,
}

/// Why a certificate was not trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Nobody who is trusted has signed it, directly or through the certificates that came with it.
    UnknownIssuer,
    /// It has signed itself.
    SelfSigned,
    /// Its time is over.
    Expired {
        /// When it ended.
        since: SystemTime,
    },
    /// Its time has not begun.
    NotYetValid {
        /// When it begins.
        from: SystemTime,
    },
    /// It is for another server.
    NameMismatch {
        /// The name that it ought to have.
        expected: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// Its key is none of the pinned ones.
    PinMismatch,
    /// Anything else that webpki has against it.
    Other(String),
}

impl Refusal {
    pub(super) fn new(certificate: &CertificateDer<'_>, reason: Reason) -> Self {
        let pin = public_key(certificate).map(|key| Pin(Sha256::digest(&key).into()));
        Self { reason, fingerprint: sha256_hex(certificate), pin }
    }

    /// The next step for an operator who is sure of the server.
    #[must_use]
    pub fn hint(&self) -> String {
        let pin = self.pin.map_or_else(String::new, |pin| format!(" = [\"{pin}\"]"));
        match &self.reason {
            Reason::UnknownIssuer => {
                format!("name its authority's certificate as `ca`, or trust this key by `pin_sha256{pin}`")
            }
            Reason::SelfSigned => format!("trust this key by `pin_sha256{pin}`, or name the certificate as `ca`"),
            Reason::Expired { .. } => format!("renew it on the server; until then `pin_sha256{pin}` trusts its key"),
            Reason::NotYetValid { .. } => "check the clocks of both machines".into(),
            Reason::NameMismatch { presented, .. } => match presented.iter().find(|name| !name.contains('*')) {
                Some(name) => format!("use the server's own name as address, or set `server_name = \"{name}\"`"),
                None => format!("set `server_name` to the server's true name, or trust this key by `pin_sha256{pin}`"),
            },
            Reason::PinMismatch => format!("if the server's key was changed on purpose, set `pin_sha256{pin}`"),
            Reason::Other(_) => format!("`pin_sha256{pin}` trusts its key whatever the certificate says"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("unknown issuer"),
            Self::SelfSigned => f.write_str("self-signed"),
            Self::Expired { since } => write!(f, "expired on {}", date(*since)),
            Self::NotYetValid { from } => write!(f, "not valid before {}", date(*from)),
            Self::NameMismatch { expected, presented } if presented.is_empty() => {
                write!(
                    f,
                    "name mismatch: certificate has no names (a common name alone does not count), not `{expected}`"
                )
            }
            Self::NameMismatch { expected, presented } => {
                // A certificate can have thousands.
                let shown = presented.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if presented.len() > 10 { ", ..." } else { "" };
                write!(f, "name mismatch: certificate is for {shown}{more}, not `{expected}`")
            }
            Self::PinMismatch => f.write_str("its key is none of `pin_sha256`"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server's certificate is not trusted: {} (SHA-256 fingerprint {}",
            self.reason, self.fingerprint
        )?;
        if let Some(pin) = self.pin {
            write!(f, ", key {pin}")?;
        }
        write!(f, ")\nhint: {}", self.hint())
    }
}

impl std::error::Error for Refusal {}

/// What makes a certificate trusted.
#[derive(Debug)]
pub(super) enum Trust {
    /// A chain to one of some roots, the right name and the right time.
    Roots {
        /// Checks all of that.
        chain: Arc<WebPkiServerVerifier>,
        /// The certificates that were named: one that the server itself presents needs no issuer.
        named: Vec<CertificateDer<'static>>,
    },
    /// One of some keys, whatever the certificate says.
    Keys(Vec<Pin>),
}

impl Trust {
    pub(super) fn pins(pins: &[Pin]) -> Self {
        Self::Keys(pins.to_vec())
    }

    pub(super) fn roots(named: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &named {
            roots.add(certificate.clone())?;
        }
        Ok(Self::Roots { chain: verifier(roots)?, named })
    }

    /// The system's roots, loaded once.
    pub(super) fn system() -> Result<Self, ClientTlsError> {
        static SYSTEM: OnceLock<Arc<WebPkiServerVerifier>> = OnceLock::new();
        if let Some(chain) = SYSTEM.get() {
            return Ok(Self::Roots { chain: Arc::clone(chain), named: Vec::new() });
        }
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems carry a few certificates that webpki does not read; the others still count.
        roots.add_parsable_certificates(loaded.certs);
        let chain = verifier(roots).map_err(|_| {
            let reason = loaded.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            ClientTlsError::NoRoots { reason: if reason.is_empty() { "there are none".into() } else { reason } }
        })?;
        Ok(Self::Roots { chain: Arc::clone(SYSTEM.get_or_init(|| chain)), named: Vec::new() })
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    builder.build().map_err(|error| Error::General(error.to_string()))
}

/// A [`Trust`] as rustls asks for it.
#[derive(Debug)]
pub(super) struct Verifier(Trust);

impl Verifier {
    pub(super) fn new(trust: Trust) -> Self {
        Self(trust)
    }

    pub(super) fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Reason> {
        match &self.0 {
            Trust::Keys(pins) => {
                let key = public_key(end_entity).ok_or_else(|| Reason::Other("it can't be read as X.509".into()))?;
                let pin = Pin(Sha256::digest(&key).into());
                if pins.contains(&pin) { Ok(()) } else { Err(Reason::PinMismatch) }
            }
            Trust::Roots { named, .. } if named.contains(end_entity) => judge_named(end_entity, server_name, now),
            Trust::Roots { chain, .. } => {
                match chain.verify_server_cert(end_entity, intermediates, server_name, &[], now) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(reason(error, end_entity)),
                }
            }
        }
    }
}

/// A certificate that the configuration itself names needs nobody to sign it; its time and names still count. webpki
/// takes no certificate of an authority for a server's, which is what `openssl req -x509` makes.
fn judge_named(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>, now: UnixTime) -> Result<(), Reason> {
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now.as_secs());
    match validity(certificate) {
        Some((from, _)) if now < from => return Err(Reason::NotYetValid { from }),
        Some((_, since)) if now > since => return Err(Reason::Expired { since }),
        Some(_) => {}
        None => return Err(Reason::Other("it can't be read as X.509".into())),
    }
    let unread = |error: Error| Reason::Other(format!("its names can't be read: {error}"));
    let parsed = ParsedCertificate::try_from(certificate).map_err(unread)?;
    verify_server_name(&parsed, server_name).map_err(|error| reason(error, certificate))
}

fn reason(error: Error, certificate: &CertificateDer<'_>) -> Reason {
    let time = |time: UnixTime| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(time.as_secs());
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Reason::Expired { since: time(not_after) }
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Reason::NotYetValid { from: time(not_before) }
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let presented = presented.iter().map(|name| bare_name(name)).collect();
            Reason::NameMismatch { expected: expected.to_str().into_owned(), presented }
        }
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
        ) if is_self_issued(certificate) => Reason::SelfSigned,
        // A bad signature: a root has the issuer's name, but another key.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Reason::UnknownIssuer
        }
        // The error itself lists all algorithms that would do.
        Error::InvalidCertificate(CertificateError::UnsupportedSignatureAlgorithmContext { .. }) => {
            Reason::Other("signed with an algorithm that is not accepted, such as SHA-1".into())
        }
        Error::InvalidCertificate(error) => Reason::Other(error.to_string()),
        error => Reason::Other(error.to_string()),
    }
}

/// The name alone of what webpki prints as `DnsName("mail.example.org")`.
fn bare_name(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    inner.trim_matches('"').to_owned()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(reason) => {
                let refusal = Refusal::new(end_entity, reason);
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal)))))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match (&self.0, public_key(certificate)) {
            (Trust::Keys(_), Some(key)) => verify_by_key(message, &key, signed),
            _ => verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        match (&self.0, public_key(certificate)) {
            (Trust::Keys(_), Some(key)) => verify_tls13_signature_with_raw_key(message, &key, signed, &algorithms),
            _ => verify_tls13_signature(message, certificate, signed, &algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Checks a signature of TLS 1.2 by the key alone, where the certificate is only the key's wrapping: webpki does not read
/// every certificate (not those of version 1) that may be pinned.
pub(super) fn verify_by_key(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let key = webpki::RawPublicKeyEntity::try_from(key).map_err(|_| CertificateError::BadEncoding)?;
    let algorithms = provider().signature_verification_algorithms;
    let candidates = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme).map(|(_, found)| *found);
    // In TLS 1.2 a scheme does not name the curve, so several algorithms may fit.
    let fits = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
        key.verify_signature(*algorithm, message, signed.signature()).is_ok()
    };
    if candidates.unwrap_or_default().iter().any(fits) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}
