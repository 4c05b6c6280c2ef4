//! The JSON Schemas of events: what receivers of the `paidup` format may rely on.

use crate::extract::{Path, Query};
use crate::paging::List;
use crate::problem::Problem;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::schema;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where the schema of a type is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchemaAnswer {
    /// Canonical name.
    #[serde(rename = "type")]
    event_type: &'static str,
    /// Versions of the shape, oldest first.
    versions: &'static [&'static str],
    /// Path of the newest version's schema.
    path: String,
}

/// Which version.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// E.g. `2026-11-01`; the newest when absent.
    version: Option<String>,
}

/// Every type of event, with the path of its JSON Schema. Needs no key.
#[utoipa::path(get, path = "/v1/events/schemas", tag = "events", security(()), responses((status = 200, body = List<SchemaAnswer>)))]
pub(crate) async fn list() -> axum::Json<List<SchemaAnswer>> {
    let of = |event_type: &EventType| SchemaAnswer {
        event_type: event_type.as_str(),
        versions: schema::VERSIONS,
        path: format!("/v1/events/schemas/{event_type}"),
    };
    axum::Json(List::whole(EventType::ALL.iter().map(of).collect()))
}

/// The JSON Schema (2020-12) of one type's events. Fields may be added within a version; bear those that you do not know.
#[utoipa::path(get, path = "/v1/events/schemas/{type}", tag = "events", params(("type" = String, Path), Which), security(()),
    responses((status = 200, description = "A JSON Schema", content_type = "application/schema+json", body = Object), (status = 404, body = Problem)))]
pub(crate) async fn get(Path(text): Path<String>, Query(which): Query<Which>) -> Result<Response, Problem> {
    let event_type: EventType = text.parse().map_err(|_| Problem::not_found("type of event"))?;
    if let Some(version) = which.version.filter(|version| !schema::VERSIONS.contains(&version.as_str())) {
        let known = schema::VERSIONS.join(" ");
        return Err(Problem::invalid("/version", format!("no version {version:?}; known: {known}")));
    }
    let body = schema::of(event_type).to_value().to_string();
    Ok(([(CONTENT_TYPE, "application/schema+json")], body).into_response())
}
