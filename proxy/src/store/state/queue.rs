//! Changes that wait for a transaction. Whoever comes first takes along all who wait, so that many small commits cost as much as a
//! few large ones.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::commit::Changes;
use super::{Inner, StateError};

/// Changes that are committed together, at most.
const TOGETHER: usize = 256;

/// Who waits, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

/// The changes of one message.
#[derive(Debug)]
struct Waiting {
    changes: Changes,
    deadline: Instant,
    done: oneshot::Sender<Result<(), StateError>>,
}

impl Queue {
    fn add(&self, waiting: Waiting) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
    }

    /// Those whose turn it is. What two have learned of one message can't be decided at once.
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut learned = HashSet::new();
        let mut stay = Vec::new();
        let mut taken = Vec::new();
        for one in waiting.drain(..) {
            let lesson = one.changes.lesson.as_ref();
            let first = lesson.is_none_or(|lesson| learned.insert((lesson.owner.clone(), lesson.message)));
            if first && taken.len() < TOGETHER {
                taken.push(one);
            } else {
                stay.push(one);
            }
        }
        *waiting = stay;
        taken
    }
}

impl Inner {
    /// Commits changes, with those of others who wait. It begins before the deadline or not at all.
    pub(super) async fn commit(&self, changes: Changes, deadline: Instant) -> Result<(), StateError> {
        let (done, mut result) = oneshot::channel();
        self.queue.add(Waiting { changes, deadline, done });
        loop {
            let turn = self.queue.turn.lock().await;
            // Somebody else has taken it along.
            if let Ok(result) = result.try_recv() {
                return result;
            }
            self.commit_waiting().await;
            drop(turn);
        }
    }

    /// Commits for all who wait: together, or each alone where one of them is in the way of all.
    async fn commit_waiting(&self) {
        let now = Instant::now();
        let (waiting, late): (Vec<_>, Vec<_>) =
            self.queue.take().into_iter().partition(|waiting| waiting.deadline > now);
        late.into_iter().for_each(|waiting| waiting.end(Err(StateError::Late(super::PATIENCE))));
        let Some(deadline) = waiting.iter().map(|waiting| waiting.deadline).min() else { return };
        let all: Vec<&Changes> = waiting.iter().map(|waiting| &waiting.changes).collect();
        match self.commit_all(&all, deadline).await {
            Err(StateError::Full { .. } | StateError::Raced) if waiting.len() > 1 => {
                for one in waiting {
                    let committed = self.commit_all(&[&one.changes], one.deadline).await;
                    one.end(committed);
                }
            }
            committed => waiting.into_iter().for_each(|one| one.end(committed.clone())),
        }
    }

    /// Commits all of these in one transaction.
    async fn commit_all(&self, all: &[&Changes], deadline: Instant) -> Result<(), StateError> {
        for lesson in all.iter().filter_map(|changes| changes.lesson.as_ref()) {
            // Who learns writes to the same scope again and again, and is patient.
            let scope = self.cache.scope(&lesson.owner);
            if let Some(row) = scope.to_load(&self.cache) {
                self.load(&scope, row).await;
            }
        }
        let committed = self.commit_together(all, deadline).await?;
        self.cache.committed(committed);
        Ok(())
    }
}

impl Waiting {
    fn end(self, result: Result<(), StateError>) {
        // Who does not wait any more need not know.
        let _gone = self.done.send(result);
    }
}
