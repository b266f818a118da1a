//! What tests of several rooms ask a journal.

use tempfile::TempDir;
use viereck_routing::Environment;
use viereck_store::Param;

use crate::{Journal, JournalError};

/// An empty journal of this custodian, and the folder that it lies in.
pub(crate) async fn journal(custodian: &str) -> (TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.sqlite");
    let journal = Journal::open(path.as_path(), custodian.parse().unwrap(), Environment::Test).await;
    (dir, journal.unwrap())
}

/// How SQLite goes about a statement, whatever its parameters: one line for each table or index it searches or scans.
/// What it compares within an index stands in brackets, so a test can tell a seek from a look at every row, on any
/// machine.
pub(crate) async fn searches(journal: &Journal, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let plan = journal.store.read(move |look| {
        let anything = vec![Param::Null; explain.matches('?').count()];
        look.all(&explain, &anything, |row| {
            Ok::<_, JournalError>(row.get::<String>("detail")?)
        })
    });
    plan.await.unwrap()
}
