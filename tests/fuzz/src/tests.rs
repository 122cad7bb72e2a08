//! The kept inputs, through the same code as the fuzzer's.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// All inputs of a target may have this many octets together.
const ROOM: u64 = 25 * 1024;

#[test]
fn every_kept_input_holds() {
    let mut faults = Vec::new();
    for (name, target) in TARGETS {
        let mut files: Vec<_> = fs::read_dir(seeds(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "nothing is kept for `{name}`");
        for file in &files {
            let input = fs::read(file).unwrap();
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                faults.push(file.display().to_string());
            }
        }
        let octets: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(octets <= ROOM, "{octets} octets are kept for `{name}`: cargo fuzz cmin");
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_program_and_every_folder_belongs_to_a_target() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["targets", "seeds"] {
        let entries = fs::read_dir(here.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, TARGETS.map(|(name, _)| name), "{folder}");
    }
}
