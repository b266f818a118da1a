//! A copy of a journal, and its way back into service.
//!
//! A copy carries a mark: the moment it was made. A journal with that mark stays closed, because what happened since then
//! is not in it: it would send again, hand over again, and number its receipts anew. [`facts_about`](Journal::facts_about)
//! collects at another custodian what it knows of the one that was lost; [`Reconciling`] folds it into the copy, so that
//! what had ended ends as it had, what was taken and is held elsewhere is taken again, and what is missing is named. Then
//! [`Journal::reopen`] lifts the mark.
//!
//! Guarantees: folding twice changes nothing; nothing is handed over that others know to have ended; whatever may have
//! been tried counts as tried. Does not: bring back what nobody else has seen. A promise that never left a lost gateway is
//! gone with it, which is why a gateway's disk is mirrored. Facts come by an operator's hand and are believed like the
//! operator: their file carries no signature.

mod facts;
mod fold;

use std::path::Path;

use jiff::Timestamp;
use viereck_store::params;

use crate::audit::Verb;
use crate::{Actor, Journal, JournalError, StatedReason, rows};

pub use facts::{Head, Line, Told};
pub use fold::{FactsError, Missing, MissingKind, Reconciled, Reconciling};

/// Copies the file of a journal while its process goes on, marked as a copy made now. The length of the copy in octets.
///
/// Blocks for as long as it takes to write the copy.
///
/// # Errors
/// Of the files; also when there is something under the name of the copy already.
pub fn copy(from: &Path, to: &Path) -> Result<u64, JournalError> {
    let now = Timestamp::now().as_millisecond();
    Ok(viereck_store::copy(
        from,
        to,
        &format!("UPDATE identity SET restored = {now}"),
    )?)
}

impl Journal {
    /// When this journal was last opened again as a copy, if it ever was.
    pub async fn reconciled_at(&self) -> Result<Option<Timestamp>, JournalError> {
        let last = self.store.read(|look| {
            look.first(
                "SELECT time FROM audit WHERE verb = ? ORDER BY seq DESC LIMIT 1",
                params![Verb::Reconcile.as_str()],
                |row| rows::instant(row, "time"),
            )
        });
        Ok(last.await?)
    }

    /// Takes the mark of a copy off, and says so in the audit trail.
    pub async fn reopen(&self, actor: &Actor, reason: &StatedReason, outcome: &str) -> Result<(), JournalError> {
        let (journal, actor, reason, outcome) = (self.clone(), actor.clone(), reason.clone(), outcome.to_owned());
        let reopened = self.store.write(move |change| {
            change.run("UPDATE identity SET restored = 0", params![])?;
            let target = journal.custodian().to_string();
            journal.audit(change, &actor, Verb::Reconcile, &target, &reason, &outcome)
        });
        Ok(reopened.await?)
    }
}
