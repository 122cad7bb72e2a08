//! The quarantine by what is promised of it, in whatever place it lies.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::*;

fn rules() -> config::Quarantine {
    config::Quarantine::default()
}

fn open(state: &tempfile::TempDir, rules: &config::Quarantine) -> Quarantine {
    Quarantine::open(state.path(), &config::QuarantinePlace::Folder, rules).unwrap()
}

fn identity(user: Option<&str>) -> Identity {
    Identity { upstream: "u".into(), user: user.map(str::to_owned) }
}

fn new(user: Option<&str>, text: &str) -> NewEntry {
    NewEntry {
        identity: identity(user),
        sha256: Sha256::digest(text).into(),
        when: SystemTime::now(),
        filter: "f".into(),
        reason: "r".into(),
        subject: None,
        from: None,
        findings: Vec::new(),
    }
}

async fn try_put(quarantine: &Quarantine, user: Option<&str>, text: &str) -> Result<EntryId, PutError> {
    let original = Arc::new(text.as_bytes().to_vec());
    quarantine.put(new(user, text), original).await.map(|entry| entry.id)
}

async fn put(quarantine: &Quarantine, user: Option<&str>, text: &str) -> EntryId {
    try_put(quarantine, user, text).await.unwrap()
}

async fn ids(quarantine: &Quarantine, user: Option<&str>) -> Vec<EntryId> {
    quarantine.released(&identity(user)).await.unwrap().into_iter().map(|entry| entry.id).collect()
}

#[tokio::test]
async fn what_is_released_is_its_owners_until_it_is_collected() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &rules());
    let (mine, other) = (put(&quarantine, Some("alice"), "a\r\n").await, put(&quarantine, Some("bob"), "a\r\n").await);
    assert!(ids(&quarantine, Some("alice")).await.is_empty());
    for id in [&mine, &mine, &other] {
        quarantine.release(id).await.unwrap();
    }
    let quarantine = open(&state, &rules());
    assert_eq!(ids(&quarantine, Some("alice")).await, std::slice::from_ref(&mine));
    assert_eq!(quarantine.all_released().await.unwrap().len(), 2);
    quarantine.collected(&identity(Some("alice")), vec![mine.clone(), other.clone()]).await.unwrap();
    assert!(ids(&quarantine, Some("alice")).await.is_empty());
    assert_eq!(ids(&quarantine, Some("bob")).await, [other], "nobody deletes what is another's");
    assert!(quarantine.get(&mine).await.unwrap().is_some());
}

#[tokio::test]
async fn nobodys_message_is_not_released() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &rules());
    let id = put(&quarantine, None, "a").await;
    assert!(matches!(quarantine.release(&id).await, Err(ReleaseError::Nobody(_))));
    let missing = EntryId::parse(&"0".repeat(32)).unwrap();
    assert!(matches!(quarantine.release(&missing).await, Err(ReleaseError::Missing)));
    assert!(ids(&quarantine, None).await.is_empty());
}

#[tokio::test]
async fn a_released_message_is_announced_with_the_octets_that_retr_sends() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &rules());
    for text in ["", "a", "\n", "ab", "a\r\n", "abc\r"] {
        let id = put(&quarantine, Some("alice"), text).await;
        quarantine.release(&id).await.unwrap();
    }
    let released = quarantine.released(&identity(Some("alice"))).await.unwrap();
    let mut octets: Vec<_> = released.iter().map(|entry| (entry.size, entry.octets())).collect();
    octets.sort_unstable();
    assert_eq!(octets, [(0, 0), (1, 3), (1, 3), (2, 4), (3, 3), (4, 6)]);
}

#[test]
fn the_end_of_a_message_is_found_in_whatever_pieces_it_comes() {
    let pieces: [(&[&[u8]], bool); 4] =
        [(&[b"a\r", b"\n"], false), (&[b"a", b"\r", b"\n"], false), (&[b"a\r\n", b""], false), (&[b"\n", b"\r"], true)];
    for (pieces, unended) in pieces {
        assert_eq!(Entry::new(new(None, ""), pieces.iter().copied()).unended, unended, "{pieces:?}");
    }
}

#[tokio::test]
async fn a_deleted_message_is_gone_and_so_is_its_release() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &rules());
    let id = put(&quarantine, Some("alice"), "a").await;
    quarantine.release(&id).await.unwrap();
    assert_eq!(quarantine.entries().await.unwrap().len(), 1);
    assert!(quarantine.delete(&id).await.unwrap());
    assert!(!quarantine.delete(&id).await.unwrap());
    assert!(quarantine.entries().await.unwrap().is_empty() && ids(&quarantine, Some("alice")).await.is_empty());
}

#[tokio::test]
async fn what_is_read_is_what_was_put() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &rules());
    let text = "0123456789\r\n".repeat(20_000);
    let id = put(&quarantine, Some("alice"), &text).await;
    let entry = quarantine.get(&id).await.unwrap().unwrap();
    let mut reader = quarantine.read(&entry).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, text.as_bytes());
    for size in [entry.size - 1, entry.size + 1] {
        let mut reader = quarantine.read(&Entry { size, ..entry.clone() }).await.unwrap();
        let mut result = Ok(Some(bytes::Bytes::new()));
        while let Ok(Some(_)) = result {
            result = reader.next().await;
        }
        assert!(result.is_err(), "{size}");
    }
}

#[tokio::test]
async fn quotas_bound_what_all_and_what_each_may_have() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &config::Quarantine { total: 250, per_user: 150, ..rules() });
    let mail = |n: char| String::from(n).repeat(100);
    let first = put(&quarantine, Some("alice"), &mail('a')).await;
    let error = try_put(&quarantine, Some("alice"), &mail('b')).await.unwrap_err();
    assert!(error.to_string().contains("the user's held mail would have 200 octets"), "{error}");
    // The same once more takes no more room, in other hands neither.
    assert_eq!(put(&quarantine, Some("alice"), &mail('a')).await, first);
    let other = open(&state, &config::Quarantine { total: 250, per_user: 150, ..rules() });
    assert_eq!(put(&other, Some("alice"), &mail('a')).await, first);
    put(&quarantine, Some("bob"), &mail('a')).await;
    let error = try_put(&quarantine, Some("eve"), &mail('a')).await.unwrap_err();
    assert!(matches!(error, PutError::Full { octets: 300, max: 250, key: "quarantine.total", .. }), "{error}");
    assert_eq!(quarantine.entries().await.unwrap().len(), 2, "what is refused is not stored");
    // Somebody else makes room.
    assert!(other.delete(&first).await.unwrap());
    put(&quarantine, Some("eve"), &mail('a')).await;
    // And somebody else takes it.
    quarantine.delete(&EntryId::of(&identity(Some("eve")), &Sha256::digest(mail('a')).into())).await.unwrap();
    put(&other, Some("zoe"), &mail('c')).await;
    assert_eq!(quarantine.entries().await.unwrap().len(), 2);
}

#[tokio::test]
async fn many_at_once_do_not_exceed_a_quota() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = Arc::new(open(&state, &config::Quarantine { total: 550, per_user: 0, ..rules() }));
    let put = |n: usize| {
        let quarantine = Arc::clone(&quarantine);
        tokio::spawn(async move { try_put(&quarantine, Some("alice"), &format!("{n:0>100}")).await.is_ok() })
    };
    let mut stored = 0;
    for task in (0..20).map(put).collect::<Vec<_>>() {
        stored += usize::from(task.await.unwrap());
    }
    assert_eq!((stored, quarantine.entries().await.unwrap().len()), (5, 5));
}

#[tokio::test]
async fn only_what_is_over_expires() {
    let state = tempfile::tempdir().unwrap();
    let quarantine = open(&state, &config::Quarantine { keep: Some(Duration::from_secs(3600)), ..rules() });
    let (old, fresh) = (put(&quarantine, Some("alice"), "old").await, put(&quarantine, Some("alice"), "fresh").await);
    let path = state.path().join("quarantine").join(old.as_str()).join("entry.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, behind) = text.split_once("\"when\": \"").unwrap();
    std::fs::write(&path, format!("{before}\"when\": \"2000{}", &behind[4..])).unwrap();
    // It may have been held again since.
    assert_eq!(quarantine.expire().await.unwrap(), Expired::default());
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3700)).unwrap();
    let forever = open(&state, &config::Quarantine { keep: None, ..rules() });
    assert_eq!(forever.expire().await.unwrap(), Expired::default());
    assert_eq!(quarantine.expire().await.unwrap(), Expired { messages: 1, octets: 3 });
    assert!(quarantine.get(&old).await.unwrap().is_none() && quarantine.get(&fresh).await.unwrap().is_some());
}
