//! Tokens of messages, on both databases.

use std::path::Path;

use popgate_config::Store;

use super::*;
use crate::store::{Arrivals, HashStart, History, Identity, Judgement};

fn owner(user: &str) -> Owner {
    Owner::user("f", &Identity { upstream: "u".into(), user: Some(user.into()) }).unwrap()
}

fn left(owner: Owner, message: u8, token: impl Into<Arc<[u8]>>) -> LearnToken {
    LearnToken { owner, message: [message; 32], token: token.into() }
}

async fn rows(state: &State) -> i64 {
    struct Count;
    impl Work for Count {
        type Done = i64;
        async fn run(&self, connection: &mut AnyConnection) -> Result<i64, Aborted> {
            Ok(sqlx::query("SELECT COUNT(*) FROM learn_token").fetch_one(connection).await?.try_get(0)?)
        }
    }
    state.inner.database.read(PATIENCE, Count).await.unwrap()
}

async fn seen(state: &State, start: &str) -> Arrivals {
    state.arrivals(&HashStart::parse(start).unwrap()).await.unwrap()
}

/// What holds of tokens, whichever database has them; there are none at first.
pub(in crate::store::state) async fn keeps_its_promises(open: impl Fn() -> State) {
    let state = open();
    let tokens = LearnTokens::start(&state);
    tokens.note(left(owner("alice"), 1, *b"first"));
    tokens.note(left(owner("alice"), 1, *b"of alice"));
    tokens.note(left(owner("bob"), 1, *b"of bob"));
    tokens.note(left(owner("bob"), 2, vec![255; 65_536]));
    tokens.note(left(Owner::shared("f"), 3, *b"\0"));
    tokens.note(left(Owner::shared("g"), 3, *b"of another filter"));
    tokens.flush().await;
    // Another process finds them, each with its owner; of one and the same the last.
    let other = open();
    let of = async |owner: &Owner, message: u8| other.learn_token(owner, &[message; 32]).await.unwrap();
    assert_eq!(of(&owner("alice"), 1).await.as_deref(), Some(&b"of alice"[..]));
    assert_eq!(of(&owner("bob"), 1).await.as_deref(), Some(&b"of bob"[..]));
    assert_eq!(of(&owner("bob"), 2).await, Some(vec![255; 65_536]));
    assert_eq!(
        (of(&owner("alice"), 2).await, of(&owner("alice"), 3).await, of(&owner("eve"), 1).await),
        (None, None, None)
    );
    // For all, that of anybody.
    let all = Owner::shared("f");
    assert!(of(&all, 1).await.unwrap().starts_with(b"of "));
    assert_eq!(of(&all, 3).await.as_deref(), Some(&b"\0"[..]));
    assert_eq!((of(&Owner::shared("h"), 1).await, of(&all, 4).await), (None, None));

    // By the beginning of the hash.
    let mut near = [1; 32];
    near[31] = 2;
    tokens.note(LearnToken { message: near, ..left(owner("alice"), 0, *b"near") });
    let history = History::start(&state);
    history.note(Judgement {
        when: std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000),
        identity: Identity { upstream: "u".into(), user: None },
        verdict: "pass".into(),
        filter: String::new(),
        reason: String::new(),
        uidl: String::new(),
        octets: 1,
        sha256: [9; 32],
        subject: String::new(),
    });
    tokens.flush().await;
    history.flush().await;
    assert_eq!(seen(&other, "03030303").await, Arrivals { with_token: vec![[3; 32]], without: None });
    assert_eq!(seen(&other, "01010101").await.with_token.len(), 2);
    assert_eq!(seen(&other, &"01".repeat(32)).await.with_token, [[1; 32]]);
    let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
    assert_eq!(seen(&other, "0909090909").await, Arrivals { with_token: Vec::new(), without: Some(when) });
    assert_eq!(seen(&other, "0909090908").await, Arrivals::default());

    // What is over is not there, and goes.
    struct Age;
    impl Work for Age {
        type Done = ();
        async fn run(&self, connection: &mut AnyConnection) -> Result<(), Aborted> {
            let age = sqlx::query("UPDATE learn_token SET expires = $1 WHERE message = $2");
            age.bind(now()).bind(vec![3; 32]).execute(connection).await?;
            Ok(())
        }
    }
    state.inner.database.transaction(Instant::now() + PATIENCE, Age).await.unwrap();
    assert_eq!((of(&all, 3).await, seen(&other, "03030303").await), (None, Arrivals::default()));
    assert_eq!(rows(&state).await, 6);
    state.inner.forget_tokens(now()).await.unwrap();
    assert_eq!(rows(&state).await, 4);
    state.inner.forget_tokens(now() + LIFETIME - 60).await.unwrap();
    assert_eq!(rows(&state).await, 4);
    state.inner.forget_tokens(now() + LIFETIME + 60).await.unwrap();
    assert_eq!(rows(&state).await, 0);
}

/// What holds where a user has room for 20,000 octets, and a filter for 100,000.
pub(in crate::store::state) async fn is_bounded(state: &State) {
    let tokens = LearnTokens::start(state);
    // One after the other, so that it is known which is the oldest.
    let fill = async |user: &str, first: u8, count: u8| {
        for message in first..first + count {
            tokens.note(left(owner(user), message, vec![0; 2_000 - OVERHEAD]));
            tokens.flush().await;
        }
    };
    // They come within a second or two: what expires with others goes in the order of the messages.
    fill("alice", 0, 30).await;
    let of_alice = rows(state).await;
    assert!((10..=12).contains(&of_alice), "{of_alice}");
    fill("bob", 100, 1).await;
    assert_eq!(rows(state).await, of_alice + 1, "a user takes no room from another");
    for user in 0..20 {
        fill(&format!("user {user}"), 0, 5).await;
    }
    let all = rows(state).await;
    assert!((50..=57).contains(&all), "{all}");
    let other = LearnToken { owner: Owner::shared("other"), ..left(owner("x"), 1, *b"kept") };
    tokens.note(other);
    tokens.flush().await;
    assert_eq!(rows(state).await, all + 1);
}

/// The same as lines of `[store]`.
pub(in crate::store::state) const BOUNDED: &str = "kv_per_user = \"20KB\"\nkv_per_filter = \"100KB\"";

#[tokio::test]
async fn tokens_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    keeps_its_promises(|| State::new(&Store::default(), folder.path()).unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let bounds = Store { kv_per_user: 20_000, kv_per_filter: 100_000, ..Store::default() };
    is_bounded(&State::new(&bounds, folder.path()).unwrap()).await;
}

#[tokio::test]
async fn the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(&Store::default(), folder.path()).unwrap();
    let tokens =
        |from: u8| -> Vec<LearnToken> { (from..from + 5).map(|n| left(owner("alice"), n, vec![0; 808])).collect() };
    // The later ones have the smaller hashes.
    for (first, expires) in [(10, 1_000), (0, 2_000)] {
        let all = tokens(first);
        let tokens: Vec<&LearnToken> = all.iter().collect();
        state.inner.database.transaction(Instant::now() + PATIENCE, Insert { tokens: &tokens, expires }).await.unwrap();
    }
    for user in [Some(owner("alice").user), None] {
        let trim = Trim { filter: "f", user: user.as_deref(), max: 7_000 };
        state.inner.database.transaction(Instant::now() + PATIENCE, trim).await.unwrap();
        assert_eq!(rows(&state).await, 7);
    }
    for (message, is_there) in [(0, true), (4, true), (11, true), (12, false), (14, false)] {
        let found = LookUp { owner: &owner("alice"), message: &[message; 32], now: 0 };
        assert_eq!(state.inner.database.read(PATIENCE, found).await.unwrap().is_some(), is_there, "{message}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_database_that_is_away_and_memory_is_bounded() {
    let folder: &Path = &tempfile::tempdir().unwrap().keep();
    std::fs::create_dir(folder.join("state.db")).unwrap();
    let state = State::new(&Store::default(), folder).unwrap();
    let tokens = LearnTokens::start(&state);
    let token: Arc<[u8]> = vec![0; 65_536].into();
    let begun = Instant::now();
    for message in 0..2_000_u32 {
        tokens.note(left(owner("alice"), message.to_le_bytes()[0], Arc::clone(&token)));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "{:?}", begun.elapsed());
    // The token itself is shared here; each that waits has a share.
    let waiting = Arc::strong_count(&token) - 1;
    assert!((200..=256).contains(&waiting), "{waiting}");
    assert!(state.learn_token(&owner("alice"), &[0; 32]).await.is_err());
    std::fs::remove_dir_all(folder).unwrap();
}
