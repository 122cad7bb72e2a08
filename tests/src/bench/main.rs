//! How many messages a second pass through popgate, and what they cost.
//!
//! A server with a mailbox in memory and the load generator run in this process; each proxy is a process of its own, so
//! that its processor time is its own. Each measurement is a fixed time in which clients log in, retrieve every message
//! of the mailbox once, compare each octet, and start again. No message comes twice in a session, so nothing is answered
//! from what was filtered before. The ways to the server take turns within every round, so that a busy machine
//! disturbs all of them alike; the medians of the rounds are printed. What single filters cost is another mode: [`filters`].

mod filters;
mod load;
mod report;
mod way;

use std::process::ExitCode;
use std::time::Duration;

use popgate_tests::mail;
use popgate_tests::upstream::mailbox::Mailbox;

use report::{Cell, Report};
use way::Way;

/// Sizes of messages in octets, and how many of them a mailbox holds.
const SIZES: [(&str, usize, usize); 3] = [("4 KB", 4_000, 200), ("50 KB", 50_000, 60), ("1 MB", 1_000_000, 8)];
/// How long one measurement takes.
const MEASUREMENT: Duration = Duration::from_millis(1_500);
/// How long every way is used before the first measurement.
const WARM_UP: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let (mut json, mut rounds, mut of_filters) = (false, 3, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "filters" => of_filters = true,
            "--json" => json = true,
            "--rounds" => match arguments.next().and_then(|rounds| rounds.parse().ok()) {
                Some(given @ 1..) => rounds = given,
                _ => return usage(),
            },
            _ => return usage(),
        }
    }
    if of_filters {
        filters::main(json);
        return ExitCode::SUCCESS;
    }
    let report = measure(rounds);
    if json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: popgate-bench [filters] [--json] [--rounds N]");
    ExitCode::from(2)
}

fn measure(rounds: usize) -> Report {
    let mut report = Report::default();
    for (name, octets, count) in SIZES {
        let messages: Vec<_> = (0..count).map(|number| numbered(octets, number)).collect();
        let mailbox = Mailbox::serve(&messages);
        let ways = Way::all(mailbox.address());
        for way in &ways {
            load::run(way, &messages, WARM_UP);
        }
        for round in 1..=rounds {
            eprintln!("{name}, round {round} of {rounds}");
            for way in &ways {
                let before = way.processor_time();
                let moved = load::run(way, &messages, MEASUREMENT);
                let spent = before.zip(way.processor_time()).map(|(before, after)| after - before);
                report.add(Cell::new(name, way.name(), moved, spent));
            }
        }
    }
    report
}

/// A message of about this size, unlike all others.
fn numbered(octets: usize, number: usize) -> Vec<u8> {
    [format!("X-Number: {number}\r\n").as_bytes(), &mail::of_size(octets)].concat()
}
