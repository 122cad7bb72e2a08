//! A look at a server: what it says of itself before and after TLS.
//!
//! No credential is sent, and nothing that is received is believed: a certificate that would be refused is noted, and
//! the conversation goes on. So no mail is ever fetched over what is opened here; [`super::Opener`] does that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use popgate_config::{Address, UpstreamTls};
use tokio::time::timeout;

use super::{Connection, Fault};
use crate::net::{
    Agreed, ClientTlsError, ConnectError, Examiner, LegacyChoice, Presented, Stream, connect, legacy_choice,
};
use crate::pop3::{Capabilities, Status, clean};

/// The most lines of a reply that are read.
const MAX_LINES: usize = 500;
/// The most octets that are shown of a line that is not POP3.
const SHOWN: usize = 200;

/// Why nothing can be said about a server.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// No connection by TCP.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Something did not come in time.
    #[error("no {step} within {limit:?}")]
    Late {
        /// What was awaited.
        step: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The conversation broke.
    #[error(transparent)]
    Broken(#[from] Fault),
    /// A line that is no reply.
    #[error("the server does not speak POP3, it says `{0}`")]
    NotPop3(String),
    /// A reply goes on and on.
    #[error("the reply to {0} has more than {MAX_LINES} lines")]
    Endless(&'static str),
}

/// What was found. What is none was not reached, or not there to be asked for.
pub struct Survey {
    /// The address that answered.
    pub peer: SocketAddr,
    /// How the conversation was encrypted, or was to be.
    pub tls: UpstreamTls,
    /// The greeting.
    pub greeting: Option<Greeting>,
    /// The reply to CAPA in clear.
    pub clear: Option<Answer>,
    /// The answer to STLS.
    pub stls: Option<Status>,
    /// The handshake.
    pub handshake: Option<Handshake>,
    /// The reply to CAPA under TLS.
    pub encrypted: Option<Answer>,
    /// The reply to AUTH without a mechanism, where the conversation ended up.
    pub mechanisms: Option<Answer>,
    /// What ended the conversation early, behind the greeting.
    pub broken: Option<SurveyError>,
}

/// How a server greets.
pub struct Greeting {
    /// The status line.
    pub status: Status,
    /// How long it took from the connection, or the handshake, on.
    pub after: Duration,
}

/// A reply of many lines, or of one that refuses.
pub enum Answer {
    /// The lines without CRLF and dot-stuffing.
    Lines(Vec<Bytes>),
    /// The status line.
    Refused(Bytes),
}

/// How a handshake went.
pub struct Handshake {
    /// What the server presented.
    pub presented: Option<Presented>,
    /// What was agreed on.
    pub result: Result<Agreed, TlsFailure>,
}

/// Why there is no TLS.
pub struct TlsFailure {
    /// What went wrong.
    pub error: ClientTlsError,
    /// What the server would have agreed to fifteen years ago.
    pub legacy: Option<LegacyChoice>,
}

/// Looks at one server.
pub struct Surveyor<'a> {
    /// The server.
    pub address: &'a Address,
    /// How to encrypt; none: as the port and the server's capabilities suggest.
    pub tls: Option<UpstreamTls>,
    /// The name and the trust for its certificate.
    pub examiner: &'a Examiner,
    /// The longest that each step may take.
    pub step: Duration,
}

impl Surveyor<'_> {
    /// Connects, asks, and leaves.
    ///
    /// # Errors
    ///
    /// When there is no server that greets. What goes wrong behind that is part of what was found.
    pub async fn survey(&self) -> Result<Survey, SurveyError> {
        let tls = self.tls.unwrap_or(if self.address.port == 995 { UpstreamTls::Implicit } else { UpstreamTls::None });
        let stream = Stream::prompt(connect(self.address, self.step).await?);
        let peer = stream.peer().map_err(Fault::Io)?;
        let mut survey = Survey {
            peer,
            tls,
            greeting: None,
            clear: None,
            stls: None,
            handshake: None,
            encrypted: None,
            mechanisms: None,
            broken: None,
        };
        let stream = match tls {
            UpstreamTls::Implicit => self.handshake(&mut survey, stream).await?,
            UpstreamTls::None | UpstreamTls::Stls => Some(stream),
        };
        let Some(stream) = stream else { return Ok(survey) };
        let begin = Instant::now();
        let mut connection = Connection::new(stream, self.step);
        let status = self.greeting(&mut connection).await?;
        let ok = status.ok;
        survey.greeting = Some(Greeting { status, after: begin.elapsed() });
        if ok {
            survey.broken = self.converse(&mut survey, connection).await.err();
        }
        Ok(survey)
    }

    /// What can be asked without logging in.
    async fn converse(&self, survey: &mut Survey, mut connection: Connection) -> Result<(), SurveyError> {
        let answer = self.ask("CAPA", "reply to CAPA", &mut connection).await?;
        let offered = answer.offers_stls();
        let slot = if survey.tls == UpstreamTls::Implicit { &mut survey.encrypted } else { &mut survey.clear };
        *slot = Some(answer);
        if self.tls.is_none() && survey.tls == UpstreamTls::None && offered {
            survey.tls = UpstreamTls::Stls;
        }
        if survey.tls == UpstreamTls::Stls {
            let status = self.command("STLS", "answer to STLS", &mut connection).await?;
            let ok = status.ok;
            survey.stls = Some(status);
            if ok {
                let stream = connection.into_stream()?;
                let Some(stream) = self.handshake(survey, stream).await? else { return Ok(()) };
                connection = Connection::new(stream, self.step);
                survey.encrypted = Some(self.ask("CAPA", "reply to CAPA", &mut connection).await?);
            }
        }
        survey.mechanisms = Some(self.ask("AUTH", "reply to AUTH", &mut connection).await?);
        // Politeness; all is known.
        let _ = self.command("QUIT", "reply to QUIT", &mut connection).await;
        Ok(())
    }

    /// A command whose positive reply has many lines.
    async fn ask(
        &self,
        command: &'static str,
        step: &'static str,
        connection: &mut Connection,
    ) -> Result<Answer, SurveyError> {
        connection.command(command.as_bytes())?;
        connection.flush().await?;
        let first = self.line(step, connection).await?;
        if first.starts_with(b"+ ") || &first[..] == b"+" {
            // A challenge to somebody who has named no mechanism: RFC 5034 section 4 has `*` to get out of it.
            let status = self.command("*", step, connection).await?;
            return Ok(Answer::Refused(status.line));
        }
        let status = parsed(first)?;
        if !status.ok {
            return Ok(Answer::Refused(status.line));
        }
        let lines = timeout(self.step, lines(command, connection)).await;
        Ok(Answer::Lines(lines.map_err(|_| SurveyError::Late { step, limit: self.step })??))
    }

    async fn command(
        &self,
        command: &str,
        step: &'static str,
        connection: &mut Connection,
    ) -> Result<Status, SurveyError> {
        connection.command(command.as_bytes())?;
        connection.flush().await?;
        self.status(step, connection).await
    }

    async fn status(&self, step: &'static str, connection: &mut Connection) -> Result<Status, SurveyError> {
        parsed(self.line(step, connection).await?)
    }

    async fn greeting(&self, connection: &mut Connection) -> Result<Status, SurveyError> {
        parsed(self.within("greeting", connection.greeting()).await?)
    }

    async fn line(&self, step: &'static str, connection: &mut Connection) -> Result<Bytes, SurveyError> {
        self.within(step, connection.reply()).await
    }

    async fn within(
        &self,
        step: &'static str,
        line: impl Future<Output = Result<Bytes, Fault>>,
    ) -> Result<Bytes, SurveyError> {
        match timeout(self.step, line).await {
            // The connection's own limit is the same, and either may be the first.
            Err(_) | Ok(Err(Fault::Stalled(_))) => Err(SurveyError::Late { step, limit: self.step }),
            Ok(line) => Ok(line?),
        }
    }

    /// The handshake; none if it fails, with the reason noted.
    async fn handshake(&self, survey: &mut Survey, stream: Stream) -> Result<Option<Stream>, SurveyError> {
        let late = |_| SurveyError::Late { step: "TLS handshake", limit: self.step };
        let examination = timeout(self.step, self.examiner.examine(stream)).await.map_err(late)?;
        let (stream, result) = match examination.outcome {
            Ok((stream, agreed)) => (Some(stream), Ok(agreed)),
            Err(error) => {
                let legacy = self.legacy(survey.tls).await;
                (None, Err(TlsFailure { error, legacy }))
            }
        };
        survey.handshake = Some(Handshake { presented: examination.presented, result });
        Ok(stream)
    }

    /// What old TLS the server speaks, over a connection of its own; none if that does not come to an answer.
    async fn legacy(&self, tls: UpstreamTls) -> Option<LegacyChoice> {
        let mut stream = Stream::prompt(connect(self.address, self.step).await.ok()?);
        if tls == UpstreamTls::Stls {
            let mut connection = Connection::new(stream, self.step);
            let greeting = self.greeting(&mut connection).await.ok()?;
            let answer = self.command("STLS", "answer to STLS", &mut connection).await.ok()?;
            if !greeting.ok || !answer.ok {
                return None;
            }
            stream = connection.into_stream().ok()?;
        }
        timeout(self.step, legacy_choice(&mut stream, &self.address.host)).await.ok()?.ok()?
    }
}

impl Answer {
    /// The capabilities in it; none where CAPA was refused.
    #[must_use]
    pub fn capabilities(&self) -> Option<Capabilities> {
        match self {
            Self::Lines(lines) => Some(Capabilities::parse(lines.iter().map(|line| &line[..]))),
            Self::Refused(_) => None,
        }
    }

    fn offers_stls(&self) -> bool {
        self.capabilities().is_some_and(|list| list.offers("STLS"))
    }
}

fn parsed(line: Bytes) -> Result<Status, SurveyError> {
    let shown = String::from_utf8_lossy(&clean(&line, SHOWN)).into_owned();
    Status::parse(line).map_err(|_| SurveyError::NotPop3(shown))
}

/// The lines of a reply up to its dot.
async fn lines(command: &'static str, connection: &mut Connection) -> Result<Vec<Bytes>, SurveyError> {
    let mut lines = Vec::new();
    loop {
        let line = connection.line().await?;
        if &line[..] == b"." {
            return Ok(lines);
        }
        if lines.len() == MAX_LINES {
            return Err(SurveyError::Endless(command));
        }
        lines.push(if line.starts_with(b".") { line.slice(1..) } else { line });
    }
}
