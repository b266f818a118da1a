//! Reading a posted form: `multipart/form-data` with `metadata`, `payload` and attachments, counted while it streams.
//!
//! Guarantees: not an octet beyond the limits is kept, whatever the request says about its own length; the room for the
//! request is reserved before the first octet is read; a form is complete or a problem. What follows a limit that was
//! passed is read and forgotten for a moment, so that the client reads the answer instead of a broken connection.
//! Does not: look into the parts.

use std::time::Duration;

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use viereck_routing::Digest;

use super::body::CountedBody;
use super::problem::{Code, FieldError, Problem};
use crate::config::Limits;
use crate::gateway::Gateway;

/// How long, and how many times the allowed octets, a client that sends too much is listened to.
const PATIENCE: (Duration, usize) = (Duration::from_secs(5), 8);

/// Characters of a file name.
const NAME: usize = 255;

/// A form that was read completely.
pub(crate) struct Form {
    /// The part `metadata`, unparsed.
    pub(crate) metadata: Bytes,
    /// The part `payload`.
    pub(crate) payload: Part,
    /// The parts `attachment`, in order.
    pub(crate) attachments: Vec<Part>,
    /// When the last octet had been read, to the millisecond.
    pub(crate) read_at: Timestamp,
    /// The room it takes.
    pub(crate) room: OwnedSemaphorePermit,
}

/// One file of a form.
pub(crate) struct Part {
    /// Its name as the client gave it, if it did.
    pub(crate) name: Option<String>,
    /// Its media type as the client gave it, if it did.
    pub(crate) media_type: Option<String>,
    /// Its octets, decoded.
    pub(crate) octets: Bytes,
}

impl Form {
    /// The decoded parts as one list, for a digest over all of them: every text with its length before it, so that no
    /// two different forms make the same list.
    pub(crate) fn digest_input(&self) -> Vec<u8> {
        let mut input = Vec::with_capacity(self.metadata.len() + 64 * (self.attachments.len() + 2));
        let mut push = |octets: &[u8]| {
            input.extend_from_slice(&(octets.len() as u64).to_be_bytes());
            input.extend_from_slice(octets);
        };
        push(&self.metadata);
        for part in std::iter::once(&self.payload).chain(&self.attachments) {
            push(part.name.as_deref().unwrap_or_default().as_bytes());
            push(part.media_type.as_deref().unwrap_or_default().as_bytes());
            push(Digest::of(&part.octets).octets());
        }
        input
    }
}

/// The key under which a repeat of this request is known.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let key = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    key.filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|octet| octet.is_ascii_graphic()))
        .map(str::to_owned)
        .ok_or_else(|| Problem::of(Code::IdempotencyKeyMissing))
}

/// Reads the form of a request.
pub(crate) async fn read(gateway: &Gateway, request: Request) -> Result<Form, Problem> {
    let limits = &gateway.config.limits;
    if request
        .headers()
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| value.as_bytes() != b"identity")
    {
        return Err(Problem::of(Code::UnsupportedEncoding));
    }
    // without a length the largest good request is reserved; what exceeds the reservation is not kept
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let octets = declared.unwrap_or(usize::MAX).min(limits.request_bytes());
    let room = gateway.room_for(octets).ok_or_else(|| Problem::of(Code::Busy))?;
    let (head, body) = request.into_parts();
    let body = CountedBody::new(body, limits.request_bytes());
    let multipart = Multipart::from_request(Request::from_parts(head, body.to_body()), &()).await;
    let mut multipart = multipart.map_err(|_| broken("Content-Type has to be multipart/form-data with a boundary"))?;
    let time = Duration::from_secs(gateway.config.timeouts.body_seconds);
    let reading = async {
        let reading = Reading::new(limits).read(&mut multipart).await?;
        body.to_end()
            .await
            .map_err(|_| broken("the request was cut off behind the last part"))?;
        Ok::<_, Problem>(reading)
    };
    match tokio::time::timeout(time, reading).await {
        Ok(Ok(reading)) => reading.complete(room),
        Ok(Err(problem)) if problem.code == Code::TooLarge || body.exceeded() => {
            // whoever sends for longer than this reads its answer late or never
            let _ = tokio::time::timeout(PATIENCE.0, body.forget(limits.request_bytes() * PATIENCE.1)).await;
            Err(if body.exceeded() {
                too_large("together", limits.together_bytes)
            } else {
                problem
            })
        }
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::of(Code::RequestTimeout)),
    }
}

/// Reads a whole form that is in memory, for tests that are given any octets: how many octets it holds.
pub(crate) async fn of_octets(content_type: &str, body: Bytes, limits: &Limits) -> Result<usize, Problem> {
    let request = Request::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(axum::body::Body::from(body))
        .map_err(|_| broken("no Content-Type"))?;
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart = multipart.map_err(|_| broken("Content-Type has to be multipart/form-data with a boundary"))?;
    let reading = Reading::new(limits).read(&mut multipart).await?;
    let files = reading.payload.iter().chain(&reading.attachments);
    Ok(files.map(|part| part.octets.len()).sum::<usize>() + reading.metadata.map_or(0, |octets| octets.len()))
}

/// A form while it is read.
struct Reading<'a> {
    limits: &'a Limits,
    together: usize,
    metadata: Option<Bytes>,
    payload: Option<Part>,
    attachments: Vec<Part>,
}

impl<'a> Reading<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            together: 0,
            metadata: None,
            payload: None,
            attachments: Vec::new(),
        }
    }

    async fn read(mut self, multipart: &mut Multipart) -> Result<Self, Problem> {
        while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "metadata" if self.metadata.is_none() => {
                    let limit = self.limits.metadata_bytes;
                    self.metadata = Some(octets(field, "metadata", &mut 0, limit, limit).await?);
                }
                "payload" if self.payload.is_none() => {
                    self.payload = Some(self.part(field, "payload", self.limits.payload_bytes).await?);
                }
                "attachment" if self.attachments.len() < self.limits.attachments => {
                    let part = self.part(field, "attachment", self.limits.attachment_bytes).await?;
                    self.attachments.push(part);
                }
                "attachment" => return Err(too_large("attachments", self.limits.attachments)),
                "metadata" | "payload" => {
                    let error = FieldError::new(format!("part:{name}"), "part-twice", "there is one such part only");
                    return Err(Problem::invalid(vec![error]));
                }
                _ => return Err(broken("the parts are metadata, payload and attachment")),
            }
        }
        Ok(self)
    }

    async fn part(&mut self, field: Field<'_>, what: &'static str, limit: usize) -> Result<Part, Problem> {
        if field.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(Problem::of(Code::UnsupportedEncoding));
        }
        // RFC 7578, 4.7: no longer used; a part that is really encoded would reach the authority as gibberish
        let plain = |value: &axum::http::HeaderValue| matches!(value.as_bytes(), b"binary" | b"8bit" | b"7bit");
        if !field.headers().get_all("content-transfer-encoding").iter().all(plain) {
            return Err(Problem::of(Code::UnsupportedEncoding));
        }
        let name = field.file_name().map(str::to_owned);
        if name
            .as_ref()
            .is_some_and(|name| name.chars().count() > NAME || name.chars().any(char::is_control))
        {
            let detail = format!("a file name has at most {NAME} characters and no control characters");
            return Err(Problem::invalid(vec![FieldError::new(
                format!("part:{what}"),
                "name-invalid",
                detail,
            )]));
        }
        let media_type = field.content_type().map(str::to_owned);
        if media_type.as_ref().is_some_and(|text| !is_media_type(text)) {
            let error = FieldError::new(
                format!("part:{what}"),
                "media-type-invalid",
                "Content-Type is type/subtype",
            );
            return Err(Problem::invalid(vec![error]));
        }
        let octets = octets(field, what, &mut self.together, limit, self.limits.together_bytes).await?;
        Ok(Part {
            name,
            media_type,
            octets,
        })
    }

    fn complete(self, room: OwnedSemaphorePermit) -> Result<Form, Problem> {
        let missing = |part: &str| FieldError::new(format!("part:{part}"), "part-missing", "the form has no such part");
        match (self.metadata, self.payload) {
            (Some(metadata), Some(payload)) if !payload.octets.is_empty() => {
                let read_at = to_the_millisecond(Timestamp::now());
                Ok(Form {
                    metadata,
                    payload,
                    attachments: self.attachments,
                    read_at,
                    room,
                })
            }
            (Some(_), Some(_)) => Err(Problem::invalid(vec![FieldError::new(
                "part:payload",
                "part-empty",
                "it is empty",
            )])),
            (metadata, payload) => {
                let absent = [("metadata", metadata.is_none()), ("payload", payload.is_none())];
                Err(Problem::invalid(
                    absent
                        .iter()
                        .filter(|(_, gone)| *gone)
                        .map(|(part, _)| missing(part))
                        .collect(),
                ))
            }
        }
    }
}

/// Instants travel and are kept in milliseconds; one that was cut compares equal everywhere.
pub(crate) fn to_the_millisecond(instant: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(instant.as_millisecond()).unwrap_or(instant)
}

/// Whether a text can stand as a media type (RFC 9110, 8.3.1) in a header, with or without parameters.
pub(crate) fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&octet))
    };
    text.len() <= 255
        && text.bytes().all(|octet| (b' '..=b'~').contains(&octet))
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// The octets of one part, as long as it and all parts `together` stay below their limits.
async fn octets(
    mut field: Field<'_>,
    what: &'static str,
    together: &mut usize,
    limit: usize,
    limit_together: usize,
) -> Result<Bytes, Problem> {
    let mut octets = BytesMut::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        *together += chunk.len();
        if octets.len() + chunk.len() > limit {
            return Err(too_large(what, limit));
        }
        if *together > limit_together {
            return Err(too_large("together", limit_together));
        }
        octets.extend_from_slice(&chunk);
    }
    Ok(octets.freeze())
}

fn too_large(what: &str, limit: usize) -> Problem {
    let unit = if what == "attachments" { "attachments" } else { "octets" };
    let detail = format!("at most {limit} {unit}");
    Problem::of(Code::TooLarge).naming(FieldError::new(format!("part:{what}"), "too-large", detail))
}

fn unreadable(_: MultipartError) -> Problem {
    broken("the body ends early or is no multipart/form-data")
}

fn broken(detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::new("", "multipart-broken", detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_a_type_and_a_subtype() {
        for text in [
            "application/xml",
            "text/plain; charset=utf-8",
            "application/vnd.example+json",
        ] {
            assert!(is_media_type(text), "{text}");
        }
        for text in ["", "xml", "/", "a/", "a b/c", "a/b\r\nX: y", "a/b/c", "ä/b"] {
            assert!(!is_media_type(text), "{text}");
        }
    }

    #[test]
    fn a_key_is_one_header_of_visible_characters() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", value.parse().unwrap());
            }
            headers
        };
        assert_eq!(idempotency_key(&headers(&["k-1"])).unwrap(), "k-1");
        for bad in [&[][..], &[""], &["a", "b"], &["a b"], &[&"x".repeat(256)]] {
            assert_eq!(
                idempotency_key(&headers(bad)).unwrap_err().code,
                Code::IdempotencyKeyMissing,
                "{bad:?}"
            );
        }
    }
}
