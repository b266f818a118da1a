//! Values as PostgreSQL writes them: `int8` and smaller, `text`, `bytea`, and `bool` read as 0 and 1.

use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::error::PostgresError;
use crate::value::{Param, Value};

type Unfit = Box<dyn std::error::Error + Sync + Send>;

/// A value together with a type that takes it. Shows nothing of itself: the driver writes what it binds to its log.
pub(super) struct Bound<'a>(Param<'a>);

impl<'a> Bound<'a> {
    /// The value for a place of this type, which is the `number`th of its statement.
    pub(super) fn new(param: Param<'a>, place: &Type, number: usize) -> Result<Self, PostgresError> {
        let fits = match param {
            Param::Null => true,
            Param::Int(value) => match *place {
                Type::INT8 => true,
                Type::INT4 => i32::try_from(value).is_ok(),
                Type::INT2 => i16::try_from(value).is_ok(),
                Type::BOOL => matches!(value, 0 | 1),
                _ => false,
            },
            Param::Text(_) => matches!(*place, Type::TEXT | Type::VARCHAR | Type::NAME),
            Param::Octets(_) => *place == Type::BYTEA,
        };
        match fits {
            true => Ok(Self(param)),
            false => Err(PostgresError::Misfit(format!("value {number} is none of type {place}"))),
        }
    }
}

impl fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, place: &Type, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        match self.0 {
            Param::Null => return Ok(IsNull::Yes),
            Param::Int(value) => match *place {
                Type::INT4 => out.put_i32(value.try_into()?),
                Type::INT2 => out.put_i16(value.try_into()?),
                Type::BOOL => out.put_u8(value.try_into()?),
                _ => out.put_i64(value),
            },
            Param::Text(text) => out.put_slice(text.as_bytes()),
            Param::Octets(octets) => out.put_slice(octets),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true // `new` has looked already
    }

    to_sql_checked!();
}

/// A column's octets, whatever its type.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, octets: &'r [u8]) -> Result<Self, Unfit> {
        Ok(Self(octets))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// How a column is asked for.
pub(crate) trait Place {
    fn find(&self, row: &Row) -> Option<usize>;
}

impl Place for usize {
    fn find(&self, row: &Row) -> Option<usize> {
        (*self < row.len()).then_some(*self)
    }
}

impl Place for &str {
    fn find(&self, row: &Row) -> Option<usize> {
        row.columns().iter().position(|column| column.name() == *self)
    }
}

/// What a column holds; `None` for a type that no table of ours has.
pub(crate) fn value<'r>(row: &'r Row, place: impl Place + fmt::Display) -> Result<Option<Value<'r>>, PostgresError> {
    let missing = || PostgresError::Misfit(format!("the answer has no column {place}"));
    let at = place.find(row).ok_or_else(missing)?;
    let column = row.columns().get(at).ok_or_else(missing)?;
    let raw: Option<Raw<'r>> = row.try_get(at).map_err(|_| missing())?;
    let Some(Raw(octets)) = raw else {
        return Ok(Some(Value::Null));
    };
    Ok(match *column.type_() {
        Type::INT8 => octets.try_into().ok().map(i64::from_be_bytes).map(Value::Int),
        Type::INT4 => octets
            .try_into()
            .ok()
            .map(i32::from_be_bytes)
            .map(|number| Value::Int(number.into())),
        Type::INT2 => octets
            .try_into()
            .ok()
            .map(i16::from_be_bytes)
            .map(|number| Value::Int(number.into())),
        Type::BOOL => octets.first().map(|truth| Value::Int((*truth).into())),
        Type::TEXT | Type::VARCHAR | Type::NAME => std::str::from_utf8(octets).ok().map(Value::Text),
        Type::BYTEA => Some(Value::Octets(octets)),
        _ => None,
    })
}
