//! The session without any I/O: events in, effects out.

use super::*;
use crate::pop3::MessageNumber;

fn policy() -> Policy {
    Policy {
        client: IpAddr::from([127, 0, 0, 1]),
        implicit_tls: false,
        stls: true,
        encryption_required: false,
        allow_cleartext: false,
        fixed_upstream: true,
        kpop: false,
        sasl: ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"].into(),
        passes_stls: false,
        bad_commands: 20,
    }
}

/// Effects as short lines: `C:` to the client, `U:` to the upstream, `J:` a job.
fn shown(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(show).collect()
}

fn show(effect: &Effect) -> String {
    match effect {
        Effect::Client(bytes) => format!("C: {}", String::from_utf8_lossy(bytes).trim_end()),
        Effect::Upstream(line) => format!("U: {}", String::from_utf8_lossy(line.expose())),
        Effect::Job(job) => format!("J: {}", format!("{job:?}").split(['(', ' ']).next().unwrap_or_default()),
        Effect::Warn(text) => format!("warn: {text}"),
        Effect::Forget(number) => format!("forget {}", number.map_or("all".into(), |number| number.to_string())),
        Effect::Close => "close".into(),
        Effect::Broken(reason) => format!("broken: {reason}"),
    }
}

fn say(session: &mut Session, line: &'static str) -> Vec<Effect> {
    assert!(session.takes_line(), "{line}");
    session.on(Event::Line(Ok(Bytes::from_static(line.as_bytes()))))
}

/// What was asked last is answered with this line.
fn answer(session: &mut Session, effects: Vec<Effect>, line: &'static str) -> Vec<Effect> {
    match effects.into_iter().next_back() {
        Some(Effect::Job(Job::Reply(purpose))) => {
            session.on(Event::Reply(purpose, Bytes::from_static(line.as_bytes())))
        }
        other => panic!("nothing was asked: {other:?}"),
    }
}

fn connected(policy: Policy) -> Session {
    let mut session = Session::new(policy);
    session.on(Event::Start);
    let greeting = Status::parse(Bytes::from_static(b"+OK ready <1.2@host>")).unwrap();
    session.on(Event::Connected { greeting, user: None, apop: true, scheme: Scheme::Relay });
    session
}

/// A session of a user whose mail is fetched so.
pub(super) fn logged_in(fetch: FetchPolicy) -> Session {
    let mut session = connected(policy());
    let asked = say(&mut session, "USER alice");
    answer(&mut session, asked, "+OK");
    let asked = say(&mut session, "PASS secret");
    answer(&mut session, asked, "+OK logged in");
    assert_eq!(shown(&session.on(Event::Admitted(fetch))), ["C: +OK logged in"]);
    session
}

#[test]
fn stls_that_is_passed_on_waits_for_the_upstream() {
    let asked = || {
        let mut session = Session::new(Policy { passes_stls: true, ..policy() });
        session.on(Event::Start);
        let greeting = Status::parse(Bytes::from_static(b"+OK ready")).unwrap();
        session.on(Event::Connected { greeting, user: None, apop: true, scheme: Scheme::Relay });
        let effects = session.on(Event::Line(Ok(Bytes::from_static(b"STLS"))));
        assert_eq!(shown(&effects), ["U: STLS", "J: Reply"]);
        assert!(!session.takes_line(), "nothing goes on before the answer is there");
        session
    };
    let mut session = asked();
    let effects = session.on(Event::Reply(Purpose::Stls, Bytes::from_static(b"-ERR unknown")));
    assert_eq!(shown(&effects), ["C: -ERR unknown"]);
    assert!(session.takes_line());
    let mut session = asked();
    let effects = session.on(Event::Reply(Purpose::Stls, Bytes::from_static(b"+OK begin")));
    assert_eq!(shown(&effects), ["C: +OK begin TLS negotiation", "J: Handshake"]);
    assert!(!session.takes_line());
    session.on(Event::Secured);
    assert!(session.takes_line());
}

#[test]
fn before_login_one_command_is_outstanding() {
    let mut session = connected(policy());
    let asked = say(&mut session, "USER alice");
    assert_eq!(shown(&asked), ["U: USER alice", "J: Reply"]);
    assert!(!session.takes_line());
    assert_eq!(shown(&answer(&mut session, asked, "+OK who?")), ["C: +OK who?"]);
    assert!(session.takes_line());
}

#[test]
fn a_password_without_a_user_is_never_forwarded() {
    let mut session = connected(policy());
    assert_eq!(shown(&say(&mut session, "PASS secret")), ["C: -ERR send USER first"]);
    let asked = say(&mut session, "USER alice");
    answer(&mut session, asked, "+OK");
    session.on(Event::Line(Ok("STLS".into())));
    session.on(Event::Secured);
    assert_eq!(shown(&say(&mut session, "PASS secret")), ["C: -ERR send USER first"]);
    assert_eq!(shown(&say(&mut session, "STLS")), ["C: -ERR the connection is encrypted already"]);
}

#[test]
fn no_cleartext_credential_leaves_the_loopback() {
    let remote = Policy { client: IpAddr::from([192, 0, 2, 1]), ..policy() };
    let required = Policy { encryption_required: true, ..policy() };
    for policy in [remote.clone(), required.clone()] {
        let mut session = connected(policy);
        for line in ["USER alice", "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "PASS x"] {
            let reply = shown(&say(&mut session, line));
            assert!(reply[0].starts_with("C: -ERR [AUTH]") && reply.len() == 1, "{line}: {reply:?}");
        }
        session.on(Event::Line(Ok("STLS".into())));
        session.on(Event::Secured);
        assert_eq!(shown(&say(&mut session, "USER alice"))[0], "U: USER alice");
    }
    assert_eq!(shown(&say(&mut connected(remote.clone()), "APOP alice digest"))[0], "U: APOP alice digest");
    assert!(shown(&say(&mut connected(required), "APOP alice digest"))[0].starts_with("C: -ERR"));
    let allowed = Policy { allow_cleartext: true, ..remote };
    assert_eq!(shown(&say(&mut connected(allowed), "USER alice"))[0], "U: USER alice");
}

#[test]
fn only_a_refused_credential_waits() {
    for (line, waits) in
        [("-ERR [AUTH] no", true), ("-ERR no", true), ("-ERR [IN-USE] locked", false), ("-ERR [SYS/TEMP] x", false)]
    {
        let mut session = connected(policy());
        let asked = say(&mut session, "USER alice");
        answer(&mut session, asked, "+OK");
        let asked = say(&mut session, "PASS wrong");
        let effects = answer(&mut session, asked, line);
        assert_eq!(shown(&effects)[0].starts_with("J: Penalize"), waits, "{line}");
    }
}

#[test]
fn a_sasl_exchange_is_relayed_line_by_line() {
    let mut session = connected(policy());
    let asked = say(&mut session, "AUTH CRAM-MD5");
    assert_eq!(shown(&asked), ["U: AUTH CRAM-MD5", "J: Reply"]);
    assert_eq!(shown(&answer(&mut session, asked, "+ PDE+")), ["C: + PDE+"]);
    // Lines of an exchange are no commands, and a cancelled one is no attempt.
    let asked = say(&mut session, "QUIT");
    assert_eq!(shown(&asked), ["U: QUIT", "J: Reply"]);
    assert_eq!(shown(&answer(&mut session, asked, "+ ")), ["C: +"]);
    let asked = say(&mut session, "*");
    assert_eq!(shown(&answer(&mut session, asked, "-ERR aborted")), ["C: -ERR aborted"]);
    let asked = say(&mut session, "AUTH PLAIN AGFsaWNlAHNlY3JldA==");
    let admitted = answer(&mut session, asked, "+OK in");
    assert!(matches!(&admitted[0], Effect::Job(Job::Admit(Some(user))) if user == b"alice"));
}

#[test]
fn a_routed_session_prompts_for_itself_and_logs_in_as_the_upstream_can() {
    for (capabilities, expected) in [("SASL LOGIN PLAIN", "U: AUTH PLAIN"), ("USER", "U: USER al")] {
        let mut session = Session::new(Policy { fixed_upstream: false, ..policy() });
        assert_eq!(shown(&session.on(Event::Start)), ["C: +OK POP3 ready"]);
        assert_eq!(shown(&say(&mut session, "AUTH LOGIN")), ["C: + VXNlcm5hbWU6"]);
        assert_eq!(shown(&say(&mut session, "YWxpY2U=")), ["C: + UGFzc3dvcmQ6"]);
        let effects = say(&mut session, "c2VjcmV0");
        assert!(matches!(&effects[0], Effect::Job(Job::Connect(Some(user))) if user == b"alice"));
        let greeting = Status::parse("+OK".into()).unwrap();
        let asked =
            session.on(Event::Connected { greeting, user: Some(b"al".to_vec()), apop: true, scheme: Scheme::Relay });
        let effects = answer(&mut session, asked, "+OK");
        let Some(Effect::Job(Job::Collect(purpose))) = effects.into_iter().next() else { panic!("no list") };
        let effects = session.on(Event::Collected(purpose, vec![capabilities.into()]));
        assert_eq!(shown(&effects)[0], expected);
    }
}

#[test]
fn too_many_bad_commands_end_the_session() {
    let mut session = connected(policy());
    for _ in 0..4 {
        assert_eq!(shown(&say(&mut session, "HELO")), ["C: -ERR unknown command"]);
    }
    assert_eq!(shown(&say(&mut session, "RETR 1")), ["C: -ERR log in first; too many bad commands", "close"]);
    assert!(!session.takes_line());
}

#[test]
fn commands_go_ahead_only_where_the_upstream_pipelines_and_quit_never() {
    let mut session = logged_in(FetchPolicy::default());
    say(&mut session, "NOOP");
    assert!(!session.takes_line(), "the upstream has not announced PIPELINING");
    let mut session = logged_in(FetchPolicy::default());
    let asked = say(&mut session, "CAPA");
    let effects = answer(&mut session, asked, "+OK");
    let Some(Effect::Job(Job::Collect(purpose))) = effects.into_iter().next() else { panic!("no list") };
    session.on(Event::Collected(purpose, vec!["PIPELINING".into()]));
    let first = say(&mut session, "RETR 1");
    let second = say(&mut session, "DELE 1");
    assert_eq!(shown(&first), ["U: RETR 1", "J: Pass"]);
    assert_eq!(shown(&second), ["U: DELE 1", "J: Reply"]);
    // QUIT keeps its place in the queue, behind replies of the proxy's own too: nothing may be committed before the
    // client has everything.
    let waiting = say(&mut session, "QUIT");
    assert_eq!(shown(&waiting), ["J: Turn"]);
    assert!(!session.takes_line());
    assert!(session.on(Event::Relayed).is_empty());
    assert_eq!(shown(&answer(&mut session, second, "+OK gone")), ["C: +OK gone"]);
    let Some(Effect::Job(Job::Turn(command))) = waiting.into_iter().next() else { panic!("it does not wait") };
    assert_eq!(shown(&session.on(Event::Turn(command))), ["U: QUIT", "J: Reply"]);
}

#[test]
fn sizes_are_the_upstreams_until_a_message_was_filtered() {
    let mut session = logged_in(FetchPolicy { filtered: true, ..FetchPolicy::default() });
    let asked = say(&mut session, "STAT");
    assert_eq!(shown(&asked), ["U: STAT", "J: Pass"]);
    session.on(Event::Relayed);
    let asked = say(&mut session, "RETR 2");
    let effects = answer(&mut session, asked, "+OK 200 octets");
    assert_eq!(shown(&effects), ["J: Fetch"]);
    let number = MessageNumber::parse(b"2").unwrap();
    session.on(Event::Fetched { number, size: 250, kept: false });
    let asked = say(&mut session, "LIST 2");
    assert_eq!(shown(&answer(&mut session, asked, "+OK 2 200")), ["C: +OK 2 250"]);
    assert_eq!(shown(&say(&mut session, "STAT"))[0], "U: LIST");
}

#[test]
fn top_of_a_filtered_message_fetches_it_whole_without_counting_as_delivered() {
    let mut session = logged_in(FetchPolicy { filtered: true, ..FetchPolicy::default() });
    let asked = say(&mut session, "TOP 1 0");
    assert_eq!(shown(&asked)[0], "U: TOP 1 2147483647");
    answer(&mut session, asked, "+OK");
    let number = MessageNumber::parse(b"1").unwrap();
    session.on(Event::Fetched { number, size: 9, kept: true });
    let effects = say(&mut session, "TOP 1 5");
    assert_eq!(shown(&effects), ["J: Kept"]);
    session.on(Event::Sent);
    // The client's own RETR reaches the server, though the octets are there.
    assert_eq!(shown(&say(&mut session, "RETR 1"))[0], "U: RETR 1");
}

#[test]
fn a_reply_that_is_none_breaks_the_session_off() {
    let mut session = logged_in(FetchPolicy::default());
    let asked = say(&mut session, "DELE 1");
    assert_eq!(shown(&answer(&mut session, asked, "*OK")), ["broken: a reply that is neither +OK nor -ERR"]);
}

#[test]
fn channel_binding_is_not_offered_and_nothing_that_would_look_like_a_downgrade() {
    let session = connected(policy());
    let list = crate::pop3::Capabilities::parse([
        &b"SASL PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256"[..],
        b"STLS",
        b"UIDL",
        b"IMPLEMENTATION Secret 1.0",
        b"XFOO",
    ]);
    let reply = shown(&[session.capability_reply(&list)]).remove(0);
    assert_eq!(reply, "C: +OK capabilities\r\nSASL PLAIN SCRAM-SHA-256\r\nUIDL\r\nSTLS\r\nPIPELINING\r\n.");
}

#[test]
fn a_greeting_loses_its_timestamp_where_the_configuration_says_so() {
    for (apop, shown_greeting) in [(true, "C: +OK ready <1.2@host> now"), (false, "C: +OK ready  now")] {
        let mut session = Session::new(policy());
        session.on(Event::Start);
        let greeting = Status::parse("+OK ready <1.2@host> now".into()).unwrap();
        assert_eq!(
            shown(&session.on(Event::Connected { greeting, user: None, apop, scheme: Scheme::Relay })),
            [shown_greeting]
        );
        let reply = shown(&say(&mut session, "APOP alice digest"))[0].clone();
        assert_eq!(reply == "U: APOP alice digest", apop, "{reply}");
    }
}

#[test]
fn a_token_that_names_the_user_finds_the_users_upstream() {
    let mut session = Session::new(Policy { fixed_upstream: false, ..policy() });
    session.on(Event::Start);
    assert_eq!(shown(&say(&mut session, "AUTH XOAUTH2")), ["C: +"]);
    // user=alice^Aauth=Bearer x^A^A
    let effects = say(&mut session, "dXNlcj1hbGljZQFhdXRoPUJlYXJlciB4AQE=");
    assert!(matches!(&effects[0], Effect::Job(Job::Connect(Some(user))) if user == b"alice"));
    let greeting = Status::parse("+OK".into()).unwrap();
    let asked =
        session.on(Event::Connected { greeting, user: Some(b"alice".to_vec()), apop: true, scheme: Scheme::Relay });
    assert_eq!(shown(&asked)[0], "U: AUTH XOAUTH2");
    let asked = answer(&mut session, asked, "+");
    assert_eq!(shown(&asked)[0], "U: dXNlcj1hbGljZQFhdXRoPUJlYXJlciB4AQE=");
    // The server's reasons for a refusal come as a challenge (RFC 7628 section 3.2.2).
    assert_eq!(shown(&answer(&mut session, asked, "+ eyJzdGF0dXMiOiI0MDAifQ==")), ["C: + eyJzdGF0dXMiOiI0MDAifQ=="]);
    let asked = say(&mut session, "");
    let effects = answer(&mut session, asked, "-ERR [AUTH] no");
    assert_eq!(shown(&effects), ["J: Disconnect", "J: Penalize"]);
}

#[test]
fn a_server_without_top_is_asked_by_retr_where_that_is_allowed() {
    for (top_by, listed, line) in [
        (TopBy::Either, "TOP", "U: TOP 1 2147483647"),
        (TopBy::Either, "UIDL", "U: RETR 1"),
        (TopBy::Top, "UIDL", "U: TOP 1 2147483647"),
        (TopBy::Retr, "TOP", "U: RETR 1"),
    ] {
        let mut session = logged_in(FetchPolicy { filtered: true, top_by, ..FetchPolicy::default() });
        let asked = say(&mut session, "CAPA");
        let effects = answer(&mut session, asked, "+OK");
        let Some(Effect::Job(Job::Collect(purpose))) = effects.into_iter().next() else { panic!("no list") };
        session.on(Event::Collected(purpose, vec![listed.into()]));
        assert_eq!(shown(&say(&mut session, "TOP 1 0"))[0], line, "{top_by:?} {listed}");
    }
}

/// Logged in by this mechanism in a relayed exchange.
fn logged_in_by(auth: &'static str) -> Session {
    let mut session = connected(policy());
    let asked = say(&mut session, auth);
    answer(&mut session, asked, "+ ");
    let asked = say(&mut session, "");
    let effects = answer(&mut session, asked, "+OK in");
    assert_eq!(shown(&effects), ["J: Admit"]);
    assert!(!session.is_unreadable(&[0]), "the login is not complete");
    session.on(Event::Admitted(FetchPolicy::default()));
    session
}

#[test]
fn a_security_layer_shows_in_the_first_octet_after_the_login() {
    for auth in ["AUTH GSSAPI", "auth digest-md5", "AUTH GSS-SPNEGO"] {
        let mut session = logged_in_by(auth);
        assert!(!session.is_unreadable(b"") && !session.is_unreadable(b"STAT"));
        assert!(session.is_unreadable(&[0, 0, 0, 60]), "{auth}");
        say(&mut session, "QUIT");
        assert!(!session.is_unreadable(&[0, 0, 0, 60]), "text was spoken");
    }
    for auth in ["AUTH PLAIN", "AUTH CRAM-MD5", "AUTH SCRAM-SHA-256"] {
        assert!(!logged_in_by(auth).is_unreadable(&[0, 0, 0, 60]), "{auth}");
    }
}

#[test]
fn behind_kerberos_a_name_may_come_in_clear_and_a_password_may_not() {
    let policy = Policy { client: IpAddr::from([192, 0, 2, 1]), stls: false, kpop: true, ..policy() };
    let mut session = connected(policy.clone());
    assert!(shown(&say(&mut session, "AUTH PLAIN AGFsaWNlAHNlY3JldA=="))[0].starts_with("C: -ERR [AUTH]"));
    let asked = say(&mut session, "USER alice");
    answer(&mut session, asked, "+OK");
    assert_eq!(shown(&say(&mut session, "PASS krb_ticket"))[0], "U: PASS krb_ticket");
    let list = ["USER", "SASL GSSAPI PLAIN"].into_iter().collect();
    let Effect::Client(reply) = connected(policy).capability_reply(&list) else { panic!("no reply") };
    assert_eq!(reply, "+OK capabilities\r\nUSER\r\nPIPELINING\r\n.\r\n");
}

/// What is asked before a message, and the event that brings its own command back.
fn envelope_first(mut effects: Vec<Effect>, line: &str) -> (Vec<Effect>, Event) {
    assert_eq!(shown(&effects), [line, "J: Reply", "J: Turn"]);
    let Some(Effect::Job(Job::Turn(command))) = effects.pop() else { panic!("no turn") };
    (effects, Event::Turn(command))
}

#[test]
fn the_envelope_is_asked_for_before_the_message_and_once() {
    let mut session = logged_in(FetchPolicy { filtered: true, sdps: true, ..FetchPolicy::default() });
    let asked = say(&mut session, "RETR 1");
    let (asked, turn) = envelope_first(asked, "U: *ENV 1");
    assert!(!session.takes_line(), "nothing may overtake the message");
    let effects = answer(&mut session, asked, "+OK");
    let Some(Effect::Job(Job::List(mut listing))) = effects.into_iter().next() else { panic!("no list") };
    for line in ["1", "host", "", "r@example.net"] {
        assert_eq!(session.list_line(&mut listing, line.into()), None);
    }
    assert!(session.on(Event::Listed(listing)).is_empty() && !session.takes_line());
    let asked = session.on(turn);
    assert_eq!(shown(&asked), ["U: RETR 1", "J: Reply"]);
    let Some(Effect::Job(Job::Fetch(fetch))) = answer(&mut session, asked, "+OK").into_iter().next() else {
        panic!("no fetch")
    };
    let envelope = fetch.envelope.expect("it was told");
    assert_eq!((envelope.sender.as_deref(), envelope.recipient.as_deref()), (Some("<>"), Some("r@example.net")));
    session.on(Event::Fetched { number: fetch.number, size: 1, kept: false });
    assert_eq!(shown(&say(&mut session, "RETR 1"))[0], "U: RETR 1");
}

#[test]
fn an_envelope_that_is_refused_is_no_fault() {
    let mut session = logged_in(FetchPolicy { filtered: true, sdps: true, ..FetchPolicy::default() });
    let asked = say(&mut session, "TOP 2 0");
    let (asked, turn) = envelope_first(asked, "U: *ENV 2");
    assert!(answer(&mut session, asked, "-ERR what?").is_empty());
    let asked = session.on(turn);
    assert_eq!(shown(&asked), ["U: TOP 2 2147483647", "J: Reply"]);
    let effects = answer(&mut session, asked, "+OK");
    assert!(matches!(&effects[0], Effect::Job(Job::Fetch(Fetch { envelope: None, .. }))), "{effects:?}");
    // Where no filter wants mail, nobody asks.
    let mut session = logged_in(FetchPolicy { sdps: true, ..FetchPolicy::default() });
    assert_eq!(shown(&say(&mut session, "RETR 1"))[0], "U: RETR 1");
}

#[test]
fn what_the_client_has_asked_for_filters_know_too() {
    let mut session = logged_in(FetchPolicy { filtered: true, ..FetchPolicy::default() });
    let asked = say(&mut session, "*ENV 1");
    let effects = answer(&mut session, asked, "+OK");
    assert_eq!(shown(&effects), ["C: +OK", "J: List"]);
    let Some(Effect::Job(Job::List(mut listing))) = effects.into_iter().nth(1) else { panic!("no list") };
    for line in ["1", "host", "s@example.org", "r@example.net"] {
        assert_eq!(session.list_line(&mut listing, line.into()), Some(line.into()));
    }
    session.on(Event::Listed(listing));
    let asked = say(&mut session, "RETR 1");
    assert_eq!(shown(&asked)[0], "U: RETR 1");
    let effects = answer(&mut session, asked, "+OK");
    let Some(Effect::Job(Job::Fetch(fetch))) = effects.into_iter().next() else { panic!("no fetch") };
    assert_eq!(fetch.envelope.as_ref().and_then(|envelope| envelope.sender.as_deref()), Some("s@example.org"));
    session.on(Event::Fetched { number: fetch.number, size: 1, kept: false });
    // A refusal reaches who has asked.
    let asked = say(&mut session, "*ENV 3");
    assert_eq!(shown(&answer(&mut session, asked, "-ERR what?")), ["C: -ERR what?"]);
}
