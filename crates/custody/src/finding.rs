//! What is well-formed in a configuration and still wrong or unwise, found before anything starts.
//!
//! Gateways and brokers check their own sections; what both set of their custody is checked here, so that it means the
//! same in both. Does not: know where a section stands in a file; a key is told below the table of its component.

/// Something that is well-formed and still wrong or unwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the component starts with it.
    pub severity: Severity,
    /// Stable code.
    pub code: &'static str,
    /// The key, below the table of its component.
    pub key: String,
    /// What is wrong and what helps.
    pub sentence: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It starts, but think again.
    Warning,
    /// It does not start.
    Error,
}

impl Finding {
    /// A number that is not from 1 to `most`.
    pub fn range(key: &str, value: u64, most: u64) -> Option<Self> {
        let outside = !(1..=most).contains(&value);
        outside.then(|| Self::error("out-of-range", key, &format!("It is a number from 1 to {most}.")))
    }

    /// What keeps a component from starting.
    pub fn error(code: &'static str, key: &str, sentence: &str) -> Self {
        Self {
            severity: Severity::Error,
            code,
            key: key.to_owned(),
            sentence: sentence.to_owned(),
        }
    }

    /// What is unwise.
    pub fn warning(code: &'static str, key: &str, sentence: &str) -> Self {
        Self {
            severity: Severity::Warning,
            code,
            key: key.to_owned(),
            sentence: sentence.to_owned(),
        }
    }
}
