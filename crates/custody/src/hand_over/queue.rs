//! What waits to be handed over, by pair and class, and how the first of them are given out.

use jiff::Timestamp;
use viereck_routing::Class;
use viereck_store::{Look, params};

use super::{GivenOut, Pair};
use crate::claims::Candidate;
use crate::pause::Pauses;
use crate::rows::{self, MessageRow, Side, Work};
use crate::{Journal, JournalError, lanes};

/// Messages of one class that wait for one pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub pair: Pair,
    /// In which lane.
    pub class: Class,
    /// When the first of them is due.
    pub due_at: Timestamp,
}

/// Everything that waits to be handed over, and what of it an operator holds back.
#[derive(Debug, Clone)]
pub struct Queue {
    /// By pair and class; of what is paused as of everything else.
    pub waiting: Vec<Waiting>,
    /// The pauses that hold at the same moment.
    pub pauses: Pauses,
}

/// How many messages of one pair wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Whose.
    pub pair: Pair,
    /// Not handed over yet.
    pub waiting: u64,
    /// Handed over; the Fachverfahren has not said yes or no yet.
    pub unanswered: u64,
}

impl Journal {
    /// What waits, and what of it is paused. Costs as much as there are pairs, not messages.
    pub async fn queue(&self) -> Result<Queue, JournalError> {
        let seen = self.store.read(|look| {
            Ok::<_, JournalError>(Queue {
                waiting: waiting(look)?,
                pauses: Pauses::seen(look)?,
            })
        });
        Ok(seen.await?)
    }

    /// The first messages of one pair and class that are due and in nobody's hands, given into the caller's.
    pub async fn give_out(
        &self,
        pair: &Pair,
        class: Class,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<GivenOut>, JournalError> {
        let pair = pair.clone();
        self.claim(Side::Taken, move |look, taken| {
            let rows = look.all(
                "SELECT * FROM message WHERE work = ? AND reader = ? AND leistung = ? AND class = ? AND due_at <= ?
                 ORDER BY due_at, seq LIMIT ?",
                params![
                    Work::HandOver.as_str(),
                    pair.reader.as_str(),
                    pair.leistung.as_str(),
                    lanes::number(class),
                    now.as_millisecond(),
                    (limit + taken.len()) as i64
                ],
                MessageRow::read,
            )?;
            let free = rows.into_iter().filter(|row| !taken.contains(row.seq)).take(limit);
            Ok(free.map(|row| Candidate::new(&row, GivenOut::of(&row))).collect())
        })
        .await
    }

    /// How many wait, by pair. Costs a look at each waiting row of the index.
    pub async fn count_hand_overs(&self) -> Result<Vec<Count>, JournalError> {
        let counts = self.store.survey(|look| {
            look.all(
                "SELECT reader, leistung,
                    CAST(sum(CASE WHEN work = 'hand-over' THEN 1 ELSE 0 END) AS BIGINT) AS waiting,
                    CAST(sum(CASE WHEN work = 'await' THEN 1 ELSE 0 END) AS BIGINT) AS unanswered
                 FROM message WHERE work IN ('hand-over', 'await') GROUP BY reader, leistung ORDER BY reader, leistung",
                params![],
                |row| {
                    Ok::<_, JournalError>(Count {
                        pair: Pair::read(row)?,
                        waiting: row.get::<i64>("waiting")?.cast_unsigned(),
                        unanswered: row.get::<i64>("unanswered")?.cast_unsigned(),
                    })
                },
            )
        });
        Ok(counts.await?)
    }
}

/// The first row of each pair and class, each found from the one before: a step along the index, not a look at every row.
///
/// The next one is asked for as the next class of the same pair, else the next Leistung, else the next reader. SQLite
/// would compare `(reader, leistung, class) > (?, ?, ?)` with each row of the reader it stands at.
const WAITING: &str = "WITH RECURSIVE waiting (reader, leistung, class, due_at) AS (
        SELECT reader, leistung, class, due_at FROM (
            SELECT reader, leistung, class, due_at FROM message WHERE work = 'hand-over'
            ORDER BY reader, leistung, class, due_at LIMIT 1
        ) AS first
        UNION ALL
        SELECT message.reader, message.leistung, message.class, message.due_at
        FROM waiting JOIN message ON message.seq = coalesce(
            (SELECT further.seq FROM message AS further
             WHERE further.work = 'hand-over' AND further.reader = waiting.reader
                AND further.leistung = waiting.leistung AND further.class > waiting.class
             ORDER BY further.class, further.due_at LIMIT 1),
            (SELECT further.seq FROM message AS further
             WHERE further.work = 'hand-over' AND further.reader = waiting.reader
                AND further.leistung > waiting.leistung
             ORDER BY further.leistung, further.class, further.due_at LIMIT 1),
            (SELECT further.seq FROM message AS further
             WHERE further.work = 'hand-over' AND further.reader > waiting.reader
             ORDER BY further.reader, further.leistung, further.class, further.due_at LIMIT 1)
        )
    )
    SELECT reader, leistung, class, due_at FROM waiting ORDER BY reader, leistung, class";

fn waiting(look: &Look<'_>) -> Result<Vec<Waiting>, JournalError> {
    look.all(WAITING, params![], |row| {
        Ok(Waiting {
            pair: Pair::read(row)?,
            class: lanes::class(row.get("class")?).ok_or(JournalError::Corrupt {
                column: "class",
                expected: "a class",
            })?,
            due_at: rows::instant(row, "due_at")?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, searches};

    async fn journal(rows: &'static [(&'static str, &'static str, u32, i64)]) -> (tempfile::TempDir, Journal) {
        let (dir, journal) = testing::journal("gw-a").await;
        let fill = journal.store.write(move |change| {
            for (n, (reader, leistung, class, due_at)) in rows.iter().enumerate() {
                let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{n:012}");
                change.run(
                    "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                        leistung, gateway, filed_at, obsolete_after, entered_at, class, work, due_at)
                     VALUES ('taken', 'wgp:010000000000', ?, ?, ?, ?, 'application', ?, ?, 'gw-s', 0, 0, 0, ?, 'hand-over', ?)",
                    params![id, &[0_u8; 32], &[0_u8; 32], id, *reader, *leistung, *class, *due_at],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        (dir, journal)
    }

    const A: &str = "wgb:010010000000";
    const B: &str = "wgb:010020000000";
    const WOHNGELD: &str = "99107023037000";
    const OTHER: &str = "99099002067003";

    #[tokio::test]
    async fn the_next_pair_is_a_step_away_however_many_wait() {
        let (_dir, journal) = journal(&[]).await;
        let steps = searches(&journal, WAITING).await;
        let next = [
            "(work=? AND reader=? AND leistung=? AND class>?)",
            "(work=? AND reader=? AND leistung>?)",
            "(work=? AND reader>?)",
        ];
        for next in next {
            assert!(steps.iter().any(|step| step.ends_with(next)), "{next}: {steps:?}");
        }
    }

    #[tokio::test]
    async fn each_pair_and_class_is_found_once_with_what_is_due_first() {
        let (_dir, journal) = journal(&[
            (A, WOHNGELD, 1, 50),
            (A, WOHNGELD, 1, 20),
            (A, WOHNGELD, 0, 90),
            (A, OTHER, 2, 10),
            (B, WOHNGELD, 1, 30),
            (B, WOHNGELD, 1, 31),
        ])
        .await;
        let queue = journal.queue().await.unwrap();
        let found = queue.waiting.iter().map(|waiting| {
            let Pair { reader, leistung } = &waiting.pair;
            (
                reader.as_str(),
                leistung.as_str(),
                waiting.class,
                waiting.due_at.as_millisecond(),
            )
        });
        let expected = [
            (A, OTHER, Class::Bulk, 10),
            (A, WOHNGELD, Class::Urgent, 90),
            (A, WOHNGELD, Class::Normal, 20),
            (B, WOHNGELD, Class::Normal, 30),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let counts = journal.count_hand_overs().await.unwrap();
        assert_eq!(counts.iter().map(|count| count.waiting).collect::<Vec<_>>(), [1, 3, 2]);
        let pair = &queue.waiting[2].pair;
        let due = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        let given = journal.give_out(pair, Class::Normal, due(100), 1).await.unwrap();
        let rest = journal.give_out(pair, Class::Normal, due(100), 9).await.unwrap();
        assert_eq!(
            (given.len(), rest.len()),
            (1, 1),
            "what is in hand is given to nobody else"
        );
        assert!(
            journal
                .give_out(pair, Class::Normal, due(100), 9)
                .await
                .unwrap()
                .is_empty()
        );
        journal.give_back(&given[0].key);
        let again = journal.give_out(pair, Class::Normal, due(100), 9).await.unwrap();
        assert_eq!(again[0].key, given[0].key);
        assert!(
            journal
                .give_out(&queue.waiting[1].pair, Class::Urgent, due(80), 9)
                .await
                .unwrap()
                .is_empty()
        );
    }
}
