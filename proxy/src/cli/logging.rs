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
        (None, None) => EnvFilter::new("info"),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// A level alone is meant for popgate; what it is built on would drown it.
fn directives(level: &str) -> String {
    if level.contains(['=', ',']) { level.to_owned() } else { format!("warn,popgate={level}") }
}
