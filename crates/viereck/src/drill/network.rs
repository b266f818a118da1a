//! The private network that is broken: the real binary in processes of its own, over a RabbitMQ of its own, with
//! stand-ins for corner 4.
//!
//! Every process reaches RabbitMQ over lines of its own ([`Proxy`], one for each node), so that one of them can be cut
//! or slowed. A process that ends by itself is started again, as a service manager would. Without RabbitMQ everything
//! runs in one process over the embedded link.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::member::{Member, Seat};
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

/// After how much silence the gateways repeat what they have sent, while nothing but a repeat can help.
const SHORT_SILENCE: &str = "[gateway.outbox]\nsilence_seconds = 10\nlongest_silence_seconds = 20\n";

/// Everything that is broken and repaired.
pub(super) struct Network {
    pub(super) site: Site,
    pub(super) desk: Arc<Desk>,
    pub(super) versions: Arc<Versions>,
    pub(super) rabbit: Option<Rabbit>,
    members: Vec<Arc<Member>>,
    looking_after: CancellationToken,
}

impl Network {
    /// Prepares a network of `nodes` RabbitMQ nodes in `folder`, or over the embedded link where it is 0. No process of
    /// Viereck is started yet.
    pub(super) async fn prepare(folder: &Path, nodes: usize) -> Result<Self, Failure> {
        let site = Site::prepare_changed(folder, super::table::widen)?;
        let versions = Arc::new(Versions::new(site.table())?);
        let desk = Arc::new(Desk::start(&folder.join("fachverfahren")).await?);
        for name in ["log", "var"] {
            let made = folder.join(name);
            std::fs::create_dir_all(&made).map_err(|error| Failure::of_file("make the folder", &made, &error))?;
        }
        let rabbit = match nodes {
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
        let [sender, receiver_sh, receiver_nw] =
            free_ports()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let site = &self.site;
        let gateway =
            |id: &str, role: &str, listen, adapter: String| site.gateway(id, role, listen, &site.journal(id), &adapter);
        let parts = [
            Part {
                name: SENDER,
                role: Role::Sender,
                command: "sender",
                section: gateway(SENDER, "sender", sender, adapter_of_postfach(&self.desk.postfach.url())),
                listens: Some(sender),
            },
            Part {
                name: BROKER,
                role: Role::Broker,
                command: "broker",
                section: site.broker(&site.journal(BROKER)),
                listens: None,
            },
            Part {
                name: RECEIVER_SH,
                role: Role::Receiver,
                command: "receiver",
                section: gateway(
                    RECEIVER_SH,
                    "receiver",
                    receiver_sh,
                    adapter_of_http(&self.desk.http.url()),
                ),
                listens: Some(receiver_sh),
            },
            Part {
                name: RECEIVER_NW,
                role: Role::Receiver,
                command: "receiver",
                section: gateway(
                    RECEIVER_NW,
                    "receiver",
                    receiver_nw,
                    adapter_of_folder(self.desk.folder.folder()),
                ),
                listens: Some(receiver_nw),
            },
        ];
        let Some(rabbit) = &self.rabbit else {
            let link = format!(
                "kind = \"embedded\"\nfile = \"{}/var/link.sqlite\"",
                site.folder().display()
            );
            // a section with brackets belongs to what stands before it, so the broker comes first
            let order = [&parts[1], &parts[0], &parts[2], &parts[3]];
            let sections: String = order.iter().map(|part| part.section.as_str()).collect();
            let configuration = site.write("network.toml", &(site.head(&link) + &sections))?;
            let seat = Seat {
                roles: Role::ALL.to_vec(),
                journals: parts
                    .iter()
                    .map(|part| PathBuf::from(site.journal(part.name)))
                    .collect(),
                listens: parts.iter().filter_map(|part| part.listens).collect(),
                lines: vec![],
            };
            let program = self.program("network", "run", &configuration)?;
            return Ok(vec![Arc::new(Member::new(program, seat))]);
        };
        let mut members = vec![];
        for part in parts {
            let lines = lines_to(rabbit).await?;
            let configuration = site.write(
                &format!("{}.toml", part.name),
                &(site.head(&link_over(&lines, &rabbit.vhost)) + &part.section),
            )?;
            let seat = Seat {
                roles: vec![part.role],
                journals: vec![PathBuf::from(site.journal(part.name))],
                listens: part.listens.into_iter().collect(),
                lines,
            };
            let program = self.program(part.name, part.command, &configuration)?;
            members.push(Arc::new(Member::new(program, seat)));
        }
        Ok(members)
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
            environment: vec![("VIERECK_LOG".to_owned(), "warn,lapin=off".to_owned())],
            folder: self.site.folder().to_owned(),
            log: self.site.folder().join("log").join(format!("{name}.log")),
        })
    }

    /// Every Fachverfahren writes its Bescheide through the gateway its applications came from.
    fn reply_through(&self) -> Result<(), Failure> {
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
