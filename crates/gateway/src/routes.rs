//! `GET /v1/routes?leistung=&ars=|ags=&date=`: who is competent, what it accepts, and every step that was tried.
//!
//! Competences are public, so nobody has to say who is asking. The ETag is the release of the routing table with the
//! day asked for: the same release answers differently once a planned change is due.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use viereck_routing::{Ags, Ars, LeistungId, Outcome, Place, day_in_berlin};

use crate::gateway::Gateway;
use crate::http::problem::{Code, FieldError, Problem};

/// The questions of the query; all texts, so that a mistake is named by its own key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    leistung: Option<String>,
    ars: Option<String>,
    ags: Option<String>,
    date: Option<String>,
}

/// `GET /v1/routes`.
pub(crate) async fn get(
    State(gateway): State<Arc<Gateway>>,
    question: Result<Query<Question>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let unknown = |_| Problem::invalid(vec![FieldError::new("", "unknown-key", "leistung, ars or ags, date")]);
    let Query(question) = question.map_err(unknown)?;
    let (leistung, place, on) = question.parse()?;
    let tables = gateway.tables();
    let tag =
        HeaderValue::try_from(format!("\"{}.{on}\"", tables.release())).map_err(|_| Problem::of(Code::Internal))?;
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let answer = tables.resolve(&leistung, &place, on);
    if let Outcome::NoRoute(none) = &answer.outcome {
        let steps = serde_json::to_value(&answer.steps).unwrap_or_default();
        return Err(Problem::of(Code::NoRoute)
            .with("reason", none.reason())
            .with("steps", steps));
    }
    let cache = HeaderValue::from_static("no-cache");
    Ok((
        [(header::ETAG, tag), (header::CACHE_CONTROL, cache)],
        axum::Json(answer),
    )
        .into_response())
}

impl Question {
    fn parse(self) -> Result<(LeistungId, Place, Date), Problem> {
        let mut errors = Vec::new();
        let mut wrong =
            |key: &str, expected: String| errors.push(FieldError::new(format!("/{key}"), "invalid", expected));
        let leistung = match self.leistung.as_deref().unwrap_or_default().parse::<LeistungId>() {
            Ok(leistung) => Some(leistung),
            Err(error) => {
                wrong("leistung", error.to_string());
                None
            }
        };
        let place = match (self.ars.as_deref(), self.ags.as_deref()) {
            (Some(ars), None) => ars
                .parse::<Ars>()
                .map(Place::Ars)
                .map_err(|error| wrong("ars", error.to_string()))
                .ok(),
            (None, Some(ags)) => ags
                .parse::<Ags>()
                .map(Place::Ags)
                .map_err(|error| wrong("ags", error.to_string()))
                .ok(),
            _ => {
                wrong("ars", "exactly one of ars and ags".to_owned());
                None
            }
        };
        let on = match self.date.as_deref().map(str::parse::<Date>) {
            None => Some(day_in_berlin(Timestamp::now())),
            Some(Ok(date)) => Some(date),
            Some(Err(_)) => {
                wrong("date", "a day: YYYY-MM-DD".to_owned());
                None
            }
        };
        match (leistung, place, on) {
            (Some(leistung), Some(place), Some(on)) => Ok((leistung, place, on)),
            _ => Err(Problem::invalid(errors)),
        }
    }
}
