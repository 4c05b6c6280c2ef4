//! Lanes of a destination that wait: shown, tried now, or freed of the event that they wait for.

use super::events::find;
use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use paidup_hub::Hub;
use paidup_hub::parked::ParkedLane;
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A lane that waits, or an event that its lane went on without.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedAnswer {
    /// What the lane is about: a purchase's or a customer's id, by the destination's `order`; the event's, where it waits by
    /// itself.
    lane: String,
    /// The event that the lane waits for.
    #[schema(value_type = String)]
    event_id: EventId,
    /// Since when: its first failure, or when it came to wait.
    #[schema(value_type = String)]
    since: Timestamp,
    /// Attempts that failed; 0: none has ended yet.
    attempts: u32,
    /// When it is tried next.
    #[schema(value_type = String)]
    next_try_at: Timestamp,
    /// What came of the last attempt.
    last_error: Option<String>,
    /// How many events wait behind it in its lane.
    behind: u64,
    /// When its lane went on without it (`lane_policy`); null: the lane waits for it.
    #[schema(value_type = Option<String>)]
    passed_at: Option<Timestamp>,
    /// A person asked for it to be told again.
    replay: bool,
}

impl From<ParkedLane> for ParkedAnswer {
    fn from(lane: ParkedLane) -> ParkedAnswer {
        ParkedAnswer {
            lane: lane.lane,
            event_id: lane.event,
            since: lane.since,
            attempts: lane.attempts,
            next_try_at: lane.next_try_at,
            last_error: lane.last_error,
            behind: lane.behind,
            passed_at: lane.passed_at,
            replay: lane.replay,
        }
    }
}

/// Why an event is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkipRequest {
    /// For people, 1 to 200 characters on one line: it stands in the attempts.
    reason: String,
}

fn id(text: &str) -> Result<DestinationId, Problem> {
    text.parse().map_err(|_| Problem::not_found("destination"))
}

/// Lanes that wait for an event that failed, and events that their lanes went on without; oldest event first. Empty while a
/// destination is down as a whole: then `breaker` says so, and the rest waits in the log.
#[utoipa::path(get, path = "/v1/destinations/{id}/parked", tag = "destinations", params(("id" = String, Path), Page),
    responses((status = 200, body = List<ParkedAnswer>), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<ParkedAnswer>>, Problem> {
    let limit = page.limit()?;
    let rows = hub.parked_lanes(id(&text)?, page.after()?.unwrap_or(0), limit).await?;
    let rows = rows.into_iter().map(|lane| (lane.position, ParkedAnswer::from(lane))).collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// Tries the event that a lane waits for now; a destination that is down is probed now.
#[utoipa::path(post, path = "/v1/destinations/{id}/parked/{event_id}/retry", tag = "destinations",
    params(("id" = String, Path), ("event_id" = String, Path)),
    responses((status = 202, description = "It is its turn"), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It waits behind another event, or the destination is not served")))]
pub(crate) async fn retry(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path((destination, event)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let destination = id(&destination)?;
    hub.retry_parked(destination, &find(&hub, &event).await?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Gives up the event that a lane waits for: the lane goes on with what is behind it. The event is `failed` here and can be
/// replayed.
#[utoipa::path(post, path = "/v1/destinations/{id}/parked/{event_id}/skip", tag = "destinations",
    params(("id" = String, Path), ("event_id" = String, Path)), request_body = SkipRequest,
    responses((status = 204, description = "Given up"), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 409, body = Problem, description = "An attempt is under way, it waits behind another event, or the destination is not served")))]
pub(crate) async fn skip(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path((destination, event)): Path<(String, String)>,
    Json(request): Json<SkipRequest>,
) -> Result<StatusCode, Problem> {
    let destination = id(&destination)?;
    hub.skip_parked(destination, &find(&hub, &event).await?, &request.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
