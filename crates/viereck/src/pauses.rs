//! `viereck pause` and `viereck resume`: lets a Behörde or a gateway rest, and go on.
//!
//! What rests is kept and counted, and its deadlines go on. Both go to the operations interface, which knows who acts.

use clap::Args;
use serde_json::json;
use viereck_custody::StatedReason;
use viereck_custody::pause::Scope;
use viereck_routing::{BehoerdeId, CustodianId, GatewayId};

use crate::config::commands::Source;
use crate::failure::Failure;
use crate::operations::client::{Client, Reach};
use crate::output;

/// `viereck pause` and `viereck resume`.
#[derive(Debug, Args)]
pub struct Order {
    #[command(flatten)]
    scope: Which,
    /// Why; it stands in the audit trail, so no names of people
    #[arg(long, value_name = "TEXT")]
    reason: StatedReason,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
    /// Only at this custodian; at all of the process if left out
    #[arg(long, value_name = "ID")]
    custodian: Option<CustodianId>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What rests.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Everything for this Behörde
    #[arg(long, value_name = "ID")]
    behoerde: Option<BehoerdeId>,
    /// Everything that this gateway hands over and publishes; at the broker, everything that would go to it
    #[arg(long, value_name = "ID")]
    gateway: Option<GatewayId>,
}

impl Which {
    fn scope(&self) -> Option<Scope> {
        let behoerde = self.behoerde.clone().map(Scope::Behoerde);
        behoerde.or_else(|| self.gateway.clone().map(Scope::Gateway))
    }
}

/// Runs `viereck pause`.
pub async fn pause(args: &Order) -> Result<(), Failure> {
    order(args, "/v1/pause").await
}

/// Runs `viereck resume`.
pub async fn resume(args: &Order) -> Result<(), Failure> {
    order(args, "/v1/resume").await
}

async fn order(args: &Order, path: &str) -> Result<(), Failure> {
    let (config, _) = args.source.load()?;
    let mut body = json!({ "scope": args.scope.scope(), "reason": args.reason });
    if let Some(custodian) = &args.custodian {
        body["custodian"] = json!(custodian);
    }
    let answer = Client::new(&config, &args.reach)?.post(path, &body).await?;
    if args.json {
        return output::json(&answer);
    }
    let custodians: Vec<&str> = answer["custodians"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|custodian| custodian.as_str())
        .collect();
    output::text(&format!(
        "{} {} at {}\n",
        answer["scope"].as_str().unwrap_or_default(),
        answer["outcome"].as_str().unwrap_or_default(),
        custodians.join(", ")
    ))
}
