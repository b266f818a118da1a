//! One connection, driven by the thread that owns it.
//!
//! The driver (`tokio-postgres`) is asynchronous; the work handed to a store is not, because the same work runs on
//! SQLite. So each thread has a runtime of its own that runs while one of its statements does, and while the thread waits for
//! work. Every wait has an end: a server that stands still, whose host still answers for it, is given up after
//! [`PATIENCE`].
//!
//! Guarantees: statements are prepared once and kept; after an error that leaves the connection in doubt nothing more is
//! sent on it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, NoTls, Row, Statement};

use super::dialect;
use super::error::PostgresError;
use super::target::Target;
use super::value::Bound;
use crate::Signal;
use crate::value::Param;

/// How long one answer may take. Longer than [`STATEMENT_TIMEOUT`], by which the server itself gives up.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the server may work on one statement, waiting for other instances included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a transaction may stand still before the server ends it: for so long an instance that is frozen can hold up
/// the others.
const STANDSTILL: Duration = Duration::from_secs(5);

/// How long a migration may take.
const MIGRATION: Duration = Duration::from_secs(3600);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Statements kept for each connection. Ours are far fewer; a bound all the same.
const KEPT: usize = 512;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Writes, and hears what other instances signal.
    Write,
    /// Only looks.
    Read,
    /// Looks once whether the server is fit, and brings the tables up to date.
    Prepare,
}

/// A connection and what is known on it.
pub(crate) struct Session {
    runtime: Arc<Runtime>,
    client: Client,
    driver: Driver,
    statements: RefCell<HashMap<Box<str>, Statement>>,
    /// What the group under way wants to tell other instances.
    signals: RefCell<Vec<String>>,
    lost: Cell<bool>,
    patience: Duration,
}

impl Session {
    /// Connects and sets what every statement relies on.
    pub(super) fn open(
        runtime: &Arc<Runtime>,
        target: &Target,
        purpose: Purpose,
        heard: &broadcast::Sender<Signal>,
    ) -> Result<Self, PostgresError> {
        let hears = Hears {
            own: target.token.clone(),
            to: heard.clone(),
        };
        let connect = async {
            // spawned on this thread's runtime: it moves whenever this thread waits for something
            let (client, driver) = match &target.tls {
                Some(tls) => {
                    let (client, connection) = target.config.connect(tls.clone()).await?;
                    (client, tokio::spawn(drive(connection, hears)))
                }
                None => {
                    let (client, connection) = target.config.connect(NoTls).await?;
                    (client, tokio::spawn(drive(connection, hears)))
                }
            };
            Ok((client, Driver(driver)))
        };
        let (client, driver) = wait(runtime, PATIENCE, connect)?;
        let session = Self {
            runtime: Arc::clone(runtime),
            client,
            driver,
            statements: RefCell::default(),
            signals: RefCell::default(),
            lost: Cell::new(false),
            patience: if purpose == Purpose::Prepare {
                MIGRATION
            } else {
                PATIENCE
            },
        };
        session.batch(&settings(target, purpose))?;
        Ok(session)
    }

    /// Whether it is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get() || self.client.is_closed()
    }

    /// Every row of the answer.
    pub(crate) fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, PostgresError> {
        let statement = self.prepared(sql)?;
        let bound = bind(&statement, params)?;
        self.wait(self.client.query(&statement, &references(&bound)))
    }

    /// The first row; the answer is read to its end all the same, so that the statement is complete.
    pub(crate) fn first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, PostgresError> {
        let statement = self.prepared(sql)?;
        let bound = bind(&statement, params)?;
        let references = references(&bound);
        self.wait(async {
            let rows = self.client.query_raw(&statement, references).await?;
            let mut rows = std::pin::pin!(rows);
            let first = rows.try_next().await?;
            if first.is_some() {
                while rows.try_next().await?.is_some() {}
            }
            Ok(first)
        })
    }

    /// Changes something, and says how many rows.
    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, PostgresError> {
        let statement = self.prepared(sql)?;
        let bound = bind(&statement, params)?;
        self.wait(self.client.execute(&statement, &references(&bound)))
    }

    /// Several statements without values, as they stand.
    pub(super) fn batch(&self, sql: &str) -> Result<(), PostgresError> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Notes a signal for the commit.
    pub(crate) fn signal(&self, text: &str) {
        self.signals.borrow_mut().push(text.to_owned());
    }

    /// The signals noted so far.
    pub(super) fn signals(&self) -> std::cell::RefMut<'_, Vec<String>> {
        self.signals.borrow_mut()
    }

    /// Runs something else on the thread's runtime while the connection is attended to, until either ends.
    pub(super) fn attend<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let driver = &mut self.driver.0;
        self.runtime.block_on(async {
            tokio::select! {
                done = work => Some(done),
                _ = driver => None,
            }
        })
    }

    /// Says goodbye, so that the server does not have to find out.
    pub(super) fn close(self) {
        let Self {
            runtime,
            client,
            mut driver,
            ..
        } = self;
        drop(client);
        let ended = async { tokio::time::timeout(FAREWELL, &mut driver.0).await.is_ok() };
        if !runtime.block_on(ended) {
            tracing::debug!("the server did not take leave");
        }
    }

    fn prepared(&self, sql: &str) -> Result<Statement, PostgresError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.wait(self.client.prepare(&dialect::numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= KEPT {
            statements.clear();
        }
        statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, PostgresError> {
        if self.lost.get() {
            return Err(PostgresError::Lost("the connection was given up".to_owned()));
        }
        let outcome = wait(&self.runtime, self.patience, work);
        if outcome.as_ref().is_err_and(PostgresError::ends_session) {
            self.lost.set(true);
        }
        outcome
    }
}

/// The task that moves octets. A connection that nobody wants any more is cut: a server that stands still would else keep
/// us waiting.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn wait<T>(
    runtime: &Runtime,
    patience: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, PostgresError> {
    match runtime.block_on(async { tokio::time::timeout(patience, work).await }) {
        Ok(outcome) => outcome.map_err(|error| PostgresError::of(&error)),
        Err(_) => Err(PostgresError::TimedOut),
    }
}

fn bind<'a>(statement: &Statement, params: &'a [Param<'a>]) -> Result<Vec<Bound<'a>>, PostgresError> {
    let places = statement.params();
    if places.len() != params.len() {
        let counts = format!("the statement takes {} values, not {}", places.len(), params.len());
        return Err(PostgresError::Misfit(counts));
    }
    let pairs = params.iter().zip(places).zip(1..);
    pairs
        .map(|((param, place), number)| Bound::new(*param, place, number))
        .collect()
}

fn references<'a>(bound: &'a [Bound<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// What a session starts with. A schema's name is one of ours and holds no quotes, see [`Target`].
fn settings(target: &Target, purpose: Purpose) -> String {
    let schema = &target.schema;
    let limit = |limit: Duration| limit.as_millis();
    let mut settings = format!(
        "SET search_path TO \"{schema}\";
         SET standard_conforming_strings = on;
         SET idle_in_transaction_session_timeout = {};",
        limit(STANDSTILL)
    );
    match purpose {
        Purpose::Write => settings.push_str(&format!(
            "SET statement_timeout = {};
             SET tcp_user_timeout = {};
             LISTEN \"{schema}\";",
            limit(STATEMENT_TIMEOUT),
            limit(STANDSTILL),
        )),
        Purpose::Read => settings.push_str(&format!(
            "SET statement_timeout = {};
             SET default_transaction_read_only = on;
             SET default_transaction_isolation = 'repeatable read';",
            limit(STATEMENT_TIMEOUT)
        )),
        Purpose::Prepare => settings.push_str(&format!("SET statement_timeout = {};", limit(MIGRATION))),
    }
    settings
}

/// Where what is heard goes.
struct Hears {
    /// What our own signals begin with: we know them already.
    own: String,
    to: broadcast::Sender<Signal>,
}

async fn drive<S, T>(mut connection: Connection<S, T>, hears: Hears)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        let AsyncMessage::Notification(notification) = message else {
            continue;
        };
        let mut lines = notification.payload().lines();
        if lines.next() == Some(hears.own.as_str()) {
            continue;
        }
        for text in lines {
            // nobody listening is fine
            let _ = hears.to.send(Signal::Text(text.into()));
        }
    }
}
