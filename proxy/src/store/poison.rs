//! On which messages filters have failed, and in how many sessions: whether a failure is an accident, or the message's
//! own doing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::warn;

use super::folder;

/// How long a failure is remembered.
const LASTS: Duration = Duration::from_secs(30 * 86_400);
/// The most messages that are remembered; beyond, those whose last failure is longest ago are forgotten.
const MAX_KEYS: usize = 10_000;
/// The most sessions that are told apart for one message.
const MAX_SESSIONS: usize = 16;

/// A filter on a message.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PoisonKey(String);

impl PoisonKey {
    /// The filter is known by its configured name and by what it is (a hash of its code and settings), so that a mended
    /// one starts anew; the message by the hash of its octets.
    #[must_use]
    pub fn new(filter: &str, filter_hash: &[u8], message: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        for part in [filter.as_bytes(), filter_hash, message] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect())
    }
}

/// The failures, each message's in a small file under `state_dir/poison`.
#[derive(Debug)]
pub struct Poison {
    path: PathBuf,
    /// Tells the sessions of this run of the program from those of others, which count from one as well.
    run: u128,
    max_keys: usize,
    /// How many files there are. The lock also keeps two failures on one message apart.
    count: Mutex<usize>,
}

impl Poison {
    /// Opens `state_dir/poison`, makes it (0700) if need be, and forgets what is too old.
    ///
    /// # Errors
    ///
    /// When the folder can't be made or read.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        Self::with(state_dir, MAX_KEYS)
    }

    fn with(state_dir: &Path, max_keys: usize) -> io::Result<Self> {
        let path = state_dir.join("poison");
        folder::make(&path)?;
        let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let poison = Self { path, run, max_keys, count: Mutex::new(0) };
        let count = poison.forget(SystemTime::now(), max_keys)?;
        *poison.count.lock().unwrap_or_else(PoisonError::into_inner) = count;
        Ok(poison)
    }

    /// Notes a failure and says in how many sessions there has been one, this one included (at most 16). `session` is
    /// unique among those of this value.
    ///
    /// Where the note can't be written, it counts all the same, this once.
    pub fn failed(&self, key: &PoisonKey, session: u64) -> u32 {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.join(&key.0);
        let known = fs::read_to_string(&path).ok();
        let is_new = known.is_none();
        let mut sessions: Vec<String> = known.unwrap_or_default().lines().map(str::to_owned).collect();
        let this = format!("{}/{session}", self.run);
        if !sessions.contains(&this) && sessions.len() < MAX_SESSIONS {
            sessions.push(this);
        }
        // Not synchronised: a failure that is lost with the power costs one more attempt.
        match folder::replace(&path, sessions.join("\n").as_bytes()) {
            Ok(()) => *count += usize::from(is_new),
            Err(error) => warn!(%error, path = %path.display(), "can't note that a filter failed on a message"),
        }
        if *count > self.max_keys {
            // A tenth more than need be, so that not every failure pays for it.
            match self.forget(SystemTime::now(), self.max_keys - self.max_keys / 10) {
                Ok(left) => *count = left,
                Err(error) => warn!(%error, "can't forget old failures of filters"),
            }
        }
        u32::try_from(sessions.len()).unwrap_or(u32::MAX)
    }

    fn forget(&self, now: SystemTime, keep: usize) -> io::Result<usize> {
        folder::forget(&self.path, now, LASTS, keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(message: u8) -> PoisonKey {
        PoisonKey::new("virus", b"hash", &[message; 32])
    }

    #[test]
    fn counts_sessions_across_runs() {
        let state = tempfile::tempdir().unwrap();
        let poison = Poison::open(state.path()).unwrap();
        assert_eq!([1, 1, 2].map(|session| poison.failed(&key(1), session)), [1, 1, 2]);
        assert_eq!(poison.failed(&key(2), 1), 1);
        let other_run = Poison::open(state.path()).unwrap();
        assert_eq!(other_run.failed(&key(1), 1), 3);
        assert_eq!((10..40).map(|session| other_run.failed(&key(1), session)).max(), Some(16));
    }

    #[test]
    fn keys_differ_in_each_part() {
        let keys = [("a", "bc", 1), ("ab", "c", 1), ("a", "bc", 2), ("", "abc", 1)];
        let keys = keys.map(|(filter, hash, message)| PoisonKey::new(filter, hash.as_bytes(), &[message; 32]));
        assert!((1..keys.len()).all(|n| !keys[..n].contains(&keys[n])));
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let poison = Poison::with(state.path(), 10).unwrap();
        let now = SystemTime::now();
        for n in 0..30 {
            poison.failed(&key(n), 1);
            if n > 0 {
                // The clock of the file system is too coarse to tell them apart.
                let file = fs::File::options().write(true).open(poison.path.join(&key(n).0)).unwrap();
                file.set_modified(now - Duration::from_secs(1000 - u64::from(n))).unwrap();
            }
        }
        let left = fs::read_dir(&poison.path).unwrap().count();
        assert!((9..=10).contains(&left), "{left}");
        assert_eq!(left, *poison.count.lock().unwrap());
        assert_eq!(poison.failed(&key(29), 2), 2);
        assert_eq!(poison.forget(now + LASTS + Duration::from_secs(60), 10).unwrap(), 0);
    }

    #[test]
    fn a_lost_folder_does_not_stop_the_mail() {
        let state = tempfile::tempdir().unwrap();
        let poison = Poison::open(state.path()).unwrap();
        fs::remove_dir(&poison.path).unwrap();
        assert_eq!(poison.failed(&key(1), 1), 1);
    }
}
