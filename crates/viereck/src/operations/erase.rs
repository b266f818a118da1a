//! `POST /v1/messages/{id}/erase`: an operator says that nobody wants the content of a message that ended unread.
//!
//! It is its author's to fetch and to delete; this is for what no author comes for. An act of its own beside the discard of
//! what is parked, because a discard leaves the content at its author's side, and one that is repeated must not destroy it.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use viereck_custody::content::ContentError;
use viereck_custody::replace::Order;
use viereck_custody::{Actor, MessageKey, Side, StatedReason};
use viereck_routing::{CustodianId, MessageId};

use super::Operations;
use super::problem::{Code, Problem};
use super::query::{Body, named};

/// The body of an order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Act {
    reason: StatedReason,
    custodian: Option<CustodianId>,
}

/// `POST /v1/messages/{id}/erase`.
pub(super) async fn erase(
    State(operations): State<Arc<Operations>>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    Body(act): Body<Act>,
) -> Result<Response, Problem> {
    let id: MessageId = named(&id)?;
    for journal in operations.journals_of(act.custodian.as_ref())? {
        let sent = journal.message(&id).await?.filter(|message| message.side == Side::Sent);
        let Some(message) = sent else { continue };
        let key = MessageKey {
            author: message.author,
            message_id: id,
        };
        let reason = act.reason;
        journal.erase_content(&key, Some(Order { actor, reason })).await?;
        let answer = json!({ "id": id, "custodian": journal.custodian(), "outcome": "erased" });
        return Ok(axum::Json(answer).into_response());
    }
    Err(Problem::of(Code::MessageUnknown))
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Unknown => Problem::of(Code::MessageUnknown),
            ContentError::InFlight => Problem::of(Code::ContentInFlight),
            ContentError::NotKept => Problem::of(Code::ContentNotKept),
            ContentError::Journal(error) => error.into(),
        }
    }
}
