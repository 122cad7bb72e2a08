//! Files that are cut and changed at every octet: nothing of it may panic, go on for ever, or grow without a bound.

use std::time::{Duration, Instant};

use super::{log_within, made};
use crate::Limits;

/// Small enough that a changed size shows.
const LIMITS: Limits = Limits { depth: 4, entries: 50, inflated: 4 << 20, ratio: 250, memory: 1 << 20 };

#[test]
fn nothing_panics_or_goes_on_whatever_is_changed() {
    for (name, file) in made::all() {
        // Long ones are mostly filling.
        let step = (file.len() / 700).max(1);
        for at in (0..file.len()).step_by(step) {
            check(name, at, &file[..at]);
            for change in [0x01, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                check(name, at, &changed);
            }
        }
    }
}

fn check(name: &str, at: usize, file: &[u8]) {
    let start = Instant::now();
    let log = log_within(&LIMITS, name, file);
    assert!(start.elapsed() < Duration::from_secs(5), "{name} at {at}");
    assert!(log.octets < file.len() + (5 << 20), "{name} at {at}: {}", log.octets);
    assert!(log.lines.len() < 300, "{name} at {at}");
}
