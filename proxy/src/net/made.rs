//! Certificates for the names that clients ask for, made by the own authority while they wait.
//!
//! Only for transparent listeners, where the proxy stands in for servers that it has never heard of. What a client is
//! shown says nothing about the server: that has to prove the same name to the proxy before a word is exchanged.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use tracing::warn;

use super::authority::{Authority, AuthorityError};
use super::tls::provider;

/// How many are kept. One that is not kept any more is made again, which costs no more than the handshake's own signature.
const KEPT: usize = 1000;
/// How long a certificate lasts.
const LASTS: Duration = Duration::from_secs(90 * 86_400);
/// How long one is shown before it is made again.
const SHOWN: Duration = Duration::from_secs(30 * 86_400);

/// The own authority at work. All certificates have one key, made at the start and never written to disk.
pub struct MadeCertificates {
    authority: Authority,
    path: PathBuf,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_name: HashMap<String, Made>,
    /// Counts the uses of all.
    uses: u64,
}

struct Made {
    certificate: Arc<CertifiedKey>,
    at: Instant,
    /// The count of uses at its last one.
    used: u64,
}

impl MadeCertificates {
    /// Opens the own authority under `state_dir/tls`, or makes it. Blocks.
    ///
    /// # Errors
    ///
    /// When the folder can't be written or a key can't be made.
    pub fn open(state_dir: &Path) -> Result<Self, AuthorityError> {
        let (authority, path) = Authority::kept(state_dir)?;
        let key = KeyPair::generate()?;
        let pkcs8 = PrivatePkcs8KeyDer::from(key.serialize_der());
        let signing = provider().key_provider.load_private_key(pkcs8.into())?;
        Ok(Self { authority, path, key, signing, kept: Mutex::default() })
    }

    /// The authority's certificate, for clients to trust.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.path
    }

    /// The certificate for a host name or an IP address; none if it can't be made.
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let now = Instant::now();
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).find(name, now) {
            return Some(kept);
        }
        // Without the lock: others need not wait for this one.
        let made = match self.authority.sign(&[name.to_owned()], name, LASTS, &self.key) {
            Ok(made) => CertifiedKey::new(vec![made.into()], Arc::clone(&self.signing)),
            Err(error) => {
                warn!(name, %error, "no certificate can be made");
                return None;
            }
        };
        let certificate = Arc::new(made);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(name, Arc::clone(&certificate), now);
        Some(certificate)
    }
}

impl Kept {
    fn find(&mut self, name: &str, now: Instant) -> Option<Arc<CertifiedKey>> {
        self.uses += 1;
        let made = self.by_name.get_mut(name).filter(|made| now.saturating_duration_since(made.at) < SHOWN)?;
        made.used = self.uses;
        Some(Arc::clone(&made.certificate))
    }

    /// Keeps one; where there are too many already the one goes that was not asked for the longest.
    fn keep(&mut self, name: &str, certificate: Arc<CertifiedKey>, at: Instant) {
        if self.by_name.len() >= KEPT && !self.by_name.contains_key(name) {
            let oldest = self.by_name.iter().min_by_key(|(_, made)| made.used).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.by_name.remove(&oldest);
            }
        }
        self.by_name.insert(name.to_owned(), Made { certificate, at, used: self.uses });
    }
}

impl fmt::Debug for MadeCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeCertificates").field("authority", &self.path).finish_non_exhaustive()
    }
}

/// The certificate for one connection: of the name that the client asks for, or else of the address that it was going to.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) certificates: Arc<MadeCertificates>,
    pub(super) address: IpAddr,
}

impl ResolvesServerCert for StandIn {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls passes nothing on that is no host name.
        let name = hello.server_name().map_or_else(|| self.address.to_string(), plain_name);
        self.certificates.certificate(&name)
    }
}

/// A name in its one spelling: small letters, without the dot of the root.
pub(super) fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};

    #[test]
    fn clients_that_trust_the_authority_take_them() {
        let folder = tempfile::tempdir().unwrap();
        let made = MadeCertificates::open(folder.path()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(crate::net::certificate::read_chain(made.authority()).unwrap().remove(0)).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
        for name in ["pop.example.org", "192.0.2.7", "2001:db8::7"] {
            let shown = made.certificate(name).unwrap();
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&shown.cert[0], &[], &name, &[], UnixTime::now()).unwrap();
            let other = ServerName::try_from("mail.example.org").unwrap();
            assert!(verifier.verify_server_cert(&shown.cert[0], &[], &other, &[], UnixTime::now()).is_err());
        }
    }

    #[test]
    fn one_is_made_once_and_the_least_used_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let made = MadeCertificates::open(folder.path()).unwrap();
        let first = made.certificate("a.example.org").unwrap();
        assert!(Arc::ptr_eq(&first, &made.certificate("a.example.org").unwrap()));
        let mut kept = made.kept.lock().unwrap();
        for number in 0..2 * KEPT {
            kept.keep(&format!("{number}.example.org"), Arc::clone(&first), Instant::now());
            assert!(kept.find("a.example.org", Instant::now()).is_some(), "after {number}");
        }
        assert_eq!(kept.by_name.len(), KEPT);
        assert!(kept.find("0.example.org", Instant::now()).is_none());
        assert!(kept.find("a.example.org", Instant::now() + SHOWN).is_none(), "it is made again in time");
    }
}
