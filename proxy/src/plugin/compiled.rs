//! Machine code on disk, so that a plugin is compiled once and not at each start.
//!
//! Files are under `state_dir/compiled/`: one for each plugin and configuration of the engine, and one for each of its
//! settings when it was configured once. wasmtime trusts machine code blindly. So a file is used only if it lies in a folder that nobody else can write to, belongs to us, and
//! bears the digest of its content and purpose; whatever else is there is compiled again and replaced. What a plugin's author
//! has compiled is never loaded, and a folder that can't be trusted costs time, nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::code::MachineCode;
use super::text;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

/// What a file begins with: the name and version of its form.
const FORM: &[u8; 16] = b"popgate cwasm 3\n";

/// Octets of the digest behind it.
const DIGEST: usize = 32;

/// Files that nobody has used for so long are removed: their plugin or their engine is no more.
const KEEP: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// Octets of all files. Each change of a filter's settings leaves a snapshot behind, of some megabytes as a rule.
const ROOM: u64 = 2 << 30;

/// How old the mark of a file's last use may grow before it is made anew.
const MARK: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder of machine code; none if there is none to trust.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    folder: Option<PathBuf>,
}

impl Compiled {
    /// The folder under `state_dir`, made if it is not there. If it can't be used, a warning says so.
    pub(super) fn under(state_dir: &Path) -> Self {
        let folder = state_dir.join("compiled");
        match prepare(&folder) {
            Ok(()) => Self { folder: Some(folder) },
            Err(error) => {
                let folder = folder.display().to_string();
                tracing::warn!(folder, %error, "compiled filters can't be kept, so each start compiles them");
                Self { folder: None }
            }
        }
    }

    /// What was kept under this key; none if nothing was, or nothing that can be trusted.
    pub(super) fn find(&self, key: &Key) -> Option<Kept> {
        let path = self.path(key)?;
        match read(&path, key) {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a compiled filter is not as it was written; it is compiled again");
                None
            }
        }
    }

    /// Keeps something under this key. Where that can't be done, a warning says so.
    pub(super) fn keep(&self, key: &Key, kept: &Kept) {
        let (Some(folder), Some(path)) = (&self.folder, self.path(key)) else { return };
        if let Err(error) = store(folder, &path, key, kept).and_then(|()| shrink(folder, &path)) {
            tracing::warn!(folder = %folder.display(), %error, "a compiled filter can't be kept");
        }
    }

    /// A file without a name, for something that is under way.
    ///
    /// # Errors
    /// The disk is full, or worse.
    pub(super) fn scratch(&self) -> io::Result<File> {
        match &self.folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        }
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{}.cwasm", text::hex(&key.0))))
    }
}

/// Code, and what there is to say about it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Empty, or why something could not be done.
    pub(super) note: String,
    /// None if that is all that there is to say.
    pub(super) code: Option<MachineCode>,
}

/// What is kept: of what it was made, for what, and for which engine (version, processor, settings).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key for a purpose, and all that decides what comes out.
    pub(super) fn new(engine: &wasmtime::Engine, purpose: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        for part in [purpose.as_bytes()].iter().chain(parts) {
            hasher.0.update((part.len() as u64).to_be_bytes());
            hasher.0.update(part);
        }
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(hasher.0.finalize().into())
    }
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(&self) -> u64 {
        // Nobody asks: the whole digest is taken instead.
        0
    }
}

fn prepare(folder: &Path) -> io::Result<()> {
    if let Some(state_dir) = folder.parent() {
        fs::create_dir_all(state_dir)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder)?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it must be a folder of popgate's own user that nobody else has access to (mode 0700)",
        ));
    }
    sweep(folder)
}

/// Removes what has long not been used, half-written files included.
fn sweep(folder: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > KEEP)) {
            // Another process may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Reads a file and checks whose it is and that it is whole.
fn read(path: &Path, key: &Key) -> io::Result<Kept> {
    let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidData, text));
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let ours = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o077 != 0 {
        return invalid("it does not belong to popgate's own user alone");
    }
    let mut code = Vec::new();
    file.read_to_end(&mut code)?;
    let Some((head, content)) = code.split_at_checked(FORM.len() + DIGEST) else { return invalid("it is cut short") };
    if !head.starts_with(FORM) || head[FORM.len()..] != digest(key, content) {
        return invalid("its content does not have its digest");
    }
    mark_used(&file, metadata.modified()?);
    code.drain(..FORM.len() + DIGEST);
    Kept::from_octets(code).map_or_else(|| invalid("it is of another form"), Ok)
}

impl Kept {
    /// Its note behind the note's length, then the code.
    fn to_octets(&self) -> Vec<u8> {
        let code = self.code.as_ref().map(MachineCode::octets).unwrap_or_default();
        [&(self.note.len() as u64).to_be_bytes(), self.note.as_bytes(), code].concat()
    }

    fn from_octets(mut octets: Vec<u8>) -> Option<Self> {
        let (length, rest) = octets.split_first_chunk()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let note = String::from_utf8(rest.get(..length)?.to_vec()).ok()?;
        octets.drain(..size_of::<u64>() + length);
        let code = (!octets.is_empty()).then(|| MachineCode::come_back(octets));
        Some(Self { note, code })
    }
}

/// Lets a file live on. Where that is not possible it is compiled again some day.
fn mark_used(file: &File, used: SystemTime) {
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > MARK) {
        let _ = file.set_modified(now);
    }
}

fn digest(key: &Key, content: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(key.0);
    digest.update(content);
    digest.finalize().into()
}

/// Writes a file under a temporary name, mode 0600, and gives it its own when it is on disk.
fn store(folder: &Path, path: &Path, key: &Key, kept: &Kept) -> io::Result<()> {
    let content = kept.to_octets();
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(FORM)?;
    file.write_all(&digest(key, &content))?;
    file.write_all(&content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Makes room: those go first that have not been used for longest, and `newest` never.
fn shrink(folder: &Path, newest: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have removed it.
        if let Ok(metadata) = entry.metadata() {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut sum: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files.iter().filter(|(.., path)| path != newest) {
        if sum <= ROOM {
            break;
        }
        let _ = fs::remove_file(path);
        sum -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::plugin::engine::Engine;

    fn key(purpose: &str) -> Key {
        Key::new(Engine::start().unwrap().wasmtime(), purpose, &[])
    }

    fn kept() -> Kept {
        Kept { note: "why".into(), code: Some(MachineCode::come_back(vec![7; 100])) }
    }

    fn only_file(state_dir: &Path) -> PathBuf {
        let mut files: Vec<_> = fs::read_dir(state_dir.join("compiled")).unwrap().collect();
        assert_eq!(files.len(), 1);
        files.remove(0).unwrap().path()
    }

    #[test]
    fn code_is_kept_for_ourselves_alone_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let compiled = Compiled::under(folder.path());
        let purpose = key("test");
        compiled.keep(&purpose, &kept());
        let path = only_file(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        let found = compiled.find(&purpose).unwrap();
        assert_eq!((&*found.note, found.code.unwrap().octets()), ("why", &[7; 100][..]));
        assert!(read(&path, &key("other")).is_err(), "a file is for one purpose only");
    }

    #[test]
    fn whatever_was_touched_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let compiled = Compiled::under(folder.path());
        let key = key("test");
        compiled.keep(&key, &kept());
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        for touched in [Vec::new(), whole[..47].to_vec(), whole[..whole.len() - 1].to_vec(), {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            flipped
        }] {
            fs::write(&path, touched).unwrap();
            assert!(compiled.find(&key).is_none());
            compiled.keep(&key, &kept());
            assert!(compiled.find(&key).is_some());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(compiled.find(&key).is_none(), "a file that others can open is not trusted");
    }

    #[test]
    fn a_folder_that_others_can_open_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compiled");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let compiled = Compiled::under(folder.path());
        assert!(compiled.folder.is_none());
        compiled.keep(&key("test"), &kept());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert!(compiled.scratch().is_ok());
    }

    #[test]
    fn what_nobody_uses_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        Compiled::under(folder.path());
        let long_ago = SystemTime::now() - 2 * KEEP;
        for (name, modified) in [("old.cwasm", long_ago), ("new.cwasm", SystemTime::now())] {
            let file = File::create(folder.path().join("compiled").join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        Compiled::under(folder.path());
        assert!(only_file(folder.path()).ends_with("new.cwasm"));
    }

    #[test]
    fn too_much_makes_room_for_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let compiled = Compiled::under(folder.path());
        for (name, hours) in [("older.cwasm", 2), ("old.cwasm", 1)] {
            // Files of holes.
            let file = File::create(folder.path().join("compiled").join(name)).unwrap();
            file.set_len(ROOM / 2).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_hours(hours)).unwrap();
        }
        compiled.keep(&key("test"), &kept());
        let left: Vec<_> = fs::read_dir(folder.path().join("compiled")).unwrap().flatten().collect();
        assert_eq!(left.len(), 2);
        assert!(left.iter().all(|entry| entry.file_name() != "older.cwasm"));
    }
}
