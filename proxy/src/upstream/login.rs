//! How the proxy logs in at an upstream, with what the configuration's files say.

use std::path::Path;
use std::sync::Arc;

use popgate_config::{self as config, Place, Upstream};

use super::Users;
use crate::pop3::{Secret, sasl};

/// The longest password of a master user, in octets.
const MAX_PASSWORD: u64 = 4096;

/// How the proxy logs in at an upstream.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// With what the client sends.
    #[default]
    Relay,
    /// With an APOP digest of the client's password.
    Apop,
    /// On behalf of the client.
    Master(Arc<Master>),
}

/// A user of an upstream who may log in on behalf of all others.
#[derive(Debug)]
pub struct Master {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The clients' passwords; none: certificates alone vouch for clients.
    pub users: Option<Arc<Users>>,
}

/// What is wrong with a file that a master login needs.
#[derive(Debug, thiserror::Error)]
#[error("{message}\nhint: {hint}")]
pub struct LoginFault {
    /// Where the configuration names the file.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Login {
    /// Reads the files that the login of an upstream needs.
    ///
    /// # Errors
    ///
    /// When one can't be read or holds something else.
    pub fn load(upstream: &Upstream) -> Result<Self, LoginFault> {
        let master = match &upstream.login {
            config::Login::Relay => return Ok(Self::Relay),
            config::Login::Apop => return Ok(Self::Apop),
            config::Login::Master(master) => master,
        };
        let password = read_password(&master.password_file).map_err(|message| LoginFault {
            place: master.password_file_place.clone(),
            message,
            hint: "name a file with the password in its one line, which popgate can read".into(),
        })?;
        let users = master.users_file.as_deref().map(Users::load).transpose().map_err(|fault| LoginFault {
            place: master.users_file_place.clone(),
            message: fault.to_string(),
            hint: fault.hint().into(),
        })?;
        Ok(Self::Master(Arc::new(Master { user: master.user.clone(), password, users: users.map(Arc::new) })))
    }
}

/// The one line of a file.
fn read_password(path: &Path) -> Result<Secret, String> {
    let unreadable = |error| format!("can't read `{}`: {error}", path.display());
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_PASSWORD {
        return Err(format!("`{}` has {length} octets, which is no password", path.display()));
    }
    let octets = Secret::new(std::fs::read(path).map_err(unreadable)?);
    let line = octets.expose();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(format!("`{}` is empty", path.display()));
    }
    if !sasl::is_contained(line) {
        return Err(format!("`{}` has more than one line, or a NUL", path.display()));
    }
    Ok(Secret::new(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, password) in [
            (&b"sesame\n"[..], Ok(&b"sesame"[..])),
            (b" se same ", Ok(b" se same ")),
            (b"sesame\r\n", Ok(b"sesame")),
            (b"s\xe9same\n", Ok(b"s\xe9same")),
            (b"", Err("is empty")),
            (b"\n", Err("is empty")),
            (b"one\ntwo\n", Err("more than one line")),
            (b"one\0", Err("or a NUL")),
            (&[b'x'; 5000], Err("is no password")),
        ] {
            std::fs::write(&path, content).unwrap();
            match (read_password(&path), password) {
                (Ok(read), Ok(password)) => assert_eq!(read.expose(), password),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (read, _) => panic!("{content:?}: {read:?}"),
            }
        }
        assert!(read_password(&folder.path().join("none")).unwrap_err().starts_with("can't read `"));
    }
}
