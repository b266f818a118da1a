//! A piece of work on its way to a thread of the store, with the way back for its answer.
//!
//! Work has two steps, because the answer of a write has to wait for the commit of the whole group: `run` keeps the
//! result, `answer` hands it out or replaces it by the failure that overtook it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::error::{StoreError, WriteError};
use crate::sql::{Change, Look};

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
    /// Runs the work and keeps its result. A panic ends here.
    fn run(&mut self, look: &Look<'_>);
    /// Gives the result out, or the failure that kept the work from running.
    fn answer(self: Box<Self>, looked: Result<(), StoreError>);
}

enum State<F, T, E> {
    Waiting(F),
    Ran(Result<T, E>),
    Panicked,
}

pub(crate) struct Job<F, T, E> {
    state: State<F, T, E>,
    answer: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> Job<F, T, E> {
    pub(crate) fn new(work: F, answer: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Self {
            state: State::Waiting(work),
            answer,
        }
    }

    fn run_with(&mut self, run: impl FnOnce(F) -> Result<T, E>) -> Verdict {
        let State::Waiting(work) = std::mem::replace(&mut self.state, State::Panicked) else {
            return Verdict::RollBack;
        };
        // The work owns all it uses and what it did is rolled back, so nothing half done is ever looked at again.
        if let Ok(result) = catch_unwind(AssertUnwindSafe(|| run(work))) {
            self.state = State::Ran(result);
        }
        match self.state {
            State::Ran(Ok(_)) => Verdict::Keep,
            _ => Verdict::RollBack,
        }
    }

    fn give(self, outcome: Result<(), StoreError>) {
        let answer = match (self.state, outcome) {
            (State::Ran(Err(refusal)), _) => Err(WriteError::Refused(refusal)),
            (State::Panicked, _) => Err(WriteError::Store(StoreError::Panicked)),
            (_, Err(failure)) => Err(WriteError::Store(failure)),
            (State::Ran(Ok(value)), Ok(())) => Ok(value),
            (State::Waiting(_), Ok(())) => Err(WriteError::Store(StoreError::Closed)),
        };
        // Nobody may be waiting any more; a write stands all the same.
        let _ = self.answer.send(answer);
    }
}

/// A write and a read differ only in what they run on, so each has a type of its own around the same job.
pub(crate) struct WriteJob<F, T, E>(pub(crate) Job<F, T, E>);

/// See [`WriteJob`].
pub(crate) struct ReadJob<F, T, E>(pub(crate) Job<F, T, E>);

impl<F, T, E> Write for WriteJob<F, T, E>
where
    F: FnOnce(&Change<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, change: &Change<'_>) -> Verdict {
        self.0.run_with(|work| work(change))
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        self.0.give(committed);
    }
}

impl<F, T, E> Read for ReadJob<F, T, E>
where
    F: FnOnce(&Look<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, look: &Look<'_>) {
        self.0.run_with(|work| work(look));
    }

    fn answer(self: Box<Self>, looked: Result<(), StoreError>) {
        self.0.give(looked);
    }
}
