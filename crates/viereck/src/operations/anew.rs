//! `POST /v1/messages/{id}/seal-anew`: an operator orders that a message is sealed anew.
//!
//! The work is the author's gateway's; here it is ordered, with the actor and the reason.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use viereck_custody::{Actor, MessageKey, StatedReason};
use viereck_gateway::SealAnewError;
use viereck_routing::{BehoerdeId, GatewayId, MessageId};

use super::Operations;
use super::problem::{Code, Problem};
use super::query::{Body, named};

/// The body of an order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    reason: StatedReason,
    /// Another reader; else the same one, for its present key.
    reader: Option<BehoerdeId>,
}

/// `POST /v1/messages/{id}/seal-anew`.
pub(super) async fn seal_anew(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    let id: MessageId = named(&id)?;
    let (gateway, new) = operations.seal_anew(id, order.reader, actor, order.reason).await?;
    let answer = json!({ "id": id, "custodian": gateway, "outcome": "sealed-anew", "replacedBy": new });
    Ok(axum::Json(answer).into_response())
}

impl Operations {
    /// Seals a message anew at the gateway of this process that sent it.
    pub(super) async fn seal_anew(
        &self,
        id: MessageId,
        reader: Option<BehoerdeId>,
        actor: Actor,
        reason: StatedReason,
    ) -> Result<(GatewayId, MessageId), Problem> {
        for (gateway, anew) in &self.gateways.anew {
            let Some(message) = self.journal(gateway)?.message(&id).await? else {
                continue;
            };
            let key = MessageKey {
                author: message.author,
                message_id: id,
            };
            match anew.order(&key, reader.clone(), actor.clone(), reason.clone()).await {
                Ok(new) => return Ok((gateway.clone(), new)),
                // it passed here from another side
                Err(error) if error.code() == Code::MessageUnknown.as_str() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::of(Code::MessageUnknown))
    }
}

impl From<SealAnewError> for Problem {
    fn from(error: SealAnewError) -> Self {
        let code = match error.code() {
            "message-unknown" => Code::MessageUnknown,
            "journal-unavailable" => Code::StoreUnavailable,
            _ => Code::NotReplaceable,
        };
        Problem::of(code).detail(error.to_string())
    }
}
