//! What an operator is told when a request is not carried out: `application/problem+json` (RFC 9457).
//!
//! One closed list of codes, shared by the interface and by the command line that talks to it, so that the exit code of
//! a command follows from the code and never from a text. A detail names identifiers and states, never contents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use viereck_custody::JournalError;

use crate::failure::Exit;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $exit:ident, $title:literal, $hint:literal;)+) => {
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

            /// How a command ends that is told this.
            pub(crate) fn exit(self) -> Exit {
                match self { $(Code::$variant => Exit::$exit),+ }
            }

            fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }

            /// The next step.
            pub(crate) fn hint(self) -> &'static str {
                match self { $(Code::$variant => $hint),+ }
            }
        }
    };
}

codes! {
    /// No token, or none that counts here.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, NotPermitted,
        "The bearer token is missing or not known here",
        "Name the file of an operator's token with --token-file or VIERECK_OPERATOR_TOKEN_FILE.";
    /// A token that permits to look, and a request that acts.
    NotPermitted = "not-permitted", FORBIDDEN, NotPermitted,
        "This token permits to look, not to act",
        "Use the token of an operator with may = \"act\" in [[operations.operator]].";
    /// Not well-formed.
    RequestInvalid = "request-invalid", UNPROCESSABLE_ENTITY, Usage,
        "The request is not well-formed",
        "detail says what was expected.";
    /// More octets than any request here needs.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, Usage,
        "The request is larger than any that makes sense here",
        "Send the fields that the interface knows.";
    /// No such path.
    NotFound = "not-found", NOT_FOUND, NotFound,
        "There is nothing here",
        "Check the path.";
    /// Another method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, Usage,
        "This resource does not know the method",
        "See the header Allow.";
    /// A custodian that this process does not run.
    CustodianUnknown = "custodian-unknown", NOT_FOUND, NotFound,
        "This process runs no such custodian",
        "Ask the process that runs it; `viereck config check` lists the roles of a configuration.";
    /// Nothing is parked under this id.
    NotParked = "not-parked", NOT_FOUND, NotFound,
        "Nothing is parked here under this id",
        "`viereck parked list` shows what is; it may have been requeued already.";
    /// No journal of this process knows the message.
    MessageUnknown = "message-unknown", NOT_FOUND, NotFound,
        "No journal of this process knows the message",
        "Ask the other custodians; a journal only knows what passed it.";
    /// No such job.
    JobUnknown = "job-unknown", NOT_FOUND, NotFound,
        "There is no job of this id under way",
        "`viereck parked jobs` shows every job.";
    /// It is paused already, or it is not.
    PauseUnchanged = "pause-unchanged", CONFLICT, Conflict,
        "Nothing changes by this",
        "`viereck doctor` and GET /v1/pauses show what is paused.";
    /// Parked at more than one custodian of this process.
    CustodianAmbiguous = "custodian-ambiguous", CONFLICT, Conflict,
        "More than one custodian of this process has it parked",
        "Say which one with custodian (--gateway or --broker).";
    /// The state of the message does not allow it.
    NotAllowed = "not-allowed", CONFLICT, Conflict,
        "The state of the message does not allow this",
        "`viereck message trace` shows its state; only the present custodian ends a message.";
    /// The table in force sends the reader elsewhere.
    ReaderElsewhere = "reader-elsewhere", CONFLICT, Conflict,
        "By the table in force this gateway serves the reader no more",
        "Mend the table and reload it, or discard the message so that its author learns of it.";
    /// A message that may not be sealed anew, or cannot.
    NotReplaceable = "not-replaceable", CONFLICT, Conflict,
        "The message is not sealed anew",
        "Only what never left, or ended as undeliverable, expired, or rejected for the reader's key, is; detail says why not.";
    /// It has not ended.
    ContentInFlight = "content-in-flight", CONFLICT, Conflict,
        "The message has not ended, so its content is not erased",
        "`viereck parked discard` ends what is parked; `viereck message trace` shows who has it.";
    /// Taken over, erased before, or sealed anew.
    ContentNotKept = "content-not-kept", NOT_FOUND, NotFound,
        "There is no content of this message that could be erased",
        "`viereck message trace` shows whether it was taken over, erased or sealed anew.";
    /// Nothing to do.
    NothingMatches = "nothing-matches", NOT_FOUND, NotFound,
        "Nothing that is parked fits the filter",
        "`viereck parked list` shows what is parked.";
    /// The process is being stopped.
    Stopping = "stopping", SERVICE_UNAVAILABLE, Unreachable,
        "The process is being stopped",
        "Repeat it when it runs again.";
    /// The link does not take it.
    LinkUnavailable = "link-unavailable", SERVICE_UNAVAILABLE, Unreachable,
        "The link takes nothing at present; nothing was changed",
        "Repeat it later; `viereck doctor` looks at the link.";
    /// A journal that cannot be read or written.
    StoreUnavailable = "store-unavailable", SERVICE_UNAVAILABLE, Unreachable,
        "The journal cannot be read or written at present; nothing was changed",
        "`viereck doctor` looks at the journals.";
    /// Our own fault.
    Internal = "internal", INTERNAL_SERVER_ERROR, Unexpected,
        "The process made a mistake",
        "Look at its log.";
}

impl Code {
    /// The code of this word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Code::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

/// A refusal on its way to an operator.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: Option<String>,
}

/// The body of an answer that refuses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    r#type: String,
    pub(crate) title: String,
    status: u16,
    pub(crate) code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    pub(crate) hint: String,
}

impl Problem {
    /// A problem that its code says all about.
    pub(crate) fn of(code: Code) -> Self {
        Self { code, detail: None }
    }

    /// With what is special about this one.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// A request that is not well-formed; `expected` says what would be.
    pub(crate) fn invalid(expected: impl Into<String>) -> Self {
        Self::of(Code::RequestInvalid).detail(expected)
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, alarm = "store-unavailable", "a journal failed an operator's request");
        Problem::of(Code::StoreUnavailable)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("urn:viereck:problem:1:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code.as_str().to_owned(),
            detail: self.detail,
            hint: self.code.hint().to_owned(),
        };
        let mut response = (self.code.status(), axum::Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_lead_back() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::of(code.as_str()), Some(*code));
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert_ne!(code.exit(), Exit::Ok);
        }
    }
}
