//! What goes into a statement and comes out of a row, whatever database runs it.
//!
//! Guarantees: a value that is not of the type asked for is `None`, never a guess. Does not: know how either database
//! writes a value; `sqlite` and `postgres` do.

use bytes::Bytes;

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

/// What can be handed to a statement.
pub trait ToParam {
    /// The value as a statement takes it.
    fn param(&self) -> Param<'_>;
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
