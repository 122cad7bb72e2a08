//! Memory of connections at rest.

use std::io::BufReader;
use std::sync::Arc;
use std::time::{Duration, Instant};

use popgate_tests::process::poll;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;

use crate::line::Line;
use crate::load::{ask, logged_in};
use crate::way::Way;

/// Logged-in connections that warm a proxy up before its memory is looked at.
const WARM: usize = 50;
/// How long memory must have stayed the same.
const SETTLED: Duration = Duration::from_millis(300);

/// Raises the limit of open descriptors as far as it goes; gives how many there may be.
pub(crate) fn raise_descriptors() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(1 << 20);
    let _stays_as_it_is = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    most
}

/// KiB of the proxy's own memory for each of so many connections that have logged in and wait.
pub(crate) fn memory(way: &Way, count: usize) -> Option<f64> {
    let tls = way.tls();
    let mut waiting = connections(way, WARM, tls);
    let before = settled(way)?;
    waiting.extend(connections(way, count, tls));
    let after = settled(way)?;
    drop(waiting);
    Some(after.saturating_sub(before) as f64 / count as f64 / 1024.0)
}

fn connections(way: &Way, count: usize, tls: Option<&Arc<ClientConfig>>) -> Vec<BufReader<Line>> {
    let one = |_| {
        let mut line = logged_in(way, tls).unwrap_or_else(|error| panic!("{}: {error}", way.name()));
        // Whatever a login leaves behind, a command does away with.
        ask(&mut line, way, "NOOP").unwrap_or_else(|error| panic!("{}: {error}", way.name()));
        line
    };
    (0..count).map(one).collect()
}

fn settled(way: &Way) -> Option<u64> {
    let (mut last, mut since) = (way.memory()?, Instant::now());
    poll(Instant::now() + 10 * SETTLED, || {
        let now = way.memory()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > SETTLED).then_some(last)
    })
    .or(Some(last))
}
