//! A PostgreSQL server of a test's own: in a folder that is gone with it, reached by a socket in there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use popgate_config::Store;

use super::super::State;

const HINT: &str = "hint: apt-get install postgresql";

/// The user that it runs as where tests run as root, which PostgreSQL refuses.
const USER: &str = "postgres";

pub(super) struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Makes a cluster and starts it.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { folder, bin: programs(), process: None };
        if is_root() {
            run(Command::new("chown").arg(USER).arg(server.folder.path()));
        }
        let data = server.folder.path().join("data");
        run(server.program("initdb").args(["--no-sync", "-A", "trust", "-U", "popgate", "-D"]).arg(data));
        server.go_on();
        server
    }

    /// Starts it (again), and waits until it answers.
    pub(super) fn go_on(&mut self) {
        let folder = self.folder.path();
        let mut command = self.program("postgres");
        command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off"]).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut ready = self.program("pg_isready");
            if ready.arg("-q").arg("-h").arg(folder).status().unwrap().success() {
                return;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once, as a crash does.
    pub(super) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let mut stop = self.program("pg_ctl");
        run(stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.path().join("data")));
        process.wait().unwrap();
    }

    /// A state in its database.
    pub(super) fn state(&self) -> State {
        self.state_with("")
    }

    /// The same with further lines of `[store]`.
    pub(super) fn state_with(&self, more: &str) -> State {
        let host = self.folder.path().display();
        let database = format!("database = \"postgres://popgate@localhost/postgres?host={host}\"\n{more}");
        State::new(&configured(&database), Path::new("/nowhere")).unwrap()
    }

    fn program(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.current_dir(self.folder.path()).stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The section `[store]` with these lines.
pub(super) fn configured(lines: &str) -> Store {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"u\"\n[[upstream]]\nname = \"u\"\naddress = \"h:110\"\n[store]\n{lines}\n"
    );
    popgate_config::parse(&text, Path::new("popgate.toml")).unwrap_or_else(|error| panic!("{error}")).store
}

/// The folder of the newest server programs.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = installed.map(|entry| entry.path()).max_by_key(version);
    let bin = newest.unwrap_or_else(|| panic!("there is no PostgreSQL\n{HINT}")).join("bin");
    assert!(bin.join("initdb").exists(), "there is no PostgreSQL server\n{HINT}");
    bin
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
