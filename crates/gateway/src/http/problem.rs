//! What a client is told when its request is not carried out: `application/problem+json` (RFC 9457).
//!
//! One closed list of codes. Guarantees: a detail names the place of a mistake and the shape that was expected, never
//! what stood there, so that answers can be logged and forwarded without care.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use viereck_custody::{JournalError, PromiseError};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $again:literal, $title:literal, $hint:literal;)+) => {
        /// Why a request is not carried out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[$doc])* $variant,)+ }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Code] = &[$(Code::$variant),+];

            /// The stable word.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code),+ }
            }

            /// The status it is sent with.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Code::$variant => StatusCode::$status),+ }
            }

            /// Whether the very same request may succeed later.
            pub(crate) fn is_retryable(self) -> bool {
                match self { $(Code::$variant => $again),+ }
            }

            fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }

            fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint),+ }
            }
        }
    };
}

codes! {
    /// No key under which a repeat is known.
    IdempotencyKeyMissing = "idempotency-key-missing", BAD_REQUEST, false,
        "The header Idempotency-Key is missing or not well-formed",
        "Send a fresh random key of 1 to 255 visible ASCII characters, and the same one with every repeat.";
    /// The key stands for something else.
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY, false,
        "The Idempotency-Key was used before for another request",
        "Use one key for one request; a changed request needs a new key.";
    /// No token, or none that counts here.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, false,
        "The bearer token is missing or not known here",
        "Send Authorization: Bearer with the token issued for this gateway and this environment.";
    /// A token alone is not enough.
    CertificateRequired = "certificate-required", UNAUTHORIZED, false,
        "This client has to show its certificate",
        "Connect with the TLS certificate that is entered for the client in the routing table.";
    /// Too many requests without anything that counts.
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, true,
        "Too many requests from this address that nobody is known for",
        "Wait for the seconds of Retry-After, and check the token.";
    /// Known, but not entitled.
    NotPermitted = "not-permitted", FORBIDDEN, false,
        "This is not among what the token permits",
        "Ask the operator of the gateway to extend the entry in the routing table, or for a token with the scope of WWW-Authenticate.";
    /// Nobody is competent.
    NoRoute = "no-route", UNPROCESSABLE_ENTITY, false,
        "No authority is entered for this Leistung and place",
        "Check leistung and region; GET /v1/routes shows every step that was tried.";
    /// The operators refuse the region, or the way is shut.
    NotConnected = "not-connected", UNPROCESSABLE_ENTITY, false,
        "The competent authority takes no electronic applications here at present",
        "Show the text and the link to the applicant.";
    /// Several are competent.
    ChoiceNeeded = "choice-needed", UNPROCESSABLE_ENTITY, false,
        "Several authorities come into question",
        "Let the applicant choose and send behoerde instead of region.";
    /// The content of the request is not what it should be.
    PayloadInvalid = "payload-invalid", UNPROCESSABLE_ENTITY, false,
        "The request is not well-formed",
        "errors names each place and what was expected there.";
    /// The schema is not one that the route takes.
    SchemaNotAccepted = "schema-not-accepted", UNPROCESSABLE_ENTITY, false,
        "The authority does not accept this payload schema",
        "Use one of accepts.";
    /// The applicant's identity is not trusted enough.
    LevelTooLow = "level-too-low", UNPROCESSABLE_ENTITY, false,
        "The Leistung demands a higher trust level of the applicant's identity",
        "Let the applicant sign in with an account of at least requiredLevel.";
    /// More octets than allowed.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, false,
        "The request is larger than this gateway takes",
        "See limits; nothing was stored.";
    /// The request is compressed or otherwise encoded.
    UnsupportedEncoding = "unsupported-encoding", UNSUPPORTED_MEDIA_TYPE, false,
        "The request is encoded in a way that is not supported",
        "Send multipart/form-data without Content-Encoding.";
    /// More requests than agreed.
    QuotaExceeded = "quota-exceeded", TOO_MANY_REQUESTS, true,
        "More requests than agreed for this client",
        "Wait for the seconds of Retry-After.";
    /// Not there, or not for this client.
    NotFound = "not-found", NOT_FOUND, false,
        "There is nothing here for this token",
        "Check the identifier; only who filed a submission may see it.";
    /// It may be taken over yet.
    ContentInFlight = "content-in-flight", CONFLICT, false,
        "The submission has not ended, so its content is not given back",
        "Wait until terminal is true; links names content while it can be fetched.";
    /// Taken over, or erased.
    ContentNotKept = "content-not-kept", NOT_FOUND, false,
        "The content is no longer kept here",
        "The submission was taken over, or its content was fetched and deleted; see the events.";
    /// A URL that is not called.
    WebhookUrlNotAllowed = "webhook-url-not-allowed", UNPROCESSABLE_ENTITY, false,
        "This URL is not called from here",
        "Name an https URL at a public address; the operator can allow others.";
    /// There is one for this URL.
    WebhookExists = "webhook-exists", CONFLICT, false,
        "There is a webhook for this URL already",
        "Use webhookId; POST /v1/webhooks/{id}/secret makes a new secret where the first one got lost.";
    /// As many as allowed.
    TooManyWebhooks = "too-many-webhooks", CONFLICT, false,
        "There are as many webhooks as this client may have",
        "Delete one that is no longer needed.";
    /// Another method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, false,
        "This resource does not know the method",
        "See the header Allow.";
    /// The body came too slowly.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, true,
        "The request did not arrive in time",
        "Repeat it with the same Idempotency-Key; nothing was stored.";
    /// More at once than memory is meant for.
    Busy = "busy", SERVICE_UNAVAILABLE, true,
        "The gateway is working on as much as it takes at once",
        "Repeat it with the same Idempotency-Key after the seconds of Retry-After.";
    /// The journal was restored from a copy a short while ago.
    CaseNotYetKnown = "case-not-yet-known", SERVICE_UNAVAILABLE, true,
        "The gateway was restored from a copy, and what it took meanwhile may still come again",
        "Repeat it with the same Idempotency-Key after the seconds of Retry-After.";
    /// Nobody can say whether the access token counts.
    IssuerUnavailable = "issuer-unavailable", SERVICE_UNAVAILABLE, true,
        "The keys of the authorisation server cannot be fetched at present",
        "Repeat it with the same Idempotency-Key after the seconds of Retry-After.";
    /// Told to stop.
    Stopping = "stopping", SERVICE_UNAVAILABLE, true,
        "The gateway is being stopped",
        "Repeat it with the same Idempotency-Key after the seconds of Retry-After.";
    /// The journal cannot be written.
    StoreUnavailable = "store-unavailable", SERVICE_UNAVAILABLE, true,
        "The gateway cannot write down anything at present, so it promises nothing",
        "Repeat it with the same Idempotency-Key after the seconds of Retry-After.";
    /// Our own fault.
    Internal = "internal", INTERNAL_SERVER_ERROR, true,
        "The gateway made a mistake",
        "Repeat it with the same Idempotency-Key; tell the operator the time if it stays.";
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    errors: Vec<FieldError>,
    more: Map<String, Value>,
    retry_after: Option<u64>,
    headers: Vec<(HeaderName, String)>,
}

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the metadata, or `part:<name>`.
    pub(crate) pointer: String,
    /// A stable word.
    pub(crate) code: &'static str,
    /// What was expected; never what stood there.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    retryable: bool,
    hint: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl Problem {
    /// A problem that its code says all about.
    pub(crate) fn of(code: Code) -> Self {
        let retry_after = (code.is_retryable() && code.status().is_server_error()).then_some(5);
        Self {
            code,
            errors: Vec::new(),
            more: Map::new(),
            retry_after,
            headers: Vec::new(),
        }
    }

    /// A request whose content is not what it should be.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::of(Code::PayloadInvalid)
        }
    }

    /// The mistakes named.
    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// With one mistake named.
    pub(crate) fn naming(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    /// With a member of its own.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With the seconds after which a repeat makes sense.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// With a header of its own.
    pub(crate) fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        match error.is_full() {
            true => tracing::warn!("the journal is full, answered 503"),
            false => tracing::error!(%error, alarm = "store-unavailable", "the journal failed, answered 503"),
        }
        Problem::of(Code::StoreUnavailable)
    }
}

impl From<PromiseError> for Problem {
    fn from(error: PromiseError) -> Self {
        match error {
            PromiseError::KeyReused => Problem::of(Code::IdempotencyKeyReused),
            PromiseError::Journal(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        tracing::debug!(code = self.code.as_str(), "a request was refused");
        let body = Body {
            r#type: format!("urn:viereck:problem:1:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            retryable: self.code.is_retryable(),
            hint: self.code.hint(),
            errors: &self.errors,
            more: &self.more,
        };
        let mut response = (self.code.status(), axum::Json(body)).into_response();
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_errors() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(
                code.status().is_client_error() || code.status().is_server_error(),
                "{}",
                code.as_str()
            );
        }
    }
}
