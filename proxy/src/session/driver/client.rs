//! The client's connection: bounded input, batched output, deadlines.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::net::{Alarm, Opening, SMALL, Stranger, Stream, hand_on, make_room};
use crate::pop3::{LineReader, Next};

/// Queued input of a client, in octets; what is above waits in the socket.
const MAX_INPUT: usize = 64 * 1024;
/// How long the end of a connection may take once everything is sent.
const CLOSING: Duration = Duration::from_secs(2);
/// Output is sent when this much is there, in octets.
const BATCH: usize = 32 * 1024;

/// The client is gone, or might as well be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Gone {
    /// The connection broke.
    #[error("the client's connection broke: {0}")]
    Io(#[from] io::Error),
    /// It does not take what is sent.
    #[error("the client took nothing for {0:?}")]
    Stalled(Duration),
    /// It is no client, and gets no answer.
    #[error("the client begins with {0}")]
    Stranger(Stranger),
}

/// The client's connection.
pub(super) struct Client {
    stream: Stream,
    opening: Opening,
    input: BytesMut,
    lines: LineReader,
    output: BytesMut,
    stall: Duration,
    alarm: Alarm,
    /// Octets have left since the alarm was set.
    moved: bool,
    ended: bool,
}

impl Client {
    /// Takes over a stream. `stall`: how long the client may take nothing of what is sent.
    pub(super) fn new(stream: Stream, stall: Duration) -> Self {
        Self {
            stream,
            opening: Opening::default(),
            input: BytesMut::new(),
            lines: LineReader::default(),
            output: BytesMut::new(),
            stall,
            alarm: Alarm::default(),
            moved: false,
            ended: false,
        }
    }

    /// Whether TLS protects the connection.
    pub(super) fn is_encrypted(&self) -> bool {
        self.stream.is_encrypted()
    }

    /// The user whom the client's certificate is for, where it has shown one.
    pub(super) fn certified_user(&self) -> Option<String> {
        self.stream.certified_user()
    }

    /// The host name that it has asked for in its TLS handshake.
    pub(super) fn server_name(&self) -> Option<String> {
        self.stream.server_name()
    }

    /// Takes the connection apart; what was received and not used is lost.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// True if octets have been received that no line was made of.
    pub(super) fn has_input(&self) -> bool {
        self.lines.inside_line(&self.input)
    }

    /// Octets that have come and were not used yet.
    pub(super) fn received(&self) -> &[u8] {
        &self.input
    }

    /// Takes so many octets off the front of [`Self::received`].
    pub(super) fn take(&mut self, count: usize) -> BytesMut {
        let taken = self.input.split_to(count);
        if self.input.is_empty() {
            hand_on(&mut self.input);
        }
        taken
    }

    /// The client will send nothing more.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The next line, if it is there.
    pub(super) fn next_line(&mut self, limit: impl Fn(&[u8]) -> usize) -> Next {
        if self.input.is_empty() {
            return Next::More;
        }
        self.lines.next(&mut self.input, limit)
    }

    /// Leaves the buffer of the input to others, if nothing is in it and no line of it is in use any more.
    pub(super) fn leave_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            hand_on(&mut self.input);
        }
    }

    /// Waits for more input; returns at its end too, see [`Self::ended`]. Cancellation-safe.
    pub(super) async fn fill(&mut self) -> Result<(), Gone> {
        poll_fn(|context| self.poll_fill(context)).await
    }

    /// Takes more input in, if there is some.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        // A connection at rest holds no buffer.
        ready!(self.stream.poll_readable(context))?;
        make_room(&mut self.input, SMALL);
        let known = self.input.len();
        if ready!(pin!(self.stream.read_buf(&mut self.input)).poll(context))? == 0 {
            self.ended = true;
        }
        // Before a line is made of it, which would be answered.
        Poll::Ready(self.opening.feed(&self.input[known..]).map_or(Ok(()), |stranger| Err(Gone::Stranger(stranger))))
    }

    /// Takes input in while something else is waited for; returns only when the client is gone. Cancellation-safe.
    pub(super) async fn watch(&mut self) -> Gone {
        poll_fn(|context| self.poll_watch(context)).await
    }

    /// Takes input in while something else is waited for; ready only when the client is gone.
    pub(super) fn poll_watch(&mut self, context: &mut Context<'_>) -> Poll<Gone> {
        while !self.ended && self.input.len() < MAX_INPUT {
            if let Err(gone) = ready!(self.poll_fill(context)) {
                return Poll::Ready(gone);
            }
        }
        Poll::Pending
    }

    /// Reads and forgets; false at the end.
    async fn stream_drained(&mut self) -> bool {
        if poll_fn(|context| self.stream.poll_readable(context)).await.is_err() {
            return false;
        }
        self.input.clear();
        make_room(&mut self.input, SMALL);
        matches!(self.stream.read_buf(&mut self.input).await, Ok(1..))
    }

    /// Queues octets.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        make_room(&mut self.output, bytes.len());
        self.output.extend_from_slice(bytes);
    }

    /// Queues so many octets, about, through `write`.
    pub(super) fn queue_with(&mut self, room: usize, write: impl FnOnce(&mut BytesMut)) {
        make_room(&mut self.output, room);
        write(&mut self.output);
    }

    /// Sends what is queued if that is much.
    pub(super) async fn send_batch(&mut self) -> Result<(), Gone> {
        if self.output.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Sends octets behind what is queued, without copying them if they are many.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if bytes.len() < BATCH / 4 {
            self.queue(bytes);
            return self.send_batch().await;
        }
        let (mut sent, mut due) = (0, None);
        poll_fn(|context| {
            let written = self.poll_write(context, bytes, &mut sent);
            self.in_time(context, written, &mut due)
        })
        .await
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let mut due = None;
        poll_fn(|context| {
            let mut flushed = self.poll_write(context, &[], &mut 0);
            if let Poll::Ready(Ok(())) = flushed {
                // A connection at rest holds no buffer.
                if self.output.capacity() > 0 {
                    hand_on(&mut self.output);
                }
                flushed = Pin::new(&mut self.stream).poll_flush(context).map(|flushed| flushed.map_err(Gone::from));
            }
            self.in_time(context, flushed, &mut due)
        })
        .await
    }

    /// Writes what is queued and these octets, of which so many are `sent` already: a status line leaves with what stands behind
    /// it, so that the client wakes up once, and TLS records are full.
    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8], sent: &mut usize) -> Poll<Result<(), Gone>> {
        loop {
            let rest = &octets[*sent..];
            let stream = Pin::new(&mut self.stream);
            let written = match (&self.output[..], rest) {
                ([], []) => return Poll::Ready(Ok(())),
                (queued, []) => stream.poll_write(context, queued),
                ([], rest) => stream.poll_write(context, rest),
                (queued, rest) => stream.poll_write_vectored(context, &[IoSlice::new(queued), IoSlice::new(rest)]),
            };
            let count = ready!(written)?;
            if count == 0 {
                return Poll::Ready(Err(Gone::Io(io::ErrorKind::WriteZero.into())));
            }
            self.moved = true;
            let queued = count.min(self.output.len());
            self.output.advance(queued);
            *sent += count - queued;
        }
    }

    /// Lets a client that takes nothing wait for so long and no longer.
    fn in_time(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<Result<(), Gone>>,
        due: &mut Option<Instant>,
    ) -> Poll<Result<(), Gone>> {
        if sent.is_ready() {
            return sent;
        }
        if std::mem::take(&mut self.moved) {
            *due = None;
        }
        let due = *due.get_or_insert_with(|| Instant::now() + self.stall);
        self.alarm.poll_at(context, due).map(|()| Err(Gone::Stalled(self.stall)))
    }

    /// Ends the connection in order: what was sent arrives, even where the client has sent more than was read.
    pub(super) async fn close(mut self) {
        // A slow client has as long for its last replies as for all others.
        if self.flush().await.is_err() {
            return;
        }
        let ending = async {
            if self.stream.shutdown().await.is_ok() {
                // Closing with unread input would reset the connection, and the last reply with it.
                let mut left = 64;
                while left > 0 && self.stream_drained().await {
                    left -= 1;
                }
            }
        };
        let _ = timeout(CLOSING, ending).await;
    }
}
