//! The benchmark runs to its end, and what it says can be read. How fast anything is, is no matter here.

use std::fs;
use std::process::Command;

use popgate_tests::PATIENCE;
use popgate_tests::process::{folder, run};
use serde_json::Value;

#[test]
fn every_mode_is_measured_and_reported() {
    let folder = folder();
    let [json, svg, text] = ["all.json", "all.svg", "all.md"].map(|name| folder.path().join(name));
    let mut bench = Command::new(env!("CARGO_BIN_EXE_popgate-bench"));
    bench.args(["--rounds", "1", "--seconds", "0.1", "--idle", "20", "--ways", "popgate,three,relay"]);
    for only in ["sessions", "sessions resumed", "50 KB", "idle"] {
        bench.args(["--only", only]);
    }
    bench.arg("--json").arg(&json).arg("--svg").arg(&svg).arg("--markdown").arg(&text);
    let ended = run(&mut bench, 6 * PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let report: Value = serde_json::from_slice(&fs::read(&json).expect("it was written")).expect("it is JSON");
    for (mode, workload, way) in [
        ("plain", "sessions", "popgate"),
        ("plain", "50 KB", "popgate, 3 header filters"),
        ("front", "sessions resumed", "relay without POP3"),
        ("both", "50 KB", "popgate"),
    ] {
        let cells = report["measurements"].as_array().expect("a list");
        let found = cells.iter().find(|it| it["mode"] == mode && it["workload"] == workload && it["way"] == way);
        let found = found.unwrap_or_else(|| panic!("no {way}, {workload}, {mode} in {report:#}"));
        assert!(found["per_second"].as_f64() > Some(0.0) && found["ratio_to_direct"].is_f64(), "{found}");
    }
    assert_eq!(report["idle_kib"].as_array().map(Vec::len), Some(6), "{report:#}");
    let svg = fs::read_to_string(&svg).expect("it was written");
    assert!(svg.starts_with("<svg") && svg.contains(">popgate</text>"), "{svg}");
    let text = fs::read_to_string(&text).expect("it was written");
    assert!(text.contains("50 KB, TLS on both sides") && ended.output.contains("50 KB, plain"), "{text}");
}

#[test]
fn wrong_usage_is_told() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_popgate-bench"));
    let ended = run(bench.args(["--rounds", "many"]), PATIENCE);
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.starts_with("usage: popgate-bench"), "{}", ended.errors);
    let mut bench = Command::new(env!("CARGO_BIN_EXE_popgate-bench"));
    let ended = run(bench.arg("corpus"), PATIENCE);
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains("popgate-bench corpus FOLDER"), "{}", ended.errors);
}
