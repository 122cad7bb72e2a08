//! Log lines on standard error.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How a log line looks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `quiet`: warnings only, for commands whose output is meant to be read.
pub(super) fn start(format: LogFormat, level: Option<&str>, quiet: bool) -> Result<(), ParseError> {
    let filter = match (level, std::env::var("POPGATE_LOG").ok()) {
        (Some(level), _) => EnvFilter::builder().parse(directives(level))?,
        (None, Some(level)) => EnvFilter::builder().parse(directives(&level))?,
        (None, None) if quiet => EnvFilter::new("warn"),
        (None, None) => EnvFilter::new(format!("{ENGINE},info")),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// The engine for filters opens a span for each call of a guest; those would stand in front of the guest's own lines.
const ENGINE: &str = "wasmtime_wasi=warn,wiggle=warn";

/// A level alone is meant for popgate; what it is built on would drown it. Where everything is asked for, the engine for
/// filters is left out unless it is named.
fn directives(level: &str) -> String {
    if level.contains(['=', ',']) { format!("{ENGINE},{level}") } else { format!("warn,popgate={level}") }
}

#[cfg(test)]
mod tests {
    use super::directives;

    #[test]
    fn what_popgate_is_built_on_is_quiet_unless_it_is_named() {
        assert_eq!(directives("debug"), "warn,popgate=debug");
        let named = directives("info,wasmtime_wasi=trace");
        // The last one counts.
        assert!(named.ends_with("info,wasmtime_wasi=trace") && named.contains("wasmtime_wasi=warn,"));
    }
}
