//! The built binary, driven over sockets: transcripts, real servers, real clients, the command line.

mod clients;
mod commands;
mod cuts;
mod failures;
mod false_servers;
mod filters;
mod floods;
mod grants;
mod kerberos;
mod kpop;
mod logins;
mod maildrop;
mod matrix;
mod messages;
mod origin;
mod other_servers;
mod patience;
mod probe;
mod real_server;
mod routes;
mod secrets;
mod strangers;
mod tops;
mod transcripts;
mod transparent;
mod upstreams;
