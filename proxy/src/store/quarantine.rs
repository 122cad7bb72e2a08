//! Mail that was taken from its recipient, as it came, each message in a folder of its own.
//!
//! `state_dir/quarantine/ID/` holds `message.eml` and `entry.json`. A folder is written under a temporary name and gets
//! its true name only when all of it is on disk, so that under a true name there is never half a message; [`put`] returns
//! only when the name is on disk, too. What a crash leaves under temporary names is swept at the next start.
//!
//! A released message has a mark in `state_dir/quarantine/.released`, from its release until its owner has deleted it.
//!
//! [`put`]: Quarantine::put

mod entry;
mod release;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tracing::warn;

use super::folder;

pub(super) use entry::hex;
pub use entry::{Entry, EntryId, Finding, Identity, NewEntry};
pub use release::ReleaseError;

const MESSAGE: &str = "message.eml";
const ENTRY: &str = "entry.json";
/// What temporary names begin with; no id does.
const DRAFT: &str = ".new-";
const LOCK: &str = ".lock";
/// The folder of marks on released messages.
const RELEASED: &str = ".released";

/// The quarantine of a folder. Any number of threads and processes may use it at once.
#[derive(Clone, Debug)]
pub struct Quarantine {
    path: PathBuf,
}

impl Quarantine {
    /// Opens `state_dir/quarantine`, makes it (0700) if need be, and removes what a crash has left.
    ///
    /// # Errors
    ///
    /// When the folder can't be made.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("quarantine");
        folder::make(&path)?;
        folder::make(&path.join(RELEASED))?;
        let quarantine = Self { path };
        quarantine.sweep()?;
        Ok(quarantine)
    }

    /// Stores a message, given in pieces. When this returns, it is on disk. A message that is there already under the
    /// same identity stays as it is, and its first entry is returned.
    ///
    /// # Errors
    ///
    /// When anything at all went wrong, a full disk included: the message is not stored then, and what was written of
    /// it is removed as far as possible.
    pub fn put<'a>(&self, new: &NewEntry, octets: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Entry> {
        let id = EntryId::of(&new.identity, &new.sha256);
        let place = self.place(&id);
        if let Some(there) = self.get(&id)? {
            // Its writer may still be on the way to this very step.
            folder::sync(&self.path)?;
            return Ok(there);
        }
        let draft = Draft::write(&self.path, id.clone(), new, octets)?;
        let entry = match draft.publish(&place) {
            Ok(entry) => entry,
            Err(failure) => match (failure.0.kind(), *failure) {
                (io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty, (_, draft)) => {
                    self.beside(draft, &place, &id)?
                }
                (_, (error, _)) => return Err(error),
            },
        };
        folder::sync(&self.path)?;
        Ok(entry)
    }

    /// The entry of an id; none if there is none or it is not whole.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn get(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        let place = self.place(id);
        let text = match fs::read(place.join(ENTRY)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(entry) = Entry::read(&text).filter(|entry| entry.id == *id) else { return Ok(None) };
        let is_whole = fs::metadata(place.join(MESSAGE)).is_ok_and(|file| file.len() == entry.size);
        Ok(is_whole.then_some(entry))
    }

    /// The file of a message. It is there if [`Self::get`] finds the entry.
    #[must_use]
    pub fn message(&self, id: &EntryId) -> PathBuf {
        self.place(id).join(MESSAGE)
    }

    fn place(&self, id: &EntryId) -> PathBuf {
        self.path.join(id.as_str())
    }

    /// The place of an entry is taken. Either somebody else has just stored the same message: good. Or what lies there
    /// is damaged: the draft takes its place.
    fn beside(&self, draft: Draft, place: &Path, id: &EntryId) -> io::Result<Entry> {
        // Held to the end: of two who find a damaged entry, the second must not clear away what the first has put.
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.path.join(LOCK))?;
        lock.lock()?;
        if let Some(there) = self.get(id)? {
            return Ok(there);
        }
        warn!(%id, "the entry in quarantine is damaged and is stored again");
        let damaged = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&self.path)?;
        fs::rename(place, damaged.path().join("damaged"))?;
        draft.publish(place).map_err(|failure| failure.0)
    }

    /// Removes drafts that nobody works on any more.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(DRAFT.as_bytes()) {
                continue;
            }
            let path = entry.path();
            // Whoever writes a draft holds its lock; the lock of a dead process is free.
            let removed = File::open(&path).and_then(|draft| match draft.try_lock() {
                Ok(()) => fs::remove_dir_all(&path),
                Err(_) => Ok(()),
            });
            if let Err(error) = removed {
                warn!(path = %path.display(), %error, "can't remove what a crash has left in quarantine");
            }
        }
        Ok(())
    }
}

/// A message on disk under a temporary name; removed when dropped.
struct Draft {
    folder: TempDir,
    /// Tells [`Quarantine::sweep`] that somebody is at work.
    _lock: File,
    entry: Entry,
}

impl Draft {
    /// Writes all of an entry and waits for the disk: the files first, then the folder that names them.
    fn write<'a>(
        parent: &Path,
        id: EntryId,
        new: &NewEntry,
        octets: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(DRAFT).permissions(private).tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;

        let mut message = create(&folder.path().join(MESSAGE))?;
        let mut size = 0;
        for piece in octets {
            message.write_all(piece)?;
            size += piece.len() as u64;
        }
        message.sync_all()?;

        let entry = Entry::new(id, new, size);
        let mut file = create(&folder.path().join(ENTRY))?;
        file.write_all(&entry.to_json()?)?;
        file.sync_all()?;

        lock.sync_all()?;
        Ok(Self { folder, _lock: lock, entry })
    }

    /// Gives the draft its true name; the draft again, and why, if that can't be done. The name is on disk only when the folder above has
    /// been synchronised.
    fn publish(self, place: &Path) -> Result<Entry, Box<(io::Error, Self)>> {
        // A folder can be renamed onto an empty one, but never onto one with files.
        match fs::rename(self.folder.path(), place) {
            Ok(()) => {
                // Nothing is left under the temporary name.
                let _ = self.folder.keep();
                Ok(self.entry)
            }
            Err(error) => Err(Box::new((error, self))),
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
