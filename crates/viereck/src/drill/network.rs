//! The private network that is broken: the real binary in processes of its own, over a RabbitMQ of its own, with
//! stand-ins for corner 4.
//!
//! Every process reaches RabbitMQ over lines of its own ([`Proxy`], one for each node), so that one of them can be cut
//! or slowed. A process that ends by itself is started again, as a service manager would. Without RabbitMQ everything
//! runs in one process over the embedded link.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::member::{Member, Seat};
use super::nodes::postgres;
use super::nodes::process::Program;
use super::nodes::proxy::Proxy;
use super::nodes::rabbitmq::{Cluster, Vhost};
use super::nodes::{NodeError, free_ports};
use super::plan::Role;
use super::versions::Versions;
use crate::demo::applications::Client;
use crate::demo::site::{
    BROKER, CLIENT, RECEIVER_NW, RECEIVER_SH, SENDER, Site, adapter_of_folder, adapter_of_http, adapter_of_postfach,
};
use crate::demo::stand_ins::{ReplyRoute, Share};
use crate::failure::{Exit, Failure};

/// One in so many applications that are taken over gets a Bescheid.
pub(super) const BESCHEIDE: Share = Share::OneIn(5);

/// How often the processes are looked after.
const LOOK: Duration = Duration::from_millis(100);

/// A RabbitMQ of the drill's own.
pub(super) struct Rabbit {
    pub(super) cluster: Cluster,
    pub(super) vhost: Vhost,
}

/// What the processes log.
const LOG: &str = "warn,lapin=off";
/// After how much silence the gateways repeat what they have sent, while nothing but a repeat can help.
const SHORT_SILENCE: &str = "[gateway.outbox]\nsilence_seconds = 10\nlongest_silence_seconds = 20\n";

/// How large a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Nodes of RabbitMQ; 0 is the embedded link and one process.
    pub(super) nodes: usize,
    /// Processes of each role, which share its journal.
    pub(super) instances: usize,
    /// Whether journals lie in a PostgreSQL of the drill's own.
    pub(super) postgres: bool,
}

/// A PostgreSQL of the drill's own, with one database for all journals.
pub(super) struct Journals {
    pub(super) server: postgres::Server,
    pub(super) url: String,
}

/// Everything that is broken and repaired.
pub(super) struct Network {
    pub(super) site: Site,
    pub(super) desk: Arc<Desk>,
    pub(super) versions: Arc<Versions>,
    pub(super) rabbit: Option<Rabbit>,
    pub(super) journals: Option<Journals>,
    shape: Shape,
    /// How many strikes at one of several instances there were.
    turns: AtomicUsize,
    members: Vec<Arc<Member>>,
    looking_after: CancellationToken,
}

impl Network {
    /// Prepares a network in `folder`. No process of Viereck is started yet.
    pub(super) async fn prepare(folder: &Path, shape: Shape) -> Result<Self, Failure> {
        let site = Site::prepare_changed(folder, super::table::widen)?;
        let versions = Arc::new(Versions::new(site.table())?);
        let desk = Arc::new(Desk::start(&folder.join("fachverfahren")).await?);
        for name in ["log", "var"] {
            let made = folder.join(name);
            std::fs::create_dir_all(&made).map_err(|error| Failure::of_file("make the folder", &made, &error))?;
        }
        let journals = match shape.postgres {
            false => None,
            true => {
                let server = postgres::Server::start().await?;
                let url = server.url("journals").await?;
                Some(Journals { server, url })
            }
        };
        let rabbit = match shape.nodes {
            0 => None,
            nodes => {
                let cluster = Cluster::start(nodes).await?;
                let vhost = cluster.vhost().await?;
                Some(Rabbit { cluster, vhost })
            }
        };
        let mut network = Self {
            site,
            desk,
            versions,
            rabbit,
            journals,
            shape,
            turns: AtomicUsize::new(0),
            members: vec![],
            looking_after: CancellationToken::new(),
        };
        network.members = network.make_members().await?;
        network.reply_through()?;
        Ok(network)
    }

    /// Starts every process and looks after them from now on.
    pub(super) async fn start(&self) -> Result<(), Failure> {
        for member in &self.members {
            member.start().await?;
        }
        for member in &self.members {
            member.ready().await?;
        }
        for member in &self.members {
            let (member, ended) = (Arc::clone(member), self.looking_after.clone());
            tokio::spawn(ended.run_until_cancelled_owned(async move {
                let mut looks = interval(LOOK);
                loop {
                    looks.tick().await;
                    member.look_after().await;
                }
            }));
        }
        Ok(())
    }

    /// The processes that play `role`.
    pub(super) fn of(&self, role: Role) -> Vec<Arc<Member>> {
        let playing = self.members.iter().filter(|member| member.seat.roles.contains(&role));
        playing.cloned().collect()
    }

    /// The processes of `role` that a strike is for: all of them, or one instance at a time where there are several.
    pub(super) fn struck(&self, role: Role) -> Vec<Arc<Member>> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % self.shape.instances;
        let mut struck = self.of(role);
        struck.retain(|member| member.seat.instance == turn);
        struck
    }

    /// Where the journal of `custodian` lies.
    pub(super) fn journal(&self, custodian: &str) -> String {
        match &self.journals {
            Some(journals) => journals.url.clone(),
            None => self.site.journal(custodian),
        }
    }

    /// Every process.
    pub(super) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// Tells every process to read its table again.
    pub(super) async fn hang_up(&self) -> Result<(), Failure> {
        for member in &self.members {
            member.hang_up().await?;
        }
        Ok(())
    }

    /// Starts the gateways anew with a short silence: from now on they repeat soon what nobody has heard of.
    pub(super) async fn repeat_soon(&self) -> Result<(), Failure> {
        for member in [self.of(Role::Sender), self.of(Role::Receiver)].concat() {
            let file = self.site.folder().join(format!("{}.toml", member.name()));
            let failed = |error: std::io::Error| Failure::of_file("change", &file, &error);
            let text = std::fs::read_to_string(&file).map_err(failed)?;
            if !text.contains(SHORT_SILENCE) {
                // behind the gateway's own keys, before the sections of its lists
                let changed = text.replacen(
                    "[[gateway.delivery]]",
                    &format!("{SHORT_SILENCE}[[gateway.delivery]]"),
                    1,
                );
                std::fs::write(&file, changed).map_err(failed)?;
                member.restart(None).await?;
            }
        }
        Ok(())
    }

    /// Clients of the sender gateway, one for each of its instances.
    pub(super) fn clients(&self) -> Result<Vec<Client>, Failure> {
        let token = self.site.client_token(CLIENT)?;
        let senders = self.of(Role::Sender);
        let addresses = senders.iter().filter_map(|member| member.seat.listens.first());
        Ok(addresses
            .map(|address| Client::new(format!("http://{address}"), token.clone()))
            .collect())
    }

    /// Ends every process and the stand-ins.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.looking_after.cancel();
        for member in &self.members {
            member.stop().await;
        }
        if let Some(desk) = Arc::into_inner(self.desk) {
            desk.stop().await;
        }
        Ok(())
    }

    async fn make_members(&self) -> Result<Vec<Arc<Member>>, Failure> {
        let mut members = vec![];
        for instance in 0..self.shape.instances {
            let parts = self.parts()?;
            match &self.rabbit {
                None => members.push(self.one_for_all(&parts)?),
                Some(rabbit) => {
                    for part in parts {
                        members.push(self.one_for(part, instance, rabbit).await?);
                    }
                }
            }
        }
        Ok(members)
    }

    /// The roles with their sections, each on a port of its own.
    fn parts(&self) -> Result<[Part; 4], Failure> {
        let ports = free_ports()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let [sender, receiver_sh, receiver_nw] = ports;
        let (site, desk) = (&self.site, &self.desk);
        let gateway = |id, command, listen, adapter: String| {
            let role = if command == "sender" {
                Role::Sender
            } else {
                Role::Receiver
            };
            Part {
                name: id,
                role,
                command,
                section: site.gateway(id, command, listen, &self.journal(id), &adapter),
                listens: Some(listen),
            }
        };
        Ok([
            // a section with brackets belongs to what stands before it, so the broker comes first
            Part {
                name: BROKER,
                role: Role::Broker,
                command: "broker",
                section: site.broker(&self.journal(BROKER)),
                listens: None,
            },
            gateway(SENDER, "sender", sender, adapter_of_postfach(&desk.postfach.url())),
            gateway(RECEIVER_SH, "receiver", receiver_sh, adapter_of_http(&desk.http.url())),
            gateway(
                RECEIVER_NW,
                "receiver",
                receiver_nw,
                adapter_of_folder(desk.folder.folder()),
            ),
        ])
    }

    /// One process for everything, over the embedded link.
    fn one_for_all(&self, parts: &[Part]) -> Result<Arc<Member>, Failure> {
        let site = &self.site;
        let link = format!(
            "kind = \"embedded\"\nfile = \"{}/var/link.sqlite\"",
            site.folder().display()
        );
        let sections: String = parts.iter().map(|part| part.section.as_str()).collect();
        let configuration = site.write("network.toml", &(site.head(&link) + &sections))?;
        let seat = Seat {
            roles: Role::ALL.to_vec(),
            instance: 0,
            journals: parts
                .iter()
                .map(|part| PathBuf::from(site.journal(part.name)))
                .collect(),
            listens: parts.iter().filter_map(|part| part.listens).collect(),
            lines: vec![],
        };
        let program = self.program("network", "run", &configuration)?;
        Ok(Arc::new(Member::new(program, seat)))
    }

    /// A process for one role, with lines of its own.
    async fn one_for(&self, part: Part, instance: usize, rabbit: &Rabbit) -> Result<Arc<Member>, Failure> {
        let site = &self.site;
        let lines = lines_to(rabbit).await?;
        let name = match instance {
            0 => part.name.to_owned(),
            further => format!("{}-{}", part.name, further + 1),
        };
        let text = site.head(&link_over(&lines, &rabbit.vhost)) + &part.section;
        let configuration = site.write(&format!("{name}.toml"), &text)?;
        let seat = Seat {
            roles: vec![part.role],
            instance,
            journals: vec![PathBuf::from(site.journal(part.name))],
            listens: part.listens.into_iter().collect(),
            lines,
        };
        let program = self.program(&name, part.command, &configuration)?;
        Ok(Arc::new(Member::new(program, seat)))
    }

    fn program(&self, name: &str, command: &str, configuration: &Path) -> Result<Program, Failure> {
        let binary = std::env::current_exe().map_err(|error| {
            let sentence = format!("The drill cannot tell which program it is: {error}");
            Failure::new(Exit::Unexpected, "program-unknown", sentence)
        })?;
        Ok(Program {
            name: name.to_owned(),
            binary,
            arguments: vec![
                command.to_owned(),
                "--config".to_owned(),
                configuration.display().to_string(),
            ],
            // whoever looks for a cause wants more than warnings
            environment: vec![(
                "VIERECK_LOG".to_owned(),
                std::env::var("VIERECK_LOG").unwrap_or_else(|_| LOG.to_owned()),
            )],
            folder: self.site.folder().to_owned(),
            log: self.site.folder().join("log").join(format!("{name}.log")),
        })
    }

    /// Every Fachverfahren writes its Bescheide through the gateway its applications came from.
    pub(super) fn reply_through(&self) -> Result<(), Failure> {
        let receivers: Vec<SocketAddr> = match &self.rabbit {
            Some(_) => self
                .of(Role::Receiver)
                .iter()
                .flat_map(|member| member.seat.listens.clone())
                .collect(),
            None => self
                .members
                .iter()
                .flat_map(|member| member.seat.listens.clone())
                .skip(1)
                .collect(),
        };
        let route = |gateway: &str, address: Option<&SocketAddr>| {
            Ok::<_, Failure>(ReplyRoute {
                gateway: address.map(|address| format!("http://{address}")).unwrap_or_default(),
                token: self.site.fachverfahren_token(gateway)?,
                share: BESCHEIDE,
            })
        };
        self.desk.reply_through(
            route(RECEIVER_SH, receivers.first())?,
            route(RECEIVER_NW, receivers.get(1))?,
        );
        Ok(())
    }
}

/// One section of the configuration, and who runs it.
struct Part {
    name: &'static str,
    role: Role,
    command: &'static str,
    section: String,
    listens: Option<SocketAddr>,
}

/// A line of its own to each node.
async fn lines_to(rabbit: &Rabbit) -> Result<Vec<Proxy>, NodeError> {
    let mut lines = vec![];
    for node in rabbit.cluster.nodes() {
        lines.push(Proxy::start((Ipv4Addr::LOCALHOST, node.port()).into()).await?);
    }
    Ok(lines)
}

fn link_over(lines: &[Proxy], vhost: &Vhost) -> String {
    let mut addresses = lines.iter().map(|line| line.address().to_string());
    let first = addresses.next().unwrap_or_default();
    let further: Vec<String> = addresses.collect();
    format!(
        "kind = \"amqp\"\nurl = \"amqp://guest:guest@{first}/{}\"\nfurther_nodes = {further:?}",
        vhost.name
    )
}
