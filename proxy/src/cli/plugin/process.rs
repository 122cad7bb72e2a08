//! Programs that build plugins: found, started, waited for. What they print goes to standard error as it comes.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a program has not done its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    /// There is no such program.
    #[error("the program `{program}` is missing\nhint: {}", package(program))]
    Missing { program: String },
    /// It does not start.
    #[error("`{program}` does not start: {source}")]
    Start { program: String, source: io::Error },
    /// It says that it has failed.
    #[error("`{command}` failed: {status}")]
    Failed { command: String, status: ExitStatus },
}

/// How the programs that installations use come to a system.
fn package(program: &str) -> &'static str {
    match program.rsplit('/').next().unwrap_or(program) {
        "python3" | "pip" => "apt-get install python3-venv",
        "npm" | "node" => "apt-get install nodejs npm",
        "cargo" | "rustc" | "rustup" => "install Rust, see https://rustup.rs",
        _ => "install it, or name it in `tools` if popgate knows it",
    }
}

/// Runs a command in a folder to its end.
///
/// # Errors
/// It does not start, or fails.
pub(super) fn run(words: &[String], folder: &Path, environment: &[(&str, OsString)]) -> Result<(), ProcessError> {
    let mut command = command(words, folder);
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
    // Standard output is for the report.
    command.stdout(Stdio::from(io::stderr()));
    let status = command.status().map_err(|error| not_started(words, error))?;
    match status.success() {
        true => Ok(()),
        false => Err(ProcessError::Failed { command: words.join(" "), status }),
    }
}

/// What a short command prints.
///
/// # Errors
/// It does not start, or fails.
pub(super) fn output(words: &[String], folder: &Path) -> Result<String, ProcessError> {
    let output = command(words, folder).stdin(Stdio::null()).output().map_err(|error| not_started(words, error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(ProcessError::Failed { command: words.join(" "), status: output.status }),
    }
}

/// Where the system finds a program.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn command(words: &[String], folder: &Path) -> Command {
    // No command is empty, the project's file sees to that; an empty program is one that is missing.
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command
}

fn not_started(words: &[String], source: io::Error) -> ProcessError {
    let program = words.first().cloned().unwrap_or_default();
    match source.kind() {
        io::ErrorKind::NotFound => ProcessError::Missing { program },
        _ => ProcessError::Start { program, source },
    }
}
