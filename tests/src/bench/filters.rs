//! What a filter costs for each message: a fresh instance, the call, and its end.
//!
//! `popgate filter --repeat` runs each filter alone over mails of three sizes, and its report has the median of what each took, once
//! for an instance that comes configured out of a snapshot and once for one that is configured for the message. Besides: how long
//! a start takes that has to compile everything, and the next one. The filter in Rust is made by popgate's own tool; of the
//! examples in other languages those are measured that have been built.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use popgate_tests::{mail, popgate, process};
use serde_json::{Value, json};

/// Sizes of messages in octets, how often each is examined, and the size of a message that comes before each of them.
///
/// A large message that is read empties the processor's caches of all else. What that costs is in the last row.
const SIZES: [(&str, usize, usize, Option<usize>); 4] = [
    ("4 KB", 4_000, 400, None),
    ("50 KB", 50_000, 200, None),
    ("25 MB", LARGE, 16, None),
    ("4 KB after 25 MB", 4_000, 16, Some(LARGE)),
];

const LARGE: usize = 25_000_000;

/// Octets of the largest file of which the benchmark has a digest.
const SIZE_MAX: u64 = 4_000_000;

/// Languages of which the interpreter does much at the first message, which `snapshot = "warm"` spares it.
const WARM: [&str; 2] = ["javascript", "python"];

/// How the names of mails end that come before a mail; they sort in front of it.
const BEFORE: &str = "-before.eml";

/// Compiling everything, Python's interpreter too.
const PATIENCE: Duration = Duration::from_secs(600);

/// A configuration without filters.
const SERVER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n\
                      [[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n";

/// What is measured, and how it stands in a configuration.
struct Subject {
    name: String,
    plugin: String,
    settings: String,
    /// Further lines of its section.
    more: String,
    /// How many of it stand in a chain.
    count: usize,
    /// To configure it takes so long that it is not tried for each message.
    is_slow: bool,
    /// The key `snapshot` of its section.
    snapshot: &'static str,
}

/// Microseconds for a message, in the order of [`SIZES`]; none where it has failed, and no list where it was not tried.
struct Row {
    name: String,
    once: Vec<Option<f64>>,
    each_time: Option<Vec<Option<f64>>>,
}

/// Measures everything, and prints it as a table or as JSON.
pub(crate) fn main(as_json: bool) {
    let folder = process::folder();
    let folder = folder.path();
    let mails = mails(folder);
    let mut rows = Vec::new();
    for subject in subjects(folder) {
        eprintln!("{}", subject.name);
        let measure = |snapshot| mails.iter().map(|mails| median(folder, &subject, snapshot, mails)).collect();
        let each_time = (!subject.is_slow).then(|| measure("false"));
        rows.push(Row { once: measure(subject.snapshot), each_time, name: subject.name.clone() });
    }
    let (cold, warm) = starts(folder);
    if as_json {
        let row = |row: &Row| json!({ "filter": row.name, "once": row.once, "each_time": row.each_time });
        let sizes = SIZES.map(|(name, ..)| name);
        let rows: Vec<Value> = rows.iter().map(row).collect();
        println!("{}", json!({ "sizes": sizes, "microseconds": rows, "cold_start": cold, "warm_start": warm }));
    } else {
        print!("{}", table(&rows));
        println!(
            "\nstart with all bundled filters: {:.0} ms, and {:.0} ms from what was compiled",
            cold * 1e3,
            warm * 1e3
        );
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<28}{:<17}{:>14}{:>14}{:>8}\n", "µs for a message", "size", "configured", "each time", "ratio");
    for row in rows {
        for (at, (size, ..)) in SIZES.iter().enumerate() {
            let (once, each_time) = (row.once[at], row.each_time.as_ref().map(|each_time| each_time[at]));
            let shown = |value: Option<f64>| value.map_or("failed".to_owned(), |value| format!("{value:.0}"));
            let ratio = once
                .zip(each_time.flatten())
                .map_or(String::new(), |(once, each)| format!("{:.1}", each / once.max(1.0)));
            let (name, once, each_time) = (&row.name, shown(once), each_time.map_or("-".to_owned(), shown));
            let _infallible = writeln!(text, "{name:<28}{size:<17}{once:>14}{each_time:>14}{ratio:>8}");
        }
    }
    text
}

/// A mail of each size; where another comes before it, a folder of mails in turn, which are names of two files.
fn mails(folder: &Path) -> Vec<PathBuf> {
    let one = |(name, octets, count, before): (&str, usize, usize, Option<usize>)| {
        let file = folder.join(name);
        process::write(&file, mail::of_size(octets));
        let Some(octets) = before else { return file };
        let (first, mails) = (folder.join(format!("before {name}")), folder.join(format!("{name} mails")));
        process::write(&first, mail::of_size(octets));
        fs::create_dir(&mails).expect("a new folder can be made");
        let link = |name: String, file: &Path| symlink(file, mails.join(name)).expect("a link can be made");
        for number in 0..count {
            link(format!("{number:04}{BEFORE}"), &first);
            link(format!("{number:04}.eml"), &file);
        }
        mails
    };
    SIZES.map(one).into()
}

/// What there is to be measured; what is missing is named.
fn subjects(folder: &Path) -> Vec<Subject> {
    let patterns = patterns(folder);
    let rust = |name: &str, patterns_count: u32, count| Subject {
        name: name.to_owned(),
        plugin: patterns.display().to_string(),
        settings: format!("{{ patterns = {patterns_count} }}"),
        more: String::new(),
        count,
        is_slow: false,
        snapshot: "true",
    };
    let mut subjects = vec![
        rust("Rust, a header", 0, 1),
        rust("Rust, 5,000 patterns", 5_000, 1),
        rust("Rust, a header, five of it", 0, 5),
    ];
    for (name, count) in [("virus, 10 signatures", 10), ("virus, 100,000 signatures", 100_000)] {
        let file = folder.join(format!("{count}.ndb"));
        process::write(&file, signatures(count));
        let more = format!("data = {{ signatures = {:?} }}\n", file.display().to_string());
        subjects.push(Subject {
            name: name.to_owned(),
            plugin: "virus".to_owned(),
            settings: "{}".to_owned(),
            more,
            count: 1,
            is_slow: count > 1_000,
            snapshot: "true",
        });
    }
    for language in ["c", "javascript", "python", "go", "zig", "assemblyscript"] {
        match example_in(language) {
            Some((plugin, settings)) => {
                let subject = |name, is_slow, snapshot| {
                    let (plugin, settings) = (plugin.clone(), settings.clone());
                    Subject { name, plugin, settings, more: String::new(), count: 1, is_slow, snapshot }
                };
                subjects.push(subject(format!("example, {language}"), false, "true"));
                if WARM.contains(&language) {
                    subjects.push(subject(format!("example, {language}, warm"), true, "\"warm\""));
                }
            }
            None => eprintln!(
                "the example in {language} is not built, and is left out\nhint: popgate plugin test --install-tools plugins/examples/{language}"
            ),
        }
    }
    subjects
}

/// So many signatures that nothing has: every second one of a body, the others of digests with a size. Sizes are spread over the same
/// range, however many there are: what is larger than all of them need not be hashed.
fn signatures(count: u64) -> String {
    let mut state = 1_u64;
    let mut octets = |length: usize| {
        let mut hex = String::new();
        for _ in 0..length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let _infallible = write!(hex, "{:02x}", state as u8);
        }
        hex
    };
    let mut text = String::new();
    for number in 0..count {
        let size = number * SIZE_MAX / count + 1;
        let line = match number % 4 {
            0 => format!("{}:{size}:Digest.{number}", octets(32)),
            2 => format!("{}:{size}:Digest.{number}", octets(16)),
            _ => format!("Body.{number}:0:*:{}??{}*{}", octets(10), octets(20), octets(8)),
        };
        let _infallible = writeln!(text, "{line}");
    }
    text
}

/// The plugin and the settings of the example in a language, if it is built.
pub(crate) fn example_in(language: &str) -> Option<(String, String)> {
    example(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples").join(language))
}

/// The same of an example in a folder.
fn example(folder: &Path) -> Option<(String, String)> {
    let manifest: toml::Table = fs::read_to_string(folder.join("popgate-plugin.toml")).ok()?.parse().ok()?;
    let wasm = folder.join(manifest["wasm"].as_str()?);
    let settings = manifest.get("settings").map_or("{}".to_owned(), ToString::to_string);
    wasm.is_file().then(|| (wasm.display().to_string(), settings))
}

/// The filter in Rust: a project of popgate's own tool with another source.
fn patterns(folder: &Path) -> PathBuf {
    let run = |arguments: &[&str]| {
        let mut command = popgate::command();
        command.current_dir(folder).arg("plugin").args(arguments).env("CARGO_TARGET_DIR", folder.join("target"));
        let ended = process::run(&mut command, PATIENCE);
        assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
    };
    run(&["new", "patterns", "--lang", "rust"]);
    let project = folder.join("patterns");
    for entry in ["src", "cases"] {
        fs::remove_dir_all(project.join(entry)).expect("the project has it");
        fs::create_dir(project.join(entry)).expect("a folder can be made");
    }
    process::write(&project.join("src/lib.rs"), include_str!("../../guests/patterns.rs"));
    process::write(&project.join("cases/plain.eml"), "Subject: one\n\ntext\n");
    let manifest = fs::read_to_string(project.join("popgate-plugin.toml")).expect("the project has a manifest");
    let (head, _) = manifest.split_once("[settings]").expect("the template has settings");
    process::write(&project.join("popgate-plugin.toml"), format!("{head}[settings]\npatterns = 1\n"));
    run(&["test", "patterns", "--update"]);
    let wasm = folder.join("target/wasm32-wasip2/release/patterns.wasm");
    assert!(wasm.is_file(), "{} was not built", wasm.display());
    wasm
}

/// A configuration with this filter.
fn configuration(folder: &Path, subject: &Subject, snapshot: &str) -> PathBuf {
    let Subject { plugin, settings, more, count, .. } = subject;
    let plugin = toml::Value::from(plugin.as_str());
    let mut config = SERVER.to_owned();
    for number in 0..*count {
        let _infallible = writeln!(
            config,
            "[[filter]]\nname = \"f{number}\"\nplugin = {plugin}\nsnapshot = {snapshot}\nconfig = {settings}\n{more}"
        );
    }
    popgate::configuration(folder, &config)
}

/// The median time of the filter for a message; none if it fails.
fn median(folder: &Path, subject: &Subject, snapshot: &str, mails: &Path) -> Option<f64> {
    let config = configuration(folder, subject, snapshot);
    let times = SIZES.iter().find(|(name, ..)| mails.ends_with(name)).map_or(1, |(_, _, count, _)| *count);
    let mut command = popgate::command();
    // A program that ends with a status is an error to wasmtime, of which it would keep a backtrace.
    command.env("RUST_LIB_BACKTRACE", "0").args(["filter", "--json", "--config"]).arg(config);
    command.args(["--repeat", &times.to_string(), "--out"]).arg(folder.join("results")).arg(mails);
    let ended = process::run(&mut command, PATIENCE);
    let mut times = Vec::new();
    // The report of a single mail stands among the errors.
    for line in ended.output.lines().chain(ended.errors.lines()).filter(|line| line.starts_with('{')) {
        let report: Value = serde_json::from_str(line).expect("a report is a line of JSON");
        let filters = report["filters"].as_array()?;
        if report["mail"].as_str().is_some_and(|mail| mail.ends_with(BEFORE)) {
            continue;
        }
        if filters.len() != subject.count || filters.iter().any(|filter| !filter["error"].is_null()) {
            eprintln!("{report}");
            return None;
        }
        times.push(filters.iter().filter_map(|filter| filter["microseconds"].as_f64()).sum::<f64>());
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Seconds of a start with all bundled filters, when nothing is compiled yet and when all is.
fn starts(folder: &Path) -> (f64, f64) {
    let filters =
        "[[filter]]\nplugin = \"virus\"\n[[filter]]\nplugin = \"attachments\"\n[[filter]]\nplugin = \"rewrite\"\n";
    let config = popgate::configuration(folder, &format!("{SERVER}{filters}"));
    fs::remove_dir_all(folder.join("state/compiled")).expect("filters have been compiled");
    let start = || {
        let begin = Instant::now();
        let ended = process::run(popgate::command().args(["check", "--config"]).arg(&config), PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        begin.elapsed().as_secs_f64()
    };
    (start(), start())
}
