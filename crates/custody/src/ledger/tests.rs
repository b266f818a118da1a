//! What each minute sees, what only the walk sees, and what neither takes for a loss.

use tokio::time::Instant;

use super::reconcile::{Balance, ROWS_BY_ACCOUNT, STEP, compare};
use super::*;
use crate::testing::{self, searches};

const READER: &str = "wgb:010010000000";

/// A journal with so many messages taken for one reader, the first of them ended, and the account of all.
async fn journal(taken: i64, ended: i64) -> (tempfile::TempDir, Journal) {
    let (dir, journal) = testing::journal("gw-a").await;
    let fill = journal.store.write(move |change| {
        change.run(
            "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                leistung, gateway, filed_at, obsolete_after, entered_at, ended, ended_at)
             WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
             SELECT 'taken', 'wgp:010000000000', printf('6f0a6f6c-8f0e-4c3e-9a53-%012d', n), ?, ?,
                printf('6f0a6f6c-8f0e-4c3e-9a53-%012d', n), 'application', ?, '99107023037000', 'gw-s', 0, 0, n,
                CASE WHEN n <= ? THEN 'accepted' END, CASE WHEN n <= ? THEN n END FROM number",
            params![taken, &[0_u8; 32], &[0_u8; 32], READER, ended, ended],
        )?;
        change.run(
            "INSERT INTO account (side, participant, received, ended) VALUES ('taken', ?, ?, ?)",
            params![READER, taken, ended],
        )
    });
    fill.await.unwrap();
    (dir, journal)
}

async fn lose(journal: &Journal, which: &'static str) {
    let sql = format!("DELETE FROM message WHERE seq = (SELECT max(seq) FROM message WHERE {which})");
    let lost = journal.store.write(move |change| change.run(&sql, params![]));
    assert_eq!(lost.await.unwrap(), 1);
}

/// Received and ended as the account says and as the rows say, where they differ.
fn differs(reconciled: &Reconciled) -> Option<[(i64, i64); 2]> {
    let of = |one: &Difference| Some([one.counted?, one.found?].map(|of| (of.received, of.ended)));
    let mut counts = reconciled
        .differences
        .iter()
        .filter(|one| one.kind == DifferenceKind::CountDiffers);
    counts.next().and_then(of)
}

#[tokio::test]
async fn each_minute_sees_a_loss_in_flight_and_the_walk_one_of_what_has_ended() {
    let (_dir, journal) = journal(7, 4).await;
    let config = watch::Config::default();
    let look = async |complete| watch::look(&journal, &config, complete).await.unwrap();
    assert!(look(Some(Instant::now())).await.is_none(), "everything adds up");

    lose(&journal, "ended IS NOT NULL").await;
    assert!(look(Some(Instant::now())).await.is_none(), "the walk is not due");
    let walked = look(None).await.unwrap();
    assert_eq!(differs(&walked), Some([(7, 4), (6, 3)]));

    lose(&journal, "ended IS NULL").await;
    let seen = look(Some(Instant::now())).await.unwrap();
    assert_eq!(differs(&seen), Some([(7, 4), (5, 3)]));
}

#[tokio::test]
async fn the_walk_counts_over_all_its_steps() {
    let taken = 2 * STEP + 7;
    let (_dir, journal) = journal(taken, taken - 3).await;
    assert_eq!(journal.compare_counts().await.unwrap(), []);
    lose(&journal, "ended IS NOT NULL AND seq < 20").await;
    let found = journal.compare_counts().await.unwrap();
    let [of_reader] = &found[..] else { panic!("{found:?}") };
    assert_eq!(of_reader.participant.as_ref().map(BehoerdeId::as_str), Some(READER));
    assert_eq!(of_reader.found.map(|found| found.received), Some(taken - 1));
}

#[test]
fn what_changes_during_the_walk_is_no_loss() {
    let before = Balance {
        received: 10,
        ended: 6,
        removed: 1,
        in_flight: 4,
    };
    let found = |rows, after| compare(before, rows, after).map(|(_, found)| (found.received, found.ended));
    assert_eq!(found(9, before), None);
    assert_eq!(found(8, before), Some((8, 4)), "a row is gone");
    assert_eq!(found(10, before), Some((10, 6)), "one too many");
    // three came in, two of those before ended, two were taken out
    let after = Balance {
        received: 13,
        ended: 8,
        removed: 3,
        in_flight: 5,
    };
    for rows in [7, 8, 9] {
        assert_eq!(found(rows, after), None, "{rows}: taken out before or behind the walk");
    }
    assert_eq!(found(6, after), Some((9, 4)), "more than was taken out");
    assert_eq!(found(10, after), Some((11, 6)));
    let lost_in_flight = Balance { in_flight: 4, ..after };
    assert_eq!(found(9, lost_in_flight), Some((10, 6)), "lost behind the walk");
}

#[tokio::test]
async fn what_is_in_flight_is_counted_without_a_look_at_what_has_ended() {
    let (_dir, journal) = journal(1, 0).await;
    for side in Side::ALL {
        let steps = searches(&journal, &in_flight(side)).await;
        assert!(steps[0].ends_with("message_living (side=?)"), "{steps:?}");
    }
    let steps = searches(&journal, ROWS_BY_ACCOUNT).await;
    assert!(steps[0].ends_with("PRIMARY KEY (rowid>? AND rowid<?)"), "{steps:?}");
}
