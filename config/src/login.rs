//! How the proxy logs in at an upstream.

use std::path::PathBuf;

use crate::keyword::Keyword;
use crate::place::Place;
use crate::section::Section;

/// How the proxy logs in at an upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Login {
    /// With what the client sends: `"relay"`.
    #[default]
    Relay,
    /// With an APOP digest that the proxy makes from the client's password: `"apop"`. Source: RFC 1939 section 7.
    Apop,
    /// As a master user on behalf of the client, for whom somebody else vouches: `"master"`. Source: RFC 4616 section 2.
    Master(Box<Master>),
}

/// A user of an upstream who may log in on behalf of all others.
#[derive(Clone, Debug, PartialEq)]
pub struct Master {
    /// The name.
    pub user: String,
    /// The file that holds the password and nothing else.
    pub password_file: PathBuf,
    /// The file of clients' names and password hashes; none: certificates alone vouch for clients.
    pub users_file: Option<PathBuf>,
    /// The value of `auth`.
    pub place: Place,
    /// The value of `master_password_file`.
    pub password_file_place: Place,
    /// The value of `users_file`, or the section.
    pub users_file_place: Place,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Auth {
    #[default]
    Relay,
    Apop,
    Master,
}

impl Keyword for Auth {
    const WORDS: &'static [(&'static str, Self)] =
        &[("relay", Self::Relay), ("apop", Self::Apop), ("master", Self::Master)];
}

/// The keys of a master login.
const MASTER_KEYS: [&str; 3] = ["master_user", "master_password_file", "users_file"];

impl Login {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let read: Option<Auth> = section.get("auth");
        let misread = read.is_none() && section.has("auth");
        let auth = read.unwrap_or_default();
        let user: Option<String> = section.get("master_user");
        let password_file = section.path("master_password_file");
        let users_file = section.path("users_file");
        if auth != Auth::Master {
            for key in MASTER_KEYS.into_iter().filter(|key| !misread && section.has(key)) {
                let message = format!("`{key}` has no effect without `auth = \"master\"`");
                section.fault(&section.place_of(key), message, format!("add that, or remove `{key}`"));
            }
            return if auth == Auth::Apop { Self::Apop } else { Self::Relay };
        }
        for (key, example) in [("master_user", "gateway"), ("master_password_file", "master.password")] {
            if !section.has(key) {
                let hint = format!("add it, for example `{key} = \"{example}\"`");
                section.miss(key, format!("`auth = \"master\"` needs `{key}`"), hint);
            }
        }
        Self::Master(Box::new(Master {
            user: user.unwrap_or_default(),
            password_file: password_file.unwrap_or_default(),
            users_file,
            place: section.place_of("auth"),
            password_file_place: section.place_of("master_password_file"),
            users_file_place: section.place_of("users_file"),
        }))
    }

    /// The master login, if that is how.
    #[must_use]
    pub fn master(&self) -> Option<&Master> {
        match self {
            Self::Master(master) => Some(master),
            Self::Relay | Self::Apop => None,
        }
    }
}
