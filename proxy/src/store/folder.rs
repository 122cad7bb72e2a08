//! Folders that only the proxy's own user can read, and that survive a loss of power.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

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

/// Removes the files of a folder that were changed longer than `lasts` ago, and those longest ago beyond `keep`; says how
/// many are left.
pub(super) fn forget(path: &Path, now: SystemTime, lasts: Duration, keep: usize) -> io::Result<usize> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Gone since: another process forgets, too.
        let Ok(last) = entry.metadata().and_then(|file| file.modified()) else { continue };
        files.push((last, entry.path()));
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    let is_old = |last: SystemTime| now.duration_since(last).is_ok_and(|age| age > lasts);
    let kept = files.iter().take(keep).take_while(|(last, _)| !is_old(*last)).count();
    for (_, path) in &files[kept..] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(kept)
}

/// Puts a file in place, the old one or the new one but never half of one. Not synchronised.
pub(super) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(octets)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
