//! What all messages of the process together may take. Counters only: no locks, no waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The totals over all sessions, in octets.
#[derive(Debug)]
pub struct Budget {
    memory: Account,
    spool: Account,
}

#[derive(Debug)]
struct Account {
    used: AtomicU64,
    total: u64,
}

impl Budget {
    /// A budget of `memory_total` octets in memory and `spool_total` octets in spool files.
    #[must_use]
    pub fn new(memory_total: u64, spool_total: u64) -> Self {
        Self { memory: Account::new(memory_total), spool: Account::new(spool_total) }
    }

    /// Octets of messages that are in memory now.
    #[must_use]
    pub fn memory_used(&self) -> u64 {
        self.memory.used.load(Ordering::Relaxed)
    }

    /// Octets of messages that are in spool files now.
    #[must_use]
    pub fn spool_used(&self) -> u64 {
        self.spool.used.load(Ordering::Relaxed)
    }
}

impl Account {
    fn new(total: u64) -> Self {
        Self { used: AtomicU64::new(0), total }
    }

    fn take(&self, octets: u64) -> bool {
        let fits = |used: u64| used.checked_add(octets).filter(|sum| *sum <= self.total);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// Where reserved octets are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Memory,
    Spool,
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    place: Place,
    octets: u64,
}

impl Reservation {
    pub(super) fn empty(budget: Arc<Budget>, place: Place) -> Self {
        Self { budget, place, octets: 0 }
    }

    /// Takes `octets` more, or nothing and says so.
    #[must_use]
    pub(super) fn grow(&mut self, octets: u64) -> bool {
        let taken = self.account().take(octets);
        if taken {
            self.octets += octets;
        }
        taken
    }

    fn account(&self) -> &Account {
        match self.place {
            Place::Memory => &self.budget.memory,
            Place::Spool => &self.budget.spool,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account().used.fetch_sub(self.octets, Ordering::Relaxed);
    }
}
