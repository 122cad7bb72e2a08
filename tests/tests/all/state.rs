//! Filters that remember, through the proxy and by `popgate learn`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use popgate_tests::PATIENCE;
use popgate_tests::mail::{crlf, message};
use popgate_tests::popgate::{self, Popgate};
use popgate_tests::process::{self, write};
use popgate_tests::upstream::mailbox::Mailbox;

/// For how long a guest may be built.
const BUILD: Duration = Duration::from_secs(600);

/// The filter that counts, built.
fn count() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--locked",
            "--profile",
            "guest",
            "--target",
            "wasm32-wasip2",
            "-p",
            "popgate-guest-count",
        ]);
        cargo.arg("--target-dir").arg(&target).current_dir(env!("CARGO_MANIFEST_DIR"));
        let ended = process::run(&mut cargo, BUILD);
        let built = target.join("wasm32-wasip2/guest/popgate_guest_count.wasm");
        assert!(built.exists(), "{}\nhint: rustup target add wasm32-wasip2", ended.errors);
        built
    })
}

/// A configuration with the filter that counts.
pub(crate) fn config(upstream: &str, more: &str) -> String {
    format!(
        "[[listener]]\nname = \"pop3\"\naddress = \"127.0.0.1:0\"\ntls = \"none\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{upstream}\"\ntls = \"none\"\n\
         [[filter]]\nname = \"count\"\nplugin = {:?}\n{more}",
        count()
    )
}

pub(crate) const GRANTED: &str = "grant = { kv = true }\n";

/// popgate with the filter that counts, before a server with these messages.
fn serve(messages: &[Vec<u8>], more: &str) -> Popgate {
    let messages: Vec<_> = messages.iter().map(|message| crlf(message)).collect();
    Popgate::start(&config(&Mailbox::serve(&messages).address().to_string(), more))
}

pub(crate) fn plain(number: usize) -> Vec<u8> {
    message(number, "hello", "", "Text.\n")
}

/// In which run of the filter a message that asks it to read these things was judged.
pub(crate) fn run_of(popgate: &Popgate, user: &str, number: usize) -> String {
    let mut client = popgate.connect("pop3");
    client.log_in(user, "secret");
    client.succeed(&format!("RETR {number}"));
    let text = String::from_utf8_lossy(&client.body()).into_owned();
    client.succeed("QUIT");
    let run = text.lines().find_map(|line| line.strip_prefix("X-Run: "));
    run.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// What the filter has counted, by user and for all, when this message comes in a session of its own.
pub(crate) fn session(popgate: &Popgate, user: &str, commands: &[&str]) -> Vec<String> {
    let mut client = popgate.connect("pop3");
    client.log_in(user, "secret");
    let mut seen = Vec::new();
    for command in commands {
        let reply = client.command(command);
        if !reply.starts_with("+OK") {
            seen.push(reply);
            continue;
        }
        let text = String::from_utf8_lossy(&client.body()).into_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().to_owned()
        };
        seen.push(format!("{} / {}", field("X-User:"), field("X-Shared:")));
    }
    client.succeed("QUIT");
    seen
}

#[test]
fn each_user_has_a_state_and_all_have_one() {
    let popgate = serve(&[plain(1), plain(2)], GRANTED);
    assert_eq!(session(&popgate, "alice", &["RETR 1", "RETR 2"]), ["0 0 / 0 0", "1 0 / 1 0"]);
    assert_eq!(session(&popgate, "bob", &["RETR 1"]), ["0 0 / 2 0"]);
    assert_eq!(session(&popgate, "alice", &["RETR 1"]), ["2 0 / 3 0"]);
}

#[test]
fn a_message_counts_once_in_a_session() {
    // Nothing is kept, so each command has the message filtered again.
    let popgate = serve(&[plain(1)], &format!("{GRANTED}[limits]\nkept_per_session = 0\n"));
    let seen = session(&popgate, "alice", &["TOP 1 0", "RETR 1", "RETR 1"]);
    assert_eq!(seen, ["0 0 / 0 0", "1 0 / 1 0", "1 0 / 1 0"]);
    assert_eq!(session(&popgate, "alice", &["RETR 1"]), ["1 0 / 1 0"]);
}

#[test]
fn without_grant_it_is_refused() {
    let popgate = serve(&[plain(1)], "[store]\nhistory = \"0\"\n");
    let seen = session(&popgate, "alice", &["RETR 1"]);
    assert!(seen[0].contains("Refused") && seen[0].contains("not granted"), "{seen:?}");
    assert!(!popgate.folder().join("state/state.db").exists());
}

#[test]
fn a_filter_that_fails_has_written_nothing_and_one_that_holds_has() {
    let with = |what: &str| message(1, "hello", &format!("X-Do: {what}\n"), "Text.\n");
    let popgate = serve(&[with("fail"), with("hold"), plain(3)], GRANTED);
    let seen = session(&popgate, "alice", &["RETR 1", "RETR 2", "RETR 3"]);
    assert!(seen[0].starts_with("-ERR [SYS/TEMP]"), "{seen:?}");
    assert_eq!(seen[2], "1 0 / 1 0");
}

#[test]
fn above_the_quota_the_mail_stays_and_others_go_on() {
    let fill = |number: usize, size: usize| {
        message(number, &format!("key {number}"), &format!("X-Do: fill {size}\n"), "Text.\n")
    };
    let popgate = serve(
        &[fill(1, 9_000), fill(2, 9_000), plain(3)],
        &format!("{GRANTED}on_error = \"retry\"\n[store]\nkv_per_user = \"10KB\"\n"),
    );
    let seen = session(&popgate, "alice", &["RETR 1", "RETR 2", "RETR 3"]);
    assert!(seen[1].starts_with("-ERR [SYS/TEMP]"), "{seen:?}");
    assert_eq!((&*seen[0], &*seen[2]), ("0 0 / 0 0", "1 0 / 1 0"));
    popgate.wait_for_log("kv_per_user");
}

/// Another process that has locked the database, until it is dropped.
struct Lock(Child);

impl Lock {
    fn of(database: &Path) -> Self {
        let program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
             c.execute('BEGIN EXCLUSIVE')\nprint('locked', flush=True)\nsys.stdin.read()";
        let mut python = Command::new("python3");
        python.args(["-c", program]).arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().expect("python3 is there\nhint: apt-get install python3");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "locked\n");
        Self(process)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_locked_database_is_a_matter_of_on_error_and_no_hang() {
    for (policy, wanted) in [("retry", "-ERR [SYS/TEMP]"), ("deliver", " / ")] {
        let popgate = serve(&[plain(1)], &format!("{GRANTED}on_error = \"{policy}\"\n"));
        assert_eq!(session(&popgate, "alice", &["RETR 1"]), ["0 0 / 0 0"]);
        let lock = Lock::of(&popgate.folder().join("state/state.db"));
        let began = Instant::now();
        let seen = session(&popgate, "alice", &["RETR 1"]);
        assert!(seen[0].starts_with(wanted), "{policy}: {seen:?}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        drop(lock);
        assert_eq!(session(&popgate, "bob", &["RETR 1"]).len(), 1);
        let seen = session(&popgate, "alice", &["RETR 1"]);
        assert!(seen[0].starts_with("1 0"), "{seen:?}");
    }
}

#[test]
fn popgate_starts_without_its_database_and_check_says_why() {
    let store = format!("{GRANTED}[store]\ndatabase = \"postgres://u@127.0.0.1:1/d\"\n");
    let folder = process::folder();
    let checked = popgate::run_with("check", folder.path(), &config("127.0.0.1:110", &store));
    assert!(checked.code != Some(0) && checked.errors.contains("`database`: "), "{}", checked.errors);
    let popgate = serve(&[plain(1)], &store);
    popgate.wait_for_log("`database`: ");
    assert!(session(&popgate, "alice", &["RETR 1"])[0].starts_with("-ERR [SYS/TEMP]"));
}

/// `popgate learn` with these arguments.
fn learn(config: &Path, arguments: &[&str], paths: &[&Path]) -> String {
    let mut command = popgate::command();
    command.arg("learn").arg("--config").arg(config).args(arguments).args(paths);
    let ended = process::run(&mut command, PATIENCE);
    format!("{}{}", ended.output, ended.errors)
}

/// What the filter knows of spam and ham by now.
pub(crate) fn known(config: &Path, folder: &Path, user: Option<&str>) -> String {
    let mail = folder.join("known.eml");
    write(&mail, plain(9));
    let mut command = popgate::command();
    command.arg("filter").arg("--config").arg(config);
    if let Some(user) = user {
        command.args(["--user", user]);
    }
    let ended = process::run(command.arg(&mail), PATIENCE);
    let field = if user.is_some() { "X-User:" } else { "X-Shared:" };
    let line = ended.output.lines().find_map(|line| line.strip_prefix(field));
    let counts = line.unwrap_or_else(|| panic!("{}{}", ended.output, ended.errors));
    counts.split_whitespace().last().expect("two counts").to_owned()
}

#[test]
fn mail_is_learned_once_learned_anew_and_forgotten() {
    let folder = process::folder();
    let config = popgate::configuration(folder.path(), &config("127.0.0.1:110", GRANTED));
    let mbox = folder.path().join("mbox");
    let mails: Vec<String> = (1..=3).map(|n| String::from_utf8(plain(n)).expect("text")).collect();
    let separated: String = mails.iter().map(|mail| format!("From x Sat Jan  3 01:05:34 1996\n{mail}\n")).collect();
    write(&mbox, separated);
    let maildir = folder.path().join("Maildir");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(part)).expect("a folder");
        write(&maildir.join(part).join("4"), plain(if part == "cur" { 4 } else { 5 }));
    }
    let spam = |paths: &[&Path]| learn(&config, &["--spam"], paths);
    assert_eq!(spam(&[&mbox, &maildir]), "5 learned, 0 known already, 0 failed\n");
    assert_eq!(known(&config, folder.path(), None), "5");
    assert_eq!(spam(&[&mbox, &maildir]), "0 learned, 5 known already, 0 failed\n");
    // The same mails out of files of their own, with other line ends.
    let one = folder.path().join("one.eml");
    write(&one, mails[0].replace('\n', "\r\n"));
    assert_eq!(spam(&[&one]), "0 learned, 1 known already, 0 failed\n");
    assert_eq!(learn(&config, &["--ham"], &[&one]), "1 learned, 0 known already, 0 failed\n");
    assert_eq!(known(&config, folder.path(), None), "1004");
    assert_eq!(learn(&config, &["--forget"], &[&mbox]), "3 forgotten, 0 not known, 0 failed\n");
    assert_eq!(learn(&config, &["--forget"], &[&mbox]), "0 forgotten, 3 not known, 0 failed\n");
    assert_eq!(known(&config, folder.path(), None), "2");
    // Of a user what is learned for the user. The filter counts it for all, too.
    assert_eq!(learn(&config, &["--spam", "--user", "alice"], &[&one]), "1 learned, 0 known already, 0 failed\n");
    assert_eq!(known(&config, folder.path(), Some("alice")), "1");
    assert_eq!(known(&config, folder.path(), Some("bob")), "0");
    let bad = folder.path().join("bad.eml");
    write(&bad, message(7, "x", "X-Do: fail\n", "Text.\n"));
    let told = learn(&config, &["--spam"], &[&bad, &folder.path().join("known.eml")]);
    assert!(told.contains("1 learned, 0 known already, 1 failed\n") && told.contains("asked to fail"), "{told}");
}

#[test]
fn what_is_killed_while_it_learns_counts_nothing_twice_and_loses_nothing() {
    let folder = process::folder();
    let config = popgate::configuration(folder.path(), &config("127.0.0.1:110", GRANTED));
    let mails = folder.path().join("mails");
    fs::create_dir(&mails).expect("a folder");
    for n in 0..400 {
        write(&mails.join(format!("{n}.eml")), plain(n));
    }
    // So that what is compiled does not take the time.
    assert_eq!(learn(&config, &["--forget"], &[&mails.join("0.eml")]), "0 forgotten, 1 not known, 0 failed\n");
    for round in 0..6_u64 {
        let mut command = popgate::command();
        command.args(["learn", "--spam", "--config"]).arg(&config).arg(&mails);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        // At another moment each time; how much was learned by then does not matter.
        std::thread::sleep(Duration::from_millis(120 + 97 * round));
        let _killed = running.kill().and_then(|()| running.wait());
    }
    let told = learn(&config, &["--spam"], &[&mails]);
    let mut counts = told.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
    let (learned, already, failed) = (counts.next(), counts.next(), counts.next());
    assert_eq!((learned.unwrap_or(0) + already.unwrap_or(0), failed), (400, Some(0)), "{told}");
    assert_eq!(known(&config, folder.path(), None), "400");
}

#[test]
fn a_dry_run_changes_nothing() {
    let folder = process::folder();
    let config = popgate::configuration(folder.path(), &config("127.0.0.1:110", GRANTED));
    for _ in 0..2 {
        let mail = folder.path().join("mail.eml");
        write(&mail, plain(1));
        let mut command = popgate::command();
        let ended = process::run(command.arg("filter").arg("--config").arg(&config).arg(&mail), PATIENCE);
        assert!(ended.output.contains("X-Shared: 0 0"), "{}{}", ended.output, ended.errors);
    }
    let mut command = popgate::command();
    command.arg("filter").arg("--plugin").arg(count()).arg("--out").arg(folder.path().join("out"));
    for name in ["a.eml", "b.eml"] {
        write(&folder.path().join(name), plain(1));
        command.arg(folder.path().join(name));
    }
    let ended = process::run(&mut command, PATIENCE);
    let result = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap_or_default();
    assert!(result("a.eml").contains("X-Shared: 0 0"), "{}", ended.errors);
    assert!(result("b.eml").contains("X-Shared: 1 0"), "{}", ended.errors);
    std::io::stderr().flush().expect("it can be written to");
}

pub(crate) const CACHED: &str = "cache = true\ngrant = { kv = true }\n";

pub(crate) fn reads(number: usize, things: &str) -> Vec<u8> {
    message(number, "hello", &format!("X-Read: {things}\n"), "Text.\n")
}

#[test]
fn a_verdict_that_is_known_is_not_found_out_again() {
    let mails = [reads(1, "listener"), reads(2, "user"), reads(3, "listener")];
    for (more, is_known) in [(CACHED, true), (GRANTED, false)] {
        let popgate = serve(&mails, more);
        let run = |user, number| run_of(&popgate, user, number);
        let first = run("alice", 1);
        assert_eq!(run("bob", 1) == first, is_known);
        assert_ne!(run("alice", 3), first);
        // What it has read counts, and nothing else.
        let of_alice = run("alice", 2);
        let of_bob = run("bob", 2);
        assert_ne!(of_alice, of_bob);
        assert_eq!((run("alice", 2) == of_alice, run("bob", 2) == of_bob), (is_known, is_known));
    }
}

#[test]
fn a_verdict_counts_as_long_as_the_filter_is_the_same_and_remembers_the_same() {
    let folder = process::folder();
    write(&folder.path().join("list"), "one");
    let mails = [reads(1, "listener"), reads(2, "shared findings"), reads(3, "data"), plain(4)].map(|mail| crlf(&mail));
    let mailbox = Mailbox::serve(&mails);
    let config = |more: &str| config(&mailbox.address().to_string(), &format!("{CACHED}{more}"));
    let data = "data = { list = \"list\" }\n";
    let popgate = Popgate::start_in(folder, &config(data));
    let runs = || [1, 2, 3].map(|number| run_of(&popgate, "alice", number));
    let before = runs();
    assert_eq!(runs(), before);
    // A message that counts is another state for whoever looks at it.
    for expected in ["0 0 / 0 0", "1 0 / 1 0"] {
        assert_eq!(session(&popgate, "alice", &["RETR 4"]), [expected]);
    }
    let now = runs();
    assert_eq!((&now[0], &now[2]), (&before[0], &before[2]));
    assert_ne!(now[1], before[1]);
    // Whoever writes into a data file changes what can be read in it.
    fs::write(popgate.folder().join("list"), "two").expect("it can be written");
    let after = runs();
    assert_eq!((&after[0], &after[1]), (&now[0], &now[1]));
    assert_ne!(after[2], now[2]);
    // Other limits make another filter, and so do other data files.
    let other = config(&format!("{data}cpu = \"2s\"\n"));
    popgate.reload(&other);
    let reloaded = runs();
    assert!((0..3).all(|at| reloaded[at] != after[at]), "{after:?} {reloaded:?}");
    popgate.reload(&other);
    assert_eq!(runs(), reloaded);
}

#[test]
fn verdicts_outlive_the_process_and_what_is_damaged_is_found_out_anew() {
    let mails = [crlf(&reads(1, "listener"))];
    let config = config(&Mailbox::serve(&mails).address().to_string(), CACHED);
    let popgate = Popgate::start(&config);
    let first = run_of(&popgate, "alice", 1);
    let database = popgate.folder().join("state/state.db");
    let sqlite = |statement: &str| {
        let program = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
             print(c.execute(sys.argv[2]).fetchall(), flush=True)\nc.commit()";
        let mut python = Command::new("python3");
        process::run(python.args(["-c", program]).arg(&database).arg(statement), PATIENCE).output
    };
    // The entry with what was read, and the verdict.
    let began = Instant::now();
    while sqlite("SELECT COUNT(*) FROM verdict").trim() != "[(2,)]" {
        assert!(began.elapsed() < PATIENCE, "{}", popgate.log());
    }
    let popgate = popgate.killed_and_restarted();
    assert_eq!(run_of(&popgate, "bob", 1), first);
    sqlite("UPDATE verdict SET value = CAST(substr(value, 1, 32) || x'07' || substr(value, 34) AS BLOB)");
    let popgate = popgate.killed_and_restarted();
    assert_ne!(run_of(&popgate, "bob", 1), first);
    popgate.wait_for_log("not as it was written");
}
