//! A process of the workshop as its parent sees it: started, watched, ended, and what its end says.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Bounds;
use super::confine::Confinement;
use crate::plugin::text;

/// The subcommand of the program that is a process of the workshop.
pub(crate) const COMMAND: &str = "compile-plugin";

/// Wall time for each second of processor time: where others need the processors, too, a plugin still gets its time.
const PATIENCE: u32 = 5;

/// Machine code for each octet of a plugin, at most; small ones have more of it, so there is some besides.
const GROWTH: u64 = 8;
const BESIDES: u64 = 64 << 20;

/// Octets of what a process says at its end.
const LAST_WORDS_MAX: u64 = 2_000;

/// Why nothing came of an order.
#[derive(Debug, thiserror::Error)]
pub(in crate::plugin) enum Died {
    /// It had its time.
    #[error("compiling it takes more than {}", text::duration(*.0))]
    Time(Duration),
    /// It had its memory.
    #[error("compiling it takes more than {} of memory", text::octets(*.0))]
    Memory(u64),
    /// It had its output.
    #[error("its machine code is larger than {}", text::octets(*.0))]
    Size(u64),
    /// It ended in another way.
    #[error("the process that compiles it {0}")]
    Otherwise(String),
    /// It could not be started, or not be talked to.
    #[error("the process that compiles it can't be run: {0}")]
    System(#[from] io::Error),
}

/// Runs a process with an order as its input.
///
/// # Errors
/// It does not end well.
pub(super) fn run(program: &Path, bounds: &Bounds, input: File, output: &File, mut errors: File) -> Result<(), Died> {
    let size = bounds.plugin_size.saturating_mul(GROWTH).saturating_add(bounds.snapshot_size).saturating_add(BESIDES);
    let confinement = Confinement {
        memory: bounds.compile_memory,
        // Full seconds, and none too few.
        seconds: (bounds.compile_time + Duration::from_millis(999)).as_secs(),
        output: size,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut child = command(program, confinement)
        .env_clear()
        // The process can't find out itself: it opens no file.
        .env("RAYON_NUM_THREADS", threads.to_string())
        .current_dir("/")
        .stdin(input)
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()?;
    let status = wait(&mut child, bounds.compile_time.saturating_mul(PATIENCE));
    let Some(status) = status? else { return Err(Died::Time(bounds.compile_time)) };
    if status.success() {
        return Ok(());
    }
    let mut words = String::new();
    errors.rewind()?;
    let mut octets = Vec::new();
    errors.take(LAST_WORDS_MAX).read_to_end(&mut octets)?;
    words.push_str(&String::from_utf8_lossy(&octets));
    Err(died(status, &words, bounds, size))
}

fn command(program: &Path, confinement: Confinement) -> Command {
    let mut command = Command::new(program);
    let Confinement { memory, seconds, output } = confinement;
    command.arg0("popgate").arg(COMMAND);
    for (name, value) in [("--memory", memory), ("--seconds", seconds), ("--output", output)] {
        command.arg(name).arg(value.to_string());
    }
    command
}

/// Waits for the end; none if it had to be brought about.
fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let waited = watch(child, Instant::now() + patience);
    if !matches!(waited, Ok(true)) {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(waited?.then_some(status))
}

/// Whether it ends before the deadline.
fn watch(child: &Child, deadline: Instant) -> io::Result<bool> {
    let descriptor = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the end of a process says.
fn died(status: ExitStatus, words: &str, bounds: &Bounds, size: u64) -> Died {
    let words = words.trim();
    let signal = status.signal().and_then(|signal| Signal::try_from(signal).ok());
    let has_no_memory = ["memory allocation of", "Cannot allocate memory", "out of memory", "os error 12"];
    if has_no_memory.iter().any(|text| words.contains(text)) {
        return Died::Memory(bounds.compile_memory);
    }
    let how = match (signal, status.code()) {
        (Some(Signal::SIGXCPU), _) => return Died::Time(bounds.compile_time),
        (Some(Signal::SIGXFSZ), _) => return Died::Size(size),
        (Some(Signal::SIGKILL), _) => "was killed (has the system run out of memory?)".to_owned(),
        (Some(signal), _) => format!("was ended by {signal:?}"),
        (None, Some(code)) => format!("has failed with status {code}"),
        (None, None) => "has failed".to_owned(),
    };
    let said = if words.is_empty() { String::new() } else { format!(": {}", text::printable(words, 400)) };
    Died::Otherwise(how + &said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        plugin_size: 1 << 20,
        snapshot_size: 1 << 20,
        compile_time: Duration::from_millis(200),
        compile_memory: 64 << 20,
    };

    fn file() -> File {
        tempfile::tempfile().unwrap()
    }

    /// Runs a script in the place of the program.
    fn script(text: &str) -> Result<(), Died> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        run(&path, &BOUNDS, file(), &file(), file())
    }

    #[test]
    fn the_end_of_a_process_is_told_in_words() {
        assert!(script("exit 0").is_ok());
        for (text, expected) in [
            ("kill -XCPU $$", "compiling it takes more than 200 ms"),
            ("kill -XFSZ $$", "its machine code is larger than 73 MiB"),
            ("kill -KILL $$", "the process that compiles it was killed (has the system run out of memory?)"),
            (
                "echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$",
                "compiling it takes more than 64 MiB of memory",
            ),
            ("echo 'a fault' >&2; kill -SEGV $$", "the process that compiles it was ended by SIGSEGV: a fault"),
            ("exit 3", "the process that compiles it has failed with status 3"),
        ] {
            assert_eq!(script(text).unwrap_err().to_string(), expected, "{text}");
        }
        assert!(matches!(run(Path::new("/nonexistent"), &BOUNDS, file(), &file(), file()), Err(Died::System(_))));
    }

    #[test]
    fn a_process_that_does_not_end_is_ended() {
        let began = Instant::now();
        let error = script("while :; do read -t 1 line; done").unwrap_err();
        assert!(matches!(error, Died::Time(_)), "{error}");
        assert!(began.elapsed() >= BOUNDS.compile_time * PATIENCE);
    }

    #[test]
    fn nothing_of_the_environment_is_handed_on() {
        assert!(script("[ -z \"$HOME$USER$CARGO_MANIFEST_DIR\" ] && [ \"$(pwd)\" = / ]").is_ok());
    }
}
