//! What filters take for a message: the median of many times.

use std::time::Duration;

use super::mail::Mail;
use super::{Arguments, examined};
use crate::filter::{Chain, Outcome};

/// Examines a mail as often as `--repeat` says. What came of it is that of the first time; the times of the filters are medians.
///
/// Each time the message is new to the filters: its structure is found anew, and its parts are decoded anew.
pub(super) async fn run(chain: &Chain, mail: &Mail, arguments: &Arguments, upstream: &str) -> Outcome {
    let user = arguments.user.as_deref();
    let mut outcome = examined(chain, mail.message(), user, upstream).await;
    let mut times: Vec<Vec<Duration>> = outcome.report.filters.iter().map(|filter| vec![filter.elapsed]).collect();
    for _ in 1..arguments.repeat.get() {
        let again = examined(chain, mail.message().unread(), user, upstream).await;
        // One that fails now and then ends the chain early.
        for (times, filter) in times.iter_mut().zip(&again.report.filters) {
            times.push(filter.elapsed);
        }
    }
    for (filter, times) in outcome.report.filters.iter_mut().zip(times) {
        filter.elapsed = median(times);
    }
    outcome
}

/// The one in the middle; of an even number the later one of the two.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_the_mean() {
        let times = |milliseconds: &[u64]| milliseconds.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(median(times(&[])), Duration::ZERO);
        assert_eq!(median(times(&[7])), Duration::from_millis(7));
        assert_eq!(median(times(&[1000, 1, 3])), Duration::from_millis(3));
        assert_eq!(median(times(&[4, 1, 3, 1000])), Duration::from_millis(4));
    }
}
