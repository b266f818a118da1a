//! A piece of work on its way to a thread of the store, with the way back for its answer.
//!
//! A write has two steps, because its answer has to wait for the commit of the whole group: [`Write::run`] keeps the
//! result, [`Write::answer`] hands it out or replaces it by the failure of the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{StoreError, WriteError};
use crate::sql::{Change, Look, SqlError};

/// What becomes of a write's savepoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    RollBack,
}

/// A write, whatever its types.
pub(crate) trait Write: Send {
    /// Runs the work and keeps its result. A panic ends here.
    fn run(&mut self, change: &Change<'_>) -> Verdict;
    /// Gives the result out, or the failure that overtook it.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A read, whatever its types.
pub(crate) trait Read: Send {
    /// Runs the work and answers. A panic ends here.
    fn run(self: Box<Self>, connection: &Connection);
}

enum State<F, T, E> {
    Waiting(F),
    Ran(Result<T, E>),
    Panicked,
}

pub(crate) struct WriteJob<F, T, E> {
    state: State<F, T, E>,
    answer: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> WriteJob<F, T, E> {
    pub(crate) fn new(work: F, answer: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Self {
            state: State::Waiting(work),
            answer,
        }
    }
}

impl<F, T, E> Write for WriteJob<F, T, E>
where
    F: FnOnce(&Change<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, change: &Change<'_>) -> Verdict {
        let State::Waiting(work) = std::mem::replace(&mut self.state, State::Panicked) else {
            return Verdict::RollBack;
        };
        // The work owns all it uses and its savepoint is rolled back, so nothing half done is ever looked at again.
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| work(change))) {
            self.state = State::Ran(result);
        }
        match self.state {
            State::Ran(Ok(_)) => Verdict::Keep,
            _ => Verdict::RollBack,
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.state, committed) {
            (State::Ran(Err(refusal)), _) => Err(WriteError::Refused(refusal)),
            (State::Panicked, _) => Err(WriteError::Store(StoreError::Panicked)),
            (_, Err(failure)) => Err(WriteError::Store(failure)),
            (State::Ran(Ok(value)), Ok(())) => Ok(value),
            (State::Waiting(_), Ok(())) => Err(WriteError::Store(StoreError::Closed)),
        };
        // Nobody may be waiting any more; the write stands all the same.
        let _ = self.answer.send(answer);
    }
}

pub(crate) struct ReadJob<F, T, E> {
    work: F,
    answer: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> ReadJob<F, T, E> {
    pub(crate) fn new(work: F, answer: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Self { work, answer }
    }
}

impl<F, T, E> Read for ReadJob<F, T, E>
where
    F: FnOnce(&Look<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send + From<SqlError>,
{
    fn run(self: Box<Self>, connection: &Connection) {
        let Self { work, answer } = *self;
        let ran = catch_unwind(AssertUnwindSafe(|| -> Result<T, E> {
            // One transaction, so that several statements see the same moment; dropping it ends it.
            let _snapshot = connection.unchecked_transaction().map_err(SqlError::from)?;
            work(&Look::on(connection))
        }));
        let _ = answer.send(match ran {
            Ok(result) => result.map_err(WriteError::Refused),
            Err(_) => Err(WriteError::Store(StoreError::Panicked)),
        });
    }
}
