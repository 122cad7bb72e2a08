//! What was read lately, in memory within a bound.
//!
//! Each scope has a number that changes whenever somebody else has written to it; entries bear the number with which they were
//! read, so that old ones are never found again and fall out as the least used ones.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache as Lru;
use quick_cache::{Equivalent, Weighter};

use super::Owner;
use super::sql::{Found, ScopeRow};

/// For how long a scope is taken to be as it was.
const FRESH: Duration = Duration::from_secs(1);

/// The most scopes whose rows are remembered.
const SCOPES: usize = 20_000;

/// Octets that an entry of the cache takes besides key and value.
const OVERHEAD: u64 = 96;

/// The entries of all scopes.
pub(super) struct Cache {
    entries: Lru<Key, Found, Octets>,
    scopes: Mutex<HashMap<Owner, Arc<Scope>>>,
    /// The numbers that scopes get.
    epochs: std::sync::atomic::AtomicU64,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// A key in a scope at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Key {
    epoch: u64,
    key: Box<[u8]>,
}

/// The same to look up.
struct Wanted<'a> {
    epoch: u64,
    key: &'a [u8],
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Wanted { epoch: self.epoch, key: &self.key }.hash(state);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.epoch.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.epoch == key.epoch && *self.key == *key.key
    }
}

#[derive(Clone)]
struct Octets;

impl Weighter<Key, Found> for Octets {
    fn weight(&self, key: &Key, found: &Found) -> u64 {
        let value = found.as_ref().map_or(0, |(value, _)| value.len());
        (key.key.len() + value) as u64 + OVERHEAD
    }
}

/// What is known of a scope.
pub(super) struct Scope {
    known: Mutex<Seen>,
}

/// A scope as it was at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its row; none if there is no such scope.
    pub(super) row: Option<i64>,
    generation: i64,
    epoch: u64,
    checked: Option<Instant>,
}

/// What has become of a scope by a commit.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) owner: Owner,
    pub(super) row: ScopeRow,
    pub(super) became: Vec<(Vec<u8>, Found)>,
}

impl Seen {
    /// The number of the scope, and its generation.
    pub(super) fn number(&self) -> Option<(i64, i64)> {
        Some((self.row?, self.generation))
    }
}

impl Cache {
    /// A cache of so many octets.
    pub(super) fn new(octets: u64) -> Self {
        let items = usize::try_from(octets / 200).unwrap_or(usize::MAX).clamp(16, 1 << 22);
        Self { entries: Lru::with_weighter(items, octets, Octets), scopes: Mutex::default(), epochs: 1.into() }
    }

    /// What is known of an owner's scope.
    pub(super) fn scope(&self, owner: &Owner) -> Arc<Scope> {
        let mut scopes = lock(&self.scopes);
        if let Some(scope) = scopes.get(owner) {
            return Arc::clone(scope);
        }
        if scopes.len() >= SCOPES {
            // Those in use have been looked at just now; the others cost one look into the database.
            scopes.retain(|_, scope| scope.fresh().is_some());
            if scopes.len() >= SCOPES {
                scopes.clear();
            }
        }
        let known = Seen { row: None, generation: 0, epoch: self.epoch(), checked: None };
        let scope = Arc::new(Scope { known: Mutex::new(known) });
        scopes.insert(owner.clone(), Arc::clone(&scope));
        scope
    }

    /// A number that no scope has had.
    pub(super) fn epoch(&self) -> u64 {
        self.epochs.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// What is in memory of these keys; none where the database has to be asked.
    pub(super) fn all(&self, seen: &Seen, keys: &[Vec<u8>]) -> Vec<Option<Found>> {
        keys.iter().map(|key| self.entries.get(&Wanted { epoch: seen.epoch, key })).collect()
    }

    fn insert(&self, epoch: u64, key: &[u8], found: Found) {
        self.entries.insert(Key { epoch, key: key.into() }, found);
    }

    /// Takes over what has been committed.
    pub(super) fn committed(&self, commits: Vec<Committed>) {
        for Committed { owner, row, became } in commits {
            let scope = self.scope(&owner);
            let mut known = lock(&scope.known);
            // Whoever was the first after what is known: nobody else has written in between.
            let follows = known.checked.is_some() && known.generation + 1 == row.generation;
            if follows {
                known.row = Some(row.id);
                known.generation = row.generation;
                for (key, found) in became {
                    self.insert(known.epoch, &key, found);
                }
            } else {
                *known = Seen { row: None, generation: 0, epoch: self.epoch(), checked: None };
            }
        }
    }
}

impl Scope {
    /// The scope as it was lately; none if that is too long ago.
    pub(super) fn fresh(&self) -> Option<Seen> {
        Some(*lock(&self.known)).filter(|known| known.checked.is_some_and(|checked| checked.elapsed() < FRESH))
    }

    /// Takes over the row as it is in the database; `epoch` is a new number.
    pub(super) fn checked(&self, row: Option<ScopeRow>, epoch: u64) -> Seen {
        let mut known = lock(&self.known);
        let generation = row.map_or(0, |row| row.generation);
        let checked = Some(Instant::now());
        let row = row.map(|row| row.id);
        if known.checked.is_some() && generation < known.generation {
            // A commit of our own came after the look into the database. Or it is another database by now.
            *known = Seen { row: None, generation: 0, epoch, checked: None };
            return Seen { row, generation, epoch, checked };
        }
        let epoch = if known.checked.is_some() && generation == known.generation { known.epoch } else { epoch };
        *known = Seen { row, generation, epoch, checked };
        *known
    }

    /// Keeps what was read of these keys, if the scope is still what it was when the reading began.
    pub(super) fn keep(&self, cache: &Cache, seen: &Seen, read: Vec<(&[u8], Found)>) {
        let known = lock(&self.known);
        if known.epoch != seen.epoch || known.generation != seen.generation {
            return;
        }
        for (key, found) in read {
            cache.insert(known.epoch, key, found);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
