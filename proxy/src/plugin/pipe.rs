//! A message as the standard input of a command, and its standard output as a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::limits::CHUNK_MAX;
use super::record::{GROWTH, Room};
use crate::message::{BuildError, Builder, Message};

/// What stands around a command.
pub(super) struct Pipes {
    pub(super) input: Input,
    pub(super) output: Output,
    /// The environment.
    pub(super) variables: Vec<(String, String)>,
}

/// A message that is read once, from wherever a command reads its input. A clone is the same input.
#[derive(Clone)]
pub(super) struct Input(Arc<Mutex<Unread>>);

struct Unread {
    message: Message,
    at: u64,
}

impl Input {
    pub(super) fn new(message: Message) -> Self {
        Self(Arc::new(Mutex::new(Unread { message, at: 0 })))
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut unread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = unread.message.read(unread.at, size.min(CHUNK_MAX));
        if octets.is_empty() && size > 0 {
            return Err(StreamError::Closed);
        }
        unread.at += octets.len() as u64;
        Ok(octets.into())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

/// Why an output can't be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Overflow {
    /// A message does not grow like that.
    #[error("wrote more than {0} octets")]
    TooMuch(u64),
    /// There is no room for it.
    #[error("what it wrote could not be kept: {0}")]
    Room(#[from] BuildError),
}

/// What a command writes. A clone is the same output.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<Written>>);

struct Written {
    room: Room,
    /// None before the first octet.
    builder: Option<Builder>,
    octets_max: u64,
    overflow: Option<Overflow>,
}

impl Output {
    /// An output of a command that reads a message of this many octets: at most twice as many and 1 MiB.
    pub(super) fn new(message_octets: u64, room: Room) -> Self {
        let octets_max = message_octets.saturating_mul(2).saturating_add(GROWTH);
        Self(Arc::new(Mutex::new(Written { room, builder: None, octets_max, overflow: None })))
    }

    /// What was written; none if nothing was.
    ///
    /// # Errors
    /// It was too much.
    pub(super) fn close(self) -> Result<Option<Message>, Overflow> {
        let mut written = self.written();
        match (written.overflow.take(), written.builder.take()) {
            (Some(overflow), _) => Err(overflow),
            (None, Some(builder)) => Ok(Some(builder.finish()?)),
            (None, None) => Ok(None),
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Ends a guest that has written too much: it might go on as long as it may run.
    fn open(&self) -> StreamResult<()> {
        match &self.overflow {
            None => Ok(()),
            Some(overflow) => Err(StreamError::Trap(wasmtime::format_err!("{overflow}"))),
        }
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Overflow> {
        let Room { limits, budget } = &self.room;
        let builder = self.builder.get_or_insert_with(|| Builder::new(limits.clone(), Arc::clone(budget)));
        if builder.len().saturating_add(octets.len() as u64) > self.octets_max {
            return Err(Overflow::TooMuch(self.octets_max));
        }
        Ok(builder.push(octets)?)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, octets: Bytes) -> StreamResult<()> {
        let mut written = self.written();
        if written.overflow.is_none() && !octets.is_empty() {
            written.overflow = written.write(&octets).err();
        }
        written.open()
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.written().open().map(|()| CHUNK_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}
