//! What a client is told of the server and the user.

use std::path::Path;

/// How a client connects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    /// Without TLS.
    None,
    /// With STLS, which must succeed.
    Stls,
    /// TLS from the first octet.
    Implicit,
}

impl Tls {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::None, Self::Stls, Self::Implicit];

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Stls => "stls",
            Self::Implicit => "implicit",
        }
    }
}

/// How a client proves who the user is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mechanism {
    /// USER and PASS (RFC 1939, section 7).
    User,
    /// APOP (RFC 1939, section 7).
    Apop,
    /// AUTH PLAIN (RFC 4616).
    Plain,
    /// AUTH LOGIN.
    Login,
    /// AUTH CRAM-MD5 (RFC 2195).
    CramMd5,
    /// AUTH DIGEST-MD5 (RFC 2831).
    DigestMd5,
    /// AUTH SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// AUTH SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// AUTH XOAUTH2, with a bearer token for a password.
    Xoauth2,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::User,
        Self::Apop,
        Self::Plain,
        Self::Login,
        Self::CramMd5,
        Self::DigestMd5,
        Self::ScramSha1,
        Self::ScramSha256,
        Self::Xoauth2,
    ];

    /// The POP3 command, or what stands behind AUTH.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Apop => "APOP",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::DigestMd5 => "DIGEST-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// Whether it comes with AUTH.
    #[must_use]
    pub fn is_sasl(self) -> bool {
        !matches!(self, Self::User | Self::Apop)
    }
}

/// What a client is told. The host is `localhost`.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The port.
    pub port: u16,
    /// How to connect.
    pub tls: Tls,
    /// The authority to trust.
    pub ca: &'a Path,
    /// The user's name.
    pub user: &'a str,
    /// How to log in.
    pub mechanism: Mechanism,
    /// The password or token, without quotation marks and white space.
    pub password: &'a str,
    /// How many messages there are, for clients that must be told.
    pub count: usize,
}
