//! Random octets that are new for each message.
//!
//! A filter is configured once and copied for each message, with the state of its random number generators: what a
//! generator gives that was seeded in [`configure`](crate::Filter::configure) is the same for every message, and so are the seeds of
//! `std`'s hash maps. Someone who learns such a seed can choose keys that collide; a map that is filled with words of a
//! message is better one that keeps its keys in order (`BTreeMap`), or has a hasher with a seed from here.

/// Random octets, from the host. To be called while a message is examined.
///
/// # Panics
/// The host has no random numbers, which none is known to do.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    if let Err(error) = getrandom::fill(&mut octets) {
        panic!("no random numbers: {error}");
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(random::<16>(), random::<16>());
    }
}
