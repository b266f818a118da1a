//! The tables of the embedded link and the only statements that touch them.
//!
//! Bodies have a table of their own: a delivery changes its message's row several times, and SQLite rewrites a row as a
//! whole.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

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
        held     INTEGER NOT NULL DEFAULT 0
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
    pub(super) bytes: Vec<u8>,
}

pub(super) fn reconcile(file: &Transaction<'_>, topology: &Topology) -> Result<(), rusqlite::Error> {
    let mut declare = file.prepare_cached("INSERT INTO queue (name) VALUES (?1) ON CONFLICT DO NOTHING")?;
    for queue in [Queue::Ingress, Queue::Unrouted, Queue::Parked] {
        declare.execute([queue.to_string()])?;
    }
    for gateway in &topology.gateways {
        declare.execute([Queue::Gateway(gateway.clone()).to_string()])?;
        declare.execute([Queue::Receipts(gateway.clone()).to_string()])?;
    }
    file.execute("DELETE FROM binding", [])?;
    let mut bind = file.prepare_cached("INSERT INTO binding (key, queue) VALUES (?1, ?2)")?;
    for (key, gateway) in &topology.bindings {
        let queue = Queue::Gateway(gateway.clone()).to_string();
        declare.execute([&queue])?;
        bind.execute([key.to_string(), queue])?;
    }
    Ok(())
}

/// Routes and keeps one message. The queue it went to, or `None` where not even [`Queue::Unrouted`] is declared.
pub(super) fn put(file: &Transaction<'_>, to: &Address, bytes: &[u8]) -> Result<Option<String>, rusqlite::Error> {
    let key = to.key();
    let routed = match to {
        Address::Submit(_) | Address::Receipt(_) => Some(Queue::Ingress.to_string()),
        Address::Receipts { to, .. } => Some(Queue::Receipts(to.clone()).to_string()),
        Address::Route { .. } => file
            .prepare_cached("SELECT queue FROM binding WHERE key = ?1")?
            .query_row([&key], |row| row.get(0))
            .optional()?,
    };
    for queue in routed.into_iter().chain([Queue::Unrouted.to_string()]) {
        if !is_declared(file, &queue)? {
            continue;
        }
        file.prepare_cached("INSERT INTO message (queue, exchange, key) VALUES (?1, ?2, ?3)")?
            .execute(params![queue, to.exchange().name(), key])?;
        file.prepare_cached("INSERT INTO body (message, bytes) VALUES (last_insert_rowid(), ?1)")?
            .execute([bytes])?;
        return Ok(Some(queue));
    }
    Ok(None)
}

/// Settles what is done or goes back, then takes what is wanted.
pub(super) fn turn(file: &Transaction<'_>, queue: &str, turn: &Turn) -> Result<Turned, rusqlite::Error> {
    let mut turned = Turned::default();
    let mut delete = file.prepare_cached("DELETE FROM message WHERE id = ?1")?;
    for id in &turn.done {
        delete.execute([number(*id)])?;
    }
    let mut give_back = file.prepare_cached(
        "UPDATE message SET held = 0,
            attempt = CASE WHEN attempt > ?2 AND queue <> ?3 THEN 0 ELSE attempt END,
            queue = CASE WHEN attempt > ?2 THEN ?3 ELSE queue END
         WHERE id = ?1 RETURNING queue = ?3",
    )?;
    for id in &turn.back {
        let arguments = params![number(*id), DELIVERY_LIMIT, Queue::Parked.to_string()];
        turned.parked |= give_back
            .query_row(arguments, |row| row.get::<_, bool>(0))
            .optional()?
            .unwrap_or(false);
    }
    if turn.wanted > 0 {
        let ids: Vec<i64> = file
            .prepare_cached("SELECT id FROM message WHERE queue = ?1 AND held = 0 ORDER BY id LIMIT ?2")?
            .query_map(params![queue, number(turn.wanted as u64)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in ids {
            turned.taken.push(take(file, id)?);
        }
    }
    Ok(turned)
}

fn take(file: &Transaction<'_>, id: i64) -> Result<Taken, rusqlite::Error> {
    let bytes = file
        .prepare_cached("SELECT bytes FROM body WHERE message = ?1")?
        .query_row([id], |row| row.get(0))?;
    file.prepare_cached(
        "UPDATE message SET held = 1, attempt = attempt + 1 WHERE id = ?1 RETURNING exchange, key, attempt",
    )?
    .query_row([id], |row| {
        Ok(Taken {
            id: id.unsigned_abs(),
            exchange: row.get(0)?,
            key: row.get(1)?,
            attempt: row.get(2)?,
            bytes,
        })
    })
}

/// Frees everything in hand: what a process held that ended.
pub(super) fn release(file: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    file.execute("UPDATE message SET held = 0 WHERE held = 1", []).map(drop)
}

/// How many messages wait; `None` where there is no such queue.
pub(super) fn depth(file: &Connection, queue: &str) -> Result<Option<u64>, rusqlite::Error> {
    if !is_declared(file, queue)? {
        return Ok(None);
    }
    file.query_row(
        "SELECT count(*) FROM message WHERE queue = ?1 AND held = 0",
        [queue],
        |row| row.get::<_, i64>(0),
    )
    .map(|depth| Some(depth.cast_unsigned()))
}

fn is_declared(file: &Connection, queue: &str) -> Result<bool, rusqlite::Error> {
    file.prepare_cached("SELECT 1 FROM queue WHERE name = ?1")?
        .exists([queue])
}

/// Tags are unsigned everywhere else; SQLite's row numbers never use the sign.
fn number(tag: u64) -> i64 {
    i64::try_from(tag).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Connection {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(MIGRATIONS[0]).unwrap();
        file
    }

    fn submit() -> Address {
        Address::Submit("gw-1".parse().unwrap())
    }

    fn take_one(transaction: &Transaction<'_>, queue: &Queue) -> Option<Taken> {
        let wanted = Turn {
            wanted: 1,
            ..Turn::default()
        };
        turn(transaction, &queue.to_string(), &wanted).unwrap().taken.pop()
    }

    #[test]
    fn nothing_is_taken_in_before_the_topology_is_there() {
        let mut file = file();
        let transaction = file.transaction().unwrap();
        assert_eq!(put(&transaction, &submit(), b"x").unwrap(), None);
        assert_eq!(depth(&transaction, "viereck.ingress").unwrap(), None);
        reconcile(&transaction, &Topology::default()).unwrap();
        assert_eq!(
            put(&transaction, &submit(), b"x").unwrap(),
            Some("viereck.ingress".to_owned())
        );
        assert_eq!(depth(&transaction, "viereck.ingress").unwrap(), Some(1));
    }

    #[test]
    fn what_comes_back_too_often_is_parked_with_its_key() {
        let mut file = file();
        let transaction = file.transaction().unwrap();
        reconcile(&transaction, &Topology::default()).unwrap();
        put(&transaction, &submit(), b"poison").unwrap();
        for attempt in 1..=DELIVERY_LIMIT + 1 {
            let taken = take_one(&transaction, &Queue::Ingress).unwrap();
            assert_eq!(taken.attempt, attempt);
            let back = Turn {
                back: vec![taken.id],
                ..Turn::default()
            };
            let turned = turn(&transaction, "viereck.ingress", &back).unwrap();
            assert_eq!(turned.parked, attempt > DELIVERY_LIMIT, "attempt {attempt}");
        }
        assert!(take_one(&transaction, &Queue::Ingress).is_none());
        for attempt in 1..=2 * DELIVERY_LIMIT {
            let parked = take_one(&transaction, &Queue::Parked).unwrap();
            assert_eq!(
                (parked.key.as_str(), parked.bytes.as_slice()),
                ("submit.gw-1", &b"poison"[..])
            );
            assert!(parked.attempt <= attempt, "it may come back there for ever");
            let back = Turn {
                back: vec![parked.id],
                ..Turn::default()
            };
            turn(&transaction, "viereck.parked", &back).unwrap();
        }
    }

    #[test]
    fn a_body_goes_with_its_message_and_only_once() {
        let mut file = file();
        file.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let transaction = file.transaction().unwrap();
        reconcile(&transaction, &Topology::default()).unwrap();
        put(&transaction, &submit(), b"x").unwrap();
        let id = take_one(&transaction, &Queue::Ingress).unwrap().id;
        assert!(take_one(&transaction, &Queue::Ingress).is_none(), "taken twice");
        let done = Turn {
            done: vec![id],
            back: vec![id],
            ..Turn::default()
        };
        turn(&transaction, "viereck.ingress", &done).unwrap();
        let bodies: i64 = transaction
            .query_row("SELECT count(*) FROM body", [], |row| row.get(0))
            .unwrap();
        assert_eq!(bodies, 0);
    }
}
