//! What the process may do, reduced to what it needs.

use std::ffi::CString;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};

/// Descriptors below which a busy proxy runs out.
const FEW_DESCRIPTORS: u64 = 4096;

/// No core dumps, which would hold passwords and mail; no privileges by exec; as many descriptors as allowed.
///
/// Called before any other thread runs, since threads inherit it. Gives what could not be done.
pub(super) fn harden() -> Vec<String> {
    let mut weaknesses = Vec::new();
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        weaknesses.push(format!("core dumps stay possible: {error}"));
    }
    if let Err(error) = set_no_new_privs() {
        weaknesses.push(format!("the process may gain privileges by exec: {error}"));
    }
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| {
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        Ok(most)
    });
    match descriptors {
        Ok(most) if most < FEW_DESCRIPTORS => {
            weaknesses.push(format!("few file descriptors ({most}): raise the limit for many sessions"));
        }
        Ok(_) => {}
        Err(error) => weaknesses.push(format!("the number of file descriptors stays as it is: {error}")),
    }
    weaknesses
}

/// Becomes `user` for good, who gets the state folder.
///
/// # Errors
///
/// When there is no such user or the process may not change; the text is for the operator.
pub(super) fn drop_to(user: &str, state_dir: &Path) -> Result<(), String> {
    let found = User::from_name(user).map_err(|error| format!("error: user `{user}`: {error}"))?;
    let Some(account) = found else {
        return Err(format!("error: there is no user `{user}`\nhint: adduser --system --group {user}"));
    };
    if geteuid() == account.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(format!("error: only root can become `{user}`\nhint: remove `user`, or start as root"));
    }
    give(state_dir, account.uid, account.gid).map_err(|error| format!("error: `{}`: {error}", state_dir.display()))?;
    let name = CString::new(user).map_err(|error| format!("error: user `{user}`: {error}"))?;
    initgroups(&name, account.gid)
        .and_then(|()| setgid(account.gid))
        .and_then(|()| setuid(account.uid))
        .map_err(|error| format!("error: can't become `{user}`: {error}"))
}

/// Hands a folder and all that is in it over; links are not followed.
fn give(path: &Path, user: Uid, group: Gid) -> std::io::Result<()> {
    let kind = std::fs::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        return Ok(());
    }
    if kind.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    chown(path, Some(user.as_raw()), Some(group.as_raw()))
}
