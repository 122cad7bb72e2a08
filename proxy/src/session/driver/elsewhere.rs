//! Work that may take long, off the thread that the session shares with many others.
//!
//! Most filters are done in microseconds, less than it costs to wake another thread. So work begins where the session is,
//! and moves when it gives way for the first time, which a guest does at each tick of its clock. What took long before
//! begins elsewhere.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Work that takes longer is done elsewhere the next time: nanoseconds of CPU time, so that a busy machine makes nothing
/// look long.
const LONG: i64 = 1_000_000;

/// Whether the work of one session took long the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    is_slow: bool,
}

impl Pace {
    /// Does some work: here as long as it does not give way, else on the pool. Dropped, it ends the work.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        pool: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut work = Box::pin(measured(work));
        let begun = match self.is_slow {
            true => Poll::Pending,
            false => poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await,
        };
        let (done, spent) = match begun {
            Poll::Ready(done) => done,
            Poll::Pending => Elsewhere(pool.spawn(work)).await,
        };
        self.is_slow = spent > LONG;
        done
    }
}

/// What comes of some work, and the CPU time that it took, in nanoseconds.
async fn measured<T>(work: impl Future<Output = T>) -> (T, i64) {
    let mut work = pin!(work);
    let mut spent = 0;
    poll_fn(|context| {
        let began = thread_time();
        let poll = work.as_mut().poll(context);
        spent += thread_time() - began;
        poll.map(|done| (done, spent))
    })
    .await
}

/// CPU time of this thread, in nanoseconds; it lives for less than the centuries that fit.
fn thread_time() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
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
    use std::time::Duration;

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
        assert_eq!(run(&mut Pace { is_slow: false }, 0), here);
        assert_ne!(run(&mut Pace { is_slow: true }, 0), here);
    }

    #[test]
    fn what_took_long_begins_elsewhere_until_it_is_fast() {
        let (here, pool) = (thread::current().id(), pool());
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut pace = Pace::default();
        let slow = async {
            let began = thread_time();
            while thread_time() - began <= LONG {}
        };
        runtime.block_on(pace.run(pool.handle(), slow));
        assert_ne!(runtime.block_on(pace.run(pool.handle(), given_way(0))), here);
        // However long the thread took to wake up. A machine that lends this one its processors may take them away meanwhile,
        // which looks like CPU time.
        let is_back = (0..100).any(|_| {
            let waited = async { thread::sleep(Duration::from_millis(3)) };
            runtime.block_on(pace.run(pool.handle(), waited));
            runtime.block_on(pace.run(pool.handle(), given_way(0))) == here
        });
        assert!(is_back);
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
            let mut pace = Pace { is_slow: true };
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
        Builder::new_current_thread().build().unwrap().block_on(Pace { is_slow: true }.run(pool.handle(), work));
    }
}
