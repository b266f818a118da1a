//! Collects findings while a folder is read, so that everything is found at once and no reader stops at the first.

use std::cell::RefCell;
use std::fmt::Display;

use crate::catalogue::Code;
use crate::finding::{Finding, Severity};
use crate::position::Position;

/// The findings so far. Shared by all readers of one load.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: RefCell<Vec<Finding>>,
}

impl Report {
    pub(crate) fn add(&self, code: Code, position: &Position, arguments: &[&dyn Display]) {
        self.findings.borrow_mut().push(Finding::new(code, position, arguments));
    }

    /// Whether anything so far keeps the folder from loading.
    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors_but(None)
    }

    /// The same, leaving out what this load tolerates.
    pub(crate) fn has_errors_but(&self, tolerated: Option<Code>) -> bool {
        let tolerated = tolerated.map(Code::as_str);
        self.findings
            .borrow()
            .iter()
            .any(|finding| finding.severity == Severity::Error && Some(finding.code) != tolerated)
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}
