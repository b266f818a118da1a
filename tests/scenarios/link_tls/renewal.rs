//! Certificates are replaced while links live: the next connection uses the new ones, and nothing broken replaces
//! what works.

use std::time::Duration;

use harness::authority::{Authority, When, replace};
use harness::wait::until;
use viereck_transport::{Address, Link};

use super::fixture::*;
use crate::link_contract::fixture::{gateway, numbered, publish_until_confirmed, topology};

const DEADLINE: Duration = Duration::from_secs(60);

/// Cuts every connection and waits until messages go through a new one; the certificate that it shows.
async fn reconnected(secured: &Secured, vhost: &str, link: &Link, number: u32) -> String {
    let before = certificates(secured, vhost).await;
    secured.cut(vhost).await;
    until(DEADLINE, "a publish on a new connection", async || {
        publish_until_confirmed(link, &Address::Submit(gateway(1)), &numbered(number)).await;
        let now = certificates(secured, vhost).await;
        now.iter().any(|connection| !before.contains(connection)).then_some(())
    })
    .await;
    let now = certificates(secured, vhost).await;
    let (_, issuer) = now.into_iter().find(|connection| !before.contains(connection)).unwrap();
    issuer
}

/// The connections of gw-1, each with the authority and the validity of the certificate it was opened with.
async fn certificates(secured: &Secured, vhost: &str) -> Vec<(String, String)> {
    let columns = ["pid", "user", "vhost", "peer_cert_issuer", "peer_cert_validity"];
    let listed = secured
        .node
        .ctl(&[&["list_connections", "--silent"], &columns[..]].concat())
        .await
        .unwrap();
    listed
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|columns| columns[1] == "gw-1" && columns[2] == vhost)
        .map(|columns| (columns[0].to_owned(), columns[3].to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_move_to_another_authority_without_a_restart() {
    let secured = Secured::start().await;
    let vhost = secured.vhost().await;
    let broker_user = secured.user(&vhost, "broker");
    let broker = Link::amqp(broker_user.config.clone()).unwrap();
    broker.reconcile(&topology(&[])).await.unwrap();
    broker.close().await;
    let user = secured.user(&vhost, "gw-1");
    let link = Link::amqp(user.config.clone()).unwrap();
    publish_until_confirmed(&link, &Address::Submit(gateway(1)), &numbered(0)).await;

    let (old, new) = (&secured.authority, Authority::new("link 2"));
    let at_server = |name: &str| secured.folder.path().join(name);
    let server_reads = async || {
        secured.node.ctl(&["eval", "ssl:clear_pem_cache()."]).await.unwrap();
    };
    // First both trust both.
    replace(&at_server("ca.pem"), &pem_of(&[old, &new]));
    user.now_trusts(&[old, &new]);
    server_reads().await;
    assert_eq!(reconnected(&secured, &vhost, &link, 1).await, "CN=link");
    // Then the gateway has its new certificate, a broken one first: the old one stays in use.
    let renewed = new.user("gw-1", When::Now);
    replace(&user.path("link.pem"), "-----BEGIN CERTIFICATE-----\nbroken\n");
    assert_eq!(reconnected(&secured, &vhost, &link, 2).await, "CN=link");
    user.now_shows(&new.user("gw-1", When::Ended));
    assert_eq!(reconnected(&secured, &vhost, &link, 3).await, "CN=link");
    user.now_shows(&new.user("gw-2", When::Now));
    assert_eq!(reconnected(&secured, &vhost, &link, 4).await, "CN=link");
    user.now_shows(&renewed);
    assert_eq!(reconnected(&secured, &vhost, &link, 5).await, "CN=link 2");
    // Then the server.
    let renewed_node = new.server(&["127.0.0.1"]);
    renewed_node.write(&at_server("node.pem"), &at_server("node.key"));
    server_reads().await;
    assert_eq!(reconnected(&secured, &vhost, &link, 6).await, "CN=link 2");
    // At last nobody trusts the old authority.
    replace(&at_server("ca.pem"), &new.pem);
    user.now_trusts(&[&new]);
    server_reads().await;
    assert_eq!(reconnected(&secured, &vhost, &link, 7).await, "CN=link 2");
    let left_behind = secured.user(&vhost, "gw-2");
    left_behind.now_trusts(&[&new]);
    let late = Link::amqp(left_behind.config.clone()).unwrap();
    let answer = late.publish(&Address::Submit(gateway(2)), numbered(8)).await;
    assert!(answer.is_err(), "a certificate of the old authority still counts");
    assert!(!secured.connected(&vhost).await.contains(&"gw-2".to_owned()));
    println!("7 new connections of one link: 4 with the old certificate, 3 with the new one, none refused");
    late.close().await;
    link.close().await;
}
