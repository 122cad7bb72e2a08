//! Reaching a server: connect, greet, and TLS where the configuration asks for it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use popgate_config::{
    Address, Config, Greeting, Held, Keepalive, RouteTo, SendProxy, Sizes, Top, TopFetch, Upstream, UpstreamTls,
};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Connection, Fault, Login, LoginFault, NamedServer, Passage, Server};
use crate::net::{
    Chosen, ClientTls, ClientTlsError, ClientTrust, ConnectError, Departure, Forbidden, OwnAddresses, Stream,
    UpstreamLimits, connect_where, depart, header_v1, header_v2,
};
use crate::pop3::{NotAStatus, Status};

/// What a Dovecot that trusts this machine says in its greeting. Source: Dovecot's design document on XCLIENT.
const XCLIENT: &[u8] = b"[XCLIENT]";

/// For how long a server that is not configured may be left in silence.
const NOOP_AFTER: Duration = Duration::from_mins(2);

/// Why there is no connection. Nothing secret was sent.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No upstream of this name.
    #[error("there is no upstream of this name")]
    Unknown,
    /// `max_sessions` or `max_unauthenticated` is reached.
    #[error("there are too many connections to it already")]
    Full,
    /// No connection by TCP.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No handshake, or no trust.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// The server did not get as far as a greeting, or as TLS, in time.
    #[error("no {step} within {limit:?}")]
    Late {
        /// What was awaited.
        step: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The conversation broke.
    #[error(transparent)]
    Broken(#[from] Fault),
    /// The greeting, or the answer to STLS, is none.
    #[error("the server does not speak POP3: {0}")]
    NotPop3(#[from] NotAStatus),
    /// The server offers XCLIENT and refuses it.
    #[error("the server refuses XCLIENT: {0}")]
    NoXclient(String),
    /// The server will not do STLS, which is required.
    #[error("the server refuses STLS: {0}")]
    NoStls(String),
}

impl OpenError {
    /// Why the address may not be connected to, if that is it.
    #[must_use]
    pub fn forbidden(&self) -> Option<Forbidden> {
        match self {
            Self::Connect(ConnectError::Forbidden { why, .. }) => Some(*why),
            _ => None,
        }
    }
}

/// Why an upstream can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The trust can't be set up: an unreadable `ca`, no roots of the system.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// A file that logins need is missing or broken.
    #[error(transparent)]
    Login(#[from] LoginFault),
}

/// How an upstream is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// By which command a message is fetched for TOP.
    pub top_fetch: TopFetch,
    /// What filters see of a message for TOP.
    pub top: Top,
    /// Above so many octets they see as much as with [`Top::Headers`].
    pub top_max_size: Option<u64>,
    /// Whose sizes STAT and LIST tell.
    pub sizes: Sizes,
    /// What a client sees of messages that are held.
    pub held: Held,
    /// RETR of what TOP has fetched is answered without the server.
    pub retr_once: bool,
    /// How many messages are read ahead of the client.
    pub read_ahead: usize,
    /// How many octets of them.
    pub read_ahead_bytes: u64,
    /// Incoming headers are believed even where filters write them.
    pub trust_headers: bool,
    /// The greeting keeps its timestamp for APOP.
    pub apop: bool,
    /// The proxy greets clients, and connects when there are credentials.
    pub own_greeting: bool,
    /// The server is asked for the envelope of what filters see.
    pub sdps: bool,
    /// What a client gets that waits for its message.
    pub keepalive: Keepalive,
    /// How long it waits for nothing, before that.
    pub keepalive_after: Duration,
}

impl Rules {
    fn of(upstream: &Upstream) -> Self {
        Self {
            top_fetch: upstream.top_fetch,
            top: upstream.top,
            top_max_size: upstream.top_max_size,
            sizes: upstream.sizes,
            held: upstream.held,
            retr_once: upstream.retr_once,
            read_ahead: upstream.read_ahead,
            read_ahead_bytes: upstream.read_ahead_bytes,
            trust_headers: upstream.trust_headers,
            apop: upstream.apop,
            own_greeting: upstream.greeting == Greeting::Own,
            sdps: upstream.sdps,
            keepalive: upstream.keepalive,
            keepalive_after: upstream.keepalive_after,
        }
    }
}

/// Who the client is, for servers that are told.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client's address.
    pub client: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

/// What outlives a configuration: who is connected, and where popgate listens.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Connections to each upstream.
    pub connections: UpstreamLimits,
    /// Where popgate itself listens.
    pub own: OwnAddresses,
}

/// A server, and how to speak to it.
#[derive(Clone)]
pub struct Target {
    place: Place,
    tls: TargetTls,
    chosen: Chosen,
    login: Login,
    send_proxy: SendProxy,
    xclient: bool,
    noop_after: Duration,
    max_sessions: usize,
    max_unauthenticated: usize,
    rules: Rules,
}

/// How the connection to a server is encrypted.
#[derive(Clone)]
pub enum TargetTls {
    /// Not at all.
    None,
    /// By STLS, which is required.
    Stls(ClientTls),
    /// From the first octet on.
    Implicit(ClientTls),
}

#[derive(Clone)]
enum Place {
    /// As it was configured.
    Named(Address),
    /// As it was found out.
    Found(SocketAddr),
}

impl Target {
    /// A server that is not configured: it is told nothing of the client.
    #[must_use]
    pub fn at(address: SocketAddr, tls: TargetTls, rules: Rules) -> Self {
        Self {
            place: Place::Found(address),
            tls,
            chosen: Chosen::ByOperator,
            login: Login::default(),
            send_proxy: SendProxy::None,
            xclient: false,
            noop_after: NOOP_AFTER,
            max_sessions: 0,
            max_unauthenticated: 0,
            rules,
        }
    }

    fn configured(upstream: &Upstream) -> Result<Self, PrepareError> {
        let tls = match upstream.tls {
            UpstreamTls::None => TargetTls::None,
            UpstreamTls::Stls => TargetTls::Stls(ClientTls::new(upstream)?),
            UpstreamTls::Implicit => TargetTls::Implicit(ClientTls::new(upstream)?),
        };
        Ok(Self { login: Login::load(upstream)?, ..Self::with(upstream, tls, Chosen::ByOperator) })
    }

    fn with(upstream: &Upstream, tls: TargetTls, chosen: Chosen) -> Self {
        Self {
            place: Place::Named(upstream.address.clone()),
            tls,
            chosen,
            login: Login::default(),
            send_proxy: upstream.send_proxy,
            xclient: upstream.xclient,
            noop_after: upstream.noop_after,
            max_sessions: upstream.max_sessions,
            max_unauthenticated: upstream.max_unauthenticated,
            rules: Rules::of(upstream),
        }
    }
}

/// What servers have in common that users name.
struct NamedByUsers {
    common: Upstream,
    /// None if none of them is encrypted.
    trust: Option<ClientTrust>,
}

impl NamedByUsers {
    fn target(&self, server: &NamedServer) -> Result<Target, OpenError> {
        let tls = || match &self.trust {
            Some(trust) => Ok(trust.towards(&server.address.host)?),
            None => Err(OpenError::Unknown),
        };
        let tls = match server.tls {
            UpstreamTls::None => TargetTls::None,
            UpstreamTls::Stls => TargetTls::Stls(tls()?),
            UpstreamTls::Implicit => TargetTls::Implicit(tls()?),
        };
        let chosen = if server.listed { Chosen::ByOperator } else { Chosen::ByClient };
        Ok(Target { place: Place::Named(server.address.clone()), ..Target::with(&self.common, tls, chosen) })
    }
}

/// Opens connections to the configured upstreams, and to servers that users may name.
pub struct Opener {
    targets: HashMap<String, Target>,
    /// What servers that users name have in common, by the place of their route.
    named: HashMap<usize, NamedByUsers>,
    shared: Shared,
    connect: Duration,
    stall: Duration,
}

impl Opener {
    /// Prepares all upstreams of a configuration.
    ///
    /// # Errors
    ///
    /// When the trust for one can't be set up, or a file that its logins need is broken.
    pub fn new(config: &Config, shared: Shared) -> Result<Self, PrepareError> {
        let mut targets = HashMap::new();
        for upstream in &config.upstreams {
            targets.insert(upstream.name.clone(), Target::configured(upstream)?);
        }
        let mut named = HashMap::new();
        for (index, route) in config.routes.iter().enumerate() {
            let RouteTo::ServerInUser(servers) = &route.to else { continue };
            let encrypted = servers.allowed.iter().any(|entry| entry.tls != UpstreamTls::None);
            let trust = encrypted.then(|| ClientTrust::new(servers.common.ca.as_deref(), &[])).transpose()?;
            named.insert(index, NamedByUsers { common: servers.common.clone(), trust });
        }
        Ok(Self { targets, named, shared, connect: config.limits.connect, stall: config.limits.stall })
    }

    fn target(&self, server: &Server) -> Result<Cow<'_, Target>, OpenError> {
        match server {
            Server::Configured(name) => self.targets.get(name).map(Cow::Borrowed).ok_or(OpenError::Unknown),
            Server::Named(server) => {
                let named = self.named.get(&server.route).ok_or(OpenError::Unknown)?;
                named.target(server).map(Cow::Owned)
            }
            Server::Meant(_) => Err(OpenError::Unknown),
        }
    }

    /// How the proxy logs in at this server.
    #[must_use]
    pub fn login(&self, server: &Server) -> Login {
        match server {
            Server::Configured(name) => self.targets.get(name).map(|target| target.login.clone()).unwrap_or_default(),
            Server::Named(_) | Server::Meant(_) => Login::default(),
        }
    }

    /// How this server is used.
    #[must_use]
    pub fn rules(&self, server: &Server) -> Rules {
        let rules = match server {
            Server::Configured(name) => self.targets.get(name).map(|target| target.rules),
            Server::Named(server) => self.named.get(&server.route).map(|named| Rules::of(&named.common)),
            Server::Meant(_) => Some(Passage::rules()),
        };
        rules.unwrap_or_default()
    }

    /// Whether the proxy greets the clients of this upstream itself.
    #[must_use]
    pub fn own_greeting(&self, name: &str) -> bool {
        self.targets.get(name).is_some_and(|target| target.rules.own_greeting)
    }

    /// Whether a connection to this address would come back to one of the proxy's own listeners.
    #[must_use]
    pub fn leads_back(&self, address: SocketAddr) -> bool {
        self.shared.own.check(address, Chosen::ByOperator).is_err()
    }

    /// Connects, reads the greeting and secures the connection as configured.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A greeting with `-ERR` is no error here.
    pub async fn open(&self, server: &Server, origin: Origin) -> Result<(Connection, Status), OpenError> {
        let connection = self.reach(server, origin).await?;
        self.greet(server, connection, origin).await
    }

    /// The same for a server that is not configured.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A greeting with `-ERR` is no error here.
    pub async fn open_target(
        &self,
        name: &str,
        target: &Target,
        origin: Origin,
    ) -> Result<(Connection, Status), OpenError> {
        // The departure is held until the server has greeted, and so is not this proxy itself.
        let (connection, _departure) = self.reach_target(name, target, origin).await?;
        self.greet_target(target, connection, origin).await
    }

    /// The first half of [`Self::open`]: connects, up to where the server greets. What nobody has asked for has not
    /// been read.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn reach(&self, server: &Server, origin: Origin) -> Result<Connection, OpenError> {
        let target = self.target(server)?;
        Ok(self.reach_target(server.name(), &target, origin).await?.0)
    }

    async fn reach_target(
        &self,
        name: &str,
        target: &Target,
        origin: Origin,
    ) -> Result<(Connection, Option<Departure>), OpenError> {
        let permit = self.shared.connections.admit(name, target.max_sessions, target.max_unauthenticated);
        let permit = permit.ok_or(OpenError::Full)?;
        let (socket, departure) = match &target.place {
            Place::Named(address) => {
                let check = |address| self.shared.own.check(address, target.chosen);
                (connect_where(address, self.connect, check).await?, None)
            }
            Place::Found(address) => {
                let (socket, departure) = depart(*address, self.connect).await?;
                (socket, Some(departure))
            }
        };
        let mut stream = Stream::prompt(socket);
        if let Some(header) = header(target.send_proxy, origin) {
            // Before TLS: it is the connection that is proxied.
            let late = |_| OpenError::Late { step: "room for the PROXY header", limit: self.connect };
            timeout(self.connect, stream.write_all(&header)).await.map_err(late)?.map_err(Fault::Io)?;
        }
        if let TargetTls::Implicit(tls) = &target.tls {
            stream = self.handshake(tls, stream).await?;
        }
        Ok((Connection::new(stream, self.connect).with_permit(Some(Box::new(permit))), departure))
    }

    /// The second half of [`Self::open`]: reads the greeting, and secures the connection where STLS does that.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn greet(
        &self,
        server: &Server,
        connection: Connection,
        origin: Origin,
    ) -> Result<(Connection, Status), OpenError> {
        self.greet_target(&*self.target(server)?, connection, origin).await
    }

    async fn greet_target(
        &self,
        target: &Target,
        mut connection: Connection,
        origin: Origin,
    ) -> Result<(Connection, Status), OpenError> {
        let greeting = Status::parse(self.within("greeting", connection.greeting()).await?)?;
        if let (TargetTls::Stls(tls), true) = (&target.tls, greeting.ok) {
            connection.command(b"STLS")?;
            connection.flush().await?;
            let answer = Status::parse(self.within("answer to STLS", connection.reply()).await?)?;
            if !answer.ok {
                return Err(OpenError::NoStls(String::from_utf8_lossy(answer.text()).into_owned()));
            }
            connection = self.secure(tls, connection).await?;
        }
        let greeting = self.introduce(target, &mut connection, greeting, origin).await?;
        connection.set_stall(self.stall);
        connection.set_noop_after(target.noop_after);
        Ok((connection, greeting))
    }

    /// TLS on a connection whose server has just agreed to STLS.
    ///
    /// # Errors
    ///
    /// When the server is not trusted, breaks the handshake off, or has said more than that.
    pub async fn secure(&self, tls: &ClientTls, mut connection: Connection) -> Result<Connection, OpenError> {
        let (permit, noop_after) = (connection.take_permit(), connection.noop_after());
        let stream = self.handshake(tls, connection.into_stream()?).await?;
        let mut connection = Connection::new(stream, self.stall).with_permit(permit);
        connection.set_noop_after(noop_after);
        Ok(connection)
    }

    /// Tells a server who the client is, where the greeting says that it may be told; gives the greeting without that.
    async fn introduce(
        &self,
        target: &Target,
        connection: &mut Connection,
        greeting: Status,
        origin: Origin,
    ) -> Result<Status, OpenError> {
        let Some(at) = memchr::memmem::find(&greeting.line, XCLIENT).filter(|_| target.xclient && greeting.ok) else {
            return Ok(greeting);
        };
        let client = origin.client.ip().to_canonical();
        connection.command(format!("XCLIENT ADDR={client} PORT={}", origin.client.port()).as_bytes())?;
        connection.flush().await?;
        let answer = Status::parse(self.within("answer to XCLIENT", connection.reply()).await?)?;
        if !answer.ok {
            return Err(OpenError::NoXclient(String::from_utf8_lossy(answer.text()).into_owned()));
        }
        let line = [&greeting.line[..at], greeting.line[at + XCLIENT.len()..].trim_ascii_start()].concat();
        Ok(Status { ok: true, line: line.into() })
    }

    async fn within(
        &self,
        step: &'static str,
        line: impl Future<Output = Result<bytes::Bytes, Fault>>,
    ) -> Result<bytes::Bytes, OpenError> {
        let late = |_| OpenError::Late { step, limit: self.connect };
        Ok(timeout(self.connect, line).await.map_err(late)??)
    }

    async fn handshake(&self, tls: &ClientTls, stream: Stream) -> Result<Stream, OpenError> {
        let late = |_| OpenError::Late { step: "TLS handshake", limit: self.connect };
        Ok(timeout(self.connect, tls.connect(stream)).await.map_err(late)??)
    }
}

fn header(form: SendProxy, origin: Origin) -> Option<Vec<u8>> {
    match form {
        SendProxy::None => None,
        SendProxy::V1 => Some(header_v1(origin.client, origin.destination)),
        SendProxy::V2 => Some(header_v2(origin.client, origin.destination)),
    }
}
