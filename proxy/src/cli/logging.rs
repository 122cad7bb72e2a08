//! Log lines on standard error.
//!
//! Where clients are served, a thread of its own writes them: a reader of the log that is slow, or gone, keeps no session
//! waiting. Lines that find no room are counted, and their number is told.

use std::io::{self, BufWriter, Stderr, Write};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How many lines may wait to be written.
const WAITING: usize = 4096;

/// How a log line looks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `quiet`: warnings only, for commands whose output is meant to be read. `serving`: clients are served; what
/// is returned writes the last lines when it is dropped.
pub(super) fn start(
    format: LogFormat,
    level: Option<&str>,
    quiet: bool,
    serving: bool,
) -> Result<Option<WorkerGuard>, ParseError> {
    let filter = match (level, std::env::var("POPGATE_LOG").ok()) {
        (Some(level), _) => EnvFilter::builder().parse(directives(level))?,
        (None, Some(level)) => EnvFilter::builder().parse(directives(&level))?,
        (None, None) if quiet => EnvFilter::new("warn"),
        (None, None) => EnvFilter::new(format!("{ENGINE},info")),
    };
    let (writer, guard) = match serving {
        true => {
            let (writer, guard) = apart();
            (writer, Some(guard))
        }
        false => (BoxMakeWriter::new(io::stderr), None),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(guard)
}

/// A thread that writes.
fn apart() -> (BoxMakeWriter, WorkerGuard) {
    let lost = Arc::new(OnceLock::new());
    let lines = Lines { output: BufWriter::new(io::stderr()), lost: Arc::clone(&lost), told: 0 };
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("popgate-log");
    let (writer, guard) = builder.finish(lines);
    // It is the only one.
    let _ = lost.set(writer.error_counter());
    (BoxMakeWriter::new(writer), guard)
}

/// Standard error, many lines at a time where many are there.
struct Lines {
    output: BufWriter<Stderr>,
    /// Lines that found no room.
    lost: Arc<OnceLock<ErrorCounter>>,
    /// How many of them have been told.
    told: usize,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told {
            writeln!(self.output, "{} log lines were lost: nobody took them in time", lost - self.told)?;
            self.told = lost;
        }
        self.output.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
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
