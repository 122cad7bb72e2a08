//! Memory of connections at rest, and a far server.

use std::io::BufReader;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use popgate_tests::mail;
use popgate_tests::process::poll;
use popgate_tests::upstream::mailbox::Mailbox;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;

use crate::line::Line;
use crate::load::{ask, logged_in};
use crate::mode::{Mode, Pki};
use crate::peer::{self, Peer};
use crate::way::{Kind, Way};

/// Logged-in connections that warm a proxy up before its memory is looked at.
const WARM: usize = 50;
/// How long memory must have stayed the same.
const SETTLED: Duration = Duration::from_millis(300);

/// The distance of the far server: time from a command to its reply.
const DELAY: Duration = Duration::from_millis(50);
/// Its messages, and the octets of each.
const FAR: (usize, usize) = (200, 10_000);

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

/// Seconds that a client needs for the mailbox of a far server, without and with DELE behind each RETR, by way.
pub(crate) fn far(pki: &Pki) -> Vec<(String, f64, f64)> {
    let messages: Vec<_> = (0..FAR.0).map(|_| mail::of_size(FAR.1)).collect();
    let server = Mailbox::serve_far(&messages, DELAY).address();
    let ahead = "read_ahead = 16";
    let mut ways = vec![
        Way::straight("direct", server),
        Way::popgate_with("popgate", Kind::Popgate, server, "", pki),
        Way::popgate_with("popgate, read_ahead = 16", Kind::Popgate, server, ahead, pki),
        Way::popgate_with("popgate, read_ahead = 16, 3 header filters", Kind::Three, server, ahead, pki),
    ];
    if let Ok(peer) = Peer::start(peer::Kind::Haproxy, Mode::Plain, server, pki) {
        ways.push(Way::of_peer("HAProxy", peer));
    }
    // They wait rather than work, so they do so together.
    thread::scope(|scope| {
        let runs: Vec<_> = ways
            .iter()
            .map(|way| (way, scope.spawn(|| download(way, false)), scope.spawn(|| download(way, true))))
            .collect();
        let seconds =
            |run: thread::ScopedJoinHandle<'_, Duration>| run.join().expect("a client ends well").as_secs_f64();
        runs.into_iter().map(|(way, plain, dele)| (way.name().to_owned(), seconds(plain), seconds(dele))).collect()
    })
}

fn download(way: &Way, dele: bool) -> Duration {
    let begun = Instant::now();
    let session = || -> std::io::Result<()> {
        let mut line = logged_in(way, None)?;
        ask(&mut line, way, "STAT")?;
        for number in 1..=FAR.0 {
            ask(&mut line, way, &format!("RETR {number}"))?;
            crate::load::skip_body(&mut line)?;
            if dele {
                ask(&mut line, way, &format!("DELE {number}"))?;
            }
        }
        ask(&mut line, way, "QUIT")
    };
    session().unwrap_or_else(|error| panic!("{}: {error}", way.name()));
    begun.elapsed()
}
