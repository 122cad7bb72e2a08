//! The walk on files that are made here.

mod made;
mod mutations;
mod old;
mod zips;

use std::io::BufReader;

use memchr::memmem;

use crate::{HEAD, Kind, Limits, Object, Unscannable, Visitor, plain, walk};

/// What a walk tells, as lines: `PATH KIND`, `PATH: CONTENT` for what is deepest, `! PATH REASON`.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    /// Path and content of what is open.
    open: Vec<(String, Vec<u8>)>,
    /// Octets of everything in sum.
    octets: usize,
}

impl Visitor for Log {
    fn begin(&mut self, object: &Object<'_>) {
        assert_eq!(object.depth, self.open.len());
        let encrypted = if object.encrypted { " encrypted" } else { "" };
        self.lines.push(format!("{} {}{encrypted}", object.path, object.kind.name()));
        self.open.push((object.path.to_owned(), Vec::new()));
    }

    fn octets(&mut self, depth: usize, octets: &[u8]) {
        self.octets += octets.len();
        self.open[depth].1.extend_from_slice(octets);
    }

    fn end(&mut self) {
        let (path, content) = self.open.pop().expect("what ends has begun");
        if content.starts_with(b"hello") {
            self.lines.push(format!("{path}: {}", String::from_utf8_lossy(&content)));
        }
    }

    fn unscannable(&mut self, path: &str, reason: Unscannable) {
        self.lines.push(format!("! {path} {reason}"));
    }
}

fn log_within(limits: &Limits, name: &str, file: &[u8]) -> Log {
    let mut log = Log::default();
    walk(&mut &*file, name, limits, &mut log);
    assert!(log.open.is_empty());
    if let Some(kind) = plain_kind(file) {
        let (first, others) = log.lines.split_first().expect("the file itself is told");
        assert_eq!(*first, format!("{name} {}", kind.name()));
        assert!(
            others.iter().all(|line| line.starts_with(&format!("{name}: "))),
            "nothing but its content: {others:?}"
        );
    }
    log
}

/// What is known of a file without walking through it.
fn plain_kind(file: &[u8]) -> Option<Kind> {
    let find = |octets: &[u8], start| {
        let start = usize::try_from(start).ok()?;
        memmem::find(file.get(start..)?, octets).map(|at| (start + at) as u64)
    };
    plain(&file[..file.len().min(HEAD)], find)
}

fn lines(name: &str, file: &[u8]) -> Vec<String> {
    log_within(&Limits::default(), name, file).lines
}

/// Reads one octet at a time, so that everything is cut everywhere.
struct Slow<'a>(&'a [u8]);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        (&mut self.0).take(length as u64).read(buffer)
    }
}

#[test]
fn a_file_is_plain_if_nothing_can_be_inside_of_it() {
    let picture = [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 500]].concat();
    assert_eq!(plain_kind(&picture), Some(Kind::Png));
    assert_eq!(plain_kind(&[&picture[..], b"PK and PK\x03\x02"].concat()), Some(Kind::Png));
    for mark in crate::zip::MARKS {
        assert_eq!(plain_kind(&[&picture[..], b"PK", mark].concat()), None);
    }
    assert_eq!(plain_kind(&[0; 2_000]), Some(Kind::Unknown));
    assert_eq!(plain_kind(b""), Some(Kind::Unknown));
    assert_eq!(plain_kind(b"a text, in which something may be encoded"), None);
}

#[test]
fn every_kind_is_opened_however_it_comes() {
    for (name, file) in made::all() {
        assert_eq!(plain_kind(&file), None, "{name}");
        let lines = lines(name, &file);
        assert!(lines.iter().any(|line| line.ends_with(": hello inside")), "{name}: {lines:#?}");
        assert!(!lines.iter().any(|line| line.starts_with('!')), "{name}: {lines:#?}");
        let mut log = Log::default();
        walk(&mut BufReader::with_capacity(1, Slow(&file)), name, &Limits::default(), &mut log);
        assert_eq!(log.lines, lines, "{name}, octet by octet");
    }
}

#[test]
fn the_visitor_gets_each_octet_once() {
    struct Outermost(Vec<u8>);
    impl Visitor for Outermost {
        fn begin(&mut self, _: &Object<'_>) {}
        fn octets(&mut self, depth: usize, octets: &[u8]) {
            if depth == 0 {
                self.0.extend_from_slice(octets);
            }
        }
        fn end(&mut self) {}
        fn unscannable(&mut self, _: &str, _: Unscannable) {}
    }
    for (name, file) in made::all() {
        let mut outermost = Outermost(Vec::new());
        walk(&mut &*file, name, &Limits::default(), &mut outermost);
        assert!(outermost.0 == file, "{name}");
    }
}

#[test]
fn what_is_inside_of_what_is_inside_has_the_whole_path() {
    let inner = made::zip(&[("b.txt", b"hello inside")]);
    let gzip = made::gzip("", &made::tar("folder/a.zip", &inner));
    assert_eq!(
        lines("x.tgz", &gzip),
        [
            "x.tgz gzip file",
            "x.tgz/x.tar tar archive",
            "x.tgz/x.tar/folder/a.zip zip archive",
            "x.tgz/x.tar/folder/a.zip/b.txt text",
            "x.tgz/x.tar/folder/a.zip/b.txt: hello inside",
        ]
    );
}

#[test]
fn limits_end_the_walk_and_are_told_once() {
    let bomb = made::gzip("zeros", &vec![0; 40 << 20]);
    let reasons = |limits: Limits, file: &[u8]| {
        let log = log_within(&limits, "f", file);
        let reasons: Vec<_> = log.lines.into_iter().filter(|line| line.starts_with('!')).collect();
        (reasons, log.octets)
    };
    let (told, octets) = reasons(Limits::default(), &bomb);
    assert_eq!(told, ["! f/zeros too strongly compressed"]);
    assert!(octets < 16 << 20, "{octets}");
    let limits = Limits { inflated: 1 << 20, ..Limits::default() };
    assert_eq!(reasons(limits, &bomb).0, ["! f/zeros too large"]);

    // What takes long to unpack counts more.
    let text: Vec<u8> = (0..200_000u32).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    let limits = Limits { inflated: 1 << 20, ..Limits::default() };
    assert!(reasons(limits, &made::gzip("a", &text)).0.is_empty());
    assert_eq!(reasons(limits, &made::bzip2(&text)).0, ["! f/unnamed too large"]);

    let many: Vec<_> = (0..200).map(|_| ("a", &b"hello"[..])).collect();
    let limits = Limits { entries: 100, ..Limits::default() };
    assert_eq!(reasons(limits, &made::zip(&many)).0, ["! f too many files"]);

    let deep = (0..5).fold(made::zip(&[("a", b"hello")]), |inner, _| made::zip(&[("a.zip", &inner)]));
    let limits = Limits { depth: 3, ..Limits::default() };
    assert_eq!(reasons(limits, &deep).0, ["! f/a.zip/a.zip/a.zip too deeply nested"]);
    assert!(reasons(Limits::default(), &deep).0.is_empty());

    let limits = Limits { memory: 100, ..Limits::default() };
    assert_eq!(reasons(limits, &made::ole("a", b"hello")).0, ["! f too large"]);
}

#[test]
fn an_archive_of_itself_ends() {
    // A bomb of archives in archives, each of ten.
    let mut bomb = made::zip(&[("zeros", &vec![0; 1 << 20])]);
    for _ in 0..6 {
        let files: Vec<_> = (0..10).map(|_| ("a.zip", &*bomb)).collect();
        bomb = made::zip(&files);
    }
    let log = log_within(&Limits::default(), "bomb.zip", &bomb);
    assert_eq!(log.lines.iter().filter(|line| line.starts_with('!')).count(), 1);
    assert!(log.octets < 40 << 20, "{}", log.octets);
}

#[test]
fn what_is_not_opened_is_named() {
    let upx = [b"MZ\x90\0".as_slice(), &[0; 300], b"UPX0", &[0; 800]].concat();
    let nsis = [b"MZ\x90\0".as_slice(), &[0; 90_000], b"\xef\xbe\xad\xdeNullsoftInst"].concat();
    for (file, reason) in [
        (&b"Rar!\x1a\x07\x01\0"[..], "RAR can't be opened"),
        (b"ITSF\x03\0\0\0", "CHM can't be opened"),
        (&upx, "a packed program can't be opened"),
        (&nsis, "an NSIS installer can't be opened"),
    ] {
        assert_eq!(lines("f", file)[1], format!("! f {reason}"));
    }
    assert_eq!(lines("f", b"MZ\x90\0 an honest program").len(), 1);
}

#[test]
fn a_program_that_begins_behind_itself_is_packed() {
    const CODE: u32 = 0x6000_0020;
    const DATA: u32 = 0xc000_0040;
    let packed = |file: &[u8]| lines("f", file).contains(&"! f a packed program can't be opened".to_owned());
    for (entry, sections, expected) in [
        (0x1040, &[(0x1000, CODE), (0x2000, DATA)][..], false),
        (0x2040, &[(0x1000, CODE), (0x2000, DATA)], true),
        (0x3000, &[(0x1000, CODE), (0x2000, DATA), (0x3000, CODE | DATA)], true),
        (0x1000, &[(0x1000, CODE | DATA), (0x2000, DATA)], false),
        (0, &[(0x1000, CODE), (0, DATA)], false),
        (0x9000, &[(0x1000, CODE), (0x2000, DATA)], false),
        (0xffff_ffff, &[(0x1000, CODE), (0x2000, DATA)], false),
    ] {
        assert_eq!(packed(&made::program(entry, sections)), expected, "{entry:x}");
    }
    let whole = made::program(0x2040, &[(0x1000, CODE), (0x2000, DATA)]);
    for end in 0..whole.len() {
        assert!(!packed(&whole[..end]), "{end}");
    }
}

#[test]
fn archives_of_old_name_what_is_in_them() {
    let file = old::lha("a.txt", b"hello inside", b"-lh5-", 2);
    assert_eq!(lines("f", &file)[1], "f/folder/a.txt text");
    for (file, reason) in [
        (old::arj("a.txt", b"hello", 0, 1), "! f/a.txt encrypted"),
        (old::arj("a.txt", b"hello", 4, 0), "! f the compression can't be opened"),
        (old::lha("a.txt", b"hello", b"-lh1-", 0), "! f the compression can't be opened"),
        (old::lha("a.txt", b"hello", b"-lh5-", 3), "! f damaged"),
    ] {
        assert_eq!(lines("f", &file).last().map(String::as_str), Some(reason));
    }
    let whole = old::arj("a.txt", b"hello inside", 1, 0);
    for end in 60..whole.len() {
        let lines = lines("f", &whole[..end]);
        assert!(lines.iter().any(|line| line.starts_with("! f")), "{end}: {lines:?}");
    }
}
