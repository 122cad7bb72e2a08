//! A `users_file`: clients' names and the hashes of their passwords, one `name:hash` a line.
//!
//! The format is that of Dovecot's and Apache's password files: lines that are empty or begin with `#` are left out, and so is
//! what follows a second colon. How a hash is written: see [`hash::Hash`].

mod hash;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::pop3::Secret;
use hash::Hash;
pub use hash::HashFault;

/// How many passwords are compared at the same time: one takes as much memory and time as its hash was made for, and
/// strangers may ask.
const AT_ONCE: usize = 2;

/// Names and hashes; at least one.
pub struct Users {
    hashes: Vec<Hash>,
    /// Where in `hashes` that of a user is.
    names: HashMap<Vec<u8>, usize>,
    /// Chooses a hash for a name that is not there.
    decoys: RandomState,
    turns: Arc<Semaphore>,
}

/// Why a file is no use.
#[derive(Debug, thiserror::Error)]
pub enum UsersFault {
    /// It can't be read.
    #[error("can't read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Nobody is in it.
    #[error("there is no user in `{}`", .0.display())]
    Empty(PathBuf),
    /// A line is not understood. What stands in it is secret.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: LineFault,
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LineFault {
    /// No colon, or nothing before it.
    #[error("it is not `name:hash`")]
    Shape,
    /// The name is there already.
    #[error("the user is there twice")]
    Twice,
    /// The hash can't be used.
    #[error(transparent)]
    Hash(#[from] HashFault),
}

impl UsersFault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name a file that popgate can read, with one `name:hash` a line",
            Self::Empty(_) => "add a line `name:hash`; `openssl passwd -6` makes a hash",
            Self::Line { .. } => {
                "write one `name:hash` a line; `openssl passwd -6` makes a hash, and so does `doveadm pw`"
            }
        }
    }
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it can't be read, has a line that is not understood, or nobody in it.
    pub fn load(path: &Path) -> Result<Self, UsersFault> {
        let octets = std::fs::read(path).map_err(|error| UsersFault::Unreadable { path: path.to_owned(), error })?;
        let (mut hashes, mut names) = (Vec::new(), HashMap::new());
        for (at, line) in octets.split(|&octet| octet == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let fault = |reason| UsersFault::Line { path: path.to_owned(), line: at + 1, reason };
            let (name, hash) = parsed(line).map_err(fault)?;
            match names.entry(name) {
                Entry::Occupied(_) => return Err(fault(LineFault::Twice)),
                Entry::Vacant(entry) => entry.insert(hashes.len()),
            };
            hashes.push(hash);
        }
        if hashes.is_empty() {
            return Err(UsersFault::Empty(path.to_owned()));
        }
        Ok(Self { hashes, names, decoys: RandomState::new(), turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whether this is the user's password. A user who is not there takes as long as one who is.
    pub async fn vouch(self: Arc<Self>, user: Vec<u8>, password: Secret) -> bool {
        // It is never closed; without a turn nobody is vouched for.
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return false };
        // The work would hold up the other sessions of its thread. It goes on when a client that has asked for it leaves,
        // and keeps its turn until then.
        let work = move || {
            let right = self.matches(&user, &password);
            drop(turn);
            right
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(false)
    }

    fn matches(&self, user: &[u8], password: &Secret) -> bool {
        let known = self.names.get(user).copied();
        // Another user's hash stands in, the same one for the same name, so that the work tells nothing about who exists.
        let stands_in = || usize::try_from(self.decoys.hash_one(user)).unwrap_or_default() % self.hashes.len();
        let right = self.hashes[known.unwrap_or_else(stands_in)].matches(password.expose());
        right && known.is_some()
    }
}

fn parsed(line: &[u8]) -> Result<(Vec<u8>, Hash), LineFault> {
    let mut fields = line.split(|&octet| octet == b':');
    match (fields.next(), fields.next()) {
        (Some(name), Some(hash)) if !name.is_empty() => {
            let hash = std::str::from_utf8(hash).map_err(|_| HashFault::Malformed)?;
            Ok((name.to_vec(), Hash::parse(hash)?))
        }
        _ => Err(LineFault::Shape),
    }
}

/// How many there are; who, and by which hash, is nobody's business.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.hashes.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// `openssl passwd -6 -salt saltstring sesame`
    const SESAME: &str =
        "$6$saltstring$zw6YcBRuwlGueZoWIkK6CRJbQmJbhVf1zPxCfDBsJpbBlxfJ610F8Vp0i93QFh0AmoYe0z/GrJISxBfRQSsGe1";

    fn load(content: &str) -> Result<Users, UsersFault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, content).unwrap();
        Users::load(&path)
    }

    #[test]
    fn reads_what_password_files_have() {
        let users =
            load(&format!("# who\n\nalice:{SESAME}\r\nbob:{{SHA512-CRYPT}}{SESAME}:1000:1000::/home/bob\n")).unwrap();
        let is = |user: &str, password: &str| users.matches(user.as_bytes(), &Secret::new(password.into()));
        assert!(is("alice", "sesame") && is("bob", "sesame"));
        for (user, password) in
            [("alice", "open"), ("alice", ""), ("Alice", "sesame"), ("carol", "sesame"), ("", "sesame")]
        {
            assert!(!is(user, password), "{user} {password}");
        }
    }

    #[test]
    fn says_which_line_is_wrong_without_showing_it() {
        for (content, expected) in [
            ("", "there is no user in"),
            ("# nobody\n", "there is no user in"),
            ("alice\n", "line 1: it is not `name:hash`"),
            (":x\n", "line 1: it is not `name:hash`"),
            (&format!("alice:{SESAME}\nalice:{SESAME}\n"), "line 2: the user is there twice"),
            ("\nalice:sesame\n", "line 2: the hash has none of the known forms"),
            ("alice:{PLAIN}sesame\n", "line 1: the scheme is none of"),
        ] {
            let text = load(content).unwrap_err().to_string();
            assert!(text.contains(expected) && !text.contains("sesame"), "{content}: {text}");
        }
    }

    #[test]
    fn an_unknown_user_takes_the_work_of_a_known_one() {
        let users = load(&format!("alice:{SESAME}\n")).unwrap();
        let wrong = Secret::new(b"wrong".to_vec());
        // The shortest of several: what else the machine does only adds to it.
        let fastest = |user: &[u8]| {
            let once = || {
                let begin = Instant::now();
                assert!(!users.matches(user, &wrong));
                begin.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap_or(Duration::ZERO)
        };
        let (known, unknown) = (fastest(b"alice"), fastest(b"mallory"));
        assert!(unknown > known / 3 && unknown < known * 3, "{known:?} {unknown:?}");
    }
}
