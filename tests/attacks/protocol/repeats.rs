//! What stays malleable, at a reader's gateway: it is the same message, gets the old receipts and has no second effect.

use bytes::Bytes;
use harness::custodians::{Custodians, due, id};
use viereck_custody::inbox::Taken;
use viereck_custody::{Conclusion, MessageKey};
use viereck_envelope::Stage;
use viereck_routing::MessageId;

use super::{Case, Effect, case};
use crate::case::Attacker::Path;
use crate::case::Refusal;
use crate::malleable::{other_s, respelled};
use crate::scene::RECEIVER;

pub(super) fn cases() -> Vec<Case> {
    let repeated = Refusal::Take(Taken::Repeated);
    vec![
        case(
            "malleable",
            Path,
            "the other s and other spellings, after the genuine octets",
            repeated.clone(),
            || same(true),
        ),
        case(
            "malleable",
            Path,
            "the other s and other spellings, before the genuine octets",
            repeated,
            || same(false),
        ),
    ]
}

/// All spellings of one message, the genuine one first or last: one effect.
async fn same(genuine_first: bool) -> Effect {
    let custodians = Custodians::prepare();
    let journal = custodians.journal(RECEIVER).await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    let text = String::from_utf8(sealed.bytes().to_vec()).unwrap();
    let mut spellings: Vec<String> = respelled(&text).into_iter().map(|variant| variant.text).collect();
    spellings.push(other_s(&text));
    if genuine_first {
        spellings.insert(0, text);
    } else {
        spellings.push(text);
    }
    let count = spellings.len() - 1;
    let mut taken = vec![];
    for spelling in spellings {
        let bytes = Bytes::from(spelling);
        taken.push(
            journal
                .take(bytes, &id(RECEIVER), custodians.tables.clone())
                .await
                .unwrap(),
        );
        // also once the first has ended
        if taken.len() == 3 {
            let key = MessageKey::of(sealed.header());
            assert_eq!(due(&journal, 10).await.len(), 1);
            journal.begin_hand_over(&key, None).await.unwrap();
            journal.conclude(&key, Conclusion::Accepted).await.unwrap();
        }
    }
    let view = journal.message(&sealed.header().message_id).await.unwrap().unwrap();
    let events = view.events.iter().filter(|event| !event.internal).count();
    let account = journal.ledger().await.unwrap().total_taken();
    let first = taken.remove(0);
    let again = due(&journal, 10).await.len();
    let well = first == Taken::New
        && taken.iter().all(|taken| *taken == Taken::Repeated)
        && (again, account.received, account.ended) == (0, 1, 1)
        && (view.status, events) == (Stage::Accepted, 2);
    match well {
        true => Effect::Same(count),
        false => Effect::Wrong(format!("{first:?}, {taken:?}, {again} more due, {events} events")),
    }
}
