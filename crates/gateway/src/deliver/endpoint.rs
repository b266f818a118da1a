//! Posting to an HTTP server of corner 4: one client for all that need nothing of their own, without surprises.
//!
//! Guarantees: an application goes where the operator said and nowhere else (`outgoing`); every request carries the
//! envelope digest as its `Idempotency-Key`.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client};
use viereck_observe::Trace;
use viereck_routing::Digest;

use super::adapter::AdapterError;
use super::outcome::{Verdict, verdict};
use crate::config::{self, Outgoing};
use crate::http::traced::TRACEPARENT;
use crate::outgoing;

/// An HTTP server of corner 4, ready to be posted to.
pub(crate) struct Endpoint {
    client: Client,
    config: config::Endpoint,
    authorization: Option<HeaderValue>,
}

/// The client that all endpoints share but those with an authority or a certificate of their own.
pub(crate) fn client() -> Result<Client, AdapterError> {
    Ok(outgoing::builder(&Outgoing::default())?.build()?)
}

impl Endpoint {
    pub(crate) fn new(client: Client, config: config::Endpoint) -> Result<Self, AdapterError> {
        let authorization = config.token_file.as_ref().map(|file| {
            let token = std::fs::read_to_string(file).map_err(|error| AdapterError::Unreadable {
                file: file.clone(),
                error,
            })?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| AdapterError::Malformed(file.clone()))?;
            value.set_sensitive(true);
            Ok::<_, AdapterError>(value)
        });
        let client = match &config.tls {
            Outgoing {
                ca: None,
                identity: None,
            } => client,
            tls => outgoing::builder(tls)?.build()?,
        };
        Ok(Self {
            client,
            authorization: authorization.transpose()?,
            config,
        })
    }

    /// Posts `form`, the same every time under the same `digest`; the trace is for those who look at traces.
    pub(crate) async fn post(&self, digest: Digest, trace: Option<Trace>, form: Form) -> Verdict {
        let mut request = self
            .client
            .post(self.config.url.clone())
            .timeout(self.config.timeout)
            .header("idempotency-key", digest.to_string())
            .multipart(form);
        if let Some(trace) = trace {
            request = request.header(TRACEPARENT, trace.to_string());
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        verdict(request.send().await).await
    }
}

/// A part of a form under a name of ours. A media type that is none is not passed on.
pub(crate) fn part(name: &str, media_type: &str, octets: &Bytes) -> Part {
    let make = || Part::stream_with_length(Body::from(octets.clone()), octets.len() as u64).file_name(name.to_owned());
    make().mime_str(media_type).unwrap_or_else(|_| make())
}
