//! Transcripts: what the client says, what the server answers.

use super::*;

const FIRST: &str = "Subject: one\r\n\r\n.\r\n..\r\n.dots\r\nend\r\n"; // 35 octets
const SECOND: &str = "Subject: two\r\n\r\nhello\r\n"; // 23 octets

fn account() -> Arc<Account> {
    Arc::new(Account {
        user: b"demo".to_vec(),
        password: Secret::new(b" pass word".to_vec()),
        maildrop: Maildrop::new([FIRST.into(), SECOND.into()]),
    })
}

/// Plays lines `C: ...` and compares with the lines `S: ...` behind each; `id` stands for any unique id.
fn play(account: &Arc<Account>, transcript: &str) -> Session {
    let mut session = Session::new(Arc::clone(account));
    let mut answers: Vec<String> = Vec::new();
    for line in transcript.lines() {
        if let Some(said) = line.strip_prefix("C: ") {
            assert!(answers.is_empty(), "not expected before {said:?}: {answers:?}");
            let octets: Vec<u8> = session.on_line(Ok(said.as_bytes())).pieces().flatten().collect();
            let text = String::from_utf8(octets).unwrap();
            answers = text.strip_suffix("\r\n").unwrap().split("\r\n").map(str::to_owned).collect();
        } else if let Some(expected) = line.strip_prefix("S: ") {
            assert!(!answers.is_empty(), "nothing came for {expected:?}");
            let answer = answers.remove(0);
            let answer = match answer.rsplit_once(' ') {
                Some((start, id)) if id.len() == 24 && id.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
                    format!("{start} id")
                }
                _ => answer,
            };
            assert_eq!(answer, expected);
        }
    }
    assert!(answers.is_empty(), "left over: {answers:?}");
    session
}

#[test]
fn a_mail_client_gets_its_mail() {
    play(
        &account(),
        "C: CAPA
S: +OK I can
S: TOP
S: UIDL
S: USER
S: SASL PLAIN
S: PIPELINING
S: RESP-CODES
S: AUTH-RESP-CODE
S: EXPIRE NEVER
S: IMPLEMENTATION popgate-demo
S: .
C: user demo
S: +OK and the password?
C: pass  pass word
S: +OK welcome, 2 messages
C: STAT
S: +OK 2 58
C: LIST
S: +OK 2 messages (58 octets)
S: 1 35
S: 2 23
S: .
C: LIST 2
S: +OK 2 23
C: UIDL
S: +OK unique ids
S: 1 id
S: 2 id
S: .
C: UIDL 1
S: +OK 1 id
C: RETR 1
S: +OK 35 octets
S: Subject: one
S: 
S: ..
S: ...
S: ..dots
S: end
S: .
C: TOP 1 1
S: +OK the top of it
S: Subject: one
S: 
S: ..
S: .
C: TOP 2 0
S: +OK the top of it
S: Subject: two
S: 
S: .
C: NOOP
S: +OK still here
C: QUIT
S: +OK bye, 0 deleted
",
    );
}

#[test]
fn what_is_deleted_is_gone_at_quit_and_not_before() {
    let account = account();
    let login = "C: USER demo\nS: +OK and the password?\nC: PASS  pass word\n";
    let quitter = format!(
        "{login}S: +OK welcome, 2 messages
C: DELE 2
S: +OK message 2 goes at QUIT
C: RSET
S: +OK nothing is deleted
C: DELE 1
S: +OK message 1 goes at QUIT
C: DELE 1
S: -ERR no such message
C: RETR 1
S: -ERR no such message
C: STAT
S: +OK 1 23
C: LIST
S: +OK 1 messages (23 octets)
S: 2 23
S: .
"
    );
    // This client vanishes: nothing is lost.
    drop(play(&account, &quitter));
    let quitter = format!("{quitter}C: QUIT\nS: +OK bye, 1 deleted\n");
    play(&account, &quitter);
    play(&account, &format!("{login}S: +OK welcome, 1 messages\nC: LIST 1\nS: +OK 1 23\n"));
}

#[test]
fn plain_logs_in_with_and_without_an_initial_response() {
    // `\0demo\0 pass word`, `demo\0demo\0 pass word`
    for response in ["AGRlbW8AIHBhc3Mgd29yZA==", "ZGVtbwBkZW1vACBwYXNzIHdvcmQ="] {
        for transcript in [
            format!("C: AUTH PLAIN {response}\nS: +OK welcome, 2 messages\n"),
            format!("C: auth plain\nS: + \nC: {response}\nS: +OK welcome, 2 messages\n"),
        ] {
            assert!(play(&account(), &transcript).logged_in());
        }
    }
}

#[test]
fn a_login_that_fails_leaves_nothing_behind() {
    // The third response is `bob\0demo\0 pass word`: demo acts for nobody else.
    let session = play(
        &account(),
        "C: AUTH
S: +OK I understand
S: PLAIN
S: .
C: AUTH PLAIN
S: + 
C: *
S: -ERR cancelled
C: AUTH PLAIN
S: + 
C: CAPA!
S: -ERR invalid base64
C: AUTH PLAIN =
S: -ERR malformed credentials
C: AUTH PLAIN Ym9iAGRlbW8AIHBhc3Mgd29yZA==
S: -ERR [AUTH] wrong user or password
C: AUTH CRAM-MD5
S: -ERR no such mechanism
C: PASS  pass word
S: -ERR send USER first
C: USER demo
S: +OK and the password?
C: PASS pass word
S: -ERR [AUTH] wrong user or password
C: PASS  pass word
S: -ERR send USER first
C: USER nobody
S: +OK and the password?
C: PASS  pass word
S: -ERR [AUTH] wrong user or password
",
    );
    assert!(!session.logged_in());
}

#[test]
fn commands_out_of_place_are_refused() {
    play(
        &account(),
        "C: STAT
S: -ERR log in first
C: STLS
S: -ERR not here
C: APOP demo 0123
S: -ERR not here
C: HELO
S: -ERR unknown command
C: AUTH PLAIN AGRlbW8AIHBhc3Mgd29yZA==
S: +OK welcome, 2 messages
C: USER demo
S: -ERR not after login
C: *ENV 1
S: -ERR not after login
C: RETR 0
S: -ERR no such message
C: RETR 3
S: -ERR no such message
C: TOP 1
S: -ERR wrong number of arguments
C: QUIT
S: +OK bye, 0 deleted
",
    );
    play(&account(), "C: QUIT\nS: +OK bye\n");
}

#[test]
fn those_who_only_guess_are_shown_out() {
    for (line, most) in [("HELO", MAX_BAD), ("AUTH PLAIN AGRlbW8AeA==", MAX_REFUSED)] {
        let mut session = Session::new(account());
        for count in 1..=most {
            assert_eq!(session.on_line(Ok(line.as_bytes())).is_last(), count == most, "{line} {count}");
        }
    }
    let mut session = Session::new(account());
    session.on_line(Ok(b"AUTH PLAIN"));
    assert_eq!(session.on_line(Err(LineFault::Nul)), Reply::error("NUL in the line"));
    assert_eq!(session.line_limit(b"x"), line_limit(b"x"), "the exchange is over");
}
