//! What the clients with windows have in common: they never end by themselves, and start other processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::PATIENCE;
use crate::process::{Process, poll, program};

/// How long one may take to start and to fetch a mailbox.
const DOWNLOAD: Duration = Duration::from_secs(60);

/// The command of an installed program that takes all its children with it when it is killed.
pub(super) fn contained(name: &str, package: &str) -> Command {
    let mut command = Command::new(program("unshare", "util-linux"));
    if !geteuid().is_root() {
        command.args(["--user", "--map-current-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program(name, package));
    command
}

/// Runs a client until it has written down in a file that it has seen so many messages, then ends it.
///
/// # Errors
///
/// What it has printed, if that does not happen.
pub(super) fn run_until(command: &mut Command, records: &Path, count: usize, mark: &str) -> Result<(), String> {
    let mut process = Process::start(command);
    let seen =
        || fs::read_to_string(records).map_or(0, |text| text.lines().filter(|line| line.starts_with(mark)).count());
    let done = poll(Instant::now() + DOWNLOAD, || match seen() >= count {
        true => Some(true),
        false => process.wait(Duration::ZERO).map(|_ended| false),
    });
    process.kill();
    match done {
        Some(true) => Ok(()),
        _ => Err(format!("{} of {count} messages\n{}{}", seen(), process.output().text(), process.errors().text())),
    }
}

/// A screen that nobody sees, in the form of `DISPLAY`. It ends with the test process.
///
/// # Panics
///
/// If Xvfb is not installed, or does not get ready.
pub(super) fn screen() -> String {
    static SCREEN: OnceLock<(Process, String)> = OnceLock::new();
    let (_, name) = SCREEN.get_or_init(|| {
        let mut command = Command::new(program("Xvfb", "xvfb"));
        // It chooses a free number itself, and tells.
        command.args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"]);
        let process = Process::start(&mut command);
        let number = process.output().find(PATIENCE, |line| line.trim().parse::<u32>().ok());
        (process, format!(":{}", number.expect("Xvfb gets ready")))
    });
    name.clone()
}

/// A folder in the client's own, made with all above it.
pub(super) fn folder(path: PathBuf) -> PathBuf {
    fs::create_dir_all(&path).expect("a new folder can be written");
    path
}
