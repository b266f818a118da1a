//! Whether anything in flight still needs a private key of its reader.
//!
//! Guarantees: where the sealed octets of a message lie here, they say for which certificate it was sealed, whenever it
//! came in; others may have sealed for a key long after its successor began to count. Changes nothing, opens nothing and
//! verifies nothing. Does not know what lies in journals of others.

use jiff::Timestamp;
use viereck_envelope::{RECIPIENT_WITHIN, is_encrypted_for};
use viereck_routing::{BehoerdeId, Digest};
use viereck_store::{Look, params};

use crate::rows::Side;
use crate::{Journal, JournalError};

impl Journal {
    /// How many messages in flight for `reader` only the key of `certificate` opens, counted up to `enough`. One whose
    /// octets lie elsewhere counts when it came in before `successor` began to count.
    pub async fn needing_key(
        &self,
        reader: BehoerdeId,
        certificate: Digest,
        successor: Timestamp,
        enough: usize,
    ) -> Result<usize, JournalError> {
        Ok(self
            .store
            .survey(move |look| needing_key(look, &reader, &certificate, successor, enough))
            .await?)
    }
}

fn needing_key(
    look: &Look<'_>,
    reader: &BehoerdeId,
    certificate: &Digest,
    successor: Timestamp,
    enough: usize,
) -> Result<usize, JournalError> {
    let mut found = 0;
    for side in Side::ALL {
        let living: Vec<(i64, i64)> = look.all(
            "SELECT seq, entered_at FROM message WHERE side = ? AND ended IS NULL AND reader = ?",
            params![side.as_str(), reader.as_str()],
            |row| Ok::<_, JournalError>((row.at(0)?, row.at(1)?)),
        )?;
        for (seq, entered_at) in living {
            if found == enough {
                return Ok(found);
            }
            let needs = match beginning(look, seq)? {
                Some(beginning) => is_encrypted_for(&beginning, certificate),
                None => entered_at < successor.as_millisecond(),
            };
            found += usize::from(needs);
        }
    }
    Ok(found)
}

/// The first of the sealed octets of a row.
fn beginning(look: &Look<'_>, seq: i64) -> Result<Option<Vec<u8>>, JournalError> {
    let sql = format!("SELECT substr(bytes, 1, {RECIPIENT_WITHIN}) FROM sealed WHERE message = ?");
    look.first(&sql, params![seq], |row| Ok::<_, JournalError>(row.at::<Vec<u8>>(0)?))
}
