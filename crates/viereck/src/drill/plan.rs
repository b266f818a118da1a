//! What can be broken, and at which step of custody: the closed list that everything else goes by.
//!
//! A [`Strike`] is one fault at one step. [`all`] is every strike there is, in the order in which they are made; faults
//! that need something which is not there are named as skipped by whoever selects, never left out silently.

use std::fmt;

/// Who runs as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    /// The gateway of corner 2.
    Sender,
    /// The middle.
    Broker,
    /// The two gateways of corner 3.
    Receiver,
}

impl Role {
    /// All, in the order of the way.
    pub(super) const ALL: [Role; 3] = [Role::Sender, Role::Broker, Role::Receiver];

    /// The word in names of faults.
    pub(super) fn word(self) -> &'static str {
        match self {
            Role::Sender => "sender",
            Role::Broker => "broker",
            Role::Receiver => "receiver",
        }
    }

    /// The steps of custody that pass through its hands.
    fn steps(self) -> &'static [Step] {
        match self {
            Role::Sender => &[Step::Promise, Step::Publish, Step::Evidence],
            Role::Broker => &[Step::Relay, Step::Evidence],
            Role::Receiver => &[Step::Take, Step::HandOver, Step::Evidence],
        }
    }

    /// The steps for which it needs the link.
    fn steps_on_the_link(self) -> &'static [Step] {
        match self {
            Role::Sender => &[Step::Publish, Step::Evidence],
            Role::Broker => &[Step::Relay, Step::Evidence],
            Role::Receiver => &[Step::Take, Step::Evidence],
        }
    }
}

/// A step of custody: where messages stand when something breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Clients have asked and not been answered.
    Promise,
    /// Promised, and not confirmed by the link.
    Publish,
    /// At the broker, and not confirmed by the next hop.
    Relay,
    /// On disk at the receiver, and not acknowledged.
    Take,
    /// The Fachverfahren was asked and has not answered.
    HandOver,
    /// The Fachverfahren has acted, and the sender does not know yet.
    Evidence,
}

impl Step {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Promise => "promise",
            Step::Publish => "publish",
            Step::Relay => "relay",
            Step::Take => "take",
            Step::HandOver => "hand-over",
            Step::Evidence => "evidence",
        }
    }
}

/// What happens to a node of RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeFault {
    /// The leader of the ingress queue is killed.
    KillLeader,
    /// Another node is killed.
    KillFollower,
    /// Every node is killed; the disks stay.
    KillCluster,
    /// Every node is killed, and all that RabbitMQ knew is gone.
    LoseCluster,
    /// The leader is frozen for a while.
    FreezeLeader,
    /// Another node is frozen for a while.
    FreezeFollower,
    /// Every node is frozen for a while.
    FreezeCluster,
}

/// How a Fachverfahren misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Takes seconds for each answer.
    Slow,
    /// Answers 503.
    Failing,
    /// Acts, and dies before its answer arrives.
    Dying,
    /// Acts after the gateway has given up waiting, and again when it is asked once more.
    Late,
    /// Decides everything twice.
    Twice,
    /// Does not let the gateway in.
    Misconfigured,
}

/// What is published under a gateway's name that no gateway wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poison {
    /// Octets that are no envelope.
    Garbage,
    /// A real envelope with one octet of its signature changed.
    BadSignature,
    /// A real envelope whose application has ended long ago.
    Replay,
}

/// How a clock jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// Ahead.
    Forward,
    /// Back.
    Back,
}

/// What becomes of the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A municipality gets another Behörde.
    Good,
    /// The new files do not load: the old table stays in force.
    Broken,
    /// A Behörde moves to another gateway while the broker's line is slow.
    Move,
}

/// Which keys are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    /// Those with which gateways and the broker sign.
    Signing,
    /// Those for which messages are sealed.
    Encryption,
    /// Those for which messages are sealed, to profile 2 and back.
    Profile,
}

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A process is killed.
    Kill(Role),
    /// A process stands still and its connections stay open.
    Freeze(Role),
    /// The connection to RabbitMQ breaks and cannot be made for a while.
    Cut(Role),
    /// The connection to RabbitMQ becomes slow.
    Slow(Role),
    /// The disk of a journal is full.
    FullDisk(Role),
    /// fsync of a journal fails.
    FailingFsync(Role),
    /// A clock jumps.
    Clock(Role, Jump),
    /// Pages of a journal are overwritten; a copy takes its place.
    CorruptJournal(Role),
    /// The PostgreSQL of all journals is killed.
    JournalServer,
    /// Nodes of RabbitMQ.
    Node(NodeFault),
    /// A Fachverfahren.
    Fachverfahren(Trouble),
    /// Foreign octets in the ingress.
    Poison(Poison),
    /// The sender's certificate is renewed.
    Certificate,
    /// Keys are changed as planned.
    Keys(Rotation),
    /// The routing table.
    Table(Change),
}

/// One fault at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strike {
    /// What breaks.
    pub(super) fault: Fault,
    /// Where messages stand at that moment.
    pub(super) step: Step,
}

/// Something that a fault cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Roles that are processes of their own.
    Processes,
    /// A RabbitMQ of the drill's own.
    RabbitMq,
    /// More than one node of it.
    Cluster,
    /// Journals in files of their own.
    OwnDisks,
    /// Journals in PostgreSQL.
    Postgres,
    /// `strace`.
    Strace,
    /// `libfaketime`.
    Faketime,
}

impl Fault {
    /// Its name, for `--only` and in the account.
    pub(super) fn name(self) -> String {
        match self {
            Fault::Kill(role) => format!("kill-{}", role.word()),
            Fault::Freeze(role) => format!("freeze-{}", role.word()),
            Fault::Cut(role) => format!("cut-{}", role.word()),
            Fault::Slow(role) => format!("slow-{}", role.word()),
            Fault::FullDisk(role) => format!("full-disk-{}", role.word()),
            Fault::FailingFsync(role) => format!("failing-fsync-{}", role.word()),
            Fault::Clock(role, Jump::Forward) => format!("clock-forward-{}", role.word()),
            Fault::Clock(role, Jump::Back) => format!("clock-back-{}", role.word()),
            Fault::CorruptJournal(role) => format!("corrupt-journal-{}", role.word()),
            Fault::JournalServer => "kill-postgres".to_owned(),
            Fault::Node(NodeFault::KillLeader) => "kill-leader".to_owned(),
            Fault::Node(NodeFault::KillFollower) => "kill-follower".to_owned(),
            Fault::Node(NodeFault::KillCluster) => "kill-cluster".to_owned(),
            Fault::Node(NodeFault::LoseCluster) => "lose-cluster".to_owned(),
            Fault::Node(NodeFault::FreezeLeader) => "freeze-leader".to_owned(),
            Fault::Node(NodeFault::FreezeFollower) => "freeze-follower".to_owned(),
            Fault::Node(NodeFault::FreezeCluster) => "freeze-cluster".to_owned(),
            Fault::Fachverfahren(Trouble::Slow) => "fachverfahren-slow".to_owned(),
            Fault::Fachverfahren(Trouble::Failing) => "fachverfahren-failing".to_owned(),
            Fault::Fachverfahren(Trouble::Dying) => "fachverfahren-dying".to_owned(),
            Fault::Fachverfahren(Trouble::Late) => "fachverfahren-late".to_owned(),
            Fault::Fachverfahren(Trouble::Twice) => "fachverfahren-twice".to_owned(),
            Fault::Fachverfahren(Trouble::Misconfigured) => "fachverfahren-misconfigured".to_owned(),
            Fault::Poison(Poison::Garbage) => "poison-garbage".to_owned(),
            Fault::Poison(Poison::BadSignature) => "poison-signature".to_owned(),
            Fault::Poison(Poison::Replay) => "replay".to_owned(),
            Fault::Certificate => "certificate-expired".to_owned(),
            Fault::Keys(Rotation::Signing) => "signing-keys-rotated".to_owned(),
            Fault::Keys(Rotation::Encryption) => "encryption-keys-rotated".to_owned(),
            Fault::Keys(Rotation::Profile) => "profile-changed".to_owned(),
            Fault::Table(Change::Good) => "table-changed".to_owned(),
            Fault::Table(Change::Broken) => "table-broken".to_owned(),
            Fault::Table(Change::Move) => "behoerde-moved".to_owned(),
        }
    }

    /// What is done, in one sentence.
    pub(super) fn sentence(self) -> String {
        let whose = |role: Role| match role {
            Role::Sender => "the sender gateway",
            Role::Broker => "the broker",
            Role::Receiver => "the receiver gateways",
        };
        match self {
            Fault::Kill(role) => format!("kill -9 of {}, then a new start.", whose(role)),
            Fault::Freeze(role) => format!(
                "SIGSTOP of {} for some seconds, with its connections open.",
                whose(role)
            ),
            Fault::Cut(role) => format!("The connection of {} to RabbitMQ is cut for some seconds.", whose(role)),
            Fault::Slow(role) => format!("The connection of {} to RabbitMQ becomes slow.", whose(role)),
            Fault::FullDisk(role) => format!("Every write to the journal of {} fails: the disk is full.", whose(role)),
            Fault::FailingFsync(role) => format!("Every fsync of the journal of {} fails.", whose(role)),
            Fault::Clock(role, Jump::Forward) => {
                format!(
                    "The clock of {} jumps ahead, further than verifiers tolerate.",
                    whose(role)
                )
            }
            Fault::Clock(role, Jump::Back) => format!(
                "The clock of {} jumps back, further than verifiers tolerate.",
                whose(role)
            ),
            Fault::CorruptJournal(role) => format!(
                "Pages of the journal of {} are overwritten; a copy takes its place and is reconciled.",
                whose(role)
            ),
            Fault::JournalServer => "kill -9 of the PostgreSQL that holds every journal.".to_owned(),
            Fault::Node(NodeFault::KillLeader) => {
                "kill -9 of the RabbitMQ node that leads the ingress queue.".to_owned()
            }
            Fault::Node(NodeFault::KillFollower) => "kill -9 of a RabbitMQ node that follows.".to_owned(),
            Fault::Node(NodeFault::KillCluster) => "kill -9 of every RabbitMQ node; the disks stay.".to_owned(),
            Fault::Node(NodeFault::LoseCluster) => {
                "kill -9 of every RabbitMQ node, and their disks are gone.".to_owned()
            }
            Fault::Node(NodeFault::FreezeLeader) => {
                "SIGSTOP of the RabbitMQ node that leads the ingress queue.".to_owned()
            }
            Fault::Node(NodeFault::FreezeFollower) => "SIGSTOP of a RabbitMQ node that follows.".to_owned(),
            Fault::Node(NodeFault::FreezeCluster) => "SIGSTOP of every RabbitMQ node.".to_owned(),
            Fault::Fachverfahren(Trouble::Slow) => "The Fachverfahren takes seconds for each answer.".to_owned(),
            Fault::Fachverfahren(Trouble::Failing) => "The Fachverfahren answers 503.".to_owned(),
            Fault::Fachverfahren(Trouble::Dying) => "The Fachverfahren acts and its answer is lost.".to_owned(),
            Fault::Fachverfahren(Trouble::Late) => {
                "The Fachverfahren acts after the gateway has given up, while it is asked again.".to_owned()
            }
            Fault::Fachverfahren(Trouble::Twice) => "The Fachverfahren decides everything twice.".to_owned(),
            Fault::Fachverfahren(Trouble::Misconfigured) => {
                "The Fachverfahren answers 401 until it is repaired.".to_owned()
            }
            Fault::Poison(Poison::Garbage) => {
                "Octets that are no envelope are published under the sender's name.".to_owned()
            }
            Fault::Poison(Poison::BadSignature) => {
                "Real envelopes with a broken signature are published under the sender's name.".to_owned()
            }
            Fault::Poison(Poison::Replay) => {
                "Envelopes that have ended are published once more, octet for octet.".to_owned()
            }
            Fault::Certificate => "The sender's certificate runs out, and is renewed after a while.".to_owned(),
            Fault::Keys(Rotation::Signing) => {
                "Sender, broker and receiver get the next key to sign with (SIGHUP).".to_owned()
            }
            Fault::Keys(Rotation::Encryption) => {
                "A Behörde and a portal get the next key to read with (SIGHUP).".to_owned()
            }
            Fault::Keys(Rotation::Profile) => {
                "A Behörde and a portal change to profile 2, the Behörde takes nothing else, and back (SIGHUP)."
                    .to_owned()
            }
            Fault::Table(Change::Good) => "A municipality gets another Behörde (SIGHUP).".to_owned(),
            Fault::Table(Change::Broken) => {
                "A table that does not load (SIGHUP): the old one stays in force.".to_owned()
            }
            Fault::Table(Change::Move) => {
                "A Behörde moves to the other receiver gateway while the broker's line is slow.".to_owned()
            }
        }
    }

    /// The steps at which it can strike.
    pub(super) fn steps(self) -> &'static [Step] {
        match self {
            Fault::Kill(role) | Fault::Freeze(role) | Fault::FullDisk(role) | Fault::FailingFsync(role) => role.steps(),
            Fault::Cut(role) | Fault::Slow(role) => role.steps_on_the_link(),
            Fault::Clock(Role::Sender, _) => &[Step::Publish],
            Fault::Clock(Role::Broker, _) => &[Step::Relay],
            Fault::Clock(Role::Receiver, _) => &[Step::Take, Step::HandOver],
            Fault::CorruptJournal(Role::Broker) => &[Step::Relay],
            Fault::CorruptJournal(role) => role.steps(),
            Fault::Node(_) => &[Step::Publish, Step::Relay, Step::Take, Step::Evidence],
            Fault::Fachverfahren(_) => &[Step::HandOver],
            Fault::JournalServer => &[Step::Promise, Step::Relay, Step::Take, Step::HandOver],
            Fault::Poison(_) => &[Step::Relay],
            Fault::Certificate => &[Step::Publish, Step::Relay],
            Fault::Keys(_) => &[Step::Publish, Step::Relay, Step::Take, Step::HandOver],
            Fault::Table(Change::Good | Change::Broken) => &[Step::Promise, Step::Relay],
            Fault::Table(Change::Move) => &[Step::Relay],
        }
    }

    /// What it cannot do without.
    pub(super) fn needs(self) -> &'static [Need] {
        match self {
            Fault::Kill(Role::Sender) | Fault::Freeze(Role::Sender) | Fault::Fachverfahren(_) => &[],
            Fault::Table(Change::Good | Change::Broken) | Fault::Keys(_) => &[],
            Fault::Kill(_) | Fault::Freeze(_) => &[Need::Processes],
            Fault::Cut(_) | Fault::Slow(_) | Fault::Poison(_) | Fault::Certificate | Fault::Table(Change::Move) => {
                &[Need::RabbitMq]
            }
            Fault::FullDisk(Role::Sender) | Fault::FailingFsync(Role::Sender) => &[Need::OwnDisks, Need::Strace],
            Fault::FullDisk(_) | Fault::FailingFsync(_) => &[Need::OwnDisks, Need::Processes, Need::Strace],
            Fault::Clock(Role::Sender, _) => &[Need::Faketime],
            Fault::Clock(..) => &[Need::Processes, Need::Faketime],
            Fault::CorruptJournal(_) => &[Need::OwnDisks, Need::Processes],
            Fault::Node(NodeFault::KillFollower | NodeFault::FreezeFollower) => &[Need::RabbitMq, Need::Cluster],
            Fault::JournalServer => &[Need::Postgres],
            Fault::Node(_) => &[Need::RabbitMq],
        }
    }

    /// Whether nothing but a repeat after silence can bring back what it took: what RabbitMQ had and lost, or what a
    /// journal knew and nobody else had heard of.
    pub(super) fn needs_repeats(self) -> bool {
        matches!(self, Fault::Node(NodeFault::LoseCluster) | Fault::CorruptJournal(_))
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault.name(), self.step.name())
    }
}

/// Every fault. What needs repeats comes last, because the gateways then repeat soon.
pub(super) fn faults() -> Vec<Fault> {
    let of_roles = |fault: fn(Role) -> Fault| Role::ALL.into_iter().map(fault);
    let mut faults: Vec<Fault> = vec![];
    faults.extend(of_roles(Fault::Kill));
    faults.extend(of_roles(Fault::Freeze));
    faults.extend(of_roles(Fault::Cut));
    faults.extend(of_roles(Fault::Slow));
    faults.extend(of_roles(Fault::FullDisk));
    faults.extend(of_roles(Fault::FailingFsync));
    faults.extend(of_roles(|role| Fault::Clock(role, Jump::Forward)));
    faults.extend(of_roles(|role| Fault::Clock(role, Jump::Back)));
    let troubles = [
        Trouble::Slow,
        Trouble::Failing,
        Trouble::Dying,
        Trouble::Late,
        Trouble::Twice,
        Trouble::Misconfigured,
    ];
    faults.extend(troubles.map(Fault::Fachverfahren));
    faults.extend([Poison::Garbage, Poison::BadSignature, Poison::Replay].map(Fault::Poison));
    faults.extend([Change::Good, Change::Broken, Change::Move].map(Fault::Table));
    faults.extend([Fault::Certificate, Fault::JournalServer]);
    faults.extend([Rotation::Signing, Rotation::Encryption, Rotation::Profile].map(Fault::Keys));
    let nodes = [
        NodeFault::KillLeader,
        NodeFault::KillFollower,
        NodeFault::KillCluster,
        NodeFault::FreezeLeader,
        NodeFault::FreezeFollower,
        NodeFault::FreezeCluster,
    ];
    faults.extend(nodes.map(Fault::Node));
    faults.extend([Role::Broker, Role::Receiver].map(Fault::CorruptJournal));
    faults.push(Fault::Node(NodeFault::LoseCluster));
    faults
}

/// Every strike of `faults`.
pub(super) fn strikes(faults: &[Fault]) -> Vec<Strike> {
    let of = |fault: &Fault| {
        fault
            .steps()
            .iter()
            .map(|step| Strike {
                fault: *fault,
                step: *step,
            })
            .collect::<Vec<_>>()
    };
    faults.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_a_sentence_and_a_step() {
        let faults = faults();
        let names: BTreeSet<String> = faults.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), faults.len());
        assert!(faults.len() >= 16);
        for fault in faults {
            assert!(fault.sentence().ends_with('.'), "{}", fault.name());
            assert!(!fault.steps().is_empty(), "{}", fault.name());
        }
    }

    #[test]
    fn every_step_is_struck() {
        let struck: BTreeSet<Step> = strikes(&faults()).iter().map(|strike| strike.step).collect();
        assert_eq!(struck.len(), 6);
    }

    #[test]
    fn what_needs_repeats_comes_last() {
        let faults = faults();
        let first = faults.iter().position(|fault| fault.needs_repeats()).unwrap();
        assert!(faults[first..].iter().all(|fault| fault.needs_repeats()));
    }
}
