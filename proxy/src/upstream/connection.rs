//! A conversation with a server: commands out, replies in, nothing that was not asked for.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroize;

use crate::net::{Alarm, LARGE, Stream, UpstreamPermit, hand_on, make_room};
use crate::pop3::{MAX_GREETING, MAX_REPLY_LINE, sasl};

/// The longest challenge: the token, and what a line has around it.
const MAX_CHALLENGE: usize = sasl::MAX_TOKEN + 4;

/// For how long a server is left in peace that is never sent a NOOP.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection broke, or ended where it must not.
    #[error("the upstream's connection broke: {0}")]
    Io(#[from] io::Error),
    /// The server closed it.
    #[error("the upstream closed the connection")]
    Closed,
    /// Nothing came for too long.
    #[error("the upstream sent nothing for {0:?}")]
    Stalled(Duration),
    /// A line beyond [`MAX_GREETING`] or [`MAX_REPLY_LINE`].
    #[error("a line of the upstream is longer than {0} octets")]
    LongLine(usize),
    /// Octets that no command has asked for.
    #[error("the upstream spoke without being asked")]
    Unasked,
}

/// A connection to a server.
pub struct Connection {
    stream: Stream,
    /// Counts for as long as the connection is there, and no longer: it is dropped right behind it.
    permit: Option<Box<UpstreamPermit>>,
    input: BytesMut,
    output: BytesMut,
    /// The stream may hold octets that it has taken and not sent.
    unflushed: bool,
    /// Replies, and bodies of replies, that have not been read to their end.
    outstanding: usize,
    /// The oldest reply outstanding is that of a NOOP of the proxy's own.
    fed: bool,
    /// When the last octet moved.
    moved: Instant,
    stall: Duration,
    noop_after: Duration,
    alarm: Alarm,
}

impl Connection {
    /// Takes over a stream. `stall`: how long nothing may move while something is awaited.
    pub(super) fn new(stream: Stream, stall: Duration) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            outstanding: 0,
            fed: false,
            moved: Instant::now(),
            stall,
            noop_after: Duration::MAX,
            alarm: Alarm::default(),
            permit: None,
        }
    }

    /// The same with the right to it.
    pub(super) fn with_permit(self, permit: Option<Box<UpstreamPermit>>) -> Self {
        Self { permit, ..self }
    }

    /// Somebody has logged in.
    pub fn authenticated(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.authenticated();
        }
    }

    /// Changes how long nothing may move.
    pub(super) fn set_stall(&mut self, stall: Duration) {
        self.stall = stall;
    }

    /// For how long the server may be left in silence.
    pub(super) fn noop_after(&self) -> Duration {
        self.noop_after
    }

    /// Changes how long nothing may move before the server is sent a NOOP, lest its idle timer runs out.
    pub(super) fn set_noop_after(&mut self, noop_after: Duration) {
        self.noop_after = noop_after;
    }

    /// The line that no command asks for, without CRLF.
    ///
    /// # Errors
    ///
    /// Those of [`Self::reply`].
    pub(super) async fn greeting(&mut self) -> Result<Bytes, Fault> {
        self.status(MAX_GREETING).await
    }

    /// Expects the lines behind the status line of the reply that was just read, up to [`Self::body_ended`].
    pub fn expect_body(&mut self) {
        self.outstanding += 1;
    }

    /// The lines behind a status line have been read to their end.
    pub fn body_ended(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Queues a command line without its CRLF; [`Self::flush`] sends it.
    ///
    /// # Errors
    ///
    /// When the server has already said something although nothing was asked.
    pub fn command(&mut self, line: &[u8]) -> Result<(), Fault> {
        if self.outstanding == 0 && (!self.input.is_empty() || self.has_input()?) {
            return Err(Fault::Unasked);
        }
        self.outstanding += 1;
        make_room(&mut self.output, line.len() + 2);
        self.output.extend_from_slice(line);
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Sends octets as they are: what comes before the conversation, and is none of its commands.
    ///
    /// # Errors
    ///
    /// Those of [`Self::flush`].
    pub async fn pass_on(&mut self, octets: &[u8]) -> Result<(), Fault> {
        self.output.extend_from_slice(octets);
        self.flush().await
    }

    /// Sends what is queued. Cancellation-safe.
    ///
    /// # Errors
    ///
    /// When the connection breaks or does not take it in time.
    pub async fn flush(&mut self) -> Result<(), Fault> {
        if self.output.is_empty() && !self.unflushed {
            return Ok(());
        }
        let mut due = None;
        poll_fn(|context| {
            if let Poll::Ready(sent) = self.poll_send(context) {
                return Poll::Ready(sent.map_err(Fault::Io));
            }
            let due = *due.get_or_insert_with(|| Instant::now() + self.stall);
            self.alarm.poll_at(context, due).map(|()| Err(Fault::Stalled(self.stall)))
        })
        .await?;
        hand_on(&mut self.output);
        self.moved = Instant::now();
        Ok(())
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unflushed = true;
        while !self.output.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.output))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            // It may have carried a password.
            self.output[..count].zeroize();
            self.output.advance(count);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// When the server has been silent for so long that it is due a NOOP.
    pub fn noop_due(&self) -> Instant {
        // An interval without end is one of years.
        self.moved.checked_add(self.noop_after).unwrap_or_else(|| self.moved + YEAR)
    }

    /// Sends a NOOP and reads its reply, if nothing else is outstanding. Cancellation-safe: a reply that is not read here
    /// is dropped before the next one is read.
    ///
    /// # Errors
    ///
    /// When the server goes away, stalls or speaks without being asked.
    pub async fn noop(&mut self) -> Result<(), Fault> {
        if self.outstanding == 0 {
            self.command(b"NOOP")?;
            self.fed = true;
        }
        self.flush().await?;
        self.moved = Instant::now();
        self.drop_noop().await
    }

    /// Sends NOOPs for as long as it is polled; returns only when the server is gone. Cancellation-safe.
    pub async fn keep_awake(&mut self) -> Fault {
        loop {
            sleep_until(self.noop_due()).await;
            if let Err(fault) = self.noop().await {
                return fault;
            }
        }
    }

    /// Reads the reply to a NOOP of the proxy's own, if that is the next one.
    async fn drop_noop(&mut self) -> Result<(), Fault> {
        if self.fed {
            let line = self.status(MAX_REPLY_LINE).await?;
            if !line.starts_with(b"+OK") && !line.starts_with(b"-ERR") {
                return Err(Fault::Unasked);
            }
            self.fed = false;
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        Ok(())
    }

    /// The status line or challenge that answers the oldest command, without CRLF. A lone LF ends it too.
    ///
    /// # Errors
    ///
    /// When the server goes away, stalls or floods.
    pub async fn reply(&mut self) -> Result<Bytes, Fault> {
        self.answer(MAX_REPLY_LINE).await
    }

    /// The same within a SASL exchange, where it may be a long challenge.
    ///
    /// # Errors
    ///
    /// Those of [`Self::reply`].
    pub async fn challenge(&mut self) -> Result<Bytes, Fault> {
        self.answer(MAX_CHALLENGE).await
    }

    async fn answer(&mut self, most: usize) -> Result<Bytes, Fault> {
        self.drop_noop().await?;
        let line = self.status(most).await?;
        self.outstanding = self.outstanding.saturating_sub(1);
        Ok(line)
    }

    /// The next line of a multi-line reply, without CRLF. A lone LF ends none: what one reader takes for the end of the
    /// reply must be its end for all.
    ///
    /// # Errors
    ///
    /// Those of [`Self::reply`].
    pub async fn line(&mut self) -> Result<Bytes, Fault> {
        self.until(b"\r\n", MAX_REPLY_LINE).await
    }

    async fn status(&mut self, most: usize) -> Result<Bytes, Fault> {
        let line = self.until(b"\n", most).await?;
        Ok(match line.strip_suffix(b"\r") {
            Some(text) => line.slice_ref(text),
            None => line,
        })
    }

    /// What comes before `end`, which must be within the next `most` octets.
    async fn until(&mut self, end: &[u8], most: usize) -> Result<Bytes, Fault> {
        let mut searched = 0;
        loop {
            if let Some(at) = memmem::find(&self.input[searched..], end).map(|at| searched + at) {
                if at + end.len() > most {
                    return Err(Fault::LongLine(most));
                }
                let line = self.input.split_to(at).freeze();
                self.input.advance(end.len());
                return Ok(line);
            }
            if self.input.len() >= most {
                return Err(Fault::LongLine(most));
            }
            // The end may be there in part.
            searched = self.input.len().saturating_sub(end.len() - 1);
            self.fill().await?;
        }
    }

    /// Octets that have come and are not used yet.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Waits for more octets. Cancellation-safe.
    ///
    /// # Errors
    ///
    /// When the server goes away or sends nothing for too long.
    pub async fn fill(&mut self) -> Result<usize, Fault> {
        let mut due = None;
        poll_fn(|context| {
            if let Poll::Ready(more) = self.poll_more(context) {
                return Poll::Ready(more);
            }
            // The clock is asked where there is a wait, and once.
            let due = *due.get_or_insert_with(|| Instant::now() + self.stall);
            self.alarm.poll_at(context, due).map(|()| Err(Fault::Stalled(self.stall)))
        })
        .await
    }

    /// Waits for more octets, however long nothing comes. Cancellation-safe.
    ///
    /// # Errors
    ///
    /// When the server goes away.
    pub async fn more(&mut self) -> Result<usize, Fault> {
        poll_fn(|context| self.poll_more(context)).await
    }

    /// Takes in what has come. A connection that waits for octets needs no buffer for them; all that wait share one that the
    /// processor has at hand.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        ready!(self.stream.poll_readable(context))?;
        make_room(&mut self.input, LARGE);
        match ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))? {
            0 => Poll::Ready(Err(Fault::Closed)),
            count => {
                self.moved = Instant::now();
                Poll::Ready(Ok(count))
            }
        }
    }

    /// While there is nothing to do, until this time: what was asked for is taken in, up to so many octets and a piece more;
    /// where nothing was, the server must be silent.
    ///
    /// # Errors
    ///
    /// When the server goes away, or speaks without being asked.
    pub fn poll_rest(
        &mut self,
        context: &mut Context<'_>,
        asked_for: Option<usize>,
        until: Instant,
    ) -> Poll<Result<(), Fault>> {
        match asked_for {
            Some(most) => {
                while self.input.len() < most {
                    match self.poll_more(context) {
                        Poll::Ready(more) => more?,
                        Poll::Pending => break,
                    };
                }
            }
            None => {
                if let Poll::Ready(fault) = self.poll_disturbance(context) {
                    return Poll::Ready(Err(fault));
                }
            }
        }
        self.alarm.poll_at(context, until).map(Ok)
    }

    /// Whether the server does what it must not do now: speaks or leaves.
    fn poll_disturbance(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        if !self.input.is_empty() {
            return Poll::Ready(Fault::Unasked);
        }
        if self.input.capacity() > 0 {
            hand_on(&mut self.input);
        }
        let mut octet = [0; 1];
        let mut buffer = ReadBuf::new(&mut octet);
        match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
            Ok(()) if buffer.filled().is_empty() => Poll::Ready(Fault::Closed),
            Ok(()) => Poll::Ready(Fault::Unasked),
            Err(error) => Poll::Ready(Fault::Io(error)),
        }
    }

    /// Whether octets lie ready that nobody has asked for.
    fn has_input(&mut self) -> Result<bool, Fault> {
        let mut octet = [0; 1];
        match self.stream.read_ready(&mut octet) {
            None => Ok(false),
            Some(Ok(0)) => Err(Fault::Closed),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(Fault::Io(error)),
        }
    }

    /// The stream again, with nothing left in the buffers.
    ///
    /// # Errors
    ///
    /// When octets of the server are left: they must not outlive a change of the stream (RFC 2595 section 4).
    pub(super) fn into_stream(self) -> Result<Stream, Fault> {
        if self.input.is_empty() { Ok(self.stream) } else { Err(Fault::Unasked) }
    }

    /// Takes the right to the connection out, for the one that follows over the same stream.
    pub(super) fn take_permit(&mut self) -> Option<Box<UpstreamPermit>> {
        self.permit.take()
    }
}
