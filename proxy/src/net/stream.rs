//! One connection, in clear or under TLS, read and written the same way.
//!
//! Holds no buffer of its own, but those of TLS towards clients. Under TLS an end without `close_notify` is [`io::ErrorKind::UnexpectedEof`], so that
//! nobody who cuts a connection can pass for a peer that has finished.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::client_certificate::user_of;
use super::client_tls::ClientTlsStream;
use super::made::plain_name;

/// A connection to a client or to an upstream.
#[derive(Debug)]
pub struct Stream(Layer);

#[derive(Debug)]
enum Layer {
    Clear(TcpStream),
    /// Boxed: the state of TLS is a kilobyte, and a plain connection should not carry it.
    Encrypted(Box<TlsStream<TcpStream>>),
    /// The same towards a server, in borrowed buffers.
    TowardsServer(Box<ClientTlsStream>),
}

impl Stream {
    /// A connection in clear. Small writes are sent at once from here on (TCP_NODELAY): a reply must not wait for the
    /// acknowledgement of the one before.
    #[must_use]
    pub fn new(tcp: TcpStream) -> Self {
        // Fails only on a connection that is broken already; the first read says so.
        let _ = tcp.set_nodelay(true);
        Self::prompt(tcp)
    }

    /// A connection in clear on which small writes are sent at once already.
    #[must_use]
    pub fn prompt(tcp: TcpStream) -> Self {
        Self(Layer::Clear(tcp))
    }

    pub(super) fn encrypted(tls: impl Into<TlsStream<TcpStream>>) -> Self {
        Self(Layer::Encrypted(Box::new(tls.into())))
    }

    pub(super) fn towards_server(tls: ClientTlsStream) -> Self {
        Self(Layer::TowardsServer(Box::new(tls)))
    }

    /// The connection below, if it is still in clear.
    pub(super) fn into_clear(self) -> Option<TcpStream> {
        match self.0 {
            Layer::Clear(tcp) => Some(tcp),
            Layer::Encrypted(_) | Layer::TowardsServer(_) => None,
        }
    }

    /// Whether TLS protects the connection.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !matches!(self.0, Layer::Clear(_))
    }

    /// The user whom the trusted certificate of a client is for; none where none was asked for.
    #[must_use]
    pub fn certified_user(&self) -> Option<String> {
        match &self.0 {
            Layer::Encrypted(tls) => match &**tls {
                TlsStream::Server(tls) => user_of(tls.get_ref().1.peer_certificates()?.first()?),
                TlsStream::Client(_) => None,
            },
            Layer::Clear(_) | Layer::TowardsServer(_) => None,
        }
    }

    /// The other end's address.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// The address at this end.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// Whether a read may give something; if not, `context` is woken then. So a buffer need be there for the read alone.
    ///
    /// May be ready early: what came can be TLS's own, with nothing in it for the reader.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let has_input = match &mut self.0 {
            Layer::Clear(_) => false,
            Layer::Encrypted(tls) => has_plaintext(tls),
            Layer::TowardsServer(tls) => tls.has_input(),
        };
        if has_input { Poll::Ready(Ok(())) } else { self.tcp().poll_read_ready(context) }
    }

    /// Reads what lies ready, without waiting; none if nothing does.
    pub fn read_ready(&mut self, octets: &mut [u8]) -> Option<io::Result<usize>> {
        if let Layer::Clear(tcp) = &self.0 {
            let read = tcp.try_read(octets);
            return read.map_or_else(
                |error| (error.kind() != io::ErrorKind::WouldBlock).then_some(Err(error)),
                |count| Some(Ok(count)),
            );
        }
        let mut buffer = ReadBuf::new(octets);
        match Pin::new(self).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Pending => None,
            Poll::Ready(result) => Some(result.map(|()| buffer.filled().len())),
        }
    }

    /// The host name that the client of an encrypted connection has asked for (SNI, RFC 6066 section 3), in small letters.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        match &self.0 {
            Layer::Encrypted(tls) => match &**tls {
                TlsStream::Server(tls) => tls.get_ref().1.server_name().map(plain_name),
                TlsStream::Client(_) => None,
            },
            Layer::Clear(_) | Layer::TowardsServer(_) => None,
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.0 {
            Layer::Clear(tcp) => tcp,
            Layer::Encrypted(tls) => tls.get_ref().0,
            Layer::TowardsServer(tls) => tls.tcp(),
        }
    }
}

/// Whether TLS has octets for the reader, or an end or a fault to report, that need nothing more from the socket.
fn has_plaintext(tls: &mut TlsStream<TcpStream>) -> bool {
    let state = match tls {
        TlsStream::Client(tls) => tls.get_mut().1.process_new_packets(),
        TlsStream::Server(tls) => tls.get_mut().1.process_new_packets(),
    };
    state.map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Layer::Clear(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Layer::Encrypted(tls) => Pin::new(tls).poll_read(cx, buf),
            Layer::TowardsServer(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Layer::Clear(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Layer::Encrypted(tls) => Pin::new(tls).poll_write(cx, buf),
            Layer::TowardsServer(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Layer::Clear(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Layer::Encrypted(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            Layer::TowardsServer(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Layer::Clear(tcp) => tcp.is_write_vectored(),
            Layer::Encrypted(tls) => tls.is_write_vectored(),
            Layer::TowardsServer(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Layer::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Layer::Encrypted(tls) => Pin::new(tls).poll_flush(cx),
            Layer::TowardsServer(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Layer::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Layer::Encrypted(tls) => Pin::new(tls).poll_shutdown(cx),
            Layer::TowardsServer(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
