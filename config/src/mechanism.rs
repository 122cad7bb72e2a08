//! The SASL mechanisms that the proxy itself can ask a client's credentials by.

use crate::keyword::Keyword;

/// A mechanism in which the client's first words name the user, so that the proxy can choose the server by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SaslMechanism {
    /// Name and password in one response. Source: RFC 4616.
    Plain,
    /// Name and password in two responses, older than any document about it.
    Login,
    /// A token. Source: Google's and Microsoft's documents.
    Xoauth2,
    /// A token. Source: RFC 7628.
    OauthBearer,
    /// Source: RFC 5802.
    ScramSha1,
    /// Source: RFC 7677.
    ScramSha256,
}

impl SaslMechanism {
    /// What a listener without upstream offers if nothing else is configured.
    pub const DEFAULT: [Self; 4] = [Self::Plain, Self::Login, Self::Xoauth2, Self::OauthBearer];

    /// Its name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Xoauth2 => "XOAUTH2",
            Self::OauthBearer => "OAUTHBEARER",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

impl Keyword for SaslMechanism {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("PLAIN", Self::Plain),
        ("LOGIN", Self::Login),
        ("XOAUTH2", Self::Xoauth2),
        ("OAUTHBEARER", Self::OauthBearer),
        ("SCRAM-SHA-1", Self::ScramSha1),
        ("SCRAM-SHA-256", Self::ScramSha256),
    ];

    const OTHER_WORDS: &'static [(&'static str, &'static str)] = &[
        ("plain", "PLAIN"),
        ("login", "LOGIN"),
        ("xoauth2", "XOAUTH2"),
        ("oauthbearer", "OAUTHBEARER"),
        ("scram-sha-1", "SCRAM-SHA-1"),
        ("scram-sha-256", "SCRAM-SHA-256"),
    ];
}
