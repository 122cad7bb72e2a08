//! Meters for what a guest uses while it works on a message: CPU time and memory.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::ResourceLimiter;

/// Core instances, and tables, of one component at most. Interpreters that bring their language along need about forty.
const INSTANCES_MAX: usize = 200;

/// Linear memories of one component at most.
const MEMORIES_MAX: usize = 50;

/// Octets that an element of a table takes.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// The CPU time of one guest: that of the threads on which it ran, while it ran.
///
/// Time that it waits, for its turn or for the host, does not count.
#[derive(Debug)]
pub(super) struct CpuMeter {
    limit: Duration,
    /// Nanoseconds of the turns that are over.
    spent: AtomicU64,
    /// What the thread's clock showed, in nanoseconds, when the present turn began.
    began: AtomicU64,
}

impl CpuMeter {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, spent: AtomicU64::new(0), began: AtomicU64::new(0) }
    }

    /// The time that may be spent.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether it is spent. To be asked in the course of a turn.
    pub(super) fn is_over(&self) -> bool {
        let turn = thread_time().saturating_sub(self.began.load(Ordering::Relaxed));
        Duration::from_nanos(self.spent.load(Ordering::Relaxed).saturating_add(turn)) > self.limit
    }

    /// Runs a future on this meter: each poll is a turn.
    pub(super) async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let began = thread_time();
            self.began.store(began, Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            self.spent.fetch_add(thread_time().saturating_sub(began), Ordering::Relaxed);
            poll
        })
        .await
    }
}

/// CPU time of this thread in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// The memory of one guest: all its linear memories and tables together, as wasmtime asks for them.
#[derive(Debug)]
pub(super) struct MemoryMeter {
    limit: usize,
    used: usize,
    /// What was granted last, and is given back if it could not be had.
    granted: usize,
    denied: bool,
}

impl MemoryMeter {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, granted: 0, denied: false }
    }

    /// Lets it grow by so many octets more.
    pub(super) fn raise(&mut self, octets: usize) {
        self.limit = self.limit.saturating_add(octets);
    }

    /// Whether the guest was ever refused memory.
    pub(super) fn has_denied(&self) -> bool {
        self.denied
    }

    fn grow(&mut self, octets: usize) -> bool {
        let used = self.used.saturating_add(octets);
        let granted = used <= self.limit;
        if granted {
            self.used = used;
        }
        self.granted = if granted { octets } else { 0 };
        self.denied |= !granted;
        granted
    }

    fn undo(&mut self) {
        self.used -= std::mem::take(&mut self.granted);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut meter = MemoryMeter::new(1000);
        assert!(meter.memory_growing(0, 600, None).unwrap());
        assert!(meter.table_growing(0, 50, None).unwrap());
        assert!(!meter.has_denied());
        assert!(!meter.memory_growing(600, 601, None).unwrap());
        assert!(meter.has_denied());
    }

    #[test]
    fn memory_that_could_not_be_had_does_not_count() {
        let mut meter = MemoryMeter::new(1000);
        for _ in 0..3 {
            assert!(meter.memory_growing(0, 900, None).unwrap());
            meter.memory_grow_failed(wasmtime::Error::msg("the system has none")).unwrap();
        }
        // Refused by the meter itself: nothing is to be given back.
        assert!(!meter.memory_growing(0, 1001, None).unwrap());
        meter.memory_grow_failed(wasmtime::Error::msg("refused")).unwrap();
        assert!(meter.memory_growing(0, 1000, None).unwrap());
        assert!(!meter.memory_growing(0, 1, None).unwrap());
    }

    #[tokio::test]
    async fn cpu_time_counts_work_and_not_waiting() {
        let meter = CpuMeter::new(Duration::from_millis(20));
        meter.measure(tokio::time::sleep(Duration::from_millis(60))).await;
        assert!(meter.measure(async { !meter.is_over() }).await);
        let busy = async {
            let began = thread_time();
            while thread_time() - began < 30_000_000 {}
            meter.is_over()
        };
        assert!(meter.measure(busy).await);
    }
}
