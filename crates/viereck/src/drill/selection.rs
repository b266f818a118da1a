//! Which strikes are made here: what was asked for, without what this host or this network cannot do.

use super::Args;
use super::network::Shape;
use super::nodes::{NodeError, clock, injection, postgres, rabbitmq};
use super::plan::{self, Fault, Need, Strike};
use super::report::Skipped;
use crate::failure::{Exit, Failure};

/// The strikes of a drill, and what is left out.
pub(super) struct Selection {
    pub(super) strikes: Vec<Strike>,
    pub(super) skipped: Vec<Skipped>,
    /// How large the network is.
    pub(super) shape: Shape,
}

impl Selection {
    /// What `args` ask for.
    ///
    /// # Errors
    /// `fault-unknown` for a name that `--list` does not show.
    pub(super) fn of(args: &Args) -> Result<Self, Failure> {
        let mut skipped = vec![];
        let nodes = match (args.embedded, rabbitmq::available()) {
            (true, _) => 0,
            (false, Ok(())) => usize::from(args.nodes),
            (false, Err(missing)) => {
                skipped.push(Skipped {
                    name: "all faults of RabbitMQ".to_owned(),
                    step: "all",
                    reason: missing.to_string(),
                });
                0
            }
        };
        let shape = Shape {
            nodes,
            instances: usize::from(args.instances),
            postgres: args.postgres || args.instances > 1,
        };
        if shape.instances > 1 && nodes == 0 {
            let sentence = "Several instances need RabbitMQ and cannot share the embedded link.";
            return Err(Failure::new(Exit::Usage, "instances-need-rabbitmq", sentence));
        }
        if shape.postgres {
            // without it there is no other network to fall back to
            postgres::available()?;
        }
        let here = Here {
            shape,
            strace: injection::available(),
            faketime: clock::available(),
        };
        let mut strikes = vec![];
        for strike in wanted(&args.only)? {
            match strike.fault.needs().iter().find_map(|need| here.lacks(*need)) {
                None => strikes.push(strike),
                Some(reason) => skipped.push(Skipped {
                    name: strike.fault.name(),
                    step: strike.step.name(),
                    reason,
                }),
            }
        }
        Ok(Self {
            strikes,
            skipped,
            shape,
        })
    }
}

/// What there is.
struct Here {
    shape: Shape,
    strace: Result<(), NodeError>,
    faketime: Result<(), NodeError>,
}

impl Here {
    /// Why a need is not met, if it is not.
    fn lacks(&self, need: Need) -> Option<String> {
        let tool = |tool: &Result<(), NodeError>| tool.as_ref().err().map(ToString::to_string);
        match need {
            Need::Processes => {
                (self.shape.nodes == 0).then(|| "all roles are one process on the embedded link".to_owned())
            }
            Need::RabbitMq => (self.shape.nodes == 0).then(|| "there is no RabbitMQ on the embedded link".to_owned()),
            Need::Cluster => (self.shape.nodes < 2).then(|| "there is one node only (--nodes 3)".to_owned()),
            Need::OwnDisks => self.shape.postgres.then(|| "the journals lie in PostgreSQL".to_owned()),
            Need::Postgres => (!self.shape.postgres).then(|| "the journals lie in files (--postgres)".to_owned()),
            Need::Strace => tool(&self.strace),
            Need::Faketime => tool(&self.faketime),
        }
    }
}

fn wanted(only: &[String]) -> Result<Vec<Strike>, Failure> {
    let all = plan::strikes(&plan::faults());
    if only.is_empty() {
        return Ok(all);
    }
    let matches = |strike: &Strike, name: &str| {
        let (fault, step) = name
            .split_once(':')
            .map_or((name, None), |(fault, step)| (fault, Some(step)));
        strike.fault.name() == fault && step.is_none_or(|step| strike.step.name() == step)
    };
    for name in only {
        if !all.iter().any(|strike| matches(strike, name)) {
            let sentence = format!("There is no fault {name}.");
            return Err(Failure::new(Exit::Usage, "fault-unknown", sentence)
                .help("viereck drill --list names every fault and its steps."));
        }
    }
    let chosen = |strike: &Strike| only.iter().any(|name| matches(strike, name));
    Ok(all.into_iter().filter(chosen).collect())
}

/// Every fault, its steps, and one sentence.
pub(super) fn list() -> String {
    let line = |fault: Fault| {
        let steps: Vec<&str> = fault.steps().iter().map(|step| step.name()).collect();
        format!(
            "{:<28} {}\n{:<28} at: {}\n",
            fault.name(),
            fault.sentence(),
            "",
            steps.join(", ")
        )
    };
    plan::faults().into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_chosen_by_name_and_by_step() {
        let chosen = wanted(&["kill-sender".to_owned(), "kill-broker:relay".to_owned()]).unwrap();
        assert_eq!(chosen.len(), Fault::Kill(plan::Role::Sender).steps().len() + 1);
        assert_eq!(wanted(&["kill-nobody".to_owned()]).unwrap_err().code, "fault-unknown");
        assert_eq!(wanted(&[]).unwrap().len(), plan::strikes(&plan::faults()).len());
    }

    #[test]
    fn the_list_names_every_fault() {
        let list = list();
        for fault in plan::faults() {
            assert!(list.contains(&fault.name()));
        }
    }
}
