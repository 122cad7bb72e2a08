//! What guests may try, and that it stays their own failure.

use std::time::{Duration, Instant};

use super::*;

fn filter(body: &str) -> String {
    format!("(func $filter (param $message i32) (result i32) {body})")
}

#[tokio::test]
async fn the_answers_of_a_guest_arrive() {
    let bench = Bench::new();
    assert_eq!(bench.run(&filter("i32.const 0"), "").await.unwrap().verdict, Verdict::Pass);
    assert_eq!(bench.run(&filter("i32.const 16"), "").await.unwrap().verdict, Verdict::Hold("why".into()));
    assert_eq!(bench.run(&filter("i32.const 32"), "").await.unwrap_err(), Failure::Service("why".into()));
    assert_eq!(bench.run(&filter("i32.const 48"), "").await.unwrap_err(), Failure::Message("why".into()));
}

#[tokio::test]
async fn traps_are_the_failure_of_the_message_and_say_what_was_printed() {
    let bench = Bench::new();
    for (body, expected) in [
        ("unreachable", "trapped: unreachable"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "trapped: integer divide by zero"),
        ("(i32.load (i32.const -4))", "trapped: out of bounds memory access"),
        (
            "(call $print (call $stderr) (i32.const 1152) (i32.const 21) (i32.const 4096)) unreachable",
            "trapped: unreachable (stderr: something went wrong)",
        ),
    ] {
        assert_eq!(reason(bench.run(&filter(body), "").await), expected);
    }
    let recursion = "(func $f (param i64) (result i64) (i64.add (call $f (local.get 0)) (i64.const 1)))";
    let body = filter("(drop (call $f (i64.const 0))) i32.const 0");
    assert_eq!(reason(bench.run(&format!("{recursion}{body}"), "").await), "trapped: call stack exhausted");
}

#[tokio::test]
async fn bad_pointers_are_refused() {
    let bench = Bench::new();
    for body in [
        // A result outside of the memory, one that is not aligned, one with a case that there is not.
        "i32.const -16",
        "i32.const 1",
        "(i32.store (i32.const 4096) (i32.const 7)) i32.const 4096",
        // A reason that ends outside of the memory, and one that is not UTF-8.
        "(i32.store (i32.const 28) (i32.const -1)) i32.const 16",
        "(i32.store (i32.const 1024) (i32.const -1)) i32.const 16",
        // Handles that it does not have.
        "(drop (call $size (i32.const 99))) i32.const 0",
        "(call $drop_message (local.get 0)) (drop (call $size (local.get 0))) i32.const 0",
        "(drop (call $size (call $stderr))) i32.const 0",
    ] {
        reason(bench.run(&filter(body), "").await);
    }
}

#[tokio::test]
async fn arguments_outside_of_the_memory_end_the_guest() {
    let bench = Bench::new();
    for body in [
        // Behind the end, over the end, a length that is negative, an address for the answer that is none.
        "(call $log (i32.const 1) (i32.const -8) (i32.const 8))",
        "(call $log (i32.const 1) (i32.const 1024) (i32.const 131072))",
        "(call $log (i32.const 1) (i32.const 1024) (i32.const -1))",
        "(call $find (local.get 0) (i32.const 1024) (i32.const 3) (i64.const 0) (i32.const -4))",
        "(call $read (local.get 0) (i64.const 0) (i32.const 8) (i32.const 3))",
        // A level that there is not, and a name that is not UTF-8.
        "(call $log (i32.const 7) (i32.const 1024) (i32.const 3))",
        "(i32.store (i32.const 4096) (i32.const -1)) (call $log (i32.const 1) (i32.const 4096) (i32.const 4))",
    ] {
        reason(bench.run(&filter(&format!("{body} i32.const 0")), "").await);
    }
}

#[tokio::test]
async fn overlapping_arguments_are_read_as_they_are() {
    // The name, the value and the place for the answer share octets.
    let body = "(call $add_header (local.get 0) (i32.const 1040) (i32.const 6) (i32.const 1042) (i32.const 4) (i32.const 1040))";
    let decision = Bench::new().run(&filter(&format!("{body} i32.const 0")), "").await.unwrap();
    let message = Message::from_bytes(MAIL.into()).apply(&decision.edits).unwrap();
    assert_eq!(message.header("X-Test").as_deref(), Some("Test"));
}

#[tokio::test]
async fn a_spin_through_a_branch_table_ends_with_its_cpu_time() {
    let body = "(local $i i32) (loop $again
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (block $a (block $b (br_table $a $b $again (i32.rem_u (local.get $i) (i32.const 5)))) (br $again)) (br $again))
        i32.const 0";
    assert_eq!(reason(Bench::new().run(&filter(body), "cpu = \"50ms\"").await), "used more than its 50 ms of CPU time");
}

#[tokio::test]
async fn very_many_variables_are_refused_or_do_no_harm() {
    let many = |count: usize| format!("{}{}", "(global (mut i64) (i64.const 1))".repeat(count), filter("i32.const 0"));
    let bench = Bench::new();
    assert!(bench.run(&many(10_000), "").await.is_ok());
    // More than a place for a guest has room for.
    let error = bench.guest(&many(600_000), "").await.err().unwrap();
    assert!(matches!(error, LoadError::Compile { .. }), "{error}");
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_cpu_time_and_others_get_their_turn() {
    let bench = Bench::new();
    // One thread for all of it.
    let looping = bench.guest(&filter("(loop br 0) i32.const 0"), "cpu = \"300ms\"").await.unwrap();
    let neighbour = bench.guest(&filter("i32.const 0"), "").await.unwrap();
    let began = Instant::now();
    let task = tokio::spawn(async move { examine(&*looping, MAIL).await });
    tokio::task::yield_now().await;
    let mut turns = 0;
    while !task.is_finished() {
        examine(&*neighbour, MAIL).await.unwrap();
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert_eq!(reason(task.await.unwrap()), "used more than its 300 ms of CPU time");
    assert!(turns >= 10, "{turns} turns");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_loop_of_calls_and_one_that_waits_end_too() {
    let bench = Bench::new();
    let calls = "(loop (drop (call $size (local.get 0))) br 0) i32.const 0";
    assert_eq!(
        reason(bench.run(&filter(calls), "cpu = \"20s\"\ntimeout = \"20s\"").await),
        "called the host more than 500000 times"
    );
    // The wall time is over before the CPU time is.
    let looping = filter("(loop br 0) i32.const 0");
    let filter = bench.guest(&looping, "cpu = \"5s\"\ntimeout = \"200ms\"").await.unwrap();
    assert_eq!(reason(examine(&*filter, MAIL).await), "took longer than 200 ms");
}

#[tokio::test]
async fn a_start_function_has_the_same_limits() {
    let start = format!("{} (func $s (loop br 0)) (start $s)", filter("i32.const 0"));
    let error = Bench::new().guest(&start, "cpu = \"50ms\"").await.err().unwrap();
    assert!(error.to_string().contains("used more than its 50 ms of CPU time"), "{error}");
}

#[tokio::test]
async fn memory_and_tables_have_one_limit() {
    let bench = Bench::new();
    let hog = "(loop (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) br 0) i32.const 0";
    assert_eq!(reason(bench.run(&filter(hog), "").await), "needed more than 16 MiB of memory");
    // What a guest is refused and can do without is no failure.
    let modest = "(drop (memory.grow (i32.const 60000))) i32.const 16";
    assert!(bench.run(&filter(modest), "").await.is_ok());
    let table = format!(
        "(table $t 1 funcref) {}",
        filter(
            "(loop (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable)) br 0) i32.const 0"
        )
    );
    reason(bench.run(&table, "").await);
    // Too much from the start.
    let large = format!("(memory $m 400) {}", filter("i32.const 0"));
    let error = bench.guest(&large, "").await.err().unwrap();
    assert!(error.to_string().contains("needed more than 16 MiB of memory"), "{error}");
}

#[tokio::test]
async fn huge_arguments_are_refused_or_end_the_guest() {
    let bench = Bench::new();
    let long = |length: u32| {
        filter(&format!(
            "(drop (memory.grow (i32.const 64)))
             (call $replace (local.get 0) (i32.const 4096))
             (call $write (i32.load (i32.const 4100)) (i32.const 65536) (i32.const {length}) (i32.const 4200))
             ;; The error's text is there; hold if it is an error.
             (select (i32.const 16) (i32.const 0) (i32.load8_u (i32.const 4200)))"
        ))
    };
    assert_eq!(bench.run(&long(65_537), "").await.unwrap().verdict, Verdict::Hold("why".into()));
    assert!(reason(bench.run(&long(4_000_000), "").await).contains("fuel"));
    let read = "(call $read (local.get 0) (i64.const -4) (i32.const -1) (i32.const 4096)) (i32.load (i32.const 4100))";
    assert_eq!(bench.run(&filter(read), "").await.unwrap().verdict, Verdict::Pass);
}

#[tokio::test]
async fn contents_that_are_never_closed_are_bounded() {
    let body = "(local $part i32)
        (call $part (local.get 0) (i32.const 0) (i32.const 4096))
        (local.set $part (i32.load (i32.const 4100)))
        (loop (drop (call $content (local.get $part))) br 0) i32.const 0";
    assert!(reason(Bench::new().run(&filter(body), "").await).contains("256 contents"));
}

#[tokio::test]
async fn edits_are_recorded_whenever_the_message_is_dropped() {
    let bench = Bench::new();
    let add = "(call $add_header (local.get 0) (i32.const 1040) (i32.const 6) (i32.const 1024) (i32.const 3) (i32.const 4096))";
    for after in ["", "(call $drop_message (local.get 0))"] {
        let decision = bench.run(&filter(&format!("{add} {after} i32.const 0")), "").await.unwrap();
        let message = Message::from_bytes(MAIL.into());
        assert_eq!(message.apply(&decision.edits).unwrap().header("X-Test").as_deref(), Some("why"));
    }
    assert!(bench.run(&filter(&format!("{add} i32.const 16")), "").await.unwrap().edits.is_empty());
}

#[tokio::test]
async fn an_edit_that_would_break_the_mail_is_refused_with_a_reason() {
    let body = "(call $add_header (local.get 0) (i32.const 1040) (i32.const 6) (i32.const 1056) (i32.const 14) (i32.const 4096))
        (if (i32.eqz (i32.load8_u (i32.const 4096))) (then unreachable))
        (call $log (i32.const 1) (i32.load (i32.const 4100)) (i32.load (i32.const 4104)))
        i32.const 0";
    assert!(Bench::new().run(&filter(body), "").await.unwrap().edits.is_empty());
}

/// Sets a header field. Holds the message if that is refused.
fn setting(name: &str, value: &str) -> String {
    let data = |text: &str| text.bytes().map(|octet| format!("\\{octet:02x}")).collect::<String>();
    format!(
        "(data (i32.const 9000) \"{}\") (data (i32.const 10000) \"{}\") {}",
        data(name),
        data(value),
        filter(&format!(
            "(call $add_header (local.get 0) (i32.const 9000) (i32.const {}) (i32.const 10000) (i32.const {}) (i32.const 4096))
             (select (i32.const 16) (i32.const 0) (i32.load8_u (i32.const 4096)))",
            name.len(),
            value.len()
        ))
    )
}

#[tokio::test]
async fn header_fields_that_are_none_are_never_written() {
    let bench = Bench::new();
    for (name, value) in [
        ("X-A", "b\r\nX-Forged: c"),
        ("X-A", "b\nX-Forged: c"),
        ("X-A", "b\rc"),
        ("X-A", "b\0c"),
        ("X-A\r\nX-Forged", "b"),
        ("X-A: b\r\n\r\nbody", "b"),
        ("X A", "b"),
        ("X:A", "b"),
        ("X-\u{e4}", "b"),
        ("X-\0", "b"),
        ("", "b"),
    ] {
        let decision = bench.run(&setting(name, value), "").await.unwrap();
        assert_eq!(decision.verdict, Verdict::Hold("why".into()), "{name:?}: {value:?}");
    }
    let (long, strange) = ("word ".repeat(2_000), "\u{1f600}".repeat(500));
    for value in [&*long, &strange, &"x".repeat(5_000)] {
        let decision = bench.run(&setting("X-A", value), "").await.unwrap();
        let message = Message::from_bytes(MAIL.into()).apply(&decision.edits).unwrap();
        let header = message.read(0, usize::try_from(message.head_len()).unwrap());
        assert!(header.is_ascii() && header.split(|octet| *octet == b'\n').all(|line| line.len() <= 999));
        assert_eq!(message.header("X-A").unwrap().trim_end(), value.trim_end());
    }
}

#[tokio::test]
async fn what_a_guest_writes_has_at_most_twice_the_size_of_the_message_and_some() {
    // 16 pieces of 64 KiB fit, since the message is small; the next one is refused, with a reason, and what there is stays.
    let body = "(local $i i32)
        (call $replace (local.get 0) (i32.const 4096))
        (call $write (i32.load (i32.const 4100)) (i32.const 1088) (i32.const 16) (i32.const 4200))
        (loop $again
          (call $write (i32.load (i32.const 4100)) (i32.const 0) (i32.const 65536) (i32.const 4200))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.and (i32.eqz (i32.load8_u (i32.const 4200))) (i32.lt_u (local.get $i) (i32.const 100000)))))
        (select (i32.const 0) (i32.const 16) (i32.eq (local.get $i) (i32.const 17)))";
    let decision = Bench::new().run(&filter(body), "").await.unwrap();
    assert_eq!(decision.verdict, Verdict::Pass);
    let message = Message::from_bytes(MAIL.into()).apply(&decision.edits).unwrap();
    assert!(message.len() < 2 * MAIL.len() as u64 + (1 << 20) + 100_000, "{}", message.len());
}

#[tokio::test]
async fn edits_are_counted() {
    // The thousandth is taken, the next one is not.
    let body = "(local $i i32)
        (loop $again
          (call $add_header (local.get 0) (i32.const 1040) (i32.const 6) (i32.const 1024) (i32.const 3) (i32.const 4096))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.and (i32.eqz (i32.load8_u (i32.const 4096))) (i32.lt_u (local.get $i) (i32.const 100000)))))
        (select (i32.const 0) (i32.const 16) (i32.eq (local.get $i) (i32.const 1001)))";
    let decision = Bench::new().run(&filter(body), "").await.unwrap();
    assert_eq!((decision.verdict, decision.edits.len()), (Verdict::Pass, 1_000));
}

#[tokio::test]
async fn handles_of_wasi_that_are_never_closed_are_bounded() {
    let reason = reason(Bench::new().run(&filter("(loop (drop (call $stderr)) br 0) i32.const 0"), "").await);
    assert!(reason.contains("resource"), "{reason}");
}

#[tokio::test]
async fn a_guest_that_calls_the_host_while_the_host_asks_it_for_memory_ends() {
    // A call within a call. The component model forbids it; the guest's allocator is the only way to try.
    let text = guest::text(&filter("i32.const 0")).replace(";; REALLOC", "(drop (call $size (i32.const 1)))");
    let bench = Bench::new();
    bench.write("guest.wasm", wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")));
    // The settings are a text that needs memory, too.
    let refused = bench.load("plugin = \"guest.wasm\"").await.err().unwrap().to_string();
    assert!(refused.contains("cannot leave component instance"), "{refused}");
}

#[tokio::test]
async fn a_replacement_must_be_mail() {
    let bench = Bench::new();
    let replace = |from: u32, length: u32| {
        filter(&format!(
            "(call $replace (local.get 0) (i32.const 4096))
             (call $write (i32.load (i32.const 4100)) (i32.const {from}) (i32.const {length}) (i32.const 4200))
             i32.const 0"
        ))
    };
    let decision = bench.run(&replace(1088, 26), "").await.unwrap();
    let message = Message::from_bytes(MAIL.into()).apply(&decision.edits).unwrap();
    assert_eq!(message.header("Subject").as_deref(), Some("new"));
    assert!(reason(bench.run(&replace(1024, 3), "").await).starts_with("replaced the message with what is no mail"));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_no_failure() {
    let body = "(local $i i32)
        (loop (call $log (i32.const 1) (i32.const 0) (i32.const 4096))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $i) (i32.const 10000))))
        i32.const 0";
    assert!(Bench::new().run(&filter(body), "").await.is_ok());
}

#[tokio::test]
async fn no_message_meets_what_another_one_left() {
    let counter = format!(
        "(global $count (mut i32) (i32.const 0)) {}",
        filter(
            "(global.set $count (i32.add (global.get $count) (i32.const 1)))
             (i32.store (i32.const 8192) (i32.add (i32.load (i32.const 8192)) (i32.const 1)))
             (select (i32.const 0) (i32.const 16)
               (i32.eq (i32.add (global.get $count) (i32.load (i32.const 8192))) (i32.const 2)))"
        )
    );
    let bench = Bench::new();
    let filter = bench.guest(&counter, "").await.unwrap();
    for _ in 0..200 {
        assert_eq!(examine(&*filter, MAIL).await.unwrap().verdict, Verdict::Pass);
    }
}

#[tokio::test]
async fn an_examination_can_be_dropped_at_any_time() {
    let bench = Bench::new();
    let looping = bench.guest(&filter("(loop br 0) i32.const 0"), "cpu = \"5s\"").await.unwrap();
    for _ in 0..300 {
        // More often than there are places.
        let _ = tokio::time::timeout(Duration::from_millis(1), examine(&*looping, MAIL)).await.unwrap_err();
    }
    assert!(bench.run(&filter("i32.const 0"), "").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_messages_than_places_wait_for_their_turn() {
    let bench = Bench::new();
    let filter = bench.guest(&filter("i32.const 0"), "").await.unwrap();
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let filter = Arc::clone(&filter);
            tokio::spawn(async move { examine(&*filter, MAIL).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().verdict, Verdict::Pass);
    }
}
