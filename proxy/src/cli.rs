//! Arguments in, exit code out.
//!
//! Data goes to standard output, everything for people to standard error. Exit codes: 0 done, 1 failed while running, 2 usage
//! or configuration.

mod check;
mod demo;
mod diff;
mod filter;
mod history;
mod learn;
mod load;
mod logging;
mod plugin;
mod privileges;
mod probe;
mod quarantine;
mod run;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::warn;

use logging::LogFormat;

use crate::plugin::{COMPILE_COMMAND, Confinement};

/// Ended as wanted.
const DONE: u8 = 0;
/// Failed while running.
const FAILED: u8 = 1;
/// Usage or configuration is at fault.
const USAGE: u8 = 2;

/// A POP3 proxy that passes every downloaded message through sandboxed WebAssembly filters.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How log lines look on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or directives such as `info,popgate::filter=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: the proxy with all bundled filters before a sample server with sample mail.
    Demo(DemoArguments),
    /// Run the proxy.
    Run(ConfigArgument),
    /// Check the whole configuration, filters and certificates included.
    Check(ConfigArgument),
    /// Look at a POP3 server: what it offers, what is wrong with it, how it stands in a configuration.
    Probe(ProbeArguments),
    /// Run the filters over messages.
    Filter(filter::Arguments),
    /// Show the filters that learn what is spam and what is not.
    Learn(learn::Arguments),
    /// Make, test and look at plugins.
    Plugin(plugin::Arguments),
    /// Show what became of messages.
    History(history::Arguments),
    /// Look at what is held, release or delete it.
    Quarantine(quarantine::Arguments),
    /// What popgate starts itself with for compiling a plugin: an order on standard input, code on standard output.
    #[command(hide = true, name = COMPILE_COMMAND)]
    Compile(Confinement),
}

/// The configuration to use.
#[derive(Debug, Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// Act as the client too: fetch every message through the proxy, print what became of it, and exit.
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
struct ProbeArguments {
    /// The server, as in `pop.example.org:995` or `[::1]:110`.
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// How to encrypt. Without it: implicit at port 995, elsewhere STLS if the server offers it.
    #[arg(long, value_name = "MODE", value_enum)]
    tls: Option<ProbeTls>,
    /// Certificates (PEM) to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long each step may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// How a server is approached.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProbeTls {
    /// Not at all.
    None,
    /// By the command STLS.
    Stls,
    /// From the first octet on.
    Implicit,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // It bounds itself before it has a second thread.
    if let Command::Compile(confinement) = arguments.command {
        return crate::plugin::compile(confinement);
    }
    let quiet = matches!(
        arguments.command,
        Command::Filter(_)
            | Command::Check(_)
            | Command::History(_)
            | Command::Learn(_)
            | Command::Plugin(_)
            | Command::Probe(_)
            | Command::Quarantine(_)
            | Command::Demo(DemoArguments { once: true })
    );
    let serving = matches!(arguments.command, Command::Run(_) | Command::Demo(_));
    // Before there is a second thread, for which it would not count.
    let weaknesses = if serving { privileges::harden() } else { Vec::new() };
    // Dropped at the end, it writes the last lines.
    let _log = match logging::start(arguments.log_format, arguments.log.as_deref(), quiet, serving) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: {error}");
            return USAGE.into();
        }
    };
    for weakness in weaknesses {
        warn!("{weakness}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime does not start: {error}");
            return FAILED.into();
        }
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Demo(demo) => demo::main(demo.once).await,
            Command::Run(run) => run::main(&run.config).await,
            Command::Check(check) => check::main(&check.config).await,
            Command::Probe(probe) => probe::main(probe).await,
            Command::Filter(filter) => filter::main(filter).await,
            Command::Learn(arguments) => learn::main(arguments).await,
            Command::Plugin(arguments) => plugin::main(arguments).await,
            Command::History(arguments) => history::main(arguments).await,
            Command::Quarantine(arguments) => quarantine::main(arguments).await,
            // It has ended above.
            Command::Compile(_) => DONE,
        }
    });
    // A filter or a spool write that is still under way must not hold the end up.
    runtime.shutdown_background();
    code.into()
}
