//! What guests ask of their state, granted or not, and how much of it they get.

use std::time::Duration;

use super::super::remember::{Memory, Problem, Scope};
use super::*;
use crate::store::State;

const TIMEOUT: Duration = Duration::from_secs(5);

fn facts(user: Option<&str>) -> Facts {
    Facts {
        user: user.map(str::to_owned),
        client: [127, 0, 0, 1].into(),
        listener: "l".into(),
        upstream: "u".into(),
        tls: true,
        command: FetchCommand::Retr,
        uidl: None,
        sdps_sender: None,
        sdps_recipient: None,
        examined_before: false,
    }
}

fn memory(filter: &str, state: &State, user: Option<&str>) -> Memory {
    Memory::new(filter, Some(state), Some(&facts(user)), TIMEOUT)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
    match result {
        Err(Problem::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn without_grant_without_message_and_without_user_it_is_refused() {
    let state = State::in_memory().unwrap();
    let key = [b"k".to_vec()];
    let none = Memory::new("f", None, Some(&facts(Some("alice"))), TIMEOUT);
    assert!(refusal(none.get(Scope::Shared, &key).await).contains("kv = true"));
    assert!(refusal(none.counters(Scope::Shared, &[7]).await).contains("kv = true"));
    let configured = Memory::new("f", Some(&state), None, TIMEOUT);
    assert!(refusal(configured.get(Scope::Shared, &key).await).contains("`configure`"));
    let mut nobody = memory("f", &state, None);
    assert!(refusal(nobody.add(Scope::User, vec![(b"k".to_vec(), 1)])).contains("no user"));
    assert_eq!(nobody.get(Scope::Shared, &key).await, Ok(vec![None]));
}

#[tokio::test]
async fn hostile_calls_are_refused_and_leave_nothing() {
    let state = State::in_memory().unwrap();
    let mut memory = memory("f", &state, Some("alice"));
    let keys = |count: usize, octets: usize| -> Vec<Vec<u8>> { (0..count).map(|_| vec![b'k'; octets]).collect() };
    for (keys, reason) in [
        (keys(1, 0), "1 to 256 octets"),
        (keys(1, 257), "1 to 256 octets"),
        (keys(1, 3_000_000), "1 to 256 octets"),
        (keys(4_097, 1), "4096 keys"),
        (keys(1_000_000, 1), "4096 keys"),
    ] {
        assert!(refusal(memory.get(Scope::User, &keys).await).contains(reason), "{reason}");
        assert!(refusal(memory.remove(Scope::User, keys)).contains(reason), "{reason}");
    }
    assert!(refusal(memory.counters(Scope::User, &[7; 4_097]).await).contains("4096 keys"));
    let value = |octets| vec![(b"k".to_vec(), vec![0; octets], None)];
    assert!(refusal(memory.put(Scope::User, value(65_537))).contains("65536"));
    let many = (0..17).map(|n| (vec![n], vec![0; 65_536], None)).collect();
    assert!(refusal(memory.put(Scope::User, many)).contains("1048576"));
    // What was refused is not half there; a life without end is one.
    memory.put(Scope::User, vec![(b"k".to_vec(), b"v".to_vec(), Some(u64::MAX))]).unwrap();
    memory.commit(None).await.unwrap();
    let memory = self::memory("f", &state, Some("alice"));
    let there = memory.get(Scope::User, &[b"k".to_vec(), vec![1]]).await.unwrap();
    assert_eq!(there, [Some(b"v".to_vec()), None]);
}

#[tokio::test]
async fn a_message_writes_so_much_and_no_more() {
    let state = State::in_memory().unwrap();
    let mut memory = memory("f", &state, Some("alice"));
    let calls = (0..1_000).filter(|n: &u32| {
        let keys = (0..4_096_u32).map(|key| ([n.to_le_bytes(), key.to_le_bytes()].concat(), 1)).collect();
        memory.add(Scope::User, keys).is_ok()
    });
    assert!(calls.count() < 60);
}

#[tokio::test]
async fn names_of_other_filters_and_users_mean_nothing() {
    let state = State::in_memory().unwrap();
    let mut one = memory("one", &state, Some("alice"));
    one.add(Scope::User, vec![(b"n".to_vec(), 1)]).unwrap();
    one.commit(None).await.unwrap();
    for (filter, user, key) in [
        ("two", "alice", "n"),
        ("one", "bob", "n"),
        ("one", "alice\0", "n"),
        ("one", "alice", "one/n"),
        ("", "alice", "n"),
    ] {
        let there = memory(filter, &state, Some(user)).get(Scope::User, &[key.into()]).await.unwrap();
        assert_eq!(there, [None], "{filter} {user} {key}");
    }
}

#[tokio::test]
async fn answers_are_bounded() {
    let state = State::in_memory().unwrap();
    let keys: Vec<Vec<u8>> = (0..20).map(|n| vec![n]).collect();
    for part in keys.chunks(10) {
        let mut memory = memory("f", &state, Some("alice"));
        memory.put(Scope::User, part.iter().map(|key| (key.clone(), vec![0; 65_536], None)).collect()).unwrap();
        memory.commit(None).await.unwrap();
    }
    let memory = memory("f", &state, Some("alice"));
    assert!(refusal(memory.get(Scope::User, &keys).await).contains("ask for fewer"));
    assert_eq!(memory.get(Scope::User, &keys[..15]).await.unwrap().len(), 15);
}
