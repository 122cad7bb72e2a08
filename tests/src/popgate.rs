//! The proxy under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{self, Ended, LogOnFailure, Process};
use crate::{PATIENCE, START, connection::Connection, machine_code};

/// The command that builds what the tests drive.
const BUILD: &str = "cargo build --release --locked -p popgate";

/// `popgate run` with a configuration of the test's own, in a folder of its own.
#[derive(Debug)]
pub struct Popgate {
    process: Process,
    folder: TempDir,
    listeners: BTreeMap<String, Listener>,
    ca: Option<PathBuf>,
}

/// A listener as popgate has announced it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its mode: `none`, `stls`, `stls-required` or `implicit`.
    pub tls: String,
}

impl Popgate {
    /// Starts it and waits until it is ready. `{dir}` in the configuration stands for the test's folder, and
    /// `state_dir` is a folder in there.
    ///
    /// # Panics
    ///
    /// If the binary is missing or does not get ready; with its standard error.
    #[must_use]
    pub fn start(config: &str) -> Self {
        Self::start_in(process::folder(), config)
    }

    /// Starts it with more arguments than the configuration.
    ///
    /// # Panics
    ///
    /// As [`Popgate::start`].
    #[must_use]
    pub fn start_with(config: &str, arguments: &[&str]) -> Self {
        Self::launch(process::folder(), config, arguments, START)
    }

    /// Starts it in a folder that holds files for it already.
    ///
    /// # Panics
    ///
    /// As [`Popgate::start`].
    #[must_use]
    pub fn start_in(folder: TempDir, config: &str) -> Self {
        Self::launch(folder, config, &[], START)
    }

    /// The same with arguments before `run`.
    ///
    /// # Panics
    ///
    /// As [`Popgate::start`].
    #[must_use]
    pub fn start_in_with(folder: TempDir, config: &str, arguments: &[&str]) -> Self {
        Self::launch(folder, config, arguments, START)
    }

    /// Starts it where it has much to do until it is ready: it compiles large plugins.
    ///
    /// # Panics
    ///
    /// As [`Popgate::start`].
    #[must_use]
    pub fn start_within(config: &str, patience: Duration) -> Self {
        Self::launch(process::folder(), config, &[], patience)
    }

    fn launch(folder: TempDir, config: &str, arguments: &[&str], patience: Duration) -> Self {
        let file = configuration(folder.path(), config);
        let state = folder.path().join("state");
        machine_code::lend(&state);
        let mut command = command();
        command.args(arguments).arg("run").arg("--config").arg(file);
        let process = Process::start_in(folder.path(), &mut command);
        let mut listeners = BTreeMap::new();
        let mut ca = None;
        let ready = process.output().find(patience, |line| {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["ready"] => return Some(()),
                ["listening", name, address, tls] => {
                    let address = address.parse().unwrap_or_else(|_| panic!("no address in {line:?}"));
                    listeners.insert(name.to_owned(), Listener { address, tls: tls.to_owned() });
                }
                _ => {
                    let path = line.strip_prefix("ca ").unwrap_or_else(|| panic!("unexpected line {line:?}"));
                    ca = Some(PathBuf::from(path));
                }
            }
            None
        });
        assert!(ready.is_some(), "popgate did not get ready with\n{config}");
        machine_code::collect(&state);
        Self { process, folder, listeners, ca }
    }

    /// Ends it at once, as a loss of power would, and starts it again in the same folder with the configuration that is there.
    ///
    /// # Panics
    ///
    /// As [`Popgate::start`].
    #[must_use]
    pub fn killed_and_restarted(mut self) -> Self {
        self.process.kill();
        let Self { process, folder, .. } = self;
        drop(process);
        let config = std::fs::read_to_string(folder.path().join("popgate.toml")).expect("it was started with it");
        // Its first line is `state_dir`, which is written again.
        let config = config.split_once('\n').map_or("", |(_, rest)| rest).to_owned();
        Self::launch(folder, &config, &[], START)
    }

    /// The listener of this name.
    ///
    /// # Panics
    ///
    /// If popgate did not announce it.
    #[must_use]
    pub fn listener(&self, name: &str) -> &Listener {
        self.listeners.get(name).unwrap_or_else(|| panic!("no listener `{name}` among {:?}", self.listeners))
    }

    /// The port of the listener of this name.
    #[must_use]
    pub fn port(&self, name: &str) -> u16 {
        self.listener(name).address.port()
    }

    /// A plain connection to the listener of this name.
    #[must_use]
    pub fn connect(&self, name: &str) -> Connection {
        Connection::to("client", self.listener(name).address)
    }

    /// The authority that popgate has made for itself.
    ///
    /// # Panics
    ///
    /// If it has announced none.
    #[must_use]
    pub fn ca(&self) -> &Path {
        self.ca.as_deref().expect("popgate announced its authority")
    }

    /// Gives it another configuration and waits until that is in force.
    ///
    /// # Panics
    ///
    /// If it does not take it over in time.
    pub fn reload(&self, config: &str) {
        let done = |log: &str| log.matches("configuration reloaded").count();
        let before = done(&self.log());
        let _path = configuration(self.folder(), config);
        self.process.hang_up();
        let reloaded = process::poll(Instant::now() + PATIENCE, || (done(&self.log()) > before).then_some(()));
        assert!(reloaded.is_some(), "the configuration was not taken over:\n{}", self.log());
    }

    /// The test's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its process, to end it.
    #[must_use]
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.errors().text()
    }

    /// Keep this while a test uses a popgate that others use, too, as this user.
    #[must_use]
    pub fn log_on_failure(&self, user: &str) -> LogOnFailure {
        self.process.errors().on_failure(user)
    }

    /// Waits until a line of the log contains this.
    ///
    /// # Panics
    ///
    /// If none does in time.
    pub fn wait_for_log(&self, wanted: &str) {
        let found = self.process.errors().find(PATIENCE, |line| line.contains(wanted).then_some(()));
        assert!(found.is_some(), "nothing in the log about {wanted:?}");
    }
}

/// The command line of popgate, without arguments.
///
/// # Panics
///
/// If the binary is missing, with the command that builds it.
#[must_use]
pub fn command() -> Command {
    process::tell_failures_at_once();
    let binary = binary().unwrap_or_else(|| panic!("popgate is not built\nhint: {BUILD}"));
    let mut command = Command::new(binary);
    // Nothing of the developer's own settings.
    command.env_remove("RUST_LOG").env_remove("XDG_STATE_HOME").env("NO_COLOR", "1");
    command
}

/// Writes a configuration into a folder, `{dir}` replaced and `state_dir` in front. Gives its path.
#[must_use]
pub fn configuration(folder: &Path, config: &str) -> PathBuf {
    let file = folder.join("popgate.toml");
    let config = format!("state_dir = \"{{dir}}/state\"\n{config}").replace("{dir}", &folder.to_string_lossy());
    process::write(&file, config);
    file
}

/// Runs popgate to its end.
///
/// # Panics
///
/// If it goes on for long.
#[must_use]
pub fn run(arguments: &[&str]) -> Ended {
    process::run(command().args(arguments), PATIENCE)
}

/// Runs popgate to its end with `--config` and this configuration, see [`configuration`].
///
/// # Panics
///
/// If it goes on for long.
#[must_use]
pub fn run_with(subcommand: &str, folder: &Path, config: &str) -> Ended {
    let file = configuration(folder, config);
    process::run(command().arg(subcommand).arg("--config").arg(file), PATIENCE)
}

/// `POPGATE_BIN`, or what the release build has left beside the test's own program.
fn binary() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("POPGATE_BIN") {
        return Some(given.into());
    }
    let own = std::env::current_exe().ok()?;
    own.ancestors().map(|folder| folder.join("release/popgate")).find(|file| file.is_file())
}
