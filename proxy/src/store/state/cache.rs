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
use super::sql::{Entry, Found, ScopeRow};
use super::whole::Whole;

/// For how long a scope is taken to be as it was.
const FRESH: Duration = Duration::from_secs(1);

/// The most scopes whose rows are remembered.
const SCOPES: usize = 20_000;

/// Octets that an entry of the cache takes besides key and value.
const OVERHEAD: u64 = 96;

/// A scope may be read as a whole when so many of its entries were looked for in the database, or one of so many.
const MISSED: u64 = 2_000;
const MISSED_SHARE: u64 = 200;

/// Not more than this share of the time is spent on reading a scope as a whole, again and again since others write to it.
const LOADING_SHARE: u32 = 20;

/// How long nobody asks again whether there is room for a scope as a whole.
const FULL: Duration = Duration::from_secs(10);

/// The entries of all scopes.
pub(super) struct Cache {
    entries: Lru<Key, Found, Octets>,
    /// Octets that scopes may take that are in memory as a whole.
    room: u64,
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
    known: Mutex<Known>,
}

/// The same, and what was read of it.
struct Known {
    seen: Seen,
    /// All of it, as it was then.
    whole: Option<Whole>,
    /// Entries that were looked for in the database.
    missed: u64,
    /// Somebody is reading all of it.
    loading: bool,
    /// When it may be read again.
    not_before: Option<Instant>,
}

impl Known {
    /// It stands otherwise than it did.
    fn turn_to(&mut self, seen: Seen) {
        if seen.epoch != self.seen.epoch {
            (self.whole, self.missed) = (None, 0);
        }
        self.seen = seen;
    }
}

/// A scope as it was at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its row; none if there is no such scope.
    pub(super) row: Option<i64>,
    generation: i64,
    /// Octets of all its entries.
    octets: i64,
    epoch: u64,
    checked: Option<Instant>,
}

/// What has become of a scope by a commit.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) owner: Owner,
    pub(super) row: ScopeRow,
    pub(super) became: Vec<(Vec<u8>, Found)>,
    /// There was nothing in it before.
    pub(super) is_new: bool,
}

impl Seen {
    /// Nothing is known.
    fn nothing(epoch: u64) -> Self {
        Self { row: None, generation: 0, octets: 0, epoch, checked: None }
    }

    /// The number of the scope, and its generation.
    pub(super) fn number(&self) -> Option<(i64, i64)> {
        Some((self.row?, self.generation))
    }
}

impl Cache {
    /// A cache of so many octets, half of them for scopes that are in memory as a whole.
    pub(super) fn new(octets: u64) -> Self {
        let (room, octets) = (octets / 2, octets / 2);
        let items = usize::try_from(octets / 200).unwrap_or(usize::MAX).clamp(16, 1 << 22);
        Self { entries: Lru::with_weighter(items, octets, Octets), room, scopes: Mutex::default(), epochs: 1.into() }
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
        let seen = Seen::nothing(self.epoch());
        let known = Known { seen, whole: None, missed: 0, loading: false, not_before: None };
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

    /// Octets that scopes take that are in memory as a whole.
    fn taken(&self) -> u64 {
        let scopes: Vec<Arc<Scope>> = lock(&self.scopes).values().cloned().collect();
        scopes.iter().map(|scope| lock(&scope.known).whole.as_ref().map_or(0, Whole::octets)).sum()
    }

    /// The entries under these keys just before a commit by which the row came to be what it is; none if the database has to be asked.
    pub(super) fn before(&self, owner: &Owner, row: &ScopeRow, keys: &[&[u8]]) -> Option<Vec<Entry>> {
        let scope = self.scope(owner);
        let mut known = lock(&scope.known);
        let follows = known.seen.checked.is_some() && known.seen.generation + 1 == row.generation;
        match known.whole.as_ref().filter(|_| follows) {
            None => {
                known.missed += keys.len() as u64;
                None
            }
            Some(whole) => {
                let entry = |key: &&[u8]| {
                    let (value, expires) = whole.get(key)?;
                    Some(Entry { key: key.to_vec(), value: value.to_vec(), expires })
                };
                Some(keys.iter().filter_map(entry).collect())
            }
        }
    }

    /// Takes over what has been committed.
    pub(super) fn committed(&self, commits: Vec<Committed>) {
        for Committed { owner, row, became, is_new } in commits {
            let scope = self.scope(&owner);
            let room = self.room;
            let mut known = lock(&scope.known);
            if is_new {
                // What there is now is all that there is.
                let seen = Seen { checked: Some(Instant::now()), ..Seen::nothing(self.epoch()) };
                known.turn_to(Seen { generation: row.generation - 1, ..seen });
                known.whole = Some(Whole::default());
            }
            // Whoever was the first after what is known: nobody else has written in between.
            let seen = known.seen;
            let follows = seen.checked.is_some() && seen.generation + 1 == row.generation;
            if !follows {
                known.turn_to(Seen::nothing(self.epoch()));
                continue;
            }
            known.seen = Seen { row: Some(row.id), generation: row.generation, octets: row.octets, ..seen };
            match &mut known.whole {
                Some(whole) => became.into_iter().for_each(|(key, found)| whole.set(&key, found)),
                None => became.into_iter().for_each(|(key, found)| self.insert(seen.epoch, &key, found)),
            }
            known.whole.take_if(|whole| whole.octets() > room);
        }
    }
}

impl Scope {
    /// The scope as it was lately; none if that is too long ago.
    pub(super) fn fresh(&self) -> Option<Seen> {
        Some(lock(&self.known).seen).filter(|seen| seen.checked.is_some_and(|checked| checked.elapsed() < FRESH))
    }

    /// Takes over the row as it is in the database; `epoch` is a new number.
    pub(super) fn checked(&self, row: Option<ScopeRow>, epoch: u64) -> Seen {
        let mut known = lock(&self.known);
        let (generation, octets) = row.map_or((0, 0), |row| (row.generation, row.octets));
        let checked = Some(Instant::now());
        let row = row.map(|row| row.id);
        let before = known.seen;
        if before.checked.is_some() && generation < before.generation {
            // A commit of our own came after the look into the database. Or it is another database by now.
            known.turn_to(Seen::nothing(epoch));
            return Seen { row, generation, octets, epoch, checked };
        }
        let same = before.checked.is_some() && generation == before.generation;
        let epoch = if same { before.epoch } else { epoch };
        known.turn_to(Seen { row, generation, octets, epoch, checked });
        known.seen
    }

    /// The values under these keys at a time, where all of the scope is in memory as it was seen.
    pub(super) fn all(&self, seen: &Seen, keys: &[Vec<u8>], now: i64) -> Option<Vec<Option<Vec<u8>>>> {
        let known = lock(&self.known);
        let whole = known.whole.as_ref().filter(|_| known.seen.epoch == seen.epoch)?;
        Some(keys.iter().map(|key| whole.value(key, now)).collect())
    }

    /// The counters under the keys that are these numbers, where all of the scope is in memory as it was seen.
    pub(super) fn counters(&self, seen: &Seen, keys: &[u64], now: i64) -> Option<Vec<i64>> {
        let known = lock(&self.known);
        let whole = known.whole.as_ref().filter(|_| known.seen.epoch == seen.epoch)?;
        Some(keys.iter().map(|key| whole.counter(key.to_le_bytes(), now)).collect())
    }

    /// Keeps what was read of these keys, if the scope is still what it was when the reading began.
    pub(super) fn keep(&self, cache: &Cache, seen: &Seen, read: Vec<(&[u8], Found)>) {
        let mut known = lock(&self.known);
        if known.seen.epoch != seen.epoch || known.seen.generation != seen.generation {
            return;
        }
        known.missed += read.len() as u64;
        for (key, found) in read {
            cache.insert(known.seen.epoch, key, found);
        }
    }

    /// The row of the scope, if it is worth reading all of it, and nobody does so. Whoever is told so does it, and says so by
    /// [`Scope::loaded`].
    pub(super) fn to_load(&self, cache: &Cache) -> Option<i64> {
        let wants = |known: &Known| {
            let much = MISSED.max(known.seen.octets.unsigned_abs() / 48 / MISSED_SHARE);
            !known.loading && known.whole.is_none() && known.missed >= much && known.seen.checked.is_some()
        };
        let estimate = {
            let known = lock(&self.known);
            if !wants(&known) || known.not_before.is_some_and(|then| Instant::now() < then) {
                return None;
            }
            Whole::estimate(known.seen.octets)
        };
        let fits = cache.taken() + estimate <= cache.room;
        let mut known = lock(&self.known);
        if !fits {
            known.not_before = Some(Instant::now() + FULL);
            return None;
        }
        let row = known.seen.row.filter(|_| wants(&known))?;
        known.loading = true;
        Some(row)
    }

    /// Takes over what was read since then, if the scope is still what it was; none if it could not be read.
    pub(super) fn loaded(&self, since: Instant, read: Option<(i64, Whole)>) {
        let mut known = lock(&self.known);
        (known.loading, known.missed) = (false, 0);
        known.not_before = Some(Instant::now() + since.elapsed() * LOADING_SHARE);
        if let Some((generation, whole)) = read
            && known.seen.checked.is_some()
            && known.seen.generation == generation
        {
            known.whole = Some(whole);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
