//! Decoded contents that are kept: several filters read a part, and decoding it takes longer than copying it.

use std::sync::Arc;

use bytes::Bytes;

use super::budget::{Budget, Place, Reservation};
use super::builder::held;

/// Octets that are kept of one message, in sum; what is larger is decoded anew by whoever reads it.
const KEPT_MAX: usize = 1024 * 1024;

/// The decoded contents of one message. They count as messages in memory do, and where there is no room nothing is kept.
pub(super) struct Kept {
    budget: Option<Arc<Budget>>,
    left: usize,
}

impl Kept {
    pub(super) fn new(budget: Option<Arc<Budget>>) -> Self {
        Self { budget, left: KEPT_MAX }
    }

    /// Whether it is worth to decode a body of so many encoded octets for keeping.
    pub(super) fn takes(&self, encoded: u64) -> bool {
        // None of the encodings makes octets more.
        encoded <= self.left as u64
    }

    /// Keeps a content; none if there is no room.
    pub(super) fn keep(&mut self, mut decoded: Vec<u8>) -> Option<Bytes> {
        self.left = self.left.checked_sub(decoded.len())?;
        decoded.shrink_to_fit();
        let Some(budget) = &self.budget else { return Some(decoded.into()) };
        let mut room = Reservation::empty(Arc::clone(budget), Place::Memory);
        room.grow(decoded.len() as u64).then(|| held(decoded, room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_counts_as_long_as_it_is_there() {
        let budget = Arc::new(Budget::new(1_000, 0));
        let mut kept = Kept::new(Some(Arc::clone(&budget)));
        let first = kept.keep(vec![1; 600]).unwrap();
        assert!(kept.keep(vec![2; 600]).is_none(), "the budget of all messages holds");
        let second = kept.keep(vec![3; 400]).unwrap();
        assert_eq!(budget.memory_used(), 1_000);
        drop((first, second));
        assert_eq!(budget.memory_used(), 0);
        let mut kept = Kept::new(None);
        assert!(kept.takes(KEPT_MAX as u64) && !kept.takes(KEPT_MAX as u64 + 1));
        assert!(kept.keep(vec![0; KEPT_MAX]).is_some());
        assert!(!kept.takes(1) && kept.keep(vec![0]).is_none());
    }
}
