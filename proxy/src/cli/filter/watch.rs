//! Waiting until a file has changed, by looking at them now and then: that works on every file system, and for files that
//! are replaced by others of the same name.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the files are looked at. A change counts once they have been the same for that long: a linker writes in parts.
const INTERVAL: Duration = Duration::from_millis(300);

/// What tells one state of a file from another; none for one that is not there.
type State = Option<(SystemTime, u64, u64)>;

/// Files as they were at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Snapshot(Vec<(PathBuf, State)>);

impl Snapshot {
    /// Looks at the files as they are.
    pub(super) fn of(files: Vec<PathBuf>) -> Self {
        Self(files.into_iter().map(|file| (file.clone(), state(&file))).collect())
    }

    /// Waits until the files are others than these, and have come to rest.
    pub(super) async fn changed(&self, files: impl Fn() -> Vec<PathBuf>) {
        let mut last = self.clone();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = Self::of(files());
            if now != *self && now == last {
                return;
            }
            last = now;
        }
    }
}

fn state(file: &Path) -> State {
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_when_it_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.wasm");
        std::fs::write(&file, "one").unwrap();
        let before = Snapshot::of(vec![file.clone()]);
        let waiting = before.changed(|| vec![file.clone()]);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(2 * INTERVAL, waiting.as_mut()).await.is_err(), "nothing has changed");
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "other").unwrap();
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    }
}
