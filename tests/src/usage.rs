//! What a process uses of the machine, as Linux tells it.

use std::fs;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::process::poll;

/// Octets of memory that are the process's own, without files that it has mapped.
#[must_use]
pub fn memory(process: u32) -> u64 {
    status(process, "RssAnon:")
}

/// The most octets of memory that it has had, files that it has mapped included, since [`forget_peak`].
#[must_use]
pub fn peak_memory(process: u32) -> u64 {
    status(process, "VmHWM:")
}

/// Makes the peak what is used now.
///
/// # Panics
///
/// If the process belongs to another user.
pub fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("a process of our own");
}

/// How many descriptors it holds.
///
/// # Panics
///
/// If the process has gone.
#[must_use]
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the process is there").count()
}

/// Waits until it holds no more descriptors than this.
///
/// # Panics
///
/// If it keeps them.
pub fn wait_for_descriptors(process: u32, most: usize) {
    let there = poll(Instant::now() + PATIENCE, || (descriptors(process) <= most).then_some(()));
    assert!(there.is_some(), "{} descriptors are open, {most} were before", descriptors(process));
}

/// A value of `/proc/PID/status` in octets.
fn status(process: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line =
        status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key} in\n{status}"));
    let kilobytes = line.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or_else(|| panic!("{key} is {line}")) * 1024
}

/// The processor time that a process and all below it have used, those that have ended included, in user and kernel.
///
/// Source: proc(5), fields 14 to 17 of `stat`, in ticks of 10 ms as on every Linux that Debian runs on.
#[must_use]
pub fn processor_time(process: u32) -> Duration {
    let ticks = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The second field is the name in parentheses, in which anything may stand.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').skip(11).take(4);
        fields.map_while(|field| field.parse::<u64>().ok()).sum::<u64>()
    };
    Duration::from_millis(10 * family(process).iter().map(ticks).sum::<u64>())
}

/// Octets of memory that are a process's own, and those of all below it.
#[must_use]
pub fn memory_of_all(process: u32) -> u64 {
    family(process).into_iter().map(memory).sum()
}

/// A process and all below it.
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut at = 0;
    while let Some(parent) = found.get(at) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let children: Vec<u32> = tasks
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|children| children.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
            .collect();
        found.extend(children);
        at += 1;
    }
    found
}
