//! Several nodes that know each other, each of which can be killed, frozen or stopped by itself.
//!
//! A queue of the quorum type has a copy on each of them and one leader; it lives while the majority does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;

use super::ground::Ground;
use super::listener::Listener;
use super::{Node, NodeError, START};
use crate::drill::nodes::child::until;

/// How often the cluster is asked, which costs more than a second of processor each time.
const ASKING: Duration = Duration::from_millis(300);

/// A cluster on free ports of the loopback.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    made: AtomicU32,
    /// The virtual hosts that are to be there, also after everything was lost.
    vhosts: Mutex<Vec<String>>,
}

/// A virtual host of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vhost {
    /// Its name.
    pub name: String,
    /// Its AMQP URL at each node, in the order of the nodes.
    pub urls: Vec<String>,
}

impl Cluster {
    /// Starts `size` nodes together and waits until each knows all the others. Three take about 15 s on two processors.
    ///
    /// # Errors
    /// [`NodeError::Missing`] when RabbitMQ is not installed.
    pub async fn start(size: usize) -> Result<Self, NodeError> {
        let ground = Ground::prepare()?;
        let names: Vec<String> = (1..=size).map(|number| format!("viereck{number}@localhost")).collect();
        let nodes = names
            .iter()
            .map(|name| Node::new(&ground, name.clone(), Listener::Plain, &names))
            .collect::<Result<_, _>>()?;
        let cluster = Self {
            nodes,
            made: AtomicU32::new(0),
            vhosts: Mutex::default(),
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// All nodes, in an order that stays.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Makes a virtual host with the policies of `deploy/rabbitmq`.
    pub async fn vhost(&self) -> Result<Vhost, NodeError> {
        let name = format!("t{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.any_running()?.import(&name).await?;
        self.vhosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.clone());
        let urls = self.nodes.iter().map(|node| node.url(&name)).collect();
        Ok(Vhost { name, urls })
    }

    /// Which node leads a quorum queue, by its place in [`Cluster::nodes`]. `None` while the node that is asked knows of
    /// no leader that runs. A frozen node counts as running.
    pub async fn leader_of(&self, vhost: &str, queue: &str) -> Result<Option<usize>, NodeError> {
        let asked = self.any_running()?;
        // What the asked node has heard by itself: a question to all of them would wait for those that do not answer.
        let question = format!(
            "case rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>, queue, <<\"{queue}\">>)) of \
               {{ok, Q}} -> \
                 {{Name, Last}} = amqqueue:get_pid(Q), \
                 case ra_leaderboard:lookup_leader(Name) of {{_, Node}} -> Node; _ -> Last end; \
               _ -> none \
             end."
        );
        let answer = asked.ctl(&["eval", &question]).await?;
        let answer = answer.trim().trim_matches('\'');
        Ok(self
            .nodes
            .iter()
            .position(|node| node.name == answer && node.is_running()))
    }

    /// Waits until a quorum queue has a leader that runs, and says which node it is.
    pub async fn await_leader(&self, vhost: &str, queue: &str, deadline: Duration) -> Result<usize, NodeError> {
        let begun = std::time::Instant::now();
        loop {
            if let Some(leader) = self.leader_of(vhost, queue).await? {
                return Ok(leader);
            }
            if begun.elapsed() >= deadline {
                return Err(NodeError::Late {
                    what: format!("a leader for the queue {queue}"),
                    deadline,
                    said: String::new(),
                });
            }
            tokio::time::sleep(ASKING).await;
        }
    }

    /// Kills all nodes at once.
    pub async fn kill_all(&self) -> Result<(), NodeError> {
        let running = self.nodes.iter().filter(|node| node.is_running());
        try_join_all(running.map(Node::kill)).await.map(drop)
    }

    /// Starts all nodes that do not run. Together: each waits for those that were last alive with it.
    pub async fn start_all(&self) -> Result<(), NodeError> {
        let down = self.nodes.iter().filter(|node| !node.is_running());
        try_join_all(down.map(Node::restart)).await?;
        until("the cluster", START, async || {
            for node in &self.nodes {
                let known = node.ctl(&["eval", "length(rabbit_nodes:all_running())."]).await?;
                if known.trim() != self.nodes.len().to_string() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// The whole cluster lost with its disks: all nodes killed, all they had stored gone, started again as an operator
    /// would from nothing, with the same virtual hosts, empty.
    pub async fn wipe_and_restart_all(&self) -> Result<(), NodeError> {
        self.kill_all().await?;
        for node in &self.nodes {
            node.wipe()?;
        }
        self.start_all().await?;
        let vhosts = self.vhosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for vhost in &vhosts {
            self.any_running()?.import(vhost).await?;
        }
        Ok(())
    }

    fn any_running(&self) -> Result<&Node, NodeError> {
        self.nodes
            .iter()
            .find(|node| node.answers())
            .ok_or_else(|| NodeError::NotRunning("every node of the cluster".to_owned()))
    }
}
