//! Builds the bundled filters for WebAssembly and puts them where `src/lib.rs` embeds them.
//!
//! The filters are members of the workspace. They are built by a Cargo of their own with a target folder of its own, since
//! the outer one holds the lock of its folder and builds for another target. What projects of plugins are made of is embedded, too.

#[path = "build/projects.rs"]
mod projects;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The folders of the filters; each has a package `popgate-filter-NAME`.
const FILTERS: [&str; 10] =
    ["attachments", "clamav", "defang", "rewrite", "rspamd", "rules", "spam", "spamassassin", "verdict", "virus"];

/// The folders of what filters have in common.
const LIBRARIES: [&str; 1] = ["archive"];

const TARGET: &str = "wasm32-wasip2";

/// What of WebAssembly the filters use: sixteen octets at a time, for searching.
const FEATURES: &str = "-C target-feature=+simd128";

/// The profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "guest";

/// What the outer Cargo, clippy or a coverage tool sets for native code and for its own children.
const NOT_INHERITED: [&str; 12] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "TARGET",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            for line in fault.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let plugins = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = plugins.parent().ok_or("the package has no workspace around it")?;
    let out = PathBuf::from(variable("OUT_DIR")?);

    watch(workspace, &plugins);
    projects::embed(workspace, &out)?;
    ensure_target()?;
    let built = build_filters(workspace, &out.join("guests"))?;
    for filter in FILTERS {
        let from = built.join(format!("popgate_filter_{filter}.wasm"));
        let to = out.join(format!("{filter}.wasm"));
        copy_if_changed(&from, &to).map_err(|fault| format!("can't copy `{}`: {fault}", from.display()))?;
    }
    Ok(())
}

/// Names everything that the filters are made of; nothing else starts this again.
fn watch(workspace: &Path, plugins: &Path) {
    let sdk = workspace.join("plugin-api");
    let mut files =
        vec![plugins.join("build.rs"), plugins.join("build"), sdk.join("Cargo.toml"), sdk.join("src"), sdk.join("wit")];
    files.extend(["Cargo.toml", "Cargo.lock"].map(|file| workspace.join(file)));
    for filter in FILTERS.iter().chain(&LIBRARIES) {
        files.extend(["Cargo.toml", "src"].map(|file| plugins.join(filter).join(file)));
    }
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

/// Makes sure that the toolchain has the standard library for the target, by rustup if need be.
fn ensure_target() -> Result<(), String> {
    if has_target()? {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if added.is_ok_and(|output| output.status.success()) && has_target()? {
        return Ok(());
    }
    Err(format!("the filters are compiled for {TARGET}, which this toolchain lacks\nhint: rustup target add {TARGET}"))
}

fn has_target() -> Result<bool, String> {
    let output = Command::new(variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|fault| format!("can't run rustc: {fault}"))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// Builds all filters and returns the folder with the components.
fn build_filters(workspace: &Path, target_folder: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--profile", PROFILE, "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_folder);
    for filter in FILTERS {
        cargo.args(["-p", &format!("popgate-filter-{filter}")]);
    }
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", FEATURES);
    let output = cargo.output().map_err(|fault| format!("can't run cargo: {fault}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the filters do not build:\n{log}"));
    }
    Ok(target_folder.join(TARGET).join(PROFILE))
}

/// Copies a file unless it is the same already, so that what embeds it is not compiled again for nothing.
fn copy_if_changed(from: &Path, to: &Path) -> io::Result<()> {
    let new = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == new) { Ok(()) } else { fs::write(to, new) }
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo sets no {name}"))
}
