//! The threads that sessions live on: one for each processor, each with a runtime of its own.
//!
//! A session stays on its thread. What it waits for wakes that thread and no other, and nothing that it uses is shared
//! between processors; a pool of threads that take each other's work pays for that with every message. Filters that
//! compute for long are the exception: they go to the runtime that started the workers, which is such a pool.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

/// How often a worker wakes, whatever else it waits for.
///
/// A timer that ends before all others of its runtime makes tokio write to the runtime's own wake-up descriptor, also on its own
/// thread: two calls of the system for each new session, whose first deadlines are the nearest. Behind this clock none is the nearest.
const CLOCK: Duration = Duration::from_secs(1);

/// All of them. They end when this is dropped, and what still runs there with them.
pub(super) struct Workers {
    workers: Vec<Worker>,
    next: AtomicUsize,
}

struct Worker {
    handle: Handle,
    #[expect(dead_code, reason = "it is there to be dropped")]
    ends: oneshot::Sender<()>,
}

impl Workers {
    /// Starts one for each processor.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no descriptors for its runtime.
    pub(super) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = (0..count).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self { workers, next: AtomicUsize::new(0) })
    }

    /// The one whose turn it is.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.workers[turn % self.workers.len()].handle
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (ends, end) = oneshot::channel();
        thread::Builder::new().name(format!("popgate-{number}")).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // Dropped or told: it is over in any case.
                    _ = end => {}
                    never = tick() => never,
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, ends })
    }
}

/// Keeps the clock going.
async fn tick() -> ! {
    let mut clock = interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
    }
}
