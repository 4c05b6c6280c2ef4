//! Sources: where notifications come from.

use super::destinations::AlertAnswer;
use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path};
use crate::paging::List;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::line::LineReport;
use paidup_hub::sources::SourceView;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
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
    /// When it last received something, as far as is known.
    last_heard_at: Option<String>,
    /// What is wrong with it, each with what to do.
    alerts: Vec<AlertAnswer>,
    /// How its store answers, and what waits for it.
    store: StoreAnswer,
}

/// How a source's store answers, and what waits for it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StoreAnswer {
    /// When it last answered, since the hub started.
    answered_at: Option<String>,
    /// Since when no call was answered any more; null: the last one was.
    failing_since: Option<String>,
    /// Since when it does not accept the source's credentials; null: it does, as far as is known.
    refused_since: Option<String>,
    /// What came of the last call that failed, where the last one did.
    last_error: Option<String>,
    /// Questions how purchases stand that wait (`GET /v1/questions`).
    questions: u64,
    /// Lookups that wait (`GET /v1/lookups`).
    lookups: u64,
    /// Lookups that were given up.
    given_up: u64,
    /// Since when the oldest question or lookup waits.
    oldest: Option<String>,
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
            last_heard_at: None,
            alerts: Vec::new(),
            store: StoreAnswer::default(),
        }
    }
}

/// A source as it is shown, with how its store stands.
async fn shown(hub: &Hub, view: SourceView) -> Result<SourceAnswer, Problem> {
    let id = view.id;
    let (standing, waiting) = (hub.store_standing(id), hub.store().waiting(id).await?);
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Ok(SourceAnswer {
        last_heard_at: text(hub.last_heard(id)),
        alerts: hub.alerts().of_source(id).into_iter().map(AlertAnswer::from).collect(),
        store: StoreAnswer {
            answered_at: text(standing.answered_at),
            failing_since: text(standing.failing_since),
            refused_since: text(standing.refused_since),
            last_error: standing.last_error.or(waiting.last_error),
            questions: waiting.questions,
            lookups: waiting.lookups,
            given_up: waiting.given_up,
            oldest: text(waiting.oldest),
        },
        ..SourceAnswer::from(view)
    })
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
    Ok((StatusCode::CREATED, axum::Json(shown(&hub, made).await?)).into_response())
}

/// Lists sources, oldest first.
#[utoipa::path(get, path = "/v1/sources", tag = "sources", responses((status = 200, body = List<SourceAnswer>)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
) -> Result<axum::Json<List<SourceAnswer>>, Problem> {
    let mut shown_all = Vec::new();
    for view in hub.list_sources().await? {
        shown_all.push(shown(&hub, view).await?);
    }
    Ok(axum::Json(List::whole(shown_all)))
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
    Ok(axum::Json(shown(&hub, hub.show_source(id(&text)?).await?).await?))
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
    Ok(axum::Json(shown(&hub, changed).await?))
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

/// What came of testing the line from a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineAnswer {
    /// Whether it works; `null`: a person has to test it, at the store.
    works: Option<bool>,
    /// What that means, or how it is tested, in words.
    explanation: String,
    /// What was found, in the order in which it was looked at.
    findings: Vec<LineFinding>,
}

/// One thing that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineFinding {
    /// `fine`, `warning` (works, but look at it) or `problem` (does not work until it is mended).
    gravity: &'static str,
    /// What it is, and what to do.
    text: String,
}

impl From<LineReport> for LineAnswer {
    fn from(report: LineReport) -> LineAnswer {
        let findings = report.findings.into_iter();
        let shown = |found: paidup_sources::Finding| LineFinding { gravity: found.gravity.as_str(), text: found.text };
        LineAnswer { works: report.works, explanation: report.explanation, findings: findings.map(shown).collect() }
    }
}

/// Tests the line from the store: `app_store` with `api` lets Apple send a test notification and says what Apple saw. Other
/// types say how a person tests it.
#[utoipa::path(post, path = "/v1/sources/{id}/test", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, body = LineAnswer), (status = 404, body = Problem)))]
pub(crate) async fn test(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<LineAnswer>, Problem> {
    Ok(axum::Json(hub.test_source(id(&text)?).await?.into()))
}
