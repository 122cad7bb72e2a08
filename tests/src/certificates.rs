//! An authority of the tests' own, and what it signs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};

use crate::process::write;

/// A certificate for `localhost` and 127.0.0.1 and the authority that signed it, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's private key.
    pub private_key: PathBuf,
    /// The hash of the server's public key, as `pin_sha256` takes it.
    pub pin: String,
}

impl Certificates {
    /// Makes `NAME-ca.pem`, `NAME.pem` and `NAME.key` in a folder.
    ///
    /// # Panics
    ///
    /// If they can't be made.
    #[must_use]
    pub fn create(folder: &Path, name: &str) -> Self {
        Self::with(folder, name, |_| {})
    }

    /// The same for a client of this name, with or without a mail address.
    ///
    /// # Panics
    ///
    /// If they can't be made.
    #[must_use]
    pub fn of_client(folder: &Path, name: &str, mail: Option<&str>) -> Self {
        Self::with(folder, name, |client| {
            client.distinguished_name.push(DnType::CommonName, name);
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let mail = mail.map(|mail| SanType::Rfc822Name(mail.try_into().expect("a mail address is ASCII")));
            client.subject_alt_names = mail.into_iter().collect();
        })
    }

    /// The same with something else in the server's certificate.
    ///
    /// # Panics
    ///
    /// If they can't be made.
    #[must_use]
    pub fn with(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let authority_key = KeyPair::generate().expect("a key can be made");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, format!("Test authority {name}"));
        let authority_certificate = authority.self_signed(&authority_key).expect("a certificate can be made");
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key can be made");
        let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("valid names");
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        change(&mut server);
        let certificate = server.signed_by(&key, &issuer).expect("a certificate can be signed");

        let file = |suffix: &str, content: String| {
            let path = folder.join(format!("{name}{suffix}"));
            write(&path, content);
            path
        };
        Self {
            ca: file("-ca.pem", authority_certificate.pem()),
            certificate: file(".pem", certificate.pem()),
            private_key: file(".key", key.serialize_pem()),
            pin: format!("sha256//{}", BASE64_STANDARD.encode(Sha256::digest(key.subject_public_key_info()))),
        }
    }

    /// What a server presents.
    ///
    /// # Panics
    ///
    /// If the files have gone.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        install_provider();
        let (chain, key) = self.chain_and_key();
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Arc::new(server.expect("key and certificate belong together"))
    }

    fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(&self.certificate).expect("the certificate's file is there");
        let key = PrivateKeyDer::from_pem_file(&self.private_key).expect("the key's file is there");
        (chain.collect::<Result<_, _>>().expect("the certificate is PEM"), key)
    }
}

/// What a client uses that trusts this authority alone and shows a certificate.
///
/// # Panics
///
/// If a file is not there or not PEM.
#[must_use]
pub fn trust_and_show(ca: &Path, shown: &Certificates) -> Arc<ClientConfig> {
    install_provider();
    let (chain, key) = shown.chain_and_key();
    let client = ClientConfig::builder().with_root_certificates(roots(ca)).with_client_auth_cert(chain, key);
    Arc::new(client.expect("key and certificate belong together"))
}

/// What a client that trusts this authority alone uses.
///
/// # Panics
///
/// If the file is not there or not PEM.
#[must_use]
pub fn trust(ca: &Path) -> Arc<ClientConfig> {
    install_provider();
    Arc::new(ClientConfig::builder().with_root_certificates(roots(ca)).with_no_client_auth())
}

/// The same for a client that speaks one version of TLS alone.
///
/// # Panics
///
/// If the file is not there or not PEM.
#[must_use]
pub fn trust_speaking(ca: &Path, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    install_provider();
    let config = ClientConfig::builder_with_protocol_versions(&[version]);
    Arc::new(config.with_root_certificates(roots(ca)).with_no_client_auth())
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(ca).expect("the authority's file is there") {
        roots.add(root.expect("the authority is PEM")).expect("the authority is a certificate");
    }
    roots
}

fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _installed_already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}
