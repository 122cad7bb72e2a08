//! From what went wrong to whose fault it is, in words for operators.
//!
//! A trap, a limit and bad output are failures on this very message. Only what is out of order around the
//! filter (no room, a disk) is a failure of a service, and so is what the guest itself calls one.

use std::io;

use rustix::io::Errno;
use tokio::task::JoinError;
use wasmtime::{OutOfMemory, PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use super::host::{DataError, Host, Profile};
use super::limits::{Exceeded, Limits};
use super::record::Unfit;
use super::text;
use crate::filter::Failure;

/// Octets of a reason that a guest gives.
pub(super) const REASON_MAX: usize = 500;

/// Octets of the details for who looks for the cause: the chain of errors, and the guest's functions.
const DETAILS_MAX: usize = 4_000;

/// Why a guest did not come to an answer: it was cut off, or ended by an error.
pub(super) enum Ended {
    /// The wall time is over.
    Timeout,
    /// A trap, a limit, or the host.
    Error(wasmtime::Error),
}

impl Ended {
    /// Whose fault it is, and how it came about.
    pub(super) fn failure(&self, host: &Host, profile: &Profile) -> Failure {
        let error = match self {
            Self::Timeout => {
                return Failure::Message(format!("took longer than {}", text::duration(profile.limits.timeout)));
            }
            Self::Error(error) => error,
        };
        let details = text::printable(&format!("{error:?}"), DETAILS_MAX);
        tracing::debug!(target: "popgate::filter", plugin = &*profile.name, details, "the guest was ended");
        if error.is::<PoolConcurrencyLimitError>() || is_of_the_system(error) {
            Failure::Service(no_room())
        } else if error.is::<DataError>() || error.downcast_ref::<JoinError>().is_some_and(JoinError::is_cancelled) {
            Failure::Service(error.root_cause().to_string())
        } else if host.record.was_busy() {
            Failure::Service(reason(error, host, &profile.limits))
        } else {
            Failure::Message(reason(error, host, &profile.limits))
        }
    }
}

/// The text for want of a place, or of memory in the pool.
pub(super) fn no_room() -> String {
    "no room for another filter instance at the moment".into()
}

/// The failure that a guest itself reports.
pub(super) fn reported(failure: Failure, host: &Host) -> Failure {
    let said = |text: String| match text::printable(&text, REASON_MAX) {
        text if text.is_empty() => "gave no reason".into(),
        text => text,
    };
    match failure {
        Failure::Service(text) => Failure::Service(said(text)),
        Failure::Message(text) if host.record.was_busy() => Failure::Service(said(text)),
        Failure::Message(text) => Failure::Message(said(text)),
    }
}

/// The failure when what a guest has written can't be taken.
pub(super) fn unfit(unfit: &Unfit, busy: bool) -> Failure {
    match unfit {
        Unfit::Spool(_) => Failure::Service(unfit.to_string()),
        Unfit::Incomplete if busy => Failure::Service(unfit.to_string()),
        Unfit::Mail(_) | Unfit::Incomplete => Failure::Message(unfit.to_string()),
    }
}

/// Whether the system has refused memory or address space to the engine. Guests get no such errors to pass on.
fn is_of_the_system(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.is::<io::Error>() || cause.is::<Errno>() || cause.is::<OutOfMemory>())
}

fn reason(error: &wasmtime::Error, host: &Host, limits: &Limits) -> String {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return exceeded.to_string();
    }
    if host.memory.has_denied() {
        return format!("needed more than {} of memory", text::octets(limits.memory));
    }
    let what = match (error.downcast_ref::<Trap>(), error.downcast_ref::<I32Exit>()) {
        (Some(Trap::UnreachableCodeReached), _) => "trapped: unreachable".into(),
        (Some(trap), _) => format!("trapped: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        (None, Some(I32Exit(status))) => format!("exited with status {status}"),
        (None, None) => format!("was ended: {}", text::printable(&error.root_cause().to_string(), REASON_MAX)),
    };
    match host.log.last_words() {
        words if words.is_empty() => what,
        words => format!("{what} (stderr: {words})"),
    }
}
