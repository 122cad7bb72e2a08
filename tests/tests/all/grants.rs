//! What filters reach besides the message: what the configuration grants, and nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use popgate_tests::PATIENCE;
use popgate_tests::popgate;
use popgate_tests::process::{self, folder, write};

/// Compiles a guest of one file as a command component.
fn compile(source: &str, to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(source);
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "--target", "wasm32-wasip2", "-O", "-o"]).arg(to).arg(source);
    let output = rustc.output().expect("rustc is there");
    assert!(
        output.status.success(),
        "{}\nhint: rustup target add wasm32-wasip2",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A server that answers a line with `PONG`.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _asked = stream.read(&mut [0; 5]);
            let _answered = stream.write_all(b"PONG");
        }
    });
    port
}

/// What the filter says of one target, with this grant.
fn outcome(folder: &Path, grant: &str, target: &str) -> String {
    let config = popgate::configuration(
        folder,
        &format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n\
             [[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n\
             [[filter]]\nname = \"dial\"\nplugin = \"dial.wasm\"\n{grant}\n"
        ),
    );
    let mail = folder.join("mail");
    write(&mail, format!("Dial: {target}\n\nbody\n"));
    let mut command = popgate::command();
    let ended = process::run(command.args(["filter", "--json", "--config"]).arg(config).arg(mail), PATIENCE);
    let report = ended.errors.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{}", ended.errors));
    let report: serde_json::Value = serde_json::from_str(report).expect("a line of JSON");
    let reason = report["reason"].as_str().unwrap_or_else(|| panic!("{report}: {}", ended.errors));
    reason.strip_prefix(&format!("dial: {target}: ")).unwrap_or_else(|| panic!("{reason}")).to_owned()
}

#[test]
fn a_filter_connects_to_what_is_granted_and_to_nothing_else() {
    let folder = folder();
    let folder = folder.path();
    compile("dial.rs", &folder.join("dial.wasm"));
    let (granted, other) = (server(), server());
    let grant = format!("grant = {{ connect = [\"127.0.0.1:{granted}\"] }}");
    assert_eq!(outcome(folder, &grant, &format!("tcp 127.0.0.1:{granted}")), "PONG");
    assert_ne!(outcome(folder, "", &format!("tcp 127.0.0.1:{granted}")), "PONG");
    for target in [
        format!("tcp 127.0.0.1:{other}"),
        format!("tcp [::1]:{granted}"),
        format!("udp 127.0.0.1:{granted}"),
        "listen 127.0.0.1:0".into(),
        "name localhost".into(),
        "file /etc/passwd".into(),
        "file mail".into(),
        "file /proc/self/environ".into(),
        "variable PATH".into(),
        "thread one".into(),
    ] {
        let outcome = outcome(folder, &grant, &target);
        assert!(
            !["PONG", "sent", "bound", "found", "read", "set", "started"].contains(&outcome.as_str()),
            "{target}: {outcome}"
        );
    }
}
