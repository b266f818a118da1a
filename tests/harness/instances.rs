//! Two processes of every role, which share one journal for each custodian in a database of PostgreSQL.
//!
//! Both processes of a gateway have its name and its keys, and listen on addresses of their own. A client of them asks
//! the one or the other, as behind a load balancer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use viereck::demo::applications::{self, Client, Filed};
use viereck::demo::site::CLIENT;
use viereck::demo::stand_ins::Script;

use crate::account::Account;
use crate::corners::{Corners, ended, free_port, ready_at};
use crate::process::Process;
use crate::wait::until;

/// The roles, each of which runs twice.
pub const ROLES: [&str; 3] = ["sender", "broker", "receiver"];

/// A prepared network whose roles run twice.
pub struct Instances {
    /// Table, keys and stand-ins; the addresses are those of the first instances.
    pub corners: Corners,
    /// The database of all journals.
    journals: String,
    /// Where each instance listens: sender, Schleswig-Holstein's receiver, the other receiver.
    listen: [[SocketAddr; 3]; 2],
    running: BTreeMap<(&'static str, usize), Process>,
}

impl Instances {
    /// Prepares everything for the test `name`; starts no process.
    ///
    /// # Panics
    /// When anything fails.
    pub async fn prepare(name: &str, amqp: String, journals: String, http: Script, folder: Script) -> Self {
        let corners = Corners::prepare(name, amqp, http, folder).await;
        let listen = [corners.listen, [free_port(), free_port(), free_port()]];
        Self {
            corners,
            journals,
            listen,
            running: BTreeMap::new(),
        }
    }

    /// Starts one instance (0 or 1) of a role and returns once it is ready.
    ///
    /// # Panics
    /// When it is not.
    pub async fn start(&mut self, role: &'static str, instance: usize) {
        let listen = self.listen[instance].map(|address| address.to_string());
        let mut variables = vec![("VIERECK__BROKER__JOURNAL", self.journals.as_str())];
        for (gateway, listen) in ["0", "1", "2"].iter().zip(&listen) {
            let [journal, address] = match *gateway {
                "0" => ["VIERECK__GATEWAY__0__JOURNAL", "VIERECK__GATEWAY__0__LISTEN"],
                "1" => ["VIERECK__GATEWAY__1__JOURNAL", "VIERECK__GATEWAY__1__LISTEN"],
                _ => ["VIERECK__GATEWAY__2__JOURNAL", "VIERECK__GATEWAY__2__LISTEN"],
            };
            variables.push((journal, &self.journals));
            variables.push((address, listen));
        }
        let process = self.corners.start_as(&format!("{role}-{instance}"), role, &variables);
        let ready: &[SocketAddr] = match role {
            "sender" => &self.listen[instance][..1],
            "receiver" => &self.listen[instance][1..],
            _ => &[],
        };
        ready_at(&process, ready).await;
        self.running.insert((role, instance), process);
    }

    /// A process that was started.
    ///
    /// # Panics
    /// When it was not, or was killed.
    pub fn process(&mut self, role: &'static str, instance: usize) -> &mut Process {
        self.running.get_mut(&(role, instance)).expect("it was started")
    }

    /// SIGKILL, and its end.
    ///
    /// # Panics
    /// When it was not running.
    pub fn kill(&mut self, role: &'static str, instance: usize) {
        self.running.remove(&(role, instance)).expect("it was started").kill();
    }

    /// Starts both instances of every role.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start_all(&mut self) {
        // the broker makes the queues
        for role in ["broker", "receiver", "sender"] {
            for instance in [0, 1] {
                self.start(role, instance).await;
            }
        }
    }

    /// A client of one instance of the sender.
    ///
    /// # Panics
    /// When it has no token.
    pub fn client(&self, instance: usize) -> Client {
        let token = self.corners.site.client_token(CLIENT).expect("a token");
        Client::new(format!("http://{}", self.listen[instance][0]), token)
    }

    /// Begins to file applications, one after the other in each of four lanes, each try at the other instance.
    pub fn load(&self) -> Load {
        let (stop, promised) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let lanes = (0..4).map(|lane| {
            let clients = [self.client(0), self.client(1)];
            tokio::spawn(file_until(clients, Arc::clone(&stop), Arc::clone(&promised), lane))
        });
        Load {
            lanes: lanes.collect(),
            stop,
            promised,
        }
    }

    /// Ends a load: everything that was promised is accepted, and the account is exactly once on both sides. Says it in one
    /// line, with `what` happened meanwhile.
    ///
    /// # Panics
    /// When it is not so within `deadline`.
    pub async fn account(&self, load: Load, what: &str, deadline: Duration) -> String {
        let filed = load.end().await;
        let client = self.client(0);
        for submission in &filed.submissions {
            assert_eq!(ended(&client, submission, deadline).await, "accepted");
        }
        let account = Account::of(&self.corners, &filed.submissions, deadline).await;
        account.assert_exactly_once();
        format!(
            "{account}; {what}; {} tries without an answer, {} refused",
            filed.unanswered, filed.refused
        )
    }

    /// Waits until `more` further messages were handed over.
    ///
    /// # Panics
    /// When they are not within `deadline`.
    pub async fn handed_over(&self, more: usize, deadline: Duration) {
        let count = || {
            let (http, folder) = (self.corners.http.ledger().now(), self.corners.folder.ledger().now());
            http.entries().len() + folder.entries().len()
        };
        let goal = count() + more;
        until(deadline, &format!("{more} more are handed over"), async || {
            (count() >= goal).then_some(())
        })
        .await;
    }
}

/// Applications that are being filed.
pub struct Load {
    lanes: Vec<tokio::task::JoinHandle<Lane>>,
    stop: Arc<AtomicBool>,
    promised: Arc<AtomicUsize>,
}

/// What came of a load.
#[derive(Default)]
pub struct Lane {
    /// The submissions that were promised.
    pub submissions: Vec<String>,
    /// Tries that were refused and repeated.
    pub refused: usize,
    /// Tries without an answer.
    pub unanswered: usize,
}

impl Load {
    /// How many were promised so far.
    pub fn promised(&self) -> usize {
        self.promised.load(Ordering::Relaxed)
    }

    /// Files what is begun to its promise and no more.
    ///
    /// # Panics
    /// When a lane did.
    pub async fn end(self) -> Lane {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Lane::default();
        for lane in self.lanes {
            let lane = lane.await.expect("a lane does not fail");
            all.submissions.extend(lane.submissions);
            all.refused += lane.refused;
            all.unanswered += lane.unanswered;
        }
        all
    }
}

/// What is not answered with yes is filed again under its key, at the other instance.
async fn file_until(clients: [Client; 2], stop: Arc<AtomicBool>, promised: Arc<AtomicUsize>, number: u32) -> Lane {
    let mut lane = Lane::default();
    let mut tries = tokio::time::interval(Duration::from_millis(20));
    tries.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turns = clients.iter().cycle();
    for file in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let region = [applications::HUSUM, applications::KOELN][file as usize % 2];
        let application = applications::wohngeld_json(number * 10_000 + file, region);
        let key = format!("key-{number}-{file}");
        for client in turns.by_ref() {
            tries.tick().await;
            match client.file_as(&application, &key).await {
                Ok(Filed::Promised(receipt)) => {
                    lane.submissions.push(receipt.submission_id);
                    promised.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(Filed::Refused {
                    may_pass, code, detail, ..
                }) => {
                    assert!(may_pass, "refused for good: {code}: {detail}");
                    lane.refused += 1;
                }
                Err(_) => lane.unanswered += 1,
            }
        }
    }
    lane
}
