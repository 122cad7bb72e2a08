//! Filters that are configured once, and those that can't be.

use super::*;

/// Passes if it was configured once in the life of its memory, whose variable `configure` has set.
const COUNTS: &str = "(global $configured (mut i32) (i32.const 0))
    (func $configure (param i32 i32) (result i32)
      (global.set $configured (i32.add (global.get $configured) (i32.const 1)))
      (i32.store (i32.const 8192) (i32.const 7))
      i32.const 0)
    (func $filter (param i32) (result i32)
      (select (i32.const 0) (i32.const 16) (i32.and
        (i32.eq (global.get $configured) (i32.const 1))
        (i32.eq (i32.load (i32.const 8192)) (i32.const 7)))))";

const PASS: &str = "(func $filter (param i32) (result i32) i32.const 0)";

impl Bench {
    /// When a guest gets its settings, after it has passed a message three times.
    async fn configuring(&self, functions: &str, section: &str) -> Configuring {
        self.write("guest.wasm", guest::component(functions));
        let section = format!("plugin = \"guest.wasm\"\nmemory = \"16MiB\"\n{section}");
        let loaded = self.loaded(&section).await.unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..3 {
            assert_eq!(examine(&*loaded.filter, MAIL).await.unwrap().verdict, Verdict::Pass);
        }
        loaded.configuring
    }

    /// Why a guest is configured for each message.
    async fn refused(&self, functions: &str, section: &str) -> String {
        match self.configuring(functions, section).await {
            Configuring::EachTime(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn kept(&self) -> usize {
        exists(&self.folder.path().join("state/compiled"))
    }
}

#[tokio::test]
async fn a_filter_is_configured_once_and_each_message_finds_it_so() {
    let bench = Bench::new();
    assert_eq!(bench.configuring(COUNTS, "").await, Configuring::Once);
    assert_eq!(bench.kept(), 2, "the plugin, and the configured one");
    // From what was kept.
    assert_eq!(bench.configuring(COUNTS, "").await, Configuring::Once);
    assert_eq!(bench.kept(), 2);
    assert_eq!(bench.configuring(COUNTS, "config = { a = 1 }").await, Configuring::Once);
    assert_eq!(bench.kept(), 3, "other settings are another snapshot of the same plugin");
    assert_eq!(bench.refused(COUNTS, "snapshot = false").await, "so the configuration has it");
}

#[tokio::test]
async fn a_component_of_components_is_configured_once_too() {
    // The filter of the test above, in a component inside; what it imports is handed on to it.
    let inner = guest::text(COUNTS);
    let imports = &inner[inner.find("(import").unwrap()..inner.find("(core func").unwrap()];
    let interfaces = [
        ("$mail", "popgate:filter/mail@0.1.0"),
        ("$log", "popgate:filter/log@0.1.0"),
        ("$error", "wasi:io/error@0.2.0"),
        ("$streams", "wasi:io/streams@0.2.0"),
        ("$stderr", "wasi:cli/stderr@0.2.0"),
    ];
    assert_eq!(imports.matches("(import").count(), interfaces.len());
    let inside = inner.trim().replacen("(component", "(component $inside", 1);
    let with = interfaces.map(|(instance, name)| format!("(with \"{name}\" (instance {instance}))")).concat();
    let whole = format!(
        "(component {imports} {inside} (instance $guest (instantiate $inside {with}))
           (alias export $guest \"popgate:filter/filter@0.1.0\" (instance $filter))
           (export \"popgate:filter/filter@0.1.0\" (instance $filter)))"
    );
    let bench = Bench::new();
    bench.write("guest.wasm", wat::parse_str(whole).unwrap_or_else(|error| panic!("{error}")));
    for _ in 0..2 {
        let loaded = bench.loaded("plugin = \"guest.wasm\"").await.unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..3 {
            assert_eq!(examine(&*loaded.filter, MAIL).await.unwrap().verdict, Verdict::Pass);
        }
        assert_eq!(loaded.configuring, Configuring::Once);
    }
}

/// A filter that counts in its memory the messages that it has seen. Passes up to so many, and holds the others.
fn counting(most: u32) -> String {
    format!(
        "(func $filter (param i32) (result i32)
           (call $drop_message (local.get 0))
           (i32.store (i32.const 8192) (i32.add (i32.load (i32.const 8192)) (i32.const 1)))
           (select (i32.const 0) (i32.const 16) (i32.le_u (i32.load (i32.const 8192)) (i32.const {most}))))"
    )
}

#[tokio::test]
async fn a_warm_filter_has_examined_a_message() {
    let (bench, warm) = (Bench::new(), "snapshot = \"warm\"");
    assert_eq!(bench.configuring(&counting(1), "").await, Configuring::Once);
    assert_eq!(bench.configuring(&counting(2), warm).await, Configuring::Once);
    // It holds the second message that it sees, and would hold all of them.
    assert!(bench.refused(&counting(1), warm).await.contains("configured once, it holds a message"));
    // A handle that is in its memory still would be one of the next message.
    assert!(bench.refused(PASS, warm).await.contains("1 handles are open"));
}

#[tokio::test]
async fn what_would_not_be_in_a_snapshot_is_configured_for_each_message() {
    let bench = Bench::new();
    let configure = |body: &str| format!("{PASS} (func $configure (param i32 i32) (result i32) {body} i32.const 0)");
    for (functions, expected) in [
        (configure("(drop (call $stderr))"), "1 handles are open"),
        (format!("{PASS} (table $t 1 funcref) (func (table.set $t (i32.const 0) (ref.null func)))"), "table.set"),
        (format!("{PASS} (global (mut v128) (v128.const i64x2 0 0))"), "v128"),
        (format!("{PASS} (memory $full 1 1)"), "its memory can't be read"),
    ] {
        let reason = bench.refused(&functions, "").await;
        assert!(reason.contains(expected), "{reason}");
    }
    let printing = configure("(call $print (call $stderr) (i32.const 1152) (i32.const 21) (i32.const 4096))");
    assert!(bench.refused(&printing, "").await.contains("does it print, or keep the message?"));
    let kept = bench.kept();
    assert!(bench.refused(&printing, "").await.contains("does it print, or keep the message?"));
    assert_eq!(bench.kept(), kept, "it is not tried again");
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_is_not_used() {
    let bench = Bench::new();
    bench.write("guest.wasm", guest::component(PASS));
    let bounds = Bounds { snapshot_size: 1000, ..Bounds::default() };
    let loaded = bench.catalogue.load(&bench.configured("plugin = \"guest.wasm\""), &bounds).await;
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(&loaded.configuring, Configuring::EachTime(reason) if reason.contains("larger than 1000 octets")));
}

#[tokio::test]
async fn memory_is_what_it_was_to_the_last_page() {
    // The limit is all used up: what reads the memory needs more of it, the filter must not get that.
    let grows = "(func $configure (param i32 i32) (result i32)
          (if (i32.eq (memory.grow (i32.const 200)) (i32.const -1)) (then unreachable))
          (i32.store (i32.const 13000000) (i32.const 7)) i32.const 0)
        (func $filter (param i32) (result i32)
          (select (i32.const 0) (i32.const 16) (i32.and
            (i32.eq (memory.size) (i32.const 202)) (i32.eq (i32.load (i32.const 13000000)) (i32.const 7)))))";
    assert_eq!(Bench::new().configuring(grows, "").await, Configuring::Once);
}

#[tokio::test]
async fn data_files_are_part_of_what_a_filter_is_configured_with() {
    use sha2::{Digest, Sha256};
    let bench = Bench::new();
    let mail = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\r\nbad file\r\n";
    let section = "plugin = \"virus\"\ndata = { signatures = \"list\" }";
    for (content, verdict) in [("bad file", false), ("another", true), ("bad file", false)] {
        let digests = [content, &format!("{content}\r\n")].map(|content| crate::plugin::hex(&Sha256::digest(content)));
        bench.write("list", digests.map(|digest| format!("{digest} Test\n")).concat());
        let loaded = bench.loaded(section).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.configuring, Configuring::Once);
        assert_eq!(examine(&*loaded.filter, mail).await.unwrap().verdict == Verdict::Pass, verdict, "{content}");
    }
}
