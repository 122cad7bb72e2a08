//! popgate itself on mail in files.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use popgate_tests::{popgate, process};
use serde_json::Value;

use super::figures::Judged;
use super::mail::Mail;

/// The default of `certain`.
pub(super) const CERTAIN: f64 = 0.9;

/// For one run over all mail.
const PATIENCE: Duration = Duration::from_secs(1200);

const SERVER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n\
                      [[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n";

/// How long learning and judging took, in sum.
#[derive(Debug, Default)]
pub(super) struct Speed {
    learned: Spent,
    judged: Spent,
    /// What the reports say of the filter alone.
    inside: Duration,
    octets: usize,
}

#[derive(Debug, Default)]
struct Spent {
    mails: usize,
    elapsed: Duration,
    /// Of all processors, of the whole program from start to end.
    processor: Duration,
}

impl Spent {
    /// Runs a program over so many mails and returns what it prints.
    fn run(&mut self, command: &mut Command, mails: usize) -> String {
        let (begin, before) = (Instant::now(), processor_time());
        let ended = process::run(command, PATIENCE);
        assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
        self.mails += mails;
        self.elapsed += begin.elapsed();
        self.processor += processor_time().saturating_sub(before);
        ended.output
    }
}

/// That of all programs that were run here and have ended.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is known");
    let time = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or_default())
    };
    time(usage.user_time()) + time(usage.system_time())
}

impl fmt::Display for Speed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { learned, judged, inside, octets } = self;
        let rate = |mails: usize, time: Duration| mails as f64 / time.as_secs_f64();
        write!(
            formatter,
            "judged: {:.0} messages for each second of a processor, of {} octets on average, the whole program; {:.0} a second within the \
             filter, its reads from the store included\nlearned: {:.0} messages for each second of a processor, {:.0} a second",
            rate(judged.mails, judged.processor),
            octets / judged.mails.max(1),
            rate(judged.mails, *inside),
            rate(learned.mails, learned.processor),
            rate(learned.mails, learned.elapsed),
        )
    }
}

/// Has popgate learn some mail and judge other mail, with an empty state and its defaults.
pub(super) fn judge(folder: &Path, train: &[&Mail], test: &[&Mail], speed: &mut Speed) -> Vec<Judged> {
    let config = popgate::configuration(folder, &format!("{SERVER}[[filter]]\nplugin = \"spam\"\n"));
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _there_is_none = fs::remove_file(folder.join("state").join(file));
    }
    for (label, spam) in [("--spam", true), ("--ham", false)] {
        let mails: Vec<_> = train.iter().filter(|mail| mail.spam == spam).copied().collect();
        let mails_folder = files(folder, &mails);
        let mut command = popgate::command();
        command.args(["learn", label, "--config"]).arg(&config).arg(&mails_folder);
        speed.learned.run(&mut command, mails.len());
    }
    let reports = filter(folder, &config, test, &mut speed.judged);
    let judged = test.iter().zip(&reports).map(|(mail, report)| {
        speed.octets += mail.octets.len();
        speed.inside += Duration::from_micros(report["filters"][0]["microseconds"].as_u64().unwrap_or_default());
        let probability = report["findings"][0]["value"].as_f64();
        Judged { spam: mail.spam, probability: probability.unwrap_or_else(|| panic!("no probability: {report}")) }
    });
    judged.collect()
}

/// The reports of `popgate filter` on mails, in their order.
pub(super) fn reports(folder: &Path, filters: &str, mails: &[&Mail]) -> Vec<Value> {
    let config = popgate::configuration(folder, &format!("{SERVER}{filters}"));
    filter(folder, &config, mails, &mut Spent::default())
}

fn filter(folder: &Path, config: &Path, mails: &[&Mail], spent: &mut Spent) -> Vec<Value> {
    let mails_folder = files(folder, mails);
    let mut command = popgate::command();
    let output = spent.run(command.args(["filter", "--json", "--config"]).arg(config).arg(mails_folder), mails.len());
    let reports: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("a report is a line of JSON")).collect();
    assert_eq!(reports.len(), mails.len(), "a report for each mail");
    reports
}

/// Writes mails into a folder of files whose names have their order.
fn files(folder: &Path, mails: &[&Mail]) -> std::path::PathBuf {
    let folder = folder.join("mails");
    let _there_is_none = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder can be made");
    for (at, mail) in mails.iter().enumerate() {
        process::write(&folder.join(format!("{at:06}.eml")), &mail.octets);
    }
    folder
}
