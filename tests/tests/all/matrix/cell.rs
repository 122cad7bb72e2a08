//! One cell of the table: a client, a server, a mode of TLS, a mechanism.

use popgate_tests::clients::{Client, Mechanism, Tls};
use popgate_tests::mail::{self, normalised};

use super::place::{INFECTED, MARK, Place, Visit};

/// The cells of a client in one mode of TLS.
pub(super) struct Row {
    pub(super) client: Client,
    pub(super) tls: Tls,
    pub(super) outcomes: Vec<(Mechanism, Outcome)>,
}

/// What came of it.
pub(super) enum Outcome {
    /// All mail came, as it is and filtered.
    Works,
    /// The client can't be told to do this.
    Impossible(&'static str),
    /// Client and server don't understand each other, with or without popgate.
    Fails(&'static str),
    /// It should have been otherwise; why it was not.
    Surprise(String),
}

/// Downloads the mailbox as it is, and filtered.
pub(super) fn works(place: &mut Place, client: Client, tls: Tls, mechanism: Mechanism) -> Outcome {
    for filtered in [false, true] {
        let visit = place.visit(mechanism);
        let downloaded = client.attempt(&place.account(&visit, tls, filtered));
        let checked = downloaded.and_then(|came| match filtered {
            false => mail::compare(&visit.held, &came),
            true => compare_filtered(&visit.held, &came),
        });
        if let Err(failure) = checked.and_then(|()| place.contradiction(&visit).map_or(Ok(()), Err)) {
            return surprise(place, client, tls, &visit, mechanism, &failure);
        }
    }
    Outcome::Works
}

/// Sees that it fails through popgate, and without popgate as well where the server has such a port.
pub(super) fn fails(
    place: &mut Place,
    client: Client,
    tls: Tls,
    mechanism: Mechanism,
    reason: &'static str,
) -> Outcome {
    let visit = place.visit(mechanism);
    for account in [Some(place.account(&visit, tls, false)), place.direct(&visit, tls)].into_iter().flatten() {
        if client.attempt(&account).is_ok() {
            return surprise(place, client, tls, &visit, mechanism, &format!("it works, although {reason}"));
        }
    }
    Outcome::Fails(reason)
}

fn surprise(place: &Place, client: Client, tls: Tls, visit: &Visit, mechanism: Mechanism, failure: &str) -> Outcome {
    Outcome::Surprise(format!(
        "{} at {}, {tls:?}, {}, popgate to server {:?}: {failure}\n{}",
        client.name(),
        place.name(),
        mechanism.name(),
        visit.way,
        place.log(&visit.user),
    ))
}

/// One message is replaced by a notice, all others have the mark in front.
fn compare_filtered(held: &[Vec<u8>], came: &[Vec<u8>]) -> Result<(), String> {
    let (marked, others): (Vec<_>, Vec<_>) =
        came.iter().cloned().partition(|message| String::from_utf8_lossy(message).contains(MARK));
    let clean = held.iter().filter(|message| !String::from_utf8_lossy(message).contains(INFECTED));
    let expected: Vec<_> = clean.map(|message| [MARK.as_bytes(), b"\n", &normalised(message)].concat()).collect();
    mail::compare(&expected, &marked)?;
    let [notice] = &others[..] else { return Err(format!("{} messages without the mark", others.len())) };
    let virus = mail::encoded(mail::eicar().as_bytes());
    let notice = String::from_utf8_lossy(notice);
    if notice.contains(virus.lines().next().unwrap_or_default()) || !notice.contains("Subject: ") {
        return Err(format!("no notice:\n{notice}"));
    }
    Ok(())
}
