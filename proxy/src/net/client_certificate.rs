//! Certificates of clients: whose are trusted, and which user one is for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::certificate::{CertificateFault, read_chain};
use super::tls::provider;

/// Why the authorities of clients can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] Box<CertificateFault>),
    /// A certificate in it is broken.
    #[error("`{}` holds a certificate that can't be an authority: {reason}\nhint: take the broken certificate out of the file", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Trust in the clients whose certificates chain to one in this file; a client without one is not let in.
pub(super) fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, ClientCaError> {
    let broken = |reason: String| ClientCaError::Root { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(path).map_err(Box::new)? {
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    builder.build().map_err(|error| broken(error.to_string()))
}

/// The user whom a certificate is for: its first mail address (RFC 5280 section 4.2.1.6), or else its common name.
///
/// A name with control characters is none: no mail server has such a user.
#[must_use]
pub(super) fn user_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let mail = parsed.subject_alternative_name().ok().flatten().and_then(|extension| {
        extension.value.general_names.iter().find_map(|name| match name {
            GeneralName::RFC822Name(address) => Some((*address).to_owned()),
            _ => None,
        })
    });
    let common = || parsed.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned);
    mail.or_else(common).filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common: Option<&str>, names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn the_mail_address_comes_before_the_common_name() {
        let mail = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
        let host = SanType::DnsName("host.example".try_into().unwrap());
        for (common, names, user) in [
            (
                Some("Alice"),
                vec![host.clone(), mail("alice@dept.example"), mail("other@dept.example")],
                Some("alice@dept.example"),
            ),
            (Some("alice"), vec![host.clone()], Some("alice")),
            (Some("al\u{e9}"), vec![], Some("al\u{e9}")),
            (Some("alice\r\nDELE 1"), vec![], None),
            (Some(""), vec![], None),
            (None, vec![host], None),
        ] {
            assert_eq!(user_of(&certificate(common, names)).as_deref(), user, "{common:?}");
        }
        assert_eq!(user_of(&CertificateDer::from(vec![1, 2, 3])), None);
    }
}
