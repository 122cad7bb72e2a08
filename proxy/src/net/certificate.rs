//! The server's certificate and private key: read from PEM files, checked, and read again when the files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use popgate_config::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::tls::{date, provider, public_key, validity};

/// How soon the files are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A file can't be read.
    #[error("the {what} `{}` can't be read: {error}\nhint: {}", path.display(), read_hint(error))]
    Unreadable {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds nothing of what it is for.
    #[error("the {what} `{}` holds no {what} in PEM form\nhint: {hint}", path.display())]
    NotPem {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The key is of a kind that can't be used.
    #[error("the private key `{}` can't be used: {error}\nhint: use an RSA (2048 to 8192 bits), ECDSA or Ed25519 key", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The first certificate of the chain is broken.
    #[error("the certificate `{}` can't be read as X.509\nhint: `openssl x509 -in {} -noout -text` shows what is wrong", path.display(), path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The two do not belong together.
    #[error(
        "the private key `{}` does not belong to the certificate `{}`\nhint: the server's own certificate must be the first in its file, its issuers behind it",
        private_key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
    },
}

fn read_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "relative paths start at the folder of the configuration file",
        io::ErrorKind::PermissionDenied => "the user that popgate runs as must be able to read it",
        _ => "it must be a readable file",
    }
}

/// Where a certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    /// The server's certificate and behind it those of its issuers (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub private_key: PathBuf,
}

impl From<&Tls> for CertificateFiles {
    fn from(tls: &Tls) -> Self {
        Self { certificate: tls.certificate.clone(), private_key: tls.private_key.clone() }
    }
}

/// A certificate and its key, kept up to date with their files.
pub struct CertificateSource {
    files: CertificateFiles,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

/// What the files looked like, and when.
struct Seen {
    looked: Instant,
    stamps: [Option<Stamp>; 2],
}

/// What changes when a file is replaced or rewritten.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// None for a file that is not there.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { inode: file.ino(), size: file.size(), modified: (file.mtime(), file.mtime_nsec()) })
    }
}

impl CertificateSource {
    /// Reads a certificate chain and its private key (PKCS#8, PKCS#1 or SEC 1) from PEM files.
    ///
    /// # Errors
    ///
    /// When a file is missing or holds something else, or when the two do not belong together.
    pub fn open(files: &CertificateFiles) -> Result<Self, CertificateFault> {
        // Before the files are read: what changes meanwhile is noticed at the next look.
        let stamps = stamps(files);
        let current = load(files)?;
        Ok(Self {
            files: files.clone(),
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(Seen { looked: Instant::now(), stamps }),
        })
    }

    /// Reads the files again.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`]; the certificate that was in use then stays in use.
    pub fn reload(&self) -> Result<(), CertificateFault> {
        let stamps = stamps(&self.files);
        let loaded = load(&self.files);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).stamps = stamps;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded?);
        Ok(())
    }

    /// Reads the files again if they have changed; looks at most once a second. A broken pair is reported once and
    /// leaves the old one in use.
    pub fn reload_if_changed(&self, now: Instant) {
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if now.saturating_duration_since(seen.looked) < LOOK_EVERY {
                return;
            }
            seen.looked = now;
            if seen.stamps == stamps(&self.files) {
                return;
            }
        }
        let certificate = self.files.certificate.display();
        match self.reload() {
            Ok(()) => {
                info!(%certificate, "certificate reloaded");
                for warning in self.warnings() {
                    warn!("{warning}");
                }
            }
            Err(error) => warn!("certificate not reloaded, the old one stays in use: {error}"),
        }
    }

    /// True if [`Self::reload_if_changed`] would look at the files.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(seen.looked) >= LOOK_EVERY
    }

    /// What an operator should know about the certificate in use, one line each: it has expired, will soon, or its key
    /// can be read by everybody.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let CertificateFiles { certificate, private_key } = &self.files;
        let mut warnings = Vec::new();
        if let Some((from, to)) = self.current().cert.first().and_then(validity) {
            let name = certificate.display();
            let now = SystemTime::now();
            match to.duration_since(now) {
                Err(_) => warnings
                    .push(format!("the certificate `{name}` has expired on {}; clients will refuse it", date(to))),
                Ok(left) if left < Duration::from_secs(30 * 86_400) => {
                    warnings.push(format!("the certificate `{name}` expires on {}", date(to)));
                }
                Ok(_) => {}
            }
            if from > now {
                warnings.push(format!(
                    "the certificate `{name}` is not valid before {}; clients will refuse it",
                    date(from)
                ));
            }
        }
        if fs::metadata(private_key).is_ok_and(|file| file.mode() & 0o007 != 0) {
            let name = private_key.display();
            warnings.push(format!(
                "the private key `{name}` can be read by everybody on this machine; hint: `chmod 600 {name}`"
            ));
        }
        warnings
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSource").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CertificateSource {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn stamps(files: &CertificateFiles) -> [Option<Stamp>; 2] {
    [Stamp::of(&files.certificate), Stamp::of(&files.private_key)]
}

fn load(files: &CertificateFiles) -> Result<CertifiedKey, CertificateFault> {
    let chain = read_chain(&files.certificate)?;
    let key = read_key(&files.private_key)?;
    let own = chain.first().and_then(public_key);
    let own = own.ok_or_else(|| CertificateFault::BadCertificate { path: files.certificate.clone() })?;
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| CertificateFault::BadKey { path: files.private_key.clone(), error })?;
    // A key that does not tell its public half could not be compared; those of files do.
    if key.public_key().is_some_and(|public| public != own) {
        return Err(CertificateFault::Mismatch {
            certificate: files.certificate.clone(),
            private_key: files.private_key.clone(),
        });
    }
    Ok(CertifiedKey::new(chain, key))
}

pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    const WHAT: &str = "certificate";
    let pem = read(WHAT, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => {
            let hint = if pem.starts_with(b"\x30\x82") {
                "it looks like DER; `openssl x509 -inform der` makes PEM of it"
            } else {
                "it must hold `-----BEGIN CERTIFICATE-----`, base64 and `-----END CERTIFICATE-----`"
            };
            Err(CertificateFault::NotPem { what: WHAT, path: path.into(), hint })
        }
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateFault> {
    const WHAT: &str = "private key";
    let pem = read(WHAT, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let holds = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
        let hint = if holds(b"ENCRYPTED") {
            "it is encrypted; `openssl pkey` writes it without a passphrase"
        } else if holds(b"BEGIN CERTIFICATE") {
            "it is a certificate; are the two files swapped?"
        } else {
            "it must hold `-----BEGIN PRIVATE KEY-----` (or RSA or EC PRIVATE KEY), base64 and the END line"
        };
        CertificateFault::NotPem { what: WHAT, path: path.into(), hint }
    })
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, CertificateFault> {
    fs::read(path).map_err(|error| CertificateFault::Unreadable { what, path: path.into(), error })
}
