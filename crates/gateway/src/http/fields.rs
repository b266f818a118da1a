//! Reading a JSON object key by key, so that a client learns of every mistake at once and of its place.
//!
//! Guarantees: an unknown key is a mistake; a mistake names the pointer and what was expected, never what stood there.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::problem::FieldError;

/// The keys of one object that are still to be read.
pub(crate) struct Fields {
    pointer: String,
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The object that `octets` spell.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, FieldError> {
        match serde_json::from_slice(octets) {
            Ok(Value::Object(object)) => Ok(Self {
                pointer: String::new(),
                object,
                errors: Vec::new(),
            }),
            Ok(_) => Err(FieldError::new("", "not-an-object", "one JSON object")),
            Err(error) => {
                let detail = format!("JSON up to line {} column {}", error.line(), error.column());
                Err(FieldError::new("", "not-json", detail))
            }
        }
    }

    /// Notes a mistake at `key`.
    pub(crate) fn refuse(&mut self, key: &str, code: &'static str, detail: impl Into<String>) {
        self.errors
            .push(FieldError::new(format!("{}/{key}", self.pointer), code, detail));
    }

    /// The value of a key that may be absent; null counts as absent.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.object.remove(key).filter(|value| !value.is_null())
    }

    /// A text of at most `longest` characters.
    pub(crate) fn text(&mut self, key: &str, longest: usize) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if (1..=longest).contains(&text.chars().count()) && is_clean(&text) => Some(text),
            _ => {
                self.refuse(
                    key,
                    "invalid",
                    format!("a text of 1 to {longest} characters, none of them a control character"),
                );
                None
            }
        }
    }

    /// A text in the shape that `T` has.
    pub(crate) fn name<T: FromStr<Err: std::fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key, 255)?;
        let parsed = text.parse().map_err(|error: T::Err| error.to_string());
        parsed.map_err(|expected| self.refuse(key, "invalid", expected)).ok()
    }

    /// The same, of a key that has to be there.
    pub(crate) fn required<T>(&mut self, key: &str, read: impl FnOnce(&mut Self, &str) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            self.refuse(key, "missing", "this key has to be there");
            return None;
        }
        read(self, key)
    }

    /// A trust level.
    pub(crate) fn level(&mut self, key: &str) -> Option<u8> {
        let level = self.take(key)?.as_u64().and_then(|level| u8::try_from(level).ok());
        if level.is_some_and(|level| (1..=4).contains(&level)) {
            return level;
        }
        self.refuse(key, "invalid", "a trust level from 1 to 4");
        None
    }

    /// An object below `key`, read by `read`; it stays whole, and its mistakes are told with their own pointers.
    pub(crate) fn object<T>(&mut self, key: &str, read: impl FnOnce(&mut Fields) -> T) -> Option<(Value, T)> {
        let value = self.take(key)?;
        let Value::Object(object) = &value else {
            self.refuse(key, "invalid", "an object");
            return None;
        };
        let pointer = format!("{}/{key}", self.pointer);
        let mut inner = Fields {
            pointer,
            object: object.clone(),
            errors: Vec::new(),
        };
        let result = read(&mut inner);
        self.errors.extend(inner.end());
        Some((value, result))
    }

    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// Takes every key as it is: an object that is carried and not understood.
    pub(crate) fn take_all(&mut self) {
        self.object.clear();
    }

    /// Everything that was wrong, what is left over included. Empty = nothing.
    pub(crate) fn end(mut self) -> Vec<FieldError> {
        if !self.object.is_empty() {
            // the surplus key itself is the client's text and is not repeated
            let detail = format!("{} unknown keys", self.object.len());
            let pointer = self.pointer.clone();
            self.errors.push(FieldError::new(pointer, "unknown-key", detail));
        }
        self.errors
    }
}

fn is_clean(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
