//! `popgate plugin`: for those who write plugins.
//!
//! A project is a folder with a `popgate-plugin.toml`, which names the commands that build it. Nothing of a plugin runs
//! outside of the sandbox here; the commands of a project do, as those of any build.

mod build;
mod case;
mod inspect;
mod new;
mod process;
mod test;
mod tools;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{DONE, FAILED, USAGE, filter, load};

/// What is to be done with plugins.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a project that builds and has tests.
    New(NewArguments),
    /// Build a project and run its cases.
    Test(TestArguments),
    /// Say what a plugin file is and needs, without running it.
    Inspect(InspectArguments),
}

#[derive(Debug, Args)]
struct NewArguments {
    /// The folder to write, named like the plugin.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language.
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    lang: Language,
}

/// A language that there is a template for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Language {
    /// A component, with an SDK.
    Rust,
    /// A component, built by Zig's C compiler.
    C,
    /// A component with QuickJS inside.
    Javascript,
    /// A component with CPython inside.
    Python,
    /// A command.
    Go,
    /// A command.
    Zig,
}

#[derive(Debug, Args)]
struct TestArguments {
    /// The folder of the project.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Write what comes out into the `.expected` files.
    #[arg(long)]
    update: bool,
    /// Install tools that are missing, in the versions that popgate knows, into a cache of popgate's own.
    #[arg(long)]
    install_tools: bool,
}

#[derive(Debug, Args)]
struct InspectArguments {
    /// The `.wasm` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn main(arguments: Arguments) -> u8 {
    match arguments.action {
        Action::New(arguments) => new::main(&arguments),
        Action::Test(arguments) => test::main(&arguments).await,
        Action::Inspect(arguments) => inspect::main(&arguments),
    }
}
