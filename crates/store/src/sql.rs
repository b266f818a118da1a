//! The statements that rooms above run, without the name of a database in them.
//!
//! [`Look`] is what a read gets, [`Change`] what a write gets. Both take SQL with `?` for each value, in the part of the
//! language that SQLite and PostgreSQL share: `ON CONFLICT DO NOTHING`, `RETURNING` for a number just given, integers 0
//! and 1 for truth. Every statement is prepared once for each connection and kept.
//!
//! Guarantees: a value that is not of the type asked for is an error that names the column, never a guess; an error
//! names tables and columns, never contents. Does not: build SQL, or map rows to types of anybody.

use std::ops::Deref;

use rusqlite::{Connection, ErrorCode};

use crate::postgres::{PostgresError, Session};
use crate::value::{FromValue, Param, Value};
use crate::{postgres, sqlite};

/// What a read runs its statements on; all of them see the same moment.
pub struct Look<'a> {
    on: On<'a>,
}

/// What a write runs its statements on: everything a [`Look`] can do, and changes.
pub struct Change<'a> {
    look: Look<'a>,
}

#[derive(Clone, Copy)]
enum On<'a> {
    Sqlite(&'a Connection),
    Postgres(&'a Session),
}

/// The values of a statement, each taken by reference: numbers, text, octets, and options of these.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::ToParam::param(&$value)),*] };
}

/// One row of an answer.
pub struct Row<'r> {
    of: Of<'r>,
}

enum Of<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

/// A statement that failed. Its text names tables and columns, never contents.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// SQLite's reason.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL's reason.
    #[error("{0}")]
    Postgres(#[from] PostgresError),
    /// A column does not hold what was asked for.
    #[error("column {column} holds no {expected}")]
    Column {
        /// Which.
        column: String,
        /// The type asked for.
        expected: &'static str,
    },
}

impl SqlError {
    /// There is no room left on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Postgres(error) => error.is_full(),
            Self::Column { .. } => false,
        }
    }

    /// Whether the same statement may succeed later by itself.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy)
            ),
            Self::Postgres(error) => error.may_pass(),
            Self::Column { .. } => false,
        }
    }
}

impl<'a> Look<'a> {
    pub(crate) fn at_sqlite(connection: &'a Connection) -> Self {
        Self {
            on: On::Sqlite(connection),
        }
    }

    pub(crate) fn at_postgres(session: &'a Session) -> Self {
        Self {
            on: On::Postgres(session),
        }
    }

    /// Every row of the answer, each read by `read`.
    ///
    /// # Errors
    /// Of the statement, and whatever `read` returns.
    pub fn all<T, E: From<SqlError>>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut all = Vec::new();
        match self.on {
            On::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql).map_err(SqlError::from)?;
                let mut rows = statement
                    .query(rusqlite::params_from_iter(params))
                    .map_err(SqlError::from)?;
                while let Some(row) = rows.next().map_err(SqlError::from)? {
                    all.push(read(&Row { of: Of::Sqlite(row) })?);
                }
            }
            On::Postgres(session) => {
                for row in session.query(sql, params).map_err(SqlError::from)? {
                    all.push(read(&Row { of: Of::Postgres(&row) })?);
                }
            }
        }
        Ok(all)
    }

    /// The first row of the answer, if there is one. A change with `RETURNING` is complete by then.
    ///
    /// # Errors
    /// As [`Look::all`].
    pub fn first<T, E: From<SqlError>>(
        &self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        match self.on {
            On::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql).map_err(SqlError::from)?;
                let mut rows = statement
                    .query(rusqlite::params_from_iter(params))
                    .map_err(SqlError::from)?;
                match rows.next().map_err(SqlError::from)? {
                    Some(row) => read(&Row { of: Of::Sqlite(row) }).map(Some),
                    None => Ok(None),
                }
            }
            On::Postgres(session) => match session.first(sql, params).map_err(SqlError::from)? {
                Some(row) => read(&Row { of: Of::Postgres(&row) }).map(Some),
                None => Ok(None),
            },
        }
    }

    /// Whether there is any row.
    ///
    /// # Errors
    /// Of the statement.
    pub fn exists(&self, sql: &str, params: &[Param<'_>]) -> Result<bool, SqlError> {
        Ok(self.first(sql, params, |_| Ok::<_, SqlError>(()))?.is_some())
    }

    /// The clock that all who share the database go by, in milliseconds since 1970-01-01T00:00Z.
    ///
    /// # Errors
    /// Of the database that is asked for it.
    pub fn clock(&self) -> Result<i64, SqlError> {
        match self.on {
            On::Sqlite(_) => Ok(sqlite::clock()),
            On::Postgres(_) => {
                let now = self.first(postgres::CLOCK, &[], |row| row.at::<i64>(0))?;
                now.ok_or_else(|| SqlError::Column {
                    column: "clock".to_owned(),
                    expected: "instant",
                })
            }
        }
    }
}

impl<'a> Change<'a> {
    pub(crate) fn at_sqlite(connection: &'a Connection) -> Self {
        Self {
            look: Look::at_sqlite(connection),
        }
    }

    pub(crate) fn at_postgres(session: &'a Session) -> Self {
        Self {
            look: Look::at_postgres(session),
        }
    }

    /// Changes something, and says how many rows.
    ///
    /// # Errors
    /// Of the statement; the write as a whole is then to be given up.
    pub fn run(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, SqlError> {
        match self.look.on {
            On::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(params))? as u64)
            }
            On::Postgres(session) => Ok(session.execute(sql, params)?),
        }
    }

    /// Tells every other process at the same database, once this is committed and only then; see
    /// [`crate::Store::signals`]. At most a few hundred octets. Where nobody shares the database nothing happens.
    pub fn signal(&self, text: &str) {
        if let On::Postgres(session) = self.look.on {
            session.signal(text);
        }
    }
}

impl<'a> Deref for Change<'a> {
    type Target = Look<'a>;
    fn deref(&self) -> &Look<'a> {
        &self.look
    }
}

impl Row<'_> {
    /// The value of the column of this name.
    ///
    /// # Errors
    /// [`SqlError::Column`] when it is none of the type asked for.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, SqlError> {
        let value = match self.of {
            Of::Sqlite(row) => sqlite::value(row.get_ref(column)?),
            Of::Postgres(row) => postgres::value(row, column)?,
        };
        typed(value, column)
    }

    /// The value of the column at this place, counted from 0.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn at<T: FromValue>(&self, place: usize) -> Result<T, SqlError> {
        let value = match self.of {
            Of::Sqlite(row) => sqlite::value(row.get_ref(place)?),
            Of::Postgres(row) => postgres::value(row, place)?,
        };
        typed(value, &place.to_string())
    }
}

fn typed<T: FromValue>(value: Option<Value<'_>>, column: &str) -> Result<T, SqlError> {
    value.and_then(T::from_value).ok_or_else(|| SqlError::Column {
        column: column.to_owned(),
        expected: std::any::type_name::<T>(),
    })
}
