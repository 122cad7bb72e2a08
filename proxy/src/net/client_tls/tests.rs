//! Handshakes over loopback, between this module and `ServerTls`.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::tls::{public_key, sha256_hex};
use crate::net::{AcceptError, CertificateFiles, CertificateSource, ServerTls};

const DAY: Duration = Duration::from_secs(86_400);

/// A folder with an authority and server certificates of it.
struct Certificates {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate of the authority, changed by `change`.
    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        self.write(&params.signed_by(&key, &self.issuer).unwrap().pem(), &key.serialize_pem())
    }

    fn write(&self, certificate: &str, key: &str) -> CertificateFiles {
        let path = |name| self.folder.path().join(name);
        let files = CertificateFiles { certificate: path("cert.pem"), private_key: path("key.pem") };
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(&files.private_key, key).unwrap();
        files
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

fn der(files: &CertificateFiles) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.certificate).unwrap()
}

fn pin(files: &CertificateFiles) -> Pin {
    Pin(Sha256::digest(public_key(&der(files)).unwrap()).into())
}

async fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Stream::new(client), Stream::new(listener.accept().await.unwrap().0))
}

/// Both sides of a handshake.
async fn shake(
    files: &CertificateFiles,
    client: Result<ClientTls, ClientTlsError>,
) -> (Result<Stream, ClientTlsError>, Result<Stream, AcceptError>) {
    let server = ServerTls::new(Arc::new(CertificateSource::open(files).unwrap())).unwrap();
    let client = client.unwrap();
    let (near, far) = pair().await;
    // TLS 1.3 lets the client be done first, so that only its first octet tells the server that all is well.
    tokio::join!(client.connect(near), server.accept(far))
}

async fn refusal(files: &CertificateFiles, client: Result<ClientTls, ClientTlsError>) -> Refusal {
    match shake(files, client).await.0 {
        Err(ClientTlsError::Untrusted(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trusted_server_is_spoken_to() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["mail.example.org", "127.0.0.1", "*.wild.example"], |_| ());
    for name in ["mail.example.org", "MAIL.example.org.", "127.0.0.1", "a.wild.example"] {
        let (near, far) = shake(&files, ClientTls::with(name, Some(&certificates.ca()), &[])).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert!(near.is_encrypted() && far.is_encrypted());
        assert_eq!(near.peer().unwrap(), far.local().unwrap());
        far.write_all(b"+OK\r\n").await.unwrap();
        far.flush().await.unwrap();
        poll_fn(|context| near.poll_readable(context)).await.unwrap();
        let mut line = [0; 5];
        near.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"+OK\r\n");
        // A connection in order ends with close_notify.
        far.shutdown().await.unwrap();
        assert_eq!(near.read(&mut line).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_cut_connection_is_no_end() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["localhost"], |_| ());
    let (near, far) = shake(&files, ClientTls::with("localhost", Some(&certificates.ca()), &[])).await;
    let mut near = near.unwrap();
    // Dropped without a word: FIN, but no close_notify.
    drop(far.unwrap());
    let error = near.read(&mut [0; 5]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn readable_sees_what_tls_has_buffered() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["localhost"], |_| ());
    let (near, far) = shake(&files, ClientTls::with("localhost", Some(&certificates.ca()), &[])).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    far.write_all(b"ab").await.unwrap();
    far.flush().await.unwrap();
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 1);
    // The second octet has left the socket already.
    poll_fn(|context| near.poll_readable(context)).await.unwrap();
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_whole_before_a_fault_arrives() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["localhost"], |_| ());
    let (near, far) = shake(&files, ClientTls::with("localhost", Some(&certificates.ca()), &[])).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    far.write_all(b"+OK\r\n").await.unwrap();
    far.flush().await.unwrap();
    // A record that nobody can have encrypted; both are there before anything is read.
    let forged = [23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    assert_eq!(far.tcp().try_write(&forged).unwrap(), forged.len());
    let mut octets = Vec::new();
    assert_eq!(near.read_buf(&mut octets).await.unwrap(), 5);
    assert_eq!(octets, b"+OK\r\n");
    let error = near.read_buf(&mut octets).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn octets_arrive_in_pieces_of_any_size() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["localhost"], |_| ());
    let (near, far) = shake(&files, ClientTls::with("localhost", Some(&certificates.ca()), &[])).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    // Sent by one side as fast as it can, it comes back from the other.
    let echo = async {
        let mut received = vec![0; sent.len()];
        far.read_exact(&mut received).await.unwrap();
        far.write_all(&received).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let ask = async {
        near.write_all(&sent).await.unwrap();
        near.flush().await.unwrap();
        let mut received = Vec::new();
        for size in [1, 2, 4095, 16_384, 70_000].into_iter().cycle() {
            let mut piece = vec![0; size];
            match near.read(&mut piece).await.unwrap() {
                0 => break,
                count => received.extend_from_slice(&piece[..count]),
            }
        }
        received
    };
    let ((), received) = tokio::join!(echo, ask);
    assert!(received == sent, "{} octets came back", received.len());
}

#[tokio::test]
async fn refusals_say_why_and_what_to_do() {
    let certificates = Certificates::new();
    let ca = certificates.ca();
    let now = SystemTime::now();
    let trusting = |name| ClientTls::with(name, Some(&ca), &[]);

    let files = certificates.issue(&["mail.example.org", "127.0.0.1"], |_| ());
    let refused = refusal(&files, trusting("pop.example.org")).await;
    let text = "name mismatch: certificate is for mail.example.org, 127.0.0.1, not `pop.example.org`";
    assert_eq!(refused.reason.to_string(), text);
    assert_eq!(refused.fingerprint, sha256_hex(&der(&files)));
    assert_eq!(refused.pin, Some(pin(&files)));
    assert!(refused.hint().contains("server_name = \"mail.example.org\""), "{}", refused.hint());

    let other = Certificates::new();
    let refused = refusal(&files, ClientTls::with("mail.example.org", Some(&other.ca()), &[])).await;
    assert_eq!(refused.reason, Reason::UnknownIssuer);
    assert!(refused.to_string().contains(&format!("pin_sha256 = [\"{}\"]", pin(&files))), "{refused}");

    let files = certificates.issue(&["localhost"], |params| params.not_after = (now - DAY).into());
    let refused = refusal(&files, trusting("localhost")).await;
    assert!(matches!(refused.reason, Reason::Expired { .. }), "{refused}");

    let files = certificates.issue(&["localhost"], |params| params.not_before = (now + DAY).into());
    let refused = refusal(&files, trusting("localhost")).await;
    assert!(matches!(refused.reason, Reason::NotYetValid { .. }), "{refused}");

    let files =
        certificates.issue(&[], |params| params.distinguished_name.push(rcgen::DnType::CommonName, "localhost"));
    let refused = refusal(&files, trusting("localhost")).await;
    assert!(refused.reason.to_string().contains("certificate has no names"), "{refused}");
}

#[tokio::test]
async fn the_server_learns_of_a_refusal() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["localhost"], |_| ());
    let (near, far) = shake(&files, ClientTls::with("other", Some(&certificates.ca()), &[])).await;
    assert!(near.is_err());
    assert!(far.unwrap_err().to_string().contains("CertificateUnknown"));
}

#[tokio::test]
async fn a_matching_pin_replaces_chain_name_and_expiry() {
    let certificates = Certificates::new();
    let files = certificates.issue(&["elsewhere"], |params| params.not_after = (SystemTime::now() - DAY).into());
    let (near, far) = shake(&files, ClientTls::with("localhost", None, &[Pin([0; 32]), pin(&files)])).await;
    assert!(near.is_ok() && far.is_ok());
    let refused = refusal(&files, ClientTls::with("elsewhere", Some(&certificates.ca()), &[Pin([0; 32])])).await;
    assert_eq!(refused.reason, Reason::PinMismatch);
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_its_own_authority() {
    let certificates = Certificates::new();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["localhost"]);
        params.is_ca = is_ca;
        let files = certificates.write(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem());
        let itself = Some(&*files.certificate);
        let (near, far) = shake(&files, ClientTls::with("localhost", itself, &[])).await;
        assert!(near.is_ok() && far.is_ok(), "{near:?}");
        let refused = refusal(&files, ClientTls::with("other", itself, &[])).await;
        assert!(matches!(refused.reason, Reason::NameMismatch { .. }), "{refused}");
        let refused = refusal(&files, ClientTls::with("localhost", Some(&certificates.ca()), &[])).await;
        assert_eq!(refused.reason, Reason::SelfSigned);
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart() {
    let certificates = Certificates::new();
    let client = ClientTls::with("localhost", Some(&certificates.ca()), &[]).unwrap();
    let (near, mut far) = pair().await;
    far.write_all(b"+OK POP3 ready\r\n").await.unwrap();
    let error = client.connect(near).await.unwrap_err();
    assert!(matches!(error, ClientTlsError::Handshake(rustls::Error::InvalidMessage(_))), "{error:?}");

    let (near, far) = pair().await;
    drop(far);
    let error = client.connect(near).await.unwrap_err();
    assert!(matches!(error, ClientTlsError::Io(_)), "{error:?}");
}

#[test]
fn faults_of_the_configuration_name_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let text = |name, ca: &Path| match ClientTls::with(name, Some(ca), &[]) {
        Ok(_) => panic!("{name} {}", ca.display()),
        Err(error) => error.to_string(),
    };
    assert!(text("localhost", &ca).contains("can't be read: No such file"));
    fs::write(&ca, "nothing").unwrap();
    assert!(text("localhost", &ca).contains("holds no certificate in PEM form"));
    assert!(text("a name", &ca).starts_with("`a name` is neither"));
}

mod server {
    use super::*;
    use tokio_rustls::TlsConnector;

    /// A client that offers these protocols.
    async fn offer(alpn: &[&[u8]]) -> (io::Result<Option<Vec<u8>>>, Result<Stream, AcceptError>) {
        let certificates = Certificates::new();
        let files = certificates.issue(&["localhost"], |_| ());
        let trust = Trust::roots(read_chain(&certificates.ca()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(trust)))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let server = ServerTls::new(Arc::new(CertificateSource::open(&files).unwrap())).unwrap();
        let (near, far) = pair().await;
        let connector = TlsConnector::from(Arc::new(config));
        let near = connector.connect("localhost".try_into().unwrap(), near.into_clear().unwrap());
        let (near, far) = tokio::join!(near, server.accept(far));
        (near.map(|tls| tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)), far)
    }

    #[tokio::test]
    async fn alpn_is_pop3_or_nothing() {
        assert_eq!(offer(&[]).await.0.unwrap(), None);
        assert_eq!(offer(&[b"imap", b"pop3"]).await.0.unwrap().as_deref(), Some(&b"pop3"[..]));
        let (near, far) = offer(&[b"imap"]).await;
        // Alert 120.
        assert!(near.unwrap_err().to_string().contains("NoApplicationProtocol"));
        assert!(far.is_err());
    }

    #[tokio::test]
    async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
        let certificates = Certificates::new();
        let files = certificates.issue(&["old.example"], |_| ());
        let source = Arc::new(CertificateSource::open(&files).unwrap());
        let server = ServerTls::new(Arc::clone(&source)).unwrap();
        let ca = certificates.ca();
        let speaks = async |name| {
            let client = ClientTls::with(name, Some(&ca), &[]).unwrap();
            let (near, far) = pair().await;
            tokio::join!(client.connect(near), server.accept(far)).0.is_ok()
        };
        let later = |seconds| std::time::Instant::now() + Duration::from_secs(seconds);
        assert!(speaks("old.example").await);
        certificates.issue(&["new.example"], |_| ());
        source.reload_if_changed(later(100));
        assert!(speaks("new.example").await && !speaks("old.example").await);
        fs::write(&files.private_key, "broken").unwrap();
        source.reload_if_changed(later(200));
        assert!(speaks("new.example").await);
        assert!(source.reload().is_err());
        assert!(speaks("new.example").await);
    }

    #[test]
    fn faults_of_the_pair_are_told_apart() {
        let certificates = Certificates::new();
        let files = certificates.issue(&["localhost"], |_| ());
        let key = fs::read_to_string(&files.private_key).unwrap();
        let certificate = fs::read_to_string(&files.certificate).unwrap();
        let fault = |certificate: &str, key: &str| {
            CertificateSource::open(&certificates.write(certificate, key)).unwrap_err().to_string()
        };
        let stranger = KeyPair::generate().unwrap().serialize_pem();
        assert!(fault(&certificate, &stranger).contains("does not belong to the certificate"));
        assert!(fault(&certificate, &certificate).contains("are the two files swapped?"));
        assert!(fault(&certificate, "").contains("holds no private key in PEM form"));
        assert!(fault("text", &key).contains("holds no certificate in PEM form"));
        assert!(
            fault(&certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n")
                .contains("it is encrypted")
        );
        fs::remove_file(&files.certificate).unwrap();
        assert!(CertificateSource::open(&files).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn an_operator_is_warned_of_expiry_and_open_keys() {
        use std::os::unix::fs::PermissionsExt;
        let certificates = Certificates::new();
        let warnings = |change: fn(&mut CertificateParams), mode| {
            let files = certificates.issue(&["localhost"], change);
            fs::set_permissions(&files.private_key, fs::Permissions::from_mode(mode)).unwrap();
            CertificateSource::open(&files).unwrap().warnings().join("\n")
        };
        assert_eq!(warnings(|_| (), 0o600), "");
        assert!(
            warnings(|params| params.not_after = (SystemTime::now() - DAY).into(), 0o600).contains("has expired on")
        );
        assert!(warnings(|params| params.not_after = (SystemTime::now() + DAY).into(), 0o600).contains("expires on"));
        assert!(warnings(|_| (), 0o644).contains("can be read by everybody"));
    }
}
