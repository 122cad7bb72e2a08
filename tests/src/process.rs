//! Programs that run beside the tests and never outlive them.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Finds a program in `PATH` or in the folders for system programs.
///
/// # Panics
///
/// If it is not there, with the command that installs it: `package` is Debian's.
#[must_use]
pub fn program(name: &str, package: &str) -> PathBuf {
    find(name).unwrap_or_else(|| {
        panic!("the program `{name}` is missing\nhint: apt-get install --no-install-recommends {package}")
    })
}

/// Finds a program in `PATH` or in the folders for system programs, if it is there.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Has every failed assertion told when it fails, beside the report that comes when all tests have ended: a run takes long,
/// and may be cut off. A thread's name is its test's.
pub fn tell_failures_at_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |failure| {
            // What is written to the stream itself is not withheld until the end.
            let _told = writeln!(io::stderr(), "{}: {failure}", thread::current().name().unwrap_or_default());
            before(failure);
        }));
    });
}

/// Ends a process and removes its folder, once standard input has ended.
const WATCH: &str = r#"
cat >/dev/null
kill "$0" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 "$0" 2>/dev/null || break
  sleep 0.1
done
kill -9 "$0" 2>/dev/null
[ -z "$1" ] || rm -rf "$1"
"#;

/// A program that runs until this is dropped, or until the test process ends in whatever way.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Ends the program when the test process has gone without dropping this: it waits for its standard input to end.
    watch: Child,
    output: Output,
    errors: Output,
}

impl Process {
    /// Starts it with standard output and error captured.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command, "")
    }

    /// The same for a program that uses a folder. That goes, too, when the test process ends without dropping this.
    ///
    /// # Panics
    ///
    /// If it can't be started.
    #[must_use]
    pub fn start_in(folder: &Path, command: &mut Command) -> Self {
        Self::spawn(command, folder)
    }

    fn spawn(command: &mut Command, folder: impl AsRef<OsStr>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
        let output = Output::of(child.stdout.take().expect("standard output is piped"));
        let errors = Output::of(child.stderr.take().expect("standard error is piped"));
        let watch = Command::new("/bin/sh")
            .args(["-c", WATCH, &child.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Self { name, child, watch, output, errors }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn errors(&self) -> &Output {
        &self.errors
    }

    /// Asks it to end with SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it with SIGHUP to read its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Ends it at once, and waits a moment for what it has started.
    pub fn kill(&mut self) {
        let _gone_already = self.child.kill();
        let _lives_on = self.wait(Duration::from_secs(2));
    }

    /// Waits for its end; none when it goes on longer than that.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        // Both streams end with the process, unless it has children that live on.
        let deadline = Instant::now() + patience;
        self.output.wait_for_end(deadline);
        self.errors.wait_for_end(deadline);
        poll(deadline, || self.child.try_wait().expect("a child can be waited for"))
    }

    fn signal(&self, signal: Signal) {
        // The child has not been waited for, so the id is still its own.
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            let _gone_already = kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the watch, while the id that it knows can't be another's.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.terminate();
            if poll(Instant::now() + Duration::from_secs(2), || self.child.try_wait().ok().flatten()).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if thread::panicking() {
            eprintln!("---- standard error of {}\n{}----", self.name, self.errors.text());
        }
    }
}

/// Asks until there is an answer or the deadline has passed. For events that nobody announces.
pub fn poll<T>(deadline: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// The lines that a program writes, collected as they come.
#[derive(Clone, Debug)]
pub struct Output(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Debug, Default)]
struct Lines {
    all: String,
    unread: VecDeque<String>,
    ended: bool,
}

impl Output {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let output = Self(Arc::default());
        let writer = output.clone();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                writer.add(String::from_utf8_lossy(&line).trim_end_matches('\n'));
                line.clear();
            }
            writer.change(|lines| lines.ended = true);
        });
        output
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.0.lock().expect("no writer panics").all.clone()
    }

    /// Shows the lines that contain this, when the result is dropped by a test that fails.
    #[must_use]
    pub fn on_failure(&self, about: &str) -> LogOnFailure {
        LogOnFailure { output: self.clone(), about: about.to_owned() }
    }

    /// Takes lines until one is found; none when the program's output ends or the deadline passes before.
    pub fn find<T>(&self, patience: Duration, mut wanted: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut lines = self.0.0.lock().expect("no writer panics");
        loop {
            while let Some(line) = lines.unread.pop_front() {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                return None;
            }
            lines = self.0.1.wait_timeout(lines, left).expect("no writer panics").0;
        }
    }

    fn wait_for_end(&self, deadline: Instant) {
        let lines = self.0.0.lock().expect("no writer panics");
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = self.0.1.wait_timeout_while(lines, left, |lines| !lines.ended).expect("no writer panics");
    }

    fn add(&self, line: &str) {
        self.change(|lines| {
            let _infallible = writeln!(lines.all, "{line}");
            lines.unread.push_back(line.to_owned());
        });
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.0.0.lock().expect("no writer panics"));
        self.0.1.notify_all();
    }
}

/// Shows what a program that serves many tests has said about one of them, if that fails.
#[derive(Debug)]
pub struct LogOnFailure {
    output: Output,
    about: String,
}

impl Drop for LogOnFailure {
    fn drop(&mut self) {
        if thread::panicking() {
            let text = self.output.text();
            let lines: Vec<_> = text.lines().filter(|line| line.contains(&self.about)).collect();
            eprintln!("---- about {}\n{}\n----", self.about, lines.join("\n"));
        }
    }
}

/// What a program that ran to its end has left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// Runs a program to its end.
///
/// # Panics
///
/// If it does not start, or does not end within `patience`.
#[must_use]
pub fn run(command: &mut Command, patience: Duration) -> Ended {
    let mut process = Process::start(command);
    let status = process.wait(patience);
    let (output, errors) = (process.output.text(), process.errors.text());
    let Some(status) = status else {
        panic!("{command:?} did not end within {patience:?}\nstandard output:\n{output}");
    };
    Ended { code: status.code(), output, errors }
}

/// A new folder that is removed when dropped. Everyone may enter it, since servers give up their rights.
///
/// # Panics
///
/// If it can't be made.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    tempfile::Builder::new()
        .prefix("popgate-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary folder can be made")
}

/// Writes a file that a test needs.
///
/// # Panics
///
/// If it can't be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap_or_else(|error| panic!("{} can't be written: {error}", path.display()));
}
