//! What sessions have found out about messages that stay on their server, so that the next one need not fetch them to know
//! how large they are once filtered, or that they are held.
//!
//! Each identity has a file under `state_dir/hints`. Nothing in there is relied on: what a message is, its octets say.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::warn;

use super::Identity;
use super::folder;
use super::quarantine::hex;

/// How long the hints of an identity last that has no session.
const LASTS: Duration = Duration::from_secs(90 * 86_400);
/// After what time the use of hints is noted again.
const TOUCHED: Duration = Duration::from_secs(86_400);
/// The most identities; beyond, those are forgotten that had no session for longest.
const MAX_FILES: usize = 10_000;
/// The most messages of an identity.
const MAX_HINTS: usize = 20_000;

/// A message as its server lists it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HintKey([u8; 16]);

impl HintKey {
    /// By its unique id and the octets in LIST.
    #[must_use]
    pub fn new(uidl: &[u8], octets: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(octets.to_be_bytes());
        hash.update(uidl);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hint {
    /// The hash of its octets as they came.
    pub sha256: [u8; 32],
    /// The octets that RETR sends, filtered.
    pub octets: u64,
    /// It is held, and they are those of its notice.
    pub held: bool,
}

/// The hints of all identities.
#[derive(Debug)]
pub struct Hints {
    path: PathBuf,
    max_files: usize,
}

impl Hints {
    /// Opens `state_dir/hints`, makes it (0700) if need be, and forgets what is too old.
    ///
    /// # Errors
    ///
    /// When the folder can't be made or read.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        Self::with(state_dir, MAX_FILES)
    }

    fn with(state_dir: &Path, max_files: usize) -> io::Result<Self> {
        let path = state_dir.join("hints");
        folder::make(&path)?;
        let hints = Self { path, max_files };
        folder::forget(&hints.path, SystemTime::now(), LASTS, max_files)?;
        Ok(hints)
    }

    /// What is known of an identity's messages; nothing if it was found out with other filters. `filters` is a hash of
    /// everything that decides what becomes of a message.
    #[must_use]
    pub fn load(&self, identity: &Identity, filters: &[u8; 32]) -> HashMap<HintKey, Hint> {
        let path = self.file(identity);
        let Ok(text) = fs::read_to_string(&path) else { return HashMap::new() };
        let mut lines = text.lines();
        if lines.next() != Some(&*hex(filters)) {
            return HashMap::new();
        }
        touch(&path);
        // What does not end with its line end was cut off.
        let whole = if text.ends_with('\n') { usize::MAX } else { text.lines().count().saturating_sub(2) };
        lines.take(whole.min(MAX_HINTS)).filter_map(read).collect()
    }

    /// Replaces what is known of an identity's messages.
    pub fn save(&self, identity: &Identity, filters: &[u8; 32], hints: &HashMap<HintKey, Hint>) {
        let path = self.file(identity);
        let mut text = hex(filters);
        text.push('\n');
        for (key, hint) in hints.iter().take(MAX_HINTS) {
            let held = if hint.held { "held" } else { "-" };
            let (key, sha256, octets) = (hex(&key.0), hex(&hint.sha256), hint.octets);
            // Writing to a text does not fail.
            let _ = writeln!(text, "{key} {sha256} {octets} {held}");
        }
        let is_new = !path.exists();
        let saved = folder::replace(&path, text.as_bytes()).and_then(|()| match is_new {
            true => folder::forget(&self.path, SystemTime::now(), LASTS, self.max_files).map(drop),
            false => Ok(()),
        });
        if let Err(error) = saved {
            warn!(%error, path = %path.display(), "can't note what became of messages");
        }
    }

    fn file(&self, identity: &Identity) -> PathBuf {
        self.path.join(identity.key())
    }
}

/// The time of the last use; not to the minute, since a file that is in use is read often.
fn touch(path: &Path) {
    let now = SystemTime::now();
    let last = fs::metadata(path).and_then(|file| file.modified());
    if last.is_ok_and(|last| now.duration_since(last).is_ok_and(|age| age > TOUCHED)) {
        let _ = File::options().write(true).open(path).and_then(|file| file.set_modified(now));
    }
}

/// A line of a file; none for anything else.
fn read(line: &str) -> Option<(HintKey, Hint)> {
    let mut words = line.split(' ');
    let key = HintKey(digits(words.next()?)?);
    let sha256 = digits(words.next()?)?;
    let octets = words.next()?.parse().ok()?;
    let held = match words.next()? {
        "held" => true,
        "-" => false,
        _ => return None,
    };
    words.next().is_none().then_some((key, Hint { sha256, octets, held }))
}

/// So many octets in hexadecimal digits.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: &str) -> Identity {
        Identity { upstream: "u".into(), user: Some(user.into()) }
    }

    fn some(count: u64) -> HashMap<HintKey, Hint> {
        let hint = |n: u64| Hint { sha256: [n as u8; 32], octets: n * 1000, held: n.is_multiple_of(2) };
        (0..count).map(|n| (HintKey::new(b"../uid \n", n), hint(n))).collect()
    }

    #[test]
    fn what_is_saved_is_there_for_the_same_identity_and_filters() {
        let state = tempfile::tempdir().unwrap();
        let hints = Hints::open(state.path()).unwrap();
        hints.save(&identity("alice"), &[1; 32], &some(9));
        let hints = Hints::open(state.path()).unwrap();
        assert_eq!(hints.load(&identity("alice"), &[1; 32]), some(9));
        assert!(hints.load(&identity("alice"), &[2; 32]).is_empty());
        assert!(hints.load(&identity("bob"), &[1; 32]).is_empty());
        hints.save(&identity("alice"), &[1; 32], &some(3));
        assert_eq!(hints.load(&identity("alice"), &[1; 32]), some(3));
    }

    #[test]
    fn a_damaged_file_gives_its_good_lines_and_no_other() {
        let state = tempfile::tempdir().unwrap();
        let hints = Hints::open(state.path()).unwrap();
        hints.save(&identity("alice"), &[1; 32], &some(2));
        let path = hints.file(&identity("alice"));
        let text = fs::read_to_string(&path).unwrap();
        for cut in 0..text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let there = hints.load(&identity("alice"), &[1; 32]);
            assert!(there.len() < 2, "{cut}");
            assert!(there.iter().all(|(key, hint)| some(2).get(key) == Some(hint)), "{cut}");
        }
        fs::write(&path, text.replace("held", "-1 held").into_bytes()).unwrap();
        assert_eq!(hints.load(&identity("alice"), &[1; 32]).len(), 1);
        fs::write(&path, b"\xff\0").unwrap();
        assert!(hints.load(&identity("alice"), &[1; 32]).is_empty());
    }

    #[test]
    fn identities_are_bounded_and_files_private() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        let hints = Hints::with(state.path(), 5).unwrap();
        for n in 0..20 {
            hints.save(&identity(&format!("user{n}")), &[1; 32], &some(1));
        }
        assert_eq!(fs::read_dir(&hints.path).unwrap().count(), 5);
        for file in fs::read_dir(&hints.path).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_lost_folder_does_not_stop_the_mail() {
        let state = tempfile::tempdir().unwrap();
        let hints = Hints::open(state.path()).unwrap();
        fs::remove_dir(&hints.path).unwrap();
        hints.save(&identity("alice"), &[1; 32], &some(1));
        assert!(hints.load(&identity("alice"), &[1; 32]).is_empty());
    }
}
