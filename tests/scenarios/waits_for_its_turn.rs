//! What waits for a hand-over is asked for by authority, rests while it is paused, and ends in time; what is over is not
//! kept for ever, and the ledger adds up all the while.

use harness::custodians::{Custodians, id};
use jiff::{SignedDuration, Timestamp};
use viereck_custody::hand_over::{Acted, Begun};
use viereck_custody::pause::Scope;
use viereck_custody::{Actor, Conclusion, Deferral, Journal, deadlines, lanes, retention};
use viereck_envelope::Stage;
use viereck_routing::{BehoerdeId, Class, MessageId};

const GATEWAY: &str = "gw-sh-2";

fn in_days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

/// Takes so many applications for `reader`.
async fn take(custodians: &Custodians, journal: &Journal, reader: &BehoerdeId, number: usize) -> Vec<MessageId> {
    let mut taken = vec![];
    for _ in 0..number {
        let message = MessageId::random();
        let sealed = custodians.sealed(message, |draft| draft.reader = reader.clone());
        let (bytes, me, tables) = (sealed.bytes().clone(), id(GATEWAY), custodians.tables.clone());
        journal.take(bytes, &me, tables).await.unwrap();
        taken.push(message);
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn the_class_of_a_message_is_that_of_its_leistung_in_its_land() {
    let custodians = Custodians::prepare();
    let [normal, urgent] = ["normal", "urgent"].map(|class| format!("class    = \"{class}\""));
    custodians.changed("laender/01-schleswig-holstein/leistungen.toml", &normal, &urgent);
    let bulk = "class    = \"bulk\"";
    let tables = custodians.changed("laender/05-nordrhein-westfalen/leistungen.toml", &normal, bulk);
    let of = |gateway: &str, region: Option<&str>| {
        let reader = custodians.reader_at(gateway);
        custodians.sealed(MessageId::random(), |draft| {
            draft.reader = reader;
            draft.region = region.map(|region| region.parse().unwrap());
        })
    };
    for (gateway, region, class) in [
        ("gw-sh-2", None, Class::Urgent),
        ("gw-nw-1", None, Class::Bulk),
        ("gw-sh-2", Some("05"), Class::Bulk),
        ("gw-nw-1", Some("01"), Class::Urgent),
    ] {
        let envelope = of(gateway, region);
        assert_eq!(
            lanes::class_of(envelope.header(), &tables),
            class,
            "{gateway} {region:?}"
        );
        assert_eq!(lanes::class_of(envelope.header(), &custodians.tables), Class::Normal);
    }
    // and so it waits for its hand-over
    let journal = custodians.journal(GATEWAY).await;
    let (bytes, me) = (of(GATEWAY, None).bytes().clone(), id(GATEWAY));
    journal.take(bytes, &me, tables.clone()).await.unwrap();
    assert_eq!(journal.queue().await.unwrap().waiting[0].class, Class::Urgent);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_authority_waits_on_its_own_and_everything_ends() {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(GATEWAY).await;
    let served = custodians.tables.gateway(&id(GATEWAY)).unwrap().served();
    let mut readers = served.filter(|reader| reader.as_str().starts_with("wgb:")).cloned();
    let (first, second) = (readers.next().unwrap(), readers.next().unwrap());
    let of_first = take(&custodians, &journal, &first, 3).await;
    let of_second = take(&custodians, &journal, &second, 1).await;

    // one line for each authority, however many wait
    let queue = journal.queue().await.unwrap();
    let waiting: Vec<&BehoerdeId> = queue.waiting.iter().map(|waiting| &waiting.pair.reader).collect();
    let mut both = [&first, &second];
    both.sort();
    assert_eq!(waiting, both);
    let counts = journal.count_hand_overs().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.waiting).sum::<u64>(), 4);

    // a pause holds even for what was given out before it
    let of = |reader: &BehoerdeId| {
        queue
            .waiting
            .iter()
            .find(|waiting| waiting.pair.reader == *reader)
            .unwrap()
    };
    let give_out = async |reader: &BehoerdeId, limit| {
        let (pair, class) = (&of(reader).pair, of(reader).class);
        journal.give_out(pair, class, Timestamp::now(), limit).await.unwrap()
    };
    let given = give_out(&second, 9).await;
    assert_eq!(given[0].key.message_id, of_second[0]);
    assert!(give_out(&second, 9).await.is_empty(), "it is in one pair of hands");
    let (scope, actor) = (Scope::Behoerde(second.clone()), Actor::operator("anna").unwrap());
    let reason: viereck_custody::StatedReason = "ticket 1".parse().unwrap();
    journal
        .pause(scope.clone(), reason.clone(), actor.clone())
        .await
        .unwrap();
    assert!(
        journal
            .queue()
            .await
            .unwrap()
            .pauses
            .of(&second, &id(GATEWAY))
            .is_some()
    );
    let begun = journal.begin_hand_over(&given[0].key, None).await.unwrap();
    assert_eq!(begun, Begun::Paused);
    journal.resume(scope, reason, actor).await.unwrap();

    // one is put into a folder and answered later, one is tried in vain, one is not tried at all
    let given = give_out(&first, 2).await;
    for message in &given {
        assert_eq!(journal.begin_hand_over(&message.key, None).await.unwrap(), Begun::Yes);
    }
    journal.handed_over(&given[0].key).await.unwrap();
    let why = Deferral::FachverfahrenUnavailable;
    let later = Timestamp::now() + SignedDuration::from_secs(60);
    journal.defer(&given[1].key, later, why, Acted::No).await.unwrap();
    let page = journal.unanswered(Timestamp::UNIX_EPOCH, None, 1).await.unwrap();
    assert_eq!(page[0].key, given[0].key);
    let behind = Some(page[0].bookmark());
    assert!(
        journal
            .unanswered(Timestamp::UNIX_EPOCH, behind, 1)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(journal.take_up(&page[0]).await.unwrap().is_some());
    assert!(journal.take_up(&page[0]).await.unwrap().is_none(), "once");
    journal.conclude(&given[0].key, Conclusion::Accepted).await.unwrap();

    // the others are late, are warned of, and end
    let config = deadlines::Config::default();
    let hours = |hours| Timestamp::now() + SignedDuration::from_hours(hours);
    let late = journal.late(hours(3), &config).await.unwrap();
    let counted: Vec<_> = late.iter().map(|late| (late.half, late.most, late.past)).collect();
    assert!(
        counted == [(2, 0, 0), (1, 0, 0)] || counted == [(1, 0, 0), (2, 0, 0)],
        "{late:?}"
    );
    let warned = journal.sweep_deadlines(in_days(4), &config).await.unwrap().warned;
    assert_eq!(warned.values().sum::<u64>(), 3);
    let swept = journal.sweep_deadlines(in_days(15), &config).await.unwrap();
    assert_eq!((swept.ended.values().sum::<u64>(), swept.unsure.len()), (3, 0));
    for message in of_first.iter().chain(&of_second) {
        let view = journal.message(message).await.unwrap().unwrap();
        let expected = if *message == given[0].key.message_id {
            Stage::Accepted
        } else {
            Stage::Expired
        };
        assert_eq!(view.status, expected);
    }
    let ledger = journal.ledger().await.unwrap().total_taken();
    assert_eq!((ledger.received, ledger.ended, ledger.in_flight), (4, 4, 0));

    // and are not kept for ever
    let (keep, mut progress) = (retention::Config::default(), retention::Progress::default());
    let soon = journal.sweep_retention(in_days(8), &keep, &mut progress).await.unwrap();
    assert_eq!(
        (soon.octets, soon.messages),
        (1, 0),
        "what ended on the fifteenth day has still time"
    );
    let later = journal
        .sweep_retention(in_days(800), &keep, &mut progress)
        .await
        .unwrap();
    assert_eq!((later.octets, later.messages), (3, 4));
    assert!(journal.message(&of_first[0]).await.unwrap().is_none());
    assert!(journal.ledger().await.unwrap().total_taken().adds_up());
    println!("account: 4 taken, 1 accepted, 3 expired, 4 removed in the end");
}
