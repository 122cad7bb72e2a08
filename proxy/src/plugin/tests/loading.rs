//! What can't be loaded, and what the operator hears.

use super::*;

const PASS: &str = "(func $filter (param i32) (result i32) i32.const 0)";

/// The text and the hint of the error of a plugin file.
async fn refused(octets: &[u8], section: &str) -> (LoadError, String) {
    let bench = Bench::new();
    bench.write("bad.wasm", octets);
    let error = bench.load(&format!("plugin = \"bad.wasm\"\n{section}")).await.err().unwrap();
    let text = format!("{error} hint: {}", error.hint().unwrap_or_default());
    (error, text)
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn files_that_are_no_component_are_told_apart() {
    for (octets, expected) in [
        (&b""[..], "the file is empty"),
        (b"#!/bin/sh\n", "begins with `#!/bin/s`"),
        (b"\x7fELF\x02\x01", "popgate compiles plugins itself"),
        (b"(component)", "the text format"),
        (b"\0as", "begins with `\\x00as`"),
    ] {
        let (error, text) = refused(octets, "").await;
        assert!(text.contains(expected), "{text}");
        assert!(matches!(error, LoadError::NotWasm { .. }), "{text}");
    }
    let (error, text) = refused(&wat("(module (import \"env\" \"system\" (func)))"), "").await;
    assert!(matches!(error, LoadError::CoreModule { .. }) && text.contains("env"), "{text}");
    let (error, text) = refused(&wat("(module)"), "").await;
    assert!(matches!(error, LoadError::OtherWorld { .. }) && text.contains("it exports nothing"), "{text}");
}

#[tokio::test]
async fn broken_components_do_not_compile() {
    let whole = guest::component(PASS);
    for broken in [&b"\0asm\x07\0\x01\0"[..], &whole[..whole.len() / 2], b"\0asm\x0d\0\x01\0\xff"] {
        let (error, text) = refused(broken, "").await;
        assert!(matches!(error, LoadError::Compile { .. }), "{text}");
    }
}

#[tokio::test]
async fn components_of_another_world_are_named_by_what_they_export() {
    let (error, text) = refused(&wat("(component)"), "").await;
    assert!(matches!(error, LoadError::OtherWorld { .. }));
    assert!(text.contains("it exports nothing") && text.contains("`popgate:filter/filter@0.1.0`"), "{text}");

    let (_, text) = refused(&wat(r#"(component (instance $i) (export "wasi:cli/run@0.2.3" (instance $i)))"#), "").await;
    assert!(text.contains("`wasi:cli/run@0.2.") && text.contains("does not have export `run`"), "{text}");

    let other = wat(r#"(component (instance $i) (export "popgate:filter/filter@0.2.0" (instance $i)))"#);
    let (error, text) = refused(&other, "").await;
    assert!(matches!(error, LoadError::OtherTrack { .. }));
    assert!(text.contains("`popgate:filter/filter@0.2.0`") && text.contains("`popgate:filter/filter@0.1.0`"), "{text}");
}

#[tokio::test]
async fn an_import_that_filters_do_not_get_is_named() {
    for import in ["wasi:http/types@0.2.0", "popgate:filter/store@0.1.0", "example:own/thing"] {
        let component = wat(&format!(
            r#"(component (import "{import}" (instance (export "f" (func))))
                 (instance $i) (export "popgate:filter/filter@0.1.0" (instance $i)))"#
        ));
        let (error, text) = refused(&component, "").await;
        assert!(matches!(error, LoadError::UnknownImport { .. }), "{text}");
        assert!(text.contains(&format!("`{import}`")), "{text}");
    }
}

#[tokio::test]
async fn a_filter_of_the_same_track_loads_whatever_the_last_number_of_its_version() {
    let bench = Bench::new();
    let text = guest::text(PASS).replace("popgate:filter/filter@0.1.0", "popgate:filter/filter@0.1.7");
    bench.write("newer.wasm", wat(&text));
    let filter = bench.load("plugin = \"newer.wasm\"").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(examine(&*filter, MAIL).await.unwrap().verdict, Verdict::Pass);
}

#[tokio::test]
async fn an_interface_without_its_functions_is_refused() {
    let empty = wat(r#"(component (instance $i) (export "popgate:filter/filter@0.1.0" (instance $i)))"#);
    let (error, text) = refused(&empty, "").await;
    assert!(matches!(error, LoadError::Compile { .. }), "{text}");
}

#[tokio::test]
async fn a_pin_is_compared_and_both_hashes_are_shown() {
    let pin = "00".repeat(32);
    let (error, text) = refused(&guest::component(PASS), &format!("sha256 = \"{pin}\"")).await;
    let LoadError::Pin { actual, .. } = error else { panic!("{text}") };
    let actual = super::super::text::hex(&actual);
    assert!(text.contains(&pin) && text.contains(&actual), "{text}");
    assert!(Bench::new().guest(PASS, &format!("sha256 = \"{actual}\"")).await.is_ok());
}

#[tokio::test]
async fn missing_and_oversized_files_and_unknown_names() {
    let bench = Bench::new();
    let error = bench.load("plugin = \"missing.wasm\"").await.err().unwrap();
    assert!(matches!(&error, LoadError::Unreadable { path, .. } if path.ends_with("missing.wasm")), "{error}");

    std::fs::File::create(bench.folder.path().join("large.wasm")).unwrap().set_len((64 << 20) + 1).unwrap();
    let error = bench.load("plugin = \"large.wasm\"").await.err().unwrap();
    assert!(error.to_string().ends_with("is larger than 64 MiB"), "{error}");

    std::fs::create_dir(bench.folder.path().join("folder.wasm")).unwrap();
    let error = bench.load("plugin = \"folder.wasm\"").await.err().unwrap();
    assert!(error.to_string().contains("no regular file"), "{error}");

    let error = bench.load("plugin = \"virsu\"").await.err().unwrap();
    assert!(matches!(error, LoadError::UnknownBundled { .. }) && error.hint().unwrap().contains("virus"), "{error}");

    bench.write("guest.wasm", guest::component(PASS));
    let error = bench.load("plugin = \"guest.wasm\"\ndata = { list = \"missing.txt\" }").await.err().unwrap();
    assert!(matches!(error, LoadError::DataFile { .. }) && error.to_string().contains("missing.txt"), "{error}");
}

#[tokio::test]
async fn configure_is_run_when_a_filter_is_loaded() {
    for (body, expected) in [
        ("i32.const 64", "refuses its settings: why"),
        ("unreachable", "fails when it is configured: it trapped: unreachable"),
        ("(loop br 0) i32.const 0", "fails when it is configured: it used more than its 50 ms of CPU time"),
    ] {
        let functions = format!("{PASS} (func $configure (param i32 i32) (result i32) {body})");
        let error = Bench::new().guest(&functions, "cpu = \"50ms\"").await.err().unwrap();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[tokio::test]
async fn settings_arrive_as_json() {
    // The settings are behind the length of their text.
    let functions = "(func $filter (param i32) (result i32) i32.const 0)
        (func $configure (param i32 i32) (result i32)
          (select (i32.const 0) (i32.const 64) (i32.and
            (i32.eq (local.get 1) (i32.const 7))
            (i64.eq (i64.and (i64.load (local.get 0)) (i64.const 0xffffffffffffff)) (i64.const 0x7d313a2261227b)))))";
    assert!(Bench::new().guest(functions, "config = { a = 1 }").await.is_ok());
    assert!(Bench::new().guest(functions, "config = { a = 2 }").await.is_err());
}

#[tokio::test]
async fn compiled_code_is_kept_between_processes() {
    let bench = Bench::new();
    let _ = bench.guest(PASS, "").await.ok().unwrap();
    let compiled = bench.folder.path().join("state/compiled");
    // The plugin, and the configured one.
    assert_eq!(exists(&compiled), 2);
    let modified = |folder: &Path| -> Vec<_> {
        folder.read_dir().unwrap().map(|entry| entry.unwrap().metadata().unwrap().modified().unwrap()).collect()
    };
    let written = modified(&compiled);
    let again =
        Bench { catalogue: Catalogue::new(&bench.folder.path().join("state"), Compiler::Here).unwrap(), ..bench };
    assert!(again.run(PASS, "").await.is_ok());
    assert_eq!((exists(&compiled), modified(&compiled)), (2, written));
}
