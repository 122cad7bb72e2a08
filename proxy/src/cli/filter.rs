//! `popgate filter`: the chain over messages in files, without any mail server.

mod mail;
mod report;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use popgate_config::Config;

use super::{DONE, FAILED, FilterArguments, USAGE, load};
use crate::filter::{Chain, Disposition, Facts, FetchCommand, Outcome, Poison};
use crate::message::Message;
use crate::message::notice::Notice;
use mail::Mail;
use report::Report;

/// A filter that fails here fails for the first time.
struct FirstFailure;

impl Poison for FirstFailure {
    fn failed(&self, _: &str, _: &[u8; 32], _: &Message) -> bool {
        false
    }
}

/// Runs the command.
pub(super) async fn main(arguments: FilterArguments) -> u8 {
    let config = match configuration(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return USAGE;
        }
    };
    let chain = match load::Plugins::default().chain(&config).await {
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
    let result = if single { one(&chain, &arguments).await } else { many(&chain, &arguments).await };
    match result {
        Ok(()) => DONE,
        Err(error) => {
            eprintln!("error: {error}");
            FAILED
        }
    }
}

/// The configuration to take the filters from: the user's, or one of nothing but filters.
fn configuration(arguments: &FilterArguments) -> Result<Config, String> {
    if let Some(path) = &arguments.config {
        return popgate_config::load(path).map_err(|error| error.to_string());
    }
    let plugins: Vec<String> = match &arguments.plugin {
        Some(plugin) => vec![plugin.clone()],
        None => popgate_plugins::BUNDLED.iter().map(|plugin| plugin.name.to_owned()).collect(),
    };
    let path = std::env::current_dir().unwrap_or_default().join("command line");
    popgate_config::parse(&without_server(&plugins), &path).map_err(|error| error.to_string())
}

/// A configuration that has filters, and nothing that anybody could connect to.
fn without_server(plugins: &[String]) -> String {
    let filters: String =
        plugins.iter().map(|plugin| format!("[[filter]]\nplugin = {}\n", toml::Value::from(plugin.as_str()))).collect();
    format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n[[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n{filters}"
    )
}

/// What a client would get for a held message; here nothing is stored.
fn notice(original: &Message, reason: &str) -> Message {
    let text = format!("This message would be held.\n\nReason: {reason}");
    let notice = Notice {
        original,
        from: "popgate <postmaster@localhost>",
        to: "postmaster@localhost",
        date: std::time::SystemTime::now(),
        message_id: "<pg-0@localhost>",
        held: "0",
        text: &text,
    };
    notice.message()
}

/// One message: the result to standard output, the report to standard error.
async fn one(chain: &Chain, arguments: &FilterArguments) -> Result<(), String> {
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
    let outcome = run(chain, &mail, arguments.user.as_deref()).await;
    let report = Report::new(&path, &mail, &outcome);
    let text = if arguments.json { report.json() } else { report.text() };
    eprintln!("{}", text.trim_end());
    match result(&mail, &outcome) {
        Some(result) if arguments.out.is_none() => write_out(&mut std::io::stdout(), &result),
        Some(result) => store(arguments, Path::new(&path), &result),
        None => Ok(()),
    }
}

/// Several messages: a report each to standard output, the results to a folder.
async fn many(chain: &Chain, arguments: &FilterArguments) -> Result<(), String> {
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
        let outcome = run(chain, &mail, arguments.user.as_deref()).await;
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

async fn run(chain: &Chain, mail: &Mail, user: Option<&str>) -> Outcome {
    let facts = Facts {
        user: user.map(str::to_owned),
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        listener: "filter".into(),
        upstream: "filter".into(),
        tls: false,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: None,
        sdps_recipient: None,
    };
    chain.select(user, "filter", false).run(mail.message(), facts, &FirstFailure).await
}

/// The octets that a client would get, with the line ends of the input; none for a message that stays where it is.
fn result(mail: &Mail, outcome: &Outcome) -> Option<Vec<u8>> {
    let message = match &outcome.disposition {
        Disposition::Deliver => outcome.message.clone(),
        Disposition::Hold { reason, .. } => notice(&mail.message(), reason),
        Disposition::Retry { .. } => return None,
    };
    Some(mail.like_input(message.segments().flatten().copied().collect()))
}

/// Writes a result into the folder of `--out`, under the name of the mail.
fn store(arguments: &FilterArguments, path: &Path, result: &[u8]) -> Result<(), String> {
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
