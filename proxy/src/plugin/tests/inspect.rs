//! What is said of a plugin file without running it, beside what loading it says.

use super::super::inspect::{Inspection, Kind, inspect};
use super::*;

const PASS: &str = "(func $filter (param i32) (result i32) i32.const 0)";

fn inspected(octets: &[u8]) -> Inspection {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.wasm");
    std::fs::write(&file, octets).unwrap();
    inspect(&file).unwrap()
}

/// A filter with one more import.
fn importing(import: &str) -> Vec<u8> {
    let import = format!("(component\n(import \"{import}\" (instance (export \"error\" (type (sub resource)))))\n");
    wat::parse_str(guest::text(PASS).replacen("(component", &import, 1)).unwrap()
}

#[test]
fn every_bundled_filter_would_be_taken() {
    for bundled in popgate_plugins::BUNDLED {
        let found = inspected(bundled.wasm);
        assert_eq!((found.kind, found.track.as_deref()), (Kind::Filter, Some("0.1.0")), "{}", bundled.name);
        assert_eq!(found.refused, None, "{}", bundled.name);
        let spam = bundled.name == "spam";
        assert_eq!((found.keeps_state, found.learns), (spam, spam), "{}", bundled.name);
    }
}

#[tokio::test]
async fn what_is_refused_is_what_loading_refuses() {
    let bench = Bench::new();
    for (import, known) in [
        ("wasi:io/error@0.2.3", true),
        ("wasi:io/error@0.2.99", true),
        ("wasi:io/error@0.3.0", false),
        ("wasi:io/errors@0.2.3", false),
        ("wasi:http/types@0.2.3", false),
        ("popgate:filter/store@0.1.0", false),
        ("thing", false),
    ] {
        let octets = importing(import);
        let found = inspected(&octets);
        bench.write("bad.wasm", &octets);
        let loaded = bench.load("plugin = \"bad.wasm\"").await.map(drop);
        assert_eq!(loaded.is_ok(), known, "{import}: {:?}", loaded.err());
        assert_eq!(found.refused.is_none(), known, "{import}: {:?}", found.refused);
        if let Some(refused) = found.refused {
            assert!(refused.contains(&format!("`{import}`")), "{refused}");
            assert!(matches!(loaded, Err(LoadError::UnknownImport { .. })), "{import}: {loaded:?}");
        }
    }
}

#[test]
fn a_function_that_the_interface_lacks_is_named() {
    let more = "(instance $log (export \"shout\" (func (param \"text\" string)))";
    let text = guest::text(PASS).replacen("(instance $log", more, 1);
    let refused = inspected(&wat::parse_str(text).unwrap()).refused.unwrap();
    assert!(refused.contains("`popgate:filter/log@0.1.0`") && refused.contains("`shout`"), "{refused}");
}

#[test]
fn what_a_plugin_may_need_is_told() {
    let sockets = inspected(&importing("wasi:sockets/tcp@0.2.3"));
    assert!(sockets.connects && !sockets.keeps_state);
    assert!(inspected(&importing("popgate:filter/state@0.1.0")).keeps_state);
    let text = r#"(component (core module $M (func (export "f"))) (core instance $m (instantiate $M))
        (func $f (canon lift (core func $m "f")))
        (instance $i (export "learn" (func $f))) (export "popgate:filter/learning@0.1.0" (instance $i)))"#;
    assert!(inspected(&wat::parse_str(text).unwrap()).learns);
}
