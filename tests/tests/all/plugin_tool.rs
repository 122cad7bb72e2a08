//! `popgate plugin`, and one plugin without a configuration: projects made, built and tested, plugin files looked at.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use popgate_tests::PATIENCE;
use popgate_tests::guest;
use popgate_tests::popgate;
use popgate_tests::process::{self, Ended, Process, write};
use sha2::{Digest, Sha256};

/// How long the build of a project may take: compilers and packages may have to come first.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

const MAIL: &str = "From: a@example.org\nSubject: one\n\ntext\n";

/// A program that puts a line before the message.
fn program(line: &str) -> Vec<u8> {
    let escaped: String = line.bytes().map(|octet| format!("\\{octet:02x}")).collect();
    let text = PROGRAM.replace("LENGTH", &(line.len() + 2).to_string()).replace("LINE", &escaped);
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

const PROGRAM: &str = r#"
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "LINE\r\n")
  (func $send (param i32 i32)
    (i32.store (i32.const 0) (local.get 0))
    (i32.store (i32.const 4) (local.get 1))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start")
    (call $send (i32.const 16) (i32.const LENGTH))
    (loop $more
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8))
        (then (call $send (i32.const 1024) (i32.load (i32.const 8))) (br $more))))))
"#;

const MANIFEST: &str = "name = \"tag\"\nversion = \"0.1.0\"\nkind = \"command\"\nwasm = \"build/tag.wasm\"\n\
                        build = [\"cp tag.wasm build/tag.wasm\"]\n";

/// A project whose build is a copy, with one mail.
fn project(manifest: &str) -> tempfile::TempDir {
    let folder = process::folder();
    write(&folder.path().join("popgate-plugin.toml"), manifest);
    write(&folder.path().join("tag.wasm"), program("X-Tag: yes"));
    fs::create_dir(folder.path().join("cases")).expect("a folder can be made");
    write(&folder.path().join("cases/one.eml"), MAIL);
    folder
}

fn plugin(arguments: &[&str], folder: &Path) -> Ended {
    process::run(popgate::command().arg("plugin").args(arguments).arg(folder), BUILD_PATIENCE)
}

fn expect(ended: &Ended, code: i32, output: &[&str], errors: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}{}", ended.output, ended.errors);
    for wanted in output {
        assert!(ended.output.contains(wanted), "no {wanted:?} in\n{}{}", ended.output, ended.errors);
    }
    for wanted in errors {
        assert!(ended.errors.contains(wanted), "no {wanted:?} in\n{}", ended.errors);
    }
    assert!(!ended.errors.contains("panicked"), "{}", ended.errors);
}

#[test]
fn a_case_fails_until_what_is_expected_is_written() {
    let folder = project(MANIFEST);
    let expected = folder.path().join("cases/one.expected");
    let ended = plugin(&["test"], folder.path());
    expect(&ended, 1, &["there is no `one.expected`", "--update", "+X-Tag: yes", "0 passed, 1 failed"], &[]);
    assert!(!expected.exists());
    expect(&plugin(&["test", "--update"], folder.path()), 0, &["case one: updated", "1 passed, 0 failed"], &[]);
    let text = fs::read_to_string(&expected).expect("the expectation was written");
    assert_eq!(text, "verdict: pass\n\n@@ -1,3 +1,4 @@\n+X-Tag: yes\n From: a@example.org\n Subject: one\n \n");
    expect(&plugin(&["test"], folder.path()), 0, &["case one: passed", "1 passed, 0 failed"], &[]);
}

#[test]
fn a_failing_case_shows_the_difference() {
    let folder = project(MANIFEST);
    expect(&plugin(&["test", "--update"], folder.path()), 0, &[], &[]);
    write(&folder.path().join("tag.wasm"), program("X-Tag: no"));
    write(&folder.path().join("cases/two.eml"), MAIL);
    write(&folder.path().join("cases/two.expected"), "verdict: hold: because\r\n");
    let ended = plugin(&["test"], folder.path());
    expect(&ended, 1, &["case one: FAILED", "    -+X-Tag: yes\n    ++X-Tag: no\n", "0 passed, 2 failed"], &[]);
    expect(&ended, 1, &["case two: FAILED", "    -verdict: hold: because\n    +verdict: pass\n"], &[]);
    assert!(ended.output.ends_with("0 passed, 2 failed\n"), "{}", ended.output);
}

#[test]
fn what_forges_the_fields_of_the_filter_is_removed_first() {
    let folder = project(&MANIFEST.replace("build =", "writes = [\"X-Mark\"]\nbuild ="));
    write(&folder.path().join("cases/one.eml"), format!("X-Mark: forged\n{MAIL}"));
    let ended = plugin(&["test"], folder.path());
    expect(&ended, 1, &["-X-Mark: forged", "+X-Tag: yes"], &[]);
}

#[test]
fn faults_of_a_project_are_told_at_their_place() {
    for (manifest, wanted) in [
        (
            MANIFEST.replace("wasm =", "wsam ="),
            &["unknown key `wsam`", "popgate-plugin.toml:4:1", "^^^^", "did you mean `wasm`?"][..],
        ),
        (MANIFEST.replace("\"command\"", "\"comand\""), &["`kind`: unknown value `comand`", "did you mean `command`?"]),
        (MANIFEST.replace("[\"cp", "[\"cp '"), &["can't be split into words"]),
        (
            MANIFEST.replace("\"command\"", "\"component\"\napi = \"0.1\""),
            &[
                "`kind`: the build has made a core module command",
                "write `kind = \"command\"`",
                "popgate-plugin.toml:3:8",
            ],
        ),
        (MANIFEST.replace("wasm\"]", "was\"]"), &["the build has not made", "popgate-plugin.toml:4:8"]),
        (
            format!("tools = [\"ruby\"]\n{MANIFEST}"),
            &["does not know the tool `ruby`", "popgate-plugin.toml:1:10", "componentize-py"],
        ),
        (MANIFEST.replace("name =", "name"), &["popgate-plugin.toml:1:"]),
    ] {
        let folder = project(&manifest);
        let ended = plugin(&["test"], folder.path());
        expect(&ended, 2, &[], wanted);
    }
    let nothing = process::folder();
    expect(&plugin(&["test"], nothing.path()), 2, &[], &["can't read the project file", "popgate plugin new"]);
}

#[test]
fn a_failing_build_and_a_broken_plugin_fail_the_test() {
    let folder = project(&MANIFEST.replace("cp tag.wasm build/tag.wasm", "cp nothing.wasm build/tag.wasm"));
    expect(
        &plugin(&["test"], folder.path()),
        1,
        &[],
        &["build: cp nothing.wasm", "`cp nothing.wasm build/tag.wasm` failed"],
    );
    let folder = project(&MANIFEST.replace("cp tag.wasm", "no-such-program"));
    expect(&plugin(&["test"], folder.path()), 1, &[], &["the program `no-such-program` is missing"]);
    let folder = project(MANIFEST);
    write(&folder.path().join("tag.wasm"), "no wasm");
    expect(&plugin(&["test"], folder.path()), 1, &[], &["is not WebAssembly", "popgate-plugin.toml:4:8"]);
}

/// A folder of programs: a shell script each.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = process::folder();
    for (name, script) in scripts {
        let path = folder.path().join(name);
        write(&path, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("rights can be set");
    }
    folder
}

/// `plugin test` with a cache of its own and no programs but these and the system's.
fn test_with(programs: &Path, cache: &Path, arguments: &[&str], folder: &Path) -> Ended {
    let mut command = popgate::command();
    command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env("XDG_CACHE_HOME", cache);
    process::run(command.args(["plugin", "test"]).args(arguments).arg(folder), PATIENCE)
}

#[test]
fn a_missing_tool_is_named_with_its_command() {
    let folder = project(&format!("tools = [\"componentize-py\"]\n{MANIFEST}"));
    let (none, cache) = (programs(&[]), process::folder());
    let ended = test_with(none.path(), cache.path(), &[], folder.path());
    let hint = format!("popgate plugin test --install-tools {}", folder.path().display());
    expect(&ended, 2, &[], &["the tool `componentize-py` is missing", "pip install componentize-py==0.25.1", &hint]);
    assert!(!ended.errors.contains("build: "), "{}", ended.errors);
}

/// An installation that works, as `npm install --prefix FOLDER ...` does it.
const INSTALLS: &str = "mkdir -p \"$3/node_modules/.bin\"\n\
                        printf '#!/bin/sh\\ncp tag.wasm build/tag.wasm\\n' >\"$3/node_modules/.bin/asc\"\n\
                        chmod 755 \"$3/node_modules/.bin/asc\"";

#[test]
fn a_missing_tool_is_installed_once_and_an_interrupted_installation_does_no_harm() {
    let manifest = MANIFEST.replace("cp tag.wasm build/tag.wasm", "asc --version");
    let folder = project(&format!("tools = [\"assemblyscript\"]\n{manifest}"));
    let cache = process::folder();
    // It makes the program and dies.
    let dies = programs(&[("npm", &format!("{INSTALLS}\nkill -9 $PPID"))]);
    let ended = test_with(dies.path(), cache.path(), &["--install-tools"], folder.path());
    assert_eq!(ended.code, None, "popgate itself was killed\n{}", ended.errors);
    let fails = programs(&[("npm", "echo no network >&2; exit 3")]);
    let ended = test_with(fails.path(), cache.path(), &["--install-tools"], folder.path());
    expect(&ended, 2, &[], &["no network", "the tool `assemblyscript` can't be installed"]);
    let ended = test_with(fails.path(), cache.path(), &[], folder.path());
    expect(&ended, 2, &[], &["the tool `assemblyscript` is missing"]);
    let works = programs(&[("npm", INSTALLS)]);
    let ended = test_with(works.path(), cache.path(), &["--install-tools", "--update"], folder.path());
    expect(&ended, 0, &["1 passed, 0 failed"], &["installing assemblyscript 0.28.20"]);
    let ended = test_with(fails.path(), cache.path(), &[], folder.path());
    expect(&ended, 0, &["1 passed, 0 failed"], &[]);
    assert!(!ended.errors.contains("installing"), "{}", ended.errors);
}

/// What `inspect` says in JSON.
fn inspected(octets: &[u8]) -> serde_json::Value {
    let folder = process::folder();
    let file = folder.path().join("plugin.wasm");
    write(&file, octets);
    let ended = plugin(&["inspect", "--json"], &file);
    expect(&ended, 0, &[], &[]);
    let people = plugin(&["inspect"], &file);
    expect(&people, 0, &["kind ", "size ", "sha256 ", "refused "], &[]);
    serde_json::from_str(&ended.output).expect("one JSON object")
}

#[test]
fn every_kind_of_plugin_is_told() {
    let filter = guest::component("i32.const 0");
    let found = inspected(&filter);
    assert_eq!((&found["kind"], &found["track"]), (&"component".into(), &"0.1.0".into()), "{found}");
    assert_eq!(found["size"], filter.len(), "{found}");
    assert_eq!(found["imports"], serde_json::json!(["popgate:filter/mail@0.1.0"]));
    assert_eq!(found["sha256"].as_str().map(str::len), Some(64));
    assert!(found["refused"].is_null() && found["grants"] == serde_json::json!([]), "{found}");
    let found = inspected(&program("X: y"));
    assert_eq!(found["kind"], "core module command", "{found}");
    assert_eq!(found["imports"][0], "wasi_snapshot_preview1::fd_read");
    assert!(found["refused"].is_null() && found["track"].is_null(), "{found}");
    let command = r#"(component (core module $M (func (export "run") (result i32) i32.const 0))
        (core instance $m (instantiate $M))
        (func $run (result (result)) (canon lift (core func $m "run")))
        (instance $i (export "run" (func $run))) (export "wasi:cli/run@0.2.3" (instance $i)))"#;
    let found = inspected(&wat::parse_str(command).expect("a component"));
    assert_eq!(found["kind"], "command component", "{found}");
    assert!(found["refused"].is_null(), "{found}");
}

#[test]
fn what_would_be_refused_is_told_by_name() {
    let filter = |from: &str, to: &str| {
        // Names of the same length, so that the binary stays what it is.
        assert_eq!(from.len(), to.len());
        let mut octets = guest::component("i32.const 0");
        while let Some(at) = octets.windows(from.len()).position(|window| window == from.as_bytes()) {
            octets[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
        octets
    };
    let import = |name: &str| {
        let text = format!(r#"(component (import "{name}" (instance (export "run" (func)))))"#);
        wat::parse_str(text).expect("a component")
    };
    for (octets, wanted) in [
        (filter("popgate:filter/filter@0.1.0", "popgate:filter/filter@9.1.0"), "filter@9.1.0"),
        (filter("popgate:filter/mail@0.1.0", "popgate:filter/mall@0.1.0"), "`popgate:filter/mall@0.1.0`"),
        (import("wasi:http/outgoing-handler@0.2.0"), "no filter"),
        (
            wat::parse_str("(module (import \"env\" \"system\" (func)) (func (export \"_start\")))").expect("a module"),
            "env::system",
        ),
        (wat::parse_str("(module (import \"env\" \"system\" (func)))").expect("a module"), "env"),
        (b"\0asm\x01\0\0\0\xff\xff\xff".to_vec(), "plugin.wasm"),
    ] {
        let found = inspected(&octets);
        let refused = found["refused"].as_str().unwrap_or_else(|| panic!("not refused: {found}"));
        assert!(refused.contains(wanted), "no {wanted:?} in {refused:?}");
    }
    let folder = process::folder();
    let file = folder.path().join("text.wasm");
    write(&file, "text");
    expect(&plugin(&["inspect"], &file), 2, &[], &["is not WebAssembly"]);
    expect(&plugin(&["inspect"], Path::new("/nowhere/x.wasm")), 2, &[], &["/nowhere/x.wasm"]);
}

#[test]
fn a_project_is_written_into_an_empty_folder_only() {
    for language in ["rust", "c", "javascript", "python", "go", "zig"] {
        let folder = process::folder();
        let project = folder.path().join("my-filter");
        let ended = plugin(&["new", "--lang", language], &project);
        expect(&ended, 0, &["popgate plugin test"], &[]);
        let manifest = fs::read_to_string(project.join("popgate-plugin.toml")).expect("a manifest");
        assert!(manifest.contains("name = \"my-filter\"") && !manifest.contains("../"), "{manifest}");
        expect(&plugin(&["new", "--lang", language], &project), 2, &[], &["is not empty"]);
    }
    let folder = process::folder();
    expect(&plugin(&["new", "--lang", "rust"], &folder.path().join("My Filter")), 2, &[], &["`My Filter`"]);
    expect(&plugin(&["new", "--lang", "cobol"], &folder.path().join("x")), 2, &[], &["cobol", "rust"]);
}

/// Makes a project, and builds and tests it with the tools that are installed if need be.
fn made_and_tested(language: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = process::folder();
    let project = folder.path().join("my-filter");
    expect(&plugin(&["new", "--lang", language], &project), 0, &[], &[]);
    // What is compiled is kept for the next run of the tests.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-projects");
    let mut command = popgate::command();
    command.env("CARGO_TARGET_DIR", target).args(["plugin", "test", "--install-tools"]).arg(&project);
    let ended = process::run(&mut command, BUILD_PATIENCE);
    expect(&ended, 0, &["0 failed"], &[]);
    assert!(!ended.output.contains("\n0 passed"), "{}", ended.output);
    (folder, project)
}

#[test]
fn a_new_project_in_rust_passes_its_tests() {
    let _kept = made_and_tested("rust");
}

#[test]
fn a_new_project_in_javascript_passes_its_tests() {
    let _kept = made_and_tested("javascript");
}

#[test]
fn a_new_project_in_python_passes_its_tests() {
    let _kept = made_and_tested("python");
}

#[test]
fn a_new_project_in_go_passes_its_tests() {
    let _kept = made_and_tested("go");
}

#[test]
fn a_new_project_in_zig_passes_its_tests() {
    let _kept = made_and_tested("zig");
}

#[test]
fn a_new_project_in_c_passes_its_tests_and_is_a_core_module() {
    let (_kept, project) = made_and_tested("c");
    let wasm = fs::read(project.join("build/my-filter.wasm")).expect("the plugin is where the manifest says");
    let found = inspected(&wasm);
    assert_eq!((&found["kind"], &found["track"]), (&"core module filter".into(), &"0.1.0".into()), "{found}");
    assert!(found["refused"].is_null(), "{found}");
}

/// A folder with a mail and a plugin.
fn plugin_and_mail(octets: &[u8]) -> (tempfile::TempDir, Command) {
    let folder = process::folder();
    write(&folder.path().join("plugin.wasm"), octets);
    write(&folder.path().join("mail.eml"), MAIL);
    let mut command = popgate::command();
    command.current_dir(folder.path()).args(["filter", "--plugin", "plugin.wasm"]);
    (folder, command)
}

#[test]
fn one_plugin_shows_what_it_changes() {
    let (_folder, mut command) = plugin_and_mail(&program("X-Tag: \x1b[2J"));
    let ended = process::run(command.arg("mail.eml"), PATIENCE);
    expect(&ended, 0, &["X-Tag: "], &["mail.eml: pass, changed", "@@ -1,3 +1,4 @@", "  +X-Tag: \\x1b[2J"]);
    assert!(!ended.errors.contains('\x1b'), "{:?}", ended.errors);
}

#[test]
fn one_plugin_takes_settings_from_the_command_line() {
    let folder = process::folder();
    write(&folder.path().join("mail.eml"), MAIL);
    write(&folder.path().join("settings.toml"), "subject_prefix = \"[file] \"\n");
    let run = |arguments: &[&str]| {
        let mut command = popgate::command();
        command.current_dir(folder.path()).args(["filter", "--plugin", "rewrite"]).args(arguments).arg("mail.eml");
        process::run(&mut command, PATIENCE)
    };
    expect(&run(&["--setting", "subject_prefix=\"[x] \""]), 0, &["Subject: [x] one"], &["+Subject: [x] one"]);
    expect(&run(&["--settings", "settings.toml"]), 0, &["Subject: [file] one"], &[]);
    expect(&run(&["--setting", "subject_prefix=[1"]), 2, &[], &["--setting subject_prefix=[1", "hint:"]);
    expect(&run(&["--setting", "subject_prefx=a"]), 2, &[], &["subject_prefx"]);
    expect(&run(&["--settings", "missing.toml"]), 2, &[], &["missing.toml"]);
}

#[test]
fn one_plugin_gets_data_files_and_addresses_from_the_command_line() {
    let folder = process::folder();
    write(&folder.path().join("mail.eml"), MAIL);
    // The digest of the text of the mail's body.
    let digest = Sha256::digest(b"text\r\n").iter().fold(String::new(), |hex, octet| format!("{hex}{octet:02x}"));
    write(&folder.path().join("list"), format!("{digest} Test\n"));
    let run = |plugin: &str, arguments: &[&str]| {
        let mut command = popgate::command();
        command.current_dir(folder.path()).args(["filter", "--plugin", plugin]).args(arguments).arg("mail.eml");
        process::run(&mut command, PATIENCE)
    };
    expect(&run("virus", &[]), 0, &["text"], &["mail.eml: pass"]);
    expect(&run("virus", &["--data", "signatures=list"]), 0, &[], &["mail.eml: hold", "Test"]);
    expect(&run("virus", &["--data", "list"]), 2, &[], &["--data list", "hint:"]);
    expect(&run("virus", &["--data", "signatures=missing"]), 2, &[], &["missing"]);
    // Nobody listens there, which is not what a filter finds that may not connect.
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
    let address = format!("127.0.0.1:{port}");
    let setting = format!("address={address}");
    let refused = run("clamav", &["--setting", &setting, "--connect", &address]);
    expect(&refused, 0, &[], &["refused"]);
    expect(&run("clamav", &["--setting", &setting]), 0, &[], &["grant"]);
    expect(&run("clamav", &["--setting", &setting, "--connect", "localhost:1"]), 2, &[], &["localhost:1"]);
}

#[test]
fn a_project_can_have_data_files() {
    let folder = project(&MANIFEST.replace("build =", "data = { list = \"missing.txt\" }\nbuild ="));
    expect(&plugin(&["test"], folder.path()), 1, &[], &["missing.txt"]);
}

#[test]
fn who_watches_sees_every_change() {
    let (folder, mut command) = plugin_and_mail(&program("X-Tag: one"));
    let process = Process::start_in(folder.path(), command.args(["--watch", "mail.eml"]));
    let sees = |wanted: &str| {
        let found = process.errors().find(PATIENCE, |line| line.contains(wanted).then_some(()));
        assert!(found.is_some(), "no {wanted:?}");
        let waits = process.errors().find(PATIENCE, |line| line.contains("waiting for changes").then_some(()));
        assert!(waits.is_some(), "it does not go on after {wanted:?}");
    };
    sees("+X-Tag: one");
    write(&folder.path().join("plugin.wasm"), program("X-Tag: another"));
    sees("+X-Tag: another");
    write(&folder.path().join("plugin.wasm"), "broken");
    sees("is not WebAssembly");
    fs::remove_file(folder.path().join("plugin.wasm")).expect("the file was there");
    sees("can't be read");
    write(&folder.path().join("plugin.wasm"), program("X-Tag: third"));
    sees("+X-Tag: third");
    write(&folder.path().join("mail.eml"), MAIL.replace("one", "other"));
    sees(" Subject: other");
}

#[test]
fn watching_needs_a_file() {
    let (_folder, mut command) = plugin_and_mail(&program("X: y"));
    expect(&process::run(command.arg("--watch"), PATIENCE), 2, &[], &["MAIL"]);
}
