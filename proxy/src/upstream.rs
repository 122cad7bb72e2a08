//! The proxy's side towards POP3 servers: choosing one, connecting, and the conversation in step.

mod connection;
mod login;
mod open;
mod passage;
mod routing;
mod server;
mod survey;
mod users;

pub use popgate_config::{Held, Keepalive, Sizes, Top, TopFetch};

pub use connection::{Connection, Fault};
pub use login::{Login, LoginFault, Master};
pub use open::{OpenError, Opener, Origin, PrepareError, Rules, Shared, Target, TargetTls};
pub use passage::Passage;
pub use routing::{Destination, Router};
pub use server::{NamedServer, Server};
pub use survey::{Answer, Greeting, Handshake, Survey, SurveyError, Surveyor, TlsFailure};
pub use users::{HashFault, LineFault, Users, UsersFault};
