//! What a guest writes for the operator: its log lines, and what it prints, bounded and made harmless.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::text;

/// Octets of a line.
const LINE_MAX: usize = 1_024;

/// Octets of all lines for one message.
const TOTAL_MAX: usize = 64 * 1_024;

/// Octets at the end of what was printed that a failure shows.
const LAST_WORDS_MAX: usize = 400;

/// How much a line matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
}

/// The log of one guest on one message. A clone is the same log.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    plugin: Arc<str>,
    left: usize,
    dropped: u64,
    /// Printed, and not yet a whole line.
    line: Vec<u8>,
    /// The line that was printed first.
    first_line: String,
    /// The lines that were printed last.
    last_words: String,
    /// Lines that were not told to anybody yet, if somebody else is to do that.
    kept: Option<Vec<(Level, String)>>,
}

impl Log {
    pub(super) fn new(plugin: Arc<str>) -> Self {
        let (first_line, last_words) = (String::new(), String::new());
        let lines = Lines { plugin, left: TOTAL_MAX, dropped: 0, line: Vec::new(), first_line, last_words, kept: None };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// Writes a line.
    pub(super) fn write(&self, level: Level, text: &str) {
        self.lines().write(level, text);
    }

    /// From now on lines are kept instead of told.
    pub(super) fn keep(&self) {
        self.lines().kept.get_or_insert_default();
    }

    /// The lines that were kept.
    pub(super) fn kept(&self) -> Vec<(Level, String)> {
        let mut lines = self.lines();
        lines.end_line();
        lines.kept.take().unwrap_or_default()
    }

    /// Ends the log: an incomplete line is written, and how many lines were dropped is said.
    pub(super) fn finish(&self) {
        let mut lines = self.lines();
        lines.end_line();
        let dropped = std::mem::take(&mut lines.dropped);
        if dropped > 0 {
            tracing::warn!(target: "popgate::filter", plugin = %lines.plugin, dropped, "the filter wrote too much, lines were dropped");
        }
    }

    /// The line that was printed first; empty if nothing was.
    pub(super) fn first_line(&self) -> String {
        let mut lines = self.lines();
        lines.end_line();
        lines.first_line.clone()
    }

    /// What was printed last, in one line; empty if nothing was.
    pub(super) fn last_words(&self) -> String {
        let mut lines = self.lines();
        lines.end_line();
        text::printable(&lines.last_words, LAST_WORDS_MAX)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Lines are whole whatever happened to somebody who held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, level: Level, text: &str) {
        let text = text::printable(text, LINE_MAX);
        if text.is_empty() {
            return;
        }
        if text.len() > self.left {
            self.dropped += 1;
            return;
        }
        self.left -= text.len();
        if let Some(kept) = &mut self.kept {
            kept.push((level, text));
            return;
        }
        let plugin = &*self.plugin;
        match level {
            Level::Debug => tracing::debug!(target: "popgate::filter", plugin, "{text}"),
            Level::Info => tracing::info!(target: "popgate::filter", plugin, "{text}"),
            Level::Warn => tracing::warn!(target: "popgate::filter", plugin, "{text}"),
        }
    }

    fn print(&mut self, octets: &[u8]) {
        for part in octets.split_inclusive(|octet| *octet == b'\n') {
            let room = LINE_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if self.first_line.is_empty() {
            self.first_line.push_str(line);
        }
        if !self.last_words.is_empty() {
            self.last_words.push(' ');
        }
        self.last_words.push_str(line);
        let too_much = self.last_words.len().saturating_sub(LAST_WORDS_MAX);
        self.last_words.drain(..self.last_words.ceil_char_boundary(too_much));
        self.write(Level::Info, line);
    }
}

/// The log as the guest's standard output and standard error.
#[derive(Debug)]
pub(super) struct Printed(pub(super) Log);

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self(self.0.clone()))
    }
}

impl OutputStream for Printed {
    fn write(&mut self, octets: Bytes) -> StreamResult<()> {
        // What is too much is dropped and counted, not refused: a guest that talks much still examines mail.
        self.0.lines().print(&octets);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(super::limits::CHUNK_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let log = Log::new("noisy".into());
        for _ in 0..1_000 {
            log.write(Level::Info, &"x".repeat(5_000));
        }
        assert!(log.lines().left < LINE_MAX + 3);
        assert_eq!(log.lines().dropped, 1_000 - 63);
        log.finish();
        assert_eq!(log.lines().dropped, 0);
    }

    #[test]
    fn the_last_words_are_the_same_however_they_are_printed() {
        let text = "first\nthread panicked at lib.rs:1:2:\n\n  index out of bounds: é\nno line end";
        for cut in 0..text.len() {
            let log = Log::new("panics".into());
            log.lines().print(&text.as_bytes()[..cut]);
            log.lines().print(&text.as_bytes()[cut..]);
            let expected = "first thread panicked at lib.rs:1:2: index out of bounds: é no line end";
            assert_eq!(log.last_words(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn endless_printing_takes_no_memory() {
        let log = Log::new("endless".into());
        for _ in 0..10_000 {
            log.lines().print(&[b'x'; 1_000]);
            log.lines().print("é\n".as_bytes());
        }
        assert!(log.last_words().len() <= LAST_WORDS_MAX + 4);
        assert!(log.lines().line.capacity() <= 2 * LINE_MAX);
    }
}
