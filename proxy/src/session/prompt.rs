//! Credentials that the proxy itself asks a client for.

use crate::pop3::Secret;
use crate::pop3::sasl::{self, Plain, SaslError};

/// Credentials that the proxy logs in with on its own.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Name and password.
    Password {
        /// As PLAIN has them.
        plain: Plain,
        /// Given as USER and PASS.
        simple: bool,
    },
    /// The first response of a mechanism that names the user in it.
    Token {
        /// The mechanism in capitals.
        mechanism: String,
        /// The response in base64.
        response: Secret,
        /// The login name in it.
        user: Vec<u8>,
    },
    /// The TLS certificate of this user.
    Certificate(Vec<u8>),
}

impl Credentials {
    pub(super) fn new(user: Vec<u8>, password: Secret) -> Self {
        Self::Password { plain: Plain { authorization: Vec::new(), user, password }, simple: true }
    }

    /// Whose maildrop is asked for.
    pub(super) fn user(&self) -> &[u8] {
        match self {
            Self::Password { plain, .. } => plain.maildrop(),
            Self::Token { user, .. } | Self::Certificate(user) => user,
        }
    }

    /// The same under the name that the upstream knows the user by. Within a token no rewriting reaches it.
    pub(super) fn renamed(mut self, name: Vec<u8>) -> Self {
        match &mut self {
            Self::Password { plain, .. } => {
                if plain.is_own() {
                    plain.user.clone_from(&name);
                }
                if !plain.authorization.is_empty() {
                    plain.authorization = name;
                }
            }
            Self::Token { .. } => {}
            Self::Certificate(user) => *user = name,
        }
        self
    }
}

/// What the client was asked by the proxy itself.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// The response of PLAIN.
    Plain,
    /// The name for LOGIN.
    LoginName,
    /// The password for LOGIN of this user.
    LoginPassword(Vec<u8>),
    /// The response of this mechanism, which names the user.
    Token(String),
    /// The response of EXTERNAL to a client whose certificate has this name.
    External(Vec<u8>),
}

/// What follows an answer to a prompt.
#[derive(Debug)]
pub(super) enum Answered {
    Complete(Credentials),
    Next(Prompt),
    /// A credential that is no good, as nobody else has to be asked to know.
    Refused,
}

impl Prompt {
    /// The challenge before base64.
    pub(super) fn challenge(&self) -> &'static [u8] {
        match self {
            Self::Plain | Self::Token(_) | Self::External(_) => b"",
            Self::LoginName => b"Username:",
            Self::LoginPassword(_) => b"Password:",
        }
    }

    /// Takes the client's response.
    pub(super) fn answer(self, line: &[u8]) -> Result<Answered, SaslError> {
        let plain = match self {
            Self::Plain => Plain::parse(line)?,
            Self::LoginName => {
                let name = sasl::decode(line)?.expose().to_vec();
                return match name.as_slice() {
                    b"" => Err(SaslError::Malformed),
                    name if !sasl::is_contained(name) => Err(SaslError::Control),
                    _ => Ok(Answered::Next(Self::LoginPassword(name))),
                };
            }
            Self::LoginPassword(user) => Plain { authorization: Vec::new(), user, password: sasl::decode(line)? },
            Self::Token(mechanism) => {
                sasl::decode(line)?;
                let user = sasl::user_of(&mechanism, line).ok_or(SaslError::Malformed)?;
                if !sasl::is_contained(&user) {
                    return Err(SaslError::Control);
                }
                let response = Secret::new(line.to_vec());
                return Ok(Answered::Complete(Credentials::Token { mechanism, response, user }));
            }
            // The certificate is for one user, whoever else is asked for (RFC 4422 appendix A).
            Self::External(user) => {
                let wanted = sasl::decode(line)?;
                let own = wanted.expose().is_empty() || wanted.expose() == user;
                return Ok(if own { Answered::Complete(Credentials::Certificate(user)) } else { Answered::Refused });
            }
        };
        Ok(Answered::Complete(Credentials::Password { plain: plain.contained()?, simple: false }))
    }
}
