//! The outbox over an embedded link: what goes out, in which order, and what does not.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viereck_envelope::Stage;
use viereck_routing::{Class, Digest, Environment};
use viereck_store::params;
use viereck_transport::{Consumer, LARGEST_MESSAGE, Link, Queue, Topology};

use super::{Config, run};
use crate::audit::Actor;
use crate::lanes::{self, ROUND};
use crate::machine::State;
use crate::parked::ParkedId;
use crate::pause::Scope;
use crate::rows::{MessageRow, Side};
use crate::{Journal, JournalError, MessageKey};

const READER: &str = "wgb:010010000000";
const DEADLINE: Duration = Duration::from_secs(15);

/// A journal with an outbox that is not running yet, and the end of its link.
struct Here {
    journal: Journal,
    link: Link,
    ingress: Consumer,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Here {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.sqlite");
        let me = "gw-s".parse().unwrap();
        let journal = Journal::open(path.as_path(), me, Environment::Test).await.unwrap();
        let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
        link.reconcile(&Topology::default()).await.unwrap();
        let ingress = link.consume(&Queue::Ingress, 1).await.unwrap();
        Self {
            journal,
            link,
            ingress,
            stop: CancellationToken::new(),
            _dir: dir,
        }
    }

    /// A message due since it was the `number`-th, with these octets; `stored` is what the journal has of them.
    async fn promised(&self, number: usize, class: Class, octets: &Bytes, stored: Option<Bytes>) -> MessageKey {
        let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
        let key = MessageKey {
            author: "wgp:010000000000".parse().unwrap(),
            message_id: id.parse().unwrap(),
        };
        let digest = *Digest::of(octets).octets();
        let fill = self.journal.store.write(move |change| {
            let seq: Option<i64> = change.first(
                "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                    leistung, gateway, filed_at, obsolete_after, entered_at, class, work, due_at)
                 VALUES ('sent', 'wgp:010000000000', ?, ?, ?, ?, 'application', ?, '99107023037000', 'gw-s', 0, 0, 0, ?,
                    'publish', ?) RETURNING seq",
                params![id, &[0_u8; 32], digest, id, READER, lanes::number(class), number as i64],
                |row| Ok::<i64, JournalError>(row.at(0)?),
            )?;
            if let Some(stored) = stored {
                change.run(
                    "INSERT INTO sealed (message, bytes) VALUES (?, ?)",
                    params![seq, &stored[..]],
                )?;
            }
            Ok::<_, JournalError>(())
        });
        fill.await.unwrap();
        key
    }

    fn publish(&self, config: Config) -> JoinHandle<Result<(), JournalError>> {
        tokio::spawn(run(self.journal.clone(), self.link.clone(), config, self.stop.clone()))
    }

    async fn next(&mut self) -> Bytes {
        let delivery = tokio::time::timeout(DEADLINE, self.ingress.next()).await;
        let delivery = delivery.expect("in time").expect("open");
        let bytes = delivery.bytes.clone();
        delivery.done();
        bytes
    }

    async fn row(&self, key: &MessageKey) -> MessageRow {
        let key = key.clone();
        let row = self
            .journal
            .store
            .read(move |look| MessageRow::find(look, Side::Sent, &key));
        row.await.unwrap().unwrap()
    }

    /// Waits until the message is parked, and says why.
    async fn parked(&self, key: &MessageKey) -> &'static str {
        let mut news = self.journal.subscribe();
        let parked = async {
            loop {
                if let Some(reason) = self.row(key).await.parked {
                    return reason.code();
                }
                let _ = news.recv().await;
            }
        };
        tokio::time::timeout(DEADLINE, parked).await.expect("in time")
    }

    async fn end(self, publishing: JoinHandle<Result<(), JournalError>>) {
        self.stop.cancel();
        publishing.await.unwrap().unwrap();
        self.ingress.cancel().await;
        self.link.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_not_what_was_promised_are_parked_and_never_sent() {
    let mut here = Here::new().await;
    let good = Bytes::from_static(b"good");
    let changed = here
        .promised(
            1,
            Class::Normal,
            &Bytes::from_static(b"promised"),
            Some(Bytes::from_static(b"pr0mised")),
        )
        .await;
    let lost = here
        .promised(2, Class::Normal, &Bytes::from_static(b"lost"), None)
        .await;
    let large = Bytes::from(vec![0; LARGEST_MESSAGE + 1]);
    let large = here.promised(3, Class::Normal, &large, Some(large.clone())).await;
    let intact = here.promised(4, Class::Normal, &good, Some(good.clone())).await;
    let publishing = here.publish(Config::default());
    assert_eq!(
        here.next().await,
        good,
        "nothing before it, and it waits for none of them"
    );
    assert_eq!(here.parked(&changed).await, "octets-corrupt");
    assert_eq!(here.parked(&lost).await, "octets-corrupt");
    assert_eq!(here.parked(&large).await, "too-large");
    let row = here.row(&intact).await;
    assert_eq!((row.parked, row.ended), (None, None));
    here.end(publishing).await;
}

/// What may have gone out is in flight until it lost its purpose; if nobody has spoken of it then, an operator may end it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_parked_in_doubt_can_be_ended_once_nobody_may_take_it_over() {
    let here = Here::new().await;
    let key = here
        .promised(1, Class::Normal, &Bytes::from_static(b"promised"), None)
        .await;
    let publishing = here.publish(Config::default());
    assert_eq!(here.parked(&key).await, "octets-corrupt");
    assert_eq!(State::of(&here.row(&key).await), State::ParkedTried);
    let obsolete_after = async |hours: i64| {
        let at = (Timestamp::now() - SignedDuration::from_hours(hours)).as_millisecond();
        let set = here.journal.store.write(move |change| {
            change.run("UPDATE message SET obsolete_after = ?", params![at])?;
            Ok::<_, JournalError>(())
        });
        set.await.unwrap();
    };
    let (actor, why) = (Actor::operator("anna").unwrap(), "ticket 1".parse().unwrap());
    let parked = ParkedId::Message(key.message_id);
    let mut answers = vec![];
    for hours in [-1, 23, 25] {
        obsolete_after(hours).await;
        answers.push(here.journal.discard(parked, &actor, &why).await.ok());
    }
    assert_eq!(answers, [None, None, Some(Some(Stage::Withdrawn))]);
    assert_eq!(here.row(&key).await.ended, Some(Stage::Withdrawn));
    here.end(publishing).await;
}

/// Published, and its reader's gateway is gone for good: the same holds.
#[tokio::test(flavor = "multi_thread")]
async fn what_met_silence_for_ever_can_be_ended_once_nobody_may_take_it_over() {
    let mut here = Here::new().await;
    let good = Bytes::from_static(b"good");
    let key = here.promised(1, Class::Normal, &good, Some(good.clone())).await;
    let publishing = here.publish(Config::default());
    here.next().await;
    let (actor, why) = (Actor::operator("anna").unwrap(), "ticket 1".parse().unwrap());
    let silent = ParkedId::Message(key.message_id);
    let mut answers = vec![];
    for (hours, heard) in [(-1, false), (23, false), (25, true), (25, false)] {
        let at = (Timestamp::now() - SignedDuration::from_hours(hours)).as_millisecond();
        let set = here.journal.store.write(move |change| {
            change.run("UPDATE message SET obsolete_after = ?, heard = ?", params![at, heard])?;
            Ok::<_, JournalError>(())
        });
        set.await.unwrap();
        answers.push(here.journal.discard(silent, &actor, &why).await.ok());
    }
    assert_eq!(answers, [None, None, None, Some(Some(Stage::Withdrawn))]);
    let row = here.row(&key).await;
    assert_eq!((row.ended, row.work), (Some(Stage::Withdrawn), None));
    here.end(publishing).await;
}

/// While all three wait, of any sixteen in a row at least one is bulk and three are normal; each lane keeps its order.
#[tokio::test(flavor = "multi_thread")]
async fn no_lane_starves_and_each_goes_by_age() {
    let mut here = Here::new().await;
    let mut number = 0;
    let [mut urgent, mut normal, mut bulk] = [vec![], vec![], vec![]];
    for (class, count) in [(Class::Bulk, 4), (Class::Normal, 12), (Class::Urgent, 48)] {
        for _ in 0..count {
            number += 1;
            let octets = Bytes::from(format!("{class} {number}"));
            here.promised(number, class, &octets, Some(octets.clone())).await;
            match class {
                Class::Urgent => urgent.push(octets),
                Class::Normal => normal.push(octets),
                Class::Bulk => bulk.push(octets),
            }
        }
    }
    let publishing = here.publish(Config {
        window: 1,
        ..Config::default()
    });
    let mut order = vec![];
    for _ in 0..number {
        order.push(here.next().await);
    }
    let of = |class: Class| {
        let is = move |octets: &&Bytes| octets.starts_with(class.as_str().as_bytes());
        order.iter().filter(is).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (of(Class::Urgent), of(Class::Normal), of(Class::Bulk)),
        (urgent, normal, bulk)
    );
    for sixteen in order[..4 * ROUND].windows(ROUND) {
        let count = |class: Class| {
            sixteen
                .iter()
                .filter(|octets| octets.starts_with(class.as_str().as_bytes()))
                .count()
        };
        assert!(count(Class::Bulk) >= 1 && count(Class::Normal) >= 3, "{sixteen:?}");
    }
    here.end(publishing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_waits_and_goes_on_when_it_is_resumed() {
    let mut here = Here::new().await;
    let (actor, reason) = (
        Actor::operator("anna").unwrap(),
        "ticket 1".parse::<crate::audit::StatedReason>().unwrap(),
    );
    let scope = Scope::Behoerde(READER.parse().unwrap());
    here.journal
        .pause(scope.clone(), reason.clone(), actor.clone())
        .await
        .unwrap();
    let octets = Bytes::from_static(b"waits");
    let key = here.promised(1, Class::Normal, &octets, Some(octets.clone())).await;
    let publishing = here.publish(Config::default());
    // whoever looks finds nothing that may go out, however long it has been due
    assert_eq!(here.journal.next_publication().await.unwrap(), None);
    let now = Timestamp::now();
    let due = here
        .journal
        .due_publications(now, Default::default(), 0, 8, 1 << 20)
        .await
        .unwrap();
    assert!(due.is_empty());
    // it was there before this start: it may have been on its way when the process before ended
    let doubted = async {
        while State::of(&here.row(&key).await) != State::Tried {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, doubted).await.expect("in time");
    here.journal.resume(scope, reason, actor).await.unwrap();
    assert_eq!(here.next().await, octets);
    here.end(publishing).await;
}
