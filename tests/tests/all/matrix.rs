//! Which real client reaches which real server through popgate, with which TLS and which mechanism.
//!
//! Every cell of the table is two downloads of a whole mailbox: as it is, and with filters that change one message and
//! replace another. The way from popgate to the server takes turns between no TLS, STLS and implicit TLS, where the
//! server has them. What is found is compared with the table in `tests/COMPATIBILITY.md`.

mod cell;
mod place;
mod table;

use popgate_tests::clients::{Client, Mechanism, Tls};
use popgate_tests::server::Kind;

use cell::{Outcome, Row};
use place::Place;

/// The clients that are sent to every server.
const EVERYWHERE: [Client; 5] = [Client::Curl, Client::Poplib, Client::Fetchmail, Client::Mpop, Client::NetPop3];

/// What does not work although client and server both claim it, with or without popgate, and why.
fn known_failure(place: &Place, client: Client, mechanism: Mechanism) -> Option<&'static str> {
    match (place.name(), client, mechanism) {
        ("Dovecot", Client::Mpop, Mechanism::Apop) => Some("mpop does not take Dovecot's stamp for one"),
        ("Dovecot", Client::Curl, Mechanism::DigestMd5) => {
            Some("curl does not take the quotation marks that Dovecot puts around `md5-sess`")
        }
        _ => None,
    }
}

/// Every mode of TLS and every mechanism of these that the server has, one client after the other.
fn rows(place: &mut Place, clients: &[Client], mechanisms: &[Mechanism]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &client in clients {
        for tls in Tls::ALL {
            let known = place.mechanisms().iter().filter(|mechanism| mechanisms.contains(mechanism));
            let outcomes = known.map(|&mechanism| {
                let outcome = match client.lacks(tls, mechanism, place.mechanisms()) {
                    Some(reason) => Outcome::Impossible(reason),
                    None => match known_failure(place, client, mechanism) {
                        Some(reason) => cell::fails(place, client, tls, mechanism, reason),
                        None => cell::works(place, client, tls, mechanism),
                    },
                };
                (mechanism, outcome)
            });
            rows.push(Row { client, tls, outcomes: outcomes.collect() });
        }
    }
    rows
}

#[test]
fn light_clients() {
    let sections = std::thread::scope(|scope| {
        let dovecot = scope.spawn(|| {
            let mut place = Place::dovecot();
            (place.name(), rows(&mut place, &Client::LIGHT, &Mechanism::ALL))
        });
        let others = Kind::ALL.map(|kind| {
            scope.spawn(move || {
                let mut place = Place::other(kind);
                (place.name(), rows(&mut place, &EVERYWHERE, &Mechanism::ALL))
            })
        });
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("its own messages say why");
        std::iter::once(dovecot).chain(others).map(join).collect::<Vec<_>>()
    });
    table::check("light", &sections);
}

/// Those that need seconds to start: Dovecot, and a server of another make.
#[test]
fn graphical_clients() {
    const CLIENTS: [Client; 2] = [Client::Thunderbird, Client::Sylpheed];
    const MECHANISMS: [Mechanism; 4] = [Mechanism::User, Mechanism::Apop, Mechanism::Plain, Mechanism::CramMd5];
    let sections = [Place::dovecot, || Place::other(Kind::Mailutils)].map(|open| {
        let mut place = open();
        (place.name(), rows(&mut place, &CLIENTS, &MECHANISMS))
    });
    table::check("graphical", &sections);
}
