//! The example plugins: built and tried with `popgate plugin test`, as their authors do, then run by the proxy before a real
//! server for a real client.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use popgate_tests::clients::{Account, Client, Tls};
use popgate_tests::dovecot::{Dovecot, PASSWORD};
use popgate_tests::mail::normalised;
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process;
use tempfile::TempDir;

/// For how long tools may be installed and a plugin built, on a machine that does both for the first time.
const BUILD: Duration = Duration::from_secs(1500);

/// For how long popgate may compile a plugin, twice: Python's is 18 MB.
const COMPILE: Duration = Duration::from_secs(300);

/// What becomes of the mail of a case, as its reader sees it.
struct Effect {
    /// The name of the case.
    case: &'static str,
    /// What it has.
    has: &'static str,
    /// What it has no longer.
    lacks: &'static str,
}

/// Builds the example and tries its cases; then its mail comes through the proxy.
fn works(language: &str, effects: &[Effect]) {
    let (project, filter) = built(language);
    let dovecot = Dovecot::shared();
    let messages: Vec<_> = effects.iter().map(|effect| mail(project.path(), effect.case)).collect();
    let user = dovecot.user(&messages);
    // Without the stamp: curl would prefer APOP, for which the server has no secrets.
    let config = format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"dovecot\"\n\
         [[upstream]]\nname = \"dovecot\"\naddress = \"localhost:{}\"\ntls = \"none\"\napop = false\n{filter}",
        dovecot.plain().port()
    );
    let popgate = Popgate::start_within(&config, COMPILE);
    let _logs = (dovecot.log_on_failure(&user), popgate.log_on_failure(&user));
    let account = Account {
        port: popgate.port("pop3"),
        tls: Tls::None,
        ca: dovecot.ca(),
        user: &user,
        mechanism: Client::Curl.usual(),
        password: PASSWORD,
        count: messages.len(),
    };
    let texts = |messages: &[Vec<u8>]| -> Vec<_> {
        messages.iter().map(|message| String::from_utf8_lossy(&normalised(message)).into_owned()).collect()
    };
    let (sent, came) = (texts(&messages), texts(&Client::Curl.download(&account)));
    assert_eq!(came.len(), effects.len());
    // Clients have their own order.
    let is_in = |messages: &[String], text: &str| messages.iter().any(|message| message.contains(text));
    for Effect { case, has, lacks } in effects {
        assert!(!is_in(&sent, has) && is_in(&sent, lacks), "{case} can't show anything");
        assert!(is_in(&came, has), "{case}: `{has}` is not in\n{came:#?}");
        assert!(lacks.is_empty() || !is_in(&came, lacks), "{case}: `{lacks}` is in\n{came:#?}");
    }
}

/// The mail of a case.
fn mail(project: &Path, case: &str) -> Vec<u8> {
    let path = project.join("cases").join(format!("{case}.eml"));
    normalised(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// A copy of the example that was built and has passed its cases, and the filter for a configuration.
fn built(language: &str) -> (TempDir, String) {
    // One after the other: each takes what processors there are.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = process::folder();
    copy(&repository().join("plugins/examples").join(language), folder.path());
    // It stays from test to test, so that what the SDK needs is compiled once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let mut command = popgate::command();
    command.args(["plugin", "test", "--install-tools"]).arg(folder.path()).env("CARGO_TARGET_DIR", &target);
    let ended = process::run(&mut command, BUILD);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.output, ended.errors);
    let manifest = fs::read_to_string(folder.path().join("popgate-plugin.toml")).expect("there is a manifest");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let text = |key: &str| manifest[key].as_str().expect("a text");
    let wasm = folder.path().join(text("wasm").replace("{target}", &target.to_string_lossy()));
    let filter = format!(
        "[[filter]]\nname = {}\nplugin = {}\nconfig = {}\n",
        manifest["name"],
        toml::Value::from(wasm.to_string_lossy().into_owned()),
        manifest["settings"]
    );
    (folder, filter)
}

/// Copies a project without what was built in it. The copy finds the interface where it is.
fn copy(from: &Path, to: &Path) {
    let interface = repository().join("plugin-api");
    for entry in fs::read_dir(from).expect("there is such an example").flatten() {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            if !["build", "target"].iter().any(|built| entry.file_name() == *built) {
                fs::create_dir(&copy).expect("a folder can be made");
                self::copy(&path, &copy);
            }
            continue;
        }
        let content = fs::read(&path).expect("the example can be read");
        match String::from_utf8(content) {
            Ok(text) => process::write(&copy, text.replace("../../../plugin-api", &interface.to_string_lossy())),
            Err(error) => process::write(&copy, error.as_bytes()),
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the repository").to_owned()
}

#[test]
fn rust_redacts_numbers() {
    let (has, lacks) = ("Paid with **** **** **** 1111,", "4111 1111");
    works("rust", &[Effect { case: "order", has, lacks }]);
}

#[test]
fn c_marks_and_holds_bulk_mail() {
    works(
        "c",
        &[
            Effect { case: "held", has: "it is from a mailing list that is not wanted here", lacks: "Buy." },
            Effect { case: "list", has: "X-Bulk: list", lacks: "X-Bulk: forged" },
        ],
    );
}

#[test]
fn javascript_holds_by_score() {
    let (has, lacks) = ("its header has 5 points of 5", "bank account");
    works("javascript", &[Effect { case: "lottery", has, lacks }]);
}

#[test]
fn python_tags_by_sender() {
    let (has, lacks) = ("Subject: [Invoice] Your bill of May", "");
    works("python", &[Effect { case: "invoice", has, lacks }]);
}

#[test]
fn go_puts_a_banner_on_mail_from_outside() {
    let (has, lacks) = ("\n\nThis mail comes from outside. Think before you click.\n\nSee you.\n", "");
    works("go", &[Effect { case: "plain", has, lacks }]);
}

#[test]
fn zig_takes_out_requests_for_receipts() {
    let (has, lacks) = ("X-Receipt-Removed: return-receipt-to", "return-receipt-to: boss@example.org");
    works("zig", &[Effect { case: "receipts", has, lacks }]);
}

#[test]
fn assemblyscript_marks_and_holds_mail_to_a_crowd() {
    works(
        "assemblyscript",
        &[
            Effect { case: "crowd", has: "X-Recipients: 4", lacks: "X-Recipients: 1" },
            Effect { case: "held", has: "it went to 5 recipients", lacks: "five friends" },
        ],
    );
}
