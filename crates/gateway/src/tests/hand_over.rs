//! The way of a message from the journal to its Fachverfahren, with failures on every step of it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viereck_custody::hand_over::{Acted, Begun};
use viereck_custody::pause::Scope;
use viereck_custody::{Actor, Deferral, Journal, JournalError, MessageKey, StatedReason};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{CaseId, Digest};

use crate::Breaker;
use crate::deliver::backlog::Backlogs;
use crate::deliver::{self, Deliveries, markers};
use crate::gateway::Gateway;
use crate::testing::{BEHOERDE, Network, RECEIVER, SENDER, Scripted, eventually, hear, take, until};

/// A gateway that hands over.
pub(super) struct Delivering {
    pub(super) gateway: Arc<Gateway>,
    backlogs: Backlogs,
    stop: CancellationToken,
    tasks: [JoinHandle<Result<(), JournalError>>; 2],
}

impl Delivering {
    pub(super) fn start(gateway: Arc<Gateway>) -> Self {
        let stop = CancellationToken::new();
        let deliveries = Arc::new(Deliveries::new(&gateway.config.deliveries).unwrap());
        let backlogs = Backlogs::default();
        backlogs.begin(
            gateway.journal.clone(),
            Arc::clone(&deliveries),
            gateway.config.id.clone(),
        );
        let tasks = [
            tokio::spawn(deliver::run(
                Arc::clone(&gateway),
                Arc::clone(&deliveries),
                stop.clone(),
            )),
            tokio::spawn(markers::run(Arc::clone(&gateway), deliveries, stop.clone())),
        ];
        Self {
            gateway,
            backlogs,
            stop,
            tasks,
        }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap().unwrap();
        }
    }
}

fn http(behoerde: &str, url: &str) -> serde_json::Value {
    json!({ "behoerde": behoerde, "leistung": "default", "adapter": "http", "url": url })
}

fn deliveries(deliveries: &[serde_json::Value]) -> String {
    json!({ "delivery": deliveries }).to_string()
}

fn again() -> crate::testing::Answer {
    (503, vec![], String::new())
}

#[tokio::test]
async fn a_failing_fachverfahren_gets_the_same_request_until_it_takes_it() {
    let network = Network::new();
    let server = Scripted::start([again()]).await;
    let here = Delivering::start(
        network
            .gateway(RECEIVER, &deliveries(&[http(BEHOERDE, &server.url)]))
            .await,
    );
    let envelope = network.sealed(|_| {});
    take(&here.gateway, &envelope).await;
    until(&here.gateway.journal, envelope.header().message_id, Stage::Accepted).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for asked in &asked {
        assert_eq!(asked.headers["idempotency-key"], envelope.digest().to_string().as_str());
    }
    // taken again: nothing is handed over again
    take(&here.gateway, &envelope).await;
    let case = here
        .gateway
        .journal
        .cases_of_reader(&envelope.header().process_ref)
        .await
        .unwrap();
    assert_eq!((case.len(), case[0].application), (1, envelope.header().message_id));
    here.stop().await;
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_refusal_ends_it_with_its_reason() {
    let network = Network::new();
    let problem = vec![("content-type", "application/problem+json".to_owned())];
    let server = Scripted::start([(422, problem, r#"{"code":"S020"}"#.to_owned())]).await;
    let here = Delivering::start(
        network
            .gateway(RECEIVER, &deliveries(&[http(BEHOERDE, &server.url)]))
            .await,
    );
    let envelope = network.sealed(|_| {});
    take(&here.gateway, &envelope).await;
    let view = until(&here.gateway.journal, envelope.header().message_id, Stage::Rejected).await;
    assert_eq!(view.reasons, [Reason::S020]);
    here.stop().await;
}

#[tokio::test]
async fn what_was_taken_before_the_clock_was_set_back_is_no_message_from_the_future() {
    let network = Network::new();
    let server = Scripted::start([]).await;
    let gateway = network
        .gateway(RECEIVER, &deliveries(&[http(BEHOERDE, &server.url)]))
        .await;
    // what a gateway whose clock is an hour ahead takes of one whose clock is too: no clock of a test can be set
    let then = Timestamp::now() + SignedDuration::from_hours(1);
    let envelope = network.sealed_at(then, |_| {});
    take(&gateway, &network.sealed(|_| {})).await;
    let header = envelope.header();
    let journal = network.folder.path().join(format!("{RECEIVER}.sqlite"));
    let journal = rusqlite::Connection::open(journal).unwrap();
    let taken = journal.execute(
        "UPDATE message SET message_id = ?, case_id = ?, envelope_digest = ?, bytes_digest = ?, entered_at = ?",
        rusqlite::params![
            header.message_id.to_string(),
            header.process_ref.to_string(),
            envelope.digest().octets(),
            Digest::of(envelope.bytes()).octets(),
            then.as_millisecond()
        ],
    );
    assert_eq!(taken.unwrap(), 1);
    let octets = rusqlite::params![&**envelope.bytes()];
    assert_eq!(journal.execute("UPDATE sealed SET bytes = ?", octets).unwrap(), 1);
    drop(journal);
    let here = Delivering::start(gateway);
    until(&here.gateway.journal, header.message_id, Stage::Accepted).await;
    assert_eq!(server.asked().len(), 1);
    here.stop().await;
}

#[tokio::test]
async fn one_that_is_down_holds_up_nobody_else() {
    let network = Network::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}/", silent.local_addr().unwrap());
    let good = Scripted::start([]).await;
    let both = deliveries(&[http(BEHOERDE, &dead), http("wgb:010020000000", &good.url)]);
    let mut more: serde_json::Value = serde_json::from_str(&both).unwrap();
    more["limits"] = json!({ "hand_overs": 24 });
    more["timeouts"] = json!({ "stop_seconds": 1 });
    let here = Delivering::start(network.gateway(RECEIVER, &more.to_string()).await);
    for _ in 0..60 {
        take(&here.gateway, &network.sealed(|_| {})).await;
    }
    let behind = network.sealed(|draft| draft.reader = "wgb:010020000000".parse().unwrap());
    take(&here.gateway, &behind).await;
    until(&here.gateway.journal, behind.header().message_id, Stage::Accepted).await;
    assert_eq!(good.asked().len(), 1);
    here.stop().await;
}

#[tokio::test]
async fn those_that_wait_for_their_turn_do_not_try_what_has_just_failed() {
    let network = Network::new();
    let later = vec![("retry-after", "3600".to_owned())];
    let server = Scripted::start([(503, later, String::new())]).await;
    let mut delivery = http(BEHOERDE, &server.url);
    delivery["concurrency"] = json!(1);
    let gateway = network.gateway(RECEIVER, &deliveries(&[delivery])).await;
    for _ in 0..4 {
        take(&gateway, &network.sealed(|_| {})).await;
    }
    let here = Delivering::start(gateway);
    eventually("asked", || !server.asked().is_empty()).await;
    // which waits for all four
    here.stop().await;
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_journal_that_cannot_write_for_a_while_ends_nothing() {
    let network = Network::new();
    let server = Scripted::start([]).await;
    let gateway = network
        .gateway(RECEIVER, &deliveries(&[http(BEHOERDE, &server.url)]))
        .await;
    take(&gateway, &network.sealed(|_| {})).await;
    let failed = Arc::new(AtomicBool::new(false));
    let hearing = hear({
        let failed = Arc::clone(&failed);
        move |_, fields| {
            if fields.contains("the journal cannot go on") {
                failed.store(true, Ordering::Relaxed);
            }
        }
    });
    let journal = network.folder.path().join(format!("{RECEIVER}.sqlite"));
    let held = rusqlite::Connection::open(journal).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let here = Delivering::start(Arc::clone(&gateway));
    eventually("it failed", || failed.load(Ordering::Relaxed)).await;
    drop((hearing, held));
    let next = network.sealed(|_| {});
    take(&gateway, &next).await;
    until(&gateway.journal, next.header().message_id, Stage::Accepted).await;
    here.stop().await;
}

#[tokio::test]
async fn what_is_not_set_up_waits_for_the_operator() {
    let network = Network::new();
    let server = Scripted::start([(401, vec![], String::new())]).await;
    let here = Delivering::start(
        network
            .gateway(RECEIVER, &deliveries(&[http(BEHOERDE, &server.url)]))
            .await,
    );
    let (envelope, nowhere) = (
        network.sealed(|_| {}),
        network.sealed(|draft| draft.reader = "wgb:010020000000".parse().unwrap()),
    );
    let heard = Arc::new(AtomicBool::new(false));
    let _hearing = hear({
        let heard = Arc::clone(&heard);
        move |_, fields| {
            heard.store(
                heard.load(Ordering::Relaxed) || fields.contains("no delivery"),
                Ordering::Relaxed,
            )
        }
    });
    let mut news = here.gateway.journal.subscribe();
    take(&here.gateway, &envelope).await;
    take(&here.gateway, &nowhere).await;
    assert_eq!(next(&mut news, "deferred").await, [Reason::AdapterMisconfigured]);
    eventually("told", || heard.load(Ordering::Relaxed)).await;
    for message in [&envelope, &nowhere] {
        let id = message.header().message_id;
        let view = here.gateway.journal.message(&id).await.unwrap().unwrap();
        assert_eq!(view.status, Stage::Delivered);
    }
    let backlogs = here.backlogs.list().await.unwrap();
    let breakers: Vec<_> = backlogs
        .iter()
        .map(|backlog| (backlog.waiting, backlog.breaker))
        .collect();
    assert!(
        matches!(breakers[..], [(1, Some(Breaker::Open { .. })), (1, None)]),
        "{breakers:?}"
    );
    here.stop().await;
}

fn operator() -> (StatedReason, Actor) {
    ("ticket 1".parse().unwrap(), Actor::operator("anna").unwrap())
}

#[tokio::test]
async fn a_paused_authority_waits_and_no_other_one() {
    let network = Network::new();
    let (paused, other) = (Scripted::start([]).await, Scripted::start([]).await);
    let both = deliveries(&[http(BEHOERDE, &paused.url), http("wgb:010020000000", &other.url)]);
    let here = Delivering::start(network.gateway(RECEIVER, &both).await);
    let journal = here.gateway.journal.clone();
    let ((reason, actor), scope) = (operator(), Scope::Behoerde(BEHOERDE.parse().unwrap()));
    journal
        .pause(scope.clone(), reason.clone(), actor.clone())
        .await
        .unwrap();
    let held = network.sealed(|_| {});
    let behind = network.sealed(|draft| draft.reader = "wgb:010020000000".parse().unwrap());
    take(&here.gateway, &held).await;
    take(&here.gateway, &behind).await;
    until(&journal, behind.header().message_id, Stage::Accepted).await;
    let backlogs = here.backlogs.list().await.unwrap();
    assert_eq!(backlogs[0].paused.as_ref().map(|pause| &pause.reason), Some(&reason));
    assert_eq!((backlogs[0].waiting, backlogs[0].ready_at), (1, None));
    // a message that was given out before the pause: it does not begin either
    let key = crate::testing::key_of(&held);
    assert_eq!(journal.begin_hand_over(&key, None).await.unwrap(), Begun::Paused);
    assert!(paused.asked().is_empty());
    journal.resume(scope, reason, actor).await.unwrap();
    until(&journal, held.header().message_id, Stage::Accepted).await;
    assert_eq!((paused.asked().len(), other.asked().len()), (1, 1));
    here.stop().await;
}

/// The first that waits, with an attempt begun.
async fn begun(journal: &Journal) -> MessageKey {
    let waiting = journal.queue().await.unwrap().waiting[0].clone();
    let given = journal.give_out(&waiting.pair, waiting.class, Timestamp::now(), 1);
    let key = given.await.unwrap()[0].key.clone();
    journal.begin_hand_over(&key, None).await.unwrap();
    key
}

#[tokio::test]
async fn what_lies_in_a_folder_that_is_no_longer_configured_is_told_of() {
    let network = Network::new();
    let elsewhere = Scripted::start([]).await;
    let only = deliveries(&[http("wgb:010020000000", &elsewhere.url)]);
    let gateway = network.gateway(RECEIVER, &only).await;
    take(&gateway, &network.sealed(|_| {})).await;
    let key = begun(&gateway.journal).await;
    gateway.journal.handed_over(&key).await.unwrap();
    let heard = Arc::new(AtomicBool::new(false));
    let _hearing = hear({
        let heard = Arc::clone(&heard);
        move |_, fields| {
            if fields.contains("no answers are looked for") {
                heard.store(true, Ordering::Relaxed);
            }
        }
    });
    let here = Delivering::start(gateway);
    eventually("told", || heard.load(Ordering::Relaxed)).await;
    here.stop().await;
}

#[tokio::test]
async fn looking_for_markers_writes_nothing() {
    let network = Network::new();
    let folder = network.folder.path().join("in");
    fs::create_dir(&folder).unwrap();
    let delivery = json!({ "behoerde": BEHOERDE, "leistung": "default", "adapter": "directory", "folder": folder });
    let gateway = network.gateway(RECEIVER, &deliveries(&[delivery])).await;
    let here = Delivering::start(Arc::clone(&gateway));
    let envelopes: Vec<_> = (0..8).map(|_| network.sealed(|_| {})).collect();
    for envelope in &envelopes {
        take(&gateway, envelope).await;
    }
    let place = |n: usize| folder.join(envelopes[n].header().message_id.to_string());
    eventually("in place", || (0..8).all(|n| place(n).exists())).await;
    let unanswered = async || {
        here.backlogs
            .list()
            .await
            .unwrap()
            .first()
            .map_or(0, |backlog| backlog.unanswered)
    };
    while unanswered().await < 8 {
        tokio::task::yield_now().await;
    }
    // none of the looks writes a row
    let file = network.folder.path().join(format!("{RECEIVER}.sqlite"));
    let look = rusqlite::Connection::open(file).unwrap();
    let version = || {
        look.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let told = Arc::new(AtomicUsize::new(0));
    let _hearing = hear({
        let told = Arc::clone(&told);
        move |_, fields| {
            if fields.contains("marker-unclear") {
                told.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let before = version();
    // a folder that says both is told of by the look that meets it: there was one, and another one behind it
    for looks in 1..=2 {
        for marker in ["accepted", "rejected"] {
            fs::write(place(looks).join(marker), "").unwrap();
        }
        eventually("looked", || told.load(Ordering::Relaxed) >= looks).await;
    }
    assert_eq!(version(), before);
    fs::write(place(3).join("accepted"), "").unwrap();
    until(&gateway.journal, envelopes[3].header().message_id, Stage::Accepted).await;
    assert_ne!(version(), before);
    // one that lost its folder and every trace of it is handed over anew
    let record = folder
        .join(".viereck/handed")
        .join(envelopes[5].header().message_id.to_string());
    fs::remove_file(record).unwrap();
    fs::remove_dir_all(place(5)).unwrap();
    eventually("again", || place(5).exists()).await;
    here.stop().await;
}

#[tokio::test]
async fn an_answer_to_no_case_of_ours_is_rejected() {
    let network = Network::new();
    let server = Scripted::start([]).await;
    let here = Delivering::start(
        network
            .gateway(SENDER, &deliveries(&[http("wgp:010000000000", &server.url)]))
            .await,
    );
    let stray = network.answer(viereck_routing::MessageId::random(), CaseId::random(), None);
    take(&here.gateway, &stray).await;
    let view = until(&here.gateway.journal, stray.header().message_id, Stage::Rejected).await;
    assert_eq!(view.reasons, [Reason::NotOurCase]);
    here.stop().await;
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_folder_is_handed_over_once_whatever_the_crash() {
    let network = Network::new();
    let folder = network.folder.path().join("in");
    fs::create_dir(&folder).unwrap();
    let delivery = json!({ "behoerde": BEHOERDE, "leistung": "default", "adapter": "directory", "folder": folder });
    let gateway = network.gateway(RECEIVER, &deliveries(&[delivery])).await;
    let envelope = network.sealed(|_| {});
    let place = folder.join(envelope.header().message_id.to_string());
    let here = Delivering::start(Arc::clone(&gateway));
    take(&gateway, &envelope).await;
    eventually("in place", || place.exists()).await;
    here.stop().await;
    // what a process finds that starts after one that died: the folder, and nothing concluded
    fs::write(place.join("seen"), "by the Fachverfahren").unwrap();
    let here = Delivering::start(Arc::clone(&gateway));
    fs::write(place.join("accepted"), "").unwrap();
    until(&gateway.journal, envelope.header().message_id, Stage::Accepted).await;
    assert!(place.join("seen").exists(), "it was written a second time");

    let (taken, refused) = (network.sealed(|_| {}), network.sealed(|_| {}));
    take(&gateway, &taken).await;
    take(&gateway, &refused).await;
    let places = [&taken, &refused].map(|envelope| folder.join(envelope.header().message_id.to_string()));
    eventually("both in place", || places.iter().all(|place| place.exists())).await;
    fs::rename(&places[0], network.folder.path().join("taken")).unwrap();
    fs::write(places[1].join("rejected"), "X001\n").unwrap();
    until(&gateway.journal, taken.header().message_id, Stage::Accepted).await;
    let view = until(&gateway.journal, refused.header().message_id, Stage::Rejected).await;
    assert_eq!(view.reasons, [Reason::X001]);
    here.stop().await;
}

/// The step or stage that a message reaches next, with its reasons.
async fn next(news: &mut tokio::sync::broadcast::Receiver<viereck_custody::Occurrence>, stage: &str) -> Vec<Reason> {
    let reached = async {
        loop {
            let news = news.recv().await.unwrap();
            if news.stage.as_str() == stage {
                return news.reasons;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reached)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_no_longer_verifies_is_parked_and_what_does_not_open_is_rejected() {
    let (network, other) = (Network::new(), Network::new());
    let server = Scripted::start([]).await;
    let more = deliveries(&[http(BEHOERDE, &server.url)]);
    let take_with = async |gateway: &Gateway, envelope: &viereck_envelope::SealedEnvelope| {
        let (bytes, me) = (envelope.bytes().clone(), RECEIVER.parse().unwrap());
        gateway
            .journal
            .take(bytes, &me, Arc::clone(&network.tables))
            .await
            .unwrap();
    };
    // the table that is in force by now pins other certificates
    let gateway = network
        .gateway_with(RECEIVER, &more, other.in_force.subscribe(), network.keys(RECEIVER))
        .await;
    let here = Delivering::start(gateway);
    let mut news = here.gateway.journal.subscribe();
    let envelope = network.sealed(|_| {});
    take_with(&here.gateway, &envelope).await;
    assert_eq!(next(&mut news, "parked").await, [Reason::T002]);
    here.stop().await;

    // the reader's key is not here
    let gateway = other
        .gateway_with(RECEIVER, &more, network.in_force.subscribe(), other.keys(RECEIVER))
        .await;
    let here = Delivering::start(gateway);
    take_with(&here.gateway, &envelope).await;
    let view = until(&here.gateway.journal, envelope.header().message_id, Stage::Rejected).await;
    assert_eq!(view.reasons, [Reason::T020]);
    here.stop().await;

    // nor is it, and the Fachverfahren may have acted on an attempt of before
    let third = Network::new();
    let gateway = third
        .gateway_with(RECEIVER, &more, network.in_force.subscribe(), third.keys(RECEIVER))
        .await;
    take_with(&gateway, &envelope).await;
    let journal = gateway.journal.clone();
    let key = &begun(&journal).await;
    let failed = Deferral::FachverfahrenUnavailable;
    journal
        .defer(key, Timestamp::now(), failed, Acted::Perhaps)
        .await
        .unwrap();
    let mut news = journal.subscribe();
    let here = Delivering::start(gateway);
    assert_eq!(
        next(&mut news, "parked").await,
        [Reason::T020],
        "its author is not told that nobody acted"
    );
    here.stop().await;

    // its Behörde has moved, with its key
    let gateway = network
        .gateway_with(SENDER, &more, network.in_force.subscribe(), network.keys(SENDER))
        .await;
    take_with(&gateway, &envelope).await;
    let here = Delivering::start(gateway);
    let view = until(&here.gateway.journal, envelope.header().message_id, Stage::Rejected).await;
    assert_eq!(view.reasons, [Reason::T080]);
    here.stop().await;
    assert!(server.asked().is_empty());
}
