//! Sources: where notifications come from.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path};
use crate::paging::List;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::sources::SourceView;
use paidup_lifecycle::ids::SourceId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A source to set up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSource {
    /// `app_store`, `generic`; `GET /v1/sources/kinds` lists them.
    #[serde(rename = "type")]
    kind: String,
    /// For people.
    name: String,
    /// Settings of the type.
    #[serde(default = "empty")]
    #[schema(value_type = Object)]
    config: Box<RawValue>,
}

pub(crate) fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}

/// A change of a source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceChange {
    /// For people.
    #[serde(default)]
    name: Option<String>,
    /// All settings of the type; a secret that is sent back masked stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Box<RawValue>>,
}

/// A source. Secrets are masked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceAnswer {
    /// Its id.
    id: String,
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// For people.
    name: String,
    /// Settings, secrets masked.
    #[schema(value_type = Object)]
    config: serde_json::Value,
    /// Where the store sends notifications: enter this in the store's console.
    ingest_url: String,
    /// Since when.
    created_at: String,
}

impl From<SourceView> for SourceAnswer {
    fn from(view: SourceView) -> SourceAnswer {
        SourceAnswer {
            id: view.id.to_string(),
            kind: view.kind,
            name: view.name,
            config: view.config,
            ingest_url: view.ingest_url,
            created_at: view.created_at.to_string(),
        }
    }
}

/// A type of source or destination: what it needs and how it is set up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindAnswer {
    /// Its name, for `type`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// How it is set up, as Markdown.
    pub(crate) setup: &'static str,
    /// JSON Schema of `config`.
    #[schema(value_type = Object)]
    pub(crate) settings_schema: schemars::Schema,
    /// Which settings are secrets.
    pub(crate) secrets: &'static [&'static str],
}

fn id(text: &str) -> Result<SourceId, Problem> {
    text.parse().map_err(|_| Problem::not_found("source"))
}

/// Sets up a source.
#[utoipa::path(post, path = "/v1/sources", tag = "sources", request_body = NewSource,
    responses((status = 201, body = SourceAnswer), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Json(request): Json<NewSource>,
) -> Result<Response, Problem> {
    let made = hub.create_source(&request.kind, &request.name, &request.config).await?;
    Ok((StatusCode::CREATED, axum::Json(SourceAnswer::from(made))).into_response())
}

/// Lists sources, oldest first.
#[utoipa::path(get, path = "/v1/sources", tag = "sources", responses((status = 200, body = List<SourceAnswer>)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
) -> Result<axum::Json<List<SourceAnswer>>, Problem> {
    let sources = hub.list_sources().await?;
    Ok(axum::Json(List::whole(sources.into_iter().map(SourceAnswer::from).collect())))
}

/// The types of source that this version knows.
#[utoipa::path(get, path = "/v1/sources/kinds", tag = "sources", responses((status = 200, body = List<KindAnswer>)))]
pub(crate) async fn kinds(_: Authorized<Read>) -> axum::Json<List<KindAnswer>> {
    let kinds = paidup_sources::DEFINITIONS.iter().map(|definition| KindAnswer {
        kind: definition.kind,
        title: definition.title,
        setup: definition.setup,
        settings_schema: (definition.settings_schema)(),
        secrets: definition.secrets,
    });
    axum::Json(List::whole(kinds.collect()))
}

/// One source.
#[utoipa::path(get, path = "/v1/sources/{id}", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, body = SourceAnswer), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
) -> Result<axum::Json<SourceAnswer>, Problem> {
    Ok(axum::Json(hub.show_source(id(&text)?).await?.into()))
}

/// Changes a source's name or settings.
#[utoipa::path(patch, path = "/v1/sources/{id}", tag = "sources", params(("id" = String, Path)), request_body = SourceChange,
    responses((status = 200, body = SourceAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<SourceChange>,
) -> Result<axum::Json<SourceAnswer>, Problem> {
    let changed = hub.update_source(id(&text)?, request.name.as_deref(), request.config.as_deref()).await?;
    Ok(axum::Json(changed.into()))
}

/// Forgets a source. Its purchases stay.
#[utoipa::path(delete, path = "/v1/sources/{id}", tag = "sources", params(("id" = String, Path)),
    responses((status = 204, description = "Forgotten"), (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    hub.delete_source(id(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
