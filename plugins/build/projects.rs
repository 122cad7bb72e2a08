//! Embeds what `popgate plugin new` writes: the examples as templates, the interface, and the SDK as a package of its own.
//!
//! The SDK's manifest takes versions and lints from the workspace; outside of it they have to stand in the manifest itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The languages, each with the folder below `plugins/examples`.
const LANGUAGES: [&str; 6] = ["c", "go", "javascript", "python", "rust", "zig"];

/// Folders and files that builds make, in whatever language.
const MADE: [&str; 7] = ["__pycache__", "build", "node_modules", "target", "wit", "zig-out", ".zig-cache"];

/// Octets of one file, at most: what is larger was not written by hand.
const SIZE_MAX: u64 = 256 * 1024;

/// Writes `projects.rs` and what it includes into the folder for generated files.
pub(crate) fn embed(workspace: &Path, out: &Path) -> Result<(), String> {
    let (examples, sdk) = (workspace.join("plugins/examples"), workspace.join("plugin-api"));
    let manifest = out.join("sdk-Cargo.toml");
    write(&manifest, &standalone(workspace, &sdk)?)?;
    let mut text = String::new();
    let mut constant = |doc: &str, name: &str, files: &str| {
        let _ = writeln!(text, "/// {doc}\npub const {name}: &[(&str, &[u8])] = &[\n{files}];\n");
    };
    constant("The interface: the files of its folder.", "WIT", &entries(&sdk.join("wit"))?);
    // The guide is part of the SDK's documentation.
    let mut files = included("Cargo.toml", &manifest) + &entry("README.md", &sdk.join("README.md"));
    for folder in ["src", "wit"] {
        for file in below(&sdk.join(folder))? {
            files.push_str(&entry(&relative(&sdk, &file)?, &file));
        }
    }
    constant("The SDK for Rust: the files of its package.", "SDK", &files);
    text.push_str("/// The examples, by language.\npub const TEMPLATES: &[Template] = &[\n");
    for language in LANGUAGES {
        let folder = examples.join(language);
        println!("cargo::rerun-if-changed={}", folder.join("popgate-plugin.toml").display());
        if folder.is_dir() {
            let _ = writeln!(text, "Template {{ language: {language:?}, files: &[\n{}] }},", entries(&folder)?);
        }
    }
    text.push_str("];\n");
    write(&out.join("projects.rs"), &text)
}

/// Writes a file unless it is the same already, so that what embeds it is not compiled again for nothing.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    fs::write(path, text).map_err(|fault| format!("can't write `{}`: {fault}", path.display()))
}

/// The files in a folder and below it, as elements of a table.
fn entries(folder: &Path) -> Result<String, String> {
    below(folder)?.iter().map(|file| Ok(entry(&relative(folder, file)?, file))).collect()
}

fn entry(name: &str, file: &Path) -> String {
    println!("cargo::rerun-if-changed={}", file.display());
    included(name, file)
}

fn included(name: &str, file: &Path) -> String {
    format!("    ({name:?}, include_bytes!({:?})),\n", file.display().to_string())
}

fn relative(folder: &Path, file: &Path) -> Result<String, String> {
    let inside = file.strip_prefix(folder).ok().and_then(Path::to_str);
    inside.map(str::to_owned).ok_or_else(|| format!("`{}` has a strange name", file.display()))
}

/// The files in a folder and below it that somebody wrote, in order.
fn below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |fault: std::io::Error| format!("can't read `{}`: {fault}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let metadata = path.metadata().map_err(unreadable)?;
        if MADE.contains(&name.as_str()) {
            continue;
        }
        if metadata.is_dir() {
            files.extend(below(&path)?);
        } else if metadata.len() <= SIZE_MAX && !name.ends_with(".wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The SDK's manifest with everything in it that the workspace gives.
fn standalone(workspace: &Path, sdk: &Path) -> Result<String, String> {
    let root = table(&workspace.join("Cargo.toml"))?;
    let mut manifest = table(&sdk.join("Cargo.toml"))?;
    let given = |path: &[&str]| {
        let inside = |value: Option<&Value>, key: &&str| value.and_then(|value| value.get(*key)).cloned();
        let first = root.get(path[0]).cloned();
        path[1..].iter().fold(first, |value, key| inside(value.as_ref(), key))
    };
    manifest.remove("lints");
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        inherit(package, &|key| given(&["workspace", "package", key]));
    }
    let dependency = |key: &str| given(&["workspace", "dependencies", key]);
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        inherit(dependencies, &dependency);
    }
    if let Some(Value::Table(targets)) = manifest.get_mut("target") {
        for (_, target) in targets.iter_mut() {
            if let Some(Value::Table(dependencies)) = target.get_mut("dependencies") {
                inherit(dependencies, &dependency);
            }
        }
    }
    toml::to_string(&manifest).map_err(|fault| fault.to_string())
}

/// Puts what the workspace has in the place of `KEY.workspace = true`.
fn inherit(table: &mut Table, given: &dyn Fn(&str) -> Option<Value>) {
    for (key, value) in table.iter_mut() {
        if value.get("workspace").is_some()
            && let Some(given) = given(key)
        {
            *value = given;
        }
    }
}

fn table(path: &Path) -> Result<Table, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).map_err(|fault| format!("can't read `{}`: {fault}", path.display()))?;
    text.parse().map_err(|fault| format!("`{}`: {fault}", path.display()))
}
