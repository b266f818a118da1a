//! Lists of messages, newest first, page by page.
//!
//! A page begins behind a message, not at a number: what comes in meanwhile moves nothing. One page looks at a bounded
//! number of rows, however few of them it is asked for: it may be short, or empty, and still be followed by another one;
//! only a page without a next [`Position`] is the last. Each step of it is a seek, so a page far back costs as much as the
//! first. Status and flags are those of the moment of asking.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, ClientId, LeistungId, MessageId};
use viereck_store::{Look, Param, ToParam, params};

use crate::rows::Side;
use crate::view::{self, MessageView, Seen};
use crate::{Journal, JournalError};

/// Rows of one step.
const STEP: usize = 200;

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
    /// A page of at most `limit` messages from behind `after` on. It may look at thousands of rows: relay and hand-over
    /// do not wait for it.
    pub async fn list(&self, filter: Filter, after: Option<Position>, limit: u32) -> Result<Page, JournalError> {
        Ok(self
            .store
            .survey(move |look| list(look, &filter, after, limit.max(1) as usize))
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
        let last = step.len() < STEP;
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

/// The first rows behind a place, newest first.
///
/// Each side is asked on its own, because every index that has the order of the list begins with the side.
fn step(look: &Look<'_>, filter: &Filter, place: &Place) -> Result<Vec<Seen>, JournalError> {
    let sides: &[Side] = match filter.client {
        Some(_) => &[Side::Sent],
        None => &Side::ALL,
    };
    let sql = statement(filter);
    let owner = filter.client.as_ref().map(view::owner_of);
    let since = filter.since.map_or(i64::MIN, Timestamp::as_millisecond);
    let until = filter.until.map_or(i64::MAX, |until| until.as_millisecond() - 1);
    let latest = until.min(place.entered_at);
    let mut rows = Vec::new();
    for side in sides {
        let side = side.as_str();
        let mut values: Vec<Param<'_>> = vec![
            side.param(),
            since.param(),
            latest.param(),
            place.entered_at.param(),
            place.seq.param(),
        ];
        values.extend(owner.as_ref().map(ToParam::param));
        values.push(Param::Int(STEP as i64));
        rows.extend(look.all(&sql, &values, Seen::read)?);
    }
    rows.sort_by_key(|seen| Reverse((seen.entered_at, seen.row.seq)));
    rows.truncate(STEP);
    Ok(rows)
}

/// The rows of one side behind a place.
fn statement(filter: &Filter) -> String {
    let mut sql = "SELECT * FROM message WHERE side = ? AND entered_at >= ? AND entered_at <= ?
            AND (entered_at < ? OR seq < ?)"
        .to_owned();
    if filter.client.is_some() {
        // a client's submission is the message it was answered with; what was sealed anew for it stands behind that
        sql.push_str(" AND owner = ? AND replaces IS NULL");
    }
    if filter.parked {
        sql.push_str(" AND parked IS NOT NULL");
    }
    if filter.is_of_living() && filter.client.is_none() {
        sql.push_str(" AND ended IS NULL");
    }
    sql.push_str(" ORDER BY entered_at DESC, seq DESC LIMIT ?");
    sql
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
    use crate::testing::{journal, searches};

    const AUTHOR: &str = "wgp:010000000000";

    #[tokio::test]
    async fn a_page_is_a_seek_for_each_side_whatever_is_asked_for() {
        let (_dir, journal) = journal("gw-a").await;
        let of = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            statement(&filter)
        };
        let client = |filter: &mut Filter| filter.client = Some("online-a".parse().unwrap());
        let statements = [
            (of(|_| {}), "message_entered (side"),
            (
                of(|filter| filter.status = Some(Stage::Expired)),
                "message_entered (side",
            ),
            (of(|filter| filter.in_flight = true), "message_living (side"),
            (of(|filter| filter.parked = true), "message_parked_entered (side"),
            (of(client), "message_owner (owner"),
        ];
        for (statement, seek) in statements {
            let steps = searches(&journal, &statement).await;
            assert_eq!(steps.len(), 1, "{statement}: {steps:?}");
            let seek = format!("{seek}=? AND entered_at>? AND entered_at<?)");
            assert!(steps[0].ends_with(&seek), "{statement}: {steps:?}");
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_over_all_sides_and_miss_nothing() {
        let (_dir, journal) = journal("gw-a").await;
        // three at each moment, one of each side; every third moment one that is parked, every fifth one that has ended
        let moments = 2 * STEP as i64;
        let fill = journal.store.write(move |change| {
            for moment in 0..moments {
                for (n, side) in Side::ALL.into_iter().enumerate() {
                    let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{:012}", moment * 3 + n as i64);
                    change.run(
                        "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                            leistung, gateway, filed_at, obsolete_after, entered_at, parked, parked_at, ended, ended_at)
                         VALUES (?,?,?,?,?,?,'application','wgb:010010000000','99107023037000','gw-s',0,0,?,?,?,?,?)",
                        params![
                            side.as_str(),
                            AUTHOR,
                            id,
                            &[0_u8; 32],
                            &[0_u8; 32],
                            id,
                            moment,
                            (moment % 3 == 0 && n == 0).then_some("S999"),
                            (moment % 3 == 0 && n == 0).then_some(moment),
                            (moment % 5 == 0 && n == 1).then_some("accepted"),
                            (moment % 5 == 0 && n == 1).then_some(moment)
                        ],
                    )?;
                }
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        let listed = async |filter: Filter| {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let page = journal.list(filter.clone(), after, 170).await.unwrap();
                all.extend(
                    page.messages
                        .iter()
                        .map(|one| (one.entered_at.as_millisecond(), one.side)),
                );
                after = page.next;
                if after.is_none() {
                    return all;
                }
            }
        };
        let newest_first = |admitted: fn(i64, Side) -> bool| {
            let moments = (0..moments).rev();
            let all = moments.flat_map(|moment| Side::ALL.into_iter().rev().map(move |side| (moment, side)));
            all.filter(|(moment, side)| admitted(*moment, *side))
                .collect::<Vec<_>>()
        };
        assert_eq!(listed(Filter::default()).await, newest_first(|_, _| true));
        let parked = Filter {
            parked: true,
            ..Filter::default()
        };
        let is_parked = |moment: i64, side: Side| moment % 3 == 0 && side == Side::Sent;
        assert_eq!(listed(parked).await, newest_first(is_parked));
        let living = Filter {
            in_flight: true,
            ..Filter::default()
        };
        let is_living = |moment: i64, side: Side| moment % 5 != 0 || side != Side::Relayed;
        assert_eq!(listed(living).await, newest_first(is_living));
        let at = |moment| Some(Timestamp::from_millisecond(moment).unwrap());
        let some = Filter {
            since: at(7),
            until: at(19),
            ..Filter::default()
        };
        assert_eq!(listed(some).await, newest_first(|moment, _| (7..19).contains(&moment)));
    }

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
