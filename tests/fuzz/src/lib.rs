//! What must hold for any input at all.
//!
//! Each function takes octets, makes of them whatever its subject takes, and panics when something does not hold. cargo-fuzz
//! hunts for such octets; the ordinary tests replay the inputs that it once found worth keeping, in `seeds`. See
//! README.md for how to run it.
//!
//! | target | is about |
//! | --- | --- |
//! | [`ahead`] | messages that are read ahead of the client |
//! | [`command`] | lines out of a stream, commands out of lines |
//! | [`reply`] | status lines, capability lists, lists of messages |
//! | [`body`] | dot-stuffing, both ways |
//! | [`sasl`] | credentials inside of SASL |
//! | [`kpop`] | the Kerberos exchange in front of KPOP |
//! | [`proxy_header`] | PROXY headers, read and written |
//! | [`message`] | one mail: read, edited, read again |
//! | [`configuration`] | configuration files |
//! | [`session`](fn@session) | the session between a client and an upstream that say anything at all |

mod ahead;
mod body;
mod command;
mod configuration;
mod cuts;
mod kpop;
mod message;
mod policy;
mod proxy_header;
mod reply;
mod sasl;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use ahead::ahead;
pub use body::body;
pub use command::command;
pub use configuration::configuration;
pub use kpop::kpop;
pub use message::message;
pub use proxy_header::proxy_header;
pub use reply::reply;
pub use sasl::sasl;
pub use session::session;

/// A function that holds an input to what must be.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 10] = [
    ("ahead", ahead),
    ("body", body),
    ("command", command),
    ("configuration", configuration),
    ("kpop", kpop),
    ("message", message),
    ("proxy_header", proxy_header),
    ("reply", reply),
    ("sasl", sasl),
    ("session", session),
];

/// The program around a target: cargo-fuzz's where that builds it, else one that replays files.
#[macro_export]
macro_rules! target {
    ($target:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $target(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay_arguments($target)
        }
    };
}

/// Replays the files that the arguments name.
#[must_use]
pub fn replay_arguments(target: Target) -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: TARGET FILE...");
        return ExitCode::from(2);
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(input) => target(&input),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The folder of the inputs that are kept for a target.
#[must_use]
pub fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

#[cfg(test)]
mod tests;
