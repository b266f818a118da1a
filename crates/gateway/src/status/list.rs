//! `GET /v1/submissions`: what a client filed, newest first, page by page.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use viereck_custody::list::{Filter, Position};

use super::Submission;
use crate::gateway::Gateway;
use crate::http::access::{Scope, client};
use crate::http::page;
use crate::http::peer::Asking;
use crate::http::problem::{FieldError, Problem};

/// The questions; all texts, so that a mistake is named by its own key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    status: Option<String>,
    since: Option<String>,
    until: Option<String>,
    leistung: Option<String>,
    behoerde: Option<String>,
    overdue: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

/// `GET /v1/submissions`.
pub(crate) async fn get(
    State(gateway): State<Arc<Gateway>>,
    questions: Result<Query<Questions>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let client = client(&gateway, &asking, Scope::Read).await?.id;
    let expected = "status, since, until, leistung, behoerde, overdue, cursor, limit, each once";
    let unknown = |_| Problem::invalid(vec![FieldError::new("", "unknown-key", expected)]);
    let Query(questions) = questions.map_err(unknown)?;
    let (mut filter, after, limit) = questions.parse()?;
    filter.client = Some(client);
    let found = gateway.journal.list(filter, after, limit).await?;
    let tables = gateway.tables();
    let submissions: Vec<Submission<'_>> = found
        .messages
        .iter()
        .map(|view| Submission::of(view, &tables))
        .collect();
    let next = found.next.map(|next| next.to_string());
    let links = page::links("/v1/submissions", &questions.kept(limit), next.as_deref());
    let private = [(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    Ok((private, links, Json(json!({ "submissions": submissions }))).into_response())
}

impl Questions {
    fn parse(&self) -> Result<(Filter, Option<Position>, u32), Problem> {
        let mut errors = Vec::new();
        let filter = Filter {
            status: read(&mut errors, "status", &self.status, "a status, e.g. delivered"),
            since: read(&mut errors, "since", &self.since, INSTANT),
            until: read(&mut errors, "until", &self.until, INSTANT),
            leistung: read(&mut errors, "leistung", &self.leistung, "a LeiKa key of 14 digits"),
            reader: read(&mut errors, "behoerde", &self.behoerde, "the identifier of a Behörde"),
            overdue: read(&mut errors, "overdue", &self.overdue, "true or false").unwrap_or(false),
            ..Filter::default()
        };
        let after: Option<Position> = read(&mut errors, "cursor", &self.cursor, "a cursor of an earlier page");
        let limit = page::limit(self.limit.as_deref()).unwrap_or_else(|error| {
            errors.push(error);
            1
        });
        match errors.is_empty() {
            true => Ok((filter, after, limit)),
            false => Err(Problem::invalid(errors)),
        }
    }

    /// What the next page is asked for too.
    fn kept(&self, limit: u32) -> Vec<(&'static str, String)> {
        let all = [
            ("status", &self.status),
            ("since", &self.since),
            ("until", &self.until),
            ("leistung", &self.leistung),
            ("behoerde", &self.behoerde),
            ("overdue", &self.overdue),
        ];
        let mut kept: Vec<_> = all
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)))
            .collect();
        kept.push(("limit", limit.to_string()));
        kept
    }
}

const INSTANT: &str = "an instant, e.g. 2026-11-01T00:00:00Z";

fn read<T: FromStr>(errors: &mut Vec<FieldError>, key: &str, text: &Option<String>, expected: &str) -> Option<T> {
    let parsed = text.as_deref()?.parse().ok();
    if parsed.is_none() {
        errors.push(FieldError::new(format!("/{key}"), "invalid", expected));
    }
    parsed
}
