//! How jobs end: what upstreams say, and what the driver reports.

use arbitrary::Unstructured;
use bytes::Bytes;
use popgate::pop3::{Secret, Status};
use popgate::session::{Event, FetchPolicy, Hint, Job, Master, Released, Scheme, Session, TopBy};

use super::rules::Rules;

/// Lines of capability lists.
const CAPABILITIES: [&str; 12] = [
    "PIPELINING",
    "TOP",
    "UIDL",
    "USER",
    "SASL PLAIN",
    "SASL LOGIN SCRAM-SHA-1-PLUS",
    "STLS",
    "LANG",
    "UTF8 USER",
    "SASL .",
    "IMPLEMENTATION x",
    ".",
];

/// An event that this job may end with; none for a job that has none.
pub(super) fn outcome(
    job: Job,
    session: &mut Session,
    rules: &mut Rules,
    line: usize,
    choices: &mut Unstructured<'_>,
) -> Option<Event> {
    let choice: u8 = choices.arbitrary().unwrap_or_default();
    let yes = choice & 1 == 0;
    Some(match job {
        Job::Connect(user) => connect(user, choice, rules.speaks_kerberos()),
        Job::Disconnect => return None,
        Job::Handshake => {
            if yes {
                // The driver tells it before the session goes on.
                assert!(session.on(Event::Certified(b"alice".to_vec())).is_empty(), "a certificate has effects");
                rules.certified();
            }
            Event::Secured
        }
        Job::Verify { .. } => Event::Verified(yes),
        Job::Admit(_) if yes => Event::Admitted(fetch_policy(choice, choices)),
        Job::Admit(_) => Event::NotAdmitted("-ERR [SYS/TEMP] too many".into()),
        Job::Turn(command) => Event::Turn(command),
        Job::Penalize(reply) => Event::Penalized { reply, last: !yes },
        Job::Reply(purpose) => Event::Reply(purpose, reply(rules, choice, choices)),
        Job::Collect(purpose) => Event::Collected(purpose, capabilities(choices)),
        Job::Pass(_) => {
            rules.oldest();
            rules.driver_answers(line);
            Event::Relayed
        }
        Job::List(mut listing) => {
            for line in lines(choices) {
                let shown = session.list_line(&mut listing, line);
                assert!(listing.is_shown() || shown.is_none(), "a line of the proxy's own list is shown");
                assert!(!listing.is_shown() || shown.is_some() || rules.renumbers(), "a list loses a line");
            }
            assert!(session.last_lines(&mut listing).is_empty() || rules.renumbers() && listing.is_shown());
            Event::Listed(listing)
        }
        Job::Fetch(fetch) if yes => {
            rules.driver_answers(line);
            Event::Fetched { number: fetch.number, size: u64::from(choice) << 8, kept: choice & 2 == 0 }
        }
        Job::Fetch(_) => Event::NotFetched("-ERR [SYS/TEMP] filters failed".into()),
        Job::Kept(..) | Job::Released(..) if yes => {
            rules.driver_answers(line);
            Event::Sent
        }
        Job::Recall(seen) => Event::Recalled(
            seen.into_iter()
                .zip(u32::from(choice)..)
                .filter(|(_, bits)| bits & 1 == 0)
                .map(|((number, _), bits)| (number, Hint { octets: 9, held: bits & 2 == 0 }))
                .collect(),
        ),
        Job::Ahead(fetch) => Event::ReadAhead(fetch.number, yes.then_some((u64::from(choice), choice & 2 == 0))),
        Job::Peek(fetch) => {
            if yes {
                rules.driver_answers(line);
            }
            Event::Peeked(fetch.number, yes)
        }
        Job::Stash { number, keep } => Event::Stashed { number, wanted: keep, there: keep && yes },
        Job::Stashed(fetch) if yes => {
            rules.driver_answers(line);
            Event::Fetched { number: fetch.number, size: 9, kept: false }
        }
        Job::Stashed(_) => Event::NotFetched("-ERR [SYS/TEMP] not at hand".into()),
        Job::Discard { reply, .. } => Event::Discarded(reply),
        Job::Kept(..) | Job::Released(..) => Event::NotFetched("-ERR [SYS/TEMP] not at hand".into()),
    })
}

fn connect(user: Option<Vec<u8>>, choice: u8, kerberos: bool) -> Event {
    let greeting = match choice >> 2 & 7 {
        0..4 => "+OK ready <1.2@host> now",
        4 => "+OK",
        5 => "-ERR busy",
        6 => {
            let reply = "-ERR [SYS/TEMP] no connection".to_owned();
            return Event::NotConnected { reply, refused: false };
        }
        _ => {
            let refused = user.is_some();
            return Event::NotConnected { reply: "-ERR [AUTH] login failed".into(), refused };
        }
    };
    let greeting = Status::parse(Bytes::from_static(greeting.as_bytes())).expect("a status");
    // A route may take a part of the name away.
    let user = user.map(|name| {
        if choice & 2 == 0 {
            name
        } else {
            name.split(|&octet| octet == b'#').next().map(<[u8]>::to_vec).unwrap_or_default()
        }
    });
    // Behind Kerberos there is no password to log in with.
    let scheme = if kerberos { Scheme::Relay } else { scheme(choice) };
    Event::Connected { greeting, user, apop: choice & 1 == 0, scheme }
}

fn scheme(choice: u8) -> Scheme {
    match choice >> 5 {
        0..4 => Scheme::Relay,
        4 | 5 => Scheme::Apop,
        bits => {
            let password = Secret::new(b"master".to_vec());
            Scheme::Master(Box::new(Master { user: b"gateway".to_vec(), password, checks_passwords: bits == 7 }))
        }
    }
}

fn fetch_policy(choice: u8, choices: &mut Unstructured<'_>) -> FetchPolicy {
    let view: u8 = choices.arbitrary().unwrap_or_default();
    let released = |n| Released { id: format!("{n:032x}"), octets: n };
    FetchPolicy {
        top_of_headers: view & 1 == 1,
        top_max_size: (view & 2 == 2).then_some(u64::from(choice)),
        exact: view & 4 == 4,
        hide: view & 8 == 8,
        released: (0..u64::from(view >> 4 & 3)).map(released).collect(),
        filtered: choice & 2 == 0,
        top_by: [TopBy::Top, TopBy::Retr, TopBy::Either][usize::from(choice >> 2) % 3],
        retr_once: choice & 16 == 0,
        // What that sends belongs to no line; it has a target of its own.
        read_ahead: (0, 0),
        sdps: choice & 32 == 0,
    }
}

/// A line that answers the oldest command: with its number in it, so that it is known again.
fn reply(rules: &mut Rules, choice: u8, choices: &mut Unstructured<'_>) -> Bytes {
    let mark = rules.oldest();
    let text = match choice % 16 {
        0..8 => format!("+OK {mark}"),
        8 | 9 => format!("-ERR {mark}"),
        10 => format!("-ERR [IN-USE] {mark}"),
        11 => format!("-ERR [SYS/TEMP] {mark}"),
        12 => format!("+ {mark}"),
        13 => "+".into(),
        14 => format!("+OK 1 abc {mark}"),
        _ => {
            let mut line: Vec<u8> = choices.arbitrary().unwrap_or_default();
            // No line ends, and no mark of ours.
            line.retain(|octet| !b"\n#".contains(octet));
            return line.into();
        }
    };
    text.into()
}

fn capabilities(choices: &mut Unstructured<'_>) -> Vec<Bytes> {
    let bits: u16 = choices.arbitrary().unwrap_or_default();
    let known = CAPABILITIES.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    let mut list: Vec<Bytes> = known.map(|(_, line)| Bytes::from_static(line.as_bytes())).collect();
    if bits >> 15 == 1 {
        list.extend(lines(choices));
    }
    list
}

/// A few lines of anything.
fn lines(choices: &mut Unstructured<'_>) -> Vec<Bytes> {
    let wire: Vec<u8> = choices.arbitrary().unwrap_or_default();
    wire.split(|&octet| octet == b'\n').map(Bytes::copy_from_slice).collect()
}
