//! What the documents say is what the code does: the examples, and the reference in the README.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen to be tests")]

use std::path::Path;

use popgate_config::{Config, Error, parse};

const README: &str = include_str!("../README.md");

/// Every section of the file.
const SECTIONS: [&str; 10] = [
    "",
    "[[listener]]",
    "[[upstream]]",
    "[[route]]",
    "[tls]",
    "[[filter]]",
    "[[filter]]\n[filter.only]",
    "[store]",
    "[quarantine]",
    "[limits]",
];

fn read(text: &str) -> Result<Config, Error> {
    parse(text, Path::new("/etc/popgate/popgate.toml")).map(|mut config| {
        config.warnings.clear(); // they have line numbers
        config
    })
}

/// The TOML blocks of the README.
fn blocks() -> Vec<&'static str> {
    README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn reference() -> Vec<&'static str> {
    blocks().into_iter().find(|block| block.contains("[limits]")).unwrap().lines().collect()
}

/// The key of a line, and its comment.
fn key(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(" = ").filter(|_| !line.starts_with(['[', '#']))?;
    Some((key, rest.split_once(" # ").map_or("", |(_, comment)| comment.trim())))
}

fn without(lines: &[&str], index: usize) -> String {
    let (before, after) = lines.split_at(index);
    [before, &after[1..]].concat().join("\n")
}

#[test]
fn every_example_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = popgate_config::load(&path) {
            panic!("{error}");
        }
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["any-server.toml", "gateway.toml", "legacy-tls.toml", "personal.toml", "transparent.toml"]);
}

#[test]
fn every_block_of_the_readme_is_accepted() {
    for block in blocks() {
        if let Err(error) = read(block) {
            panic!("{error}");
        }
    }
}

#[test]
fn the_readme_gives_the_defaults() {
    let given = |line: &&str| key(line).is_none_or(|(_, comment)| !comment.starts_with("example"));
    let lines: Vec<&str> = reference().into_iter().filter(given).collect();
    let config = read(&lines.join("\n")).unwrap();
    for (index, line) in lines.iter().enumerate() {
        let Some((key, comment)) = key(line).filter(|(_, comment)| !comment.starts_with("chooses")) else { continue };
        let result = read(&without(&lines, index));
        if comment.starts_with("required") {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("has no `{key}`")), "{line}\n{error}");
        } else {
            assert_eq!(result.unwrap(), config, "{line}");
        }
    }
}

#[test]
fn the_readme_has_every_key() {
    let reference = reference().join("\n");
    for section in SECTIONS {
        let error = read(&format!("{section}\nzzzzzzzz = 1\n")).unwrap_err().to_string();
        // An unknown key has the known ones listed, after the name of the section.
        let hint = error.lines().find_map(|line| line.split_once("hint: the keys")).unwrap().1;
        let (_, keys) = hint.split_once(" are ").unwrap();
        let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
        assert!(keys.len() > 1, "{section} {keys:?}");
        for key in keys {
            let spellings = [format!("\n{key} = "), format!("or {key} = "), format!("[{key}]"), format!(".{key}]")];
            let start = format!("{key} = ");
            let there = spellings.iter().any(|spelling| reference.contains(spelling)) || reference.starts_with(&start);
            assert!(there, "{section} {key}");
        }
    }
}
