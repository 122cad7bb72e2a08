//! The one place of a session that awaits: it executes the effects of [`Session`] and reports back.
//!
//! What stands in a `select!` here is cancellation-safe: reads into buffers that survive, and timers.

mod admit;
mod ahead;
mod client;
mod connect;
mod elsewhere;
mod held;
mod job;
mod kpop;
mod login;
mod memory;
mod passage;
mod patience;
mod peek;
mod queue;
mod relay;
mod released;
mod stash;
mod stls;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Effect, Event, Job, Policy, Session};
use crate::filter::{Chain, Disposition, LearnToken, Report, Selection};
use crate::message::{self, notice::Template};
use crate::net::{self, LoginDelays, Stream};
use crate::pop3::{MessageNumber, Status};
use crate::store::{Hints, Identity, Poison, Quarantine};
use crate::upstream::{Connection, Fault, OpenError, Opener, Passage, Router, Rules, Server};

use client::{Client, Gone};
use elsewhere::Pace;
use job::Kept;
use memory::Memory;
pub use patience::Overdue;

/// What all sessions share.
pub struct Services {
    /// How upstreams are reached.
    pub opener: Opener,
    /// From users to upstreams.
    pub router: Router,
    /// The filters.
    pub chain: Chain,
    /// Where held mail is kept.
    pub quarantine: Arc<Quarantine>,
    /// What its owner gets instead.
    pub notice: Template,
    /// On which messages filters failed.
    pub poison: Arc<Poison>,
    /// What became of messages that are still on their server.
    pub hints: Arc<Hints>,
    /// How long refused credentials wait.
    pub delays: Arc<LoginDelays>,
    /// Sessions of each user.
    pub users: net::UserLimits,
    /// How large mail for filters may be, and where it is kept meanwhile.
    pub message: message::Limits,
    /// Octets of all sessions' mail.
    pub budget: Arc<message::Budget>,
    /// Deadlines and limits of a session.
    pub times: Times,
    /// How many octets of filtered mail a session keeps, so that TOP and RETR agree.
    pub kept_per_session: u64,
    /// What had to be broken off since `+OK` was said too early.
    pub overdue: Arc<Overdue>,
    /// Threads for what takes long.
    pub pool: Handle,
    /// Is told what became of each message.
    pub observer: Option<Observer>,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its number in the session.
    pub number: MessageNumber,
    /// Whose it is.
    pub identity: Identity,
    /// Its unique id, if it is known.
    pub uidl: Option<String>,
    /// The message as it came.
    pub original: message::Message,
    /// What becomes of it.
    pub disposition: Disposition,
    /// What the filters did.
    pub report: Report,
    /// By what filters can learn it when it is gone.
    pub learn_tokens: Vec<LearnToken>,
    /// The client was refused the message after all, since what it loses could not be stored.
    pub refused: bool,
}

/// Is told of every message that filters have judged.
pub type Observer = Arc<dyn Fn(&Judged) + Send + Sync>;

/// Deadlines of a session.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From the beginning to the login.
    pub login: Duration,
    /// Between commands after the login.
    pub idle: Duration,
    /// Without any octet moved while one is awaited.
    pub stall: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
}

/// A client that was let in.
pub struct Arrival {
    /// Its connection, behind the handshake where TLS is implicit.
    pub stream: Stream,
    /// Its address.
    pub client: SocketAddr,
    /// The address that it connected to, or was going to.
    pub destination: SocketAddr,
    /// How it gets there, where the listener is transparent.
    pub passage: Option<Arc<Passage>>,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The upstream, where the listener names one.
    pub upstream: Option<String>,
    /// For STLS.
    pub tls: Option<Arc<net::ServerTls>>,
    /// What the session may do.
    pub policy: Policy,
    /// What counts the session; it is dropped at its end.
    pub counted: Box<dyn Send + Sync>,
}

/// Why a session ended before its time.
#[derive(Debug, thiserror::Error)]
enum Break {
    #[error(transparent)]
    Client(#[from] Gone),
    #[error(transparent)]
    Upstream(#[from] Fault),
    #[error("the upstream is out of step: {0}")]
    OutOfStep(&'static str),
    #[error("the client sent no login in time")]
    Login,
    #[error("the client was idle for too long")]
    Idle,
    #[error("the client sent a line without end")]
    Flood,
    #[error("the client sent plain text behind STLS")]
    Injection,
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    #[error("a message is not the one whose size the client was told")]
    Changed,
    #[error("the upstream's connection could not be encrypted")]
    Unsecured,
    #[error("+OK had been said to keep the client waiting, then: {0}")]
    Late(String),
    #[error("KPOP: {0}")]
    Kpop(#[from] kpop::Failure),
    #[error("a SASL security layer makes the stream unreadable")]
    Layer,
}

impl Break {
    /// What a client that is still there is told.
    fn last_words(&self) -> Option<&'static [u8]> {
        match self {
            Self::Upstream(_) | Self::OutOfStep(_) | Self::Unsecured => {
                Some(b"-ERR [SYS/TEMP] the connection to the mail server broke\r\n")
            }
            Self::Changed => Some(b"-ERR [SYS/TEMP] a message is not what it was, log in again\r\n"),
            Self::Flood => Some(b"-ERR line too long\r\n"),
            Self::Kpop(failure) => failure.last_words(),
            _ => None,
        }
    }
}

/// Serves a client to the end of its session. The future is small, since one is there for every client.
pub fn serve(services: Arc<Services>, arrival: Arrival) -> impl Future<Output = ()> + Send {
    let started = Instant::now();
    let driver = Box::new(Driver {
        id: SESSIONS.fetch_add(1, Ordering::Relaxed),
        session: Session::new(arrival.policy),
        client: Client::new(arrival.stream, services.times.stall),
        address: arrival.client,
        destination: arrival.destination,
        passage: arrival.passage,
        listener: arrival.listener,
        tls: arrival.tls,
        routed: arrival.upstream.is_none(),
        server: arrival.upstream.map(Server::Configured),
        upstream: None,
        user: None,
        permit: None,
        selection: Selection::default(),
        kept: None,
        stash: None,
        examined: None,
        memory: None,
        queue: VecDeque::new(),
        mid_reply: false,
        pace: Pace::default(),
        deadline: started + services.times.login,
        alarm: net::Alarm::default(),
        active: false,
        totals: Totals::default(),
        counted: arrival.counted,
        services,
    });
    info!("opened");
    driver.run()
}

#[derive(Debug, Default)]
struct Totals {
    messages: u64,
    held: u64,
}

/// Counts the sessions of the process.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

struct Driver {
    id: u64,
    services: Arc<Services>,
    session: Session,
    client: Client,
    address: SocketAddr,
    destination: SocketAddr,
    passage: Option<Arc<Passage>>,
    listener: Arc<str>,
    tls: Option<Arc<net::ServerTls>>,
    /// The user decides about the upstream.
    routed: bool,
    /// The server, once it is known.
    server: Option<Server>,
    upstream: Option<Connection>,
    user: Option<Vec<u8>>,
    permit: Option<net::UserPermit>,
    selection: Selection,
    /// What messages came to, for TOP and RETR to agree.
    #[expect(clippy::box_collection, reason = "most sessions keep nothing, and one at rest is small")]
    kept: Option<Box<HashMap<MessageNumber, Kept>>>,
    /// Messages that were read ahead, as they came.
    #[expect(clippy::box_collection, reason = "most sessions read nothing ahead, and one at rest is small")]
    stash: Option<Box<HashMap<MessageNumber, message::Message>>>,
    /// About what the filters have noted something in this session, by hashes.
    #[expect(clippy::box_collection, reason = "most sessions examine nothing, and one at rest is small")]
    examined: Option<Box<HashSet<[u8; 32]>>>,
    /// What earlier sessions have found out, and this one.
    memory: Option<Box<Memory>>,
    queue: VecDeque<Effect>,
    /// A multi-line reply has begun and not ended.
    mid_reply: bool,
    /// Of the filters.
    pace: Pace,
    deadline: Instant,
    /// For the deadline, as long as there is no upstream, which has one of its own.
    alarm: net::Alarm,
    /// Something was done since the client was last waited for, which moves the deadline.
    active: bool,
    totals: Totals,
    #[expect(dead_code, reason = "it is there to be dropped")]
    counted: Box<dyn Send + Sync>,
}

/// What came of connecting to an upstream.
type Opened = Result<(Connection, Status), OpenError>;

/// How the loop goes on.
enum Step {
    Next,
    Secure,
    End,
}

impl Driver {
    /// How messages are fetched from the server.
    fn rules(&self) -> Rules {
        self.server.as_ref().map(|server| self.services.opener.rules(server)).unwrap_or_default()
    }

    /// Under which name things are kept for users of the server.
    fn server_name(&self) -> &str {
        self.server.as_ref().map(Server::name).unwrap_or_default()
    }

    async fn run(mut self: Box<Self>) {
        let started = Instant::now();
        self.certify();
        let mut step = self.begin().await;
        let reason = loop {
            step = match step {
                Ok(Step::Next) => self.step().await,
                Ok(Step::Secure) => match Box::pin(self.secure()).await {
                    Ok(secured) => {
                        self = secured;
                        self.certify();
                        match Box::pin(self.secure_upstream()).await {
                            Ok(()) => {
                                let effects = self.session.on(Event::Secured);
                                self.push(effects, true).map(|()| Step::Next)
                            }
                            Err(broken) => Err(broken),
                        }
                    }
                    Err(broken) => return info!(reason = %broken, "closed"),
                },
                Ok(Step::End) => break None,
                Err(broken) => break Some(broken),
            };
        };
        let Totals { messages, held } = self.totals;
        let seconds = started.elapsed().as_secs();
        match &reason {
            Some(broken) => info!(messages, held, seconds, reason = %broken, "closed"),
            None => info!(messages, held, seconds, "closed"),
        }
        if let Some(words) = reason.as_ref().and_then(Break::last_words)
            && !self.mid_reply
        {
            self.client.queue(words);
        }
        // Before the client hears that the session is over: the next one may come at once.
        if let Some(memory) = self.memory.take() {
            Box::pin(memory.save(&self.services)).await;
        }
        // The upstream's connection is dropped without QUIT: what was marked as deleted stays.
        drop(self.upstream);
        if !matches!(reason, Some(Break::Client(Gone::Io(_) | Gone::Stalled(_)))) {
            Box::pin(self.client.close()).await;
        }
    }

    async fn begin(&mut self) -> Result<Step, Break> {
        if self.session.kerberos_first() {
            Box::pin(self.authenticate()).await?;
        }
        let effects = self.session.on(Event::Start);
        self.push(effects, true)?;
        Ok(Step::Next)
    }

    /// Takes the client's lines in as far as the session wants them, then does the next thing.
    async fn step(&mut self) -> Result<Step, Break> {
        self.take_lines()?;
        // A client that never stops sending never rests.
        if !self.session.logged_in() && Instant::now() >= self.deadline {
            return Err(Break::Login);
        }
        match self.queue.pop_front() {
            Some(Effect::Job(Job::Handshake)) => Ok(Step::Secure),
            // What is waited for lives apart: a session at rest need not hold room for it.
            Some(Effect::Job(job)) => Box::pin(self.work(job)).await.map(|()| Step::Next),
            Some(effect) => {
                let step = self.execute(effect)?;
                self.client.send_batch().await?;
                Ok(step)
            }
            None if self.client.ended() => Ok(Step::End),
            None => self.rest().await,
        }
    }

    /// Does what takes no time.
    fn execute(&mut self, effect: Effect) -> Result<Step, Break> {
        match effect {
            Effect::Client(bytes) => self.client.queue(&bytes),
            Effect::Warn(text) => warn!(upstream = self.server_name(), "{text}"),
            Effect::Forget(number) => self.unstash(number),
            Effect::Close => return Ok(Step::End),
            Effect::Broken(reason) => return Err(Break::OutOfStep(reason)),
            Effect::Upstream(_) => return Err(Break::OutOfStep("a command that was not sent")),
            Effect::Job(_) => return Err(Break::OutOfStep("a job in the wrong place")),
        }
        Ok(Step::Next)
    }

    /// Does a job and what follows from it.
    async fn work(&mut self, job: Job) -> Result<(), Break> {
        self.active = true;
        let reads_body = job.reads_body();
        let event = match job {
            Job::Reply(purpose) => {
                let line = self.reply(&purpose).await?;
                Some(Event::Reply(purpose, line))
            }
            Job::Pass(shape) => {
                self.pass(shape).await?;
                Some(Event::Relayed)
            }
            // Apart once more: what passes mail on is small enough for the allocator to have room at hand.
            job => Box::pin(self.larger_job(job)).await?,
        };
        if let (true, Some(upstream)) = (reads_body, &mut self.upstream) {
            upstream.body_ended();
        }
        match event {
            Some(event) => {
                let effects = self.session.on(event);
                self.push(effects, true)
            }
            None => Ok(()),
        }
    }

    async fn larger_job(&mut self, job: Job) -> Result<Option<Event>, Break> {
        let event = match job {
            // The seldom ones live apart, too.
            Job::Connect(user) => Box::pin(self.connect(user)).await?,
            Job::Disconnect => {
                self.upstream = None;
                return Ok(None);
            }
            Job::Verify { user, password } => Event::Verified(Box::pin(self.verify(user, password)).await?),
            Job::Admit(user) => Box::pin(self.admit(user)).await,
            Job::Penalize(reply) => Box::pin(self.penalize(reply)).await?,
            Job::Turn(command) => Event::Turn(command),
            Job::Collect(purpose) => Event::Collected(purpose, Box::pin(self.collect()).await?),
            Job::List(listing) => Event::Listed(Box::pin(self.list(listing)).await?),
            Job::Fetch(fetch) => Box::pin(self.fetch(fetch)).await?,
            Job::Kept(number, extent) => Box::pin(self.kept(number, extent)).await?,
            Job::Ahead(fetch) => Box::pin(self.ahead(fetch)).await?,
            Job::Peek(fetch) => Box::pin(self.peek(fetch)).await?,
            Job::Stash { number, keep } => Box::pin(self.stash(number, keep)).await?,
            Job::Stashed(fetch) => Box::pin(self.stashed(fetch)).await?,
            Job::Recall(seen) => Box::pin(self.recall(seen)).await,
            Job::Released(id, extent) => Box::pin(self.released(&id, extent)).await?,
            Job::Discard { ids, reply } => Box::pin(self.discard(ids, reply)).await,
            Job::Reply(_) | Job::Pass(_) => return Err(Break::OutOfStep("a reply in the wrong place")),
            Job::Handshake => return Err(Break::OutOfStep("a handshake in the wrong place")),
        };
        Ok(Some(event))
    }

    /// Nothing to do: waits for the client, holding no buffer.
    async fn rest(&mut self) -> Result<Step, Break> {
        self.queue = VecDeque::new();
        self.client.flush().await?;
        if let Some(upstream) = &mut self.upstream {
            upstream.flush().await?;
        }
        if self.active && self.session.logged_in() {
            self.deadline = Instant::now() + self.services.times.idle;
        }
        self.active = false;
        // One timer for both: what wakes first.
        let noop = self.upstream.as_ref().filter(|_| self.session.logged_in()).map(Connection::noop_due);
        let until = noop.map_or(self.deadline, |noop| noop.min(self.deadline));
        let ahead = self.session.expects_ahead().map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let over = poll_fn(|context| {
            // What both sides wait in takes no room but what it stands on.
            if let Poll::Ready(filled) = self.client.poll_fill(context) {
                return Poll::Ready(filled.map(|()| false).map_err(Break::from));
            }
            let over = match &mut self.upstream {
                Some(upstream) => upstream.poll_rest(context, ahead, until).map_err(Break::from),
                None => self.alarm.poll_at(context, until).map(Ok),
            };
            over.map_ok(|()| true)
        });
        if over.await? {
            if until == self.deadline {
                return Err(if self.session.logged_in() { Break::Idle } else { Break::Login });
            }
            Box::pin(self.noop()).await?;
        }
        Ok(Step::Next)
    }

    /// Keeps the upstream from its idle timer, which is not the client's.
    async fn noop(&mut self) -> Result<(), Break> {
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        tokio::select! {
            done = upstream.noop() => Ok(done?),
            gone = self.client.watch() => Err(gone.into()),
        }
    }
}
