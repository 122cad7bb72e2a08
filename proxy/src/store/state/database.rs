//! The connection to a database: which one, its tables, and a second attempt where that makes sense.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use popgate_config::Database as Configured;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, SqlSafeStr, SqlStr, Transaction,
};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout_at};

use super::StateError;

/// Connections at a time. Reads come from memory as a rule, and writes wait for each other anyway.
const CONNECTIONS: u32 = 4;

/// How often something is tried that another process was in the way of, or a connection that has died.
const ATTEMPTS: u32 = 5;

/// How long SQLite waits for another process's lock.
const BUSY: Duration = Duration::from_millis(1_500);

/// The tables, one step after the other. What is released is never changed; more is added behind. `BLOB` is the type of octets.
const TABLES: [(&str, &str); 4] = [
    (
        "state",
        "CREATE TABLE state_scope (
        id BIGINT PRIMARY KEY,
        filter TEXT NOT NULL,
        owner TEXT NOT NULL,
        generation BIGINT NOT NULL,
        octets BIGINT NOT NULL,
        UNIQUE (filter, owner)
    );
    CREATE TABLE state_entry (
        scope BIGINT NOT NULL,
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        expires BIGINT NOT NULL,
        PRIMARY KEY (scope, key)
    ) /* WITHOUT ROWID */;
    CREATE INDEX state_entry_expires ON state_entry (expires) WHERE expires < 9223372036854775807;
    CREATE TABLE state_learned (
        scope BIGINT NOT NULL,
        message BLOB NOT NULL,
        label BIGINT NOT NULL,
        learned BIGINT NOT NULL,
        PRIMARY KEY (scope, message)
    ) /* WITHOUT ROWID */;",
    ),
    (
        "history",
        "CREATE TABLE history (
        happened BIGINT NOT NULL,
        upstream TEXT NOT NULL,
        is_known BIGINT NOT NULL,
        login TEXT NOT NULL,
        verdict TEXT NOT NULL,
        filter TEXT NOT NULL,
        reason TEXT NOT NULL,
        uidl TEXT NOT NULL,
        octets BIGINT NOT NULL,
        hash BLOB NOT NULL,
        subject TEXT NOT NULL
    );
    CREATE INDEX history_happened ON history (happened);
    CREATE INDEX history_login ON history (login, happened);",
    ),
    (
        "verdicts",
        "CREATE TABLE verdict (
        key BLOB PRIMARY KEY,
        value BLOB NOT NULL,
        expires BIGINT NOT NULL
    );
    CREATE INDEX verdict_expires ON verdict (expires);",
    ),
    (
        "learn tokens",
        "CREATE TABLE learn_token (
        message BLOB NOT NULL,
        filter TEXT NOT NULL,
        owner TEXT NOT NULL,
        token BLOB NOT NULL,
        octets BIGINT NOT NULL,
        expires BIGINT NOT NULL,
        PRIMARY KEY (message, filter, owner)
    );
    CREATE INDEX learn_token_owner ON learn_token (filter, owner, expires, message, octets);
    CREATE INDEX learn_token_expires ON learn_token (expires);",
    ),
];

/// Which database it is, as far as that makes a difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// A database.
pub(super) struct Database {
    kind: Kind,
    pool: AnyPool,
    options: AnyConnectOptions,
    /// The file of SQLite, made before it is opened.
    file: Option<PathBuf>,
    /// SQLite has one writer at a time; here they queue, instead of asking again and again.
    writer: Mutex<()>,
    /// Set when the tables are there.
    ready: OnceCell<()>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the pool, which knows the password.
        f.debug_struct("Database").field("kind", &self.kind).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Database {
    /// The database of the configuration. Connects to nothing yet.
    pub(super) fn new(configured: &Configured, state_dir: &Path) -> Result<Self, StateError> {
        match configured {
            Configured::Sqlite => {
                let path = state_dir.join("state.db");
                let path = std::path::absolute(&path).unwrap_or(path);
                let mut options = options("sqlite:///?mode=rw")?;
                options.database_url.set_path(&path.to_string_lossy());
                Ok(Self::with(Kind::Sqlite, options, CONNECTIONS, Some(path)))
            }
            Configured::Postgres { url, password_file, .. } => {
                let mut options = options(url)?;
                if let Some(path) = password_file {
                    let password = std::fs::read_to_string(path)
                        .map_err(|error| StateError::Database(format!("`{}`: {error}", path.display())))?;
                    let password = password.trim_end_matches(['\r', '\n']);
                    options
                        .database_url
                        .set_password(Some(password))
                        .map_err(|()| StateError::Database("a URL without a host has no password".into()))?;
                }
                Ok(Self::with(Kind::Postgres, options, CONNECTIONS, None))
            }
        }
    }

    /// A database in memory: of one connection, since each has its own.
    pub(super) fn in_memory() -> Result<Self, StateError> {
        Ok(Self::with(Kind::Sqlite, options("sqlite::memory:")?, 1, None))
    }

    fn with(kind: Kind, options: AnyConnectOptions, connections: u32, file: Option<PathBuf>) -> Self {
        // Statements hold no values, but of no use are they in a log either.
        let options = options.disable_statement_logging();
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(super::PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| Box::pin(prepare(kind, connection)))
            .connect_lazy_with(options.clone());
        Self { kind, pool, options, file, writer: Mutex::default(), ready: OnceCell::new() }
    }

    /// Connects, and makes the tables if need be. Says what is wrong at once, where a pool goes on trying.
    pub(super) async fn check(&self, patience: Duration) -> Result<(), StateError> {
        let work = async {
            self.make_file()?;
            let mut connection = self.options.connect().await?;
            prepare(self.kind, &mut connection).await?;
            connection.close().await?;
            self.ready().await
        };
        match tokio::time::timeout(patience, work).await {
            Ok(result) => result.map_err(|error| told(&error)),
            Err(_) => Err(StateError::Late(patience)),
        }
    }

    /// Reads. Tried again if a connection has died.
    pub(super) async fn read<W: Work>(&self, patience: Duration, work: W) -> Result<W::Done, StateError> {
        let attempts = async {
            for _ in 1..ATTEMPTS {
                match self.read_once(&work).await {
                    Err(Aborted::Database(error)) if is_passing(&error) => {}
                    result => return result,
                }
            }
            self.read_once(&work).await
        };
        match tokio::time::timeout(patience, attempts).await {
            Ok(result) => result.map_err(Aborted::told),
            Err(_) => Err(StateError::Late(patience)),
        }
    }

    async fn read_once<W: Work>(&self, work: &W) -> Result<W::Done, Aborted> {
        self.ready().await?;
        let mut connection = self.pool.acquire().await?;
        work.run(&mut connection).await
    }

    /// Begins a transaction that writes.
    async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.ready().await?;
        match self.kind {
            // Otherwise it would begin to read, and find out too late that somebody else writes.
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Kind::Postgres => self.pool.begin().await,
        }
    }

    /// Does a transaction until nobody is in its way any more. Begins none after the deadline.
    pub(super) async fn transaction<W: Work>(&self, deadline: Instant, work: W) -> Result<W::Done, StateError> {
        for attempt in 1..ATTEMPTS {
            match self.transaction_once(deadline, &work).await {
                Err(Aborted::Database(error)) if is_passing(&error) => {
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                }
                result => return result.map_err(Aborted::told),
            }
        }
        self.transaction_once(deadline, &work).await.map_err(Aborted::told)
    }

    async fn transaction_once<W: Work>(&self, deadline: Instant, work: &W) -> Result<W::Done, Aborted> {
        let late = |_| Aborted::State(StateError::Late(super::PATIENCE));
        let _turn = match self.kind {
            Kind::Sqlite => Some(timeout_at(deadline, self.writer.lock()).await.map_err(late)?),
            Kind::Postgres => None,
        };
        let mut transaction = timeout_at(deadline, self.begin()).await.map_err(late)??;
        let done = work.run(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Locks the database as another process does that writes.
    #[cfg(test)]
    pub(super) async fn lock_for_a_test(&self) -> Transaction<'static, Any> {
        self.begin().await.unwrap()
    }

    async fn ready(&self) -> Result<(), sqlx::Error> {
        self.ready.get_or_try_init(|| self.make()).await?;
        Ok(())
    }

    /// SQLite gives its other files the mode of this one.
    fn make_file(&self) -> Result<(), sqlx::Error> {
        let Some(path) = &self.file else { return Ok(()) };
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop).map_err(sqlx::Error::Io)
    }

    /// Makes the tables that are not there yet.
    async fn make(&self) -> Result<(), sqlx::Error> {
        self.make_file()?;
        let step = |(number, (name, text)): (i64, &(&'static str, &str))| {
            let sql: SqlStr = AssertSqlSafe(self.kind.typed(text)).into_sql_str();
            Migration::new(number, (*name).into(), MigrationType::Simple, sql, false)
        };
        let mut steps = Migrator::with_migrations((1..).zip(&TABLES).map(step).collect());
        steps.dangerous_set_table_name("popgate_steps");
        // A newer popgate may have been here; what it has added does not disturb.
        steps.set_ignore_missing(true);
        match self.kind {
            // sqlx has no lock for SQLite, and other processes may just be making the same: who writes first makes all of it.
            Kind::Sqlite => {
                let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
                steps.run_direct(None, &mut *transaction, false).await?;
                transaction.commit().await
            }
            Kind::Postgres => Ok(steps.run(&self.pool).await?),
        }
    }
}

impl Kind {
    /// The definition of a table in the words of this database.
    fn typed(self, text: &str) -> String {
        match self {
            Self::Sqlite => text.replace("/* WITHOUT ROWID */", "WITHOUT ROWID"),
            Self::Postgres => text.replace("BLOB", "BYTEA"),
        }
    }
}

/// What is done with a connection; it may be done several times.
pub(super) trait Work: Send + Sync {
    /// What comes of it.
    type Done: Send;

    fn run(&self, connection: &mut AnyConnection) -> impl Future<Output = Result<Self::Done, Aborted>> + Send;
}

/// Why it was given up.
#[derive(Debug)]
pub(super) enum Aborted {
    Database(sqlx::Error),
    State(StateError),
}

impl Aborted {
    fn told(self) -> StateError {
        match self {
            Self::Database(error) => told(&error),
            Self::State(error) => error,
        }
    }
}

impl From<sqlx::Error> for Aborted {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StateError> for Aborted {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

fn options(url: &str) -> Result<AnyConnectOptions, StateError> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    url.parse().map_err(|error: sqlx::Error| told(&error))
}

/// What a connection is told at its beginning.
async fn prepare(kind: Kind, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    match kind {
        Kind::Sqlite => {
            // With a log that is written ahead, readers and a writer do not wait for each other. `NORMAL` waits for the disk when
            // that log is taken over and not at each commit: what is lost with the power are the last counts, never the order
            // of the file, and a message waits for no disk.
            let busy = format!("PRAGMA busy_timeout = {}", BUSY.as_millis());
            connection.execute(AssertSqlSafe(busy)).await?;
            write_ahead(connection).await?;
            connection.execute("PRAGMA synchronous = NORMAL").await?;
            connection.execute("PRAGMA temp_store = MEMORY").await?;
        }
        Kind::Postgres => {
            // A server forgets nobody's locks by itself when a network breaks.
            connection.execute("SET statement_timeout = 5000").await?;
            connection.execute("SET lock_timeout = 1500").await?;
            connection.execute("SET idle_in_transaction_session_timeout = 10000").await?;
        }
    }
    Ok(())
}

/// Sets the mode of the journal, which stays with the file. Who does this while others do the same is told at once that it is
/// locked, whatever the time to wait.
async fn write_ahead(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Err(sqlx::Error::Database(error)) if sqlite_busy(&*error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => return result.map(drop),
        }
    }
}

/// Whether this is `SQLITE_BUSY` in one of its forms.
fn sqlite_busy(error: &dyn DatabaseError) -> bool {
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Whether the same may work a moment later, at once: a dead-lock, a lock of SQLite, a connection that has died.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            // Serialisation failures and dead-locks, a server that restarts, two nodes that make the same row; of SQLite, BUSY in its forms.
            let code = error.code();
            let code = code.as_deref().unwrap_or_default();
            // Plain BUSY has had its time.
            (sqlite_busy(&**error) && code != "5")
                || matches!(code, "40001" | "40P01" | "57P01" | "23505" | "1555" | "2067")
        }
        sqlx::Error::Io(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

/// The error in words for the operator. sqlx's own texts have neither values nor passwords.
fn told(error: &sqlx::Error) -> StateError {
    match error {
        sqlx::Error::PoolTimedOut => StateError::Late(super::PATIENCE),
        sqlx::Error::Database(error) => StateError::Database(error.message().to_owned()),
        sqlx::Error::Io(error) => StateError::Database(error.to_string()),
        sqlx::Error::Migrate(error) => match &**error {
            MigrateError::Execute(error) => told(error),
            error => StateError::Database(error.to_string()),
        },
        error => StateError::Database(error.to_string()),
    }
}
