//! What sources have to look up at their stores before they can say more: what waits, and what could not be resolved.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Path, Query};
use crate::paging::{List, MAX_LIMIT, Page};
use crate::problem::Problem;
use axum::extract::State;
use paidup_hub::Hub;
use paidup_lifecycle::ids::{LookupId, PurchaseId, SourceId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{LookupRecord, QuestionRecord};
use serde::Serialize;
use utoipa::ToSchema;

/// Something that is to be looked up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LookupAnswer {
    /// Our id.
    #[schema(value_type = String)]
    id: LookupId,
    /// Which source wants to know.
    #[schema(value_type = String)]
    source_id: SourceId,
    /// What, in the store's words, e.g. `invoice/in_123`.
    name: String,
    /// Why.
    why: String,
    /// `waiting`, or `given_up`: nobody could answer, a person must look.
    state: &'static str,
    /// Since when.
    #[schema(value_type = String)]
    asked_since: Timestamp,
    /// When it is tried next.
    #[schema(value_type = Option<String>)]
    next_try_at: Option<Timestamp>,
    /// Tries so far.
    attempts: u32,
    /// What came of the last one.
    last_error: Option<String>,
    /// It is wanted to compare what is known with the store, not by a notification.
    reconciles: bool,
}

/// A question that the store has yet to answer: how a purchase stands whose date has passed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuestionAnswer {
    /// About which purchase.
    #[schema(value_type = String)]
    purchase_id: PurchaseId,
    /// Which source asks.
    #[schema(value_type = String)]
    source_id: SourceId,
    /// The store's id of the purchase.
    store_purchase_id: String,
    /// Why.
    why: String,
    /// Since when.
    #[schema(value_type = String)]
    asked_since: Timestamp,
    /// When it is put next.
    #[schema(value_type = String)]
    next_try_at: Timestamp,
    /// Tries so far.
    attempts: u32,
    /// What came of the last one.
    last_error: Option<String>,
}

impl From<QuestionRecord> for QuestionAnswer {
    fn from(record: QuestionRecord) -> QuestionAnswer {
        QuestionAnswer {
            purchase_id: record.purchase_id,
            source_id: record.source_id,
            store_purchase_id: record.store_purchase_id,
            why: record.why,
            asked_since: record.asked_since,
            next_try_at: record.ask_at,
            attempts: record.attempts,
            last_error: record.last_error,
        }
    }
}

impl From<LookupRecord> for LookupAnswer {
    fn from(record: LookupRecord) -> LookupAnswer {
        LookupAnswer {
            id: record.id,
            source_id: record.source_id,
            name: record.name,
            why: record.why,
            state: if record.ask_at.is_some() { "waiting" } else { "given_up" },
            asked_since: record.asked_since,
            next_try_at: record.ask_at,
            attempts: record.attempts,
            last_error: record.last_error,
            reconciles: record.reconciles,
        }
    }
}

/// Lists questions how purchases stand that wait for their stores, earliest first; at most 200.
#[utoipa::path(get, path = "/v1/questions", tag = "sources", params(Page),
    responses((status = 200, body = List<QuestionAnswer>), (status = 400, body = Problem)))]
pub(crate) async fn questions(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<QuestionAnswer>>, Problem> {
    let limit = page.limit.as_ref().map_or(Ok(MAX_LIMIT), |_| page.limit())?;
    let rows = hub.store().questions(limit).await?;
    Ok(axum::Json(List::whole(rows.into_iter().map(QuestionAnswer::from).collect())))
}

/// Tries one again at once, that was given up or waits; it has three days anew.
#[utoipa::path(post, path = "/v1/lookups/{id}/retry", tag = "sources", params(("id" = String, Path)),
    responses((status = 200, body = LookupAnswer), (status = 404, body = Problem)))]
pub(crate) async fn retry(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<LookupAnswer>, Problem> {
    let id: LookupId = text.parse().map_err(|_| Problem::not_found("lookup"))?;
    Ok(axum::Json(hub.retry_lookup(id).await?.into()))
}

/// Lists what waits to be looked up at stores and what could not be, oldest first; at most 200.
#[utoipa::path(get, path = "/v1/lookups", tag = "sources", params(Page),
    responses((status = 200, body = List<LookupAnswer>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<LookupAnswer>>, Problem> {
    let limit = page.limit.as_ref().map_or(Ok(MAX_LIMIT), |_| page.limit())?;
    let rows = hub.store().lookups(limit).await?;
    Ok(axum::Json(List::whole(rows.into_iter().map(LookupAnswer::from).collect())))
}
