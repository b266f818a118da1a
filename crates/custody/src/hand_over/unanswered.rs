//! What a Fachverfahren was given and has not answered: it is asked about without a write, and without a claim until
//! there is something to note.

use jiff::Timestamp;
use viereck_routing::Class;
use viereck_store::{Row, params};

use super::{GivenOut, Pair};
use crate::claims::Candidate;
use crate::journal::MessageKey;
use crate::rows::{self, MessageRow, Side, Work};
use crate::{Journal, JournalError, lanes};

/// A message that a Fachverfahren was given and has not answered.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// Which one.
    pub key: MessageKey,
    /// Whose.
    pub pair: Pair,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Since when it has been there.
    pub since: Timestamp,
    class: u32,
    seq: i64,
}

/// Where a page of [`Journal::unanswered`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bookmark {
    class: u32,
    since: i64,
    seq: i64,
}

impl Journal {
    /// What a Fachverfahren has been given since `since` and has not answered: a page of it behind `after`. Only looked
    /// at, in nobody's hands: whoever wants to change something asks for [`Journal::take_up`].
    pub async fn unanswered(
        &self,
        since: Timestamp,
        after: Option<Bookmark>,
        limit: usize,
    ) -> Result<Vec<Unanswered>, JournalError> {
        let page = self.store.read(move |look| {
            let mut page: Vec<Unanswered> = vec![];
            let from = after.map_or(0, |after| after.class);
            for class in Class::ALL
                .iter()
                .map(|class| lanes::number(*class))
                .filter(|class| *class >= from)
            {
                let (due_at, seq) = match after {
                    Some(after) if after.class == class => (after.since, after.seq),
                    _ => (since.as_millisecond(), 0),
                };
                let left = limit - page.len();
                page.extend(look.all(
                    "SELECT * FROM message WHERE work = ? AND class = ? AND due_at >= ? AND (due_at > ? OR seq > ?)
                     ORDER BY due_at, seq LIMIT ?",
                    params![Work::Await.as_str(), class, due_at, due_at, seq, left as i64],
                    Unanswered::read,
                )?);
                if page.len() == limit {
                    break;
                }
            }
            Ok::<_, JournalError>(page)
        });
        Ok(page.await?)
    }

    /// Gives an unanswered message into the caller's hands; `None` when somebody else has it or has ended it.
    pub async fn take_up(&self, message: &Unanswered) -> Result<Option<GivenOut>, JournalError> {
        let seq = message.seq;
        let given = self.claim(Side::Taken, move |look, taken| {
            let row = look.first(
                "SELECT * FROM message WHERE seq = ? AND work = ?",
                params![seq, Work::Await.as_str()],
                MessageRow::read,
            )?;
            let free = row.filter(|row| !taken.contains(row.seq));
            Ok(free
                .map(|row| Candidate::new(&row, GivenOut::of(&row)))
                .into_iter()
                .collect())
        });
        Ok(given.await?.pop())
    }
}

impl Unanswered {
    /// Where a page that ends with this one goes on.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            class: self.class,
            since: self.since.as_millisecond(),
            seq: self.seq,
        }
    }

    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        let message = MessageRow::read(row)?;
        Ok(Self {
            since: rows::instant(row, "due_at")?,
            class: row.get("class")?,
            seq: message.seq,
            attempts: message.attempts,
            pair: Pair {
                reader: message.reader,
                leistung: message.leistung,
            },
            key: message.key,
        })
    }
}
