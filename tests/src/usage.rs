//! What a process uses of the machine, as Linux tells it.

use std::fs;
use std::time::Instant;

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
