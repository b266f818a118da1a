//! Of a message and the one that replaces it the reader's gateway takes one, in whichever order they arrive.

use harness::custodians::{Custodians, due, id};
use jiff::SignedDuration;
use viereck_custody::inbox::Taken;
use viereck_custody::{Conclusion, Journal, MessageKey};
use viereck_envelope::{Reason, SealedEnvelope, Stage};
use viereck_routing::{CaseId, MessageId};

/// A message and two that were sealed anew, one after the other, of one case.
fn chain(custodians: &Custodians) -> [SealedEnvelope; 3] {
    let (case, ids) = (CaseId::random(), [0; 3].map(|_| MessageId::random()));
    [0, 1, 2].map(|n| {
        custodians.sealed(ids[n], |draft| {
            draft.process_ref = case;
            draft.replaces = n.checked_sub(1).map(|before| ids[before]);
            // each was sealed some time after the one before
            draft.obsolete_after += SignedDuration::from_mins(n as i64);
        })
    })
}

async fn take(custodians: &Custodians, journal: &Journal, envelope: &SealedEnvelope) -> Taken {
    let me = id("gw-sh-2");
    let taken = journal.take(envelope.bytes().clone(), &me, custodians.tables.clone());
    taken.await.unwrap()
}

async fn status(journal: &Journal, envelope: &SealedEnvelope) -> (Stage, Vec<Reason>) {
    let view = journal.message(&envelope.header().message_id).await.unwrap().unwrap();
    (view.status, view.reasons)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_is_refused_when_it_comes_late() {
    let custodians = Custodians::prepare();
    let [first, second, third] = chain(&custodians);
    let receiver = custodians.journal("gw-sh-2").await;
    assert_eq!(take(&custodians, &receiver, &second).await, Taken::New);
    assert_eq!(
        take(&custodians, &receiver, &first).await,
        Taken::Refused(Reason::Replaced)
    );
    assert_eq!(
        take(&custodians, &receiver, &first).await,
        Taken::Refused(Reason::Replaced),
        "told again"
    );
    assert_eq!(take(&custodians, &receiver, &second).await, Taken::Repeated);
    // a chain counts even where a link of it never came
    let elsewhere = custodians.journal("gw-sh-2").await;
    assert_eq!(take(&custodians, &elsewhere, &third).await, Taken::New);
    assert_eq!(
        take(&custodians, &elsewhere, &first).await,
        Taken::Refused(Reason::Replaced)
    );
    assert_eq!(
        take(&custodians, &elsewhere, &second).await,
        Taken::Refused(Reason::Replaced)
    );
    let account = elsewhere.ledger().await.unwrap().total_taken();
    assert_eq!((account.received, account.in_flight), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replacement_is_taken_unless_the_first_may_have_been_handed_over() {
    let custodians = Custodians::prepare();

    // it waits: it gives way
    let [first, second, _] = chain(&custodians);
    let receiver = custodians.journal("gw-sh-2").await;
    assert_eq!(take(&custodians, &receiver, &first).await, Taken::New);
    assert_eq!(take(&custodians, &receiver, &second).await, Taken::New);
    assert_eq!(
        status(&receiver, &first).await,
        (Stage::Rejected, vec![Reason::Replaced])
    );
    assert_eq!(status(&receiver, &second).await.0, Stage::Delivered);
    let given = due(&receiver, 8).await;
    assert_eq!(given.len(), 1, "one of the two is handed over");

    for (end, expected) in [
        (None, Taken::Refused(Reason::ReplacedLives)),
        (Some(Conclusion::Accepted), Taken::Refused(Reason::S100)),
        (Some(Conclusion::Rejected(vec![Reason::T020])), Taken::New),
    ] {
        let [first, second, third] = chain(&custodians);
        let receiver = custodians.journal("gw-sh-2").await;
        assert_eq!(take(&custodians, &receiver, &first).await, Taken::New);
        let key = MessageKey::of(first.header());
        assert_eq!(due(&receiver, 8).await.len(), 1);
        receiver.begin_hand_over(&key, None).await.unwrap();
        if let Some(end) = end.clone() {
            receiver.conclude(&key, end).await.unwrap();
        }
        let before = status(&receiver, &first).await;
        assert_eq!(take(&custodians, &receiver, &second).await, expected, "{end:?}");
        let after_all = take(&custodians, &receiver, &third).await;
        if expected == Taken::New {
            assert_eq!(
                status(&receiver, &second).await,
                (Stage::Rejected, vec![Reason::Replaced]),
                "the second gave way"
            );
            assert_eq!(after_all, Taken::New);
        } else {
            assert_eq!(after_all, expected, "nor one further down the chain");
        }
        assert_eq!(
            status(&receiver, &first).await,
            before,
            "what became of the first stands"
        );
    }
    println!("account: 4 chains, one message of each taken for a hand-over at a time");
}
