//! The house rules that a compiler does not hold: which module may use which, and how files are laid out.
//!
//! The table is the one in the documentation of popgate's library. Whoever changes it changes both.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module of `proxy/src`, and the others that it may use. A path with `/` is a part of a module with rules of its own.
const MODULES: [(&str, &[&str]); 13] = [
    ("pop3", &[]),
    ("message", &["pop3"]),
    ("filter", &["message"]),
    ("plugin", &["filter", "message", "store"]),
    ("store", &[]),
    ("session", &["pop3"]),
    ("session/driver", &["pop3", "message", "filter", "upstream", "net", "store"]),
    ("upstream", &["pop3", "net"]),
    ("net", &[]),
    ("admin", &["store"]),
    ("demo", &["pop3", "net"]),
    // These tie everything together.
    ("cli", ALL),
    ("main", ALL),
];

/// Every module.
const ALL: &[&str] =
    &["pop3", "message", "filter", "plugin", "store", "session", "upstream", "net", "admin", "demo", "cli"];

/// Crates that live in some modules alone.
const HOMES: [(&str, &[&str]); 9] = [
    ("wasmtime", &["plugin"]),
    ("wasmtime_wasi", &["plugin"]),
    ("wasmtime_wizer", &["plugin"]),
    ("seccompiler", &["plugin"]),
    ("mail_parser", &["message"]),
    ("sqlx", &["store"]),
    ("object_store", &["store"]),
    ("popgate_config", &["plugin", "store", "upstream", "net", "cli"]),
    ("popgate_plugins", &["plugin", "cli"]),
];

/// What may not be named in a module that is pure: no I/O, no clock, no task, no log.
const IMPURE: [&str; 14] = [
    "tokio",
    "tokio_rustls",
    "rustls",
    "socket2",
    "tracing",
    "std::fs",
    "std::io",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// The modules that are pure; `session` is, but for its driver.
const PURE: [&str; 2] = ["pop3", "session"];

/// The longest a file may be, in lines.
const LONGEST: usize = 500;

/// A source file of popgate.
struct Source {
    path: PathBuf,
    /// Its module and those around it: `["session", "driver", "relay"]`.
    module: Vec<String>,
    /// Without comments and the content of strings.
    code: String,
}

impl Source {
    /// The row of the table that is this file's.
    fn row(&self) -> (&'static str, &'static [&'static str]) {
        let module = self.module.join("/");
        let of = |name: &str| module == name || module.starts_with(&format!("{name}/"));
        // The most special one.
        let rows = MODULES.iter().filter(|(name, _)| of(name)).max_by_key(|(name, _)| name.len());
        *rows.unwrap_or_else(|| panic!("{}: `{module}` is not in the table", self.path.display()))
    }

    /// The modules of popgate that it names, by `crate::` or by `super::` up to the root.
    fn uses(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            if starts_word(&self.code, at) {
                found.extend(heads(&self.code[at + "crate::".len()..]));
            }
        }
        let up = "super::".repeat(self.module.len());
        for (at, _) in self.code.match_indices(&up) {
            let deeper = self.code[..at].ends_with("super::") || self.code[at + up.len()..].starts_with("super::");
            if !deeper && starts_word(&self.code, at) {
                found.extend(heads(&self.code[at + up.len()..]));
            }
        }
        // The root names macros and functions, too.
        found.retain(|name| ALL.contains(&&**name));
        found.remove(&self.module[0]);
        found
    }

    /// Whether this path is named: `tokio` in `use tokio::net`, `std::io` in `std::io::Read` and `use std::{io, fs}`.
    fn names(&self, path: &str) -> bool {
        let (root, rest) = path.split_once("::").unwrap_or((path, ""));
        let mut places = self.code.match_indices(root).filter(|&(at, _)| starts_word(&self.code, at));
        places.any(|(at, _)| {
            let Some(behind) = self.code[at + root.len()..].strip_prefix("::") else {
                return rest.is_empty() && self.code[..at].trim_end().ends_with("use");
            };
            rest.is_empty() || leads_to(behind, rest)
        })
    }
}

/// Whether what is written behind `::` reaches this path, groups in braces included.
fn leads_to(code: &str, path: &str) -> bool {
    let (head, rest) = path.split_once("::").unwrap_or((path, ""));
    members(code).into_iter().any(|member| {
        let Some(behind) = member.strip_prefix(head) else { return false };
        if behind.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
            return false;
        }
        rest.is_empty() || behind.strip_prefix("::").is_some_and(|behind| leads_to(behind, rest))
    })
}

/// The names at the head of what is written behind `::`.
fn heads(code: &str) -> Vec<String> {
    let word = |member: &str| member.chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
    members(code).into_iter().map(word).collect()
}

/// The members of a group in braces, or the one that there is without.
fn members(code: &str) -> Vec<&str> {
    let Some(group) = code.strip_prefix('{') else { return vec![code] };
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, next) in group.char_indices() {
        match next {
            '{' => depth += 1,
            ',' if depth == 0 => {
                found.push(group[begin..at].trim());
                begin = at + 1;
            }
            '}' if depth == 0 => {
                found.push(group[begin..at].trim());
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// Whether a path begins here, and not a part of another word or path.
fn starts_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':' || before == '.')
}

/// The code without comments and without what is in quotation marks.
fn bare(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        code.push_str(&rest[..at]);
        rest = &rest[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with('"') && code.ends_with("r#") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with('"') {
            quoted(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\") {
            3 + rest[3..].find('\'').map_or(0, |end| end + 1)
        } else {
            code.push_str(&rest[..1]);
            1
        };
        rest = &rest[skipped..];
    }
    code + rest
}

/// The length of the string literal that begins here.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            '"' if !escaped => return at + 1,
            _ => escaped = next == '\\' && !escaped,
        }
    }
    text.len()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around the tests").to_owned()
}

/// All Rust files in a folder and below it; build results and hidden folders left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The files of `proxy/src`, but for the roots `lib.rs` and `main.rs`.
fn sources() -> Vec<Source> {
    let folder = root().join("proxy/src");
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&folder).expect("the file is in there").with_extension("");
        let module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let code = bare(&fs::read_to_string(&path).expect("a source can be read"));
        Source { path, module, code }
    };
    let all: Vec<_> = files(&folder).into_iter().map(read).filter(|source| source.module != ["lib"]).collect();
    assert!(!all.is_empty());
    all
}

fn expect_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for source in sources() {
        let (row, allowed) = source.row();
        let wrong = source.uses().into_iter().filter(|used| !allowed.contains(&&**used));
        faults.extend(wrong.map(|used| format!("{}: `{row}` may not use `{used}`", source.path.display())));
    }
    expect_none(&faults);
}

#[test]
fn crates_stay_in_their_homes() {
    let mut faults = Vec::new();
    for source in sources() {
        for (name, homes) in HOMES {
            if source.names(name) && !homes.contains(&&*source.module[0]) {
                faults.push(format!("{}: `{name}` belongs to {homes:?}", source.path.display()));
            }
        }
    }
    expect_none(&faults);
}

#[test]
fn pure_modules_name_nothing_impure() {
    let mut faults = Vec::new();
    for source in sources() {
        if PURE.contains(&source.row().0) {
            let impure = IMPURE.iter().filter(|path| source.names(path));
            faults.extend(impure.map(|path| format!("{}: `{path}` in a pure module", source.path.display())));
        }
    }
    expect_none(&faults);
}

#[test]
fn only_the_driver_of_a_session_awaits() {
    let mut faults = Vec::new();
    for source in sources() {
        if PURE.contains(&source.row().0) && (source.code.contains(".await") || source.code.contains("async ")) {
            faults.push(source.path.display().to_string());
        }
    }
    expect_none(&faults);
}

#[test]
fn the_library_documents_every_module() {
    let folder = root().join("proxy/src");
    let text = fs::read_to_string(folder.join("lib.rs")).expect("the library is there");
    let map = text.lines().filter(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
    let modules: BTreeSet<_> = sources().into_iter().map(|source| source.module[0].clone()).collect();
    for module in modules.iter().filter(|module| *module != "main") {
        assert!(map.contains(&format!("`{module}`")), "`{module}` is not in the documentation of lib.rs");
    }
}

#[test]
fn files_are_short_and_named_after_their_module() {
    let mut faults = Vec::new();
    for path in files(&root()) {
        let lines = fs::read_to_string(&path).expect("a source can be read").lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines, {LONGEST} are allowed", path.display()));
        }
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            faults.push(format!("{}: a module is `x.rs` beside `x/`", path.display()));
        }
    }
    expect_none(&faults);
}

#[test]
fn code_is_told_from_comments_and_strings() {
    for (text, code) in [
        ("a // b\nc", "a \nc"),
        ("a /* b */ c", "a  c"),
        ("a(\"b // \\\" c\") // d", "a() "),
        ("a(r#\"b \"c\" // d\"#) + 1", "a(r#) + 1"),
        ("x('\"', '\\'', 'c') + \"y\"", "x(, , 'c') + "),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
    ] {
        assert_eq!(bare(text), code, "{text}");
    }
}

#[test]
fn uses_are_found_however_they_are_written() {
    let source = |module: &[&str], code: &str| Source {
        path: PathBuf::new(),
        module: module.iter().map(ToString::to_string).collect(),
        code: code.to_owned(),
    };
    for (code, expected) in [
        ("use crate::net::Stream;", &["net"][..]),
        ("use crate::{net::{Stream, Tls}, store, pop3::Reply};", &["net", "pop3", "store"]),
        ("let a = crate::plugin::load();", &["plugin"]),
        ("pub(crate) mod x; use popgate_crate::net;", &[]),
        ("use super::super::upstream;", &["upstream"]),
        ("use super::message; use super::super::super::store;", &[]),
    ] {
        let found = source(&["session", "login"], code).uses();
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{code}");
    }
    for (code, path, expected) in [
        ("use tokio::net;", "tokio", true),
        ("use tokio;", "tokio", true),
        ("let tokio = 1;", "tokio", false),
        ("use std::{fmt, io::Read};", "std::io", true),
        ("use std::iter;", "std::io", false),
        ("x::std::io::y", "std::io", false),
        ("use std::time::{Duration, Instant};", "std::time::Instant", true),
        ("use std::time::Duration;", "std::time::Instant", false),
    ] {
        assert_eq!(source(&["pop3"], code).names(path), expected, "{path} in {code}");
    }
}
