//! A message that RabbitMQ returns before the broker has heard that it was taken stays in the broker's custody: the late
//! confirm must not end the holding of the only copy there is.

use std::time::Duration;

use harness::custodians::{Custodians, id};
use jiff::Timestamp;
use viereck_custody::held::Returned;
use viereck_custody::lanes::Turn;
use viereck_custody::relay::Known;
use viereck_envelope::verify;
use viereck_routing::{Class, Environment, MessageId};

#[tokio::test]
async fn a_late_confirm_does_not_let_go_of_what_came_back() {
    let custodians = Custodians::prepare();
    let journal = custodians.journal("broker").await;
    let sealed = custodians.application(MessageId::random(), b"{}");
    let now = Timestamp::now();
    let octets = sealed.bytes().clone();
    let envelope = verify(octets.clone(), custodians.tables.as_ref(), Environment::Test, now).unwrap();

    let seen = journal.known(&envelope).await.unwrap();
    assert_eq!((&seen.known, seen.returns), (&Known::Nothing, 0));
    // published; nobody is bound, so the alternate exchange has it at once, and it is back before the confirm is
    let returned = journal
        .returned(&envelope, Class::Normal, move |_| now, None)
        .await
        .unwrap();
    assert_eq!(returned, Returned::Again(1));
    journal
        .relayed(&envelope, Class::Normal, id("gw-sh-2"), seen.returns)
        .await
        .unwrap();

    let due = journal
        .due_held(None, now + Duration::from_secs(1), Turn::default(), 8, 1 << 20)
        .await
        .unwrap();
    assert_eq!(due.len(), 1, "account: 1 came back, 0 are held");
    assert_eq!(due[0].bytes.as_ref(), Some(&octets));
    assert_eq!(due[0].returns, 1);
    // its second way counts
    journal
        .relayed(&envelope, Class::Normal, id("gw-nw-1"), due[0].returns)
        .await
        .unwrap();
    journal.put_down_held(&due[0].key);
    let seen = journal.known(&envelope).await.unwrap();
    assert_eq!(seen.known, Known::Relayed(id("gw-nw-1")));
    journal.close().await;
}
