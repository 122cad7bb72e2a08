//! `popgate filter`: the chain over messages in files, without any mail server.

mod alone;
mod mail;
mod repeat;
mod report;
mod watch;

use std::io::{IsTerminal, Read, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use popgate_config::{Config, Plugin};

use super::{DONE, FAILED, USAGE, diff, load};
use crate::filter::{Chain, Disposition, Facts, FetchCommand, Outcome, Poison};
use crate::message::Message;
use crate::message::notice::{Notice, Template};
pub(super) use alone::without_server;
pub(super) use mail::{Mail, files};
use report::Report;
use watch::Snapshot;

/// Lines of a diff that are shown beside a report.
const DIFF_LINES: usize = 200;

/// What to run on which messages.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Use the filters of this configuration. Without it and without --plugin: all bundled filters with their defaults.
    #[arg(long, value_name = "FILE", conflicts_with = "plugin")]
    config: Option<PathBuf>,
    /// Use this one plugin: a bundled name or the path of a .wasm file.
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<String>,
    /// A setting of that plugin, a TOML value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "plugin", conflicts_with = "settings")]
    setting: Vec<String>,
    /// A TOML file with the settings of that plugin.
    #[arg(long, value_name = "FILE", requires = "plugin")]
    settings: Option<PathBuf>,
    /// A data file that this plugin reads by this name; may be given several times.
    #[arg(long, value_name = "NAME=FILE", requires = "plugin")]
    data: Vec<String>,
    /// An address that this plugin may connect to; may be given several times.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "plugin")]
    connect: Vec<String>,
    /// Run again whenever the plugin, its settings, its data or a message changes, until interrupted.
    #[arg(long, requires = "mails")]
    watch: bool,
    /// Examine each message so many times, and show the median of what each filter takes. The plugin is configured once, as in the
    /// proxy, where that is possible.
    #[arg(long, value_name = "N", default_value = "1", conflicts_with = "watch")]
    repeat: NonZeroU32,
    /// Print reports as JSON, one object a line.
    #[arg(long)]
    json: bool,
    /// Write the resulting messages into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The login name that filters are told.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The upstream that filters are told, and at which the user has a state; the configuration's, if it has one alone.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Messages, or folders of messages; standard input without any.
    #[arg(value_name = "MAIL|DIR")]
    mails: Vec<PathBuf>,
}

/// A filter that fails here fails for the first time.
struct FirstFailure;

impl Poison for FirstFailure {
    fn failed(&self, _: &str, _: &[u8; 32], _: &Message) -> bool {
        false
    }
}

/// Runs the command.
pub(super) async fn main(arguments: Arguments) -> u8 {
    let mut plugins = match arguments.config {
        // To try a chain is not to count the messages.
        Some(_) => load::Plugins::reading(),
        None => load::Plugins::in_memory(),
    };
    if !arguments.watch {
        return once(&mut plugins, &arguments).await;
    }
    loop {
        let before = Snapshot::of(watched(&arguments));
        once(&mut plugins, &arguments).await;
        eprintln!("waiting for changes, Ctrl-C ends");
        before.changed(|| watched(&arguments)).await;
    }
}

/// One run over all messages.
async fn once(plugins: &mut load::Plugins, arguments: &Arguments) -> u8 {
    let config = match alone::configuration(arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return USAGE;
        }
    };
    let chain = match plugins.chain(&config).await {
        Ok(chain) => chain,
        Err(error) => {
            eprintln!("{error}");
            return USAGE;
        }
    };
    let single = match arguments.mails.as_slice() {
        [] => true,
        [path] => !path.is_dir(),
        _ => false,
    };
    let upstream = upstream(&config, arguments);
    let result = match single {
        true => one(&chain, arguments, &upstream).await,
        false => many(&chain, arguments, &upstream).await,
    };
    match result {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("error: {error}");
            FAILED
        }
    }
}

/// The files that a run depends on.
fn watched(arguments: &Arguments) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = arguments.config.iter().chain(&arguments.settings).cloned().collect();
    if let Ok(config) = alone::configuration(arguments) {
        for filter in config.filters {
            files.extend(filter.data.into_values());
            if let Plugin::File(path) = filter.plugin {
                files.push(path);
            }
        }
    }
    match mail::files(&arguments.mails) {
        Ok(mails) => files.extend(mails),
        // One of them is not there at the moment.
        Err(_) => files.extend(arguments.mails.iter().cloned()),
    }
    files
}

/// What a client would get for a held message; here nothing is stored.
fn notice(original: &Message, filter: &str, reason: &str) -> Message {
    let notice = Notice {
        template: &Template::english(),
        original,
        user: "",
        upstream: "",
        date: std::time::SystemTime::now(),
        held: "0",
        filter,
        reason,
    };
    notice.message()
}

/// One message: the result to standard output, the report to standard error.
async fn one(chain: &Chain, arguments: &Arguments, upstream: &str) -> Result<(), String> {
    let (path, octets) = match arguments.mails.first() {
        Some(path) => {
            (path.display().to_string(), std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?)
        }
        None => {
            let mut octets = Vec::new();
            std::io::stdin().read_to_end(&mut octets).map_err(|error| format!("standard input: {error}"))?;
            ("-".to_owned(), octets)
        }
    };
    let mail = Mail::new(octets);
    let outcome = repeat::run(chain, &mail, arguments, upstream).await;
    let report = Report::new(&path, &mail, &outcome);
    let text = if arguments.json { report.json() } else { report.text(changes(&mail, &outcome).as_deref()) };
    eprintln!("{}", text.trim_end());
    match result(&mail, &outcome) {
        Some(result) if arguments.out.is_none() => show(&result, arguments.watch),
        Some(result) => store(arguments, Path::new(&path), &result),
        None => Ok(()),
    }
}

/// Several messages: a report each to standard output, the results to a folder.
async fn many(chain: &Chain, arguments: &Arguments, upstream: &str) -> Result<(), String> {
    let mut failed = 0;
    for path in mail::files(&arguments.mails)? {
        let mail = match std::fs::read(&path) {
            Ok(octets) => Mail::new(octets),
            Err(error) => {
                eprintln!("error: `{}`: {error}", path.display());
                failed += 1;
                continue;
            }
        };
        let outcome = repeat::run(chain, &mail, arguments, upstream).await;
        let report = Report::new(&path.display().to_string(), &mail, &outcome);
        let line = if arguments.json { report.json() } else { report.line() };
        write_out(&mut std::io::stdout(), format!("{line}\n").as_bytes())?;
        if let Some(result) = result(&mail, &outcome)
            && arguments.out.is_some()
        {
            store(arguments, &path, &result)?;
        }
    }
    if failed > 0 { Err(format!("{failed} mails can't be read")) } else { Ok(()) }
}

/// The upstream that messages are said to come from.
fn upstream(config: &Config, arguments: &Arguments) -> String {
    match (&arguments.upstream, &arguments.config, config.upstreams.as_slice()) {
        (Some(name), ..) => name.clone(),
        (None, Some(_), [only]) => only.name.clone(),
        _ => "filter".into(),
    }
}

/// What changed in a message that is delivered, for people.
fn changes(mail: &Mail, outcome: &Outcome) -> Option<String> {
    match outcome.disposition {
        Disposition::Deliver => diff::unified(&mail.message(), &outcome.message, diff::Extent::Lines(DIFF_LINES)),
        Disposition::Hold { .. } | Disposition::Retry { .. } => None,
    }
}

/// The resulting message to standard output: as it is for programs, harmless for a terminal. Who watches wants the report alone
/// on theirs.
fn show(result: &[u8], watch: bool) -> Result<(), String> {
    let mut out = std::io::stdout();
    match (out.is_terminal(), watch) {
        (true, true) => Ok(()),
        (true, false) => write_out(&mut out, diff::for_terminal(result).as_bytes()),
        (false, _) => write_out(&mut out, result),
    }
}

/// The chain over one mail.
pub(super) async fn run(chain: &Chain, mail: &Mail, user: Option<&str>, upstream: &str) -> Outcome {
    examined(chain, mail.message(), user, upstream).await
}

/// The chain over one message.
async fn examined(chain: &Chain, message: Message, user: Option<&str>, upstream: &str) -> Outcome {
    chain.select(user, "filter", false).run(message, facts(user, upstream), &FirstFailure).await
}

/// What is known of a message that comes from a file.
pub(super) fn facts(user: Option<&str>, upstream: &str) -> Facts {
    Facts {
        user: user.map(str::to_owned),
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        listener: "filter".into(),
        upstream: upstream.to_owned(),
        tls: false,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: None,
        sdps_recipient: None,
        examined_before: false,
    }
}

/// The octets that a client would get, with the line ends of the input; none for a message that stays where it is.
fn result(mail: &Mail, outcome: &Outcome) -> Option<Vec<u8>> {
    let message = match &outcome.disposition {
        Disposition::Deliver => outcome.message.clone(),
        Disposition::Hold { filter, reason } => notice(&mail.message(), filter, reason),
        Disposition::Retry { .. } => return None,
    };
    Some(mail.like_input(message.segments().flatten().copied().collect()))
}

/// Writes a result into the folder of `--out`, under the name of the mail.
fn store(arguments: &Arguments, path: &Path, result: &[u8]) -> Result<(), String> {
    let Some(folder) = &arguments.out else { return Ok(()) };
    let name = mail::relative(path, &arguments.mails);
    let target: PathBuf = folder.join(name);
    let parent = target.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&target, result))
        .map_err(|error| format!("`{}`: {error}", target.display()))
}

/// Writes; a reader that has had enough is no fault.
fn write_out(out: &mut impl Write, octets: &[u8]) -> Result<(), String> {
    match out.write_all(octets).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| format!("standard output: {error}")),
    }
}
