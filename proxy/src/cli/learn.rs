//! `popgate learn`: shows the filters that learn what is spam and what is not.
//!
//! Each message is one transaction, together with the note that it was learned: whatever ends the program, it goes on where it
//! was when it is called again, and nothing counts twice. Messages that are gone are learned by the tokens that filters have left.

mod mails;
mod seen;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use popgate_config::Config;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::filter::{self, Mail};
use super::{DONE, FAILED, USAGE, load};
use crate::filter::{Failure, Label, Learned, Selection};
use crate::store::HashStart;

/// What to learn, and for whom.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    label: LabelArgument,
    /// Learn for this user, by the login name after rewriting; without it, for all.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The upstream of that user, where there are several.
    #[arg(long, value_name = "NAME", requires = "user")]
    upstream: Option<String>,
    /// Messages that came through the proxy within 30 days, by the hashes in `popgate history --json`, or the first digits of
    /// them.
    #[arg(long, value_name = "SHA256", num_args = 1.., value_parser = seen::hash)]
    seen: Vec<HashStart>,
    /// Mails, mbox files, Maildirs, other folders.
    #[arg(value_name = "PATH", required_unless_present = "seen", conflicts_with = "seen")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct LabelArgument {
    /// These messages are spam.
    #[arg(long)]
    spam: bool,
    /// These messages are wanted.
    #[arg(long)]
    ham: bool,
    /// Undo what was learned from these messages.
    #[arg(long)]
    forget: bool,
}

impl LabelArgument {
    fn label(&self) -> Option<Label> {
        match self {
            Self { spam: true, .. } => Some(Label::Spam),
            Self { ham: true, .. } => Some(Label::Ham),
            _ => None,
        }
    }
}

/// Messages that are learned at a time. Few work, most of them wait to be committed together.
const AT_ONCE: u32 = 512;

/// Octets of a message that counts as two.
const LARGE: usize = 128 << 10;

/// What came of all messages.
#[derive(Debug, Default)]
struct Count {
    learned: usize,
    known: usize,
    failed: usize,
}

/// Runs the command.
pub(super) async fn main(arguments: Arguments) -> u8 {
    let usage = |text: String| {
        eprintln!("{}", text.trim_end());
        USAGE
    };
    let config = match popgate_config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => return usage(error.to_string()),
    };
    let upstream = match upstream(&config, &arguments) {
        Ok(upstream) => upstream,
        Err(text) => return usage(text),
    };
    let mut plugins = load::Plugins::default();
    let chain = match plugins.chain(&config).await {
        Ok(chain) => chain,
        Err(text) => return usage(text),
    };
    let selection = Arc::new(chain.select_anywhere(arguments.user.as_deref()));
    if !selection.learns() {
        return usage("error: no filter of this configuration learns\nhint: `popgate plugin inspect` says of a plugin whether it does".into());
    }
    if let Err(text) = plugins.check_state(&config).await {
        eprintln!("{}", text.trim_end());
        return FAILED;
    }
    let count = match (arguments.seen.as_slice(), plugins.store()) {
        ([], _) => match filter::files(&arguments.paths) {
            Ok(files) => all(&mails::without_others(files), &arguments, selection, &upstream).await,
            Err(error) => return usage(format!("error: {error}")),
        },
        (_, Some(state)) if selection.learns_by_token() => seen::all(&arguments, state, &selection, &upstream).await,
        _ => {
            return usage(
                "error: no filter of this configuration learns messages that are gone\nhint: learn them from files"
                    .into(),
            );
        }
    };
    let Count { learned, known, failed } = count;
    match arguments.label.forget {
        false => println!("{learned} learned, {known} known already, {failed} failed"),
        true => println!("{learned} forgotten, {known} not known, {failed} failed"),
    }
    if failed > 0 { FAILED } else { DONE }
}

/// The upstream at which a user has the name.
fn upstream(config: &Config, arguments: &Arguments) -> Result<String, String> {
    let names: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    match (&arguments.upstream, &arguments.user, names.as_slice()) {
        (Some(name), ..) => Ok(name.clone()),
        (None, None, _) => Ok(String::new()),
        (None, Some(_), [name]) => Ok((*name).to_owned()),
        (None, Some(user), names) => Err(format!(
            "error: `{}` could be a user of several upstreams\nhint: add `--upstream` and one of: {}",
            user.escape_debug(),
            names.join(", ")
        )),
    }
}

/// Learns from all files, several messages at a time.
async fn all(files: &[PathBuf], arguments: &Arguments, selection: Arc<Selection>, upstream: &str) -> Count {
    let progress = progress(files);
    let places = Arc::new(Semaphore::new(AT_ONCE as usize));
    let mut count = Count::default();
    let mut tasks = JoinSet::new();
    for path in files {
        let size = std::fs::metadata(path).map_or(0, |file| file.len());
        let (sender, mut mails) = tokio::sync::mpsc::channel(4);
        let file = path.clone();
        // A reader that is told nothing any more ends by itself.
        let reading = tokio::task::spawn_blocking(move || mails::each(&file, |mail| drop(sender.blocking_send(mail))));
        while let Some(octets) = mails.recv().await {
            // It is never closed.
            let Ok(place) = Arc::clone(&places).acquire_many_owned(weight(&octets)).await else { break };
            let (selection, user, label) = (Arc::clone(&selection), arguments.user.clone(), arguments.label.label());
            let (path, upstream) = (path.clone(), upstream.to_owned());
            tasks.spawn(async move {
                let facts = filter::facts(user.as_deref(), &upstream);
                let results = selection.learn(Mail::new(octets).message(), facts, label).await;
                drop(place);
                let results: Vec<(String, Result<Learned, Failure>)> =
                    results.into_iter().map(|(name, result)| (name.to_owned(), result)).collect();
                (path, results)
            });
            while let Some(done) = tasks.try_join_next() {
                count.take(done, &progress);
            }
        }
        let read = reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = read {
            count.failed += 1;
            tell(&progress, path, &error.to_string());
        }
        progress.inc(size);
    }
    while let Some(done) = tasks.join_next().await {
        count.take(done, &progress);
    }
    progress.finish_and_clear();
    count
}

/// How much of [`AT_ONCE`] a message takes.
fn weight(octets: &[u8]) -> u32 {
    u32::try_from(octets.len() / LARGE + 1).unwrap_or(u32::MAX).min(AT_ONCE)
}

type Done = (PathBuf, Vec<(String, Result<Learned, Failure>)>);

impl Count {
    /// Counts a message: failed if one filter has failed on it, learned if one has learned it.
    fn take(&mut self, done: Result<Done, tokio::task::JoinError>, progress: &ProgressBar) {
        let (path, results) = match done {
            Ok(done) => done,
            Err(error) => {
                self.failed += 1;
                return tell(progress, Path::new("a message"), &error.to_string());
            }
        };
        let faults: Vec<String> = results
            .iter()
            .filter_map(|(name, result)| result.as_ref().err().map(|error| format!("{name}: {error}")))
            .collect();
        if !faults.is_empty() {
            self.failed += 1;
            tell(progress, &path, &faults.join("; "));
        } else if results.iter().any(|(_, result)| *result == Ok(Learned::New)) {
            self.learned += 1;
        } else {
            self.known += 1;
        }
    }
}

fn tell(progress: &ProgressBar, path: &Path, error: &str) {
    progress.suspend(|| eprintln!("error: `{}`: {error}", path.display()));
}

/// A bar over the octets of all files, where standard error is a terminal.
fn progress(files: &[PathBuf]) -> ProgressBar {
    let octets = files.iter().map(|path| std::fs::metadata(path).map_or(0, |file| file.len())).sum();
    let bar = ProgressBar::new(octets);
    match ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
