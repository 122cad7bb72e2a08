//! Time limits for what is done at once as a rule.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// What comes of some work, if it takes no longer than this. No clock is asked where it is done at once.
///
/// # Errors
///
/// The time is over.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Ok(done),
        // Apart: whoever seldom waits need not hold room for a timer.
        Poll::Pending => Box::pin(timeout(limit, work)).await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn work_ends_in_time_or_not() {
        let (short, long) = (Duration::from_millis(10), Duration::from_secs(60));
        assert_eq!(within(long, ready(1)).await, Ok(1));
        assert_eq!(within(long, tokio::time::sleep(short)).await, Ok(()));
        assert!(within(short, pending::<()>()).await.is_err());
    }
}
