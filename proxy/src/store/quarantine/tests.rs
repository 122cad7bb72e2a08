//! A quarantine in a folder of its own, and what can go wrong with it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::*;

const MAIL: &[&[u8]] = &[b"Subject: hi\r\n", b"\r\n", b"..text\0\r\n"];

fn new(user: &str, seconds: u64) -> NewEntry {
    NewEntry {
        identity: Identity { upstream: "legacy".into(), user: Some(user.into()) },
        sha256: Sha256::digest(MAIL.concat()).into(),
        when: SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999),
        filter: "policy".into(),
        reason: "invoice.exe is not allowed".into(),
        subject: Some("hi".into()),
        from: None,
        findings: vec![Finding {
            filter: "policy".into(),
            symbol: "DENIED".into(),
            points: f64::INFINITY,
            value: Some(0.25),
            text: "invoice.exe".into(),
        }],
    }
}

fn put(quarantine: &Quarantine, new: &NewEntry) -> Entry {
    quarantine.put(new, MAIL.iter().copied()).unwrap()
}

/// The names in the quarantine, the lock aside.
fn names(quarantine: &Quarantine) -> Vec<String> {
    let names = fs::read_dir(&quarantine.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| ![LOCK, RELEASED].contains(&name.as_str())).collect();
    names.sort();
    names
}

#[test]
fn what_is_put_is_there_as_it_came() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let entry = put(&quarantine, &new("alice", 1_936_945_800));
    assert_eq!(fs::read(quarantine.message(&entry.id)).unwrap(), MAIL.concat());
    assert_eq!(quarantine.get(&entry.id).unwrap().unwrap(), entry);
    let json = fs::read_to_string(quarantine.place(&entry.id).join(ENTRY)).unwrap();
    assert!(json.contains("\"when\": \"2031-05-19T08:30:00Z\""), "{json}");
    assert_eq!(names(&quarantine), [entry.id.as_str()]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&quarantine.path), 0o700);
    assert_eq!(mode(&quarantine.place(&entry.id)), 0o700);
    assert_eq!(mode(&quarantine.message(&entry.id)), 0o600);
    assert_eq!(mode(&quarantine.place(&entry.id).join(ENTRY)), 0o600);
}

#[test]
fn one_entry_per_identity_and_message() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let first = put(&quarantine, &new("alice", 100));
    assert_eq!(put(&quarantine, &new("alice", 200)), first);
    let nobody = NewEntry { identity: Identity { upstream: "legacy".into(), user: None }, ..new("", 300) };
    let ids = [
        first.id,
        put(&quarantine, &new("bob", 300)).id,
        put(&quarantine, &nobody).id,
        put(&quarantine, &new("", 1)).id,
    ];
    assert_eq!(names(&quarantine).len(), 4, "{ids:?}");
}

#[test]
fn many_at_once_agree_on_one_entry() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let entries: Vec<Entry> = std::thread::scope(|scope| {
        let put = |seconds| put(&quarantine, &new("alice", seconds));
        let all: Vec<_> = (0..16).map(|n| scope.spawn(move || put(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(entries.iter().all(|entry| *entry == entries[0]));
    assert_eq!(names(&quarantine), [entries[0].id.as_str()]);
}

#[test]
fn a_damaged_entry_is_stored_again() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let id = put(&quarantine, &new("alice", 100)).id;
    // A file that is gone (no text), or has become something else.
    for (file, text) in [(MESSAGE, None), (ENTRY, None), (MESSAGE, Some("short")), (ENTRY, Some("{}"))] {
        let path = quarantine.place(&id).join(file);
        text.map_or_else(|| fs::remove_file(&path), |text| fs::write(&path, text)).unwrap();
        assert_eq!(quarantine.get(&id).unwrap(), None);
        assert_eq!(put(&quarantine, &new("alice", 200)).id, id);
        assert_eq!(fs::read(quarantine.message(&id)).unwrap(), MAIL.concat());
        assert_eq!(names(&quarantine), [id.as_str()]);
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let draft = Draft::write(
        &quarantine.path,
        EntryId::parse(&"0".repeat(32)).unwrap(),
        &new("alice", 1),
        MAIL.iter().copied(),
    )
    .unwrap();
    assert_eq!(names(&quarantine).len(), 1);
    drop(draft);
    assert_eq!(names(&quarantine).len(), 0);
    fs::remove_dir_all(&quarantine.path).unwrap();
    assert!(quarantine.put(&new("alice", 1), MAIL.iter().copied()).is_err());
}

#[test]
fn the_start_sweeps_what_is_left_but_nothing_in_use() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    let kept = put(&quarantine, &new("alice", 100)).id;
    let left = quarantine.path.join(".new-left");
    fs::create_dir(&left).unwrap();
    fs::write(left.join(MESSAGE), "half").unwrap();
    let draft =
        Draft::write(&quarantine.path, EntryId::parse(&"0".repeat(32)).unwrap(), &new("bob", 1), MAIL.iter().copied())
            .unwrap();
    let quarantine = Quarantine::open(state.path()).unwrap();
    assert!(!left.exists() && draft.folder.path().exists());
    assert_eq!(names(&quarantine).len(), 2);
    assert!(quarantine.get(&kept).unwrap().is_some());
}

#[test]
fn only_ids_become_paths() {
    let good = "0123456789abcdef0123456789abcdef";
    assert_eq!(EntryId::parse(good).unwrap().as_str(), good);
    for bad in [
        "",
        "..",
        "../../etc/passwd",
        &good[1..],
        &good.to_uppercase(),
        &format!("{good}0"),
        "g123456789abcdef0123456789abcdef",
    ] {
        assert_eq!(EntryId::parse(bad), None, "{bad}");
    }
}
