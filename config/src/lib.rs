//! popgate's configuration: one TOML file in, typed values or faults out.
//!
//! What the user typed is a TOML document in which every value knows its place; what the program uses is [`Config`]:
//! names resolved, paths absolute, units gone. Between the two stands one conversion that can fail, and it collects
//! every fault that it meets, so that a file is repaired in one go. A [`Fault`] has a place in a file, what is wrong
//! with which value, and a hint; [`Error`] prints them.
//!
//! ```text
//! error: unknown key `adress` in `[[listener]]`
//!  --> popgate.toml:2:1
//!   |
//! 2 | adress = "127.0.0.1:1110"
//!   | ^^^^^^
//!   |
//!   = hint: did you mean `address`?
//! ```
//!
//! A [`Project`] is the same for the file of a plugin's author.
//!
//! The keys and their defaults stand in the crate's `README.md`, which a test holds to the code.
//!
//! What this crate deliberately does not do: open sockets, load certificates or filters. Whoever does asks
//! [`Config::fault_at`] for an error that points into the file just the same.

mod address;
mod allowed;
mod breaker;
mod bucket;
mod config;
mod duration;
mod error;
mod filter;
mod grant;
mod keyword;
mod limits;
mod listener;
mod login;
mod mechanism;
mod names;
mod pattern;
mod pin;
mod place;
mod project;
mod quarantine;
mod rewrite;
mod route;
mod section;
mod setting;
mod settings;
mod size;
mod snapshot;
mod state_dir;
mod store;
mod suggest;
mod tls;
mod transparent;
mod upstream;
mod vouching;
mod warnings;

pub use address::{Address, AddressError};
pub use allowed::{AllowedServer, server_address};
pub use breaker::Breaker;
pub use bucket::{Bucket, QuarantinePlace};
pub use config::{Config, load, parse};
pub use duration::parse_duration;
pub use error::{Error, Fault};
pub use filter::{Filter, Mode, OnError, Only, Oversize, Plugin, Reads};
pub use grant::Grant;
pub use limits::Limits;
pub use listener::{Listener, ListenerTls};
pub use login::{Login, Master};
pub use mechanism::SaslMechanism;
pub use pattern::UserPattern;
pub use pin::Pin;
pub use place::Place;
pub use project::{Asked, PROJECT_FILE, Project, ProjectKind};
pub use quarantine::{Language, Quarantine};
pub use route::{Route, RouteTo, ServerInUser};
pub use snapshot::Snapshot;
pub use store::{Database, Store};
pub use tls::Tls;
pub use transparent::Transparent;
pub use upstream::{Greeting, Held, Keepalive, SendProxy, Sizes, Top, TopFetch, Upstream, UpstreamTls};
