//! The quarantine as a folder: each message in a folder of its own. All of it blocks.
//!
//! `ID/` holds `message.eml` and `entry.json`. A folder is written under a temporary name and gets its true name only when
//! all of it is on disk, so that under a true name there is never half a message; [`put`] returns only when the name is on
//! disk, too. What a crash leaves under temporary names is swept at the next start.
//!
//! A released message has a mark in `.released`: an empty file `OWNER-ID`, so that the messages released to a user are
//! found by their names, without a look at any entry of others.
//!
//! When a message was last held is when its `entry.json` was changed. Whoever looks at an entry and then acts by what it
//! saw holds the lock meanwhile.
//!
//! [`put`]: Folder::put

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tracing::warn;

use super::glance::Glance;
use super::place::Stored;
use super::{Entry, EntryId};
use crate::store::folder;

const MESSAGE: &str = "message.eml";
const ENTRY: &str = "entry.json";
/// What temporary names begin with; no id does.
const DRAFT: &str = ".new-";
const LOCK: &str = ".lock";
/// The folder of marks on released messages.
const RELEASED: &str = ".released";

/// A folder. Any number of threads and processes may use it at once.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    marks: Arc<Glance>,
}

impl Folder {
    /// Opens a folder, makes it (0700) if need be, and removes what a crash has left.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        folder::make(&path)?;
        folder::make(&path.join(RELEASED))?;
        let marks = Arc::new(Glance::at(path.join(RELEASED)));
        let quarantine = Self { path, marks };
        quarantine.sweep()?;
        Ok(quarantine)
    }

    /// Stores a message, given in pieces. When this returns, it is on disk. A message that is there already stays as it is, and
    /// its entry is returned.
    ///
    /// When anything at all goes wrong, a full disk included, the message is not stored, and what was written of it is
    /// removed as far as possible.
    pub(super) fn put<'a>(&self, entry: &Entry, octets: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Entry> {
        let place = self.place(&entry.id);
        let draft = Draft::write(&self.path, entry.clone(), octets)?;
        let entry = match draft.publish(&place) {
            Ok(entry) => entry,
            Err(failure) if is_taken(&failure.0) => self.beside(failure.1, &place)?,
            Err(failure) => return Err(failure.0),
        };
        folder::sync(&self.path)?;
        Ok(entry)
    }

    /// Notes that a message which is there was held once more, so that it is kept for as long as a new one.
    pub(super) fn held_again(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        if self.get(id)?.is_none() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        // It may have been removed just now.
        let Some(there) = self.get(id)? else { return Ok(None) };
        let file = File::open(self.place(id).join(ENTRY))?;
        file.set_modified(SystemTime::now())?;
        file.sync_all()?;
        // Its writer may still be on the way to this very step.
        folder::sync(&self.path)?;
        Ok(Some(there))
    }

    /// The entry of an id; none if there is none or it is not whole.
    pub(super) fn get(&self, id: &EntryId) -> io::Result<Option<Entry>> {
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
    pub(super) fn message(&self, id: &EntryId) -> PathBuf {
        self.place(id).join(MESSAGE)
    }

    fn place(&self, id: &EntryId) -> PathBuf {
        self.path.join(id.as_str())
    }

    /// Held to the end: of two who act by what they see, the second must see what the first has done.
    fn lock(&self) -> io::Result<File> {
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.path.join(LOCK))?;
        lock.lock()?;
        Ok(lock)
    }

    /// The place of an entry was taken a moment ago. Either somebody else has just stored the same message: good. Or what lay there
    /// has been removed meanwhile, or is damaged: the draft takes its place.
    fn beside(&self, mut draft: Draft, place: &Path) -> io::Result<Entry> {
        let id = draft.entry.id.clone();
        loop {
            if let Some(there) = self.held_again(&id)? {
                return Ok(there);
            }
            let _lock = self.lock()?;
            if let Some(there) = self.get(&id)? {
                return Ok(there);
            }
            let damaged = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&self.path)?;
            match fs::rename(place, damaged.path().join("damaged")) {
                Ok(()) => warn!(%id, "the entry in quarantine is damaged and is stored again"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            draft = match draft.publish(place) {
                Ok(entry) => return Ok(entry),
                // Whoever stores the same message for the first time holds no lock.
                Err(failure) if is_taken(&failure.0) => failure.1,
                Err(failure) => return Err(failure.0),
            };
        }
    }

    /// What is there, in any order. Entries that are `known` are not read, since they never change.
    pub(super) fn stored(&self, known: &HashMap<EntryId, (String, u64)>) -> io::Result<Vec<Stored>> {
        let mut stored = Vec::new();
        for file in fs::read_dir(&self.path)? {
            let name = file?.file_name();
            let Some(id) = name.to_str().and_then(EntryId::parse) else { continue };
            let (owner, octets) = match known.get(&id) {
                Some(known) => known.clone(),
                None => match self.get(&id)? {
                    Some(entry) => (entry.identity.key(), entry.size),
                    None => continue,
                },
            };
            let since = fs::metadata(self.place(&id).join(ENTRY)).and_then(|entry| entry.modified()).ok();
            stored.push(Stored { id, owner, octets, since });
        }
        Ok(stored)
    }

    /// Removes a message for good; false if there is none of this id. With `age` it is only removed if it was last held
    /// longer ago, and is not released.
    pub(super) fn remove(&self, id: &EntryId, age: Option<Duration>) -> io::Result<bool> {
        let _lock = self.lock()?;
        let Some(entry) = self.get(id)? else { return Ok(false) };
        let mark = self.mark_of(&entry.identity.key(), id);
        if let Some(age) = age {
            let changed = fs::metadata(self.place(id).join(ENTRY))?.modified()?;
            let held = changed.max(entry.when);
            let is_old = SystemTime::now().duration_since(held).is_ok_and(|since| since > age);
            if !is_old || mark.exists() {
                return Ok(false);
            }
        }
        remove(&mark)?;
        // First the true name goes, so that half an entry is never seen under it.
        let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&self.path)?;
        fs::rename(self.place(id), draft.path().join("deleted"))?;
        draft.close()?;
        folder::sync(&self.path)?;
        Ok(true)
    }

    /// Marks a message as released; false if there is no message. When this returns, that is on disk.
    pub(super) fn mark(&self, owner: &str, id: &EntryId) -> io::Result<bool> {
        let _lock = self.lock()?;
        if self.get(id)?.is_none() {
            return Ok(false);
        }
        match create(&self.mark_of(owner, id)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        folder::sync(self.marks.path())?;
        Ok(true)
    }

    /// Takes marks away; where that fails, some may be left.
    pub(super) fn unmark(&self, owner: &str, ids: &[EntryId]) -> io::Result<()> {
        for id in ids {
            remove(&self.mark_of(owner, id))?;
        }
        folder::sync(self.marks.path())
    }

    /// The messages that are marked, of an owner or of all.
    pub(super) fn marks(&self, owner: Option<&str>) -> io::Result<Vec<EntryId>> {
        Ok(of_owner(&self.marks.names()?, owner))
    }

    /// Whether it can be told at once that there is no mark.
    pub(super) fn is_known_unmarked(&self) -> bool {
        self.marks.known().is_some_and(|names| names.is_empty())
    }

    /// The same marks, if they can be told at once.
    pub(super) fn known_marks(&self, owner: Option<&str>) -> Option<Vec<EntryId>> {
        Some(of_owner(&self.marks.known()?, owner))
    }

    fn mark_of(&self, owner: &str, id: &EntryId) -> PathBuf {
        self.marks.path().join(format!("{owner}-{id}"))
    }

    /// Removes drafts that nobody works on any more.
    pub(super) fn sweep(&self) -> io::Result<()> {
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

/// The messages that these marks are on, of an owner or of all.
fn of_owner(names: &[String], owner: Option<&str>) -> Vec<EntryId> {
    let marks = names.iter().filter_map(|name| name.split_once('-'));
    marks.filter(|(of, _)| owner.is_none_or(|owner| owner == *of)).filter_map(|(_, id)| EntryId::parse(id)).collect()
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
    fn write<'a>(parent: &Path, entry: Entry, octets: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(DRAFT).permissions(private).tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        lock.lock()?;

        let mut message = create(&folder.path().join(MESSAGE))?;
        for piece in octets {
            message.write_all(piece)?;
        }
        message.sync_all()?;

        let mut file = create(&folder.path().join(ENTRY))?;
        file.write_all(&entry.to_json()?)?;
        file.sync_all()?;

        lock.sync_all()?;
        Ok(Self { folder, _lock: lock, entry })
    }

    /// Gives the draft its true name; the draft again, and why, if that can't be done. The name is on disk only when the
    /// folder above has been synchronised.
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

/// Whether a draft could not be published since something is there.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
