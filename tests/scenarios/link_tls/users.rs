//! `deploy/rabbitmq/grant`: who has a user, how one is taken away, and what never reaches RabbitMQ.

use std::time::Duration;

use harness::authority::When;
use harness::process::{repository, run};
use harness::wait::until;
use lapin::ErrorKind;
use viereck_transport::{Link, LinkError};

use super::fixture::*;
use crate::link_contract::fixture::{gateway, numbered, publish_until_confirmed, topology};

const DEADLINE: Duration = Duration::from_secs(30);
const ACCESS_REFUSED: u16 = 403;

/// The code with which RabbitMQ refused a connection.
fn code<T>(answer: Result<T, lapin::Error>) -> Option<u16> {
    match answer.err()?.kind() {
        ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_a_user_and_a_foreign_virtual_host_are_not_opened() {
    let secured = shared().await;
    let (vhost, foreign) = (secured.vhost().await, secured.vhost().await);
    succeeded(
        &secured
            .operator("grant", &[&vhost, "gateway", "gw-only-here"], "")
            .await,
    );
    let stranger = secured.authority.user("gw-stranger", When::Now);
    assert_eq!(code(secured.connect(&vhost, &stranger).await), Some(ACCESS_REFUSED));
    let known = secured.authority.user("gw-only-here", When::Now);
    assert!(secured.connect(&vhost, &known).await.is_ok());
    let refused = secured.connect(&foreign, &known).await;
    assert!(code(refused).is_some(), "the other virtual host was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_set_exactly_shown_and_may_be_set_again() {
    let secured = shared().await;
    let vhost = secured.vhost().await;
    // Somebody has made a user by hand, with a password and all rights.
    for made in [
        &["add_user", "gw-by-hand", "geheim"][..],
        &["set_user_tags", "gw-by-hand", "administrator"],
        &["set_permissions", "-p", &vhost, "gw-by-hand", ".*", ".*", ".*"],
        &[
            "set_topic_permissions",
            "-p",
            &vhost,
            "gw-by-hand",
            "viereck.ingress",
            ".*",
            ".*",
        ],
    ] {
        secured.node.ctl(made).await.unwrap();
    }
    for _ in 0..2 {
        let told = succeeded(&secured.operator("grant", &[&vhost, "gateway", "gw-by-hand"], "").await);
        for line in [
            r"gw-by-hand	^$	^viereck[.]ingress$	^(gateway|receipts)[.]gw-by-hand$",
            r"gw-by-hand	viereck.ingress	^(submit|receipt)[.]gw-by-hand$	^$",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
        }
    }
    assert!(
        secured
            .node
            .ctl(&["authenticate_user", "gw-by-hand", "geheim"])
            .await
            .is_err()
    );
    let users = secured.node.ctl(&["list_users", "--silent"]).await.unwrap();
    let user = users.lines().find(|line| line.starts_with("gw-by-hand\t")).unwrap();
    assert!(user.ends_with("[]"), "{user}");
    // Everyone of the table at once: whoever else has rights is named.
    let output = secured.operator("grant", &[&vhost, "-"], EVERYONE).await;
    succeeded(&output);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("gw-by-hand") && !told.contains("gw-1"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_is_cut_off_and_its_queue_stays() {
    let secured = shared().await;
    let vhost = secured.vhost().await;
    // A name of its own: other tests of the same node have rights for theirs.
    succeeded(&secured.operator("grant", &[&vhost, "gateway", "gw-4"], "").await);
    let broker = Link::amqp(secured.user(&vhost, "broker").config.clone()).unwrap();
    let mut wanted = topology(&[]);
    wanted.gateways.insert(gateway(4));
    broker.reconcile(&wanted).await.unwrap();
    let link = Link::amqp(secured.user(&vhost, "gw-4").config.clone()).unwrap();
    let to = viereck_transport::Address::Submit(gateway(4));
    publish_until_confirmed(&link, &to, &numbered(1)).await;
    for _ in 0..2 {
        succeeded(&secured.operator("grant", &[&vhost, "--revoke", "gw-4"], "").await);
    }
    until(DEADLINE, "the gateway is cut off", async || {
        let answer = link.publish(&to, numbered(2)).await;
        matches!(answer, Err(LinkError::Unreachable)).then_some(())
    })
    .await;
    assert!(!secured.connected(&vhost).await.contains(&"gw-4".to_owned()));
    let users = secured.node.ctl(&["list_users", "--silent"]).await.unwrap();
    assert!(!users.contains("gw-4"), "{users}");
    let queue = viereck_transport::Queue::Gateway(gateway(4));
    assert_eq!(broker.depth(&queue).await.unwrap(), 0);
    // ... and comes back when it may again, without a restart.
    succeeded(&secured.operator("grant", &[&vhost, "gateway", "gw-4"], "").await);
    publish_until_confirmed(&link, &to, &numbered(3)).await;
    link.close().await;
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_identifier_reaches_neither_shell_nor_rabbitmq() {
    let secured = shared().await;
    let before = secured.node.ctl(&["list_users", "--silent"]).await.unwrap();
    let long = "a".repeat(41);
    for id in [
        "", "a", "Gw-1", "1gw", "gw_1", "gw-.*", "gw-1|.*", "$(id)", "gw-1\n", "gw 1", "-x", "gw-ä", &long,
    ] {
        for arguments in [["v", "gateway", id], ["v", "broker", id], ["v", "--revoke", id]] {
            let output = secured.operator("grant", &arguments, "").await;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        }
    }
    for arguments in [
        &[][..],
        &["v"],
        &["v", "gateway"],
        &["v", "admin", "gw-1"],
        &["v", "-", "gw-1"],
        &["/", "gateway", "gw-1"],
        &["v;id", "gateway", "gw-1"],
    ] {
        assert_eq!(
            secured.operator("grant", arguments, "").await.status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    for list in [
        "",
        "gateway gw-1 x\n",
        "gateway gw-1\nadmin gw-2\n",
        "gateway gw.*\n",
        "gateway\n",
    ] {
        let output = secured.operator("grant", &["v", "-"], list).await;
        assert_eq!(output.status.code(), Some(2), "{list:?}");
    }
    let after = secured.node.ctl(&["list_users", "--silent"]).await.unwrap();
    assert!(!after.contains("gw-1|") && !after.contains("gw.*"), "{before} {after}");
}

#[test]
fn the_table_names_everyone_who_needs_a_user() {
    let table = repository().join("routing-tables");
    let output = run(&["routes", "custodians", table.to_str().unwrap()]);
    let told = succeeded(&output);
    assert_eq!(told.lines().next(), Some("broker broker"));
    for gateway in ["gateway gw-sh-1", "gateway gw-sh-2", "gateway gw-nw-1"] {
        assert!(told.lines().any(|line| line == gateway), "{told}");
    }
}
