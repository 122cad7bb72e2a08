//! A deadline that moves on and on, and is hardly ever reached.
//!
//! A timer that is set and cleared for each command costs more than all else that a command costs here. This one stays set:
//! when it rings for a time that has moved on meanwhile, it is set again, and nobody hears of it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one wait at a time, each of which may be given up early.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Waits until this time has come. Cancellation-safe.
    pub async fn at(&mut self, due: Instant) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.is_elapsed() || timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            timer.as_mut().await;
            if timer.deadline() >= due {
                return;
            }
            timer.as_mut().reset(due);
        }
    }

    /// Waits for so long, from the moment on when this is looked at first. Cancellation-safe.
    pub async fn after(&mut self, time: Duration) {
        self.at(Instant::now() + time).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_rings_for_the_time_that_counts_and_for_no_other() {
        let (mut alarm, start) = (Alarm::default(), Instant::now());
        // Waits that are given up, and a deadline that moves on.
        for seconds in 10..15 {
            assert!(timeout(SECOND, alarm.at(start + seconds * SECOND)).await.is_err());
        }
        alarm.at(start + 20 * SECOND).await;
        assert_eq!(start.elapsed().as_secs(), 20);
        // It goes on behind that, with an earlier time after a later one, too.
        assert!(timeout(SECOND, alarm.after(50 * SECOND)).await.is_err());
        alarm.at(start + 25 * SECOND).await;
        assert_eq!(start.elapsed().as_secs(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_has_come_is_not_waited_for() {
        let mut alarm = Alarm::default();
        alarm.after(SECOND).await;
        advance(SECOND).await;
        let now = Instant::now();
        alarm.at(now).await;
        alarm.at(now - SECOND).await;
        assert_eq!(now.elapsed(), Duration::ZERO);
    }
}
