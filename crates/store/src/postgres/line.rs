//! A connection that is made anew when it is lost.
//!
//! While the server is away whoever asks is told so at once, and it is tried again no oftener than a backoff allows; so
//! nobody queues behind a server that does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::broadcast;

use super::error::PostgresError;
use super::session::{Purpose, Session};
use super::target::Target;
use crate::Signal;

/// Between two tries to connect; doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A way to the server.
pub(super) struct Line {
    runtime: Arc<Runtime>,
    target: Arc<Target>,
    purpose: Purpose,
    heard: broadcast::Sender<Signal>,
    session: Option<Session>,
    failures: u32,
    /// Why there is no connection, and until when it is not tried again.
    away: Option<(PostgresError, Instant)>,
}

impl Line {
    /// Not connected yet.
    pub(super) fn new(
        target: Arc<Target>,
        purpose: Purpose,
        heard: broadcast::Sender<Signal>,
    ) -> Result<Self, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            runtime: Arc::new(runtime),
            target,
            purpose,
            heard,
            session: None,
            failures: 0,
            away: None,
        })
    }

    /// The connection; made anew where it was lost.
    pub(super) fn session(&mut self) -> Result<&Session, PostgresError> {
        if self.session.as_ref().is_some_and(Session::is_lost) {
            self.session = None;
        }
        if self.session.is_none() {
            self.connect()?;
        }
        self.session.as_ref().ok_or(PostgresError::TimedOut)
    }

    /// Begins a transaction. A connection that was lost without anybody noticing is replaced: nothing was under way.
    pub(super) fn begin(
        &mut self,
        begin: impl Fn(&Session) -> Result<(), PostgresError>,
    ) -> Result<&Session, PostgresError> {
        match begin(self.session()?) {
            Err(error) if error.ends_session() && error != PostgresError::TimedOut => begin(self.session()?)?,
            begun => begun?,
        }
        // this very one, even if it has been lost since: another one has no transaction
        self.session.as_ref().ok_or(PostgresError::TimedOut)
    }

    /// Waits for something while the connection is attended to and, where it is lost, made anew.
    pub(super) fn attend<T>(&mut self, mut work: impl AsyncFnMut() -> T) -> T {
        loop {
            match &mut self.session {
                Some(session) if !session.is_lost() => {
                    if let Some(done) = session.attend(work()) {
                        return done;
                    }
                    self.session = None;
                }
                _ => {
                    self.session = None;
                    let until = self.away.as_ref().map_or_else(Instant::now, |(_, until)| *until);
                    let pause = until.saturating_duration_since(Instant::now());
                    let done = self
                        .runtime
                        .block_on(async { tokio::time::timeout(pause, work()).await.ok() });
                    if let Some(done) = done {
                        return done;
                    }
                    // whoever asks next is told why
                    let _ = self.connect();
                }
            }
        }
    }

    pub(super) fn close(self) {
        if let Some(session) = self.session {
            session.close();
        }
    }

    fn connect(&mut self) -> Result<(), PostgresError> {
        if let Some((error, until)) = &self.away
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        match Session::open(&self.runtime, &self.target, self.purpose, &self.heard) {
            Ok(session) => {
                if self.purpose == Purpose::Write && self.failures > 0 {
                    tracing::info!(database = %self.target.url, "the database is back");
                }
                self.failures = 0;
                self.away = None;
                self.session = Some(session);
                if self.purpose == Purpose::Write {
                    // nobody listening is fine
                    let _ = self.heard.send(Signal::Missed);
                }
                Ok(())
            }
            Err(error) => {
                if self.purpose == Purpose::Write && self.failures == 0 {
                    tracing::error!(database = %self.target.url, %error, alarm = "database-unreachable",
                        "the database is away; nothing is promised until it is back");
                }
                let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
                self.failures += 1;
                self.away = Some((error.clone(), Instant::now() + pause));
                Err(error)
            }
        }
    }
}
