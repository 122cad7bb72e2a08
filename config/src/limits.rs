//! `[limits]`: the bounds of everything that strangers can make grow.

use std::time::Duration;

use crate::duration;
use crate::section::Section;
use crate::size::Octets;

/// The bounds. Sizes are in octets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Sessions at a time of one client address.
    pub sessions_per_address: usize,
    /// Sessions at a time of one user; 0: no limit.
    pub sessions_per_user: usize,
    /// Refused logins of one client address in a minute; above it the first refusal ends the connection.
    pub login_failures_per_minute: u32,
    /// Bad commands of one session.
    pub bad_commands: u32,
    /// Size of a message for filters, as it is received; a larger one is refused and stays on the server.
    pub max_message: u64,
    /// Messages in memory, of all sessions together.
    pub memory_total: u64,
    /// Messages in spool files, of all sessions together.
    pub spool_total: u64,
    /// Filtered messages that a session keeps for its client to ask again.
    pub kept_per_session: u64,
    /// The file of a plugin.
    pub plugin_size: u64,
    /// The memory of a configured filter in a snapshot, and the code with it.
    pub snapshot_size: u64,
    /// Wall time for compiling a plugin, and for its snapshot.
    pub compile_time: Duration,
    /// Memory for the same.
    pub compile_memory: u64,
    /// For each of: TCP connect, greeting, STLS, TLS handshake.
    pub connect: Duration,
    /// From the connection to the login.
    pub login: Duration,
    /// Between commands after the login; at least ten minutes.
    pub idle: Duration,
    /// Without a single octet moved while a reply is awaited or under way.
    pub stall: Duration,
    /// For sessions to end by themselves when popgate is asked to stop; 0: they end at once.
    pub drain: Duration,
}

/// The shortest that [`Limits::idle`] may be. Source: RFC 1939, section 3.
const SHORTEST_IDLE: Duration = Duration::from_mins(10);

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 100,
            sessions_per_user: 0,
            login_failures_per_minute: 10,
            bad_commands: 20,
            max_message: 256 << 20,
            memory_total: 512 << 20,
            spool_total: 8 << 30,
            kept_per_session: 64 << 20,
            plugin_size: 64 << 20,
            snapshot_size: 128 << 20,
            compile_time: Duration::from_secs(60),
            compile_memory: 1 << 30,
            connect: Duration::from_secs(10),
            login: Duration::from_secs(60),
            idle: SHORTEST_IDLE,
            stall: Duration::from_secs(120),
            drain: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(crate) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let mut octets = |key, default| section.get(key).map_or(default, |Octets(octets)| octets);
        let max_message = octets("max_message", default.max_message);
        let memory_total = octets("memory_total", default.memory_total);
        let spool_total = octets("spool_total", default.spool_total);
        let kept_per_session = octets("kept_per_session", default.kept_per_session);
        let plugin_size = octets("plugin_size", default.plugin_size);
        let snapshot_size = octets("snapshot_size", default.snapshot_size);
        let compile_memory = octets("compile_memory", default.compile_memory);
        let limits = Self {
            sessions: section.at_least("sessions", 1).unwrap_or(default.sessions),
            sessions_per_address: section.at_least("sessions_per_address", 1).unwrap_or(default.sessions_per_address),
            sessions_per_user: section.get("sessions_per_user").unwrap_or(default.sessions_per_user),
            login_failures_per_minute: section
                .get("login_failures_per_minute")
                .unwrap_or(default.login_failures_per_minute),
            bad_commands: section.at_least("bad_commands", 1).unwrap_or(default.bad_commands),
            max_message,
            memory_total,
            spool_total,
            kept_per_session,
            plugin_size,
            snapshot_size,
            compile_time: section.positive("compile_time").unwrap_or(default.compile_time),
            compile_memory,
            connect: section.positive("connect").unwrap_or(default.connect),
            login: section.positive("login").unwrap_or(default.login),
            idle: section.get("idle").unwrap_or(default.idle),
            stall: section.positive("stall").unwrap_or(default.stall),
            drain: section.get("drain").unwrap_or(default.drain),
        };
        if limits.idle < SHORTEST_IDLE {
            let message = format!("`idle`: `{}` is shorter than RFC 1939 allows", duration::typed(limits.idle));
            section.fault(
                &section.place_of("idle"),
                message,
                "write `10m` or more: a client may be silent for that long",
            );
        }
        section.finish();
        limits
    }
}
