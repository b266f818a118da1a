//! Messages that come again, too late, for somebody else, or under an id that is in use.

use bytes::Bytes;
use harness::custodians::{Custodians, due, id};
use jiff::{SignedDuration, Timestamp};
use viereck_custody::inbox::Taken;
use viereck_custody::{Conclusion, Journal};
use viereck_envelope::{Reason, SealedEnvelope, Stage};
use viereck_routing::MessageId;

use super::{Case, Effect, case, unharmed};
use crate::case::Attacker::{Custodian, Participant, Path, Sender};
use crate::case::Refusal;
use crate::scene::{OTHER, RECEIVER};

/// Another author of the same gateway.
const SECOND_AUTHOR: &str = "eip:010000000000";

pub(super) fn cases() -> Vec<Case> {
    let refused = |reason| Refusal::Take(Taken::Refused(reason));
    vec![
        case(
            "replay",
            Path,
            "the same octets a hundred times",
            Refusal::Take(Taken::Repeated),
            || again(false),
        ),
        case(
            "replay",
            Path,
            "the same octets a hundred times after their end",
            Refusal::Take(Taken::Repeated),
            || again(true),
        ),
        case(
            "replay",
            Path,
            "the same octets after their time",
            Refusal::Take(Taken::Repeated),
            || late(true),
        ),
        case(
            "replay",
            Path,
            "the octets after their time, at a gateway that no longer knows them",
            refused(Reason::Obsolete),
            || late(false),
        ),
        case(
            "replay",
            Path,
            "octets that come before their time",
            Refusal::Take(Taken::NotYet),
            early,
        ),
        case(
            "replay",
            Path,
            "octets for another gateway",
            refused(Reason::T080),
            elsewhere,
        ),
        case(
            "replay",
            Path,
            "octets damaged on the way, and then the good ones",
            Refusal::Take(Taken::Parked(Reason::T011)),
            damaged,
        ),
        case(
            "replay",
            Sender,
            "an id used for two contents",
            refused(Reason::MessageIdConflict),
            conflict,
        ),
        case(
            "replay",
            Participant,
            "an id used first by a stranger who may not write",
            Refusal::Take(Taken::New),
            || stranger(false),
        ),
        case(
            "replay",
            Participant,
            "an id used first by another author",
            Refusal::Take(Taken::New),
            || stranger(true),
        ),
        case(
            "replay",
            Participant,
            "a message of another author that claims to replace this one",
            Refusal::Take(Taken::New),
            replaces,
        ),
        case(
            "replay",
            Sender,
            "a replacement of what was handed over",
            refused(Reason::S100),
            || replaced(true),
        ),
        case(
            "replay",
            Sender,
            "what was replaced, after its replacement",
            refused(Reason::Replaced),
            || replaced(false),
        ),
        case(
            "replay",
            Custodian,
            "a message relayed to a gateway of which its signer is no part",
            refused(Reason::T070),
            forged,
        ),
    ]
}

async fn take(custodians: &Custodians, journal: &Journal, bytes: &Bytes) -> Taken {
    let (me, tables) = (id(RECEIVER), custodians.tables.clone());
    journal.take(bytes.clone(), &me, tables).await.unwrap()
}

/// How many hand-overs begin when everything is given out that is due.
async fn handed_over(journal: &Journal) -> usize {
    let given = due(journal, 1000).await;
    for message in &given {
        journal.begin_hand_over(&message.key, None).await.unwrap();
        journal.conclude(&message.key, Conclusion::Accepted).await.unwrap();
    }
    given.len()
}

async fn again(ended: bool) -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    assert_eq!(take(&custodians, &journal, sealed.bytes()).await, Taken::New);
    let mut effects = if ended { handed_over(&journal).await } else { 0 };
    let mut answers = vec![];
    for _ in 0..100 {
        answers.push(take(&custodians, &journal, sealed.bytes()).await);
    }
    effects += handed_over(&journal).await;
    let account = journal.ledger().await.unwrap().total_taken();
    match answers.iter().find(|taken| **taken != Taken::Repeated) {
        Some(other) => Effect::Wrong(format!("{other:?}")),
        None => unharmed(
            "hand-overs, received, ended",
            &(effects, account.received, account.ended),
            &(1, 1, 1),
            Refusal::Take(answers[0]),
        ),
    }
}

async fn late(known: bool) -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let ends = Timestamp::now() + SignedDuration::from_millis(1500);
    let sealed = custodians.sealed(MessageId::random(), |draft| draft.obsolete_after = ends);
    let mut effects = 0;
    if known {
        assert_eq!(take(&custodians, &journal, sealed.bytes()).await, Taken::New);
        effects += handed_over(&journal).await;
    }
    until_after(ends).await;
    let taken = take(&custodians, &journal, sealed.bytes()).await;
    effects += handed_over(&journal).await;
    let stage = journal
        .message(&sealed.header().message_id)
        .await
        .unwrap()
        .unwrap()
        .status;
    let should_be = if known {
        (1, Stage::Accepted)
    } else {
        (0, Stage::Expired)
    };
    unharmed(
        "hand-overs, status",
        &(effects, stage),
        &should_be,
        Refusal::Take(taken),
    )
}

/// Until the clock has passed an instant: the condition is the clock itself.
async fn until_after(instant: Timestamp) {
    let deadline = std::time::Duration::from_secs(10);
    harness::wait::until(deadline, "the time has passed", async || {
        (Timestamp::now() > instant + SignedDuration::from_millis(1)).then_some(())
    })
    .await;
}

async fn early() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let ahead = Timestamp::now() + SignedDuration::from_mins(10);
    let sealed = custodians.sealed_at(ahead, "gw-sh-1", MessageId::random(), b"{}");
    let taken = take(&custodians, &journal, sealed.bytes()).await;
    let known = journal.message(&sealed.header().message_id).await.unwrap().is_some();
    unharmed("anything known of it", &known, &false, Refusal::Take(taken))
}

async fn elsewhere() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(OTHER).await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    let (me, tables) = (id(OTHER), custodians.tables.clone());
    let taken = journal.take(sealed.bytes().clone(), &me, tables).await.unwrap();
    unharmed("hand-overs", &handed_over(&journal).await, &0, Refusal::Take(taken))
}

async fn damaged() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    let text = String::from_utf8(sealed.bytes().to_vec()).unwrap();
    let bad = Bytes::from(text.replace("<Kind>application", "<Kind>withdrawal"));
    let taken = take(&custodians, &journal, &bad).await;
    let good = take(&custodians, &journal, sealed.bytes()).await;
    let is = (good, handed_over(&journal).await);
    unharmed("the good ones, hand-overs", &is, &(Taken::New, 1), Refusal::Take(taken))
}

async fn conflict() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let message = MessageId::random();
    let first = custodians.application(message, b"{\"a\":1}");
    let second = custodians.application(message, b"{\"a\":2}");
    assert_eq!(take(&custodians, &journal, first.bytes()).await, Taken::New);
    let taken = take(&custodians, &journal, second.bytes()).await;
    let given = due(&journal, 10).await;
    let octets = journal.octets_taken(&given[0].key).await.unwrap();
    let is = (given.len(), octets == *first.bytes());
    unharmed("hand-overs, of the first", &is, &(1, true), Refusal::Take(taken))
}

async fn stranger(may_write: bool) -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let message = MessageId::random();
    let strange: SealedEnvelope = match may_write {
        true => custodians.sealed(message, |draft| draft.author = SECOND_AUTHOR.parse().unwrap()),
        false => custodians.sealed_by(OTHER, message, b"{}"),
    };
    let first = take(&custodians, &journal, strange.bytes()).await;
    let expected = if may_write {
        Taken::New
    } else {
        Taken::Refused(Reason::T070)
    };
    let genuine = custodians.application(message, b"{}");
    let taken = take(&custodians, &journal, genuine.bytes()).await;
    let is = (first, handed_over(&journal).await);
    let hand_overs = if may_write { 2 } else { 1 };
    unharmed(
        "the stranger's, hand-overs",
        &is,
        &(expected, hand_overs),
        Refusal::Take(taken),
    )
}

/// Whoever may write something must not be able to take somebody else's message out of the queue.
async fn replaces() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let genuine = custodians.application(MessageId::random(), b"{}");
    assert_eq!(take(&custodians, &journal, genuine.bytes()).await, Taken::New);
    let claims = custodians.sealed(MessageId::random(), |draft| {
        draft.author = SECOND_AUTHOR.parse().unwrap();
        draft.replaces = Some(genuine.header().message_id);
        draft.process_ref = genuine.header().process_ref;
        draft.obsolete_after += SignedDuration::from_mins(1);
    });
    let taken = take(&custodians, &journal, claims.bytes()).await;
    let status = journal
        .message(&genuine.header().message_id)
        .await
        .unwrap()
        .unwrap()
        .status;
    let is = (status, handed_over(&journal).await);
    unharmed(
        "the genuine one, hand-overs",
        &is,
        &(Stage::Delivered, 2),
        Refusal::Take(taken),
    )
}

async fn replaced(handed: bool) -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let old = custodians.application(MessageId::random(), b"{}");
    let new = custodians.sealed(MessageId::random(), |draft| {
        draft.process_ref = old.header().process_ref;
        draft.replaces = Some(old.header().message_id);
        draft.obsolete_after += SignedDuration::from_mins(1);
    });
    let (first, second) = if handed { (&old, &new) } else { (&new, &old) };
    assert_eq!(take(&custodians, &journal, first.bytes()).await, Taken::New);
    let mut effects = handed_over(&journal).await;
    let taken = take(&custodians, &journal, second.bytes()).await;
    effects += handed_over(&journal).await;
    unharmed("hand-overs", &effects, &1, Refusal::Take(taken))
}

async fn forged() -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let sealed = custodians.sealed_by(OTHER, MessageId::random(), b"{}");
    let taken = take(&custodians, &journal, sealed.bytes()).await;
    unharmed("hand-overs", &handed_over(&journal).await, &0, Refusal::Take(taken))
}
