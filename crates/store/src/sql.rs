//! The statements that rooms above run, without the name of a database in them.
//!
//! [`Look`] is what a read gets, [`Change`] what a write gets. Both take SQL with `?` for each value, in the part of the
//! language that SQLite and PostgreSQL share: `ON CONFLICT DO NOTHING`, `RETURNING` for a number just given, integers 0
//! and 1 for truth. Every statement is prepared once for each connection and kept.
//!
//! Guarantees: a value that is not of the type asked for is an error that names the column, never a guess; an error
//! names tables and columns, never contents. Does not: build SQL, or map rows to types of anybody.

use std::ops::Deref;

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode};

/// What a read runs its statements on; all of them see the same moment.
pub struct Look<'a> {
    connection: &'a Connection,
}

/// What a write runs its statements on: everything a [`Look`] can do, and changes.
pub struct Change<'a> {
    look: Look<'a>,
}

/// A value on its way into a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param<'a> {
    /// No value.
    Null,
    /// A number, an instant in milliseconds, or a truth value as 0 or 1.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Octets.
    Octets(&'a [u8]),
}

/// The values of a statement, each taken by reference: numbers, text, octets, and options of these.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::ToParam::param(&$value)),*] };
}

/// What can be handed to a statement.
pub trait ToParam {
    /// The value as a statement takes it.
    fn param(&self) -> Param<'_>;
}

/// One row of an answer.
pub struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
}

/// A value out of a row.
#[derive(Debug, Clone, Copy)]
pub enum Value<'r> {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// Text.
    Text(&'r str),
    /// Octets.
    Octets(&'r [u8]),
}

/// What can be read out of a row.
pub trait FromValue: Sized {
    /// The value as this type, where it is one.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

/// A statement that failed. Its text names tables and columns, never contents.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// SQLite's reason.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
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
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the same statement may succeed later by itself.
    pub fn may_pass(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy))
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Column { .. } => None,
        }
    }
}

impl<'a> Look<'a> {
    pub(crate) fn on(connection: &'a Connection) -> Self {
        Self { connection }
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
        let mut statement = self.prepared(sql)?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(params))
            .map_err(SqlError::from)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(SqlError::from)? {
            all.push(read(&Row { row })?);
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
        let mut statement = self.prepared(sql)?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(params))
            .map_err(SqlError::from)?;
        match rows.next().map_err(SqlError::from)? {
            Some(row) => read(&Row { row }).map(Some),
            None => Ok(None),
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
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    fn prepared(&self, sql: &str) -> Result<rusqlite::CachedStatement<'a>, SqlError> {
        Ok(self.connection.prepare_cached(sql)?)
    }
}

impl<'a> Change<'a> {
    pub(crate) fn on(connection: &'a Connection) -> Self {
        Self {
            look: Look::on(connection),
        }
    }

    /// Changes something, and says how many rows.
    ///
    /// # Errors
    /// Of the statement; the write as a whole is then to be given up.
    pub fn run(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, SqlError> {
        let changed = self.look.prepared(sql)?.execute(rusqlite::params_from_iter(params))?;
        Ok(changed as u64)
    }

    /// Tells every other process at the same database, once this is committed and only then; see
    /// [`crate::Store::signals`]. At most a few hundred octets. Where nobody shares the database nothing happens.
    pub fn signal(&self, _text: &str) {}
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
        let value = value_of(self.row.get_ref(column)?);
        typed(value, column)
    }

    /// The value of the column at this place, counted from 0.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn at<T: FromValue>(&self, place: usize) -> Result<T, SqlError> {
        let value = value_of(self.row.get_ref(place)?);
        typed(value, &place.to_string())
    }
}

fn typed<T: FromValue>(value: Option<Value<'_>>, column: &str) -> Result<T, SqlError> {
    value.and_then(T::from_value).ok_or_else(|| SqlError::Column {
        column: column.to_owned(),
        expected: std::any::type_name::<T>(),
    })
}

fn value_of(value: ValueRef<'_>) -> Option<Value<'_>> {
    match value {
        ValueRef::Null => Some(Value::Null),
        ValueRef::Integer(number) => Some(Value::Int(number)),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Value::Text),
        ValueRef::Blob(octets) => Some(Value::Octets(octets)),
        // no table of ours has a fraction
        ValueRef::Real(_) => None,
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Param::Null => ValueRef::Null,
            Param::Int(number) => ValueRef::Integer(*number),
            Param::Text(text) => ValueRef::Text(text.as_bytes()),
            Param::Octets(octets) => ValueRef::Blob(octets),
        }))
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl ToParam for $number {
            fn param(&self) -> Param<'_> {
                Param::Int(i64::from(*self))
            }
        }

        impl FromValue for $number {
            fn from_value(value: Value<'_>) -> Option<Self> {
                match value {
                    Value::Int(number) => number.try_into().ok(),
                    _ => None,
                }
            }
        }
    )+};
}
numbers!(i64, u32, u16);

macro_rules! texts_and_octets {
    ($($kind:ty, $variant:ident, $borrow:ident;)+) => {$(
        impl ToParam for $kind {
            fn param(&self) -> Param<'_> {
                Param::$variant(self.$borrow())
            }
        }
    )+};
}
texts_and_octets! {
    str, Text, as_ref;
    String, Text, as_str;
    [u8], Octets, as_ref;
    Vec<u8>, Octets, as_slice;
    Bytes, Octets, as_ref;
}

impl<const N: usize> ToParam for [u8; N] {
    fn param(&self) -> Param<'_> {
        Param::Octets(self)
    }
}

impl ToParam for bool {
    fn param(&self) -> Param<'_> {
        Param::Int(i64::from(*self))
    }
}

impl<T: ToParam + ?Sized> ToParam for &T {
    fn param(&self) -> Param<'_> {
        (**self).param()
    }
}

impl<T: ToParam> ToParam for Option<T> {
    fn param(&self) -> Param<'_> {
        self.as_ref().map_or(Param::Null, ToParam::param)
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Octets(octets) => Some(octets.to_vec()),
            _ => None,
        }
    }
}

impl FromValue for Bytes {
    fn from_value(value: Value<'_>) -> Option<Self> {
        Vec::from_value(value).map(Bytes::from)
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Octets(octets) => octets.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
