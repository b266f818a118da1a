//! A rolling restart: with two processes of every role on one journal each, each is told to stop and started again while
//! applications are filed. No client is turned away by both, each process ends with exit 0, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use harness::corners::READY;
use harness::instances::{Instances, ROLES};
use harness::{postgres, rabbitmq};
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_restarted_in_turn_while_the_other_serves() {
    let (amqp, journals) = (rabbitmq::vhost().await, postgres::url("instances_rolling").await);
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(50)));
    let mut instances = Instances::prepare("instances-rolling", amqp, journals, slow.clone(), slow).await;
    instances.start_all().await;
    let load = instances.load();
    for instance in [0, 1] {
        for role in ROLES {
            instances.handed_over(5, DEADLINE).await;
            let process = instances.process(role, instance);
            let status = process.terminate(READY);
            assert!(status.success(), "{role} ended with {status}: {}", process.describe());
            instances.handed_over(5, DEADLINE).await;
            instances.start(role, instance).await;
        }
    }
    let account = instances.account(load, "6 restarts", DEADLINE).await;
    println!("{account}");
}
