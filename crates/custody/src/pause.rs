//! Pauses: a Behörde or a gateway that an operator lets rest.
//!
//! What is paused is kept and counted, and its deadlines go on; it is neither handed over nor published, and lies apart so
//! that nobody else waits for it ([`resting`]). Guarantees: a pause is committed together with its line in the audit trail,
//! and from that commit on no attempt begins, in no instance that shares the journal, because [`Journal::begin_hand_over`]
//! looks inside its own transaction. An attempt that had begun before goes on to its end. Does not: stop taking; a message
//! in our custody is safer than one on its way.

mod resting;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use viereck_routing::{BehoerdeId, CustodianId, GatewayId};
use viereck_store::{Change, Look, Row, params};

use crate::audit::{Actor, StatedReason, Verb};
use crate::{Journal, JournalError, rows};

pub(crate) use resting::{Lane, is_paused};

/// What can be paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything for this reader.
    Behoerde(BehoerdeId),
    /// Everything that this gateway hands over and publishes; at the broker, everything that would go to it.
    Gateway(GatewayId),
}

/// A scope that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("behoerde:<id> or gateway:<id>")]
pub struct UnknownScope;

/// A pause that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What rests.
    pub scope: Scope,
    /// Why, as the operator said it.
    pub reason: StatedReason,
    /// Who said it.
    #[serde(serialize_with = "as_text")]
    pub actor: Actor,
    /// Since when.
    pub since: Timestamp,
}

/// The pauses that hold at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(Vec<Pause>);

/// What became of an order to pause or resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is so from now on.
    Now,
    /// It was so already; nothing was changed.
    Already,
}

impl Pauses {
    /// The pause that keeps a message for `reader` from going on to, or through, `gateway`.
    pub fn of(&self, reader: &BehoerdeId, gateway: &GatewayId) -> Option<&Pause> {
        self.0.iter().find(|pause| match &pause.scope {
            Scope::Behoerde(behoerde) => behoerde == reader,
            Scope::Gateway(paused) => paused == gateway,
        })
    }

    /// Each of them, in the order of their scopes.
    pub fn iter(&self) -> std::slice::Iter<'_, Pause> {
        self.0.iter()
    }

    /// Those that `look` sees.
    pub(crate) fn seen(look: &Look<'_>) -> Result<Self, JournalError> {
        look.all("SELECT * FROM pause ORDER BY scope", params![], Pause::read)
            .map(Self)
    }
}

impl Journal {
    /// Lets `scope` rest. It is in force when this returns.
    pub async fn pause(&self, scope: Scope, reason: StatedReason, actor: Actor) -> Result<Changed, JournalError> {
        let journal = self.clone();
        let now = Timestamp::now();
        let changed = self.store.write(move |change| {
            let inserted = change.run(
                "INSERT INTO pause (scope, reason, actor, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![scope.to_string(), reason.as_str(), actor.as_str(), now.as_millisecond()],
            )?;
            journal.told(change, inserted, &actor, Verb::Pause, &scope, &reason)
        });
        let changed = changed.await?;
        self.wake();
        Ok(changed)
    }

    /// Lets `scope` go on. What rested is due now, and comes behind what is due already.
    pub async fn resume(&self, scope: Scope, reason: StatedReason, actor: Actor) -> Result<Changed, JournalError> {
        let (journal, goes_on) = (self.clone(), scope.clone());
        let changed = self.store.write(move |change| {
            let deleted = change.run("DELETE FROM pause WHERE scope = ?", params![scope.to_string()])?;
            journal.told(change, deleted, &actor, Verb::Resume, &scope, &reason)
        });
        let changed = changed.await?;
        self.wake();
        // not in the same commit: there may be very many, and everybody writes meanwhile
        if let Scope::Behoerde(reader) = goes_on {
            self.rouse(&reader, Timestamp::now()).await?;
        }
        Ok(changed)
    }

    /// What rests at this moment.
    pub async fn paused(&self) -> Result<Pauses, JournalError> {
        Ok(self.store.read(Pauses::seen).await?)
    }

    fn told(
        &self,
        change: &Change<'_>,
        rows: u64,
        actor: &Actor,
        verb: Verb,
        scope: &Scope,
        reason: &StatedReason,
    ) -> Result<Changed, JournalError> {
        let (changed, outcome) = match rows {
            0 => (Changed::Already, "already"),
            _ => (Changed::Now, "done"),
        };
        self.audit(change, actor, verb, &scope.to_string(), reason, outcome)?;
        Ok(changed)
    }

    fn wake(&self) {
        self.shared.hand_over_wanted.notify_one();
        self.shared.publish_wanted.notify_one();
        self.shared.relay_wanted.notify_one();
    }

    /// Whether all of this custodian rests.
    pub(crate) fn rests_as_a_whole(&self, look: &Look<'_>) -> Result<bool, JournalError> {
        is_paused(look, &Scope::of_gateway(self.custodian()))
    }

    /// Whether a message for `reader` is held back here at this moment of the writer.
    pub(crate) fn rests(&self, look: &Look<'_>, reader: &BehoerdeId) -> Result<bool, JournalError> {
        Ok(look.exists(
            "SELECT 1 FROM pause WHERE scope = ? OR scope = ?",
            params![
                Scope::Behoerde(reader.clone()).to_string(),
                Scope::of_gateway(self.custodian()).to_string()
            ],
        )?)
    }
}

impl Scope {
    fn of_gateway(custodian: &CustodianId) -> Self {
        Scope::Gateway(custodian.clone())
    }
}

impl Pause {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        Ok(Self {
            scope: rows::name(row, "scope")?,
            reason: rows::name(row, "reason")?,
            actor: rows::name(row, "actor")?,
            since: rows::instant(row, "since")?,
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Behoerde(behoerde) => write!(f, "behoerde:{behoerde}"),
            Scope::Gateway(gateway) => write!(f, "gateway:{gateway}"),
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text.split_once(':') {
            Some(("behoerde", id)) => id.parse().map(Scope::Behoerde).map_err(|_| UnknownScope),
            Some(("gateway", id)) => id.parse().map(Scope::Gateway).map_err(|_| UnknownScope),
            _ => Err(UnknownScope),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn as_text<S: Serializer>(actor: &Actor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(actor.as_str())
}

#[cfg(test)]
mod tests {
    use viereck_routing::Environment;

    use super::*;

    #[test]
    fn a_scope_reads_back() {
        for text in ["behoerde:wgb:010540880000", "gateway:gw-sh-1"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for text in ["", "gateway", "gateway:", "behoerde:x", "land:01"] {
            assert_eq!(text.parse::<Scope>(), Err(UnknownScope), "{text}");
        }
    }

    #[tokio::test]
    async fn a_pause_holds_until_it_is_taken_back_and_both_stand_in_the_trail() {
        let dir = tempfile::tempdir().unwrap();
        let me: GatewayId = "gw-a".parse().unwrap();
        let journal = Journal::open(&dir.path().join("j.sqlite"), me.clone(), Environment::Test)
            .await
            .unwrap();
        let behoerde: BehoerdeId = "wgb:010540880000".parse().unwrap();
        let other: BehoerdeId = "wgb:010010000000".parse().unwrap();
        let scope = Scope::Behoerde(behoerde.clone());
        let (reason, actor): (StatedReason, _) = ("ticket 1".parse().unwrap(), Actor::operator("anna").unwrap());
        let pause = async || {
            journal
                .pause(scope.clone(), reason.clone(), actor.clone())
                .await
                .unwrap()
        };
        assert_eq!(pause().await, Changed::Now);
        assert_eq!(pause().await, Changed::Already);
        let paused = journal.paused().await.unwrap();
        assert_eq!(paused.of(&behoerde, &me).map(|pause| &pause.reason), Some(&reason));
        assert_eq!(paused.of(&other, &me), None);
        let rests = async |reader: &BehoerdeId| {
            let (inside, reader) = (journal.clone(), reader.clone());
            let looked = journal.store.read(move |look| inside.rests(look, &reader)).await;
            looked.unwrap()
        };
        assert_eq!((rests(&behoerde).await, rests(&other).await), (true, false));
        let all = Scope::Gateway(me.clone());
        journal.pause(all.clone(), reason.clone(), actor.clone()).await.unwrap();
        assert!(rests(&other).await, "all of this gateway");
        journal.resume(all, reason.clone(), actor.clone()).await.unwrap();
        journal.resume(scope, reason, actor).await.unwrap();
        assert_eq!(journal.paused().await.unwrap(), Pauses::default());
        let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
        let told: Vec<_> = trail
            .iter()
            .map(|line| (line.verb.as_str(), line.outcome.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("pause", "done"),
                ("pause", "already"),
                ("pause", "done"),
                ("resume", "done"),
                ("resume", "done")
            ]
        );
    }
}
