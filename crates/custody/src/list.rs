//! Lists of messages, newest first, page by page.
//!
//! A page begins behind a message, not at a number: what comes in meanwhile moves nothing. One page looks at a bounded
//! number of rows, however few of them it is asked for: it may be short, or empty, and still be followed by another one;
//! only a page without a next [`Position`] is the last. Status and flags are those of the moment of asking.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, ClientId, LeistungId, MessageId};
use viereck_store::{Look, Param, ToParam, params};

use crate::view::{self, MessageView, Seen};
use crate::{Journal, JournalError};

/// Rows of one step.
const STEP: i64 = 200;

/// Rows that one page looks at.
const LOOKED_AT: usize = 5000;

/// Which messages are asked for; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Filter {
    /// The furthest stage that counts.
    pub status: Option<Stage>,
    /// Who wrote it.
    pub author: Option<BehoerdeId>,
    /// For whom it is.
    pub reader: Option<BehoerdeId>,
    /// The Leistung.
    pub leistung: Option<LeistungId>,
    /// Came in here at this moment or later.
    pub since: Option<Timestamp>,
    /// Came in here before this moment.
    pub until: Option<Timestamp>,
    /// Only those whose reader's gateway is silent for too long.
    pub overdue: bool,
    /// Only those that are out of the flow.
    pub parked: bool,
    /// Only those that have not ended.
    pub in_flight: bool,
    /// The online service that posted it here.
    pub client: Option<ClientId>,
}

/// Where a page begins: behind this row. Opaque outside; it has a text form for cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    entered_at: i64,
    behind: Behind,
}

/// A row among those that came in at the same moment. A client's list names it by the message, because the number of a
/// row tells how much others send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Row(i64),
    Message(MessageId),
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor as an earlier page gave it")]
pub struct NotAPosition;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.behind {
            Behind::Row(seq) => write!(f, "{}.{seq}", self.entered_at),
            Behind::Message(id) => write!(f, "{}.{id}", self.entered_at),
        }
    }
}

impl FromStr for Position {
    type Err = NotAPosition;
    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (entered_at, behind) = text.split_once('.').ok_or(NotAPosition)?;
        let row = behind.parse().map(Behind::Row).ok();
        let message = || behind.parse().map(Behind::Message).ok();
        Ok(Self {
            entered_at: entered_at.parse().map_err(|_| NotAPosition)?,
            behind: row.or_else(message).ok_or(NotAPosition)?,
        })
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One page.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The messages, newest first. One that a gateway sees from both sides stands there once from each.
    pub messages: Vec<MessageView>,
    /// Where the next page begins; `None` = this was the last one.
    pub next: Option<Position>,
}

impl Journal {
    /// A page of at most `limit` messages from behind `after` on.
    pub async fn list(&self, filter: Filter, after: Option<Position>, limit: u32) -> Result<Page, JournalError> {
        Ok(self
            .store
            .read(move |look| list(look, &filter, after, limit.max(1) as usize))
            .await?)
    }
}

fn list(look: &Look<'_>, filter: &Filter, after: Option<Position>, limit: usize) -> Result<Page, JournalError> {
    let mut place = match &after {
        Some(after) => Place::behind(look, after)?,
        None => Place::NEWEST,
    };
    let mut page = Page {
        messages: Vec::new(),
        next: None,
    };
    let mut looked_at = 0;
    loop {
        let step = step(look, filter, &place)?;
        let last = step.len() < STEP as usize;
        for seen in step {
            place = Place {
                entered_at: seen.entered_at.as_millisecond(),
                seq: seen.row.seq,
            };
            let position = Position {
                entered_at: place.entered_at,
                behind: match filter.client {
                    Some(_) => Behind::Message(seen.row.key.message_id),
                    None => Behind::Row(place.seq),
                },
            };
            looked_at += 1;
            let seen = match filter.client {
                Some(_) => view::newest(look, seen)?,
                None => seen,
            };
            if filter.admits(look, &seen)? {
                page.messages.push(view::view(look, seen)?);
            }
            if page.messages.len() == limit || looked_at == LOOKED_AT {
                // whether anything follows is not worth another look: the next page may be empty
                page.next = Some(position);
                return Ok(page);
            }
        }
        if last {
            return Ok(page);
        }
    }
}

/// A place in the order of the list: the moment, and the number among those of the same moment.
struct Place {
    entered_at: i64,
    seq: i64,
}

impl Place {
    const NEWEST: Place = Place {
        entered_at: i64::MAX,
        seq: i64::MAX,
    };

    /// The place of a row; where a message is no longer kept, that of the first of its moment, so that none is left out.
    fn behind(look: &Look<'_>, after: &Position) -> Result<Self, JournalError> {
        let entered_at = after.entered_at;
        let seq = match after.behind {
            Behind::Row(seq) => seq,
            Behind::Message(id) => look
                .first(
                    "SELECT seq FROM message WHERE message_id = ? AND side = 'sent' AND entered_at = ? ORDER BY seq",
                    params![id.to_string(), entered_at],
                    |row| Ok::<i64, JournalError>(row.at(0)?),
                )?
                .unwrap_or(i64::MAX),
        };
        Ok(Self { entered_at, seq })
    }
}

fn step(look: &Look<'_>, filter: &Filter, place: &Place) -> Result<Vec<Seen>, JournalError> {
    let owner = filter.client.as_ref().map(view::owner_of);
    let since = filter.since.map_or(i64::MIN, Timestamp::as_millisecond);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_millisecond);
    let mut sql = "SELECT * FROM message WHERE (entered_at < ? OR entered_at = ? AND seq < ?)
            AND entered_at >= ? AND entered_at < ?"
        .to_owned();
    let mut values: Vec<Param<'_>> = vec![
        place.entered_at.param(),
        place.entered_at.param(),
        place.seq.param(),
        since.param(),
        until.param(),
    ];
    if let Some(owner) = &owner {
        // a client's submission is the message it was answered with; what was sealed anew for it stands behind that
        sql.push_str(" AND owner = ? AND side = 'sent' AND replaces IS NULL");
        values.push(owner.param());
    }
    if filter.parked {
        sql.push_str(" AND parked IS NOT NULL");
    }
    if filter.is_of_living() && owner.is_none() {
        sql.push_str(" AND ended IS NULL");
    }
    sql.push_str(" ORDER BY entered_at DESC, seq DESC LIMIT ?");
    values.push(STEP.param());
    look.all(&sql, &values, Seen::read)
}

impl Filter {
    /// Whether nothing that has ended is asked for.
    fn is_of_living(&self) -> bool {
        self.in_flight || self.overdue || self.parked || self.status.is_some_and(|status| !status.is_terminal())
    }

    fn admits(&self, look: &Look<'_>, seen: &Seen) -> Result<bool, JournalError> {
        let row = &seen.row;
        let is = |asked: Option<bool>| asked.unwrap_or(true);
        let plain = is(self.author.as_ref().map(|author| *author == row.key.author))
            && is(self.reader.as_ref().map(|reader| *reader == row.reader))
            && is(self.leistung.as_ref().map(|leistung| *leistung == row.leistung))
            && !(self.in_flight && row.ended.is_some());
        if !plain {
            return Ok(false);
        }
        let status = view::status_of(look, row)?;
        if self.status.is_some_and(|asked| asked != status.stage) {
            return Ok(false);
        }
        Ok(!self.overdue || view::flags(look, row, &status)?.overdue.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_nothing_else_is_one() {
        for behind in [Behind::Row(7), Behind::Message(MessageId::random())] {
            let position = Position {
                entered_at: 1_700_000_000_000,
                behind,
            };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in ["", ".", "1", "x.1", "1.", "1.x", "1;DROP TABLE message.1"] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }
}
