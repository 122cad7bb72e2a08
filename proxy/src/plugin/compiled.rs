//! Machine code on disk, so that a plugin is compiled once and not at each start.
//!
//! Files are under `state_dir/compiled/`, one for each plugin and configuration of the engine. wasmtime trusts machine code
//! blindly. So a file is used only if it lies in a folder that nobody else can write to, belongs to us, and
//! bears the digest of its content and purpose; whatever else is there is compiled again and replaced. What a plugin's author
//! has compiled is never loaded, and a folder that can't be trusted costs time, nothing else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use wasmtime::Module;
use wasmtime::component::Component;

use super::source::{Form, Source};
use super::text;

/// What a file begins with: the name and version of its form.
const FORM: &[u8; 16] = b"popgate cwasm 2\n";

/// Octets of the digest behind it.
const DIGEST: usize = 32;

/// Files that nobody has used for so long are removed: their plugin or their engine is no more.
const KEEP: Duration = Duration::from_secs(60 * 24 * 60 * 60);

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

    /// The code of a plugin, from the folder or compiled.
    ///
    /// May take seconds of all processors.
    ///
    /// # Errors
    /// The plugin can't be compiled.
    pub(super) fn code(&self, engine: &wasmtime::Engine, source: &Source) -> wasmtime::Result<Code> {
        match source.form {
            Form::Component => self.machine_code(engine, source).map(Code::Component),
            Form::Program => self.machine_code(engine, source).map(Code::Program),
        }
    }

    fn machine_code<C: MachineCode>(&self, engine: &wasmtime::Engine, source: &Source) -> wasmtime::Result<C> {
        let key = key(engine, source);
        let Some(folder) = &self.folder else { return C::compile(engine, &source.wasm) };
        let path = folder.join(format!("{}.cwasm", text::hex(&key)));
        if let Some(code) = load(engine, &path, &key) {
            return Ok(code);
        }
        let code = C::compile(engine, &source.wasm)?;
        if let Err(error) = store(folder, &path, &key, &code) {
            tracing::warn!(folder = %folder.display(), error = format!("{error:#}"), "a compiled filter can't be kept");
        }
        Ok(code)
    }
}

/// Machine code, ready to be linked.
pub(super) enum Code {
    Component(Component),
    Program(Module),
}

/// What wasmtime makes of WebAssembly.
trait MachineCode: Sized {
    fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Self>;

    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;

    /// # Safety
    /// The octets are those of [`Self::serialize`], unchanged.
    #[allow(unsafe_code, reason = "wasmtime can't check machine code; the argument stands at the call")]
    unsafe fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Self>;
}

macro_rules! machine_code {
    ($($kind:ty),*) => {$(
        impl MachineCode for $kind {
            fn compile(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
                Self::from_binary(engine, wasm)
            }

            fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
                self.serialize()
            }

            #[allow(unsafe_code, reason = "wasmtime can't check machine code; the argument stands at the call")]
            unsafe fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Self> {
                // SAFETY: as the caller promises.
                unsafe { Self::deserialize(engine, code) }
            }
        }
    )*};
}

machine_code!(Component, Module);

/// Which machine code is meant: of what, and for which engine (version, processor, settings).
fn key(engine: &wasmtime::Engine, source: &Source) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new_with_prefix(source.sha256));
    (source.form == Form::Program).hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
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

/// The component in a file; none if there is no file, or none that can be trusted.
#[allow(unsafe_code, reason = "wasmtime can't check machine code; the argument stands at the call")]
fn load<C: MachineCode>(engine: &wasmtime::Engine, path: &Path, key: &[u8; 32]) -> Option<C> {
    let code = match read(path, key) {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "a compiled filter is not as it was written; it is compiled again");
            return None;
        }
    };
    // SAFETY: these octets are what `serialize` of the same kind gave to `store`, of this or an earlier process of ours. The
    // folder was made for, belongs to and is open to our user alone, and so is the file (`prepare`, `read`), so nobody
    // else has written it. They were checked after they had been read into memory of our own, so they do not
    // change any more. The digest covers them whole, together with the key, so they are neither damaged nor meant for
    // another plugin, another version or configuration of wasmtime (which checks the latter again), or another processor.
    let code = unsafe { C::deserialize(engine, &code) };
    code.inspect_err(|error| tracing::warn!(file = %path.display(), %error, "a compiled filter can't be used")).ok()
}

/// Reads a file and checks whose it is and that it is whole.
fn read(path: &Path, key: &[u8; 32]) -> io::Result<Vec<u8>> {
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
    Ok(code)
}

/// Lets a file live on. Where that is not possible it is compiled again some day.
fn mark_used(file: &File, used: SystemTime) {
    let now = SystemTime::now();
    if now.duration_since(used).is_ok_and(|age| age > MARK) {
        let _ = file.set_modified(now);
    }
}

fn digest(key: &[u8; 32], code: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(key);
    digest.update(code);
    digest.finalize().into()
}

/// Writes a file under a temporary name, mode 0600, and gives it its own when it is on disk.
fn store(folder: &Path, path: &Path, key: &[u8; 32], code: &impl MachineCode) -> wasmtime::Result<()> {
    let code = code.serialize()?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(FORM)?;
    file.write_all(&digest(key, &code))?;
    file.write_all(&code)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::plugin::engine::Engine;

    fn source() -> Source {
        // The smallest component: magic, version, layer.
        let wasm = b"\0asm\x0d\0\x01\0".to_vec();
        let sha256 = Sha256::digest(&wasm).into();
        Source { plugin: "empty".into(), form: Form::Component, wasm, sha256 }
    }

    fn only_file(state_dir: &Path) -> PathBuf {
        let mut files: Vec<_> = fs::read_dir(state_dir.join("compiled")).unwrap().collect();
        assert_eq!(files.len(), 1);
        files.remove(0).unwrap().path()
    }

    #[test]
    fn code_is_kept_for_ourselves_alone_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start().unwrap();
        let (engine, source) = (engine.wasmtime(), source());
        let compiled = Compiled::under(folder.path());
        compiled.code(engine, &source).unwrap();
        let path = only_file(folder.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(load::<Component>(engine, &path, &key(engine, &source)).is_some());
        assert!(load::<Component>(engine, &path, &[0; 32]).is_none(), "a file is for one purpose only");
    }

    #[test]
    fn whatever_was_touched_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start().unwrap();
        let (engine, source) = (engine.wasmtime(), source());
        let compiled = Compiled::under(folder.path());
        compiled.code(engine, &source).unwrap();
        let path = only_file(folder.path());
        let whole = fs::read(&path).unwrap();
        let key = key(engine, &source);
        for touched in [Vec::new(), whole[..47].to_vec(), whole[..whole.len() - 1].to_vec(), {
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            flipped
        }] {
            fs::write(&path, touched).unwrap();
            assert!(load::<Component>(engine, &path, &key).is_none());
            compiled.code(engine, &source).unwrap();
            assert!(load::<Component>(engine, &path, &key).is_some());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load::<Component>(engine, &path, &key).is_none(), "a file that others can open is not trusted");
    }

    #[test]
    fn a_folder_that_others_can_open_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compiled");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let compiled = Compiled::under(folder.path());
        assert!(compiled.folder.is_none());
        compiled.code(Engine::start().unwrap().wasmtime(), &source()).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
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
}
