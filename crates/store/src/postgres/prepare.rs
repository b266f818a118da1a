//! Before the first statement: is this server fit to keep promises, and are the tables up to date?

use std::cmp::Ordering;
use std::sync::Arc;

use super::dialect;
use super::error::PostgresError;
use super::session::Session;
use super::target::Target;
use crate::Place;
use crate::error::StoreError;
use crate::params;

/// What must be on for a confirmed commit to be on disk, with the values that mean it.
const DURABLE: &[(&str, &[&str])] = &[
    ("fsync", &["on"]),
    ("full_page_writes", &["on"]),
    ("synchronous_commit", &["on", "remote_apply", "remote_write", "local"]),
];

/// The oldest release with all that is used here: PostgreSQL 13.
const OLDEST: i64 = 130_000;

/// What the schema is of.
enum Found {
    /// Made by us, and this many migrations old.
    Version(usize),
    /// There is no such schema, or an empty one.
    Nothing,
}

/// Refuses a server that confirms what it may lose.
pub(super) fn check(session: &Session, target: &Target) -> Result<(), StoreError> {
    let failed = |error| open_failed(target, error);
    for (setting, right) in DURABLE {
        let value = text(session, "SELECT current_setting(?)", setting).map_err(failed)?;
        if !right.contains(&value.as_str()) {
            return Err(StoreError::NotDurable {
                place: place(target),
                setting,
                value,
            });
        }
    }
    let version = number(session, "SELECT CAST(current_setting('server_version_num') AS BIGINT)").map_err(failed)?;
    if version < OLDEST {
        let old = format!("the server is of version {version}; the oldest that will do is {OLDEST}");
        return Err(failed(PostgresError::Misfit(old)));
    }
    Ok(())
}

/// Runs the migrations the schema has not seen, forward only; several instances that start at once take turns.
pub(super) fn migrate(session: &Session, target: &Target, migrations: &[&str]) -> Result<(), StoreError> {
    let failed = |error| open_failed(target, error);
    loop {
        session.batch("BEGIN").map_err(failed)?;
        lock(session, &target.schema).map_err(failed)?;
        let done = step(session, target, migrations)?;
        session.batch("COMMIT").map_err(failed)?;
        if done {
            return Ok(());
        }
    }
}

/// One migration in the transaction under way; whether there was none left to run.
fn step(session: &Session, target: &Target, migrations: &[&str]) -> Result<bool, StoreError> {
    let failed = |error| open_failed(target, error);
    let before = match found(session, target).map_err(failed)? {
        Found::Version(version) => version,
        Found::Nothing => {
            let schema = &target.schema;
            // who may not make schemas is given one
            if number(
                session,
                "SELECT count(*) FROM pg_namespace WHERE nspname = current_schema",
            )
            .map_err(failed)?
                == 0
            {
                session.batch(&format!("CREATE SCHEMA \"{schema}\"")).map_err(failed)?;
            }
            let begin = "CREATE TABLE viereck_schema (version BIGINT NOT NULL); INSERT INTO viereck_schema VALUES (0)";
            session.batch(begin).map_err(failed)?;
            0
        }
    };
    let Some(migration) = migrations.get(before) else {
        return match before.cmp(&migrations.len()) {
            Ordering::Greater => Err(newer(target, before, migrations.len())),
            _ => Ok(true),
        };
    };
    session.batch(&dialect::migration(migration)).map_err(failed)?;
    let count = i64::try_from(before + 1).unwrap_or(i64::MAX);
    session
        .execute("UPDATE viereck_schema SET version = ?", params![count])
        .map_err(failed)?;
    Ok(false)
}

/// Whether the schema is of just the version that this program knows: who only looks cannot migrate it.
pub(super) fn is_current(session: &Session, target: &Target, known: usize) -> Result<(), StoreError> {
    let (place, found) = match found(session, target).map_err(|error| open_failed(target, error))? {
        Found::Version(found) => (place(target), found),
        Found::Nothing => (place(target), 0),
    };
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::Newer { place, found, known }),
        Ordering::Less => Err(StoreError::Older { place, found, known }),
    }
}

/// Waits until no other instance writes to this schema; held until the transaction ends.
pub(super) fn lock(session: &Session, schema: &str) -> Result<(), PostgresError> {
    session
        .execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", params![schema])
        .map(drop)
}

fn found(session: &Session, target: &Target) -> Result<Found, PostgresError> {
    let known = session.first(
        "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'viereck_schema'",
        params![target.schema],
    )?;
    if known.is_none() {
        return Ok(Found::Nothing);
    }
    // nothing we ever wrote is negative: it counts as newer than anything, so it is never migrated over
    let version = number(session, "SELECT version FROM viereck_schema")?;
    Ok(Found::Version(usize::try_from(version).unwrap_or(usize::MAX)))
}

fn number(session: &Session, sql: &str) -> Result<i64, PostgresError> {
    let row = session.first(sql, &[])?;
    let number = row.and_then(|row| row.try_get(0).ok());
    number.ok_or_else(|| PostgresError::Misfit("the server answers without a number".to_owned()))
}

fn text(session: &Session, sql: &str, of: &str) -> Result<String, PostgresError> {
    let row = session.first(sql, params![of])?;
    let text = row.and_then(|row| row.try_get(0).ok());
    text.ok_or_else(|| PostgresError::Misfit("the server answers without a text".to_owned()))
}

pub(super) fn place(target: &Target) -> Place {
    Place::Postgres(target.url.clone())
}

pub(super) fn open_failed(target: &Target, error: PostgresError) -> StoreError {
    StoreError::Open {
        place: place(target),
        source: Arc::new(error.into()),
    }
}

fn newer(target: &Target, found: usize, known: usize) -> StoreError {
    StoreError::Newer {
        place: place(target),
        found,
        known,
    }
}
