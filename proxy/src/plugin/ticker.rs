//! The clock of the engine: a thread that moves the epoch on, so that running guests look up once a tick.
//!
//! It ends with the engine, and rests while no guest runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How long a guest may run before the thread that it runs on can do something else.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a guest after which the clock of the engine stops.
pub(super) const QUIET: u32 = 100;

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Ticker {
    state: Arc<State>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct State {
    running: AtomicUsize,
    resting: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the clock of an engine. It stops when there was no guest for `quiet` ticks.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(engine: EngineWeak, quiet: u32) -> io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let handle =
            thread::Builder::new().name("popgate-ticker".into()).spawn(move || tick(&engine, quiet, &shared))?;
        Ok(Self { state, thread: handle.thread().clone() })
    }

    /// Keeps the clock going as long as the answer lives.
    pub(super) fn running(&self) -> Running {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.resting.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.state))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A guest that runs.
#[derive(Debug)]
pub(super) struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, quiet_max: u32, state: &State) {
    let mut quiet = 0;
    while !state.stopped.load(Ordering::SeqCst) {
        thread::park_timeout(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        quiet = if state.running.load(Ordering::SeqCst) == 0 { quiet + 1 } else { 0 };
        if quiet > quiet_max {
            // First the sign, then the look: a guest that starts in between either sees the sign or is seen.
            state.resting.store(true, Ordering::SeqCst);
            drop(engine);
            if state.running.load(Ordering::SeqCst) == 0 && !state.stopped.load(Ordering::SeqCst) {
                thread::park();
            }
            state.resting.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until something holds; a test that waits for ever is a failed one.
    fn wait_for(mut holds: impl FnMut() -> bool) {
        while !holds() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_clock_rests_without_guests_and_goes_on_with_one() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(engine.weak(), 0).unwrap();
        for _ in 0..5 {
            wait_for(|| ticker.state.resting.load(Ordering::SeqCst));
            let guest = ticker.running();
            wait_for(|| !ticker.state.resting.load(Ordering::SeqCst));
            drop(guest);
        }
    }

    #[test]
    fn the_clock_ends_with_its_handle() {
        let engine = wasmtime::Engine::default();
        for quiet in [0, 1_000] {
            let ticker = Ticker::start(engine.weak(), quiet).unwrap();
            let state = Arc::clone(&ticker.state);
            drop(ticker);
            wait_for(|| Arc::strong_count(&state) == 1);
        }
    }
}
