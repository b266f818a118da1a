//! How many messages of each authority are late, measured by the target of their class from the filing on.
//!
//! Each custodian counts what lies with it or may lie with it: the author's gateway what the reader's gateway has not
//! spoken of, the broker what it holds, the reader's gateway what it took. So no late message is missed, and one is counted
//! twice where its author's gateway cannot know: while the broker holds it, and while the word of the reader's gateway is
//! under way. The number of one custodian is exact, a sum over several is the most that it may be. The clocks of two gateways
//! differ by seconds; the shortest target is minutes. Does not: end anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use viereck_routing::{BehoerdeId, Class};
use viereck_store::params;

use super::Config;
use crate::{Journal, JournalError, lanes, rows};

/// How much of its time a message has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Half of it.
    Half,
    /// Four fifths.
    Most,
    /// All of it.
    Past,
}

impl Level {
    /// Every level, the mildest first.
    pub const ALL: &[Level] = &[Level::Half, Level::Most, Level::Past];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Half => "half",
            Level::Most => "most",
            Level::Past => "past",
        }
    }

    /// Per cent of the target.
    pub fn per_cent(self) -> i32 {
        match self {
            Level::Half => 50,
            Level::Most => 80,
            Level::Past => 100,
        }
    }
}

/// The late messages of one authority and class; each level counts those of the further ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Late {
    /// Whose Fachverfahren has not taken them over.
    pub behoerde: BehoerdeId,
    /// In which lane.
    pub class: Class,
    /// Past half of their time.
    pub half: u64,
    /// Past four fifths of it.
    pub most: u64,
    /// Past all of it.
    pub past: u64,
}

impl Late {
    /// How many are at this level or further.
    pub fn at(&self, level: Level) -> u64 {
        match level {
            Level::Half => self.half,
            Level::Most => self.most,
            Level::Past => self.past,
        }
    }

    fn furthest(&self) -> Option<Level> {
        Level::ALL.iter().rev().copied().find(|level| self.at(*level) > 0)
    }
}

impl Journal {
    /// What lies here, has not been taken over, and is late at `now`.
    pub async fn late(&self, now: Timestamp, config: &Config) -> Result<Vec<Late>, JournalError> {
        let config = config.clone();
        let late = self.store.survey(move |look| {
            let mut late = vec![];
            for class in Class::ALL.iter().copied() {
                let before = |level: Level| (now - config.target(class) * level.per_cent() / 100).as_millisecond();
                late.extend(look.all(
                    "SELECT reader, count(*) AS half,
                        CAST(sum(CASE WHEN filed_at <= ? THEN 1 ELSE 0 END) AS BIGINT) AS most,
                        CAST(sum(CASE WHEN filed_at <= ? THEN 1 ELSE 0 END) AS BIGINT) AS past
                     FROM message WHERE ended IS NULL AND class = ? AND filed_at <= ?
                        AND (side = 'taken' OR side = 'sent' AND heard = 0
                             OR side = 'relayed' AND (work = 'relay' OR parked IS NOT NULL))
                     GROUP BY reader ORDER BY reader",
                    params![
                        before(Level::Most),
                        before(Level::Past),
                        lanes::number(class),
                        before(Level::Half)
                    ],
                    |row| {
                        Ok::<_, JournalError>(Late {
                            behoerde: rows::name(row, "reader")?,
                            class,
                            half: row.get::<i64>("half")?.cast_unsigned(),
                            most: row.get::<i64>("most")?.cast_unsigned(),
                            past: row.get::<i64>("past")?.cast_unsigned(),
                        })
                    },
                )?);
            }
            Ok::<_, JournalError>(late)
        });
        Ok(late.await?)
    }
}

/// What was told of lateness: an alarm when it begins or gets worse, a line when it is over.
#[derive(Default)]
pub(super) struct Told(BTreeMap<(BehoerdeId, Class), Level>);

impl Told {
    pub(super) fn tell(&mut self, late: &[Late]) {
        let mut now = BTreeMap::new();
        for late in late {
            let Some(level) = late.furthest() else { continue };
            let key = (late.behoerde.clone(), late.class);
            if self.0.get(&key).is_none_or(|told| *told < level) {
                let messages = late.at(level);
                tracing::error!(behoerde = %late.behoerde, class = %late.class, messages, per_cent = level.per_cent(),
                    alarm = "late", "messages have used up so much of the time in which they are to be taken over");
            }
            now.insert(key, level);
        }
        for (behoerde, class) in self.0.keys().filter(|key| !now.contains_key(*key)) {
            tracing::info!(%behoerde, %class, "no message is late any more");
        }
        self.0 = now;
    }
}
