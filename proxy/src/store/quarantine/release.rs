//! What is done with messages once they are in quarantine: listed, released to their owner, deleted.
//!
//! A mark is an empty file `OWNER-ID`, so that the messages released to a user are found by their names, without a look at
//! any entry of others.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use tracing::warn;

use super::{DRAFT, Entry, EntryId, Identity, Quarantine, RELEASED, create};
use crate::store::folder;

/// Why a message can't be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no entry of this id.
    #[error("there is no message of this id in quarantine")]
    Missing,
    /// The login of its session did not tell the user, so nobody can be given it.
    #[error("it is not known whose message this is; its file can be handed over by other means")]
    Nobody,
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Quarantine {
    /// Every whole entry, the oldest first.
    ///
    /// # Errors
    ///
    /// When the folder can't be read.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.path)? {
            let name = file?.file_name();
            let Some(id) = name.to_str().and_then(EntryId::parse) else { continue };
            entries.extend(self.get(&id)?);
        }
        entries.sort_by(|one, other| (one.when, &one.id).cmp(&(other.when, &other.id)));
        Ok(entries)
    }

    /// Shows a message to its owner from the next session on, until the owner deletes it. When this returns, that is on
    /// disk.
    ///
    /// # Errors
    ///
    /// See [`ReleaseError`].
    pub fn release(&self, id: &EntryId) -> Result<Entry, ReleaseError> {
        let entry = self.get(id)?.ok_or(ReleaseError::Missing)?;
        if entry.identity.user.is_none() {
            return Err(ReleaseError::Nobody);
        }
        match create(&self.mark(&entry.identity, id)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        folder::sync(&self.path.join(RELEASED))?;
        Ok(entry)
    }

    /// True if its owner is shown the message.
    #[must_use]
    pub fn is_released(&self, entry: &Entry) -> bool {
        self.mark(&entry.identity, &entry.id).exists()
    }

    /// The messages that are released to this user, the oldest first, each with the octets that RETR sends; none where no
    /// user is known.
    ///
    /// # Errors
    ///
    /// When the marks can't be read.
    pub fn released(&self, identity: &Identity) -> io::Result<Vec<(Entry, u64)>> {
        if identity.user.is_none() {
            return Ok(Vec::new());
        }
        let owner = identity.key();
        let mut released = Vec::new();
        for file in fs::read_dir(self.path.join(RELEASED))? {
            let name = file?.file_name();
            let id =
                name.to_str().and_then(|name| name.strip_prefix(&*owner)?.strip_prefix('-')).and_then(EntryId::parse);
            let Some(id) = id else { continue };
            match self.get(&id)?.filter(|entry| entry.identity == *identity) {
                Some(entry) => {
                    let octets = self.octets(&entry)?;
                    released.push((entry, octets));
                }
                None => warn!(%id, "a released message is not in quarantine any more"),
            }
        }
        released.sort_by(|(one, _), (other, _)| (one.when, &one.id).cmp(&(other.when, &other.id)));
        Ok(released)
    }

    /// The owner has deleted a released message: it is not shown any more. The entry stays.
    ///
    /// # Errors
    ///
    /// When the mark can't be removed; some of several may be.
    pub fn collected<'a>(&self, identity: &Identity, ids: impl IntoIterator<Item = &'a EntryId>) -> io::Result<()> {
        for id in ids {
            remove(&self.mark(identity, id))?;
        }
        folder::sync(&self.path.join(RELEASED))
    }

    /// Removes a message for good; false if there is none of this id.
    ///
    /// # Errors
    ///
    /// When it can't be removed.
    pub fn delete(&self, id: &EntryId) -> io::Result<bool> {
        let Some(entry) = self.get(id)? else { return Ok(false) };
        remove(&self.mark(&entry.identity, id))?;
        // First the true name goes, so that half an entry is never seen under it.
        let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(&self.path)?;
        fs::rename(self.place(id), draft.path().join("deleted"))?;
        draft.close()?;
        folder::sync(&self.path)?;
        Ok(true)
    }

    /// The octets of a message as RETR sends it: a last line without its end gets one.
    fn octets(&self, entry: &Entry) -> io::Result<u64> {
        if entry.size < 2 {
            return Ok(if entry.size == 0 { 0 } else { entry.size + 2 });
        }
        let mut file = File::open(self.message(&entry.id))?;
        file.seek(SeekFrom::End(-2))?;
        let mut end = [0; 2];
        file.read_exact(&mut end)?;
        Ok(if end == *b"\r\n" { entry.size } else { entry.size + 2 })
    }

    fn mark(&self, identity: &Identity, id: &EntryId) -> PathBuf {
        self.path.join(RELEASED).join(format!("{}-{id}", identity.key()))
    }
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sha2::{Digest, Sha256};

    use super::super::NewEntry;
    use super::*;

    fn put(quarantine: &Quarantine, user: Option<&str>, text: &str) -> EntryId {
        let entry = NewEntry {
            identity: identity(user),
            sha256: Sha256::digest(text).into(),
            when: SystemTime::now(),
            filter: "f".into(),
            reason: "r".into(),
            subject: None,
            from: None,
            findings: Vec::new(),
        };
        quarantine.put(&entry, [text.as_bytes()]).unwrap().id
    }

    fn identity(user: Option<&str>) -> Identity {
        Identity { upstream: "u".into(), user: user.map(str::to_owned) }
    }

    fn ids(quarantine: &Quarantine, user: Option<&str>) -> Vec<EntryId> {
        quarantine.released(&identity(user)).unwrap().into_iter().map(|(entry, _)| entry.id).collect()
    }

    #[test]
    fn what_is_released_is_its_owners_until_it_is_collected() {
        let state = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(state.path()).unwrap();
        let (mine, other) = (put(&quarantine, Some("alice"), "a\r\n"), put(&quarantine, Some("bob"), "a\r\n"));
        assert!(ids(&quarantine, Some("alice")).is_empty());
        quarantine.release(&mine).unwrap();
        quarantine.release(&mine).unwrap();
        quarantine.release(&other).unwrap();
        let quarantine = Quarantine::open(state.path()).unwrap();
        assert_eq!(ids(&quarantine, Some("alice")), std::slice::from_ref(&mine));
        quarantine.collected(&identity(Some("alice")), [&mine, &other]).unwrap();
        assert!(ids(&quarantine, Some("alice")).is_empty());
        assert_eq!(ids(&quarantine, Some("bob")), [other], "nobody deletes what is another's");
        assert!(quarantine.get(&mine).unwrap().is_some());
    }

    #[test]
    fn nobodys_message_is_not_released() {
        let state = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(state.path()).unwrap();
        let id = put(&quarantine, None, "a");
        assert!(matches!(quarantine.release(&id), Err(ReleaseError::Nobody)));
        let missing = EntryId::parse(&"0".repeat(32)).unwrap();
        assert!(matches!(quarantine.release(&missing), Err(ReleaseError::Missing)));
        assert!(ids(&quarantine, None).is_empty());
    }

    #[test]
    fn a_released_message_is_announced_with_the_octets_that_retr_sends() {
        let state = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(state.path()).unwrap();
        for text in ["", "a", "\n", "ab", "a\r\n", "abc\r"] {
            quarantine.release(&put(&quarantine, Some("alice"), text)).unwrap();
        }
        let mut octets: Vec<_> = quarantine
            .released(&identity(Some("alice")))
            .unwrap()
            .into_iter()
            .map(|(entry, octets)| (entry.size, octets))
            .collect();
        octets.sort_unstable();
        assert_eq!(octets, [(0, 0), (1, 3), (1, 3), (2, 4), (3, 3), (4, 6)]);
    }

    #[test]
    fn a_deleted_message_is_gone_and_so_is_its_release() {
        let state = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::open(state.path()).unwrap();
        let id = put(&quarantine, Some("alice"), "a");
        quarantine.release(&id).unwrap();
        assert_eq!(quarantine.entries().unwrap().len(), 1);
        assert!(quarantine.delete(&id).unwrap());
        assert!(!quarantine.delete(&id).unwrap());
        assert!(quarantine.entries().unwrap().is_empty() && ids(&quarantine, Some("alice")).is_empty());
    }
}
