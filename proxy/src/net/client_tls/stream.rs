//! The client's end of TLS, in buffers that are borrowed while octets are in them.
//!
//! rustls's own buffers read four KiB at a time and are kept by a connection at rest. Here one call to the system fetches many
//! records, and a connection that waits has no buffer at all.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::net::buffers::{LARGE, SMALL, hand_on, make_room};

/// How many encrypted octets may wait for the socket before more are taken.
const MAX_OUTGOING: usize = 64 * 1024;
/// How many octets are encrypted in one go: those of a full record. Source: RFC 8446 section 5.1.
const RECORD: usize = 16 * 1024;

/// A connection under TLS towards a server.
pub(in crate::net) struct ClientTlsStream {
    tcp: TcpStream,
    tls: UnbufferedClientConnection,
    /// Records that have come, and the beginning of the next one.
    incoming: BytesMut,
    /// What was in them and has not been read.
    plaintext: BytesMut,
    /// Records that wait for the socket.
    outgoing: BytesMut,
    /// The server has said that nothing more comes.
    ended: bool,
    /// The server has been told the same.
    closing: bool,
    /// What came behind octets that a reader has got.
    fault: Option<io::Error>,
}

impl std::fmt::Debug for ClientTlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTlsStream").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// Where a connection stands when nothing more can be made of what has come.
enum Standing {
    /// It may be written to.
    Open,
    /// The handshake waits for the server.
    Blocked,
    /// The server has ended it.
    Ended,
}

impl ClientTlsStream {
    /// The handshake. Nothing but it has been sent when this returns.
    ///
    /// # Errors
    ///
    /// The connection broke; or, with a [`rustls::Error`] inside, the two have not come to terms, and the server has been told
    /// by an alert.
    pub(super) async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        tcp: TcpStream,
    ) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(invalid)?;
        let mut stream = Self {
            tcp,
            tls,
            incoming: BytesMut::new(),
            plaintext: BytesMut::new(),
            outgoing: BytesMut::new(),
            ended: false,
            closing: false,
            fault: None,
        };
        loop {
            let standing = stream.process();
            // An alert, too.
            stream.tcp.write_all(&stream.outgoing).await?;
            hand_on(&mut stream.outgoing);
            match standing? {
                Standing::Open => return Ok(stream),
                Standing::Blocked => {
                    make_room(&mut stream.incoming, SMALL);
                    if stream.tcp.read_buf(&mut stream.incoming).await? == 0 {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"));
                    }
                }
                Standing::Ended => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")),
            }
        }
    }

    /// The connection below.
    pub(in crate::net) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Whether a read has something to do without the socket.
    pub(in crate::net) fn has_input(&self) -> bool {
        self.ended || self.fault.is_some() || !self.plaintext.is_empty() || !self.incoming.is_empty()
    }

    /// Makes all of the records that have come: plaintext, and answers that TLS itself gives.
    fn process(&mut self) -> io::Result<Standing> {
        let (plaintext, outgoing, ended) = (&mut self.plaintext, &mut self.outgoing, &mut self.ended);
        let mut keep = |octets: &[u8]| {
            make_room(plaintext, octets.len());
            plaintext.extend_from_slice(octets);
        };
        step_on(&mut self.tls, &mut self.incoming, outgoing, ended, &mut keep, |_, _| Ok(()))
    }

    /// The same, for a reader with room: what fits goes straight to it.
    fn process_into(&mut self, reader: &mut ReadBuf<'_>) -> io::Result<Standing> {
        let (plaintext, outgoing, ended) = (&mut self.plaintext, &mut self.outgoing, &mut self.ended);
        let mut keep = |octets: &[u8]| {
            let (now, later) = octets.split_at(octets.len().min(reader.remaining()));
            reader.put_slice(now);
            if !later.is_empty() {
                make_room(plaintext, later.len());
                plaintext.extend_from_slice(later);
            }
        };
        step_on(&mut self.tls, &mut self.incoming, outgoing, ended, &mut keep, |_, _| Ok(()))
    }

    /// Sends what waits for the socket.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.tcp).poll_write(cx, &self.outgoing))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.outgoing.advance(count),
            }
        }
        if self.outgoing.capacity() > 0 {
            hand_on(&mut self.outgoing);
        }
        Poll::Ready(Ok(()))
    }

    /// Has TLS write something, once it may.
    fn write_with(
        &mut self,
        write: impl FnMut(&mut WriteTraffic<'_, ClientConnectionData>, &mut BytesMut) -> Result<(), EncryptError>,
    ) -> io::Result<Standing> {
        let (plaintext, outgoing, ended) = (&mut self.plaintext, &mut self.outgoing, &mut self.ended);
        let mut keep = |octets: &[u8]| {
            make_room(plaintext, octets.len());
            plaintext.extend_from_slice(octets);
        };
        step_on(&mut self.tls, &mut self.incoming, outgoing, ended, &mut keep, write)
    }
}

/// Goes from state to state until more octets are needed; `write` has its turn once traffic may be written.
fn step_on(
    tls: &mut UnbufferedClientConnection,
    incoming: &mut BytesMut,
    outgoing: &mut BytesMut,
    ended: &mut bool,
    keep: &mut dyn FnMut(&[u8]),
    mut write: impl FnMut(&mut WriteTraffic<'_, ClientConnectionData>, &mut BytesMut) -> Result<(), EncryptError>,
) -> io::Result<Standing> {
    loop {
        let UnbufferedStatus { mut discard, state } = tls.process_tls_records(incoming);
        let standing = match state {
            Err(error) => {
                incoming.advance(discard);
                alert(tls, incoming, outgoing);
                return Err(invalid(error));
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(invalid)?;
                    discard += record.discard;
                    keep(record.payload);
                }
                None
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, outgoing)?;
                None
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is sent in its order, from the buffer that it is in.
                data.done();
                None
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                write(&mut traffic, outgoing).map_err(io::Error::other)?;
                Some(Standing::Open)
            }
            Ok(ConnectionState::BlockedHandshake) => Some(Standing::Blocked),
            Ok(ConnectionState::PeerClosed) => {
                *ended = true;
                None
            }
            Ok(ConnectionState::Closed) => Some(Standing::Ended),
            // A client gets no early data, and there are no other states.
            Ok(_) => return Err(io::Error::other("TLS is in a state that is not known")),
        };
        incoming.advance(discard);
        if incoming.is_empty() && incoming.capacity() > 0 {
            hand_on(incoming);
        }
        if let Some(standing) = standing {
            return Ok(standing);
        }
    }
}

/// What TLS has to say of a fault.
fn alert(tls: &mut UnbufferedClientConnection, incoming: &mut BytesMut, outgoing: &mut BytesMut) {
    while let Ok(ConnectionState::EncodeTlsData(mut data)) = tls.process_tls_records(incoming).state {
        if encode(&mut data, outgoing).is_err() {
            return;
        }
    }
}

/// Puts a record of TLS's own behind those that wait.
fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, outgoing: &mut BytesMut) -> io::Result<()> {
    match data.encode(&mut []) {
        Ok(_) => Ok(()),
        Err(EncodeError::InsufficientSize(size)) => {
            let encoded = |room: &mut [u8]| data.encode(room).map_err(io::Error::other);
            append(outgoing, size.required_size, encoded)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Makes room for so many octets and keeps as many as are written.
fn append<E>(outgoing: &mut BytesMut, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
    let held = outgoing.len();
    make_room(outgoing, room);
    outgoing.resize(held + room, 0);
    let written = write(&mut outgoing[held..]);
    outgoing.truncate(held + written.as_ref().ok().copied().unwrap_or(0));
    written.map(drop)
}

/// As other implementations carry it, so that the reason can be taken out again.
fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl AsyncRead for ClientTlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, reader: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = reader.filled().len();
        if !this.plaintext.is_empty() {
            let count = this.plaintext.len().min(reader.remaining());
            reader.put_slice(&this.plaintext[..count]);
            this.plaintext.advance(count);
            if this.plaintext.is_empty() {
                hand_on(&mut this.plaintext);
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = this.fault.take() {
            return Poll::Ready(Err(fault));
        }
        loop {
            let made = this.process_into(reader);
            // Answers to what has come; the reader does not wait for them.
            if !this.outgoing.is_empty()
                && let Poll::Ready(Err(error)) = this.poll_send(cx)
            {
                return Poll::Ready(Err(error));
            }
            match made {
                // What was whole before the fault counts.
                Err(fault) if reader.filled().len() > filled => this.fault = Some(fault),
                made => {
                    made?;
                }
            }
            if this.ended || reader.filled().len() > filled || reader.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let room = LARGE - this.incoming.len().min(LARGE / 2);
            make_room(&mut this.incoming, room);
            let read = pin!(this.tcp.read_buf(&mut this.incoming)).poll(cx);
            if read.is_pending() && this.incoming.is_empty() {
                hand_on(&mut this.incoming);
            }
            if ready!(read)? == 0 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the end came without close_notify",
                )));
            }
        }
    }
}

impl AsyncWrite for ClientTlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.len() >= MAX_OUTGOING {
            ready!(this.poll_send(cx))?;
        }
        let octets = &octets[..octets.len().min(RECORD)];
        let encrypt =
            |traffic: &mut WriteTraffic<'_, _>, outgoing: &mut BytesMut| match traffic.encrypt(octets, &mut []) {
                Ok(_) => Ok(()),
                Err(EncryptError::InsufficientSize(size)) => {
                    append(outgoing, size.required_size, |room| traffic.encrypt(octets, room))
                }
                Err(error) => Err(error),
            };
        match this.write_with(encrypt)? {
            Standing::Open => Poll::Ready(Ok(octets.len())),
            Standing::Blocked | Standing::Ended => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            let close = |traffic: &mut WriteTraffic<'_, _>, outgoing: &mut BytesMut| match traffic
                .queue_close_notify(&mut [])
            {
                Ok(_) => Ok(()),
                Err(EncryptError::InsufficientSize(size)) => {
                    append(outgoing, size.required_size, |room| traffic.queue_close_notify(room))
                }
                Err(error) => Err(error),
            };
            this.write_with(close)?;
            this.closing = true;
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}
