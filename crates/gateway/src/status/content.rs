//! What was filed and never taken over, back to whoever filed it: `/v1/submissions/{id}/content`.
//!
//! `GET` answers with the form that `POST /v1/submissions` takes, so that it can be filed again under a new key: `metadata`,
//! `payload`, attachments in their order. The place that was asked for is kept nowhere, so the metadata names the Behörde
//! that was found for it. `DELETE` says that the client has it, or wants it no more, and erases it. Two calls, because a
//! connection that breaks must not destroy the only copy.
//!
//! Guarantees: only the client that filed it gets it, and only once the submission has ended without being taken over; what
//! is opened is never written down, logged or cached; the room of the largest request is reserved until the answer has been
//! sent. Does not: read what is sealed by a certificate that the routing table no longer knows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use viereck_custody::MessageKey;
use viereck_custody::content::{ContentError, KeptContent};
use viereck_envelope::{File, OpenedEnvelope, OwnOctets, Role, open_kept, verify};
use viereck_routing::MessageId;

use super::find;
use crate::gateway::Gateway;
use crate::http::access::{Scope, client};
use crate::http::peer::Asking;
use crate::http::problem::{Code, Problem};

/// `GET /v1/submissions/{id}/content`: changes nothing.
pub(crate) async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<Response, Problem> {
    let message = named(&gateway, &id, &asking, Scope::Read).await?;
    let largest = gateway.config.limits.request_bytes();
    let room = gateway.room_for(largest).ok_or_else(|| Problem::of(Code::Busy))?;
    let kept = gateway.journal.kept_content(&message).await?;
    let opened = opened(&gateway, kept).await.map_err(|code| {
        tracing::error!(message_id = %message.message_id, code, alarm = "undecipherable",
            "what is kept for its author cannot be read");
        Problem::of(Code::Internal)
    })?;
    // nobody can guess it before the content is sealed, so it stands nowhere in it
    let boundary = MessageId::random().to_string();
    let parts = parts(&gateway, &opened, &boundary);
    let length: usize = parts.iter().map(Bytes::len).sum();
    let body = stream::iter(parts).map(move |octets| {
        let _held = &room;
        Ok::<_, Infallible>(octets)
    });
    let form = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    let headers = [
        (header::CONTENT_TYPE, form.map_err(|_| Problem::of(Code::Internal))?),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// `DELETE /v1/submissions/{id}/content`: erased when the answer is 204, now or before.
pub(crate) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    asking: Asking,
) -> Result<StatusCode, Problem> {
    let message = named(&gateway, &id, &asking, Scope::Submit).await?;
    match gateway.journal.erase_content(&message, None).await {
        Ok(()) | Err(ContentError::NotKept) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}

/// The message that stands for this client's submission now.
async fn named(gateway: &Gateway, id: &str, asking: &Asking, scope: Scope) -> Result<MessageKey, Problem> {
    let client = client(gateway, asking, scope).await?;
    gateway.quotas.count(&client, Instant::now())?;
    let view = find(gateway, id, &client.id).await?;
    Ok(MessageKey {
        author: view.author,
        message_id: view.message_id,
    })
}

/// Opens our own octets; the code of what went wrong where that does not work.
async fn opened(gateway: &Gateway, kept: KeptContent) -> Result<OpenedEnvelope, &'static str> {
    let (tables, keep) = (gateway.tables(), Arc::clone(&gateway.keys().keep));
    let environment = gateway.journal.environment();
    let opening = move || {
        let KeptContent { bytes, content_key } = kept;
        let verified = verify(bytes, &OwnOctets(&tables), environment, Timestamp::now());
        let verified = verified.map_err(|refused| refused.code())?;
        open_kept(&verified, &content_key, &keep).map_err(|error| error.code())
    };
    gateway.aside(opening).await
}

/// The form, in pieces of which the long ones are shared and not copied.
fn parts(gateway: &Gateway, opened: &OpenedEnvelope, boundary: &str) -> Vec<Bytes> {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
         Content-Type: application/json\r\n\r\n{}\r\n",
        metadata(gateway, opened)
    );
    let mut parts = vec![Bytes::from(head)];
    for file in &opened.content().files {
        parts.push(Bytes::from(head_of(file, boundary)));
        parts.push(file.octets.clone());
        parts.push(Bytes::from_static(b"\r\n"));
    }
    parts.push(Bytes::from(format!("--{boundary}--\r\n")));
    parts
}

/// The head of one file; its name and media type were checked when they came in.
fn head_of(file: &File, boundary: &str) -> String {
    let name = match file.role {
        Role::Payload => "payload",
        Role::Form | Role::Attachment | Role::OriginalEnvelope | Role::OriginalManifest => "attachment",
    };
    // as browsers write a quote; a backslash too, which some take for the sign before one
    let file_name = file.name.replace('"', "%22").replace('\\', "%5C");
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         Content-Type: {}\r\n\r\n",
        file.media_type
    )
}

/// The metadata as they were posted, but for the place.
fn metadata(gateway: &Gateway, opened: &OpenedEnvelope) -> Value {
    let (header, content) = (opened.header(), opened.content());
    let mut metadata = json!({
        "leistung": header.service,
        "behoerde": header.reader,
        "payloadSchema": header.message_type.schema,
    });
    let payload = content.files.iter().find(|file| file.role == Role::Payload);
    // the handle is the client's own: however old it is, it goes back to where it came from
    let channel = content.reply_token.as_ref();
    let channel = channel.and_then(|token| gateway.keys().reply_tokens.open(token, header.filed_at).ok());
    let given = [
        ("mediaType", payload.map(|file| json!(file.media_type))),
        (
            "clientReference",
            content.client_reference.as_ref().map(|text| json!(text)),
        ),
        ("applicant", read_back(content.applicant.as_deref())),
        ("consents", read_back(content.consents.as_deref())),
        ("payment", read_back(content.payment.as_deref())),
        (
            "replyChannel",
            channel.map(|channel| json!({ "mailbox": channel.mailbox, "level": channel.level })),
        ),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            metadata[key] = value;
        }
    }
    metadata
}

/// JSON that was checked when it came in.
fn read_back(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Unknown => Problem::of(Code::NotFound),
            ContentError::InFlight => Problem::of(Code::ContentInFlight),
            ContentError::NotKept => Problem::of(Code::ContentNotKept),
            ContentError::Journal(error) => error.into(),
        }
    }
}
