//! Back-fills: bringing what a destination keeps about customers up to date, for all of them.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::backfill::BackfillView;
use paidup_lifecycle::ids::{BackfillId, CustomerId, DestinationId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::backfills::BackfillFailure;
use serde::Serialize;
use utoipa::ToSchema;

/// A back-fill.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackfillAnswer {
    /// Its id.
    #[schema(value_type = String)]
    id: BackfillId,
    /// Which destination is brought up to date.
    #[schema(value_type = String)]
    destination: DestinationId,
    /// `running`, `paused`, `done`, `cancelled`.
    state: &'static str,
    /// Why it is paused.
    reason: Option<String>,
    /// Since when it stands so.
    #[schema(value_type = String)]
    state_since: Timestamp,
    /// When it was begun.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Customers to look at.
    total: u64,
    /// Of them looked at: `written` + `skipped` + `failed`.
    done: u64,
    /// Brought up to date.
    written: u64,
    /// Nothing to do: merged into another customer, or the destination keeps nothing about them.
    skipped: u64,
    /// Refused; `failures` says why.
    failed: u64,
    /// Customers a minute, while it runs.
    per_minute: Option<u64>,
    /// When it will be through if it goes on like this.
    #[schema(value_type = Option<String>)]
    eta: Option<Timestamp>,
}

impl From<BackfillView> for BackfillAnswer {
    fn from(view: BackfillView) -> BackfillAnswer {
        let BackfillView { record, pace } = view;
        BackfillAnswer {
            id: record.id,
            destination: record.destination,
            state: record.state.as_str(),
            state_since: record.state_since,
            created_at: record.created_at,
            total: record.total,
            done: record.done(),
            written: record.written,
            skipped: record.skipped,
            failed: record.failed,
            per_minute: pace.map(|pace| pace.per_minute),
            eta: pace.map(|pace| pace.eta),
            reason: record.reason,
        }
    }
}

/// A customer whom a back-fill could not bring up to date.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureAnswer {
    /// Who.
    #[schema(value_type = String)]
    customer_id: CustomerId,
    /// Why.
    reason: String,
    /// When.
    #[schema(value_type = String)]
    at: Timestamp,
}

impl From<BackfillFailure> for FailureAnswer {
    fn from(failure: BackfillFailure) -> FailureAnswer {
        FailureAnswer { customer_id: failure.customer, reason: failure.reason, at: failure.at }
    }
}

fn id(text: &str) -> Result<BackfillId, Problem> {
    text.parse().map_err(|_| Problem::not_found("back-fill"))
}

fn destination(text: &str) -> Result<DestinationId, Problem> {
    text.parse().map_err(|_| Problem::not_found("destination"))
}

/// Begins to bring a destination up to date for every customer that there is now.
#[utoipa::path(post, path = "/v1/destinations/{id}/backfills", tag = "backfills", params(("id" = String, Path)),
    responses((status = 201, body = BackfillAnswer), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "One is open already, or the destination is held"),
        (status = 422, body = Problem, description = "This type of destination keeps nothing about customers")))]
pub(crate) async fn begin(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let answer = BackfillAnswer::from(hub.begin_backfill(destination(&text)?).await?);
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

/// Back-fills of a destination, newest first.
#[utoipa::path(get, path = "/v1/destinations/{id}/backfills", tag = "backfills", params(("id" = String, Path), Page),
    responses((status = 200, body = List<BackfillAnswer>), (status = 404, body = Problem)))]
pub(crate) async fn of_destination(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<BackfillAnswer>>, Problem> {
    listed(&hub, Some(destination(&text)?), &page).await
}

/// All back-fills, newest first.
#[utoipa::path(get, path = "/v1/backfills", tag = "backfills", params(Page), responses((status = 200, body = List<BackfillAnswer>)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<BackfillAnswer>>, Problem> {
    listed(&hub, None, &page).await
}

async fn listed(
    hub: &Hub,
    destination: Option<DestinationId>,
    page: &Page,
) -> Result<axum::Json<List<BackfillAnswer>>, Problem> {
    let limit = page.limit()?;
    let rows = hub.list_backfills(destination, page.after()?, limit).await?;
    let rows = rows.into_iter().map(|(number, view)| (number, view.into())).collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// How far a back-fill has come.
#[utoipa::path(get, path = "/v1/backfills/{id}", tag = "backfills", params(("id" = String, Path)),
    responses((status = 200, body = BackfillAnswer), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
) -> Result<axum::Json<BackfillAnswer>, Problem> {
    Ok(axum::Json(hub.show_backfill(id(&text)?).await?.into()))
}

/// Customers whom a back-fill could not bring up to date, and why; the first 1,000 of them.
#[utoipa::path(get, path = "/v1/backfills/{id}/failures", tag = "backfills", params(("id" = String, Path), Page),
    responses((status = 200, body = List<FailureAnswer>), (status = 404, body = Problem)))]
pub(crate) async fn failures(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<FailureAnswer>>, Problem> {
    let limit = page.limit()?;
    let rows = hub.backfill_failures(id(&text)?, page.after()?.unwrap_or(0), limit).await?;
    let rows = rows.into_iter().map(|(number, failure)| (number, failure.into())).collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// Holds a back-fill.
#[utoipa::path(post, path = "/v1/backfills/{id}/pause", tag = "backfills", params(("id" = String, Path)),
    responses((status = 200, body = BackfillAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn pause(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<BackfillAnswer>, Problem> {
    Ok(axum::Json(hub.pause_backfill(id(&text)?).await?.into()))
}

/// Goes on with a paused back-fill.
#[utoipa::path(post, path = "/v1/backfills/{id}/resume", tag = "backfills", params(("id" = String, Path)),
    responses((status = 200, body = BackfillAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn resume(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<BackfillAnswer>, Problem> {
    Ok(axum::Json(hub.resume_backfill(id(&text)?).await?.into()))
}

/// Ends a back-fill. What it has written stays.
#[utoipa::path(post, path = "/v1/backfills/{id}/cancel", tag = "backfills", params(("id" = String, Path)),
    responses((status = 200, body = BackfillAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn cancel(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<BackfillAnswer>, Problem> {
    Ok(axum::Json(hub.cancel_backfill(id(&text)?).await?.into()))
}
