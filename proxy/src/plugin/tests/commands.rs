//! Commands: programs that read a message and write one.

use super::*;
use crate::message::Edit;

/// A program for WASI 0.1. `$out` writes what lies at an address to standard output, `$err` to standard error, `$in` reads
/// up to 4,096 octets of standard input to 8192 and gives how many.
fn program(start: &str) -> String {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 2)
        (data (i32.const 1024) "X-Seen: yes\0d\0a")
        (data (i32.const 1040) "first\0asecond\0a")
        (func $write (param $fd i32) (param $at i32) (param $length i32) (result i32)
          (i32.store (i32.const 0) (local.get $at))
          (i32.store (i32.const 4) (local.get $length))
          (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
        (func $out (param i32 i32) (drop (call $write (i32.const 1) (local.get 0) (local.get 1))))
        (func $err (param i32 i32) (drop (call $write (i32.const 2) (local.get 0) (local.get 1))))
        (func $in (result i32)
          (i32.store (i32.const 0) (i32.const 8192))
          (i32.store (i32.const 4) (i32.const 4096))
          (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (i32.load (i32.const 8)))
        (func $copy (local $count i32)
          (loop $again
            (local.set $count (call $in))
            (call $out (i32.const 8192) (local.get $count))
            (br_if $again (local.get $count))))
        (func (export "_start") {start}))"#
    )
}

async fn load(start: &str, section: &str) -> Result<Arc<dyn Filter>, LoadError> {
    let bench = Bench::new();
    bench.write("command.wasm", wat::parse_str(program(start)).unwrap());
    bench.load(&format!("plugin = \"command.wasm\"\nmemory = \"16MiB\"\n{section}")).await
}

async fn run(start: &str, mail: &str) -> Result<Decision, Failure> {
    let filter = load(start, "").await.unwrap_or_else(|error| panic!("{error}"));
    examine(&*filter, mail).await
}

#[tokio::test]
async fn a_program_that_writes_nothing_changes_nothing() {
    for start in ["", "(drop (call $in))", "(call $exit (i32.const 0))", "(call $copy)"] {
        let decision = run(start, MAIL).await.unwrap();
        assert!(decision.verdict == Verdict::Pass && decision.edits.is_empty(), "{start}: {decision:?}");
    }
}

#[tokio::test]
async fn what_it_writes_is_the_message() {
    let large = format!("{MAIL}{}", "line\r\n".repeat(100_000));
    for mail in [MAIL, &large] {
        let decision = run("(call $out (i32.const 1024) (i32.const 13)) (call $copy)", mail).await.unwrap();
        assert!(matches!(&decision.edits[..], [Edit::ReplaceHeaders(_)]), "{decision:?}");
        let changed = Message::from_bytes(mail.into()).apply(&decision.edits).unwrap();
        assert_eq!(changed.read(0, usize::MAX), format!("X-Seen: yes\r\n{mail}").as_bytes());
    }
    let cut = "(call $out (i32.const 8192) (i32.sub (call $in) (i32.const 2)))";
    let decision = run(cut, MAIL).await.unwrap();
    assert!(matches!(&decision.edits[..], [Edit::ReplaceMessage(_)]), "{decision:?}");
}

#[tokio::test]
async fn the_exit_status_is_the_verdict() {
    let said = "(call $err (i32.const 1040) (i32.const 13))";
    let decision = run(&format!("{said} (call $exit (i32.const 10))"), MAIL).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Hold("first".into()));
    let later = run(&format!("{said} (call $exit (i32.const 75))"), MAIL).await.unwrap_err();
    assert_eq!(later, Failure::Service("asks to be tried again later: first".into()));
    let text = reason(run(&format!("{said} (call $exit (i32.const 3))"), MAIL).await);
    assert_eq!(text, "exited with status 3: first");
    let text = reason(run("(call $copy) (call $exit (i32.const 10))", MAIL).await);
    assert!(text.contains("although it has written"), "{text}");
}

#[tokio::test]
async fn what_is_no_mail_is_the_failure_of_the_filter() {
    let text = reason(run("(call $out (i32.const 1040) (i32.const 13))", MAIL).await);
    assert!(text.contains("no mail"), "{text}");
}

#[tokio::test]
async fn a_flood_ends_and_keeps_nothing() {
    let text = reason(run("(loop $again (call $out (i32.const 0) (i32.const 65536)) (br $again))", MAIL).await);
    assert!(text.contains("wrote more than"), "{text}");
    let text = reason(run("unreachable", MAIL).await);
    assert!(text.contains("unreachable"), "{text}");
}

#[tokio::test]
async fn facts_and_settings_are_in_the_environment() {
    let start = "(drop (call $sizes (i32.const 16) (i32.const 20)))
                 (drop (call $environ (i32.const 4096) (i32.const 16384)))
                 (call $err (i32.const 16384) (i32.load (i32.const 20)))
                 (call $exit (i32.const 10))";
    let filter = load(start, "name = \"mine\"\n[filter.config]\nword = \"a b\"").await.unwrap();
    let Verdict::Hold(reason) = examine(&*filter, MAIL).await.unwrap().verdict else { panic!() };
    let variables: Vec<_> = reason.split("\\u{0}").collect();
    for expected in [
        "POPGATE_FILTER=mine",
        "POPGATE_SETTINGS={\"word\":\"a%20b\"}",
        "POPGATE_USER=alice",
        "POPGATE_TLS=true",
        "POPGATE_SDPS_SENDER=sender@example.org",
    ] {
        assert!(variables.contains(&expected), "{variables:?}");
    }
    assert!(!variables.iter().any(|variable| variable.starts_with("PATH")), "{variables:?}");
}

#[tokio::test]
async fn no_clock_is_fine_enough_to_time_a_cache() {
    // Both clocks are read until they have gone on; what they show are whole milliseconds.
    let reads = |clock: u32| {
        format!(
            "(loop $again
               (drop (call $clock (i32.const {clock}) (i64.const 1) (i32.const 64)))
               (if (i64.ne (i64.rem_u (i64.load (i32.const 64)) (i64.const 1000000)) (i64.const 0)) (then unreachable))
               (if (i64.eqz (i64.load (i32.const 72))) (then (i64.store (i32.const 72) (i64.load (i32.const 64)))))
               (br_if $again (i64.eq (i64.load (i32.const 72)) (i64.load (i32.const 64)))))"
        )
    };
    for clock in [0, 1] {
        assert_eq!(run(&reads(clock), MAIL).await.unwrap().verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn each_message_gets_a_fresh_program() {
    let counts = "(i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
                  (call $exit (i32.sub (i32.load (i32.const 64)) (i32.const 1)))";
    let filter = load(counts, "").await.unwrap();
    for _ in 0..3 {
        assert_eq!(examine(&*filter, MAIL).await.unwrap().verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn a_command_has_no_data_files() {
    let bench = Bench::new();
    bench.write("command.wasm", wat::parse_str(program("")).unwrap());
    bench.write("list", "x");
    let error = bench.load("plugin = \"command.wasm\"\ndata = { list = \"list\" }").await.err().unwrap();
    assert!(matches!(error, LoadError::CommandData { .. }), "{error}");
}
