//! The names in a folder that seldom changes, read again only when it has changed: every login asks for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::statfs;

/// File systems of this machine itself, which answer at once. Source: statfs(2).
const LOCAL: [i64; 8] =
    [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e];

/// How long a folder must have rested before its time of change tells of all changes: clocks of file systems are coarse.
const RESTED: Duration = Duration::from_secs(1);

/// A folder, and what was in it.
#[derive(Debug)]
pub(super) struct Glance {
    path: PathBuf,
    is_local: bool,
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Debug)]
struct Seen {
    changed: SystemTime,
    names: Arc<[String]>,
}

impl Glance {
    /// At a folder that is there.
    pub(super) fn at(path: PathBuf) -> Self {
        let is_local = statfs(&path).is_ok_and(|found| LOCAL.contains(&found.f_type));
        Self { path, is_local, seen: Mutex::default() }
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names that are there now, if that can be told at once: on a local file system, for a folder that has not changed
    /// since it was read.
    pub(super) fn known(&self) -> Option<Arc<[String]>> {
        if !self.is_local {
            return None;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        (self.changed().ok()? == seen.changed).then_some(seen.names)
    }

    /// The names that are there now. This may block.
    pub(super) fn names(&self) -> io::Result<Arc<[String]>> {
        if let Some(names) = self.known() {
            return Ok(names);
        }
        let changed = self.changed()?;
        let names = fs::read_dir(&self.path)?
            .map(|file| Ok(file?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect::<io::Result<Arc<[_]>>>()?;
        // What has changed just now may change again without anybody noticing.
        let rested = SystemTime::now().duration_since(changed).is_ok_and(|age| age > RESTED);
        let seen = (rested && self.changed()? == changed).then(|| Seen { changed, names: Arc::clone(&names) });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(names)
    }

    fn changed(&self) -> io::Result<SystemTime> {
        fs::metadata(&self.path)?.modified()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn rested(folder: &Path) {
        File::open(folder).unwrap().set_modified(SystemTime::now() - 2 * RESTED).unwrap();
    }

    #[test]
    fn names_are_read_again_when_there_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let glance = Glance::at(folder.path().to_owned());
        rested(folder.path());
        assert!(glance.known().is_none());
        assert!(glance.names().unwrap().is_empty());
        assert_eq!(glance.known().as_deref(), Some(&[][..]));
        File::create(folder.path().join("mark")).unwrap();
        assert!(glance.known().is_none());
        assert_eq!(*glance.names().unwrap(), ["mark"]);
        // It has changed a moment ago.
        assert!(glance.known().is_none());
        rested(folder.path());
        assert_eq!(*glance.names().unwrap(), ["mark"]);
        assert!(glance.known().is_some());
        fs::remove_file(folder.path().join("mark")).unwrap();
        assert!(glance.known().is_none() && glance.names().unwrap().is_empty());
    }

    #[test]
    fn elsewhere_nothing_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        rested(folder.path());
        let glance = Glance { is_local: false, ..Glance::at(folder.path().to_owned()) };
        glance.names().unwrap();
        assert!(glance.known().is_none());
    }
}
