//! Rows that are written later, so that no message waits for them.
//!
//! ```text
//! session -> queue (bounded) -> a task -> one transaction for many
//! ```
//!
//! While the database is away the last ones are kept in memory, up to a bound, and what is lost is counted in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::{Inner, PATIENCE, StateError};

/// Rows of a kind that wait to be written, at most; later ones are lost.
pub(super) const WAITING: usize = 4096;

/// How long the task waits for more before it writes.
const GATHER: Duration = Duration::from_millis(500);

/// How often it looks meanwhile.
const GLANCE: Duration = Duration::from_millis(50);

/// How long it waits after the database has failed.
const PAUSE: Duration = Duration::from_secs(5);

/// What can be written later.
pub(super) trait Row: Sized + Send + Sync + 'static {
    /// What all of them are, for the log.
    const WHAT: &'static str;

    /// How many are written at a time, at most.
    const BATCH: usize;

    /// Octets of those that wait, at most; later ones are lost.
    const OCTETS: usize;

    /// What the task knows of those that it has written.
    type Written: Default + Send;

    /// Octets that count.
    fn octets(&self) -> usize;

    /// Writes some, all of them or none; begins before the deadline or not at all.
    fn write(
        inner: &Inner,
        rows: &[Self],
        written: &mut Self::Written,
        deadline: Instant,
    ) -> impl Future<Output = Result<(), StateError>> + Send;
}

/// Takes rows in. A clone is the same.
#[derive(Debug)]
pub(super) struct Writer<R> {
    queue: mpsc::Sender<Told<R>>,
    octets: Arc<AtomicUsize>,
}

impl<R> Clone for Writer<R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), octets: Arc::clone(&self.octets) }
    }
}

#[derive(Debug)]
enum Told<R> {
    Row(R),
    /// Everything before it is to be written now.
    Flush(oneshot::Sender<()>),
}

impl<R: Row> Writer<R> {
    /// Writes as long as somebody has it.
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let (queue, told) = mpsc::channel(WAITING);
        let octets = Arc::default();
        tokio::spawn(write(Arc::clone(inner), told, Arc::clone(&octets)));
        Self { queue, octets }
    }

    /// Takes one; waits for nothing.
    pub(super) fn note(&self, row: R) {
        let octets = row.octets();
        let waiting = self.octets.fetch_add(octets, Ordering::Relaxed);
        if waiting + octets > R::OCTETS || self.queue.try_send(Told::Row(row)).is_err() {
            self.octets.fetch_sub(octets, Ordering::Relaxed);
            // The task says how many it is behind; this would be said of each message.
            debug!("{} is not written down: too much waits", R::WHAT);
        }
    }

    /// Waits until what was taken is written, but not for long.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flush = async {
            if self.queue.send(Told::Flush(done)).await.is_ok() {
                // An error: the task has given up.
                let _ = written.await;
            }
        };
        let _ = timeout(2 * PATIENCE, flush).await;
    }
}

/// Writes what is told until nobody can tell more.
async fn write<R: Row>(inner: Arc<Inner>, mut told: mpsc::Receiver<Told<R>>, octets: Arc<AtomicUsize>) {
    let mut batch = Vec::new();
    let mut written = R::Written::default();
    let mut failing = false;
    while let Some(first) = told.recv().await {
        let mut flushed = gather(first, &mut batch, &mut told).await;
        while !batch.is_empty() {
            match R::write(&inner, &batch, &mut written, Instant::now() + PATIENCE).await {
                Ok(()) => {
                    failing = false;
                    clear(&mut batch, &octets);
                }
                Err(error) => {
                    if !failing {
                        warn!(%error, "{} can't be written down for now", R::WHAT);
                    }
                    failing = true;
                    // Whoever waits for the end does not wait for a database that is away.
                    flushed.clear();
                    sleep(PAUSE).await;
                    if told.is_closed() && told.is_empty() {
                        return;
                    }
                    let is_full = told.len() + R::BATCH >= WAITING || octets.load(Ordering::Relaxed) >= R::OCTETS / 2;
                    if is_full {
                        warn!(lost = batch.len(), "{} is not written down: the database is away", R::WHAT);
                        clear(&mut batch, &octets);
                    }
                }
            }
        }
        for done in flushed {
            let _ = done.send(());
        }
    }
}

fn clear<R: Row>(batch: &mut Vec<R>, octets: &AtomicUsize) {
    octets.fetch_sub(batch.iter().map(Row::octets).sum(), Ordering::Relaxed);
    batch.clear();
}

/// Takes what comes within a moment; those who wait for it. Nobody wakes this task for each message.
async fn gather<R: Row>(
    first: Told<R>,
    batch: &mut Vec<R>,
    told: &mut mpsc::Receiver<Told<R>>,
) -> Vec<oneshot::Sender<()>> {
    let end = Instant::now() + GATHER;
    let mut next = Some(first);
    while let Some(one) = next {
        match one {
            Told::Row(row) => batch.push(row),
            Told::Flush(done) => return vec![done],
        }
        if batch.len() >= R::BATCH || (told.is_empty() && Instant::now() >= end) {
            break;
        }
        while told.is_empty() && !told.is_closed() && Instant::now() < end {
            sleep(GLANCE).await;
        }
        next = told.try_recv().ok();
    }
    Vec::new()
}
