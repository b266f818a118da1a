//! What is parked at each custodian: octets that did not verify, messages taken out; put back, ended, and many at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::custodians::{Custodians, due, id};
use harness::wait::until;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck_custody::inbox::Taken;
use viereck_custody::job::{self, FASTEST};
use viereck_custody::parked::{Filter, Means, ParkedError, ParkedId, Place, Requeued, What};
use viereck_custody::{Actor, Journal, MessageKey, StatedReason, receipts};
use viereck_envelope::{Reason, Stage};
use viereck_routing::{Class, Digest, Environment, MessageId, Tables};
use viereck_transport::{Link, Queue, Topology};

const DEADLINE: Duration = Duration::from_secs(30);

/// A receiver whose table does not know the author's gateway by its certificate, and the table that does.
struct Parking {
    right: Custodians,
    wrong: Arc<Tables>,
    link: Link,
    _dir: tempfile::TempDir,
}

impl Parking {
    fn prepare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let right = Custodians::prepare();
        let others = Custodians::prepare();
        let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
        Self {
            right,
            wrong: others.tables.clone(),
            link,
            _dir: dir,
        }
    }

    fn means(&self) -> Means {
        Means {
            tables: self.right.tables.clone(),
            link: self.link.clone(),
        }
    }

    /// Octets of a genuine application, kept as refused because of the certificate that was unknown then.
    async fn refused(&self, journal: &Journal, origin: Option<&str>) -> (MessageId, Digest) {
        let message = MessageId::random();
        let sealed = self.right.application(message, b"{}");
        let bytes = sealed.bytes().clone();
        journal
            .keep_refused(bytes.clone(), Reason::T002, origin.map(id))
            .await
            .unwrap();
        (message, Digest::of(&bytes))
    }
}

fn anna() -> (Actor, StatedReason) {
    (Actor::operator("anna").unwrap(), "ticket 1".parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_verify_now_are_taken_and_those_that_do_not_stay() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("gw-sh-2").await;
    let (message, digest) = parking.refused(&journal, None).await;
    let poison = Bytes::from_static(b"<Envelope/>");
    journal.keep_refused(poison.clone(), Reason::X001, None).await.unwrap();
    let (actor, reason) = anna();

    let listed = journal.parked(&Filter::default(), Place::default(), 10).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|parked| matches!(parked.what, What::Octets { .. })));
    let groups = journal.parked_groups().await.unwrap();
    assert_eq!(groups.iter().map(|group| group.octets).collect::<Vec<_>>(), [1, 1]);

    let too_early = Means {
        tables: parking.wrong.clone(),
        link: parking.link.clone(),
    };
    let octets = ParkedId::Octets(digest);
    let still = journal.requeue(octets, &too_early, &actor, &reason).await.unwrap();
    assert!(matches!(still, Requeued::Still { .. }), "{still:?}");
    let flowing = journal
        .requeue(octets, &parking.means(), &actor, &reason)
        .await
        .unwrap();
    assert!(matches!(flowing, Requeued::Flowing { .. }), "{flowing:?}");
    let view = journal.message(&message).await.unwrap().unwrap();
    assert_eq!(view.status, Stage::Delivered);
    let again = journal.requeue(octets, &parking.means(), &actor, &reason).await;
    assert!(matches!(again, Err(ParkedError::NotParked)), "{again:?}");

    // poison stays poison, until somebody throws it away
    let poison = ParkedId::Octets(Digest::of(&poison));
    let still = journal
        .requeue(poison, &parking.means(), &actor, &reason)
        .await
        .unwrap();
    assert!(matches!(still, Requeued::Still { .. }), "{still:?}");
    assert_eq!(journal.discard(poison, &actor, &reason).await.unwrap(), None);
    assert!(journal.parked_groups().await.unwrap().is_empty());
    let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
    let told: Vec<String> = trail
        .iter()
        .map(|line| format!("{} {}", line.verb, line.outcome.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        told,
        ["requeue still", "requeue flowing", "requeue still", "discard deleted"]
    );
    assert_eq!(journal.verify_audit().await.unwrap().broken, None);
    println!("account: 2 refused, 1 taken after all, 1 discarded, 4 lines in the trail");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_relays_what_verifies_now_and_never_what_came_under_a_foreign_name() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("broker").await;
    let (message, own) = parking.refused(&journal, Some("gw-sh-1")).await;
    let (_, borrowed) = parking.refused(&journal, Some("gw-nw-1")).await;
    let (actor, reason) = anna();
    let requeue = async |digest| {
        let id = ParkedId::Octets(digest);
        journal.requeue(id, &parking.means(), &actor, &reason).await.unwrap()
    };
    assert_eq!(
        requeue(own).await,
        Requeued::Flowing {
            target_then: None,
            target_now: Some(id("gw-sh-2"))
        }
    );
    assert_eq!(requeue(borrowed).await, Requeued::Still { reason: Reason::T070 });
    let held = journal.held_for().await.unwrap();
    assert_eq!(
        held.iter().map(|held| held.gateway.clone()).collect::<Vec<_>>(),
        [Some(id("gw-sh-2"))]
    );
    assert!(journal.message(&message).await.unwrap().is_some());
    // its gateway has still to be told of the other one: not thrown away before
    let borrowed = ParkedId::Octets(borrowed);
    let early = journal.discard(borrowed, &actor, &reason).await;
    assert!(matches!(early, Err(ParkedError::NotTold)), "{early:?}");
    println!("account: 2 refused at the broker, 1 relayed to gw-sh-2, 1 kept");
}

/// A Behörde that moved while its message was parked: the gateway of then stands beside the one of now.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_held_message_was_meant_to_go_stands_beside_where_it_goes_now() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("broker").await;
    let sealed = parking.right.application(MessageId::random(), b"{}");
    let now = Timestamp::now();
    let tables = parking.right.tables.as_ref();
    let verified = viereck_envelope::verify(sealed.bytes().clone(), tables, Environment::Test, now).unwrap();
    let key = MessageKey::of(verified.header());
    journal
        .hold(
            &verified,
            Class::Normal,
            id("gw-nw-2"),
            Some(Reason::QueueFull),
            now,
            None,
        )
        .await
        .unwrap();
    journal.park_held(&key, Reason::T002).await.unwrap();
    let parked = ParkedId::Message(key.message_id);
    let shown = &journal.parked_of(parked).await.unwrap()[0];
    let What::Message(message) = &shown.what else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (message.target.clone(), shown.target_now(tables, now)),
        (Some(id("gw-nw-2")), Some(id("gw-sh-2")))
    );
    let (actor, reason) = anna();
    let requeued = journal.requeue(parked, &parking.means(), &actor, &reason).await;
    assert_eq!(
        requeued.unwrap(),
        Requeued::Flowing {
            target_then: Some(id("gw-nw-2")),
            target_now: Some(id("gw-sh-2"))
        }
    );
    println!("account: 1 held for gw-nw-2 and parked, requeued to gw-sh-2");
}

/// At its author's gateway it is over then, and the content may be on its way under another name.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_author_was_told_is_refused_stays_refused() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("broker").await;
    let (message, digest) = parking.refused(&journal, Some("gw-sh-1")).await;
    let topology = Topology {
        gateways: parking
            .right
            .tables
            .gateways()
            .map(|gateway| gateway.id.clone())
            .collect(),
        bindings: Default::default(),
    };
    parking.link.reconcile(&topology).await.unwrap();
    let stop = CancellationToken::new();
    let signer = Arc::new(parking.right.signer("broker"));
    let telling = tokio::spawn(receipts::run_out(
        journal.clone(),
        parking.link.clone(),
        move || Arc::clone(&signer),
        receipts::Road::Direct,
        receipts::Config::default(),
        stop.clone(),
    ));
    let mut told = parking.link.consume(&Queue::Receipts(id("gw-sh-1")), 1).await.unwrap();
    let receipt = tokio::time::timeout(DEADLINE, told.next()).await.unwrap().unwrap();
    receipt.done();
    stop.cancel();
    telling.await.unwrap().unwrap();
    let (actor, reason) = anna();
    let octets = ParkedId::Octets(digest);
    let again = journal.requeue(octets, &parking.means(), &actor, &reason).await;
    assert!(matches!(again, Err(ParkedError::Told)), "{again:?}");
    assert!(journal.message(&message).await.unwrap().is_none());
    assert!(journal.held_for().await.unwrap().is_empty());
    assert_eq!(journal.discard(octets, &actor, &reason).await.unwrap(), None);
    println!("account: 1 refused at the broker, its gateway told, 0 relayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_message_ends_and_its_author_learns_it() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("gw-sh-2").await;
    let message = MessageId::random();
    let sealed = parking.right.application(message, b"{}");
    let me = id("gw-sh-2");
    let tables = parking.right.tables.clone();
    let taken = journal.take(sealed.bytes().clone(), &me, tables).await.unwrap();
    assert_eq!(taken, Taken::New);
    let key = due(&journal, 1).await.remove(0).key;
    assert_eq!(key.message_id, message);
    journal.park(&key, Reason::T002).await.unwrap();
    let (actor, reason) = anna();
    let by_reader = Filter {
        reader: Some(sealed.header().reader.clone()),
        ..Filter::default()
    };
    let listed = journal.parked(&by_reader, Place::default(), 10).await.unwrap();
    assert_eq!(listed[0].target_now(&parking.right.tables, Timestamp::now()), Some(me));

    let parked = ParkedId::Message(message);
    assert_eq!(
        journal.discard(parked, &actor, &reason).await.unwrap(),
        Some(Stage::Rejected)
    );
    let view = journal.message(&message).await.unwrap().unwrap();
    assert_eq!((view.status, view.terminal), (Stage::Rejected, true));
    assert_eq!(view.reasons, [Reason::Discarded]);
    let again = journal.discard(parked, &actor, &reason).await;
    assert!(
        matches!(again, Err(ParkedError::NotParked)),
        "an end is an end: {again:?}"
    );
    let account = journal.ledger().await.unwrap().total_taken();
    assert_eq!((account.received, account.ended), (1, 1));
    println!("account: 1 taken, 1 parked, 1 rejected with the reason discarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_a_reader_who_has_moved_away_is_not_handed_over_here() {
    let parking = Parking::prepare();
    let journal = parking.right.journal("gw-sh-2").await;
    let sealed = parking.right.application(MessageId::random(), b"{}");
    let (bytes, tables) = (sealed.bytes().clone(), parking.right.tables.clone());
    journal.take(bytes, &id("gw-sh-2"), tables).await.unwrap();
    let key = due(&journal, 1).await.remove(0).key;
    journal.park(&key, Reason::T002).await.unwrap();
    let elsewhere = Means {
        tables: parking.right.moved(),
        link: parking.link.clone(),
    };
    let (actor, reason) = anna();
    let parked = ParkedId::Message(key.message_id);
    let refused = journal.requeue(parked, &elsewhere, &actor, &reason).await;
    assert!(matches!(refused, Err(ParkedError::ReaderElsewhere)), "{refused:?}");
    let still = journal.parked(&Filter::default(), Place::default(), 10).await.unwrap();
    assert_eq!(still.iter().map(|parked| parked.id).collect::<Vec<_>>(), [parked]);
    let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
    assert!(trail.is_empty(), "nothing was done: {trail:?}");
    let back = journal.requeue(parked, &parking.means(), &actor, &reason).await;
    assert!(matches!(back, Ok(Requeued::Flowing { .. })), "{back:?}");
    println!("account: 1 parked, refused while its reader was elsewhere, 1 back in the flow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_stopped_leaves_the_rest_parked() {
    const ITEMS: u64 = 4;
    let parking = Parking::prepare();
    let journal = parking.right.journal("gw-sh-2").await;
    for _ in 0..ITEMS {
        parking.refused(&journal, None).await;
    }
    let (actor, reason) = anna();
    // the first at once, the second in a minute
    let job = journal
        .start_job(Filter::default(), 1, &actor, &reason)
        .await
        .unwrap()
        .unwrap();
    let (_tables, in_force) = watch::channel(parking.right.tables.clone());
    let stop = CancellationToken::new();
    let working = job::run(journal.clone(), parking.link.clone(), in_force, stop.clone());
    let working = tokio::spawn(working);
    let progress = async || journal.jobs().await.unwrap().remove(0);
    until(DEADLINE, "one is done", async || {
        (progress().await.left == ITEMS - 1).then_some(())
    })
    .await;
    assert!(journal.stop_job(job.id.clone(), &actor, &reason).await.unwrap());
    stop.cancel();
    working.await.unwrap().unwrap();
    let stopped = progress().await;
    assert!(stopped.ended_at.is_some(), "{stopped:?}");
    assert_eq!((stopped.left, stopped.results.get("flowing")), (ITEMS - 1, Some(&1)));
    let groups = journal.parked_groups().await.unwrap();
    assert_eq!(groups.iter().map(|group| group.octets).sum::<u64>(), ITEMS - 1);
    // over is over, and nobody is told twice
    assert!(!journal.stop_job(job.id, &actor, &reason).await.unwrap());
    let trail = journal.audit_trail(Timestamp::UNIX_EPOCH, None, 10).await.unwrap();
    let told: Vec<&str> = trail.iter().map(|line| line.verb.as_str()).collect();
    assert_eq!(told, ["start-job", "requeue", "stop-job"]);
    println!("account: {ITEMS} parked, 1 requeued by a job that was stopped, 3 still parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_its_pace_goes_on_after_a_restart_and_does_each_item_once() {
    const ITEMS: usize = 40;
    let parking = Parking::prepare();
    let place = parking.right.place("gw-sh-2").await;
    let journal = place.open().await;
    let mut messages = vec![];
    for _ in 0..ITEMS {
        messages.push(parking.refused(&journal, None).await.0);
    }
    let (actor, reason) = anna();
    let none = Filter {
        cause: Some(Reason::X001),
        ..Filter::default()
    };
    assert!(journal.start_job(none, 60, &actor, &reason).await.unwrap().is_none());
    let all = Filter {
        cause: Some(Reason::T002),
        ..Filter::default()
    };
    let begun = std::time::Instant::now();
    let job = journal.start_job(all, FASTEST, &actor, &reason).await.unwrap().unwrap();
    assert_eq!((job.items, job.left), (ITEMS as u64, ITEMS as u64));

    let (_tables, in_force) = watch::channel(parking.right.tables.clone());
    let work = |journal: &Journal, stop: &CancellationToken| {
        let work = job::run(journal.clone(), parking.link.clone(), in_force.clone(), stop.clone());
        tokio::spawn(work)
    };
    let progress = async |journal: &Journal| journal.jobs().await.unwrap().remove(0);
    let stop = CancellationToken::new();
    let working = work(&journal, &stop);
    until(DEADLINE, "half of it is done", async || {
        (progress(&journal).await.left <= ITEMS as u64 / 2).then_some(())
    })
    .await;
    stop.cancel();
    working.await.unwrap().unwrap();
    let half = progress(&journal).await;
    assert!(half.left > 0 && half.ended_at.is_none(), "{half:?}");
    journal.close().await;

    let journal = place.open().await;
    let stop = CancellationToken::new();
    let working = work(&journal, &stop);
    let done = until(DEADLINE, "all of it", async || {
        let job = progress(&journal).await;
        job.ended_at.is_some().then_some(job)
    })
    .await;
    stop.cancel();
    working.await.unwrap().unwrap();
    // never faster than its rate: 6000 a minute are 10 ms for each
    assert!(
        begun.elapsed() >= Duration::from_millis(10) * (ITEMS as u32 - 2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(done.results.get("flowing"), Some(&(ITEMS as u64)), "{done:?}");
    for message in &messages {
        let view = journal.message(message).await.unwrap().unwrap();
        assert_eq!(view.status, Stage::Delivered);
    }
    assert_eq!(journal.ledger().await.unwrap().total_taken().received, ITEMS as u64);
    println!("account: {ITEMS} items, each requeued once, in {:?}", begun.elapsed());
}
