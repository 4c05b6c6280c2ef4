//! What became of events at destinations.

use super::events::{find, word};
use crate::auth::{Authorized, Read};
use crate::extract::{Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use paidup_hub::Hub;
use paidup_hub::deliveries::Delivery;
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{AttemptQuery, DeliveryState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryFilter {
    /// A destination's id.
    destination: Option<String>,
    /// An event's id.
    event: Option<String>,
    /// `delivered`, `retrying`, `failed`.
    state: Option<String>,
    /// The HTTP status of an attempt.
    status: Option<String>,
    /// Attempted at or after this time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Attempted before this time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// `next_cursor` of the page before.
    after: Option<String>,
    /// Rows on the page, 1 to 200; 50 when absent.
    limit: Option<String>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptAnswer {
    /// Which, from 1.
    attempt: u32,
    /// When it began.
    #[schema(value_type = String)]
    at: Timestamp,
    /// How long it took.
    duration_ms: u32,
    /// The HTTP status, when there was an answer.
    status: Option<u16>,
    /// What it came to.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// Why, and an excerpt of the answer.
    detail: Option<String>,
    /// No answer came and the far side cannot tell repeats: it may have arrived, and come a second time with the next try.
    may_repeat: bool,
}

/// One event at one destination.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryAnswer {
    /// Where to.
    #[schema(value_type = String)]
    destination_id: DestinationId,
    /// What.
    #[schema(value_type = String)]
    event_id: EventId,
    /// `delivered`, `retrying`, `failed`, `skipped`.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// When it is tried again.
    #[schema(value_type = Option<String>)]
    next_try_at: Option<Timestamp>,
    /// How often it may have arrived before its last try.
    may_have_repeated: usize,
    /// Every try that is still kept, newest first.
    attempts: Vec<AttemptAnswer>,
}

impl From<Delivery> for DeliveryAnswer {
    fn from(delivery: Delivery) -> DeliveryAnswer {
        let may_have_repeated = delivery.may_have_repeated();
        let attempts = delivery.attempts.into_iter().map(|record| AttemptAnswer {
            attempt: record.attempt,
            at: record.at,
            duration_ms: record.duration_ms,
            status: record.status,
            state: record.state,
            detail: record.detail,
            may_repeat: record.may_repeat,
        });
        DeliveryAnswer {
            destination_id: delivery.destination,
            event_id: delivery.event,
            state: delivery.state,
            next_try_at: delivery.next_try_at,
            may_have_repeated,
            attempts: attempts.collect(),
        }
    }
}

/// Lists deliveries with their attempts, newest attempt first.
#[utoipa::path(get, path = "/v1/deliveries", tag = "deliveries", params(DeliveryFilter),
    responses((status = 200, body = List<DeliveryAnswer>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(filter): Query<DeliveryFilter>,
) -> Result<axum::Json<List<DeliveryAnswer>>, Problem> {
    let page = Page { after: filter.after, limit: filter.limit };
    let query = AttemptQuery {
        destination: word("destination", filter.destination.as_deref())?,
        event: word("event", filter.event.as_deref())?,
        state: word("state", filter.state.as_deref())?,
        status: word("status", filter.status.as_deref())?,
        from: filter.from,
        to: filter.to,
        before: page.after()?,
        limit: page.limit()?,
    };
    let found = hub.deliveries(query).await?;
    Ok(axum::Json(List {
        data: found.deliveries.into_iter().map(DeliveryAnswer::from).collect(),
        next_cursor: found.next.map(|number| number.to_string()),
    }))
}

/// One event at every destination that wants it.
#[utoipa::path(get, path = "/v1/events/{id}/deliveries", tag = "deliveries", params(("id" = String, Path)),
    responses((status = 200, body = List<DeliveryAnswer>), (status = 404, body = Problem)))]
pub(crate) async fn of_event(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
) -> Result<axum::Json<List<DeliveryAnswer>>, Problem> {
    let event = find(&hub, &id).await?;
    let found = hub.deliveries_of(&event).await?;
    Ok(axum::Json(List::whole(found.into_iter().map(DeliveryAnswer::from).collect())))
}
