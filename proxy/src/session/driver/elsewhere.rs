//! Work that may take long, off the thread that the session shares with many others.
//!
//! Most filters are done in microseconds, less than it costs to wake another thread. So work begins where the session is,
//! and moves when it gives way for the first time, which a guest does at each tick of its clock. What took long before
//! begins elsewhere.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Work that takes longer is done elsewhere the next time: CPU time, so that a busy machine makes nothing look long.
const LONG: Duration = Duration::from_millis(1);

/// How long the work of one session took the last time.
///
/// To ask the system for the CPU time of a thread costs microseconds. No work takes more of it than the clock on the wall
/// says, so the thread is asked only when that said that the work before took long.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Pace {
    #[default]
    Quick,
    /// Long by the wall clock.
    Unclear,
    /// Long by the thread's.
    Slow,
}

impl Pace {
    /// Does some work: here as long as it does not give way, else on the pool. Dropped, it ends the work.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        pool: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let clock = if *self == Self::Quick { wall_time } else { thread_time };
        let mut work = Box::pin(measured(work, clock));
        let begun = match self {
            Self::Slow => Poll::Pending,
            Self::Quick | Self::Unclear => poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await,
        };
        let gave_way = begun.is_pending();
        let (done, spent) = match begun {
            Poll::Ready(done) => done,
            Poll::Pending => Elsewhere(pool.spawn(work)).await,
        };
        *self = match self {
            _ if spent <= LONG => Self::Quick,
            Self::Quick if !gave_way => Self::Unclear,
            _ => Self::Slow,
        };
        done
    }
}

/// What comes of some work, and the time that it took while it ran.
async fn measured<T>(work: impl Future<Output = T>, clock: fn() -> Duration) -> (T, Duration) {
    let mut work = pin!(work);
    let mut spent = Duration::ZERO;
    poll_fn(|context| {
        let began = clock();
        let poll = work.as_mut().poll(context);
        spent += clock().saturating_sub(began);
        poll.map(|done| (done, spent))
    })
    .await
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn wall_time() -> Duration {
    time_of(ClockId::Monotonic)
}

/// What a clock shows that shows no time before its beginning.
fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Work on another thread, for as long as this is waited for.
struct Elsewhere<T>(JoinHandle<T>);

impl<T> Future for Elsewhere<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match pin!(&mut self.0).poll(context) {
            Poll::Ready(Ok(done)) => Poll::Ready(done),
            Poll::Ready(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The process ends, and the session with it.
                Err(_) => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    fn pool() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    async fn given_way(times: usize) -> ThreadId {
        for _ in 0..times {
            yield_now().await;
        }
        thread::current().id()
    }

    #[test]
    fn what_gives_way_goes_on_elsewhere() {
        let (here, pool) = (thread::current().id(), pool());
        let run = |pace: &mut Pace, times| {
            Builder::new_current_thread().build().unwrap().block_on(pace.run(pool.handle(), given_way(times)))
        };
        let mut pace = Pace::default();
        assert_eq!(run(&mut pace, 0), here);
        assert_ne!(run(&mut pace, 1), here);
        assert_eq!(run(&mut Pace::Unclear, 0), here);
        assert_ne!(run(&mut Pace::Slow, 0), here);
    }

    #[test]
    fn what_took_long_begins_elsewhere_until_it_is_fast() {
        let (here, pool) = (thread::current().id(), pool());
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut pace = Pace::default();
        let slow = async || {
            let began = thread_time();
            while thread_time() - began <= LONG {}
        };
        for expected in [Pace::Unclear, Pace::Slow] {
            runtime.block_on(pace.run(pool.handle(), slow()));
            assert_eq!(pace, expected);
        }
        assert_ne!(runtime.block_on(pace.run(pool.handle(), given_way(0))), here);
        // However long the thread took to wake up. A machine that lends this one its processors may take them away meanwhile,
        // which looks like CPU time.
        let is_back = (0..100).any(|_| {
            let waited = async { thread::sleep(Duration::from_millis(3)) };
            runtime.block_on(pace.run(pool.handle(), waited));
            pace == Pace::Quick
        });
        assert!(is_back);
        assert_eq!(runtime.block_on(pace.run(pool.handle(), given_way(0))), here);
    }

    #[test]
    fn work_that_nobody_waits_for_ends() {
        let pool = pool();
        let (alive, ended) = oneshot::channel::<()>();
        let work = async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
            let mut pace = Pace::Slow;
            let waiting = tokio::time::timeout(Duration::from_millis(1), pace.run(pool.handle(), work));
            assert!(waiting.await.is_err());
            assert!(ended.await.is_err());
        });
    }

    #[test]
    #[should_panic(expected = "a fault")]
    fn a_panic_comes_back() {
        let pool = pool();
        let work = async { panic!("a fault") };
        Builder::new_current_thread().build().unwrap().block_on(Pace::Slow.run(pool.handle(), work));
    }
}
