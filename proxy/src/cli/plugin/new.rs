//! `popgate plugin new`: a project that builds and has tests, made of an example.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use popgate_plugins::projects::{SDK, TEMPLATES, Template, WIT};

use super::{DONE, FAILED, Language, NewArguments, USAGE};

/// Where the examples find the interface, and where a project has it.
const WIT_FOLDER: (&str, &str) = ("../../../plugin-api/wit", "wit");

/// The same for the SDK.
const SDK_FOLDER: (&str, &str) = ("../../../plugin-api", "sdk");

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
enum NewError {
    #[error("`{0}` can't be the name of a plugin\nhint: write 1 to 64 small letters, digits and `-`, a letter first")]
    Name(String),
    #[error("the folder `{}` is not empty\nhint: name a folder that does not exist", .0.display())]
    NotEmpty(PathBuf),
    #[error("this popgate was built without a template for `{0}`")]
    NoTemplate(String),
    #[error("can't write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Runs the command.
pub(super) fn main(arguments: &NewArguments) -> u8 {
    match write(arguments) {
        Ok(files) => {
            let folder = arguments.folder.display();
            println!("{files} files in {folder}; its README.md says more\nnext: popgate plugin test {folder}");
            DONE
        }
        Err(error @ NewError::Write { .. }) => {
            eprintln!("error: {error}");
            FAILED
        }
        Err(error) => {
            eprintln!("error: {error}");
            USAGE
        }
    }
}

/// Writes the project and says how many files it has.
fn write(arguments: &NewArguments) -> Result<usize, NewError> {
    let folder = &arguments.folder;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&name) {
        return Err(NewError::Name(name));
    }
    let language = arguments.lang.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let template = TEMPLATES.iter().find(|template| template.language == language);
    let template = template.ok_or(NewError::NoTemplate(language))?;
    if !is_empty(folder).map_err(|source| NewError::Write { path: folder.clone(), source })? {
        return Err(NewError::NotEmpty(folder.clone()));
    }
    let files = files(template, &name, arguments.lang);
    for (path, content) in &files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .map_err(|source| NewError::Write { path: path.clone(), source })?;
    }
    Ok(files.len())
}

/// A name that packages of every language can have.
fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(plain)
}

/// Whether nothing would be lost or mixed up in there.
fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// The files of a project by their paths.
fn files(template: &Template, name: &str, language: Language) -> Vec<(String, Vec<u8>)> {
    let old = example_name(template);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (path, content) in template.files {
        let content = match std::str::from_utf8(content) {
            // Mail is mail, whatever is written in it.
            Ok(text) if !path.starts_with("cases/") => adapted(text, &old, name).into_bytes(),
            _ => content.to_vec(),
        };
        files.push((renamed(path, &old, name), content));
    }
    let mut embedded = |folder: &str, content: &[(&str, &[u8])]| {
        files.extend(content.iter().map(|(path, octets)| (format!("{folder}/{path}"), octets.to_vec())));
    };
    match language {
        Language::Rust => embedded(SDK_FOLDER.1, SDK),
        Language::C | Language::Javascript | Language::Python => embedded(WIT_FOLDER.1, WIT),
        Language::Go | Language::Zig => {}
    }
    files
}

/// What the example itself is called.
fn example_name(template: &Template) -> String {
    let manifest = template.files.iter().find(|(path, _)| *path == popgate_config::PROJECT_FILE);
    let text = manifest.map(|(_, content)| String::from_utf8_lossy(content)).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    table.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

fn adapted(text: &str, old: &str, new: &str) -> String {
    let text = text.replace(WIT_FOLDER.0, WIT_FOLDER.1).replace(SDK_FOLDER.0, SDK_FOLDER.1);
    renamed(&text, old, new)
}

/// The name in all the ways in which languages write it.
fn renamed(text: &str, old: &str, new: &str) -> String {
    if old.is_empty() {
        return text.to_owned();
    }
    text.replace(old, new).replace(&old.replace('-', "_"), &new.replace('-', "_")).replace(&camel(old), &camel(new))
}

fn camel(name: &str) -> String {
    let capital = |word: &str| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_becomes_a_project_of_its_own() {
        let text = "name = \"subject-tag\"\npath = \"../../../plugin-api\"\nwit ../../../plugin-api/wit subject_tag.wasm SubjectTag";
        assert_eq!(
            adapted(text, "subject-tag", "my-filter2"),
            "name = \"my-filter2\"\npath = \"sdk\"\nwit wit my_filter2.wasm MyFilter2"
        );
    }

    #[test]
    fn names_fit_every_language() {
        for (name, expected) in
            [("a", true), ("my-filter2", true), ("", false), ("2a", false), ("A", false), ("a_b", false), ("a-", false)]
        {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
