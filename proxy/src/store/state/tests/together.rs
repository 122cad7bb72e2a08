//! Commits that wait are made together, and scopes that are asked for much are in memory as a whole: nobody can tell, but by the time.

use super::*;

/// Keys of eight octets that are spread over all.
fn keys(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec()).collect()
}

async fn is_whole(state: &State, owner: &Owner) -> bool {
    let (scope, seen) = state.seen(owner, PATIENCE).await.unwrap();
    scope.all(&seen, &[], 0).is_some()
}

/// Asks until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn reads_as_a_whole(open: impl Fn() -> State) {
    let (state, other) = (open(), open());
    let shared = Owner::shared("whole");
    let keys = keys(6_000);
    let mut changes = Changes::default();
    for (at, key) in keys.iter().enumerate().step_by(2) {
        changes.write(&shared, key.clone(), Write::Add(at as i64));
    }
    changes.write(&shared, b"text".to_vec(), Write::Put { value: b"a text".to_vec(), expires: NEVER });
    changes.write(&shared, b"87654321".to_vec(), Write::Put { value: vec![7; 8], expires: expiry(Some(3_600)) });
    other.commit(changes, 10 * PATIENCE).await.unwrap();

    let holds = async |state: &State, first: i64| {
        let values = state.get(&shared, &keys, 10 * PATIENCE).await.unwrap();
        let counts = values.iter().map(|value| value.as_deref().map(|it| i64::from_le_bytes(it.try_into().unwrap())));
        let expected = (0..).map(|at| if at == 1 { Some(first) } else { (at % 2 == 0).then_some(at) });
        counts.zip(expected).skip(usize::from(first == 0) * 2).all(|(count, expected)| count == expected)
            && get(state, &shared, "text").await.as_deref() == Some(b"a text")
            && get(state, &shared, "87654321").await.as_deref() == Some(&[7; 8])
    };
    assert!(holds(&state, 0).await, "entry by entry");
    until("it is read as a whole", async || is_whole(&state, &shared).await).await;
    assert!(holds(&state, 0).await, "as a whole");
    // What it writes itself it knows at once, and what others write after a second.
    let add = |key: &[u8], delta| {
        let mut changes = Changes::default();
        changes.write(&shared, key.to_vec(), Write::Add(delta));
        changes
    };
    state.commit(add(&keys[1], 5), PATIENCE).await.unwrap();
    assert!(is_whole(&state, &shared).await && holds(&state, 5).await);
    other.commit(add(&keys[1], 4), PATIENCE).await.unwrap();
    until("others are noticed", async || holds(&state, 9).await).await;
    // Whoever was not the last to write does not go by what was there.
    other.commit(add(&keys[1], 1), PATIENCE).await.unwrap();
    state.commit(add(&keys[1], 1), PATIENCE).await.unwrap();
    assert!(holds(&state, 11).await && holds(&open(), 11).await);
}

async fn learns_together(open: impl Fn() -> State) {
    let (state, other) = (open(), open());
    let owner = user("alice");
    let mut tasks = Vec::new();
    for number in 0..300u32 {
        // Each message three times, and by two processes.
        let mut message = [0; 32];
        message[..4].copy_from_slice(&(number / 3).to_le_bytes());
        let lesson = Lesson { owner: owner.clone(), message, before: None, now: Some(Label::Ham) };
        let changes = adds(&owner, ["all".to_owned(), format!("message {}", number / 3)]).with_lesson(lesson);
        let state = if number % 3 == 2 { other.clone() } else { state.clone() };
        tasks.push(tokio::spawn(async move { state.commit(changes, 10 * PATIENCE).await }));
    }
    let (mut learned, mut raced) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => learned += 1,
            Err(StateError::Raced) => raced += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((learned, raced), (100, 200));
    let state = open();
    assert_eq!(count(&state, &owner, "all").await, 100);
    for number in 0..100 {
        assert_eq!(count(&state, &owner, &format!("message {number}")).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_as_a_whole_and_together() {
    let folder = tempfile::tempdir().unwrap();
    reads_as_a_whole(|| sqlite(folder.path())).await;
    learns_together(|| sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_as_a_whole_and_together() {
    let server = Server::start();
    reads_as_a_whole(|| server.state()).await;
    learns_together(|| server.state()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_room_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(&configured("kv_per_user = \"10KB\""), folder.path()).unwrap();
    let mut tasks = Vec::new();
    for number in 0..100 {
        let (state, octets) = (state.clone(), if number % 10 == 0 { 20_000 } else { 10 });
        let changes = put(&user(&format!("user {number}")), "key", &vec![0; octets], None);
        tasks.push((octets, tokio::spawn(async move { state.commit(changes, 10 * PATIENCE).await })));
    }
    for (octets, task) in tasks {
        assert_eq!(task.await.unwrap().is_err(), octets > 10_000);
    }
}
