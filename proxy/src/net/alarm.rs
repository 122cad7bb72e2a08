//! A deadline that moves on and on, and is hardly ever reached.
//!
//! A timer that is set and cleared for each command costs more than all else that a command costs here. This one stays set:
//! when it rings for a time that has moved on meanwhile, it is set again, and nobody hears of it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one wait at a time, each of which may be given up early.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Whether this time has come; if not, `context` is woken then.
    pub fn poll_at(&mut self, context: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.is_elapsed() || timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    /// Waits until this time has come. Cancellation-safe.
    pub async fn at(&mut self, due: Instant) {
        poll_fn(|context| self.poll_at(context, due)).await;
    }

    /// Waits for so long, from the moment on when this is looked at first. Cancellation-safe.
    pub async fn after(&mut self, time: Duration) {
        self.at(Instant::now() + time).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn it_rings_for_the_time_that_counts_and_for_no_other() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        // Waits that are given up, and a deadline that moves on.
        for steps in 2..5 {
            assert!(timeout(Duration::ZERO, alarm.at(start + steps * STEP)).await.is_err());
        }
        alarm.at(start + 6 * STEP).await;
        assert!(start.elapsed() >= 6 * STEP);
        // An earlier time after a later one, and behind one that has come.
        assert!(timeout(Duration::ZERO, alarm.after(Duration::from_hours(1))).await.is_err());
        alarm.at(start + 8 * STEP).await;
        assert!(start.elapsed() >= 8 * STEP);
    }

    #[tokio::test]
    async fn a_time_that_has_come_is_not_waited_for() {
        let mut alarm = Alarm::default();
        alarm.after(STEP).await;
        let past = Instant::now() - STEP;
        for _ in 0..2 {
            alarm.at(past).await;
        }
    }
}
