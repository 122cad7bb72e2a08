//! How many sessions and messages a second pass through popgate and through others, and what they cost.
//!
//! Servers with mailboxes in memory and the load generator run in this process; each proxy is a process of its own, so
//! that its processor time is its own. Each measurement is a fixed time in which clients log in, retrieve messages,
//! compare each octet, and start again. No message comes twice in a session, so nothing is answered from what was
//! filtered before. The ways to the server take turns within every round, so that a busy machine disturbs all of them
//! alike; the medians of the rounds are printed. What single filters cost is another mode: [`filters`]; how
//! well mail is judged is a third: [`corpus`].

mod beside;
mod corpus;
mod far;
mod filters;
mod idle;
mod line;
mod load;
mod mode;
mod options;
mod peer;
mod plot;
mod relay;
mod report;
mod way;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use popgate_tests::connection::stuff;
use popgate_tests::{mail, process};

use load::{Expected, Task};
use mode::{Mode, Pki, Servers};
use options::Options;
use report::{Cell, Report};
use way::{Kind, Way};

/// A kind of load.
#[derive(Clone, Copy, Debug)]
struct Workload {
    name: &'static str,
    /// Octets of a message, how many a mailbox has; none where clients only log in.
    messages: Option<(usize, usize)>,
    clients: usize,
    /// Clients come back and resume their TLS sessions.
    returning: bool,
    /// Ways that filter take part.
    filtered: bool,
}

/// All of them.
const WORKLOADS: [Workload; 7] = [
    Workload { name: "sessions", messages: None, clients: 16, returning: false, filtered: false },
    Workload { name: "sessions resumed", messages: None, clients: 16, returning: true, filtered: false },
    Workload { name: "4 KB", messages: Some((4_000, 200)), clients: 8, returning: false, filtered: false },
    Workload { name: "10 KB", messages: Some((10_000, 200)), clients: 8, returning: false, filtered: true },
    Workload { name: "50 KB", messages: Some((50_000, 60)), clients: 8, returning: false, filtered: true },
    Workload { name: "1 MB", messages: Some((1_000_000, 8)), clients: 4, returning: false, filtered: true },
    Workload { name: "25 MB", messages: Some((25_000_000, 2)), clients: 2, returning: false, filtered: false },
];

/// How long every way is used before the first measurement, as a part of one.
const WARM_UP: u32 = 4;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("relay") => {
            return relay::main(&arguments[1..]).map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS);
        }
        Some("filters") => {
            filters::main(arguments.iter().any(|argument| argument == "--json"));
            return ExitCode::SUCCESS;
        }
        Some("corpus") => {
            let Some(folder) = arguments.get(1) else { return usage() };
            corpus::main(Path::new(folder));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match Options::parse(&arguments).and_then(|options| run(&options).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{}", options::USAGE);
    ExitCode::from(2)
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn run(options: &Options) -> std::io::Result<()> {
    let descriptors = idle::raise_descriptors();
    let folder = process::folder();
    let pki = Pki::create(folder.path());
    let mut report = Report::default();
    for mode in options.modes() {
        for workload in WORKLOADS.iter().filter(|workload| options.wants(workload.name)) {
            // Plain connections have nothing to resume.
            if workload.returning && !mode.client_has_tls() {
                continue;
            }
            measure(&mut report, options, mode, workload, &pki);
            print!("{}", report.table(mode, workload.name));
        }
        if options.wants("idle") {
            at_rest(&mut report, options, mode, descriptors, &pki);
        }
    }
    if options.wants("beside") {
        let (rows, missing) = beside::measure(options.rounds, Duration::from_secs_f64(options.seconds));
        report.set_beside(rows, missing);
    }
    if options.wants("far") {
        report.set_far(far::measure(&pki));
    }
    options.write(&report)
}

/// All ways of a mode under one load.
fn measure(report: &mut Report, options: &Options, mode: Mode, workload: &Workload, pki: &Pki) {
    let (octets, count) = workload.messages.unwrap_or((1_000, 1));
    let messages: Vec<_> = (0..count).map(|number| numbered(octets, number)).collect();
    let expected: Vec<_> = messages.iter().map(|message| expected(message)).collect();
    let servers = Servers::serve(&messages, pki);
    let task = if workload.messages.is_some() { Task::Retrieve(&expected) } else { Task::Visit };
    let mut ways = Vec::new();
    for kind in options.kinds() {
        // What filters do costs the same whoever speaks TLS.
        if kind.filters() && !(workload.filtered && mode == Mode::Plain) {
            continue;
        }
        match kind.start(mode, &servers, pki) {
            Ok(way) => ways.push((kind, way)),
            Err(reason) => report.is_missing(mode, kind.name(), reason),
        }
    }
    let time = Duration::from_secs_f64(options.seconds);
    let load = |way: &Way, time| {
        let tls = way.tls().map(|full| if workload.returning { &pki.returning } else { full });
        load::run(way, task, workload.clients, tls, time)
    };
    for (_, way) in &ways {
        load(way, time / WARM_UP);
    }
    for round in 1..=options.rounds {
        eprintln!("{}, {}, round {round} of {}", workload.name, mode.name(), options.rounds);
        for (kind, way) in &ways {
            let before = way.processor_time();
            let done = load(way, time);
            let spent = before.zip(way.processor_time()).map(|(before, after)| after.saturating_sub(before));
            report.add(Cell::new(mode, workload.name, kind.name(), &done, spent));
        }
    }
}

/// The memory of connections at rest.
fn at_rest(report: &mut Report, options: &Options, mode: Mode, descriptors: u64, pki: &Pki) {
    let servers = Servers::serve(&[numbered(1_000, 0)], pki);
    // Each takes two of this process, and popgate's two are its own.
    let count = options.idle.min(usize::try_from(descriptors / 3).unwrap_or(usize::MAX));
    for kind in options.kinds().into_iter().filter(|kind| *kind != Kind::Direct && !kind.filters()) {
        // A process for each connection: nobody keeps thousands of them.
        let heavy = matches!(kind, Kind::Peer(peer::Kind::Perdition | peer::Kind::Stunnel));
        let Ok(way) = kind.start(mode, &servers, pki) else { continue };
        eprintln!("at rest, {}, {}", mode.name(), kind.name());
        if let Some(kib) = idle::memory(&way, if heavy { count.min(200) } else { count }) {
            report.add_idle(mode, kind.name(), kib);
        }
    }
}

/// A message of about this size, unlike all others.
fn numbered(octets: usize, number: usize) -> Vec<u8> {
    [format!("X-Number: {number}\r\n").as_bytes(), &mail::of_size(octets)].concat()
}

fn expected(message: &[u8]) -> Expected {
    let stuffed = stuff(message);
    let body = stuffed.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
    Expected { stuffed, body }
}
