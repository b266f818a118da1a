//! The trail of what operators did: who, when, what, to which thing, for which reason, with which outcome.
//!
//! Guarantees: a line is committed in the transaction of what it tells, never after it; each line carries the head of
//! the line before, so that a line that was changed, taken out or put in shows ([`Journal::verify_audit`]). What an
//! operator types is bounded, one line, and can neither forge a line nor steer a terminal. Every line is logged with its
//! head too: a tail that is cut off shows against the log, or against a head that was noted elsewhere.
//!
//! Does not: know who may do what; whoever listens to operators asks for that first.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use viereck_routing::Digest;
use viereck_store::{Change, Look, Row, params};

use crate::{Journal, JournalError, rows};

/// Characters that an operator may use for a reason.
const LONGEST_REASON: usize = 300;

/// Who did something: an operator known to the operations interface, or a user of the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

/// A reason as an operator typed it: one line of 1 to 300 printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedReason(String);

/// A name or a reason that cannot stand in the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A name of an operator.
    #[error("an operator is named by 1 to 40 of a-z, 0-9, '.' and '-', beginning with a letter")]
    Name,
    /// A reason.
    #[error("a reason is one line of 1 to 300 printable characters")]
    Reason,
}

/// What operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A Behörde or a gateway is to rest.
    Pause,
    /// It is to work again.
    Resume,
    /// Something parked goes back into the flow.
    Requeue,
    /// Something parked ends.
    Discard,
    /// A message is sealed anew.
    SealAnew,
    /// The content of a message that ended unread is erased.
    Erase,
    /// Many parked things are to be requeued, one after the other.
    StartJob,
    /// Such a job ends before it is done.
    StopJob,
    /// A journal restored from a copy is compared with what others know, and opened.
    Reconcile,
}

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What, see [`Verb`].
    pub verb: String,
    /// To which message, octets, Behörde, gateway or job.
    pub target: String,
    /// Why, as it was typed.
    pub reason: String,
    /// With which outcome.
    pub outcome: String,
    /// The digest over this line and the one before.
    pub head: Digest,
}

/// Whether the trail is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditCheck {
    /// How many lines fit, from the first one on.
    pub lines: u64,
    /// The head of the last of them: noted elsewhere, it shows later whether the tail was cut off.
    pub head: Digest,
    /// The first line that does not follow from the one before, as it stands.
    pub broken: Option<AuditLine>,
}

impl Actor {
    /// An operator of the operations interface, by the name in the configuration.
    ///
    /// # Errors
    /// [`Unfit::Name`].
    pub fn operator(name: &str) -> Result<Self, Unfit> {
        let mut octets = name.bytes();
        let begins = octets.next().is_some_and(|first| first.is_ascii_lowercase());
        let goes_on = octets.all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
        match begins && goes_on && name.len() <= 40 {
            true => Ok(Self(format!("operator:{name}"))),
            false => Err(Unfit::Name),
        }
    }

    /// The user of the machine under whose number a command runs.
    pub fn local(uid: u32) -> Self {
        Self(format!("local:uid-{uid}"))
    }

    /// As it stands in the trail.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As a journal wrote it, e.g. with a pause or a job.
impl FromStr for Actor {
    type Err = Unfit;
    fn from_str(text: &str) -> Result<Self, Unfit> {
        match text.split_once(':') {
            Some(("operator", name)) => Self::operator(name),
            Some(("local", uid)) => uid
                .strip_prefix("uid-")
                .and_then(|uid| uid.parse().ok())
                .map(Self::local)
                .ok_or(Unfit::Name),
            _ => Err(Unfit::Name),
        }
    }
}

impl StatedReason {
    /// As it stands in the trail.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StatedReason {
    type Err = Unfit;
    fn from_str(text: &str) -> Result<Self, Unfit> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= LONGEST_REASON && text.chars().all(is_printable);
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(Unfit::Reason),
        }
    }
}

impl fmt::Display for StatedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for StatedReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StatedReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Neither a control character, nor one that breaks a line, nor one that turns the direction of what follows.
fn is_printable(character: char) -> bool {
    let steers = matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !character.is_control() && !steers
}

impl Verb {
    /// The word in the trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Requeue => "requeue",
            Verb::Discard => "discard",
            Verb::SealAnew => "seal-anew",
            Verb::Erase => "erase",
            Verb::StartJob => "start-job",
            Verb::StopJob => "stop-job",
            Verb::Reconcile => "reconcile",
        }
    }
}

impl Journal {
    /// Adds a line to the trail, in the transaction of what it tells. `target` and `outcome` are words and names of ours.
    pub(crate) fn audit(
        &self,
        change: &Change<'_>,
        actor: &Actor,
        verb: Verb,
        target: &str,
        reason: &StatedReason,
        outcome: &str,
    ) -> Result<(), JournalError> {
        // one writer at a time: nobody comes between this look and the line that follows from it
        let last = change.first("SELECT head FROM audit ORDER BY seq DESC LIMIT 1", params![], |row| {
            rows::digest(row, "head")
        })?;
        let previous = last.unwrap_or(Digest::ZERO);
        let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut line = AuditLine {
            time: now,
            actor: actor.as_str().to_owned(),
            verb: verb.as_str().to_owned(),
            target: target.to_owned(),
            reason: reason.as_str().to_owned(),
            outcome: outcome.to_owned(),
            head: Digest::ZERO,
        };
        line.head = line.follows(&previous);
        change.run(
            "INSERT INTO audit (time, actor, verb, target, reason, outcome, previous, head) VALUES (?,?,?,?,?,?,?,?)",
            params![
                line.time.as_millisecond(),
                line.actor,
                line.verb,
                line.target,
                line.reason,
                line.outcome,
                previous.octets(),
                line.head.octets()
            ],
        )?;
        tracing::info!(journal = %self.custodian(), actor = line.actor, verb = line.verb, target = line.target,
            reason = line.reason, outcome = line.outcome, head = %line.head, "an operator acted");
        Ok(())
    }

    /// The last `limit` lines since `since`, oldest first; of one target only, where one is named.
    pub async fn audit_trail(
        &self,
        since: Timestamp,
        target: Option<String>,
        limit: u32,
    ) -> Result<Vec<AuditLine>, JournalError> {
        let mut lines = self
            .store
            .read(move |look| {
                look.all(
                    "SELECT * FROM audit WHERE time >= ? AND (? = '' OR target = ?) ORDER BY seq DESC LIMIT ?",
                    params![
                        since.as_millisecond(),
                        target.as_deref().unwrap_or_default(),
                        target.as_deref().unwrap_or_default(),
                        limit
                    ],
                    AuditLine::read,
                )
            })
            .await?;
        lines.reverse();
        Ok(lines)
    }

    /// Follows the trail from its first line to its last, or to the first that does not fit.
    pub async fn verify_audit(&self) -> Result<AuditCheck, JournalError> {
        Ok(self.store.read(follow).await?)
    }
}

/// How many lines are in memory at once.
const PAGE: usize = 1000;

fn follow(look: &Look<'_>) -> Result<AuditCheck, JournalError> {
    let mut check = AuditCheck {
        lines: 0,
        head: Digest::ZERO,
        broken: None,
    };
    let mut after = 0_i64;
    loop {
        let page = look.all(
            "SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
            params![after, PAGE as i64],
            |row| {
                Ok::<_, JournalError>((
                    row.get::<i64>("seq")?,
                    rows::digest(row, "previous")?,
                    AuditLine::read(row)?,
                ))
            },
        )?;
        let full = page.len() == PAGE;
        for (seq, previous, line) in page {
            if previous != check.head || line.head != line.follows(&previous) {
                check.broken = Some(line);
                return Ok(check);
            }
            (check.lines, check.head, after) = (check.lines + 1, line.head, seq);
        }
        if !full {
            return Ok(check);
        }
    }
}

impl AuditLine {
    fn read(row: &Row<'_>) -> Result<Self, JournalError> {
        Ok(Self {
            time: rows::instant(row, "time")?,
            actor: row.get("actor")?,
            verb: row.get("verb")?,
            target: row.get("target")?,
            reason: row.get("reason")?,
            outcome: row.get("outcome")?,
            head: rows::digest(row, "head")?,
        })
    }

    /// The head of this line after `previous`. Lengths stand before texts, so that no two lines are spelled the same.
    fn follows(&self, previous: &Digest) -> Digest {
        let mut octets = b"viereck-audit-1".to_vec();
        octets.extend(previous.octets());
        octets.extend(self.time.as_millisecond().to_be_bytes());
        for text in [&self.actor, &self.verb, &self.target, &self.reason, &self.outcome] {
            octets.extend((text.len() as u64).to_be_bytes());
            octets.extend(text.as_bytes());
        }
        Digest::of(&octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_types_is_one_bounded_line() {
        for good in [
            "certificate renewed, ticket 4711",
            "ä – ü",
            &"x".repeat(300),
            "  trimmed  ",
        ] {
            assert!(good.parse::<StatedReason>().is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\u{2028}b",
            "a\u{200b}b",
            &"x".repeat(301),
        ] {
            assert_eq!(bad.parse::<StatedReason>(), Err(Unfit::Reason), "{bad:?}");
        }
    }

    #[test]
    fn an_actor_reads_back() {
        for actor in [Actor::operator("anna.b-2").unwrap(), Actor::local(1000)] {
            assert_eq!(actor.as_str().parse(), Ok(actor));
        }
        for bad in ["", "Anna", "a b", "1a", "a\n", &"a".repeat(41)] {
            assert_eq!(Actor::operator(bad), Err(Unfit::Name), "{bad:?}");
        }
        assert!("somebody:x".parse::<Actor>().is_err());
    }

    async fn three_lines(dir: &std::path::Path) -> Journal {
        let custodian = "gw-a".parse().unwrap();
        let journal = Journal::open(&dir.join("j.sqlite"), custodian, viereck_routing::Environment::Test)
            .await
            .unwrap();
        for (verb, target) in [
            (Verb::Pause, "behoerde:wgb:010540880000"),
            (Verb::Resume, "behoerde:wgb:010540880000"),
            (Verb::Discard, "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b"),
        ] {
            let inside = journal.clone();
            journal
                .store
                .write(move |change| {
                    let reason = "ticket 1".parse().unwrap();
                    inside.audit(change, &Actor::operator("anna").unwrap(), verb, target, &reason, "done")
                })
                .await
                .unwrap();
        }
        journal
    }

    #[tokio::test]
    async fn the_trail_is_told_in_order_and_follows() {
        let dir = tempfile::tempdir().unwrap();
        let journal = three_lines(dir.path()).await;
        let check = journal.verify_audit().await.unwrap();
        assert_eq!((check.lines, &check.broken), (3, &None));
        let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
        let verbs: Vec<_> = trail.iter().map(|line| line.verb.as_str()).collect();
        assert_eq!(verbs, ["pause", "resume", "discard"]);
        assert_eq!(trail[2].head, check.head);
        let of_one = Some("behoerde:wgb:010540880000".to_owned());
        assert_eq!(
            journal.audit_trail(Timestamp::UNIX_EPOCH, of_one, 1).await.unwrap()[0].verb,
            "resume"
        );
    }

    #[tokio::test]
    async fn a_line_that_was_changed_or_taken_out_shows() {
        for spoil in [
            "UPDATE audit SET reason = 'ticket 2' WHERE seq = 2",
            "UPDATE audit SET actor = 'operator:otto' WHERE seq = 2",
            "DELETE FROM audit WHERE seq = 2",
            "UPDATE audit SET time = time - 1 WHERE seq = 2",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let journal = three_lines(dir.path()).await;
            journal
                .store
                .write(move |change| change.run(spoil, params![]).map_err(JournalError::from))
                .await
                .unwrap();
            let check = journal.verify_audit().await.unwrap();
            assert_eq!(check.lines, 1, "{spoil}");
            assert!(check.broken.is_some(), "{spoil}");
        }
    }
}
