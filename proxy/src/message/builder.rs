//! A message that is just arriving: in memory first, in an unlinked spool file when it grows.
//!
//! Announced sizes play no part; room is taken as octets arrive.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use super::budget::{Budget, Place, Reservation};
use super::{Message, Octets};

/// The bounds of one message.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Octets that are kept in memory; a larger message goes to a spool file.
    pub memory: u64,
    /// Octets that a message may have at all.
    pub max: u64,
    /// The folder of the spool files. They have no name there.
    pub spool: PathBuf,
}

/// Why a message could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It has more octets than a message may have.
    #[error("the message is larger than {max} octets")]
    TooLarge {
        /// The limit in octets.
        max: u64,
    },
    /// All messages together have used up the budget; the same message may fit later.
    #[error("no room for more messages at the moment")]
    Busy,
    /// The spool file can't be made, written or mapped.
    #[error("spool file: {0}")]
    Spool(#[from] io::Error),
}

/// Collects the octets of a message.
#[derive(Debug)]
pub struct Builder {
    limits: Limits,
    budget: Arc<Budget>,
    len: u64,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>, Reservation),
    Spool(File, Reservation),
}

impl Builder {
    /// An empty message.
    #[must_use]
    pub fn new(limits: Limits, budget: Arc<Budget>) -> Self {
        let store = Store::Memory(Vec::new(), Reservation::empty(budget.clone(), Place::Memory));
        Self { limits, budget, len: 0, store }
    }

    /// The octets so far.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks whether a mail is empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Appends octets. Writes to the spool file if the message is large, and so may block for a disk.
    ///
    /// # Errors
    /// See [`BuildError`]. The message is incomplete then, and the builder is to be dropped.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), BuildError> {
        let more = octets.len() as u64;
        let len = self.len + more;
        if len > self.limits.max {
            return Err(BuildError::TooLarge { max: self.limits.max });
        }
        if let Store::Memory(held, room) = &mut self.store {
            if len <= self.limits.memory && room.grow(more) {
                held.extend_from_slice(octets);
                self.len = len;
                return Ok(());
            }
            let (file, room) = spool(&self.limits, &self.budget, held)?;
            self.store = Store::Spool(file, room);
        }
        if let Store::Spool(file, room) = &mut self.store {
            if !room.grow(more) {
                return Err(BuildError::Busy);
            }
            file.write_all(octets)?;
        }
        self.len = len;
        Ok(())
    }

    /// The message is complete.
    ///
    /// # Errors
    /// [`BuildError::Spool`] when the spool file can't be mapped.
    pub fn finish(self) -> Result<Message, BuildError> {
        let bytes = match self.store {
            Store::Memory(octets, room) => held(octets, room),
            Store::Spool(file, room) => Bytes::from_owner(Mapped { map: map(&file)?, _room: room }),
        };
        Ok(Message::new(Octets::from(bytes), Some((self.limits, self.budget)), None))
    }
}

/// Moves what is in memory to a new file that has no name (O_TMPFILE, or created and unlinked), mode 0600.
fn spool(limits: &Limits, budget: &Arc<Budget>, held: &[u8]) -> Result<(File, Reservation), BuildError> {
    let mut room = Reservation::empty(budget.clone(), Place::Spool);
    if !room.grow(held.len() as u64) {
        return Err(BuildError::Busy);
    }
    let mut file = tempfile::tempfile_in(&limits.spool)?;
    file.write_all(held)?;
    Ok((file, room))
}

/// Maps a complete spool file for reading.
#[allow(unsafe_code, reason = "a mapping is sound only while nobody changes the file; the argument stands at the call")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: nobody else can change or truncate the file. It never had a name or has lost it before the first octet
    // was written, so that no other process can open it, its only descriptor belongs to the builder that
    // `finish` consumes, and that is closed when `finish` returns. It was filled with write(2), so no page is missing.
    unsafe { Mmap::map(file) }
}

/// Octets that give their room back with the last that shares them.
pub(super) fn held(octets: Vec<u8>, room: Reservation) -> Bytes {
    Bytes::from_owner(Held { octets, _room: room })
}

struct Held {
    octets: Vec<u8>,
    _room: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

struct Mapped {
    map: Mmap,
    _room: Reservation,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: u64, max: u64) -> Limits {
        Limits { memory, max, spool: std::env::temp_dir() }
    }

    #[test]
    fn a_message_is_the_same_in_memory_and_in_a_spool_file_however_it_arrives() {
        let octets: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for (memory, chunk) in [(10_000, 7), (0, 1), (4999, 5000), (4999, 4999), (100, 33), (5000, 64)] {
            let budget = Arc::new(Budget::new(10_000, 10_000));
            let mut builder = Builder::new(limits(memory, 5000), budget.clone());
            octets.chunks(chunk).for_each(|chunk| builder.push(chunk).unwrap());
            let message = builder.finish().unwrap();
            assert_eq!(message.segments().collect::<Vec<_>>().concat(), octets);
            let spooled = if memory < 5000 { 5000 } else { 0 };
            assert_eq!((budget.memory_used(), budget.spool_used()), (5000 - spooled, spooled));
            let copy = message.clone();
            drop(message);
            assert_eq!(budget.memory_used() + budget.spool_used(), 5000);
            drop(copy);
            assert_eq!(budget.memory_used() + budget.spool_used(), 0);
        }
    }

    #[test]
    fn the_limit_of_a_message_and_of_all_messages_hold() {
        let budget = Arc::new(Budget::new(10, 20));
        let mut large = Builder::new(limits(100, 15), budget.clone());
        assert!(large.push(&[0; 15]).is_ok(), "more than the memory budget goes to the spool");
        assert!(matches!(large.push(&[0]), Err(BuildError::TooLarge { max: 15 })));
        let mut other = Builder::new(limits(0, 15), budget.clone());
        assert!(other.push(&[0; 5]).is_ok());
        assert!(matches!(other.push(&[0]), Err(BuildError::Busy)));
        drop((large, other));
        assert_eq!((budget.memory_used(), budget.spool_used()), (0, 0));
    }

    #[test]
    fn an_empty_message_and_a_missing_folder_are_no_panic() {
        let budget = Arc::new(Budget::new(1, 1));
        assert_eq!(Builder::new(limits(0, 0), budget.clone()).finish().unwrap().len(), 0);
        let nowhere = Limits { spool: "/nonexistent/spool".into(), ..limits(0, 1) };
        assert!(matches!(Builder::new(nowhere, budget).push(&[1]), Err(BuildError::Spool(_))));
    }
}
