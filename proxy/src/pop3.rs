//! The protocol as values: lines, commands, replies, capabilities, message bodies, framing of SASL, KPOP and SDPS.
//!
//! Nothing here does I/O, looks at a clock or writes a log; what a byte means is decided here and nowhere else.
//! Sources: RFC 1939 (POP3), RFC 2449 (CAPA), RFC 2595 (STLS), RFC 3206 (response codes), RFC 5034 (AUTH), RFC 6856 (UTF8, LANG).

mod apop;
mod body;
mod capability;
mod command;
pub mod kpop;
mod line;
mod number;
mod reply;
pub mod sasl;
mod sdps;
mod secret;

pub use apop::{Stamp, timestamp};
pub use body::{Decoder, Encoder, TERMINATOR};
pub use capability::Capabilities;
pub use command::{Command, CommandError, Extension, Shape, State};
pub use line::{LONG_LINE, LineFault, LineReader, MAX_SKIPPED, Next, SHORT_LINE, line_limit};
pub use number::MessageNumber;
pub use reply::{MAX_ERROR_TEXT, MAX_GREETING, MAX_REPLY_LINE, NotAStatus, Status, clean};
pub use sdps::{Envelope, EnvelopeReader};
pub use secret::Secret;
