//! `popgate probe`: what a server offers, what is wrong with it, and how it stands in a configuration.
//!
//! No credential is sent.

mod block;
mod certificate;
mod facts;
mod problem;
mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use popgate_config::{Address, UpstreamTls};
use serde::Serialize;

use super::{DONE, FAILED, ProbeArguments, ProbeTls, USAGE};
use crate::net::{ClientTlsError, Examiner};
use crate::upstream::{Fault, SurveyError, Surveyor};
use facts::Facts;
use problem::Problem;

/// Everything that is told about a server. The fields and their names are part of the command's contract.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    facts: Facts,
    problems: Vec<Problem>,
    /// The section for a configuration.
    upstream: Option<String>,
}

/// Why there is no report.
enum Failure {
    /// What was typed can't be used.
    Usage(String),
    /// There is no server.
    Server(String),
}

/// Runs the command.
pub(super) async fn main(arguments: ProbeArguments) -> u8 {
    let report = match report(&arguments).await {
        Ok(report) => report,
        Err(Failure::Usage(text)) => {
            eprintln!("error: {text}");
            return USAGE;
        }
        Err(Failure::Server(text)) => {
            eprintln!("error: {text}");
            return FAILED;
        }
    };
    let text = match arguments.json {
        // Only maps with other keys than strings could fail, and there is none.
        true => serde_json::to_string(&report).unwrap_or_default() + "\n",
        false => text::text(&report),
    };
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        eprintln!("error: standard output: {error}");
        return FAILED;
    }
    // A server whose greeting was never seen is as good as none.
    if report.facts.greeting.is_some() { DONE } else { FAILED }
}

async fn report(arguments: &ProbeArguments) -> Result<Report, Failure> {
    let address = address(&arguments.server).map_err(Failure::Usage)?;
    let ca = arguments.ca.as_deref().map(absolute);
    // A zone says how to reach an address and is not part of a name.
    let name = address.host.split('%').next().unwrap_or_default();
    let examiner = Examiner::new(name, ca.as_deref()).map_err(|error| match error {
        ClientTlsError::Authority(_) | ClientTlsError::Root { .. } => {
            Failure::Usage(error.to_string().replace("`ca`:", "`--ca`:"))
        }
        error => Failure::Usage(error.to_string()),
    })?;
    let surveyor = Surveyor {
        address: &address,
        tls: arguments.tls.map(UpstreamTls::from),
        examiner: &examiner,
        step: Duration::from_secs(arguments.timeout),
    };
    let survey = surveyor.survey().await.map_err(|error| {
        let implicit =
            matches!(arguments.tls, Some(ProbeTls::Implicit)) || arguments.tls.is_none() && address.port == 995;
        Failure::Server(format!("{error}\nhint: {}", hint(&error, implicit)))
    })?;
    let facts = Facts::new(address.to_string(), &survey);
    let problems = problem::problems(&facts, SystemTime::now());
    let upstream = block::block(&address, ca.as_deref(), &facts);
    Ok(Report { facts, problems, upstream })
}

/// The server as it was typed.
fn address(typed: &str) -> Result<Address, String> {
    let hint = "write host and port, as in `pop.example.org:995` or `[::1]:110`";
    let address: Address = typed.parse().map_err(|error| format!("`{typed}` {error}\nhint: {hint}"))?;
    if address.port == 0 {
        return Err(format!("`{typed}` has port 0, to which nothing can connect\nhint: {hint}"));
    }
    Ok(address)
}

/// The path as it can stand in a configuration anywhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The next step where there is no conversation.
fn hint(error: &SurveyError, implicit: bool) -> &'static str {
    match error {
        SurveyError::Connect(error) => error.hint(),
        SurveyError::Late { .. } if implicit => "the server may speak in clear at this port: try `--tls stls`",
        SurveyError::Late { .. } => {
            "the server may await TLS at this port: try `--tls implicit`, or a longer `--timeout`"
        }
        SurveyError::Broken(Fault::Closed | Fault::Io(_)) => {
            "see the server's log: it may refuse this machine's address, or be over its limit of connections"
        }
        SurveyError::NotPop3(_) | SurveyError::Broken(_) | SurveyError::Endless(_) => {
            "another service may listen at this port; POP3 has port 110, and 995 for implicit TLS"
        }
    }
}

impl From<ProbeTls> for UpstreamTls {
    fn from(tls: ProbeTls) -> Self {
        match tls {
            ProbeTls::None => Self::None,
            ProbeTls::Stls => Self::Stls,
            ProbeTls::Implicit => Self::Implicit,
        }
    }
}
