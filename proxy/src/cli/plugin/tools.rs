//! The tools that projects are built with: where each is found, and how one that is missing comes here.
//!
//! Installed tools are in a cache of popgate's own, a folder for each tool and version. While one is being installed, a file
//! `NAME-VERSION.installing` stands beside its folder and is locked; what an interrupted installation leaves is removed by the
//! next one. A virtual environment of Python knows its own path, so nothing could be installed aside and renamed.

mod known;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(super) use known::{KNOWN, Source, Tool};

use super::process::{self, ProcessError};

/// Why a tool is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It is not here, and nobody said that it may be installed.
    #[error("the tool `{name}` is missing\nhint: {hint}")]
    Missing { name: &'static str, hint: String },
    /// There is no place for a cache.
    #[error("there is no folder for tools: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// The cache can't be used.
    #[error("can't use `{}`: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },
    /// A step of the installation failed.
    #[error("the tool `{name}` can't be installed: {source}")]
    Install { name: &'static str, source: ProcessError },
    /// The installation went well and has not brought what it should.
    #[error("the installation of `{name}` has not brought `{program}`")]
    Incomplete { name: &'static str, program: &'static str },
    /// The links to the tools can't be made.
    #[error("can't make the folder of programs for the build: {0}")]
    Links(io::Error),
}

/// The folder of all installed tools.
///
/// # Errors
/// Neither XDG_CACHE_HOME nor HOME says where.
pub(super) fn cache() -> Result<PathBuf, ToolError> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("popgate/tools")).ok_or(ToolError::NoCache)
}

impl Tool {
    /// Where its program is; none if it is where the system finds it anyway.
    ///
    /// # Errors
    /// It is missing, and can't be or may not be installed.
    pub(super) fn ready(&self, install: bool, project: &Path) -> Result<Option<PathBuf>, ToolError> {
        if let Source::Target(target) = self.source {
            return self.target_ready(target, install, project).map(|()| None);
        }
        let folder = cache().map(|cache| cache.join(format!("{}-{}", self.name, self.version)));
        if let Ok(folder) = &folder
            && !mark(folder).exists()
            && let Some(program) = self.program_in(folder)
        {
            return Ok(Some(program));
        }
        if process::on_path(self.program).is_some() {
            return Ok(None);
        }
        if !install || matches!(self.source, Source::System(_)) {
            return Err(self.missing(project));
        }
        self.install(&folder?).map(Some)
    }

    fn missing(&self, project: &Path) -> ToolError {
        let by_hand = self.source.by_hand(self.version);
        let hint = match self.source {
            Source::System(_) => by_hand,
            _ => format!(
                "{by_hand}\nhint: or let popgate do it: popgate plugin test --install-tools {}",
                project.display()
            ),
        };
        ToolError::Missing { name: self.name, hint }
    }

    /// Its program below the folder that it was installed in.
    fn program_in(&self, folder: &Path) -> Option<PathBuf> {
        let mut found = vec![folder.to_owned()];
        for part in self.source.inside(self.name).split('/') {
            let next = |folder: PathBuf| -> Vec<PathBuf> {
                match part.strip_suffix('*') {
                    None => vec![folder.join(part)],
                    Some(start) => fs::read_dir(folder)
                        .into_iter()
                        .flatten()
                        .flatten()
                        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
                        .map(|entry| entry.path())
                        .collect(),
                }
            };
            found = found.into_iter().flat_map(next).collect();
        }
        found.into_iter().map(|folder| folder.join(self.program)).find(|file| file.is_file())
    }

    fn install(&self, folder: &Path) -> Result<PathBuf, ToolError> {
        let unusable = |source| ToolError::Cache { path: folder.to_owned(), source };
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(unusable)?;
        let mark = mark(folder);
        let lock = File::create(&mark).map_err(unusable)?;
        lock.lock().map_err(unusable)?;
        // Another popgate has been faster, and has removed its mark; this one's lock was on the same file.
        if let Some(program) = self.program_in(folder).filter(|_| folder.join(DONE).exists()) {
            return Ok(program);
        }
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => fs::create_dir_all(folder).map_err(unusable)?,
        }
        eprintln!("installing {} {} into {}", self.name, self.version, folder.display());
        for command in self.source.commands(self.version, folder) {
            process::run(&command, parent, &[]).map_err(|source| ToolError::Install { name: self.name, source })?;
        }
        let Some(program) = self.program_in(folder) else {
            return Err(ToolError::Incomplete { name: self.name, program: self.program });
        };
        File::create(folder.join(DONE)).and_then(|_| fs::remove_file(&mark)).map_err(unusable)?;
        Ok(program)
    }

    /// A target of Rust is a part of the toolchain, so it is not in the cache.
    fn target_ready(&self, target: &str, install: bool, project: &Path) -> Result<(), ToolError> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let there = || {
            let folder = process::output(&words(&["rustc", "--print", "target-libdir", "--target", target]), project);
            folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
        };
        if there() {
            return Ok(());
        }
        if !install {
            return Err(self.missing(project));
        }
        let added = process::run(&words(&["rustup", "target", "add", target]), project, &[]);
        added.map_err(|source| ToolError::Install { name: self.name, source })?;
        match there() {
            true => Ok(()),
            false => Err(ToolError::Incomplete { name: self.name, program: self.program }),
        }
    }
}

/// The file in a tool's folder that says that all of it is there.
const DONE: &str = ".installed";

/// What stands beside a tool's folder while it is being installed.
fn mark(folder: &Path) -> PathBuf {
    folder.with_file_name(format!("{}.installing", folder.file_name().unwrap_or_default().to_string_lossy()))
}

/// A folder with a link to each program, to stand first in `PATH`. It goes when it is dropped.
///
/// # Errors
/// It can't be made.
pub(super) fn linked(programs: &[PathBuf]) -> Result<tempfile::TempDir, ToolError> {
    let folder = tempfile::Builder::new().prefix("popgate-tools-").tempdir().map_err(ToolError::Links)?;
    for program in programs {
        let name = program.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(program, folder.path().join(name)).map_err(ToolError::Links)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tool whose installation is the making of a file.
    fn tool(source: Source) -> Tool {
        Tool { name: "sample", version: "1.0", program: "popgate-sample-tool", source }
    }

    #[test]
    fn an_interrupted_installation_is_done_again() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("sample-1.0");
        let tool = tool(Source::Sample);
        fs::create_dir_all(folder.join("half")).unwrap();
        fs::write(mark(&folder), "").unwrap();
        let program = tool.install(&folder).unwrap();
        assert!(program.is_file() && !mark(&folder).exists() && !folder.join("half").exists());
        assert_eq!(tool.program_in(&folder), Some(program));
    }

    #[test]
    fn what_is_missing_is_named_with_its_command() {
        let error = tool(Source::PyPi("sample-package")).missing(Path::new("my-filter")).to_string();
        assert!(error.contains("`sample`") && error.contains("pip install sample-package==1.0"), "{error}");
        assert!(error.contains("popgate plugin test --install-tools my-filter"), "{error}");
    }
}
