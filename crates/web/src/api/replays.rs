//! Telling many events again.

use super::events::word;
use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::replay::USUAL_PACE;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{DestinationId, PurchaseId, ReplayId, SourceId};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use paidup_store::replays::{ReplayOnly, ReplayQuery, ReplayRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which events are to be told again, and to whom. At least one of `destination`, `from`, `to`, `types`, `customer`,
/// `purchase` and `only` narrows it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewReplay {
    /// Only this destination. Absent: every one that is served. Each is told what its filter wants now.
    destination: Option<String>,
    /// Detected at or after this time.
    #[schema(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Detected before this time.
    #[schema(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// Canonical types; empty: all.
    types: Vec<String>,
    /// PRODUCTION, SANDBOX; empty: both.
    environments: Vec<String>,
    /// Source ids; empty: all.
    sources: Vec<String>,
    /// The stores' product ids; empty: all.
    products: Vec<String>,
    /// A customer's id or alias.
    customer: Option<String>,
    /// A purchase's id.
    purchase: Option<String>,
    /// `failed`: to each destination only what was given up there and has not arrived since, as far as attempts are kept.
    /// Absent: whatever became of it.
    #[schema(value_type = Option<String>)]
    only: Option<ReplayOnly>,
    /// At most so many events a minute, 1 to 600,000; 3,000 when absent.
    per_minute: Option<u32>,
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayProgress {
    /// Its id.
    #[schema(value_type = String)]
    id: ReplayId,
    /// `running`, `paused`, `done` (all is handed over to the destinations, which deliver it in their lanes' order), `cancelled`.
    state: &'static str,
    /// Since when it stands so.
    #[schema(value_type = String)]
    state_since: Timestamp,
    /// When it was begun.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Which events, to whom, as it was understood.
    #[schema(value_type = Object)]
    query: ReplayQuery,
    /// At most so many events a minute.
    per_minute: u32,
    /// Events of the log in the range, wanted or not.
    total: u64,
    /// Of these, looked at so far.
    looked_at: u64,
    /// Events handed over, once for each destination.
    told: u64,
}

impl From<ReplayRecord> for ReplayProgress {
    fn from(record: ReplayRecord) -> ReplayProgress {
        let before = record.first.saturating_sub(1);
        ReplayProgress {
            id: record.id,
            state: record.state.as_str(),
            state_since: record.state_since,
            created_at: record.created_at,
            query: record.query,
            per_minute: record.per_minute,
            total: record.last.saturating_sub(before),
            looked_at: record.position.min(record.last).saturating_sub(before),
            told: record.told,
        }
    }
}

/// Words of a list, or where one of them is wrong.
fn words<T: std::str::FromStr>(name: &str, texts: &[String]) -> Result<Vec<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let read = |(index, text): (usize, &String)| {
        text.parse().map_err(|error: T::Err| Problem::invalid(format!("/{name}/{index}"), error.to_string()))
    };
    texts.iter().enumerate().map(read).collect()
}

impl NewReplay {
    async fn query(&self, hub: &Hub) -> Result<ReplayQuery, Problem> {
        let narrows = self.destination.is_some()
            || self.from.is_some()
            || self.to.is_some()
            || !self.types.is_empty()
            || self.customer.is_some()
            || self.purchase.is_some()
            || self.only.is_some();
        if !narrows {
            let detail = "this would tell everything again to everybody: give at least one of destination, from, to, types, \
                          customer, purchase and only";
            return Err(Problem::invalid("", detail));
        }
        let customer = match &self.customer {
            None => None,
            Some(alias) => {
                let found = hub.store().customer(alias).await?;
                let found = found.ok_or_else(|| Problem::invalid("/customer", "there is no such customer"))?;
                Some(found.id)
            }
        };
        let one = |name: &str, text: &Option<String>| text.as_ref().map(|text| (format!("/{name}"), text.clone()));
        let destination = one("destination", &self.destination)
            .map(|(at, text)| text.parse::<DestinationId>().map_err(|error| Problem::invalid(at, error.to_string())))
            .transpose()?;
        let purchase = one("purchase", &self.purchase)
            .map(|(at, text)| text.parse::<PurchaseId>().map_err(|error| Problem::invalid(at, error.to_string())))
            .transpose()?;
        let filter = Filter {
            events: words::<EventType>("types", &self.types)?,
            environments: words::<Environment>("environments", &self.environments)?,
            sources: words::<SourceId>("sources", &self.sources)?,
            products: self.products.clone(),
            ..Filter::default()
        };
        Ok(ReplayQuery { destination, from: self.from, to: self.to, filter, customer, purchase, only: self.only })
    }
}

fn id(text: &str) -> Result<ReplayId, Problem> {
    word("id", Some(text)).ok().flatten().ok_or_else(|| Problem::not_found("replay"))
}

/// Begins to tell events again: in order, paced, and no further ahead than a destination takes. Goes on after a restart.
#[utoipa::path(post, path = "/v1/replays", tag = "events", request_body = NewReplay,
    responses((status = 201, body = ReplayProgress), (status = 409, body = Problem, description = "Too many are open"),
        (status = 422, body = Problem)))]
pub(crate) async fn begin(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Json(request): Json<NewReplay>,
) -> Result<Response, Problem> {
    let query = request.query(&hub).await?;
    let begun = hub.begin_replay(query, request.per_minute.unwrap_or(USUAL_PACE)).await?;
    Ok((StatusCode::CREATED, axum::Json(ReplayProgress::from(begun))).into_response())
}

/// Replays, newest first.
#[utoipa::path(get, path = "/v1/replays", tag = "events", params(Page),
    responses((status = 200, body = List<ReplayProgress>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<ReplayProgress>>, Problem> {
    let limit = page.limit()?;
    let rows = hub.store().replays(page.after()?, limit).await?;
    let rows = rows.into_iter().map(|(number, record)| (number, record.into())).collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// How far a replay has come.
#[utoipa::path(get, path = "/v1/replays/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = ReplayProgress), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReplayProgress>, Problem> {
    Ok(axum::Json(hub.show_replay(id(&text)?).await?.into()))
}

/// Holds a replay. What was handed over already is still delivered.
#[utoipa::path(post, path = "/v1/replays/{id}/pause", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = ReplayProgress), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn pause(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReplayProgress>, Problem> {
    Ok(axum::Json(hub.pause_replay(id(&text)?).await?.into()))
}

/// Goes on with a paused replay where it stopped.
#[utoipa::path(post, path = "/v1/replays/{id}/resume", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = ReplayProgress), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn resume(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReplayProgress>, Problem> {
    Ok(axum::Json(hub.resume_replay(id(&text)?).await?.into()))
}

/// Ends a replay. What was handed over already is still delivered.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = ReplayProgress), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn cancel(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<ReplayProgress>, Problem> {
    Ok(axum::Json(hub.cancel_replay(id(&text)?).await?.into()))
}
