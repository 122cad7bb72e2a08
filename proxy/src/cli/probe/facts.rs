//! What was found out about a server, as it is printed and as JSON. The fields and their names are part of the
//! command's contract.

use bytes::Bytes;
use popgate_config::UpstreamTls;
use serde::Serialize;

use super::certificate::Certificate;
use crate::net::{ClientTlsError, Refusal};
use crate::pop3::{Capabilities, timestamp};
use crate::session::{Standing, offered_capabilities};
use crate::upstream::{Answer, Handshake, Survey};

/// Everything that was found out.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Facts {
    /// The server as it was asked for.
    pub(super) address: String,
    /// The address that answered.
    pub(super) peer: String,
    /// How the conversation was encrypted, or was to be: a value of an upstream's `tls`.
    pub(super) tls: &'static str,
    pub(super) greeting: Option<Greeting>,
    /// The answer to STLS, if that was sent.
    pub(super) stls: Option<Stls>,
    pub(super) capabilities: Lists,
    pub(super) mechanisms: Mechanisms,
    pub(super) handshake: Option<Agreement>,
    /// Why there is no TLS although it was tried.
    pub(super) handshake_error: Option<HandshakeError>,
    pub(super) certificate: Option<Verdict>,
    /// What popgate before this server tells clients.
    pub(super) offers: Offers,
    /// What ended the conversation early.
    pub(super) broken: Option<String>,
    /// The whole refusal of the certificate.
    #[serde(skip)]
    pub(super) refusal: Option<Refusal>,
}

/// The first line of the server.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Greeting {
    pub(super) line: String,
    pub(super) ok: bool,
    pub(super) milliseconds: u64,
    /// The timestamp for APOP.
    pub(super) apop: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Stls {
    pub(super) accepted: bool,
    pub(super) answer: String,
}

/// The lines of the replies to CAPA; none where it was not asked or refused.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Lists {
    pub(super) clear: Option<Vec<String>>,
    pub(super) tls: Option<Vec<String>>,
    /// CAPA was refused where the conversation ended up.
    pub(super) refused: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Mechanisms {
    /// Those of the capability SASL.
    pub(super) capa: Vec<String>,
    /// Those of the reply to AUTH alone; none where it is refused.
    pub(super) auth: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Agreement {
    pub(super) version: String,
    pub(super) cipher: String,
    pub(super) key_exchange: String,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct HandshakeError {
    pub(super) text: String,
    /// What came is no TLS at all.
    pub(super) not_tls: bool,
    /// What the server agrees to when it is asked for old TLS.
    pub(super) legacy_version: Option<&'static str>,
    pub(super) legacy_cipher: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Verdict {
    pub(super) verified: bool,
    pub(super) reason: Option<String>,
    pub(super) chain: Vec<Certificate>,
}

/// Capability lists of a proxy before this server.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Offers {
    /// To a client that may log in: over TLS, or on the same machine.
    pub(super) secure: Vec<String>,
    /// To a client from elsewhere before it has sent STLS.
    pub(super) before_stls: Vec<String>,
}

impl Facts {
    pub(super) fn new(address: String, survey: &Survey) -> Self {
        let last = survey.encrypted.as_ref().or(survey.clear.as_ref());
        let list = last.and_then(Answer::capabilities);
        let (handshake, handshake_error, certificate, refusal) = handshake(survey.handshake.as_ref());
        Self {
            address,
            peer: survey.peer.to_string(),
            tls: match survey.tls {
                UpstreamTls::None => "none",
                UpstreamTls::Stls => "stls",
                UpstreamTls::Implicit => "implicit",
            },
            greeting: survey.greeting.as_ref().map(|greeting| {
                let stamp = timestamp(&greeting.status.line).map(|range| text(&greeting.status.line.slice(range)));
                Greeting {
                    line: text(&greeting.status.line),
                    ok: greeting.status.ok,
                    milliseconds: u64::try_from(greeting.after.as_millis()).unwrap_or(u64::MAX),
                    apop: stamp,
                }
            }),
            stls: survey.stls.as_ref().map(|status| Stls { accepted: status.ok, answer: text(&status.line) }),
            capabilities: Lists {
                clear: survey.clear.as_ref().and_then(lines),
                tls: survey.encrypted.as_ref().and_then(lines),
                refused: last.and_then(refused),
            },
            mechanisms: Mechanisms {
                capa: list.as_ref().map(Capabilities::mechanisms).unwrap_or_default(),
                auth: survey.mechanisms.as_ref().and_then(lines),
            },
            handshake,
            handshake_error,
            certificate,
            offers: last.map(|_| Offers::before(&list.unwrap_or_else(Capabilities::unannounced))).unwrap_or_default(),
            broken: survey.broken.as_ref().map(ToString::to_string),
            refusal,
        }
    }

    /// The capabilities where the conversation ended up; none without CAPA.
    pub(super) fn last(&self) -> Option<&[String]> {
        self.capabilities.tls.as_deref().or(self.capabilities.clear.as_deref())
    }

    /// The certificate of the server itself.
    pub(super) fn leaf(&self) -> Option<&Certificate> {
        self.certificate.as_ref()?.chain.first()
    }
}

impl Offers {
    /// The very lists that sessions build.
    pub(super) fn before(upstream: &Capabilities) -> Self {
        let secure = Standing { may_log_in: true, ..Standing::default() };
        let before_stls = Standing { offers_stls: true, ..Standing::default() };
        Self {
            secure: offered_capabilities(upstream, secure),
            before_stls: offered_capabilities(upstream, before_stls),
        }
    }
}

type HandshakeFacts = (Option<Agreement>, Option<HandshakeError>, Option<Verdict>, Option<Refusal>);

fn handshake(handshake: Option<&Handshake>) -> HandshakeFacts {
    let Some(handshake) = handshake else { return (None, None, None, None) };
    let (agreement, error) = match &handshake.result {
        Ok(agreed) => {
            let (version, cipher) = (agreed.version.clone(), agreed.cipher.clone());
            (Some(Agreement { version, cipher, key_exchange: agreed.key_exchange.clone() }), None)
        }
        Err(failure) => {
            let error = HandshakeError {
                text: plain(&failure.error.to_string()),
                not_tls: matches!(failure.error, ClientTlsError::Handshake(rustls::Error::InvalidMessage(_))),
                legacy_version: failure.legacy.as_ref().map(|choice| choice.version),
                legacy_cipher: failure.legacy.as_ref().map(|choice| choice.cipher.clone()),
            };
            (None, Some(error))
        }
    };
    let verdict = handshake.presented.as_ref().map(|presented| Verdict {
        verified: presented.refusal.is_none(),
        reason: presented.refusal.as_ref().map(|refusal| plain(&refusal.reason.to_string())),
        chain: presented.chain.iter().map(|der| Certificate::read(der)).collect(),
    });
    let refusal = handshake.presented.as_ref().and_then(|presented| presented.refusal.clone());
    (agreement, error, verdict, refusal)
}

fn lines(answer: &Answer) -> Option<Vec<String>> {
    match answer {
        Answer::Lines(lines) => Some(lines.iter().map(text).collect()),
        Answer::Refused(_) => None,
    }
}

fn refused(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Lines(_) => None,
        Answer::Refused(line) => Some(text(line)),
    }
}

fn text(line: &Bytes) -> String {
    plain(&String::from_utf8_lossy(line))
}

/// Text of a stranger without anything that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|next| !next.is_control()).collect()
}
