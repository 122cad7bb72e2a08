//! Meters for what a guest uses while it works on a message: CPU time and memory.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::ResourceLimiter;

use super::ticker::TICK;

/// Core instances, and tables, of one component at most. Interpreters that bring their language along need about forty.
const INSTANCES_MAX: usize = 200;

/// Linear memories of one component at most.
const MEMORIES_MAX: usize = 50;

/// Octets that an element of a table takes.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// The CPU time of one guest: that of the threads on which it ran, while it ran.
///
/// Time that it waits, for its turn or for the host, does not count. To ask the system for the time of a thread takes longer
/// than many a guest runs, so nobody asks before the first tick of its clock; until then, a turn has taken no more than the
/// wall clock says, and no more than a tick.
#[derive(Debug)]
pub(super) struct CpuMeter {
    limit: Duration,
    /// Nanoseconds of the turns that are over.
    spent: AtomicU64,
    /// What the clock showed, in nanoseconds, when the present turn began.
    began: AtomicU64,
    /// Turns before the first tick.
    turns: AtomicU64,
    /// Whether the clock is that of the thread.
    by_thread: AtomicBool,
    made: Instant,
}

impl CpuMeter {
    pub(super) fn new(limit: Duration) -> Self {
        let (spent, began, turns) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { limit, spent, began, turns, by_thread: AtomicBool::new(false), made: Instant::now() }
    }

    /// The time that may be spent.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether it is spent. To be asked in the course of a turn, at a tick.
    pub(super) fn is_over(&self) -> bool {
        if !self.by_thread.load(Ordering::Relaxed) {
            let ticks = self.turns.load(Ordering::Relaxed).saturating_mul(TICK.as_nanos() as u64);
            let spent = self.spent.load(Ordering::Relaxed).saturating_add(self.turn());
            self.spent.store(spent.min(ticks), Ordering::Relaxed);
            self.by_thread.store(true, Ordering::Relaxed);
            self.began.store(thread_time(), Ordering::Relaxed);
        }
        Duration::from_nanos(self.spent.load(Ordering::Relaxed).saturating_add(self.turn())) > self.limit
    }

    /// Runs a future on this meter: each poll is a turn.
    pub(super) async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            self.began.store(self.now(), Ordering::Relaxed);
            self.turns.fetch_add(1, Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            self.spent.fetch_add(self.turn(), Ordering::Relaxed);
            poll
        })
        .await
    }

    /// Nanoseconds of the present turn.
    fn turn(&self) -> u64 {
        self.now().saturating_sub(self.began.load(Ordering::Relaxed))
    }

    /// What the clock shows, in nanoseconds.
    fn now(&self) -> u64 {
        match self.by_thread.load(Ordering::Relaxed) {
            true => thread_time(),
            false => u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
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
        let limit = 10 * TICK;
        let busy = |meter: &CpuMeter| {
            let began = thread_time();
            while thread_time() - began < 2 * limit.as_nanos() as u64 {}
            meter.is_over()
        };
        let held_up = |meter: &CpuMeter| {
            std::thread::sleep(2 * limit);
            meter.is_over()
        };
        let meter = CpuMeter::new(limit);
        meter.measure(tokio::time::sleep(2 * limit)).await;
        assert!(!meter.measure(async { held_up(&meter) }).await, "up to the first tick a turn is no longer than one");
        assert!(!meter.measure(async { held_up(&meter) }).await, "what others do with the processor does not count");
        assert!(meter.measure(async { busy(&meter) }).await);
        assert!(meter.measure(async { meter.is_over() }).await, "what is spent stays spent");
    }
}
