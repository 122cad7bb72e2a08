//! Filters that are programs: the message on standard input, the message on standard output, the exit status as verdict.
//!
//! | status | means |
//! | --- | --- |
//! | 0 | pass; what was written is the message, nothing written leaves it as it is |
//! | 10 | hold, the first line of standard error is the reason |
//! | 75 | try again later (EX_TEMPFAIL of sysexits.h) |
//! | other | the filter has failed |
//!
//! Two forms: core modules for WASI 0.1, and components that export `wasi:cli/run`. The exit of WASI 0.2 knows success and
//! failure only, so a component that can't use `exit-with-code` says `exit 10: reason` or `exit 75: reason` in the first line of
//! its standard error, and fails.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;

use wasmtime::component::{Component, Linker};
use wasmtime::{InstancePre, Module, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::component::printable;
use super::failure::{self, Ended};
use super::host::{self, Host};
use super::limits::AT_ONCE_MAX;
use super::pipe::{self, Output, Overflow, Pipes};
use super::record::is_passing;
use super::runner::Runner;
use super::text;
use super::verdicts::Readings;
use crate::filter::{Decision, Facts, Failure, Filter, Input, Verdict};
use crate::message::{Edit, EditError, Message};

/// The interface that a command exports, up to the last number of its version.
pub(super) const TRACK: &str = "wasi:cli/run@0.2.";

/// The exit status that holds a message.
const HOLD: i32 = 10;

/// The exit status that asks for another try.
const LATER: i32 = 75;

/// A linker with what programs for WASI 0.1 can import.
///
/// # Errors
/// A name is given twice.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::Linker<Host>> {
    let mut linker = wasmtime::Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, Host::program)?;
    Ok(linker)
}

/// A command with its imports resolved.
pub(super) enum Command {
    Component(CommandPre<Host>),
    Program(InstancePre<Host>),
}

impl Command {
    /// # Errors
    /// The component has imports that commands do not get.
    pub(super) fn component(linker: &Linker<Host>, component: &Component) -> wasmtime::Result<Self> {
        CommandPre::new(linker.instantiate_pre(component)?).map(Self::Component)
    }

    /// # Errors
    /// The module has imports that are not WASI 0.1.
    pub(super) fn program(linker: &wasmtime::Linker<Host>, module: &Module) -> wasmtime::Result<Self> {
        linker.instantiate_pre(module).map(Self::Program)
    }

    /// Runs a fresh instance to its end. The inner error is that of the command.
    async fn run(&self, store: &mut Store<Host>) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Self::Component(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                command.wasi_cli_run().call_run(store).await
            }
            Self::Program(program) => {
                let instance = program.instantiate_async(&mut *store).await?;
                instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call_async(store, ()).await.map(Ok)
            }
        }
    }
}

/// A command that is ready to examine messages.
pub(super) struct CommandFilter {
    command: Command,
    runner: Runner,
}

impl CommandFilter {
    pub(super) fn new(command: Command, runner: Runner) -> Self {
        Self { command, runner }
    }

    async fn examined(&self, input: Input) -> Result<Decision, Failure> {
        match &self.runner.known {
            None => self.judged(input).await,
            Some(known) => {
                let judged = async |input| self.judged(input).await.map(|decision| (decision, Readings::all_facts()));
                known.or(&self.runner, false, input, judged).await
            }
        }
    }

    async fn judged(&self, input: Input) -> Result<Decision, Failure> {
        let _place = self.runner.place().await?;
        let profile = &self.runner.profile;
        let variables = variables(&profile.name, &input.facts, &self.runner.settings);
        let message = input.message;
        let output = Output::new(message.len(), profile.room.clone());
        let pipes = Pipes { input: pipe::Input::new(message.clone()), output: output.clone(), variables };
        let mut store = self.runner.store(match self.command {
            Command::Component(_) => Host::command(profile, pipes),
            Command::Program(_) => Host::of_program(profile, pipes),
        });
        // A program gives the whole of its buffer to read into, and gets what there is.
        store.set_hostcall_fuel(usize::try_from(profile.limits.memory).unwrap_or(usize::MAX));
        let answer = self.runner.run(&mut store, async |store| self.command.run(store).await).await;
        let host = store.data();
        host.log.finish();
        // What it wrote was too much, whatever it has made of that.
        let written = output.close().map_err(|overflow| overflowed(&overflow))?;
        let status = match answer {
            Ok(Ok(())) => 0,
            Ok(Err(())) => 1,
            Err(ended) => match exit_status(&ended) {
                Some(status) => status,
                None => return Err(ended.failure(host, profile)),
            },
        };
        let reason = text::printable(&host.log.first_line(), failure::REASON_MAX);
        let (status, reason) = match self.command {
            Command::Component(_) if status == 1 => spelled_out(reason),
            _ => (status, reason),
        };
        decide(status, reason, written, message).await
    }
}

impl Filter for CommandFilter {
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>> {
        Box::pin(self.examined(input))
    }

    fn fingerprint(&self) -> [u8; 32] {
        self.runner.fingerprint
    }
}

fn exit_status(ended: &Ended) -> Option<i32> {
    match ended {
        Ended::Error(error) => error.downcast_ref::<I32Exit>().map(|exit| exit.0),
        Ended::Timeout => None,
    }
}

/// The exit status that a component has put into words since it could not give it, and the rest of the reason.
fn spelled_out(reason: String) -> (i32, String) {
    let spelled = |status: i32| Some((status, reason.strip_prefix(&format!("exit {status}:"))?.trim().to_owned()));
    spelled(HOLD).or_else(|| spelled(LATER)).unwrap_or((1, reason))
}

fn overflowed(overflow: &Overflow) -> Failure {
    match overflow {
        Overflow::Room(error) if is_passing(error) => Failure::Service(overflow.to_string()),
        _ => Failure::Message(overflow.to_string()),
    }
}

async fn decide(status: i32, reason: String, written: Option<Message>, message: Message) -> Result<Decision, Failure> {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let decision =
        |verdict, edits| Ok(Decision { verdict, edits, findings: Vec::new(), learn_token: None, noted: false });
    match (status, written) {
        (0, None) => decision(Verdict::Pass, Vec::new()),
        (0, Some(written)) => decision(Verdict::Pass, edits(message, written).await?),
        (HOLD, None) => decision(printable(Verdict::Hold(reason)), Vec::new()),
        (LATER, _) => Err(Failure::Service(format!("asks to be tried again later{why}"))),
        (status, None) => Err(Failure::Message(format!("exited with status {status}{why}"))),
        // What it wrote may be a beginning only.
        (status, Some(_)) => Err(Failure::Message(format!("exited with status {status} although it has written{why}"))),
    }
}

async fn edits(message: Message, written: Message) -> Result<Vec<Edit>, Failure> {
    let large = message.len().max(written.len()) > AT_ONCE_MAX;
    let edit = host::apart(large, move || Edit::rewritten(&message, written)).await;
    match edit.map_err(|error| Failure::Service(error.to_string()))? {
        Ok(edit) => Ok(edit.into_iter().collect()),
        Err(EditError::Build(error)) if is_passing(&error) => Err(Failure::Service(error.to_string())),
        Err(error) => Err(Failure::Message(format!("wrote what is no mail: {error}"))),
    }
}

/// The environment: a variable for each fact that is known, the filter's name, and its settings as JSON.
fn variables(name: &str, facts: &Facts, settings: &str) -> Vec<(String, String)> {
    let mut variables = vec![variable("filter", name), variable("settings", settings)];
    variables.extend(Facts::NAMES.iter().filter_map(|name| Some(variable(name, &facts.by_name(name)?))));
    variables
}

fn variable(name: &str, value: &str) -> (String, String) {
    (format!("POPGATE_{}", name.to_ascii_uppercase().replace('-', "_")), encoded(value))
}

/// Percent-encoded where it is not printable ASCII (RFC 3986 section 2.1): whatever a client calls itself, shells and C
/// programs get one harmless word.
fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for octet in value.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'%' => encoded.push(char::from(octet)),
            // Writing to a text does not fail.
            _ => drop(write!(encoded, "%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_can_be_put_into_words() {
        assert_eq!(spelled_out("exit 10: bad link".into()), (10, "bad link".into()));
        assert_eq!(spelled_out("exit 75:".into()), (75, String::new()));
        assert_eq!(spelled_out("exit 3: x".into()), (1, "exit 3: x".into()));
    }

    #[test]
    fn values_are_one_harmless_word() {
        assert_eq!(encoded("alice@example.org"), "alice@example.org");
        assert_eq!(encoded("a b%\n\u{e9}\0"), "a%20b%25%0A%C3%A9%00");
    }
}
