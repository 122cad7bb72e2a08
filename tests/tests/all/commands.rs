//! The command line: exit codes, messages with place, value and hint, and what goes where.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use popgate_tests::PATIENCE;
use popgate_tests::mail::{crlf, eicar, message, normalised, with_attachment};
use popgate_tests::popgate::{self, Popgate, run, run_with};
use popgate_tests::process::{self, Ended, write};

/// A listener and a server that nobody asks.
const BASIS: &str = "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
                     [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:9\"\ntls = \"none\"\n";

/// Configurations that are wrong, and what the message must name.
const FAULTS: [(&str, &str, &[&str]); 17] = [
    ("an unknown key", "[limits]\nsesions = 5\n", &["sesions", "sessions", "popgate.toml", "^"]),
    ("an unknown table", "[limit]\nsessions = 5\n", &["limit", "popgate.toml"]),
    ("a wrong type", "[limits]\nsessions = \"many\"\n", &["sessions", "popgate.toml", "^"]),
    ("a wrong unit", "[limits]\nconnect = \"10 parsecs\"\n", &["10 parsecs", "popgate.toml"]),
    ("no TOML", "[limits\n", &["popgate.toml"]),
    ("a wrong keyword", "[[upstream]]\nname = \"b\"\naddress = \"b:110\"\ntls = \"starttls\"\n", &["starttls", "stls"]),
    ("an upstream twice", "[[upstream]]\nname = \"server\"\naddress = \"b:110\"\n", &["server"]),
    (
        "a listener twice",
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n",
        &["pop3"],
    ),
    ("no such upstream", "[[route]]\nuser = \"*\"\nupstream = \"sever\"\n", &["sever"]),
    ("a missing plugin", "[[filter]]\nname = \"f\"\nplugin = \"missing.wasm\"\n", &["missing.wasm"]),
    ("an unknown plugin", "[[filter]]\nname = \"f\"\nplugin = \"viruz\"\n", &["viruz"]),
    ("no wasm", "[[filter]]\nname = \"f\"\nplugin = \"text.wasm\"\n", &["text.wasm"]),
    ("another world", "[[filter]]\nname = \"f\"\nplugin = \"empty.wasm\"\n", &["empty.wasm", "filter"]),
    (
        "a filter twice",
        "[[filter]]\nname = \"f\"\nplugin = \"virus\"\n[[filter]]\nname = \"f\"\nplugin = \"virus\"\n",
        &["f"],
    ),
    (
        "a pin that does not match",
        "[[filter]]\nname = \"f\"\nplugin = \"virus\"\n\
         sha256 = \"275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f\"\n",
        &["275a021b"],
    ),
    (
        "a wrong setting of a filter",
        "[[filter]]\nname = \"f\"\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefx = \"x\"\n",
        &["subject_prefx", "f"],
    ),
    (
        "a missing certificate",
        "[[listener]]\nname = \"pop3s\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\nupstream = \"server\"\n\
         [tls]\ncertificate = \"missing.pem\"\nprivate_key = \"missing.key\"\n",
        &["missing.pem"],
    ),
];

/// A folder with the files that [`FAULTS`] name.
fn folder() -> tempfile::TempDir {
    let folder = process::folder();
    write(&folder.path().join("text.wasm"), "this is not WebAssembly\n");
    // A component without imports and exports.
    write(&folder.path().join("empty.wasm"), b"\0asm\x0d\0\x01\0");
    folder
}

fn expect(ended: &Ended, what: &str, code: i32, named: &[&str]) {
    assert_eq!(ended.code, Some(code), "{what}\n{}{}", ended.output, ended.errors);
    for name in named {
        assert!(ended.errors.contains(name), "{what}: nothing about {name:?} in\n{}", ended.errors);
    }
    assert!(!ended.errors.contains("panicked"), "{what}\n{}", ended.errors);
}

fn every_fault_is_told_by(subcommand: &str) {
    for (what, config, named) in FAULTS {
        let folder = folder();
        expect(&run_with(subcommand, folder.path(), &format!("{BASIS}{config}")), what, 2, named);
    }
}

#[test]
fn run_tells_every_fault_of_the_configuration() {
    every_fault_is_told_by("run");
}

#[test]
fn check_tells_every_fault_of_the_configuration() {
    every_fault_is_told_by("check");
}

#[test]
fn check_takes_a_good_configuration() {
    let filters = "[[filter]]\nname = \"a\"\nplugin = \"rewrite\"\n[[filter]]\nname = \"b\"\nplugin = \"virus\"\n\
                   [[filter]]\nname = \"c\"\nplugin = \"attachments\"\n";
    let folder = folder();
    expect(&run_with("check", folder.path(), &format!("{BASIS}{filters}")), "check", 0, &[]);
}

#[test]
fn a_missing_configuration_is_an_error() {
    for subcommand in ["run", "check"] {
        expect(&run(&[subcommand, "--config", "/nowhere/popgate.toml"]), subcommand, 2, &["/nowhere/popgate.toml"]);
    }
}

#[test]
fn wrong_usage_is_told() {
    for arguments in [&["serve"][..], &[], &["run"], &["run", "--confg", "x"], &["demo", "--twice"]] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}\n{}{}", ended.output, ended.errors);
        assert!(ended.output.is_empty() && ended.errors.contains("popgate"), "{arguments:?}\n{}", ended.errors);
    }
    for arguments in [["--help"], ["--version"]] {
        let ended = run(&arguments);
        assert!(ended.code == Some(0) && ended.output.contains("popgate"), "{arguments:?}\n{}", ended.errors);
    }
}

#[test]
fn a_taken_port_is_an_error_while_running() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let folder = folder();
    let ended = run_with("run", folder.path(), &BASIS.replace("127.0.0.1:0", &address));
    expect(&ended, "a taken port", 1, &[&address]);
    assert!(!ended.output.contains("ready"), "{}", ended.output);
}

#[test]
fn sigterm_ends_it_well() {
    let mut popgate = Popgate::start(BASIS);
    popgate.process().terminate();
    let status = popgate.process_mut().wait(PATIENCE).expect("popgate ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn port_0_is_announced_with_a_real_one() {
    let popgate = Popgate::start(BASIS);
    assert_ne!(popgate.port("pop3"), 0);
    assert_eq!(popgate.listener("pop3").tls, "none");
}

/// `popgate filter` with this on standard input.
fn filter(folder: &Path, config: &str, arguments: &[&str], mail: &[u8]) -> Ended {
    let file = popgate::configuration(folder, config);
    let input = folder.join("input");
    write(&input, mail);
    // The harness gives programs no standard input, so a shell does.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"exec "$@" <"$0""#]).arg(input).arg(popgate::command().get_program());
    shell.arg("filter").arg("--config").arg(file).args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    process::run(&mut shell, PATIENCE)
}

const PREFIX: &str = "[[filter]]\nname = \"rules\"\nplugin = \"rewrite\"\n[filter.config]\nsubject_prefix = \"[x] \"\n";

#[test]
fn filter_writes_the_message_to_standard_output() {
    let folder = folder();
    let mail = crlf(&message(1, "news", "", ".dot\nlast\n"));
    let ended = filter(folder.path(), &format!("{BASIS}{PREFIX}"), &[], &mail);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let expected = String::from_utf8_lossy(&normalised(&mail)).replace("Subject: news", "Subject: [x] news");
    assert_eq!(String::from_utf8_lossy(&normalised(ended.output.as_bytes())), expected);
    assert!(!ended.errors.is_empty(), "a report belongs to standard error");
}

#[test]
fn filter_reports_as_json() {
    let folder = folder();
    let infected = with_attachment(1, "a.txt", "text/plain", eicar().as_bytes());
    let virus = "[[filter]]\nname = \"scan\"\nplugin = \"virus\"\n";
    for (mail, verdict, changed) in [(infected, "hold", None), (message(2, "news", "", "text\n"), "pass", Some(true))] {
        let ended = filter(folder.path(), &format!("{BASIS}{PREFIX}{virus}"), &["--json"], &mail);
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        let report = ended.errors.lines().find(|line| line.starts_with('{')).expect("a report in JSON");
        let report: serde_json::Value = serde_json::from_str(report).expect("a line of JSON");
        assert_eq!(report["verdict"], verdict, "{report}");
        assert!(changed.is_none_or(|changed| report["changed"] == changed), "{report}");
        let names: Vec<_> =
            report["filters"].as_array().expect("filters").iter().map(|filter| &filter["name"]).collect();
        assert_eq!(names, ["rules", "scan"], "{report}");
        assert!(report["filters"][0]["microseconds"].is_number() && report["findings"].is_array(), "{report}");
        if verdict == "hold" {
            assert_eq!(report["findings"][0]["symbol"], "EICAR", "{report}");
            assert_eq!(report["findings"][0]["filter"], "scan", "{report}");
        }
    }
}

/// A program that says `seen` each time it is run.
const SAYS_SEEN: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00")
  (data (i32.const 16) "seen\n")
  (func (export "_start") (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32)))))"#;

#[test]
fn filter_examines_a_message_as_often_as_is_asked() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    write(&path("says.wasm"), wat::parse_str(SAYS_SEEN).expect("it is a module"));
    write(&path("mail.eml"), message(1, "news", "", "text\n"));
    fs::create_dir(path("mails")).expect("a folder can be made");
    write(&path("mails/1.eml"), message(1, "news", "", "text\n"));
    let run = |arguments: &[&str]| {
        let mut command = popgate::command();
        command
            .current_dir(folder.path())
            .args(["--log", "info", "filter", "--plugin", "says.wasm", "--json"])
            .args(arguments);
        process::run(&mut command, PATIENCE)
    };
    for (arguments, times) in
        [(&["mail.eml"][..], 1), (&["--repeat", "5", "mail.eml"], 5), (&["--repeat", "3", "mails"], 3)]
    {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(ended.errors.matches("seen").count(), times, "{}", ended.errors);
        let reports = [&ended.errors, &ended.output].into_iter().flat_map(|text| text.lines());
        assert_eq!(reports.filter(|line| line.starts_with("{\"mail\"")).count(), 1, "one report for all times");
    }
    for refused in ["0", "many"] {
        assert_eq!(run(&["--repeat", refused, "mail.eml"]).code, Some(2));
    }
}

#[test]
fn filter_takes_many_messages_and_writes_them_to_a_folder() {
    let folder = folder();
    let (mails, out) = (folder.path().join("mails"), folder.path().join("out"));
    fs::create_dir(&mails).expect("a folder can be made");
    fs::create_dir(&out).expect("a folder can be made");
    for number in 1..=3 {
        write(&mails.join(format!("{number}.eml")), message(number, "news", "", "text\n"));
    }
    let config = popgate::configuration(folder.path(), &format!("{BASIS}{PREFIX}"));
    let mut command = popgate::command();
    command.args(["filter", "--json", "--config"]).arg(config).arg("--out").arg(&out).arg(&mails);
    let ended = process::run(&mut command, PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let reports: Vec<serde_json::Value> =
        ended.output.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(reports.len(), 3, "{}", ended.output);
    assert!(reports.iter().all(|report| report["verdict"] == "pass" && report["changed"] == true), "{}", ended.output);
    let written: Vec<_> = fs::read_dir(&out).expect("the folder is there").flatten().collect();
    assert_eq!(written.len(), 3);
    for file in written {
        let text = fs::read_to_string(file.path()).expect("a message can be read");
        assert!(text.contains("Subject: [x] news"), "{text}");
    }
}

#[test]
fn demo_once_shows_what_became_of_every_mail() {
    let ended = run(&["demo", "--once"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.output, ended.errors);
    let lines: Vec<_> = ended.output.lines().filter(|line| line.contains(" ms")).collect();
    assert!(lines.len() >= 10, "{}", ended.output);
    for verdict in ["pass", "hold"] {
        assert!(lines.iter().any(|line| line.contains(verdict)), "no {verdict} in\n{}", ended.output);
    }
}
