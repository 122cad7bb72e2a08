//! What is held is on disk before anything takes its place: by the system calls, by killing popgate, and by a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use popgate_tests::PATIENCE;
use popgate_tests::mail::{crlf, eicar, message, numbered_lines};
use popgate_tests::popgate::Popgate;
use popgate_tests::process::{self, Process, poll, program, write};
use popgate_tests::upstream::mailbox::Mailbox;

use super::setup::{command, config, id_of, log_in, quarantine, session};

/// A message that is held, of about so many octets.
fn infected(number: usize, octets: usize) -> Vec<u8> {
    crlf(&message(number, "held", "", &format!("{}\n{}", eicar(), numbered_lines(octets / 70))))
}

/// The calls of a traced process, in their order.
struct Calls(Vec<String>);

impl Calls {
    /// Where the first call behind `start` begins that has all of these in its line.
    fn find(&self, start: usize, words: &[&str]) -> usize {
        let has = |line: &String| words.iter().all(|word| line.contains(word)) && !line.contains("resumed>");
        let found = self.0.iter().skip(start).position(has);
        found.map_or_else(|| panic!("no call {words:?} behind line {start}:\n{}", self.0.join("\n")), |at| start + at)
    }

    /// Where the call ends that begins there.
    fn end(&self, at: usize) -> usize {
        let line = &self.0[at];
        if !line.contains("<unfinished") {
            return at;
        }
        let thread = line.split_whitespace().next().expect("a line begins with the thread");
        let name = line.split_whitespace().nth(1).and_then(|call| call.split('(').next()).expect("then comes the call");
        let resumed = format!("<... {name} resumed>");
        let ends = |line: &String| line.starts_with(&format!("{thread} ")) && line.contains(&resumed);
        at + self.0[at..].iter().position(ends).expect("a call ends")
    }
}

#[test]
fn a_message_is_on_disk_under_its_name_before_the_notice_leaves() {
    let mailbox = Mailbox::serve(&[infected(1, 200_000)]);
    let popgate = Popgate::start(&config(mailbox.address(), ""));
    let mut client = log_in(&popgate, "alice");
    let trace = popgate.folder().join("trace");
    let mut strace = Command::new(program("strace", "strace"));
    strace.args([
        "-f",
        "-y",
        "-s",
        "80",
        "-e",
        "trace=write,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2",
    ]);
    strace.arg("-o").arg(&trace).arg("-p").arg(popgate.process().id().to_string());
    let mut strace = Process::start(&mut strace);
    let attached = strace.errors().find(PATIENCE, |line| line.contains("attached").then_some(()));
    assert!(attached.is_some(), "strace must be allowed to look at other processes: {}", strace.errors().text());
    client.succeed("RETR 1");
    let id = id_of(&String::from_utf8_lossy(&client.body()));
    strace.terminate();
    assert!(strace.wait(PATIENCE).is_some());

    let calls = Calls(fs::read_to_string(&trace).expect("a trace").lines().map(str::to_owned).collect());
    let folder = popgate.folder().join("state/quarantine").to_string_lossy().into_owned();
    let draft = format!("{folder}/.new-");
    let written = calls.find(0, &["write(", &draft, "/message.eml>"]);
    let message = calls.find(written, &["fsync(", &draft, "/message.eml>"]);
    let entry = calls.find(calls.end(message), &["fsync(", &draft, "/entry.json>"]);
    let inner = calls.0.iter().skip(calls.end(entry)).position(|line| {
        let path = line.split_once(&draft).and_then(|(_, rest)| rest.split_once('>'));
        line.contains("fsync(") && path.is_some_and(|(name, _)| !name.contains('/'))
    });
    let inner = calls.end(entry) + inner.unwrap_or_else(|| panic!("no fsync of the draft:\n{}", calls.0.join("\n")));
    let renamed = calls.find(calls.end(inner), &["rename", &draft, &format!("{folder}/{id}\"")]);
    let outer = calls.find(calls.end(renamed), &["fsync(", &format!("<{folder}>")]);
    let sent = calls.find(0, &["\"+OK "]);
    assert!(sent > calls.end(outer), "the notice left too early:\n{}", calls.0.join("\n"));
    // And nothing is written to the message once it is said to be on disk.
    let late =
        calls.0.iter().skip(calls.end(message)).any(|line| line.contains("write(") && line.contains("/message.eml>"));
    assert!(!late, "{}", calls.0.join("\n"));
}

/// Numbers that look random; the same for the same seed.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed = std::env::var("POPGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let seed: u64 = seed.unwrap_or_else(now);
        eprintln!("POPGATE_TEST_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What lies in the quarantine's folder under a temporary name.
fn drafts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("state/quarantine")).expect("the folder is there");
    let is_draft = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"));
    entries.flatten().map(|entry| entry.path()).filter(is_draft).collect()
}

#[test]
fn killed_at_any_moment_of_a_hold_it_has_all_of_the_message_or_the_server_has() {
    const ROUNDS: usize = 30;
    let mut random = Random::seeded();
    let mails: Vec<_> = (0..=ROUNDS).map(|number| infected(number, 1_500_000)).collect();
    let mailbox = Mailbox::serve(&mails);
    let mut popgate = Popgate::start(&config(mailbox.address(), ""));
    let begun = Instant::now();
    session(&popgate, "alice", 1).expect("it is held");
    let takes = u64::try_from(begun.elapsed().as_micros()).expect("a moment") * 5 / 4;
    let (mut whole, mut left) = (0, 0);
    for (number, mail) in (1..).zip(&mails).skip(1) {
        let mut client = log_in(&popgate, "alice");
        client.send_line(format!("RETR {number}"));
        std::thread::sleep(Duration::from_micros(random.below(takes)));
        let folder = popgate.folder().to_owned();
        popgate = {
            // What is left is looked at between the end and the next start.
            popgate.process_mut().kill();
            left += usize::from(!drafts(&folder).is_empty());
            popgate.killed_and_restarted()
        };
        assert!(drafts(popgate.folder()).is_empty(), "the start clears what is left");
        let came = String::from_utf8_lossy(&client.rest()).into_owned();
        let listed = quarantine(&popgate, &["list"]);
        if came.starts_with("+OK") && came.len() > 20 {
            let id = came.lines().find_map(|line| line.strip_prefix("X-Popgate-Held: "));
            if let Some(id) = id {
                whole += 1;
                assert!(listed.contains(id), "{id} was said to be held, and is not: {listed}");
            }
            assert!(!came.contains("EICAR-STANDARD"), "{came}");
        }
        // Whatever is listed is whole.
        for line in listed.lines() {
            let id = line.split(' ').next().expect("an id");
            let shown = command(popgate.folder(), &["show", id, "--raw"]);
            assert!(mails.iter().any(|mail| *mail == shown.output.as_bytes()), "{id} is half a message");
        }
        // And whatever has become of it, the next session gets the notice, with all of the message behind it.
        let id = id_of(&session(&popgate, "alice", number).expect("it is held"));
        assert!(
            command(popgate.folder(), &["show", &id, "--raw"]).output.as_bytes() == *mail,
            "{id} is not the message"
        );
        quarantine(&popgate, &["delete", &id]);
    }
    eprintln!("{ROUNDS} kills: {whole} behind the notice, {left} with a draft left behind");
}

/// A file system of its own, taken away when dropped.
struct Mount(PathBuf);

impl Mount {
    fn of_size(path: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&path).expect("a folder can be made");
        let mut mount = Command::new(program("mount", "mount"));
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=700"), "tmpfs"]).arg(&path);
        let ended = process::run(&mut mount, PATIENCE);
        assert_eq!(ended.code, Some(0), "the test has to be root and allowed to mount a tmpfs: {}", ended.errors);
        Self(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = process::run(Command::new("umount").arg("--lazy").arg(&self.0), PATIENCE);
    }
}

#[test]
fn a_full_disk_refuses_the_message_and_later_takes_it() {
    let folder = process::folder();
    let state = folder.path().join("state");
    let mount = Mount::of_size(state.clone(), 48);
    let mail = infected(1, 600_000);
    let mailbox = Mailbox::serve(&[mail.clone(), crlf(&message(2, "clean", "", "Text.\n"))]);
    let popgate = Popgate::start_in(folder, &config(mailbox.address(), ""));
    // Leaves less than the message needs.
    let filler = state.join("filler");
    let mut size = 48 << 20;
    let room = || {
        let left = rustix::fs::statvfs(&state).expect("it is mounted");
        left.f_bavail * left.f_frsize
    };
    while room() > 300_000 && size > 0 {
        size = usize::try_from(room() - 200_000).expect("it is small");
        write(&filler, vec![b'x'; fs::metadata(&filler).map_or(0, |file| file.len() as usize) + size]);
    }
    for _ in 0..2 {
        let refused = session(&popgate, "alice", 1).expect_err("there is no room for it");
        assert!(refused.starts_with("-ERR [SYS/TEMP] "), "{refused}");
    }
    popgate.wait_for_log("No space left on device");
    assert!(session(&popgate, "alice", 2).is_ok_and(|mail| mail.contains("Subject: clean")));
    assert_eq!(quarantine(&popgate, &["list"]), "");
    let cleared = poll(Instant::now() + PATIENCE, || drafts(popgate.folder()).is_empty().then_some(()));
    assert!(cleared.is_some(), "what was written of it is removed");
    fs::remove_file(&filler).expect("it is there");
    let id = id_of(&session(&popgate, "alice", 1).expect("there is room again"));
    assert!(command(popgate.folder(), &["show", &id, "--raw"]).output.as_bytes() == mail);
    drop(popgate);
    drop(mount);
}
