//! A far server: what a client waits for that asks for one message after the other.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use popgate_tests::clients::{self, Account, Mechanism, Tls};
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::{mail, process};

use crate::load::{ask, logged_in, skip_body};
use crate::mode::{Mode, Pki};
use crate::peer::{self, Peer};
use crate::way::{Kind, Way};

/// Time from a command to its reply.
const DELAY: Duration = Duration::from_millis(50);

/// Messages, and the octets of each.
const MESSAGES: (usize, usize) = (200, 10_000);

/// Seconds for the mailbox, by the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) way: String,
    /// RETR of each.
    pub(crate) retr: f64,
    /// RETR and DELE of each.
    pub(crate) dele: f64,
    /// fetchmail by default, which sends LIST, TOP and DELE of each; none if it is not installed.
    pub(crate) fetchmail: Option<f64>,
}

/// Measures all ways.
pub(crate) fn measure(pki: &Pki) -> Vec<Row> {
    let messages: Vec<_> = (0..MESSAGES.0).map(|_| mail::of_size(MESSAGES.1)).collect();
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
            .map(|way| {
                let client = |dele| scope.spawn(move || download(way, dele));
                (way.name(), client(false), client(true), scope.spawn(|| fetchmail(way)))
            })
            .collect();
        runs.into_iter()
            .map(|(way, retr, dele, fetchmail)| Row {
                way: way.to_owned(),
                retr: ended(retr).as_secs_f64(),
                dele: ended(dele).as_secs_f64(),
                fetchmail: ended(fetchmail).map(|time| time.as_secs_f64()),
            })
            .collect()
    })
}

fn ended<T>(client: thread::ScopedJoinHandle<'_, T>) -> T {
    client.join().expect("a client ends well")
}

fn download(way: &Way, dele: bool) -> Duration {
    let begun = Instant::now();
    let session = || -> std::io::Result<()> {
        let mut line = logged_in(way, None)?;
        ask(&mut line, way, "STAT")?;
        for number in 1..=MESSAGES.0 {
            ask(&mut line, way, &format!("RETR {number}"))?;
            skip_body(&mut line)?;
            if dele {
                ask(&mut line, way, &format!("DELE {number}"))?;
            }
        }
        ask(&mut line, way, "QUIT")
    };
    session().unwrap_or_else(|error| panic!("{}: {error}", way.name()));
    begun.elapsed()
}

fn fetchmail(way: &Way) -> Option<Duration> {
    process::find("fetchmail")?;
    let account = Account {
        port: way.address().port(),
        user: "alice",
        password: "secret",
        tls: Tls::None,
        mechanism: Mechanism::User,
        ca: Path::new("/none"),
        count: MESSAGES.0,
    };
    let begun = Instant::now();
    let came = clients::move_by_fetchmail(&account);
    assert_eq!(came.len(), MESSAGES.0, "{}", way.name());
    Some(begun.elapsed())
}
