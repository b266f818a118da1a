//! Corner 2: `POST /v1/submissions`. An HTTP request becomes a promise, in steps that consume each other.
//!
//! [`Posted`] (authenticated, read, counted) -> [`Submission`] (understood) -> [`Routed`] (an authority is competent and
//! takes this schema) -> [`Sealed`] (encrypted for it, signed) -> promised: on disk, and only then 202.
//!
//! Guarantees: what is refused on the way leaves no trace but the answer. The same request under the same key, also at
//! the same moment, gets the first answer. FiledAt is taken once, when the request had been read completely. Does not:
//! publish; the outbox does.

pub(crate) mod metadata;
pub(crate) mod resolve;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use viereck_custody::{Case, Idempotency, Promise, Promised, lanes};
use viereck_envelope::{Content, Draft, File, KeptKey, MessageType, ReplyChannel, ReplyToken, SealedEnvelope, Stage};
use viereck_observe::{Span, SpanName, Trace};
use viereck_routing::{BehoerdeId, CaseId, Class, Client, Digest, Kind, MessageId, Region, Tables};

use crate::gateway::Gateway;
use crate::http::access::Scope;
use crate::http::form::{self, Form};
use crate::http::peer::Asking;
use crate::http::problem::{Code, Problem};
use crate::http::traced;
use crate::reference;
use crate::sealing::{earlier_answer, files, fingerprint, instant, obsolete_after, sealed, unsealable};
use metadata::Metadata;

/// How long an answer may go to the mailbox that came with the application: as long as a case lives.
const REPLIES: SignedDuration = SignedDuration::from_hours(24 * 730);

/// `POST /v1/submissions`.
pub(crate) async fn post(
    State(gateway): State<Arc<Gateway>>,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    let tables = gateway.tables();
    let me = &gateway.config.id;
    let client = gateway
        .access
        .client(&asking, &tables, me, Scope::Submit)
        .await?
        .clone();
    // the client learns how it stands from every answer, a refusal too
    let standing = gateway.quotas.count(&client, Instant::now())?;
    let answer = taken(&gateway, client, tables, request).await;
    Ok(standing.told(answer.into_response()))
}

async fn taken(gateway: &Gateway, client: Client, tables: Arc<Tables>, request: Request) -> Result<Response, Problem> {
    let (posted, mut span) = Posted::receive(gateway, client, tables, request).await?;
    if let Some(answer) = earlier_answer(gateway, &posted.idempotency).await? {
        return accepted(answer);
    }
    let trace = span.trace();
    let under = |name| Span::begin(name, &trace, gateway.config.id.as_str());
    let resolving = under(SpanName::Resolve);
    let routed = posted.understand()?.resolve(gateway)?;
    drop(resolving);
    let sealing = under(SpanName::Seal);
    let sealed = routed.seal(gateway).await?;
    drop(sealing);
    span.of_message(sealed.envelope.header().message_id);
    let promising = under(SpanName::Promise);
    let answer = sealed.promise(gateway, trace).await?;
    drop(promising);
    accepted(answer)
}

/// A request of a known client, read completely.
struct Posted {
    client: Client,
    idempotency: Idempotency,
    form: Form,
    tables: Arc<Tables>,
}

/// An application that says what it is and where it wants to go.
struct Submission {
    client: Client,
    idempotency: Idempotency,
    metadata: Metadata,
    files: Vec<File>,
    filed_at: Timestamp,
    tables: Arc<Tables>,
    room: OwnedSemaphorePermit,
}

/// An application with the authority that is competent for it.
struct Routed {
    submission: Submission,
    author: BehoerdeId,
    reader: BehoerdeId,
    /// Whose certificate it is encrypted for: the reader's, or its deputy's.
    key_holder: BehoerdeId,
    region: Option<Region>,
    message_type: MessageType,
}

/// An application that only its reader can open, with what is promised along with it.
struct Sealed {
    envelope: SealedEnvelope,
    content_key: KeptKey,
    class: Class,
    reference: Option<Digest>,
    idempotency: Idempotency,
    case: Case,
    answer: String,
    /// Held until the promise is made.
    _room: OwnedSemaphorePermit,
}

/// The answer of 202.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    submission_id: MessageId,
    case_id: CaseId,
    status: Stage,
    behoerde: BehoerdeId,
    filed_at: String,
    digests: Digests,
    links: Links,
}

/// SHA-256 of what was received, as lower-case hex.
#[derive(Serialize, Deserialize)]
struct Digests {
    payload: Digest,
    attachments: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
struct Links {
    #[serde(rename = "self")]
    status: String,
    events: String,
}

impl Posted {
    async fn receive(
        gateway: &Gateway,
        client: Client,
        tables: Arc<Tables>,
        request: Request,
    ) -> Result<(Self, Span), Problem> {
        let span = traced::accept(request.headers(), gateway.config.id.as_str());
        let key = form::idempotency_key(request.headers())?;
        let form = form::read(gateway, request).await?;
        let fingerprint = fingerprint(gateway, &[&form.digest_input()]);
        let idempotency = Idempotency {
            owner: format!("client:{}", client.id),
            key: reference::digest_of_key(&gateway.keys().fingerprint, &key).to_string(),
            fingerprint,
        };
        let posted = Self {
            client,
            idempotency,
            form,
            tables,
        };
        Ok((posted, span))
    }

    fn understand(self) -> Result<Submission, Problem> {
        let Posted {
            client,
            idempotency,
            form,
            tables,
        } = self;
        let metadata = Metadata::parse(&form.metadata)?;
        let files = files(form.payload, metadata.media_type.as_deref(), form.attachments);
        Ok(Submission {
            client,
            idempotency,
            metadata,
            files,
            filed_at: form.read_at,
            tables,
            room: form.room,
        })
    }
}

impl Routed {
    async fn seal(self, gateway: &Gateway) -> Result<Sealed, Problem> {
        let Routed {
            submission,
            author,
            reader,
            key_holder,
            region,
            message_type,
        } = self;
        let Submission {
            client,
            idempotency,
            metadata,
            files,
            filed_at,
            tables,
            room,
        } = submission;
        let now = Timestamp::now();
        let key = tables
            .sealable_key(&reader, &key_holder, now)
            .map_err(|why| unsealable(why.into()))?;
        let (message_id, case_id) = (MessageId::random(), CaseId::random());
        let reply_token = reply_token(gateway, &metadata, message_id, &reader, filed_at)?;
        let case = Case {
            case_id,
            author: author.clone(),
            behoerde: reader.clone(),
            leistung: metadata.leistung.clone(),
            region,
            filed_at,
            application: message_id,
            client: Some(client.id),
            reply_token: reply_token.clone(),
        };
        let answer = Accepted::new(&case, &files).to_json();
        let reference = metadata.client_reference.as_deref();
        let reference = reference.map(|text| reference::digest(&gateway.keys().fingerprint, text));
        let draft = Draft {
            environment: tables.environment(),
            message_id,
            replaces: None,
            kind: Kind::Application,
            filed_at,
            obsolete_after: obsolete_after(gateway, now),
            gateway: gateway.config.id.clone(),
            author,
            reader,
            service: metadata.leistung,
            region,
            message_type,
            process_ref: case_id,
            in_reply_to: None,
            routing_table: Some(tables.release()),
            content: Content {
                client_reference: metadata.client_reference,
                applicant: metadata.applicant.map(|applicant| applicant.json),
                consents: metadata.consents,
                payment: metadata.payment,
                reply_token,
                files,
            },
        };
        let (envelope, content_key) = sealed(gateway, draft, key, now).await?;
        Ok(Sealed {
            class: lanes::class_of(envelope.header(), &tables),
            content_key,
            reference,
            envelope,
            idempotency,
            case,
            answer,
            _room: room,
        })
    }
}

impl Sealed {
    /// Puts it on disk; the answer is that of the first time.
    async fn promise(self, gateway: &Gateway, trace: Trace) -> Result<String, Problem> {
        let Sealed {
            envelope,
            content_key,
            class,
            reference,
            idempotency,
            case,
            answer,
            _room,
        } = self;
        let promise = Promise {
            case: Some(case),
            class,
            content_key: Some(content_key),
            reference,
            trace: Some(trace),
            ..Promise::new(envelope, idempotency, answer.clone())
        };
        match gateway.journal.promise(promise).await? {
            Promised::New => Ok(answer),
            Promised::Before(first) => Ok(first),
        }
    }
}

impl Accepted {
    fn new(case: &Case, files: &[File]) -> Self {
        let mut digests = files.iter().map(|file| Digest::of(&file.octets));
        let here = format!("/v1/submissions/{}", case.application);
        Self {
            submission_id: case.application,
            case_id: case.case_id,
            status: Stage::Received,
            behoerde: case.behoerde.clone(),
            filed_at: instant(case.filed_at),
            digests: Digests {
                payload: digests.next().unwrap_or(Digest::ZERO),
                attachments: digests.collect(),
            },
            links: Links {
                events: format!("{here}/events"),
                status: here,
            },
        }
    }

    fn to_json(&self) -> String {
        // nothing in it can fail: plain texts under fixed names
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// 202 with an answer that was promised, now or before.
fn accepted(answer: String) -> Result<Response, Problem> {
    let location = serde_json::from_str::<Accepted>(&answer)
        .ok()
        .and_then(|answer| HeaderValue::try_from(answer.links.status).ok());
    let Some(location) = location else {
        tracing::error!(alarm = "journal-corrupt", "an answer in the journal does not read back");
        return Err(Problem::of(Code::Internal));
    };
    let json = HeaderValue::from_static("application/json");
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location), (header::CONTENT_TYPE, json)],
        answer,
    )
        .into_response())
}

/// The mailbox handle leaves this function sealed, and the gateway keeps it in no other form.
fn reply_token(
    gateway: &Gateway,
    metadata: &Metadata,
    message_id: MessageId,
    reader: &BehoerdeId,
    filed_at: Timestamp,
) -> Result<Option<ReplyToken>, Problem> {
    let seal = |mailbox: &metadata::Mailbox| {
        let channel = ReplyChannel {
            mailbox: mailbox.handle.clone(),
            level: mailbox.level,
            message_id,
            reader: reader.clone(),
            expires: form::to_the_millisecond(filed_at + REPLIES),
        };
        gateway.keys().reply_tokens.seal(&channel).map_err(unsealable)
    };
    metadata.reply_channel.as_ref().map(seal).transpose()
}
