//! Comparing what is known with a store.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::ids::{ReconcileId, SourceId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::reconciles::{ReconcilePurchases, ReconcileRecord};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What is to be compared.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewReconcile {
    /// The store's lists are compared from here on. Absent: since the source was last heard, less a day.
    #[schema(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// `open` (default): the store is asked about purchases that are not over, or not for long; `all`: about all.
    purchases: Option<String>,
}

/// A run that compares what is known with a store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReconcileAnswer {
    /// Its id.
    #[schema(value_type = String)]
    id: ReconcileId,
    /// Which source.
    #[schema(value_type = String)]
    source_id: SourceId,
    /// `running`, `done`, `cancelled`.
    state: &'static str,
    /// Since when it stands so.
    #[schema(value_type = String)]
    state_since: Timestamp,
    /// When it was begun.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Why: `start`, `period`, `silence`, `command`.
    cause: &'static str,
    /// Lists are compared from here on.
    #[schema(value_type = String)]
    since: Timestamp,
    /// `open` or `all`.
    purchases: &'static str,
    /// Answers that came: pages of lists, and the store's word on single purchases.
    asked: u64,
    /// Of them, those that said nothing new. They leave nothing behind.
    same: u64,
    /// Of them, those that changed something: differences found.
    different: u64,
    /// What could not be asked.
    failed: u64,
    /// What came of the last of those.
    last_error: Option<String>,
}

impl From<ReconcileRecord> for ReconcileAnswer {
    fn from(record: ReconcileRecord) -> ReconcileAnswer {
        ReconcileAnswer {
            id: record.id,
            source_id: record.source,
            state: record.state.as_str(),
            state_since: record.state_since,
            created_at: record.created_at,
            cause: record.cause.as_str(),
            since: record.since,
            purchases: record.purchases.as_str(),
            asked: record.asked,
            same: record.same,
            different: record.different,
            failed: record.failed,
            last_error: record.last_error,
        }
    }
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct Wanted {
    /// Only of this source.
    #[serde(default)]
    source: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Rows on the page, 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<String>,
}

fn id(text: &str) -> Result<ReconcileId, Problem> {
    text.parse().map_err(|_| Problem::not_found("run"))
}

fn source(text: &str) -> Result<SourceId, Problem> {
    text.parse().map_err(|_| Problem::not_found("source"))
}

/// Begins to compare what is known of a source with its store.
#[utoipa::path(post, path = "/v1/sources/{id}/reconcile", tag = "sources", params(("id" = String, Path)),
    request_body = NewReconcile,
    responses((status = 201, body = ReconcileAnswer), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is being compared already"),
        (status = 422, body = Problem, description = "This source cannot ask its store")))]
pub(crate) async fn begin(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<NewReconcile>,
) -> Result<Response, Problem> {
    let purchases = match request.purchases.as_deref() {
        None => ReconcilePurchases::Open,
        Some(word) => word.parse().map_err(|_| Problem::invalid("/purchases", "purchases is `open` or `all`"))?,
    };
    let begun = hub.reconcile_source(source(&text)?, request.since, purchases).await?;
    Ok((StatusCode::CREATED, axum::Json(ReconcileAnswer::from(begun))).into_response())
}

/// Runs that compare, newest first.
#[utoipa::path(get, path = "/v1/reconciles", tag = "sources", params(Wanted),
    responses((status = 200, body = List<ReconcileAnswer>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(wanted): Query<Wanted>,
) -> Result<axum::Json<List<ReconcileAnswer>>, Problem> {
    let page = Page { after: wanted.after, limit: wanted.limit };
    let limit = page.limit()?;
    let of = wanted.source.as_deref().map(source).transpose()?;
    let rows = hub.store().reconciles(of, page.after()?, limit).await?;
    let rows = rows.into_iter().map(|(number, record)| (number, record.into())).collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// How far a run has come.
#[utoipa::path(get, path = "/v1/reconciles/{id}", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, body = ReconcileAnswer), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReconcileAnswer>, Problem> {
    Ok(axum::Json(hub.show_reconcile(id(&text)?).await?.into()))
}

/// Ends a run. What it has found stays.
#[utoipa::path(post, path = "/v1/reconciles/{id}/cancel", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, body = ReconcileAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn cancel(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReconcileAnswer>, Problem> {
    Ok(axum::Json(hub.cancel_reconcile(id(&text)?).await?.into()))
}
