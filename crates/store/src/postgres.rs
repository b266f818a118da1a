//! PostgreSQL: one schema of a database, with any number of processes that write to it.
//!
//! What makes it behave as SQLite does: each group of writes takes a lock of the schema's own at its beginning
//! (`pg_advisory_xact_lock`), so writers are serialised over all instances and every write may argue as if it were alone.
//! Several instances are there so that one may fail, not to do more at once; a group is one transaction, and its commit
//! waits for the disk, as on SQLite.
//!
//! What is different, and cannot be otherwise: a connection that is lost during the commit leaves the fate of the group
//! unknown ([`StoreError::Unreachable`]); the server can be away, and then everybody is told so at once until it is back.
//!
//! Guarantees: an instance that stands still within a transaction holds up the others for a few seconds, then the
//! server ends its transaction; a server that stands still is given up; errors never carry contents. Needs a
//! connection of its own for as long as it lives: no pooler that changes it between transactions.

mod dialect;
mod error;
mod line;
mod prepare;
mod session;
mod target;
mod url;
mod value;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

pub use self::error::{PostgresError, Said};
use self::line::Line;
use self::session::Purpose;
pub(crate) use self::session::Session;
pub(crate) use self::target::Target;
pub use self::url::{PostgresUrl, PostgresUrlError};
pub(crate) use self::value::value;
use crate::Signal;
use crate::error::StoreError;
use crate::job::{Read, Verdict, Write};
use crate::params;
use crate::reader::Looks;
use crate::sql::{Change, Look};
use crate::writer::{Commits, Order};

/// The server's clock, which all instances share.
pub(crate) const CLOCK: &str = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";

/// More savepoints than this in one transaction make the server write down which belong to it, and every reader slower.
const LARGEST_GROUP: usize = 60;

/// The server takes notifications of less than 8000 octets.
const LONGEST_PAYLOAD: usize = 7000;

/// How many writes may share a commit.
pub(crate) fn group(wanted: usize) -> usize {
    wanted.min(LARGEST_GROUP)
}

/// Looks whether the server is fit, and brings the tables up to date. Blocks.
pub(crate) fn prepare(target: &Arc<Target>, migrations: &[&str]) -> Result<(), StoreError> {
    once(target, |session| {
        prepare::check(session, target)?;
        prepare::migrate(session, target, migrations)
    })
}

/// Looks whether the tables are of just the version that this program knows. Blocks.
pub(crate) fn is_current(target: &Arc<Target>, known: usize) -> Result<(), StoreError> {
    once(target, |session| prepare::is_current(session, target, known))
}

fn once(target: &Arc<Target>, work: impl FnOnce(&Session) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let (heard, _) = broadcast::channel(1);
    let mut line = line(target, Purpose::Prepare, heard)?;
    let outcome = match line.session() {
        Ok(session) => work(session),
        Err(error) => Err(prepare::open_failed(target, error)),
    };
    line.close();
    outcome
}

fn line(target: &Arc<Target>, purpose: Purpose, heard: broadcast::Sender<Signal>) -> Result<Line, StoreError> {
    Line::new(Arc::clone(target), purpose, heard).map_err(|source| StoreError::Prepare {
        place: prepare::place(target),
        source: Arc::new(source),
    })
}

/// The one of this process that writes.
pub(crate) struct Writer {
    line: Line,
    target: Arc<Target>,
}

impl Writer {
    pub(crate) fn new(target: &Arc<Target>, heard: broadcast::Sender<Signal>) -> Result<Self, StoreError> {
        Ok(Self {
            line: line(target, Purpose::Write, heard)?,
            target: Arc::clone(target),
        })
    }
}

impl Commits for Writer {
    fn next(&mut self, orders: &mut mpsc::Receiver<Order>) -> Option<Order> {
        self.line.attend(async || orders.recv().await)
    }

    fn commit(&mut self, jobs: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
        let schema = self.target.schema.as_str();
        // read committed: each statement sees what was committed before it, so what other instances wrote until we got
        // the lock is seen, and after that nobody writes
        let begin = |session: &Session| {
            session.batch("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")?;
            prepare::lock(session, schema)?;
            session.batch("SAVEPOINT one")
        };
        let committed = self.line.begin(begin).and_then(|session| {
            session.signals().clear();
            let ran = run_group(session, &self.target, jobs);
            if ran.is_err() && !session.is_lost() {
                // if not even this works the connection is lost, and the server does it
                let _ = session.batch("ROLLBACK");
            }
            ran
        });
        committed.map_err(StoreError::of_postgres)
    }

    fn close(self) {
        self.line.close();
    }
}

/// The jobs between their savepoints, and the commit.
fn run_group(session: &Session, target: &Target, jobs: &mut [Box<dyn Write>]) -> Result<(), PostgresError> {
    for job in jobs.iter_mut() {
        let told = session.signals().len();
        match job.run(&Change::at_postgres(session)) {
            Verdict::Keep => session.batch("RELEASE one; SAVEPOINT one")?,
            Verdict::RollBack => {
                session.signals().truncate(told);
                session.batch("ROLLBACK TO one")?;
            }
        }
    }
    for payload in payloads(&target.token, &std::mem::take(&mut *session.signals())) {
        session.execute("SELECT pg_notify(?, ?)", params![target.schema, payload])?;
    }
    session.batch("COMMIT")
}

/// Signals in as few notifications as they fit in: who they come from, then one in each line.
fn payloads(token: &str, signals: &[String]) -> Vec<String> {
    let mut payloads: Vec<String> = vec![];
    for signal in signals {
        match payloads.last_mut() {
            Some(last) if last.len() + signal.len() < LONGEST_PAYLOAD => last.push_str(&format!("\n{signal}")),
            _ => payloads.push(format!("{token}\n{signal}")),
        }
    }
    payloads
}

/// One of this process that only looks.
pub(crate) struct Reader(Line);

impl Reader {
    /// As many as are asked for.
    pub(crate) fn new(target: &Arc<Target>, readers: usize) -> Result<Vec<Self>, StoreError> {
        let (heard, _) = broadcast::channel(1);
        (0..readers)
            .map(|_| line(target, Purpose::Read, heard.clone()).map(Self))
            .collect()
    }
}

impl Looks for Reader {
    fn look(&mut self, mut job: Box<dyn Read>) {
        let looked = match self.0.begin(|session| session.batch("BEGIN")) {
            Ok(session) => {
                job.run(&Look::at_postgres(session));
                if !session.is_lost() {
                    // nothing was changed; if it fails, the connection is lost
                    let _ = session.batch("ROLLBACK");
                }
                Ok(())
            }
            Err(error) => Err(StoreError::of_postgres(error)),
        };
        job.answer(looked);
    }

    fn close(self) {
        self.0.close();
    }
}
