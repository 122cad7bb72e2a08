//! The harness of popgate's tests: the proxy as a process, servers before it, clients behind it.
//!
//! It knows the proxy only from outside: the binary, its configuration file, what it prints, and its sockets. It never
//! imports popgate's own code, so that a fault of the codec can't hide in its own test.
//!
//! | module | is |
//! | --- | --- |
//! | [`popgate`] | the proxy under test as a process |
//! | [`process`] | any program that must not outlive the tests |
//! | [`connection`] | one POP3 connection, either side, plain or TLS |
//! | [`fleet`] | many conversations through one proxy, each with a server of its own |
//! | [`upstream`] | a server that says what a test tells it to |
//! | [`dovecot`] | a private Dovecot with mail of the tests' own making |
//! | [`haproxy`] | a balancer before the proxy |
//! | [`server`] | other POP3 servers: Courier, Cyrus, mailutils, popa3d, solid-pop3d |
//! | [`kerberos`] | a private realm, its tickets, and KPOP |
//! | [`mail`] | that mail |
//! | [`bucket`] | a server that speaks S3 |
//! | [`network`] | a client, a router and a server in namespaces of their own |
//! | [`clients`] | real mail clients that download a mailbox |
//! | [`transcript`] | conversations on both sides of the proxy, from files |
//! | `machine_code` | what one popgate has compiled, for the next |
//! | [`usage`] | what a process uses of the machine |
//! | [`certificates`] | an authority and what it signs |
//!
//! Nothing here sleeps, skips or uses a fixed port. Every wait has a deadline, and a missing program fails the test with
//! the command that installs it.

pub mod bucket;
pub mod certificates;
pub mod clients;
pub mod connection;
pub mod dovecot;
pub mod fleet;
pub mod guest;
pub mod haproxy;
pub mod kerberos;
mod machine_code;
pub mod mail;
pub mod network;
pub mod popgate;
pub mod process;
pub mod scanner;
pub mod server;
pub mod transcript;
pub mod upstream;
pub mod usage;

use std::time::Duration;

/// How long a test waits for something that should be there at once.
///
/// Long, since the machine may be busy; a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a popgate may take to start, which compiles its filters first, perhaps beside others that do the same.
const START: Duration = Duration::from_secs(180);

/// For how long a peer must stay silent to count as silent.
pub const QUIET: Duration = Duration::from_millis(150);
