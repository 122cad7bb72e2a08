//! What one popgate has compiled, lent to the next: hundreds are started with the same few filters, and each would spend
//! seconds on them.
//!
//! The files are linked, not copied. popgate writes each once and renames it, so nobody changes what others have.

use std::fs::{self, DirBuilder, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Files that were made so long ago are of no use to anybody.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Puts what there is where a popgate with this `state_dir` looks for it. Where that can't be done it compiles itself.
pub(crate) fn lend(state: &Path) {
    let to = state.join("compiled");
    if !to.exists() {
        let _compiles_itself = fs::create_dir_all(state).and_then(|()| private(&to)).and_then(|()| link(pool(), &to));
    }
}

/// Takes over what it has compiled.
pub(crate) fn collect(state: &Path) {
    let _compiled_again = link(&state.join("compiled"), pool());
}

/// The folder of all, on the file system of the folders of tests.
fn pool() -> &'static Path {
    static POOL: OnceLock<PathBuf> = OnceLock::new();
    POOL.get_or_init(|| {
        let folder =
            std::env::temp_dir().join(format!("popgate-tests-compiled-{}", rustix::process::getuid().as_raw()));
        let _there_already = private(&folder);
        let is_old = |file: &DirEntry| {
            file.metadata().and_then(|it| it.modified()).is_ok_and(|it| it.elapsed().is_ok_and(|age| age > KEEP))
        };
        for file in fs::read_dir(&folder).into_iter().flatten().flatten().filter(is_old) {
            let _removed_by_others = fs::remove_file(file.path());
        }
        folder
    })
}

fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    for file in fs::read_dir(from)?.flatten() {
        if file.path().extension().is_some_and(|extension| extension == "cwasm") {
            match fs::hard_link(file.path(), to.join(file.file_name())) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
