//! The server of all journals is killed under load: nobody promises anything while it is away, no process ends for it,
//! and what was promised before ends afterwards.

use std::sync::Arc;
use std::time::Duration;

use harness::instances::Instances;
use harness::wait::until;
use harness::{postgres, rabbitmq};
use viereck::demo::applications::{self, Filed};
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_journal_server_turns_clients_away_and_loses_nothing() {
    let (amqp, server) = (rabbitmq::vhost().await, postgres::own().await);
    let journals = server.url("journals").await.expect("a database");
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(50)));
    let mut instances = Instances::prepare("journal-server-killed", amqp, journals, slow.clone(), slow).await;
    instances.start_all().await;
    let load = instances.load();
    for round in 0..2 {
        instances.handed_over(10, DEADLINE).await;
        server.kill().await.expect("it ran");
        for instance in [0, 1] {
            let client = instances.client(instance);
            let application = applications::wohngeld_json(900_000 + round, applications::HUSUM);
            let key = format!("while-away-{round}");
            let refused = until(DEADLINE, "a refusal", async || {
                match client.file_as(&application, &key).await {
                    Ok(Filed::Refused { code, may_pass, .. }) => Some((code, may_pass)),
                    Ok(Filed::Promised(_)) => panic!("promised without a journal"),
                    Err(_) => None,
                }
            })
            .await;
            assert_eq!(refused, ("store-unavailable".to_owned(), true));
        }
        server.restart().await.expect("it starts again");
    }
    instances.handed_over(10, DEADLINE).await;
    let account = instances.account(load, "the server was killed twice", DEADLINE).await;
    println!("{account}");
    for role in harness::instances::ROLES {
        for instance in [0, 1] {
            // it never ended: the same process ends only now, and well
            let process = instances.process(role, instance);
            let status = process.terminate(harness::corners::READY);
            assert!(status.success(), "{role} ended with {status}: {}", process.describe());
        }
    }
}
