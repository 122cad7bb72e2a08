//! How jobs end: what upstreams say, and what the driver reports.

use arbitrary::Unstructured;
use bytes::Bytes;
use popgate::pop3::Status;
use popgate::session::{Event, FetchPolicy, Job, Listing, Session, TopBy};

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
        Job::Connect(user) => connect(user, choice),
        Job::Disconnect => return None,
        Job::Handshake => Event::Secured,
        Job::Admit(_) if yes => Event::Admitted(fetch_policy(choice)),
        Job::Admit(_) => Event::NotAdmitted("-ERR [SYS/TEMP] too many".into()),
        Job::Turn(command) => Event::Turn(command),
        Job::Penalize(reply) => Event::Penalized { reply, last: !yes },
        Job::Reply(purpose) => Event::Reply(purpose, reply(rules, choice, choices)),
        Job::Collect(purpose) => Event::Collected(purpose, capabilities(choices)),
        Job::Relay => Event::Relayed,
        Job::List(mut listing) => {
            for line in lines(choices) {
                let shown = session.list_line(&mut listing, line);
                assert_eq!(shown.is_none(), matches!(listing, Listing::Sum { .. }), "a list loses a line");
            }
            Event::Listed(listing)
        }
        Job::Fetch(fetch) if yes => {
            rules.driver_answers(line);
            Event::Fetched { number: fetch.number, size: u64::from(choice) << 8, kept: choice & 2 == 0 }
        }
        Job::Fetch(_) => Event::NotFetched("-ERR [SYS/TEMP] filters failed".into()),
        Job::Kept(..) if yes => {
            rules.driver_answers(line);
            Event::Sent
        }
        Job::Kept(..) => Event::NotFetched("-ERR [SYS/TEMP] not at hand".into()),
    })
}

fn connect(user: Option<Vec<u8>>, choice: u8) -> Event {
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
    Event::Connected { greeting, user, apop: choice & 1 == 0 }
}

fn fetch_policy(choice: u8) -> FetchPolicy {
    FetchPolicy {
        filtered: choice & 2 == 0,
        top_by: [TopBy::Top, TopBy::Retr, TopBy::Either][usize::from(choice >> 2) % 3],
        retr_once: choice & 16 == 0,
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
