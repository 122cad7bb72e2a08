//! Reading ahead of a client.

#[path = "../../../proxy/src/session/prefetch/play.rs"]
mod play;

use std::net::Ipv4Addr;

use arbitrary::Unstructured;
use bytes::Bytes;
use popgate::pop3::{self, Status};
use popgate::session::{self, Effect, Event, FetchPolicy, Job, Policy, Scheme, Session};

/// Whatever a client asks for, and in whatever order, it gets that and nothing else, and the server is asked for nothing that is not
/// there or that the client has deleted.
///
/// Input: choices.
pub fn ahead(input: &[u8]) {
    let mut choices = Unstructured::new(input);
    // Where there are no choices left, it is the first of all.
    let choose = |count: u32| choices.int_in_range(0..=count - 1).unwrap_or(0);
    play::in_any_order(choose, logged_in);
}

/// A session behind a login at one upstream.
fn logged_in(fetch: FetchPolicy) -> Session {
    let mut session = Session::new(Policy {
        client: Ipv4Addr::LOCALHOST.into(),
        implicit_tls: false,
        stls: false,
        encryption_required: false,
        allow_cleartext: false,
        fixed_upstream: true,
        kpop: false,
        sasl: [].into(),
        passes_stls: false,
        bad_commands: 20,
    });
    session.on(Event::Start);
    let greeting = Status::parse(Bytes::from_static(b"+OK ready")).expect("a status");
    session.on(Event::Connected { greeting, user: None, apop: false, scheme: Scheme::Relay });
    for line in ["USER alice", "PASS secret"] {
        for effect in session.on(Event::Line(Ok(Bytes::from_static(line.as_bytes())))) {
            if let Effect::Job(Job::Reply(purpose)) = effect {
                session.on(Event::Reply(purpose, Bytes::from_static(b"+OK")));
            }
        }
    }
    session.on(Event::Admitted(fetch));
    session
}
