//! The proxy's side towards POP3 servers: choosing one, connecting, and the conversation in step.

mod connection;
mod open;
mod routing;

pub use connection::{Connection, Fault};
pub use open::{OpenError, Opener, Rules};
pub use routing::{Destination, Router};
