//! Corner 3: `POST /v1/cases/{caseId}/replies`. What a Fachverfahren answers becomes a promise to the portal.
//!
//! The same chain as for an application: [`Posted`] -> [`Reply`] (of a case that this Fachverfahren holds) -> sealed ->
//! promised. The reader is the case's author, the way back to the mailbox is the case's own reply token: an authority
//! never names a mailbox. Title and due date travel encrypted, see [`about`].
//!
//! Guarantees: only for a case that this gateway took, only for a Behörde that the token is bound to; for everything else
//! there is nothing there. Only for a day after its journal was restored from a copy it says "not yet": what had been
//! taken and told to nobody comes again by itself, and a Fachverfahren must not give up an answer to it.

pub(crate) mod about;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use viereck_custody::{Case, Idempotency, Promise, Promised, lanes};
use viereck_envelope::{Content, Draft, File, MessageType};
use viereck_observe::{Span, SpanName};
use viereck_routing::{CaseId, Kind, MessageId, day_in_berlin};

use crate::config::Behoerden;
use crate::gateway::Gateway;
use crate::http::fields::Fields;
use crate::http::form::{self, Form};
use crate::http::peer::Asking;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::traced;
use crate::reference;
use crate::sealing::{earlier_answer, files, fingerprint, obsolete_after, sealed, unsealable};
use crate::submit::resolve::land_of;
use about::About;

/// Characters of a title.
const TITLE: usize = 255;
/// How long after a restore a case may still come to be known: longer than authors' gateways are silent.
const NOT_YET: SignedDuration = SignedDuration::from_hours(24);

/// `POST /v1/cases/{caseId}/replies`.
pub(crate) async fn post(
    State(gateway): State<Arc<Gateway>>,
    Path(case_id): Path<String>,
    asking: Asking,
    request: Request,
) -> Result<Response, Problem> {
    let (posted, mut span) = Posted::receive(&gateway, &case_id, &asking, request).await?;
    if let Some(answer) = earlier_answer(&gateway, &posted.idempotency).await? {
        return Ok(accepted(answer));
    }
    let reply = posted.understand(&gateway).await?;
    Ok(accepted(reply.promise(&gateway, &mut span).await?))
}

/// A request of a known Fachverfahren, read completely.
struct Posted {
    behoerden: Behoerden,
    case_id: CaseId,
    idempotency: Idempotency,
    form: Form,
}

/// An answer in a case that the Fachverfahren holds.
struct Reply {
    case: Case,
    kind: Kind,
    in_reply_to: MessageId,
    files: Vec<File>,
    idempotency: Idempotency,
    filed_at: Timestamp,
    /// Held until the promise is made.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// The part `metadata`.
pub(crate) struct Metadata {
    kind: Kind,
    in_reply_to: Option<MessageId>,
    about: About,
}

impl Posted {
    async fn receive(
        gateway: &Gateway,
        case_id: &str,
        asking: &Asking,
        request: Request,
    ) -> Result<(Self, Span), Problem> {
        let fachverfahren = gateway.access.fachverfahren(asking)?;
        let span = traced::accept(request.headers(), gateway.config.id.as_str());
        let case_id: CaseId = case_id.parse().map_err(|_| Problem::of(Code::NotFound))?;
        let key = form::idempotency_key(request.headers())?;
        let form = form::read(gateway, request).await?;
        let fingerprint = fingerprint(gateway, &[case_id.as_bytes(), &form.digest_input()]);
        let idempotency = Idempotency {
            owner: format!("fachverfahren:{}", fachverfahren.name),
            key: reference::digest_of_key(&gateway.keys().fingerprint, &key).to_string(),
            fingerprint,
        };
        let posted = Self {
            behoerden: fachverfahren.behoerden.clone(),
            case_id,
            idempotency,
            form,
        };
        Ok((posted, span))
    }

    async fn understand(self, gateway: &Gateway) -> Result<Reply, Problem> {
        let Posted {
            behoerden,
            case_id,
            idempotency,
            form,
        } = self;
        let metadata = Metadata::parse(&form.metadata)?;
        let mut cases = gateway.journal.cases_of_reader(&case_id).await?;
        cases.retain(|case| behoerden.contains(&case.behoerde));
        // two portals may have used one id: then only the answered message tells which case is meant
        if let (Some(answered), true) = (metadata.in_reply_to, cases.len() > 1) {
            cases.retain(|case| case.application == answered);
        }
        let case = match cases.len() {
            1 => cases.remove(0),
            0 => return Err(no_case(gateway).await?),
            _ => {
                return Err(wrong_answered(
                    "the case is ambiguous: the message that is answered has to be named",
                ));
            }
        };
        let in_reply_to = answered(gateway, &case, metadata.in_reply_to).await?;
        let mut files = files(form.payload, None, form.attachments);
        files.insert(1, metadata.about.to_file());
        Ok(Reply {
            case,
            kind: metadata.kind,
            in_reply_to,
            files,
            idempotency,
            filed_at: form.read_at,
            _room: form.room,
        })
    }
}

impl Metadata {
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Problem> {
        let mut fields = Fields::parse(octets).map_err(|error| Problem::invalid(vec![error]))?;
        let kind = fields.required("kind", Fields::name::<Kind>);
        let kind = kind.filter(|kind| match kind {
            Kind::Bescheid | Kind::Question | Kind::Status => true,
            _ => {
                fields.refuse("kind", "invalid", "bescheid, question or status");
                false
            }
        });
        let in_reply_to = fields.name("inReplyTo");
        let title = fields.required("title", |fields, key| fields.text(key, TITLE));
        let due_date = fields.name("dueDate");
        let errors = fields.end();
        match (kind, title) {
            (Some(kind), Some(title)) if errors.is_empty() => Ok(Self {
                kind,
                in_reply_to,
                about: About { title, due_date },
            }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// What is said of a case that is not here.
async fn no_case(gateway: &Gateway) -> Result<Problem, Problem> {
    let reconciled = gateway.journal.reconciled_at().await?;
    let code = match reconciled.is_some_and(|at| Timestamp::now().duration_since(at) < NOT_YET) {
        true => Code::CaseNotYetKnown,
        false => Code::NotFound,
    };
    Ok(Problem::of(code))
}

/// The message that is answered: the application unless another message of the same case and authors is named.
async fn answered(gateway: &Gateway, case: &Case, named: Option<MessageId>) -> Result<MessageId, Problem> {
    let Some(named) = named.filter(|named| *named != case.application) else {
        return Ok(case.application);
    };
    let message = gateway.journal.message(&named).await?;
    let of_case = message.is_some_and(|message| {
        message.case_id == case.case_id && message.author == case.author && message.reader == case.behoerde
    });
    match of_case {
        true => Ok(named),
        false => Err(wrong_answered("a message of this case")),
    }
}

fn wrong_answered(expected: &str) -> Problem {
    Problem::invalid(vec![FieldError::new("/inReplyTo", "invalid", expected)])
}

impl Reply {
    /// Seals it for the portal and puts it on disk; the answer is that of the first time.
    async fn promise(self, gateway: &Gateway, span: &mut Span) -> Result<String, Problem> {
        let Reply {
            case,
            kind,
            in_reply_to,
            files,
            idempotency,
            filed_at,
            _room,
        } = self;
        let tables = gateway.tables();
        let now = Timestamp::now();
        let permitted = tables
            .gateway(&gateway.config.id)
            .is_some_and(|me| me.speaks_for(&case.behoerde))
            && tables
                .participant(&case.behoerde)
                .is_some_and(|behoerde| behoerde.may_author(kind));
        if !permitted {
            return Err(Problem::of(Code::NotPermitted).with("kind", kind.as_str()));
        }
        let land = tables.participant(&case.behoerde).and_then(land_of);
        let schema = tables
            .leistung(&case.leistung, land.as_deref())
            .and_then(|leistung| leistung.reply(kind));
        let schema = schema.ok_or_else(|| {
            Problem::of(Code::SchemaNotAccepted).naming(FieldError::new(
                "/kind",
                "no-reply",
                "a kind that the Leistung knows as reply",
            ))
        })?;
        let delivery = tables.delivery(&case.author, &case.leistung, day_in_berlin(now));
        let delivery = delivery.ok_or_else(|| Problem::of(Code::NoRoute).with("reason", "no-delivery"))?;
        let key_holder = delivery.deputy.as_ref().unwrap_or(&case.author);
        let key = tables.sealable_key(&case.author, key_holder, now);
        let key = key.map_err(|why| unsealable(why.into()))?;
        let message_id = MessageId::random();
        span.of_message(message_id);
        let trace = span.trace();
        let under = |name| Span::begin(name, &trace, gateway.config.id.as_str());
        let answer = json!({ "messageId": message_id, "caseId": case.case_id }).to_string();
        let draft = Draft {
            environment: tables.environment(),
            message_id,
            replaces: None,
            kind,
            filed_at,
            obsolete_after: obsolete_after(gateway, now),
            gateway: gateway.config.id.clone(),
            author: case.behoerde,
            reader: case.author,
            service: case.leistung,
            region: case.region,
            message_type: MessageType {
                name: schema.message_type.clone(),
                schema: schema.urn.clone(),
            },
            process_ref: case.case_id,
            in_reply_to: Some(in_reply_to),
            routing_table: Some(tables.release()),
            content: Content {
                reply_token: case.reply_token,
                files,
                ..Content::default()
            },
        };
        let sealing = under(SpanName::Seal);
        let (envelope, content_key) = sealed(gateway, draft, key, now).await?;
        drop(sealing);
        let _promising = under(SpanName::Promise);
        let promise = Promise {
            class: lanes::class_of(envelope.header(), &tables),
            content_key: Some(content_key),
            trace: Some(trace),
            ..Promise::new(envelope, idempotency, answer.clone())
        };
        match gateway.journal.promise(promise).await? {
            Promised::New => Ok(answer),
            Promised::Before(first) => Ok(first),
        }
    }
}

fn accepted(answer: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, json)], answer).into_response()
}
