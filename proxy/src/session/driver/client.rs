//! The client's connection: bounded input, batched output, deadlines.

use std::future::pending;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::{Opening, SMALL, Stranger, Stream, hand_on, make_room, within};
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
        let next = self.lines.next(&mut self.input, limit);
        if self.input.is_empty() {
            hand_on(&mut self.input);
        }
        next
    }

    /// Waits for more input; returns at its end too, see [`Self::ended`]. Cancellation-safe.
    pub(super) async fn fill(&mut self) -> Result<(), Gone> {
        // A connection at rest holds no buffer.
        self.stream.readable().await?;
        make_room(&mut self.input, SMALL);
        let known = self.input.len();
        if self.stream.read_buf(&mut self.input).await? == 0 {
            self.ended = true;
        }
        // Before a line is made of it, which would be answered.
        self.opening.feed(&self.input[known..]).map_or(Ok(()), |stranger| Err(Gone::Stranger(stranger)))
    }

    /// Takes input in while something else is waited for; returns only when the client is gone. Cancellation-safe.
    pub(super) async fn watch(&mut self) -> Gone {
        while !self.ended && self.input.len() < MAX_INPUT {
            if let Err(gone) = self.fill().await {
                return gone;
            }
        }
        pending().await
    }

    /// Queues octets.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        make_room(&mut self.output, bytes.len());
        self.output.extend_from_slice(bytes);
    }

    /// Queues octets through `write`.
    pub(super) fn queue_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
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
        write_all(&mut self.stream, [&self.output, bytes], self.stall).await?;
        self.output.clear();
        Ok(())
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        self.write_queued().await?;
        Ok(within(self.stall, self.stream.flush()).await.map_err(|_| Gone::Stalled(self.stall))??)
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
                let (mut octets, mut left) = (vec![0; 4096], 64);
                while left > 0 && matches!(self.stream.read(&mut octets).await, Ok(1..)) {
                    left -= 1;
                }
            }
        };
        let _ = timeout(CLOSING, ending).await;
    }

    async fn write_queued(&mut self) -> Result<(), Gone> {
        if !self.output.is_empty() {
            write_all(&mut self.stream, [&self.output, &[]], self.stall).await?;
        }
        // A connection at rest holds no buffer.
        if self.output.capacity() > 0 {
            hand_on(&mut self.output);
        }
        Ok(())
    }
}

/// Writes one after the other, as long as something moves: a status line leaves with what stands behind it, so that the client
/// wakes up once, and TLS records are full.
async fn write_all(stream: &mut Stream, [mut first, mut second]: [&[u8]; 2], stall: Duration) -> Result<(), Gone> {
    while !first.is_empty() || !second.is_empty() {
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let written = match (first, second) {
            (first, []) => within(stall, stream.write(first)).await,
            ([], second) => within(stall, stream.write(second)).await,
            _ => within(stall, stream.write_vectored(&slices)).await,
        };
        match written.map_err(|_| Gone::Stalled(stall))?? {
            0 => return Err(Gone::Io(io::ErrorKind::WriteZero.into())),
            count => {
                let behind = count.saturating_sub(first.len());
                first = &first[count.min(first.len())..];
                second = &second[behind..];
            }
        }
    }
    Ok(())
}
