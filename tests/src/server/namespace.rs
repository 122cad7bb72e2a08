//! Programs in mount and process namespaces of their own, where unpacked packages look installed.
//!
//! `/etc`, `/usr` and `/var` show the packages on top of the system's own files. All is writable in there, nothing of it
//! reaches the system, and everything ends with the namespaces' first process. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::process::{Process, program, write};

/// Sets up the namespaces, then becomes the server's own script.
const ENTER: &str = r#"
set -eu
packages=$1 overlay=$2 script=$3
mkdir -p "$overlay"
mount -t tmpfs -o mode=755 tests "$overlay"
for part in etc usr var; do
  mkdir -p "$overlay/$part/upper" "$overlay/$part/work"
  lower=/$part
  [ -z "$packages" ] || lower=$packages/$part:/$part
  mount -t overlay -o "lowerdir=$lower,upperdir=$overlay/$part/upper,workdir=$overlay/$part/work" tests "/$part"
done
mkdir "$overlay/run"
mount --bind "$overlay/run" /run
ldconfig 2>/dev/null || true
# Not `exec`: a server that changes its user would no longer end with those who have started it.
bash "$script"
exit $?
"#;

/// Starts a script as root in namespaces of its own. They end with it.
///
/// # Panics
///
/// If that is not allowed or the packages (a folder of the cache) are not there, with what to do.
pub(super) fn start(folder: &Path, packages: Option<&str>, script: &str) -> Process {
    assert!(
        geteuid().is_root(),
        "a server can't run in a namespace of its own without root\nhint: run the tests as root"
    );
    let file = folder.join("server.sh");
    write(&file, format!("set -eu\n{script}"));
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]);
    command.args(["bash", "-c", ENTER, "enter"]);
    command.arg(packages.map_or_else(PathBuf::new, unpacked)).arg(folder.join("overlay")).arg(file);
    Process::start_in(folder, &mut command)
}

/// Where `tests/fetch-servers` has put these packages.
fn unpacked(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.unwrap_or_default().join("popgate-tests").join(name);
    assert!(folder.is_dir(), "the packages of {name} are not in {}\nhint: tests/fetch-servers", folder.display());
    folder
}
