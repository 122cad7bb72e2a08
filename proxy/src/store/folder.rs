//! Folders that only the proxy's own user can read, and that survive a loss of power.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Makes a folder (0700) and those above it, and sees to it that all of them are on disk.
pub(super) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    sync(path)?;
    // Others may have made the folders above just now, so all are synchronised. Those that can't even be opened were
    // there before.
    for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        match sync(above) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Waits until a folder's entries are on disk: what was created in it, renamed or removed.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
