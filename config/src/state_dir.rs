//! Where popgate keeps its state when the configuration does not say.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for the user who runs this program.
///
/// None if there is nothing to go by: not root, and neither `XDG_STATE_HOME` nor `HOME` is set.
pub(crate) fn default() -> Option<PathBuf> {
    choose(rustix::process::geteuid().is_root(), std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// Source: XDG Base Directory Specification 0.8, which ignores a relative `XDG_STATE_HOME`.
fn choose(root: bool, state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    if root {
        return Some("/var/lib/popgate".into());
    }
    let absolute = |folder: Option<OsString>| folder.map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = absolute(state_home).or_else(|| absolute(home).map(|home| home.join(".local/state")))?;
    Some(folder.join("popgate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_by_root_then_state_home_then_home() {
        for (root, state_home, home, chosen) in [
            (true, Some("/s"), Some("/root"), Some("/var/lib/popgate")),
            (false, Some("/s"), Some("/home/a"), Some("/s/popgate")),
            (false, Some("relative"), Some("/home/a"), Some("/home/a/.local/state/popgate")),
            (false, Some(""), Some("/home/a"), Some("/home/a/.local/state/popgate")),
            (false, None, Some("/home/a"), Some("/home/a/.local/state/popgate")),
            (false, None, None, None),
        ] {
            let found = choose(root, state_home.map(Into::into), home.map(Into::into));
            assert_eq!(found, chosen.map(PathBuf::from));
        }
    }
}
