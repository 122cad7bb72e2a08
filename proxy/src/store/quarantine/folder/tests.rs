//! A folder in use, and what can go wrong with it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::super::{Finding, Identity, NewEntry};
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

fn entry(new: NewEntry) -> Entry {
    Entry::new(new, MAIL.iter().copied())
}

fn put(folder: &Folder, new: NewEntry) -> Entry {
    folder.put(&entry(new), MAIL.iter().copied()).unwrap()
}

/// The names in the quarantine, the lock aside.
fn names(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| ![LOCK, RELEASED].contains(&name.as_str())).collect();
    names.sort();
    names
}

#[test]
fn what_is_put_is_there_as_it_came() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let entry = put(&folder, new("alice", 1_936_945_800));
    assert_eq!(fs::read(folder.message(&entry.id)).unwrap(), MAIL.concat());
    assert_eq!(folder.get(&entry.id).unwrap().unwrap(), entry);
    let json = fs::read_to_string(folder.place(&entry.id).join(ENTRY)).unwrap();
    assert!(json.contains("\"when\": \"2031-05-19T08:30:00Z\""), "{json}");
    assert_eq!(names(&folder), [entry.id.as_str()]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path), 0o700);
    assert_eq!(mode(&folder.place(&entry.id)), 0o700);
    assert_eq!(mode(&folder.message(&entry.id)), 0o600);
    assert_eq!(mode(&folder.place(&entry.id).join(ENTRY)), 0o600);
}

#[test]
fn one_entry_per_identity_and_message() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let first = put(&folder, new("alice", 100));
    assert_eq!(put(&folder, new("alice", 200)), first);
    let nobody = NewEntry { identity: Identity { upstream: "legacy".into(), user: None }, ..new("", 300) };
    let ids = [first.id, put(&folder, new("bob", 300)).id, put(&folder, nobody).id, put(&folder, new("", 1)).id];
    assert_eq!(names(&folder).len(), 4, "{ids:?}");
}

#[test]
fn many_at_once_agree_on_one_entry() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let entries: Vec<Entry> = std::thread::scope(|scope| {
        let put = |seconds| put(&folder, new("alice", seconds));
        let all: Vec<_> = (0..16).map(|n| scope.spawn(move || put(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(entries.iter().all(|entry| *entry == entries[0]));
    assert_eq!(names(&folder), [entries[0].id.as_str()]);
}

#[test]
fn a_damaged_entry_is_stored_again() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let id = put(&folder, new("alice", 100)).id;
    // A file that is gone (no text), or has become something else.
    for (file, text) in [(MESSAGE, None), (ENTRY, None), (MESSAGE, Some("short")), (ENTRY, Some("{}"))] {
        let path = folder.place(&id).join(file);
        text.map_or_else(|| fs::remove_file(&path), |text| fs::write(&path, text)).unwrap();
        assert_eq!(folder.get(&id).unwrap(), None);
        assert_eq!(put(&folder, new("alice", 200)).id, id);
        assert_eq!(fs::read(folder.message(&id)).unwrap(), MAIL.concat());
        assert_eq!(names(&folder), [id.as_str()]);
    }
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let draft = Draft::write(&folder.path, entry(new("alice", 1)), MAIL.iter().copied()).unwrap();
    assert_eq!(names(&folder).len(), 1);
    drop(draft);
    assert_eq!(names(&folder).len(), 0);
    fs::remove_dir_all(&folder.path).unwrap();
    assert!(folder.put(&entry(new("alice", 1)), MAIL.iter().copied()).is_err());
}

#[test]
fn the_start_sweeps_what_is_left_but_nothing_in_use() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let kept = put(&folder, new("alice", 100)).id;
    let left = folder.path.join(".new-left");
    fs::create_dir(&left).unwrap();
    fs::write(left.join(MESSAGE), "half").unwrap();
    let draft = Draft::write(&folder.path, entry(new("bob", 1)), MAIL.iter().copied()).unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    assert!(!left.exists() && draft.folder.path().exists());
    assert_eq!(names(&folder).len(), 2);
    assert!(folder.get(&kept).unwrap().is_some());
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

/// As if it had been held so long ago.
fn age(folder: &Folder, id: &EntryId, ago: Duration) {
    let file = File::options().write(true).open(folder.place(id).join(ENTRY)).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn what_is_old_is_removed_unless_it_is_released_or_was_held_again() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let [old, released, again, fresh] =
        ["old", "released", "again", "fresh"].map(|user| put(&folder, new(user, 100)).id);
    for id in [&old, &released, &again] {
        age(&folder, id, 31 * DAY);
    }
    let owner = folder.get(&released).unwrap().unwrap().identity.key();
    assert!(folder.mark(&owner, &released).unwrap());
    assert_eq!(put(&folder, new("again", 200)).when, folder.get(&again).unwrap().unwrap().when);
    let removed = [&old, &released, &again, &fresh].map(|id| folder.remove(id, Some(30 * DAY)).unwrap());
    assert_eq!(removed, [true, false, false, false]);
    folder.unmark(&owner, std::slice::from_ref(&released)).unwrap();
    assert!(folder.remove(&released, Some(30 * DAY)).unwrap());
    assert!(!folder.remove(&released, Some(30 * DAY)).unwrap());
    let mut left = [again.as_str(), fresh.as_str()];
    left.sort_unstable();
    assert_eq!(names(&folder), left);
}

#[test]
fn what_was_removed_since_its_place_was_taken_is_stored() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let draft = || Draft::write(&folder.path, entry(new("alice", 100)), MAIL.iter().copied()).unwrap();
    let place = folder.place(&draft().entry.id);
    for _ in 0..2 {
        let stored = folder.beside(draft(), &place).unwrap();
        assert_eq!(folder.get(&stored.id).unwrap(), Some(stored.clone()));
        assert_eq!(names(&folder), [stored.id.as_str()]);
    }
}

#[test]
fn removing_and_holding_at_once_never_loses_what_was_said_to_be_held() {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::open(state.path().join("quarantine")).unwrap();
    let id = put(&folder, new("alice", 100)).id;
    for _ in 0..50 {
        age(&folder, &id, 31 * DAY);
        std::thread::scope(|scope| {
            let holding: Vec<_> = (0..3)
                .map(|n| {
                    scope.spawn({
                        let folder = &folder;
                        move || put(folder, new("alice", n))
                    })
                })
                .collect();
            scope.spawn(|| folder.remove(&id, Some(30 * DAY)).unwrap());
            for held in holding {
                assert_eq!(held.join().unwrap().id, id);
            }
        });
        assert!(folder.get(&id).unwrap().is_some());
    }
}
