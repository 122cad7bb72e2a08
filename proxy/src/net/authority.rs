//! popgate's own certificate authority, for where no certificate is configured.
//!
//! `state_dir/tls` holds `ca.pem`, which clients are told to trust, the server's certificate `server.pem`, and their keys
//! (0600). The authority is made once and kept for ten years; the server's certificate is made again whenever it would
//! not do: near its end, without a wanted name, or broken.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tracing::info;

use super::certificate::{CertificateFiles, CertificateSource, read_chain};
use super::tls::{provider, validity};

const DAY: Duration = Duration::from_secs(86_400);
/// How long the authority lasts: ten years.
const CA_LASTS: Duration = Duration::from_secs(3652 * 86_400);
/// How long a server's certificate lasts. With the day before it this is the most that clients take (397 days).
const SERVER_LASTS: Duration = Duration::from_secs(395 * 86_400);
/// How long before its end a certificate is made again.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Where the own certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnCertificate {
    /// The authority's certificate, for clients to trust.
    pub authority: PathBuf,
    /// The server's certificate and key.
    pub files: CertificateFiles,
}

/// Why there is no own certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file or folder can't be made or read.
    #[error("the own certificate can't be kept in `{}`: {error}\nhint: `state_dir` must be a folder that popgate may write to", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A certificate can't be made.
    #[error("no own certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A key that was made can't be used.
    #[error("no own certificate can be shown: {0}")]
    Key(#[from] rustls::Error),
}

/// The own certificate under `state_dir/tls`, made or renewed if need be: for `localhost`, the loopback addresses, this
/// machine's name and `names` (host names or addresses; what is neither is left out).
///
/// Blocks. Any number of processes may do this at once.
///
/// # Errors
///
/// When the folder can't be written.
pub fn own_certificate(state_dir: &Path, names: &[String]) -> Result<OwnCertificate, AuthorityError> {
    let folder = state_dir.join("tls");
    // Held until the end of the function.
    let _lock = locked(state_dir, &folder)?;
    let own = OwnCertificate {
        authority: folder.join("ca.pem"),
        files: CertificateFiles { certificate: folder.join("server.pem"), private_key: folder.join("server.key") },
    };
    let names = wanted(names);
    let authority = Authority::open_or_make(&folder)?;
    if !authority.vouches_for(&own, &names) {
        authority.issue(&own, &names)?;
    }
    Ok(own)
}

/// Makes the folders and locks them against other processes, until the file is dropped.
fn locked(state_dir: &Path, folder: &Path) -> Result<File, AuthorityError> {
    let failed = |error| AuthorityError::Io { path: folder.into(), error };
    make_folders(state_dir, folder).map_err(failed)?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"));
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

/// The names that the certificate has to have, each once.
fn wanted(names: &[String]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    let fixed = ["localhost", "127.0.0.1", "::1"].map(String::from);
    for name in fixed.into_iter().chain(host_name()).chain(names.iter().map(|name| name.to_ascii_lowercase())) {
        let specified = name.parse::<IpAddr>().map_or(true, |address| !address.is_unspecified());
        if specified && ServerName::try_from(name.as_str()).is_ok() && !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    wanted
}

fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty())
}

/// The authority's certificate and what it signs with.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The authority under `state_dir/tls`, made if need be, and the file of its certificate. Blocks.
    pub(super) fn kept(state_dir: &Path) -> Result<(Self, PathBuf), AuthorityError> {
        let folder = state_dir.join("tls");
        let _lock = locked(state_dir, &folder)?;
        Ok((Self::open_or_make(&folder)?, folder.join("ca.pem")))
    }

    fn open_or_make(folder: &Path) -> Result<Self, AuthorityError> {
        Self::open(folder).map_or_else(|| Self::make(folder), Ok)
    }

    /// The authority as it is kept; none if there is none, if it is broken or near its end.
    fn open(folder: &Path) -> Option<Self> {
        let certificate = read_chain(&folder.join("ca.pem")).ok()?.into_iter().next()?;
        let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key")).ok()?).ok()?;
        // The pair belongs together.
        let files = CertificateFiles { certificate: folder.join("ca.pem"), private_key: folder.join("ca.key") };
        CertificateSource::open(&files).ok()?;
        let (_, end) = validity(&certificate)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).ok()?;
        (end > SystemTime::now() + RENEW_BEFORE).then_some(Self { certificate, issuer })
    }

    fn make(folder: &Path) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(CA_LASTS);
        let name = format!("popgate on {}", host_name().unwrap_or_else(|| "localhost".into()));
        params.distinguished_name.push(DnType::OrganizationName, "popgate");
        params.distinguished_name.push(DnType::CommonName, shortened(name));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        write(&folder.join("ca.key"), 0o600, &key.serialize_pem())?;
        write(&folder.join("ca.pem"), 0o644, &certificate.pem())?;
        info!(path = %folder.join("ca.pem").display(), "made an own certificate authority");
        Ok(Self { certificate: certificate.into(), issuer: Issuer::new(params, key) })
    }

    /// Whether clients that trust this authority take the server's certificate under all names, and for a while yet.
    fn vouches_for(&self, own: &OwnCertificate, names: &[String]) -> bool {
        let check = || -> Option<bool> {
            let chain = read_chain(&own.files.certificate).ok()?;
            CertificateSource::open(&own.files).ok()?;
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).ok()?;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build().ok()?;
            let then = SystemTime::now() + RENEW_BEFORE;
            let then = UnixTime::since_unix_epoch(then.duration_since(SystemTime::UNIX_EPOCH).ok()?);
            let certificate = chain.first()?;
            let is_fine = |name: &String| {
                let name = ServerName::try_from(name.as_str());
                name.is_ok_and(|name| verifier.verify_server_cert(certificate, &[], &name, &[], then).is_ok())
            };
            Some(names.iter().all(is_fine))
        };
        check().unwrap_or(false)
    }

    fn issue(&self, own: &OwnCertificate, names: &[String]) -> Result<(), AuthorityError> {
        let key = KeyPair::generate()?;
        let name = host_name().unwrap_or_else(|| "localhost".into());
        let certificate = self.sign(names, &name, SERVER_LASTS, &key)?;
        // A process that is stopped in between leaves a pair that does not match: the next one makes it again.
        write(&own.files.private_key, 0o600, &key.serialize_pem())?;
        write(&own.files.certificate, 0o644, &certificate.pem())?;
        info!(path = %own.files.certificate.display(), names = names.join(" "), "made a certificate for this server");
        Ok(())
    }

    /// A server's certificate for these names (host names or IP addresses).
    pub(super) fn sign(
        &self,
        names: &[String],
        common_name: &str,
        lasts: Duration,
        key: &KeyPair,
    ) -> Result<Certificate, rcgen::Error> {
        let mut params = params(lasts);
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.distinguished_name.push(DnType::CommonName, shortened(common_name.into()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer)
    }
}

/// Valid from yesterday, since clocks differ.
fn params(lasts: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = (now - DAY).into();
    params.not_after = (now + lasts).into();
    params
}

/// A common name has at most 64 characters. Source: RFC 5280 appendix A.1.
fn shortened(name: String) -> String {
    name.chars().take(64).collect()
}

fn make_folders(state_dir: &Path, folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // Whatever the umask: `ca.pem` is for everybody who can reach the folder.
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Writes a file so that under its name there is always the old or the new one, whole.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), AuthorityError> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| AuthorityError::Io { path: path.into(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state");
        let own = own_certificate(&state_dir, &[]).unwrap();
        let files =
            [&own.authority, &own.files.certificate, &own.files.private_key].map(|path| fs::read(path).unwrap());
        assert_eq!(own_certificate(&state_dir, &[]).unwrap(), own);
        assert_eq!(
            files,
            [&own.authority, &own.files.certificate, &own.files.private_key].map(|path| fs::read(path).unwrap())
        );
        let modes = ["", "tls", "tls/ca.pem", "tls/ca.key", "tls/server.pem", "tls/server.key"];
        let modes = modes.map(|name| mode(&state_dir.join(name)));
        assert_eq!(modes, [0o700, 0o755, 0o644, 0o600, 0o644, 0o600]);
        assert_eq!(CertificateSource::open(&own.files).unwrap().warnings(), [""; 0]);
    }

    #[test]
    fn is_made_again_when_it_would_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let own = own_certificate(folder.path(), &[]).unwrap();
        let authority = fs::read(&own.authority).unwrap();
        let renewed = |names: &[&str]| {
            let before = fs::read(&own.files.certificate).unwrap();
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            own_certificate(folder.path(), &names).unwrap();
            before != fs::read(&own.files.certificate).unwrap()
        };
        assert!(!renewed(&[]));
        assert!(renewed(&["mail.example.org", "192.0.2.7", "0.0.0.0", "not a name"]));
        assert!(!renewed(&["192.0.2.7"]));
        fs::write(&own.files.private_key, "broken").unwrap();
        assert!(renewed(&[]));
        fs::remove_file(&own.files.private_key).unwrap();
        assert!(renewed(&[]));
        fs::write(&own.files.certificate, "broken").unwrap();
        assert!(renewed(&[]));
        assert_eq!(authority, fs::read(&own.authority).unwrap());

        fs::remove_file(folder.path().join("tls/ca.key")).unwrap();
        assert!(renewed(&[]));
        assert_ne!(authority, fs::read(&own.authority).unwrap());
    }

    #[test]
    fn a_certificate_near_its_end_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let own = own_certificate(folder.path(), &[]).unwrap();
        let authority = Authority::open(&folder.path().join("tls")).unwrap();
        let names = wanted(&[]);
        assert!(authority.vouches_for(&own, &names));
        let mut short = params(RENEW_BEFORE - DAY);
        short.subject_alt_names = CertificateParams::new(&*names).unwrap().subject_alt_names;
        let key = KeyPair::generate().unwrap();
        write(&own.files.private_key, 0o600, &key.serialize_pem()).unwrap();
        write(&own.files.certificate, 0o644, &short.signed_by(&key, &authority.issuer).unwrap().pem()).unwrap();
        assert!(!authority.vouches_for(&own, &names));
    }

    #[test]
    fn many_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let make = || own_certificate(folder.path(), &["mail.example.org".into()]).unwrap();
            let all: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            let all: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
            assert!(all.iter().all(|own| CertificateSource::open(&own.files).is_ok()));
        });
        let left = fs::read_dir(folder.path().join("tls")).unwrap().count();
        assert_eq!(left, 5, "ca.pem, ca.key, server.pem, server.key, lock");
    }
}
