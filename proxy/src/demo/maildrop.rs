//! The messages of the sample server, shared by its sessions.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memchr::memmem;
use sha2::{Digest as _, Sha256};

/// How many octets of the hash are the unique id.
const UNIQUE_ID: usize = 12;

/// A message that lies in the maildrop.
#[derive(Debug)]
pub(super) struct Stored {
    /// The message; its last line ends with CRLF.
    pub(super) content: Bytes,
    /// The unique id: a hash, so that it is the same at every start (RFC 1939 section 7 permits it).
    pub(super) unique_id: String,
}

impl Stored {
    fn new(mut content: Vec<u8>) -> Self {
        // The final CRLF that a client would get anyway, put on now so that sizes are exact.
        if !content.is_empty() && !content.ends_with(b"\r\n") {
            content.extend_from_slice(b"\r\n");
        }
        let mut unique_id = String::with_capacity(2 * UNIQUE_ID);
        for octet in Sha256::digest(&content).iter().take(UNIQUE_ID) {
            let _ = write!(unique_id, "{octet:02x}"); // a String takes everything
        }
        Self { content: content.into(), unique_id }
    }

    /// The header, the empty line and the first lines of the body.
    pub(super) fn top(&self, lines: u64) -> Bytes {
        let mut ends = memmem::find_iter(&self.content, b"\r\n").map(|at| at + 2);
        let mut start = 0;
        for end in ends.by_ref() {
            if end - start == 2 {
                let lines = usize::try_from(lines).unwrap_or(usize::MAX);
                let cut = match lines.checked_sub(1) {
                    None => end,
                    Some(before) => ends.nth(before).unwrap_or(self.content.len()),
                };
                return self.content.slice(..cut);
            }
            start = end;
        }
        self.content.clone()
    }
}

/// The messages, in their order. Sessions see them as they were at login; what a session deletes is gone for those
/// that log in later, and stays readable in those that are open.
#[derive(Debug)]
pub(super) struct Maildrop(Mutex<Vec<Arc<Stored>>>);

impl Maildrop {
    /// Takes the messages over.
    pub(super) fn new(contents: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(Mutex::new(contents.into_iter().map(|content| Arc::new(Stored::new(content))).collect()))
    }

    /// The messages as they are now.
    pub(super) fn snapshot(&self) -> Vec<Arc<Stored>> {
        self.messages().clone()
    }

    /// Removes messages for good; those that are gone already do not matter.
    pub(super) fn remove(&self, gone: &[Arc<Stored>]) {
        self.messages().retain(|message| !gone.iter().any(|one| Arc::ptr_eq(one, message)));
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Arc<Stored>>> {
        // No code under the lock leaves the list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_cuts_behind_whole_lines_of_the_body() {
        for (content, lines, top) in [
            ("A: b\r\n\r\none\r\ntwo\r\n", 0, "A: b\r\n\r\n"),
            ("A: b\r\n\r\none\r\ntwo\r\n", 1, "A: b\r\n\r\none\r\n"),
            ("A: b\r\n\r\none\r\ntwo\r\n", 2, "A: b\r\n\r\none\r\ntwo\r\n"),
            ("A: b\r\n\r\none\r\ntwo\r\n", u64::MAX, "A: b\r\n\r\none\r\ntwo\r\n"),
            ("A: b\r\n\r\n\r\n\r\nx", 1, "A: b\r\n\r\n\r\n"),
            ("\r\nbody\r\n", 0, "\r\n"),
            ("A: b\r\nno body", 5, "A: b\r\nno body\r\n"),
            ("", 1, ""),
        ] {
            assert_eq!(Stored::new(content.into()).top(lines), top, "{content:?} {lines}");
        }
    }

    #[test]
    fn what_one_session_removes_stays_readable_in_another() {
        let maildrop = Maildrop::new([b"a\r\n".to_vec(), b"b\r\n".to_vec()]);
        let (mine, yours) = (maildrop.snapshot(), maildrop.snapshot());
        maildrop.remove(&mine[..1]);
        maildrop.remove(&mine[..1]);
        assert_eq!(maildrop.snapshot().len(), 1);
        assert_eq!(maildrop.snapshot()[0].content, "b\r\n");
        assert_eq!(yours[0].content, "a\r\n");
    }
}
