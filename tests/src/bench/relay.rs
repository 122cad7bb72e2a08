//! A relay that knows no POP3: what comes from one side goes to the other. Nothing that copies can cost less, so its
//! cost is the floor under any proxy's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

/// What `popgate-bench relay MODE OWN SERVER CERTIFICATE KEY` does, for ever.
///
/// # Errors
/// The arguments are not these, or the socket is not to be had.
pub(crate) fn main(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [mode, own, server, certificate, key] = arguments else { return Err("five arguments".into()) };
    let (own, server): (SocketAddr, SocketAddr) = (own.parse()?, server.parse()?);
    // A second one is no harm.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let front =
        if mode == "plain" { None } else { Some(TlsAcceptor::from(shown(certificate.as_ref(), key.as_ref())?)) };
    let behind = (mode == "both").then(|| TlsConnector::from(trusting_all()));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(own).await?;
        loop {
            let (client, _) = listener.accept().await?;
            let (front, behind) = (front.clone(), behind.clone());
            tokio::spawn(async move {
                // Who leaves ends his connection, and that is all.
                let _ended = relay(client, server, front, behind).await;
            });
        }
    })
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    front: Option<TlsAcceptor>,
    behind: Option<TlsConnector>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
    match (front, behind) {
        (None, _) => both_ways(client, server).await,
        (Some(front), None) => both_ways(front.accept(client).await?, server).await,
        (Some(front), Some(behind)) => {
            both_ways(front.accept(client).await?, behind.connect(name, server).await?).await
        }
    }
}

async fn both_ways(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
) -> std::io::Result<()> {
    copy_bidirectional_with_sizes(&mut client, &mut server, 2048, BUFFER).await.map(drop)
}

fn shown(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    Ok(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?))
}

/// The servers of the benchmark are its own.
fn trusting_all() -> Arc<ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(Trusting(provider)));
    Arc::new(config.with_no_client_auth())
}

#[derive(Debug)]
struct Trusting(CryptoProvider);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
