//! What a copy may no longer say of itself once it is folded.

use std::path::Path;

use viereck_routing::{Environment, day_in_berlin};

use super::*;
use crate::deadlines::Config;

/// The sample table; nothing of it is asked for where nothing is told.
fn tables() -> Arc<Tables> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../routing-tables");
    let loaded = Tables::load(&folder, day_in_berlin(Timestamp::now()));
    Arc::new(loaded.unwrap_or_else(|findings| panic!("{findings}")).tables)
}

/// A copy with taken messages that have not ended, each with these columns.
async fn copy(of: &[&'static str]) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.sqlite");
    let journal = Journal::open(path.as_path(), "gw-r".parse().unwrap(), Environment::Test).await;
    let journal = journal.unwrap();
    let of = of.to_vec();
    let filled = journal.store.write(move |change| {
        change.run("UPDATE identity SET restored = 1", params![])?;
        for (number, set) in of.into_iter().enumerate() {
            let id = format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
            change.run(
                "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                    leistung, gateway, filed_at, obsolete_after, entered_at, work, due_at)
                 VALUES ('taken', 'wgp:010000000000', ?, ?, ?, ?, 'application', 'wgb:010010000000',
                    '99107023037000', 'gw-s', 0, 1, 0, 'hand-over', 0)",
                params![id, &[0_u8; 32], &[0_u8; 32], id],
            )?;
            change.run(&format!("UPDATE message SET {set} WHERE message_id = ?"), params![id])?;
        }
        Ok::<_, JournalError>(())
    });
    filled.await.unwrap();
    (dir, journal)
}

async fn attempts(journal: &Journal) -> Vec<(u32, u32)> {
    let attempts = journal.store.read(|look| {
        look.all("SELECT attempts, unsure FROM message ORDER BY seq", params![], |row| {
            Ok::<_, JournalError>((row.get("attempts")?, row.get("unsure")?))
        })
    });
    attempts.await.unwrap()
}

#[tokio::test]
async fn no_clock_ends_what_may_have_been_taken_over_since_the_copy() {
    let never_tried = "attempts = 0";
    let surely_not_acted = "attempts = 4, unsure = 0";
    let perhaps_acted = "attempts = 4, unsure = 2";
    let parked = "work = NULL, due_at = NULL, parked = 'T002', parked_at = 0";
    let (_dir, journal) = copy(&[never_tried, surely_not_acted, perhaps_acted, parked]).await;
    for _ in 0..2 {
        let reconciling = Reconciling::begin(journal.clone(), tables()).await.unwrap();
        reconciling.end().await.unwrap();
        assert_eq!(attempts(&journal).await, [(1, 1), (4, 1), (4, 2), (1, 1)]);
    }
    let swept = journal.sweep_deadlines(Timestamp::now(), &Config::default()).await;
    let swept = swept.unwrap();
    assert!(swept.ended.is_empty(), "{:?}", swept.ended);
    assert_eq!(swept.unsure.len(), 4);
}
