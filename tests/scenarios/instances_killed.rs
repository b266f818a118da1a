//! Two processes of every role on one journal each, and one after the other is killed while applications are filed: the
//! rest carries on, whatever was promised ends, nothing takes effect twice.

use std::sync::Arc;
use std::time::Duration;

use harness::instances::{Instances, ROLES};
use harness::{postgres, rabbitmq};
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn of_two_instances_either_may_be_killed_under_load() {
    let (amqp, journals) = (rabbitmq::vhost().await, postgres::url("instances_killed").await);
    // slow enough that a kill meets hand-overs in the middle
    let slow: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(100)));
    let mut instances = Instances::prepare("instances-killed", amqp, journals, slow.clone(), slow).await;
    instances.start_all().await;
    let load = instances.load();
    for instance in [0, 1] {
        for role in ROLES {
            instances.handed_over(10, DEADLINE).await;
            instances.kill(role, instance);
            instances.handed_over(5, DEADLINE).await;
            instances.start(role, instance).await;
        }
    }
    instances.handed_over(10, DEADLINE).await;
    let account = instances.account(load, "6 kills", DEADLINE).await;
    println!("{account}");
}
