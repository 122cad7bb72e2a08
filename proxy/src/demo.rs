//! A POP3 server of the program's own, with sample mail: something to point the proxy at before there is anything
//! else to point it at.
//!
//! It speaks plain text on the loopback address, keeps its maildrop in memory and forgets it at the end. It is a
//! correct server (RFC 1939, RFC 2449, RFC 5034), so that what is seen through the proxy is the proxy's doing; it is
//! no mail server for anything else: one user, no TLS, no disk.

mod mail;
mod maildrop;
mod reply;
mod server;
mod session;

pub use mail::{SampleMail, sample_mails};
pub use server::SampleServer;
