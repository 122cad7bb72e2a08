//! popgate: a POP3 proxy that passes every downloaded message through sandboxed WebAssembly filters.
//!
//! # The picture
//!
//! ```text
//!  client ── net ──> session ──> driver ──> upstream ── net ──> POP3 server
//!                       ^           │
//!                       │           ├─> message      one mail: memory or spool file, views, edits
//!                     pop3          ├─> filter       the chain: verdicts, failures, policies
//!                  (the protocol    │     └─ plugin  wasm components behind the trait `Filter`
//!                   as values)      └─> store        quarantine, failures that repeat, what filters remember, history
//! ```
//!
//! The data's way, once each way, no back and forth:
//!
//! ```text
//! client bytes   -> net::Stream -> pop3::Command -> session (decides) -> driver -> upstream
//! upstream bytes -> pop3 body decoder -> Message (un-stuffed) -> filter chain -> edits -> pop3 body encoder -> client
//! ```
//!
//! Mail that no filter asks for never becomes a `Message`: it streams through a fixed buffer, dots untouched. With `read_ahead` the
//! session sends RETRs (or TOPs of whole messages) before the client does (`session::prefetch`); their replies wait in the upstream's connection, and become
//! `Message`s there only if another command comes first.
//!
//! # The code map
//!
//! | module | is | may use |
//! | --- | --- | --- |
//! | [`pop3`] | the protocol as values: lines, commands, replies, capabilities, dot-stuffing, framing of SASL, KPOP and SDPS | nothing of popgate |
//! | [`message`] | one mail: octets in memory or in an unlinked, mapped spool file; lazily parsed views; edits and how they become octets | nothing of popgate |
//! | [`filter`] | the trait `Filter`, verdicts, the chain, policies for failures | `message` |
//! | [`plugin`] | wasm filters: engine, catalogue, limits, host functions; one adapter file per API track | `filter`, `message`, `store`, the configuration, the bundled plugins |
//! | [`store`] | what outlives a session: quarantine, repeated failures, what became of messages still on their server, what filters remember and leave of messages that go, what became of messages (in SQLite or PostgreSQL) | the configuration |
//! | [`session`] | the client-facing state machine without I/O, the client's view of the maildrop; `session::driver` is the one that awaits | `pop3`; the driver also `message`, `filter`, `upstream`, `net`, `store` |
//! | [`upstream`] | choosing a server, connecting where that is allowed, the conversation in step | `pop3`, `net`, the configuration |
//! | [`net`] | streams (plain or TLS), listeners, admission, PROXY protocol, original destinations, certificates | the configuration |
//! | [`demo`] | the embedded sample POP3 server with sample mail | `pop3`, `net` |
//! | [`cli`] | arguments in, exit code out | all |
//!
//! The test `architecture` holds this table. Without the feature `wasm` (a default) there is neither `plugin` nor `cli`,
//! and so no program, but all the rest builds in a fraction of the time: for fuzzing.
//!
//! # Invariants, by what is deliberately absent
//!
//! * No DELE, RSET or QUIT that the client did not send, and no QUIT for a client that vanished: what the upstream
//!   deletes is what the client has asked for to the end.
//! * No final dot on a message that is not complete: the connection ends without it instead.
//! * No octet of a replacement before the original is durable in quarantine.
//! * No octet from before a TLS handshake behind it, on either side.
//! * No second command in flight before the login, whatever the upstream announces; none at all of the proxy's own that
//!   the client could see.
//! * No instance of a filter that sees two messages.
//! * No plugin that is compiled in the process that serves clients, and no machine code that popgate has not made itself.
//! * No credential and no message text in logs: spans carry verbs, never arguments.
//! * No buffer or queue without a bound, and no wait for the network without a deadline.
//! * A session lives on one thread of those that there are for each processor, and what it waits for wakes no other. Filters that
//!   compute for long go to a pool of threads of their own, so that they delay nobody else.

#![cfg_attr(not(feature = "wasm"), allow(dead_code, unused_imports, reason = "some of it only the program uses"))]

#[cfg(feature = "wasm")]
pub mod cli;
pub mod demo;
pub mod filter;
pub mod message;
pub mod net;
#[cfg(feature = "wasm")]
pub mod plugin;
pub mod pop3;
pub mod session;
pub mod store;
pub mod upstream;
