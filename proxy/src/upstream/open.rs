//! Reaching a server: connect, greet, and TLS where the configuration asks for it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use popgate_config::{
    Config, Greeting, Held, Keepalive, RouteTo, SendProxy, Sizes, Top, TopFetch, Upstream, UpstreamTls,
};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{Connection, Fault, Login, LoginFault, NamedServer, Server};
use crate::net::{
    Chosen, ClientTls, ClientTlsError, ConnectError, Forbidden, OwnAddresses, Stream, UpstreamLimits, connect_where,
    header_v1, header_v2,
};
use crate::pop3::{NotAStatus, Status};

/// What a Dovecot that trusts this machine says in its greeting. Source: Dovecot's design document on XCLIENT.
const XCLIENT: &[u8] = b"[XCLIENT]";

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

#[derive(Clone)]
struct Target {
    upstream: Upstream,
    tls: Option<ClientTls>,
    chosen: Chosen,
    login: Login,
}

/// Opens connections to the configured upstreams, and to servers that users may name.
pub struct Opener {
    targets: HashMap<String, Target>,
    /// What servers that users name have in common, by the place of their route.
    named: HashMap<usize, Target>,
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
            let tls = match upstream.tls {
                UpstreamTls::None => None,
                UpstreamTls::Stls | UpstreamTls::Implicit => Some(ClientTls::new(upstream)?),
            };
            let login = Login::load(upstream)?;
            let target = Target { upstream: upstream.clone(), tls, login, chosen: Chosen::ByOperator };
            targets.insert(upstream.name.clone(), target);
        }
        let mut named = HashMap::new();
        for (index, route) in config.routes.iter().enumerate() {
            let RouteTo::ServerInUser(servers) = &route.to else { continue };
            let encrypted = servers.allowed.iter().any(|entry| entry.tls != UpstreamTls::None);
            let tls = if encrypted { Some(ClientTls::for_any(servers.common.ca.as_deref())?) } else { None };
            let (upstream, login) = (servers.common.clone(), Login::default());
            named.insert(index, Target { upstream, tls, login, chosen: Chosen::ByClient });
        }
        Ok(Self { targets, named, shared, connect: config.limits.connect, stall: config.limits.stall })
    }

    fn target(&self, server: &Server) -> Result<Cow<'_, Target>, OpenError> {
        match server {
            Server::Configured(name) => self.targets.get(name).map(Cow::Borrowed).ok_or(OpenError::Unknown),
            Server::Named(server) => self.named_target(server).map(Cow::Owned),
        }
    }

    fn named_target(&self, server: &NamedServer) -> Result<Target, OpenError> {
        let common = self.named.get(&server.route).ok_or(OpenError::Unknown)?;
        let mut target = common.clone();
        target.upstream.address = server.address.clone();
        target.upstream.tls = server.tls;
        target.tls = match (&common.tls, server.tls) {
            (_, UpstreamTls::None) => None,
            (Some(tls), _) => Some(tls.to_server(&server.address.host)?),
            (None, _) => return Err(OpenError::Unknown),
        };
        if server.listed {
            target.chosen = Chosen::ByOperator;
        }
        Ok(target)
    }

    /// How the proxy logs in at this upstream.
    #[must_use]
    pub fn login(&self, name: &str) -> Login {
        self.targets.get(name).map(|target| target.login.clone()).unwrap_or_default()
    }

    /// How this upstream is used; for servers that users name, the defaults.
    #[must_use]
    pub fn rules(&self, name: &str) -> Rules {
        let rules = |target: &Target| Rules {
            top_fetch: target.upstream.top_fetch,
            top: target.upstream.top,
            top_max_size: target.upstream.top_max_size,
            sizes: target.upstream.sizes,
            held: target.upstream.held,
            retr_once: target.upstream.retr_once,
            trust_headers: target.upstream.trust_headers,
            apop: target.upstream.apop,
            own_greeting: target.upstream.greeting == Greeting::Own,
            sdps: target.upstream.sdps,
            keepalive: target.upstream.keepalive,
            keepalive_after: target.upstream.keepalive_after,
        };
        self.targets.get(name).map(rules).unwrap_or_default()
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

    /// The first half of [`Self::open`]: connects, up to where the server greets. What nobody has asked for has not
    /// been read.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn reach(&self, server: &Server, origin: Origin) -> Result<Connection, OpenError> {
        let target = self.target(server)?;
        let Upstream { max_sessions, max_unauthenticated, .. } = target.upstream;
        let permit = self.shared.connections.admit(server.name(), max_sessions, max_unauthenticated);
        let permit = permit.ok_or(OpenError::Full)?;
        let check = |address| self.shared.own.check(address, target.chosen);
        let socket = connect_where(&target.upstream.address, self.connect, check).await?;
        let mut stream = Stream::new(socket);
        if let Some(header) = header(target.upstream.send_proxy, origin) {
            // Before TLS: it is the connection that is proxied.
            let late = |_| OpenError::Late { step: "room for the PROXY header", limit: self.connect };
            timeout(self.connect, stream.write_all(&header)).await.map_err(late)?.map_err(Fault::Io)?;
        }
        if let (Some(tls), UpstreamTls::Implicit) = (&target.tls, target.upstream.tls) {
            stream = self.handshake(tls, stream).await?;
        }
        Ok(Connection::new(stream, self.connect).with_permit(Some(Box::new(permit))))
    }

    /// The second half of [`Self::open`]: reads the greeting, and secures the connection where STLS does that.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn greet(
        &self,
        server: &Server,
        mut connection: Connection,
        origin: Origin,
    ) -> Result<(Connection, Status), OpenError> {
        let target = self.target(server)?;
        let greeting = Status::parse(self.within("greeting", connection.greeting()).await?)?;
        if let (Some(tls), UpstreamTls::Stls, true) = (&target.tls, target.upstream.tls, greeting.ok) {
            connection.command(b"STLS")?;
            connection.flush().await?;
            let answer = Status::parse(self.within("answer to STLS", connection.reply()).await?)?;
            if !answer.ok {
                return Err(OpenError::NoStls(String::from_utf8_lossy(answer.text()).into_owned()));
            }
            let permit = connection.take_permit();
            let stream = self.handshake(tls, connection.into_stream()?).await?;
            connection = Connection::new(stream, self.stall).with_permit(permit);
        }
        let greeting = self.introduce(&target, &mut connection, greeting, origin).await?;
        connection.set_stall(self.stall);
        connection.set_noop_after(target.upstream.noop_after);
        Ok((connection, greeting))
    }

    /// Tells a server who the client is, where the greeting says that it may be told; gives the greeting without that.
    async fn introduce(
        &self,
        target: &Target,
        connection: &mut Connection,
        greeting: Status,
        origin: Origin,
    ) -> Result<Status, OpenError> {
        let Some(at) = memchr::memmem::find(&greeting.line, XCLIENT).filter(|_| target.upstream.xclient && greeting.ok)
        else {
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
