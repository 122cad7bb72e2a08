//! WASI 0.2 as guests find it: all of its interfaces, and nothing behind them.
//!
//! No file, no socket, no name look-up, no environment, no argument, no input. There is a clock, coarse so that it
//! times no cache, and there are random numbers.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::limits::CHUNK_MAX;
use super::log::{Log, Printed};

/// How fine the clocks are.
const RESOLUTION: Duration = Duration::from_millis(1);

/// The zero of the monotonic clock, one for all guests: a reading that a guest carries along stays comparable.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The world of one guest, which prints into `log`.
pub(super) fn closed(log: &Log) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(Printed(log.clone()))
        .stderr(Printed(log.clone()))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(CHUNK_MAX as u64)
        .wall_clock(Coarse)
        .monotonic_clock(Coarse)
        .build()
}

struct Coarse;

impl HostWallClock for Coarse {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now - Duration::from_nanos(u64::from(now.subsec_nanos()) % RESOLUTION.as_nanos() as u64)
    }
}

impl HostMonotonicClock for Coarse {
    fn resolution(&self) -> u64 {
        RESOLUTION.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        START.elapsed().as_millis() as u64 * RESOLUTION.as_nanos() as u64
    }
}
