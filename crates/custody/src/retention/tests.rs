//! What goes when, and what stays until somebody has it.

use super::*;
use crate::audit::Actor;
use crate::content::ContentError;
use crate::replace::Order;
use crate::testing::journal;
use crate::{MessageKey, StatedReason};

const DAY: i64 = 24 * 3600 * 1000;

fn at(day: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + day * DAY).unwrap()
}

/// A message with octets in a case of its own, or in that of `case`; ended on day 0 where it has ended.
async fn message(journal: &Journal, number: usize, case: usize, side: &'static str, ended: Option<&'static str>) {
    let id = |number: usize| format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}");
    let fill = journal.store.write(move |change| {
        change.run(
            "INSERT INTO message (side, author, message_id, envelope_digest, bytes_digest, case_id, kind, reader,
                leistung, gateway, filed_at, obsolete_after, entered_at, ended, ended_at)
             VALUES (?, 'wgp:010000000000', ?, ?, ?, ?, 'application', 'wgb:010010000000', '99107023037000', 'gw-s',
                0, ?, 0, ?, ?)",
            params![
                side,
                id(number),
                &[0_u8; 32],
                &[0_u8; 32],
                id(case),
                at(30).as_millisecond(),
                ended,
                ended.map(|_| at(0).as_millisecond())
            ],
        )?;
        change.run(
            "INSERT INTO sealed (message, bytes) SELECT seq, ? FROM message WHERE message_id = ?",
            params![&[1_u8, 2, 3], id(number)],
        )?;
        change.run(
            "INSERT INTO event (message_id, author, envelope_digest, stage, time, custodian, standing)
             VALUES (?, 'wgp:010000000000', ?, 'delivered', ?, 'gw-r', 1)",
            params![id(number), &[0_u8; 32], at(0).as_millisecond()],
        )?;
        Ok::<_, JournalError>(())
    });
    fill.await.unwrap();
}

/// What its reader's gateway said of a message.
async fn rejected(journal: &Journal, number: usize, reason: &'static str) {
    let said = journal.store.write(move |change| {
        change.run(
            "UPDATE event SET stage = 'rejected', reasons = ?, octets = ? WHERE message_id = ?",
            params![reason, &[1_u8], format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}")],
        )?;
        Ok::<_, JournalError>(())
    });
    said.await.unwrap();
}

async fn count(journal: &Journal, sql: &'static str) -> i64 {
    let counted = journal.store.read(move |look| {
        let counted = look.first(sql, params![], |row| row.at::<i64>(0))?;
        Ok::<_, JournalError>(counted.unwrap_or_default())
    });
    counted.await.unwrap()
}

#[tokio::test]
async fn octets_go_with_a_step_when_nobody_needs_them_and_an_unread_application_stays() {
    let (_dir, journal) = journal("gw-r").await;
    message(&journal, 0, 0, "taken", Some("accepted")).await;
    message(&journal, 1, 1, "taken", None).await;
    message(&journal, 2, 2, "sent", Some("rejected")).await;
    message(&journal, 3, 3, "sent", Some("expired")).await;
    message(&journal, 4, 4, "sent", Some("undeliverable")).await;
    for (number, reason) in [(5, "discarded"), (6, "undecipherable"), (7, "S999")] {
        message(&journal, number, number, "sent", Some("rejected")).await;
        rejected(&journal, number, reason).await;
    }
    message(&journal, 8, 8, "sent", Some("withdrawn")).await;
    let (config, mut progress) = (Config::default(), Progress::default());
    let mut octets = async |day| {
        let deleted = journal.sweep_retention(at(day), &config, &mut progress).await.unwrap();
        deleted.octets
    };
    assert_eq!(
        [octets(6).await, octets(7).await, octets(29).await, octets(30).await],
        [0, 1, 0, 2]
    );
    assert_eq!(
        count(&journal, "SELECT count(*) FROM event WHERE stage = 'erased'").await,
        3
    );
    assert_eq!(octets(1000).await, 0);
    assert_eq!(count(&journal, "SELECT count(*) FROM sealed").await, 6);
    assert_eq!(
        count(&journal, "SELECT count(*) FROM message").await,
        6,
        "three cases are over"
    );
}

#[tokio::test]
async fn a_case_goes_as_a_whole_and_no_earlier_than_its_last_message() {
    let (_dir, journal) = journal("gw-r").await;
    for number in 0..3 * STEP {
        message(&journal, number, number, "taken", Some("accepted")).await;
    }
    message(&journal, 500, 500, "taken", Some("accepted")).await;
    message(&journal, 501, 500, "taken", None).await;
    let (config, mut progress) = (Config::default(), Progress::default());
    let early = journal.sweep_retention(at(729), &config, &mut progress).await.unwrap();
    assert_eq!((early.messages, early.octets), (0, 3 * STEP as u64 + 1));
    let deleted = journal.sweep_retention(at(730), &config, &mut progress).await.unwrap();
    assert_eq!(deleted.messages, 3 * STEP as u64);
    assert_eq!(count(&journal, "SELECT count(*) FROM message").await, 2);
    assert_eq!(count(&journal, "SELECT count(DISTINCT message_id) FROM event").await, 2);
    assert_eq!(
        count(&journal, "SELECT removed FROM account WHERE side = 'taken'").await,
        3 * STEP as i64
    );
}

#[tokio::test]
async fn a_message_is_known_for_as_long_as_it_may_come_again() {
    let (_dir, journal) = journal("gw-r").await;
    message(&journal, 0, 0, "taken", Some("accepted")).await;
    let purpose = journal.store.write(|change| {
        let purpose = at(1000).as_millisecond();
        change.run("UPDATE message SET obsolete_after = ?", params![purpose])?;
        Ok::<_, JournalError>(())
    });
    purpose.await.unwrap();
    let (config, mut progress) = (Config::default(), Progress::default());
    for (day, gone) in [(730, 0), (1029, 0), (1030, 1)] {
        let deleted = journal.sweep_retention(at(day), &config, &mut progress).await.unwrap();
        assert_eq!(deleted.messages, gone, "day {day}");
    }
}

#[tokio::test]
async fn promises_and_what_did_not_verify_are_bounded() {
    let (_dir, journal) = journal("gw-r").await;
    let fill = journal.store.write(|change| {
        for number in 0..100_i64 {
            change.run(
                "INSERT INTO promise (owner, key, fingerprint, answer, author, message_id, made_at)
                 VALUES ('client:a', ?, ?, '', '', '', ?)",
                params![number.to_string(), &[0_u8; 32], at(number).as_millisecond()],
            )?;
            let digest: [u8; 32] = std::array::from_fn(|_| number as u8);
            change.run(
                "INSERT INTO refused_octets (bytes_digest, reason, time, bytes) VALUES (?, 'T011', ?, ?)",
                params![&digest, at(number).as_millisecond(), &[1_u8]],
            )?;
        }
        Ok::<_, JournalError>(())
    });
    fill.await.unwrap();
    let config = Config {
        refused_most: 40,
        ..Config::default()
    };
    let deleted = journal
        .sweep_retention(at(100), &config, &mut Progress::default())
        .await
        .unwrap();
    assert_eq!((deleted.promises, deleted.refused), (71, 60));
    let deleted = journal
        .sweep_retention(at(189), &config, &mut Progress::default())
        .await
        .unwrap();
    assert_eq!((deleted.promises, deleted.refused), (29, 40));
}

fn key(number: usize) -> MessageKey {
    MessageKey {
        author: "wgp:010000000000".parse().unwrap(),
        message_id: format!("6f0a6f6c-8f0e-4c3e-9a53-{number:012}").parse().unwrap(),
    }
}

#[tokio::test]
async fn what_ended_unread_is_kept_and_named_until_it_is_erased_and_then_its_case_goes_in_time() {
    let (_dir, journal) = journal("gw-r").await;
    message(&journal, 1, 1, "sent", Some("expired")).await;
    message(&journal, 2, 2, "sent", Some("undeliverable")).await;
    message(&journal, 3, 3, "sent", Some("rejected")).await;
    rejected(&journal, 3, "S999").await;
    message(&journal, 4, 4, "sent", None).await;
    message(&journal, 5, 5, "sent", Some("accepted")).await;
    message(&journal, 6, 6, "taken", Some("rejected")).await;
    let (config, mut progress) = (Config::default(), Progress::default());
    let unread = async |day| journal.unread_kept(config.unread_until(at(day))).await.unwrap();
    assert_eq!(unread(89).await, None, "not for long");
    journal.sweep_retention(at(90), &config, &mut progress).await.unwrap();
    assert_eq!(unread(90).await, Some((2, at(0))), "what was read does not count");

    for (number, code) in [(4, "in flight"), (5, "not kept"), (6, "unknown")] {
        let refused = journal.erase_content(&key(number), None).await.unwrap_err();
        let expected = match refused {
            ContentError::InFlight => "in flight",
            ContentError::NotKept => "not kept",
            ContentError::Unknown => "unknown",
            ContentError::Journal(_) => "failed",
        };
        assert_eq!(expected, code, "{number}");
    }
    journal.erase_content(&key(1), None).await.unwrap();
    let (actor, reason): (_, StatedReason) = (Actor::operator("anna").unwrap(), "nobody comes, 4712".parse().unwrap());
    let order = || {
        Some(Order {
            actor: actor.clone(),
            reason: reason.clone(),
        })
    };
    journal.erase_content(&key(2), order()).await.unwrap();
    let again = journal.erase_content(&key(2), order()).await;
    assert!(matches!(again, Err(ContentError::NotKept)), "{again:?}");
    let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
    let lines: Vec<_> = trail
        .iter()
        .map(|line| (line.verb.as_str(), line.target.clone()))
        .collect();
    assert_eq!(
        lines,
        [("erase", key(2).message_id.to_string())],
        "once, and only the operator"
    );
    assert_eq!(unread(1000).await, None);
    let erased = "SELECT count(*) FROM event WHERE stage = 'erased' AND (message_id LIKE '%1' OR message_id LIKE '%2')";
    assert_eq!(count(&journal, erased).await, 2);

    let deleted = journal.sweep_retention(at(729), &config, &mut progress).await.unwrap();
    assert_eq!(deleted.messages, 0);
    let deleted = journal.sweep_retention(at(730), &config, &mut progress).await.unwrap();
    assert_eq!(deleted.messages, 5, "all but what has not ended");
    assert_eq!(count(&journal, "SELECT count(*) FROM message").await, 1);
}

#[tokio::test]
async fn a_clock_that_has_jumped_deletes_nothing() {
    let (_dir, journal) = journal("gw-r").await;
    message(&journal, 1, 1, "sent", Some("accepted")).await;
    let long_ago = journal.store.write(|change| {
        change.run("UPDATE message SET ended_at = 0, obsolete_after = 0", &[])?;
        Ok::<_, JournalError>(())
    });
    long_ago.await.unwrap();
    let round = async || {
        let (config, mut progress, mut told) = (Config::default(), Progress::default(), 0);
        let looked = journal.retention_round(&config, &mut progress, &mut told);
        looked.await.unwrap();
        let kept = journal.store.read(|look| look.exists("SELECT 1 FROM message", &[]));
        kept.await.unwrap()
    };
    journal.shared.clock.jump(SignedDuration::from_hours(24 * 800));
    assert!(round().await, "what ended long ago by this clock is still here");
    journal.shared.clock.jump(-SignedDuration::from_hours(24 * 800));
    assert!(!round().await);
}
