//! The tables of the embedded link and the only statements that touch them.
//!
//! Bodies have a table of their own: a delivery changes its message's row several times, and SQLite rewrites a row as a
//! whole.

use viereck_observe::Trace;
use viereck_store::{Change, Look, SqlError, params};

use crate::address::Address;
use crate::topology::{DELIVERY_LIMIT, Queue, Topology};

pub(super) const MIGRATIONS: &[&str] = &["
    CREATE TABLE queue (
        name TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE binding (
        key   TEXT PRIMARY KEY,
        queue TEXT NOT NULL REFERENCES queue
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE message (
        id       INTEGER PRIMARY KEY,
        queue    TEXT NOT NULL REFERENCES queue,
        exchange TEXT NOT NULL,
        key      TEXT NOT NULL,
        attempt  INTEGER NOT NULL DEFAULT 0,
        held     INTEGER NOT NULL DEFAULT 0,
        trace    TEXT
    ) STRICT;
    CREATE INDEX waiting ON message (queue, id) WHERE held = 0;
    CREATE INDEX in_hand ON message (held) WHERE held = 1;
    CREATE TABLE body (
        message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
        bytes   BLOB NOT NULL
    ) STRICT;
"];

/// What a feeder tells the file, and what it wants from it, in one transaction.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    pub(super) done: Vec<u64>,
    pub(super) back: Vec<u64>,
    pub(super) wanted: usize,
}

/// What came of a [`Turn`].
#[derive(Debug, Default)]
pub(super) struct Turned {
    pub(super) taken: Vec<Taken>,
    /// Some went to [`Queue::Parked`] because they had come back too often.
    pub(super) parked: bool,
}

/// One message, now in hand.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: u64,
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) attempt: u32,
    pub(super) trace: Option<Trace>,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn reconcile(file: &Change<'_>, topology: &Topology) -> Result<(), SqlError> {
    let declare = |queue: &Queue| {
        file.run(
            "INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING",
            params![queue.to_string()],
        )
    };
    for queue in [Queue::Ingress, Queue::Unrouted, Queue::Parked] {
        declare(&queue)?;
    }
    for gateway in &topology.gateways {
        declare(&Queue::Gateway(gateway.clone()))?;
        declare(&Queue::Receipts(gateway.clone()))?;
    }
    file.run("DELETE FROM binding", &[])?;
    for (key, gateway) in &topology.bindings {
        let queue = Queue::Gateway(gateway.clone());
        declare(&queue)?;
        file.run(
            "INSERT INTO binding (key, queue) VALUES (?, ?)",
            params![key.to_string(), queue.to_string()],
        )?;
    }
    Ok(())
}

/// Routes and keeps one message. The queue it went to, or `None` where not even [`Queue::Unrouted`] is declared.
pub(super) fn put(
    file: &Change<'_>,
    trace: Option<Trace>,
    to: &Address,
    bytes: &[u8],
) -> Result<Option<String>, SqlError> {
    let key = to.key();
    let routed = match to {
        Address::Submit(_) | Address::Receipt(_) => Some(Queue::Ingress.to_string()),
        Address::Receipts { to, .. } => Some(Queue::Receipts(to.clone()).to_string()),
        Address::Gateway(gateway) => Some(Queue::Gateway(gateway.clone()).to_string()),
        Address::Route { .. } => {
            file.first("SELECT queue FROM binding WHERE key = ?", params![key], |row| row.at(0))?
        }
    };
    for queue in routed.into_iter().chain([Queue::Unrouted.to_string()]) {
        if !is_declared(file, &queue)? {
            continue;
        }
        let id: Option<i64> = file.first(
            "INSERT INTO message (queue, exchange, key, trace) VALUES (?, ?, ?, ?) RETURNING id",
            params![queue, to.exchange().name(), key, trace.map(|trace| trace.to_string())],
            |row| row.at(0),
        )?;
        file.run("INSERT INTO body (message, bytes) VALUES (?, ?)", params![id, bytes])?;
        return Ok(Some(queue));
    }
    Ok(None)
}

/// Settles what is done or goes back, then takes what is wanted.
pub(super) fn turn(file: &Change<'_>, queue: &str, turn: &Turn) -> Result<Turned, SqlError> {
    let mut turned = Turned::default();
    for id in &turn.done {
        file.run("DELETE FROM message WHERE id = ?", params![number(*id)])?;
    }
    let parked = Queue::Parked.to_string();
    for id in &turn.back {
        let now_in: Option<String> = file.first(
            "UPDATE message SET held = 0,
                attempt = CASE WHEN attempt > ? AND queue <> ? THEN 0 ELSE attempt END,
                queue = CASE WHEN attempt > ? THEN ? ELSE queue END
             WHERE id = ? RETURNING queue",
            params![DELIVERY_LIMIT, parked, DELIVERY_LIMIT, parked, number(*id)],
            |row| row.at(0),
        )?;
        turned.parked |= now_in.as_ref() == Some(&parked);
    }
    if turn.wanted > 0 {
        let ids: Vec<i64> = file.all(
            "SELECT id FROM message WHERE queue = ? AND held = 0 ORDER BY id LIMIT ?",
            params![queue, number(turn.wanted as u64)],
            |row| row.at(0),
        )?;
        for id in ids {
            turned.taken.extend(take(file, id)?);
        }
    }
    Ok(turned)
}

fn take(file: &Change<'_>, id: i64) -> Result<Option<Taken>, SqlError> {
    let bytes = file.first("SELECT bytes FROM body WHERE message = ?", params![id], |row| row.at(0))?;
    let Some(bytes) = bytes else { return Ok(None) };
    file.first(
        "UPDATE message SET held = 1, attempt = attempt + 1 WHERE id = ? RETURNING exchange, key, attempt, trace",
        params![id],
        |row| {
            let trace: Option<String> = row.at(3)?;
            Ok(Taken {
                id: id.unsigned_abs(),
                trace: trace.and_then(|trace| trace.parse().ok()),
                exchange: row.at(0)?,
                key: row.at(1)?,
                attempt: row.at(2)?,
                bytes,
            })
        },
    )
}

/// Frees everything in hand: what a process held that ended.
pub(super) fn release(file: &Change<'_>) -> Result<(), SqlError> {
    file.run("UPDATE message SET held = 0 WHERE held = 1", &[]).map(drop)
}

/// How many messages wait; `None` where there is no such queue.
pub(super) fn depth(file: &Look<'_>, queue: &str) -> Result<Option<u64>, SqlError> {
    if !is_declared(file, queue)? {
        return Ok(None);
    }
    let depth: Option<i64> = file.first(
        "SELECT count(*) FROM message WHERE queue = ? AND held = 0",
        params![queue],
        |row| row.at(0),
    )?;
    Ok(depth.map(i64::cast_unsigned))
}

fn is_declared(file: &Look<'_>, queue: &str) -> Result<bool, SqlError> {
    file.exists("SELECT 1 FROM queue WHERE name = ?", params![queue])
}

/// Tags are unsigned everywhere else; SQLite's row numbers never use the sign.
fn number(tag: u64) -> i64 {
    i64::try_from(tag).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use viereck_store::{Config, Store};

    use super::*;

    /// Runs `work` in one transaction on a new file.
    async fn on_a_new_file(work: impl FnOnce(&Change<'_>) + Send + 'static) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link.sqlite");
        let store = Store::open(&file, MIGRATIONS, Config::default()).unwrap();
        let done = store.write(|change| {
            work(change);
            Ok::<_, SqlError>(())
        });
        done.await.unwrap();
        store.close().await;
    }

    fn submit() -> Address {
        Address::Submit("gw-1".parse().unwrap())
    }

    fn take_one(file: &Change<'_>, queue: &Queue) -> Option<Taken> {
        let wanted = Turn {
            wanted: 1,
            ..Turn::default()
        };
        turn(file, &queue.to_string(), &wanted).unwrap().taken.pop()
    }

    #[tokio::test]
    async fn nothing_is_taken_in_before_the_topology_is_there() {
        on_a_new_file(|file| {
            assert_eq!(put(file, None, &submit(), b"x").unwrap(), None);
            assert_eq!(depth(file, "viereck.ingress").unwrap(), None);
            reconcile(file, &Topology::default()).unwrap();
            assert_eq!(
                put(file, None, &submit(), b"x").unwrap(),
                Some("viereck.ingress".to_owned())
            );
            assert_eq!(depth(file, "viereck.ingress").unwrap(), Some(1));
        })
        .await;
    }

    #[tokio::test]
    async fn a_trace_comes_out_as_it_went_in() {
        on_a_new_file(|file| {
            reconcile(file, &Topology::default()).unwrap();
            let trace = Trace::begin(true);
            put(file, Some(trace), &submit(), b"x").unwrap();
            put(file, None, &submit(), b"y").unwrap();
            assert_eq!(take_one(file, &Queue::Ingress).unwrap().trace, Some(trace));
            assert_eq!(take_one(file, &Queue::Ingress).unwrap().trace, None);
        })
        .await;
    }

    #[tokio::test]
    async fn what_comes_back_too_often_is_parked_with_its_key() {
        on_a_new_file(|file| {
            reconcile(file, &Topology::default()).unwrap();
            put(file, None, &submit(), b"poison").unwrap();
            for attempt in 1..=DELIVERY_LIMIT + 1 {
                let taken = take_one(file, &Queue::Ingress).unwrap();
                assert_eq!(taken.attempt, attempt);
                let back = Turn {
                    back: vec![taken.id],
                    ..Turn::default()
                };
                let turned = turn(file, "viereck.ingress", &back).unwrap();
                assert_eq!(turned.parked, attempt > DELIVERY_LIMIT, "attempt {attempt}");
            }
            assert!(take_one(file, &Queue::Ingress).is_none());
            for attempt in 1..=2 * DELIVERY_LIMIT {
                let parked = take_one(file, &Queue::Parked).unwrap();
                assert_eq!(
                    (parked.key.as_str(), parked.bytes.as_slice()),
                    ("submit.gw-1", &b"poison"[..])
                );
                assert!(parked.attempt <= attempt, "it may come back there for ever");
                let back = Turn {
                    back: vec![parked.id],
                    ..Turn::default()
                };
                turn(file, "viereck.parked", &back).unwrap();
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_body_goes_with_its_message_and_only_once() {
        on_a_new_file(|file| {
            reconcile(file, &Topology::default()).unwrap();
            put(file, None, &submit(), b"x").unwrap();
            let id = take_one(file, &Queue::Ingress).unwrap().id;
            assert!(take_one(file, &Queue::Ingress).is_none(), "taken twice");
            let done = Turn {
                done: vec![id],
                back: vec![id],
                ..Turn::default()
            };
            turn(file, "viereck.ingress", &done).unwrap();
            assert!(!file.exists("SELECT 1 FROM body", &[]).unwrap());
        })
        .await;
    }
}
