//! Nodes of RabbitMQ are killed or stand still, one or all, with and without their disks.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BROKEN_FOR;
use crate::drill::network::Rabbit;
use crate::drill::nodes::rabbitmq::Node;
use crate::drill::plan::NodeFault;
use crate::drill::stage::{Arranged, Stage};
use crate::failure::{Exit, Failure};

/// The queue whose leader counts: everything goes through it.
const INGRESS: &str = "viereck.ingress";
/// How long a leader may take to be elected.
const ELECTED: Duration = Duration::from_secs(30);

/// Strikes, and starts again what was killed.
pub(super) async fn strike(stage: &Stage, fault: NodeFault, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let Some(rabbit) = &stage.network.rabbit else {
        let sentence = "There is no RabbitMQ in this drill.";
        return Err(Failure::new(Exit::Unexpected, "drill-without-rabbitmq", sentence));
    };
    let nodes = rabbit.cluster.nodes();
    match fault {
        NodeFault::KillLeader => kill(rabbit, leader(rabbit).await?, arranged).await,
        NodeFault::KillFollower => kill(rabbit, (leader(rabbit).await? + 1) % nodes.len(), arranged).await,
        NodeFault::KillCluster => {
            let moment = Instant::now();
            rabbit.cluster.kill_all().await?;
            arranged.undo();
            rabbit.cluster.start_all().await?;
            Ok(moment)
        }
        NodeFault::LoseCluster => {
            let moment = Instant::now();
            rabbit.cluster.kill_all().await?;
            arranged.undo();
            rabbit.cluster.wipe_and_restart_all().await?;
            Ok(moment)
        }
        NodeFault::FreezeLeader => {
            let node = leader(rabbit).await?;
            freeze(&nodes[node..=node], arranged).await
        }
        NodeFault::FreezeFollower => {
            let node = (leader(rabbit).await? + 1) % nodes.len();
            freeze(&nodes[node..=node], arranged).await
        }
        NodeFault::FreezeCluster => freeze(nodes, arranged).await,
    }
}

async fn kill(rabbit: &Rabbit, node: usize, arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let node = &rabbit.cluster.nodes()[node];
    let moment = Instant::now();
    node.kill().await?;
    arranged.undo();
    sleep(BROKEN_FOR).await;
    rabbit.cluster.start_all().await?;
    Ok(moment)
}

async fn freeze(nodes: &[Node], arranged: Arranged<'_>) -> Result<Instant, Failure> {
    let moment = Instant::now();
    for node in nodes {
        node.freeze()?;
    }
    arranged.undo();
    // longer than what the link waits for a sign of life
    sleep(BROKEN_FOR * 4).await;
    for node in nodes {
        node.thaw()?;
    }
    Ok(moment)
}

async fn leader(rabbit: &Rabbit) -> Result<usize, Failure> {
    Ok(rabbit
        .cluster
        .await_leader(&rabbit.vhost.name, INGRESS, ELECTED)
        .await?)
}
