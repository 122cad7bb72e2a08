//! WASI 0.2 as guests find it: all of its interfaces, and nothing behind them.
//!
//! No file, no name look-up, no socket but to addresses that the configuration grants; environment, argument and input for commands alone. There is a clock, coarse so that it
//! times no cache, and there are random numbers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use popgate_config::Grant;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::limits::CHUNK_MAX;
use super::log::{Log, Printed};
use super::pipe::Pipes;

/// Whether a guest gets what it is granted outside of itself: as a rule it does. While it is configured for messages to come
/// it does not, and what it asks for is noted: what it would find now is not what it will find then.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(Option<Arc<AtomicBool>>);

impl Reach {
    /// What is asked for is noted instead of granted.
    pub(super) fn noted() -> Self {
        Self(Some(Arc::default()))
    }

    /// The guest asks for something; whether it may have it.
    pub(super) fn may(&self) -> bool {
        if let Some(noted) = &self.0 {
            noted.store(true, Ordering::Relaxed);
        }
        self.0.is_none()
    }

    /// Whether something was noted.
    pub(super) fn was_reached(&self) -> bool {
        self.0.as_ref().is_some_and(|noted| noted.load(Ordering::Relaxed))
    }
}

/// How fine the clocks are.
const RESOLUTION: Duration = Duration::from_millis(1);

/// What the monotonic clock showed when it was first read, and when that was. It goes on from the time of day, so that a
/// reading of another process, in the snapshot of a configured filter, stays comparable.
static START: LazyLock<(Duration, Instant)> = LazyLock::new(|| (since_epoch(), Instant::now()));

/// The world of one guest, which prints into `log`.
pub(super) fn closed(log: &Log, grant: &Arc<Grant>, reach: &Reach) -> WasiCtx {
    let mut builder = bare(log);
    open(&mut builder, grant, reach);
    builder.stdout(Printed(log.clone())).build()
}

/// The world of a command: it reads a message, writes one, and finds some variables.
pub(super) fn command(log: &Log, grant: &Arc<Grant>, reach: &Reach, name: &str, pipes: Pipes) -> WasiCtx {
    let mut builder = around(log, name, pipes);
    open(&mut builder, grant, reach);
    builder.build()
}

/// The same for a program for WASI 0.1.
pub(super) fn program(log: &Log, name: &str, pipes: Pipes) -> WasiP1Ctx {
    around(log, name, pipes).build_p1()
}

/// The world of a program that does not run.
pub(super) fn no_program(log: &Log) -> WasiP1Ctx {
    bare(log).build_p1()
}

fn around(log: &Log, name: &str, pipes: Pipes) -> WasiCtxBuilder {
    let mut builder = bare(log);
    builder.arg(name).stdin(pipes.input).stdout(pipes.output).envs(&pipes.variables);
    builder
}

/// Opens the way to what is granted.
fn open(builder: &mut WasiCtxBuilder, grant: &Arc<Grant>, reach: &Reach) {
    if grant.connect.is_empty() {
        return;
    }
    let (grant, reach) = (Arc::clone(grant), reach.clone());
    builder.allow_tcp(true).socket_addr_check(move |address, purpose| {
        let allowed = match purpose {
            SocketAddrUse::TcpConnect => grant.connect.contains(&address) && reach.may(),
            // What the system does by itself before it connects.
            SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
            _ => false,
        };
        Box::pin(async move { allowed })
    });
}

fn bare(log: &Log) -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stderr(Printed(log.clone()))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(CHUNK_MAX as u64)
        .wall_clock(Coarse)
        .monotonic_clock(Coarse);
    builder
}

struct Coarse;

impl HostWallClock for Coarse {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        let now = since_epoch();
        now - Duration::from_nanos(u64::from(now.subsec_nanos()) % RESOLUTION.as_nanos() as u64)
    }
}

impl HostMonotonicClock for Coarse {
    fn resolution(&self) -> u64 {
        RESOLUTION.as_nanos() as u64
    }

    /// Never 0, which Go's runtime takes for a broken clock.
    fn now(&self) -> u64 {
        let (start, read) = *START;
        let ticks = (start + read.elapsed()).as_nanos() / RESOLUTION.as_nanos() + 1;
        ticks as u64 * RESOLUTION.as_nanos() as u64
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_reads_zero() {
        assert!(HostMonotonicClock::now(&Coarse) >= RESOLUTION.as_nanos() as u64);
    }
}
