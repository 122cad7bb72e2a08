//! Sessions without a filter beside sessions whose filters take long: what the slow ones cost the others.
//!
//! One popgate has two listeners. Behind one nothing is filtered, and a single client there retrieves messages; behind the
//! other a filter runs, and several clients keep it busy.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use popgate_tests::popgate::Popgate;
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::{guest, process};

use crate::filters;
use crate::line::Line;
use crate::load::{self, Done, Expected, Task};
use crate::way::Way;

/// Octets of a message, and how many there are.
const MESSAGES: (usize, usize) = (4_000, 50);
/// Clients behind the filter.
const BUSY: usize = 8;
/// How long the busy ones have been at it before the other client begins.
const LEAD: Duration = Duration::from_millis(500);

/// A filter that never comes to an end; its CPU time is limited, and then the next one begins.
const LOOP: &str = "(loop $again (br $again)) i32.const 0";

/// What a client without a filter found, by what went on beside it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) beside: &'static str,
    pub(crate) rates: Vec<f64>,
    pub(crate) medians: Vec<f64>,
    pub(crate) tails: Vec<f64>,
}

/// What goes on beside it.
struct Neighbour {
    name: &'static str,
    popgate: Popgate,
    /// Clients behind the filter; or behind none, for comparison.
    busy: usize,
    listener: &'static str,
}

/// Measures all, and says what is missing.
pub(crate) fn measure(rounds: usize, time: Duration) -> (Vec<Row>, Option<String>) {
    let messages: Vec<_> = (0..MESSAGES.1).map(|number| crate::numbered(MESSAGES.0, number)).collect();
    let expected: Vec<_> = messages.iter().map(|message| crate::expected(message)).collect();
    let mailbox = Mailbox::serve(&messages);
    let folder = process::folder();
    let looping = folder.path().join("loop.wasm");
    process::write(&looping, guest::component(LOOP));
    let (looping, none) = (shown(&looping), ("rewrite".to_owned(), "{}".to_owned()));
    let mut neighbours = vec![
        Neighbour::start("nobody", &none, 0, "open", &mailbox),
        Neighbour::start("8 clients without a filter", &none, BUSY, "open", &mailbox),
        Neighbour::start("8 clients, a filter that loops", &(looping, "{}".to_owned()), BUSY, "filtered", &mailbox),
    ];
    let python = filters::example_in("python");
    if let Some(python) = &python {
        neighbours.insert(2, Neighbour::start("8 clients, a filter in Python", python, BUSY, "filtered", &mailbox));
    }
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=rounds {
        eprintln!("beside filters, round {round} of {rounds}");
        for neighbour in &neighbours {
            let done = neighbour.beside(&expected, time);
            let row = match rows.iter_mut().find(|row| row.beside == neighbour.name) {
                Some(row) => row,
                None => {
                    let (beside, rates, medians, tails) = (neighbour.name, Vec::new(), Vec::new(), Vec::new());
                    rows.push(Row { beside, rates, medians, tails });
                    rows.last_mut().expect("it was pushed just now")
                }
            };
            row.rates.push(done.operations as f64 / done.time.as_secs_f64());
            row.medians.push(done.percentile(50));
            row.tails.push(done.percentile(99));
        }
    }
    let missing = python.is_none().then(|| {
        "the example in Python is not built: popgate plugin test --install-tools plugins/examples/python".to_owned()
    });
    (rows, missing)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Neighbour {
    fn start(
        name: &'static str,
        (plugin, settings): &(String, String),
        busy: usize,
        listener: &'static str,
        mailbox: &Mailbox,
    ) -> Self {
        let listeners: String = ["open", "filtered"]
            .map(|name| format!("[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n"))
            .concat();
        let config = format!(
            "[limits]\nsessions_per_address = 1000\n{listeners}\
             [[upstream]]\nname = \"server\"\naddress = \"{}\"\n\
             [[filter]]\nname = \"slow\"\nplugin = {}\nconfig = {settings}\nonly.listener = [\"filtered\"]\n",
            mailbox.address(),
            toml::Value::from(plugin.as_str()),
        );
        let popgate = Popgate::start_in_with(process::folder(), &config, &["--log", "error"]);
        Self { name, popgate, busy, listener }
    }

    /// What a client behind no filter gets while the others are busy.
    fn beside(&self, expected: &[Expected], time: Duration) -> Done {
        let way = |listener| Way::straight(self.name, self.popgate.listener(listener).address);
        let (open, busy, over) = (way("open"), way(self.listener), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..self.busy {
                scope.spawn(|| retrieve_until(&busy, &over));
            }
            if self.busy > 0 {
                let begun = Instant::now();
                load::run(&open, Task::Retrieve(expected), 1, None, LEAD.saturating_sub(begun.elapsed()));
            }
            let done = load::run(&open, Task::Retrieve(expected), 1, None, time);
            over.store(true, Ordering::Relaxed);
            done
        })
    }
}

/// Retrieves messages, whatever comes of it, until it is over.
fn retrieve_until(way: &Way, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let session = || -> io::Result<()> {
            let mut line = load::logged_in(way, None)?;
            for number in 1..=MESSAGES.1 {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if is_given(&mut line, number)? {
                    load::skip_body(&mut line)?;
                }
            }
            Ok(())
        };
        session().unwrap_or_else(|error| panic!("{}: {error}", way.name()));
    }
}

/// Whether the server gives the message.
fn is_given(line: &mut BufReader<Line>, number: usize) -> io::Result<bool> {
    let writer = line.get_mut();
    writer.write_all(format!("RETR {number}\r\n").as_bytes())?;
    writer.flush()?;
    let mut reply = String::new();
    line.read_line(&mut reply)?;
    Ok(reply.starts_with("+OK"))
}
