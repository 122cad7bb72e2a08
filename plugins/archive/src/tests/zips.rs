//! Zip archives that readers see differently.

use super::lines;
use super::made::{Zip, zip};

const HELLO: &[u8] = b"hello inside";

fn problems(file: &[u8]) -> Vec<String> {
    lines("a.zip", file).into_iter().filter(|line| line.starts_with('!')).collect()
}

/// The archive with octets changed behind the last occurrence of a mark.
fn with(mut file: Vec<u8>, mark: &[u8], at: usize, octets: &[u8]) -> Vec<u8> {
    let start = file.windows(mark.len()).rposition(|window| window == mark).expect("the mark is there") + at;
    file[start..start + octets.len()].copy_from_slice(octets);
    file
}

#[test]
fn encrypted_files_are_named_and_the_others_read() {
    let file = Zip { flags: 1, ..Zip::default() }.file("secret.doc", b"ciphertext");
    let file = Zip { flags: 0, ..file }.file("a.txt", HELLO).end();
    let lines = lines("a.zip", &file);
    assert_eq!(
        lines,
        [
            "a.zip zip archive",
            "a.zip/secret.doc unknown encrypted",
            "! a.zip/secret.doc encrypted",
            "a.zip/a.txt text",
            "a.zip/a.txt: hello inside",
        ]
    );
}

#[test]
fn a_file_that_the_directory_does_not_list_is_found() {
    let hidden = Zip { directory: Vec::new(), count: 0, ..Zip::default().file("hidden.txt", HELLO) };
    let file = hidden.file("a.txt", b"other").end();
    assert!(lines("a.zip", &file).contains(&"a.zip/hidden.txt: hello inside".to_owned()));
}

#[test]
fn a_directory_that_says_something_else_is_ambiguous() {
    let honest = zip(&[("a.txt", HELLO)]);
    assert!(problems(&honest).is_empty());
    let renamed = Zip::default().file_listed_as("a.txt", "a.exe", HELLO).end();
    for (file, what) in [
        (renamed, "another name"),
        (with(honest.clone(), b"PK\x01\x02", 10, &[0]), "another compression"),
        (with(honest.clone(), b"PK\x01\x02", 8, &[1]), "encrypted here only"),
        (with(honest.clone(), b"PK\x01\x02", 24, &[1]), "another size"),
        (with(honest.clone(), b"PK\x01\x02", 42, &[1]), "another place"),
        (with(honest.clone(), b"PK\x05\x06", 10, &[2]), "another number of files"),
    ] {
        assert_eq!(problems(&file), ["! a.zip ambiguous"], "{what}");
    }
}

#[test]
fn damage_is_told() {
    let honest = zip(&[("a.txt", HELLO)]);
    assert_eq!(problems(&honest[..honest.len() - 22]), ["! a.zip damaged"]);
    // Octets between a file and its end.
    let stuffed = with(honest.clone(), b"PK\x03\x04", 18, &[30]);
    assert_eq!(problems(&stuffed).first().map(String::as_str), Some("! a.zip/a.txt ambiguous"));
    let method = with(with(honest.clone(), b"PK\x03\x04", 8, &[1]), b"PK\x01\x02", 10, &[1]);
    assert_eq!(problems(&method), ["! a.zip/a.txt the compression can't be opened"]);
    let split = with(honest, b"PK\x05\x06", 4, &[1]);
    assert_eq!(problems(&split), ["! a.zip a split zip archive can't be opened"]);
}

#[test]
fn something_in_front_moves_an_archive_and_nothing_else() {
    let honest = zip(&[("a.txt", HELLO), ("b.txt", HELLO)]);
    let moved = [b"front".repeat(9).as_slice(), &honest].concat();
    let lines = lines("a.bin", &moved);
    assert!(lines.contains(&"a.bin/b.txt: hello inside".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with('!')), "{lines:?}");
    // What only looks like the beginning of a file is none of an archive's business.
    let picture = [b"\x89PNG\r\n\x1a\nPK\x03\x04".as_slice(), &[0x14, 0, 0, 0, 6, 0], &[1; 200]].concat();
    assert!(problems(&picture).is_empty());
}

#[test]
fn two_archives_in_a_row_are_both_read() {
    let both = [zip(&[("a.txt", HELLO)]), zip(&[("b.txt", HELLO)])].concat();
    let lines = lines("a.zip", &both);
    assert!(lines.contains(&"a.zip/a.txt: hello inside".to_owned()), "{lines:?}");
    assert!(lines.contains(&"a.zip/b.txt: hello inside".to_owned()), "{lines:?}");
}
