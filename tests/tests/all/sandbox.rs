//! Hostile plugins, before they are loaded and after: what they cost, and what the operator sees of them.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process::{self, Ended, folder, write};
use popgate_tests::upstream::mailbox::Mailbox;
use popgate_tests::{PATIENCE, guest};
use sha2::{Digest, Sha256};

const PASS: &str = "i32.const 0";
const HOLD: &str = "i32.const 16";

const SERVER: &str = "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
                      [[upstream]]\nname = \"server\"\naddress = \"127.0.0.1:110\"\n";

/// What `popgate check` says of a filter of this file, with these further lines.
fn check(folder: &Path, lines: &str) -> Ended {
    let config = popgate::configuration(folder, &format!("{SERVER}[[filter]]\nplugin = \"guest.wasm\"\n{lines}"));
    process::run(popgate::command().arg("check").arg("--config").arg(config), PATIENCE)
}

/// The same for a file that is refused.
fn refusal(wasm: &[u8], lines: &str) -> String {
    let folder = folder();
    write(&folder.path().join("guest.wasm"), wasm);
    let began = Instant::now();
    let ended = check(folder.path(), lines);
    assert_eq!(ended.code, Some(2), "{}{}", ended.output, ended.errors);
    assert!(began.elapsed() < Duration::from_secs(40), "{}", ended.errors);
    ended.errors
}

fn number(mut value: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            octets.push(low);
            return octets;
        }
        octets.push(low | 0x80);
    }
}

/// A program of so many functions with this body, which has one group of locals.
///
/// Source: WebAssembly core specification, section 5.5.
fn program(functions: usize, locals: usize, body: &[u8]) -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id], &*number(content.len()), content].concat();
    let body = [&[1], &*number(locals), &[0x7f], body, &[0x0b]].concat();
    let code = [number(body.len()), body].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[number(functions), vec![0; functions]].concat()),
        section(7, &[&[1, 6], &b"_start"[..], &[0, 0]].concat()),
        section(10, &[number(functions), code.repeat(functions)].concat()),
    ]
    .concat()
}

/// One function of some megabytes, in which everything depends on everything.
fn giant() -> Vec<u8> {
    // local.get 0, i32.const 1, i32.add, local.tee 0, local.get 1, i32.add, local.set 1, local.get 1, if, ... end
    let unit = [0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x20, 1, 0x6a, 0x21, 1, 0x20, 1, 0x04, 0x40, 0x20, 0, 0x21, 1, 0x0b];
    program(1, 50, &unit.repeat(300_000))
}

#[test]
fn a_plugin_that_takes_too_long_to_compile_is_refused() {
    let errors = refusal(&giant(), "[limits]\ncompile_time = \"1s\"\n");
    assert!(errors.contains("compiling it takes more than 1 s"), "{errors}");
    assert!(errors.contains("raise `compile_time`") && errors.contains("guest.wasm\""), "{errors}");
}

#[test]
fn a_plugin_that_takes_too_much_memory_to_compile_is_refused() {
    let limit = "[limits]\ncompile_memory = \"192MiB\"\n";
    let nested = program(1, 1, &[[0x02, 0x40].repeat(1_000_000), vec![0x0b; 1_000_000]].concat());
    for wasm in [program(900_000, 1, &[0x01]), nested] {
        let errors = refusal(&wasm, limit);
        assert!(errors.contains("compiling it takes more than 192 MiB of memory"), "{errors}");
    }
}

#[test]
fn what_is_too_large_or_cut_short_is_not_even_compiled() {
    let whole = guest::component(PASS);
    let errors = refusal(&whole, "[limits]\nplugin_size = \"1KB\"\n");
    assert!(errors.contains("is larger than 1000 octets"), "{errors}");
    let mut large = whole.clone();
    large.resize(200 << 20, 0);
    assert!(refusal(&large, "").contains("is larger than 64 MiB"));
    for cut in [9, whole.len() / 3, whole.len() - 1] {
        let errors = refusal(&whole[..cut], "");
        assert!(errors.contains("can't be used: "), "cut at {cut}: {errors}");
    }
}

#[test]
fn a_reload_that_brings_a_bomb_leaves_the_running_configuration() {
    let mail = crlf(&message(1, "first", "", "One.\n"));
    let mailbox = Mailbox::serve(std::slice::from_ref(&mail));
    let folder = folder();
    let plugin = folder.path().join("guest.wasm");
    write(&plugin, guest::component(PASS));
    let config = format!(
        "{}[[filter]]\nplugin = \"guest.wasm\"\n[limits]\ncompile_time = \"3s\"\n",
        SERVER.replace("127.0.0.1:110", &mailbox.address().to_string())
    );
    let popgate = Popgate::start_in(folder, &config);
    write(&plugin, giant());
    popgate.process().hang_up();
    popgate.wait_for_log("configuration not reloaded, the old one stays");
    popgate.wait_for_log("compiling it takes more than 3 s");
    assert_eq!(fetched(&popgate), mail);
}

/// The message, in a session of its own.
fn fetched(popgate: &Popgate) -> Vec<u8> {
    let mut client = popgate.connect("pop3");
    client.log_in("alice", "secret");
    client.succeed("RETR 1");
    client.body()
}

#[test]
fn a_plugin_that_is_exchanged_on_disk_counts_from_the_next_reload() {
    let mail = crlf(&message(1, "first", "", "One.\n"));
    let mailbox = Mailbox::serve(std::slice::from_ref(&mail));
    let folder = folder();
    let plugin = folder.path().join("guest.wasm");
    let (passing, holding) = (guest::component(PASS), guest::component(HOLD));
    write(&plugin, &passing);
    let server = SERVER.replace("127.0.0.1:110", &mailbox.address().to_string());
    let filter = "[[filter]]\nplugin = \"guest.wasm\"\ngrant = { connect = [\"127.0.0.1:3310\"] }\n";
    let popgate = Popgate::start_in(folder, &format!("{server}{filter}"));
    // Which plugin it is, and what it may, stands in the log.
    popgate.wait_for_log(&hex(&passing));
    let line = popgate.log().lines().find(|line| line.contains("filter loaded")).expect("it was loaded").to_owned();
    assert!(line.contains("guest.wasm") && line.contains("connect to 127.0.0.1:3310"), "{line}");
    assert!(line.contains("configured once (snapshot)"), "{line}");
    write(&plugin, &holding);
    assert_eq!(fetched(&popgate), mail);
    // A pin refuses it.
    let pinned = format!("{server}{filter}sha256 = \"{}\"\n", hex(&passing));
    let _path = popgate::configuration(popgate.folder(), &pinned);
    popgate.process().hang_up();
    popgate.wait_for_log(&format!("has the SHA-256 `{}`", hex(&holding)));
    assert_eq!(fetched(&popgate), mail);
    popgate.reload(&format!("{server}{filter}"));
    popgate.wait_for_log(&hex(&holding));
    assert!(String::from_utf8_lossy(&fetched(&popgate)).contains("Subject: [held] "));
}

fn hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().fold(String::new(), |mut text, octet| {
        // Writing to a text does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[test]
fn check_says_when_a_filter_is_configured() {
    let folder = folder();
    write(&folder.path().join("guest.wasm"), guest::component(PASS));
    for (lines, expected) in [
        ("", "configured once (snapshot)"),
        ("snapshot = false\n", "configured for each message: so the configuration has it"),
        ("[limits]\nsnapshot_size = \"1KB\"\n", "configured for each message: it is larger than 1000 octets"),
    ] {
        let ended = check(folder.path(), lines);
        let line =
            ended.output.lines().find(|line| line.contains(" guest ")).unwrap_or_else(|| panic!("{}", ended.errors));
        assert!(line.contains(expected), "{line}");
    }
    // Settings may be secret, and so may be what was made of them.
    let compiled = folder.path().join("state/compiled");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&compiled), 0o700);
    for entry in fs::read_dir(compiled).expect("it is there").flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
    }
}

#[test]
fn machine_code_that_somebody_has_touched_is_not_run() {
    let folder = folder();
    write(&folder.path().join("guest.wasm"), guest::component(PASS));
    assert_eq!(check(folder.path(), "").code, Some(0));
    let files = || fs::read_dir(folder.path().join("state/compiled")).expect("it is there").flatten();
    for entry in files() {
        let mut octets = fs::read(entry.path()).expect("it can be read");
        let last = octets.len() - 1;
        octets[last] ^= 1;
        octets.truncate(octets.len() - usize::from(last.is_multiple_of(2)));
        write(&entry.path(), octets);
    }
    let ended = check(folder.path(), "");
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.contains("is not as it was written"), "{}", ended.errors);
    assert!(!check(folder.path(), "").errors.contains("is not as it was written"));
}

/// A program that writes a line with control characters to standard error, very often.
const NOISY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\20\00\00\00")
  (data (i32.const 16) "\1b[2J\1b]0;gone\07 \e2\80\aeline of text\0a")
  (func (export "_start") (local $i i32)
    (loop (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $i) (i32.const 20000))))))"#;

#[test]
fn the_log_of_a_filter_is_bounded_and_moves_no_cursor() {
    let mail = crlf(&message(1, "first", "", "One.\n"));
    let mailbox = Mailbox::serve(std::slice::from_ref(&mail));
    let folder = folder();
    write(&folder.path().join("guest.wasm"), wat::parse_str(NOISY).expect("a module"));
    let server = SERVER.replace("127.0.0.1:110", &mailbox.address().to_string());
    let popgate = Popgate::start_in(folder, &format!("{server}[[filter]]\nplugin = \"guest.wasm\"\n"));
    assert_eq!(fetched(&popgate), mail);
    popgate.wait_for_log("the filter wrote too much, lines were dropped");
    let log = popgate.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("line of text")).collect();
    assert!((100..3_000).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines[0].contains("\\u{1b}[2J") && lines[0].contains("\\u{202e}"), "{}", lines[0]);
    assert!(!log.contains('\u{1b}') && !log.contains('\u{202e}') && !log.contains('\u{7}'));
    // It stands in the spans of the session and of nothing else.
    assert!(!lines[0].contains("fd_write"), "{}", lines[0]);
}

/// A program that writes this.
fn writes(text: &str) -> Vec<u8> {
    let octets = text.bytes().map(|octet| format!("\\{octet:02x}")).collect::<String>();
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00") (data (i32.const 16) "{octets}")
          (func (export "_start")
            (i32.store (i32.const 4) (i32.const {}))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
        text.len()
    );
    wat::parse_str(text).expect("a module")
}

#[test]
fn whatever_a_filter_writes_the_reply_has_one_end() {
    let mailbox =
        Mailbox::serve(&[crlf(&message(1, "first", "", "One.\n")), crlf(&message(2, "second", "", "Two.\n"))]);
    let server = SERVER.replace("127.0.0.1:110", &mailbox.address().to_string());
    for (written, comes) in [
        ("X: y\n\n.\n", "X: y\r\n\r\n.\r\n"),
        ("X: y\r\n\r\n.\r\n.\r\n..\r\n+OK forged\r\n", "X: y\r\n\r\n.\r\n.\r\n..\r\n+OK forged\r\n"),
        ("X: y\n\na\n.\nb\r.\rc\r\n.\n.", "X: y\r\n\r\na\r\n.\r\nb\r\n.\r\nc\r\n.\r\n.\r\n"),
        ("X: y\r\n\r\nno end", "X: y\r\n\r\nno end\r\n"),
    ] {
        let folder = folder();
        write(&folder.path().join("guest.wasm"), writes(written));
        let popgate = Popgate::start_in(folder, &format!("{server}[[filter]]\nplugin = \"guest.wasm\"\n"));
        let mut client = popgate.connect("pop3");
        client.log_in("alice", "secret");
        client.succeed("RETR 1");
        assert_eq!(String::from_utf8_lossy(&client.body()), comes, "{written:?}");
        // And they are in step.
        assert_eq!(client.succeed("NOOP").split(' ').next(), Some("+OK"));
        client.succeed("RETR 2");
        assert_eq!(String::from_utf8_lossy(&client.body()), comes, "{written:?}");
        client.succeed("QUIT");
    }
}

#[test]
fn the_process_that_compiles_tells_nothing_without_an_order() {
    let mut command = popgate::command();
    command.args(["compile-plugin", "--memory", "1000000000", "--seconds", "5", "--output", "1000000"]);
    let ended = process::run(command.stdin(std::process::Stdio::null()), PATIENCE);
    assert_eq!((ended.code, &*ended.output), (Some(1), ""));
    let help = process::run(popgate::command().arg("--help"), PATIENCE);
    assert!(!help.output.contains("compile-plugin"), "{}", help.output);
}
