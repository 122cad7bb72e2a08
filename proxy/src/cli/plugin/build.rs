//! Builds a project: its tools made ready, its commands run, what they make looked for.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use popgate_config::Project;

use super::process::{self, ProcessError};
use super::tools::{self, KNOWN, ToolError};

/// Why there is no plugin to test.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// The text of a fault in the project's file, as it is shown.
    #[error("{0}")]
    Project(String),
    /// A tool is missing.
    #[error("error: {0}")]
    Tool(#[from] ToolError),
    /// A command failed.
    #[error("error: {0}")]
    Command(#[from] ProcessError),
    /// The folder for the plugin can't be made.
    #[error("error: can't make `{}`: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Cargo's target folder, in whatever way it is set: the same in the commands as in the project's file.
///
/// A setting in a file of Cargo's is overruled, so that both are sure to be one.
pub(super) fn target(folder: &Path) -> io::Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR").filter(|target| !target.is_empty()) {
        Some(target) => std::path::absolute(target),
        None => std::path::absolute(folder.join("target")),
    }
}

/// Builds a project.
///
/// # Errors
/// See [`BuildError`].
pub(super) fn build(project: &Project, folder: &Path, target: &Path, install: bool) -> Result<(), BuildError> {
    let programs = tools(project, folder, install)?;
    let links = tools::linked(&programs)?;
    if let Some(parent) = project.wasm().parent() {
        fs::create_dir_all(parent).map_err(|source| BuildError::Folder { path: parent.to_owned(), source })?;
    }
    let environment = [("CARGO_TARGET_DIR", target.as_os_str().to_owned()), ("PATH", path(links.path()))];
    for command in &project.build {
        eprintln!("build: {}", command.join(" "));
        process::run(&found(command, links.path()), folder, &environment)?;
    }
    match project.wasm().is_file() {
        true => Ok(()),
        false => {
            let message = format!("`wasm`: the build has not made `{}`", project.wasm().display());
            let hint = "name the file that the commands of `build` write; `{target}` stands for Cargo's target folder";
            Err(BuildError::Project(project.fault_at(&project.wasm_place, &message, hint).to_string()))
        }
    }
}

/// The programs of the tools, as far as they are not in `PATH` already.
fn tools(project: &Project, folder: &Path, install: bool) -> Result<Vec<PathBuf>, BuildError> {
    let mut programs = Vec::new();
    for (name, place) in &project.tools {
        let Some(tool) = KNOWN.iter().find(|tool| tool.name == name) else {
            let known: Vec<String> = KNOWN.iter().map(|tool| format!("`{}`", tool.name)).collect();
            let message = format!("`tools`: popgate does not know the tool `{name}`");
            let hint = format!("the tools are {}; others are found in PATH without being named", known.join(", "));
            return Err(BuildError::Project(project.fault_at(place, &message, &hint).to_string()));
        };
        programs.extend(tool.ready(install, folder)?);
    }
    Ok(programs)
}

/// `PATH` with this folder in front.
fn path(first: &Path) -> OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(env::split_paths(&old));
    env::join_paths(folders).unwrap_or(old)
}

/// The command with the path of its program: a program is looked for in the `PATH` of whoever starts it, not its own.
fn found(command: &[String], links: &Path) -> Vec<String> {
    let mut command = command.to_vec();
    if let Some(program) = command.first_mut().filter(|program| !program.contains('/')) {
        let link = links.join(&*program);
        if let (true, Some(link)) = (link.exists(), link.to_str()) {
            *program = link.to_owned();
        }
    }
    command
}
