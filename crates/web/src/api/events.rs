//! Events: listing, reading, replaying.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::event::{EventType, LoggedEvent};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::EventQuery;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventFilter {
    /// Canonical types, separated by commas.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// A customer's id or alias.
    customer: Option<String>,
    /// A purchase's id.
    purchase: Option<String>,
    /// PRODUCTION or SANDBOX.
    environment: Option<String>,
    /// A source's id.
    source: Option<String>,
    /// Detected at or after this time.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Detected before this time.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// `next_cursor` of the page before.
    after: Option<String>,
    /// Rows on the page, 1 to 200; 50 when absent.
    limit: Option<String>,
}

/// Reads a parameter into a word of ours, or says what is wrong with it.
pub(crate) fn word<T: std::str::FromStr>(name: &str, value: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    value
        .map(|text| {
            text.parse()
                .map_err(|error: T::Err| Problem::malformed(format!("{name}: {error}")).at(name, error.to_string()))
        })
        .transpose()
}

impl EventFilter {
    async fn query(&self, hub: &Hub) -> Result<Option<EventQuery>, Problem> {
        let page = Page { after: self.after.clone(), limit: self.limit.clone() };
        let mut types = Vec::new();
        for name in self.event_type.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty()) {
            types.extend(word::<EventType>("type", Some(name.trim()))?);
        }
        let customer = match &self.customer {
            None => None,
            Some(alias) => match hub.store().customer(alias).await? {
                None => return Ok(None),
                Some(customer) => Some(customer.id),
            },
        };
        Ok(Some(EventQuery {
            types,
            customer,
            purchase: word("purchase", self.purchase.as_deref())?,
            environment: word("environment", self.environment.as_deref())?,
            source: word("source", self.source.as_deref())?,
            from: self.from,
            to: self.to,
            before_position: page.after()?,
            limit: page.limit()?,
        }))
    }
}

/// An event's own JSON, as it was written once.
pub(crate) fn raw(event: &LoggedEvent) -> Result<Box<RawValue>, Problem> {
    let text = std::str::from_utf8(&event.json).map_err(|_| unreadable())?.to_owned();
    RawValue::from_string(text).map_err(|_| unreadable())
}

fn unreadable() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an event in the log cannot be read")
}

#[derive(Serialize)]
struct RawList {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// Lists events, newest first.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventFilter),
    responses((status = 200, description = "Events in the form of the `paidup` webhook body", body = List<serde_json::Value>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(filter): Query<EventFilter>,
) -> Result<Response, Problem> {
    let Some(query) = filter.query(&hub).await? else {
        return Ok(axum::Json(RawList { data: Vec::new(), next_cursor: None }).into_response());
    };
    let limit = query.limit;
    let events = hub.store().events(query).await?;
    let next_cursor = if events.len() >= limit { events.last().map(|event| event.position.to_string()) } else { None };
    let data = events.iter().map(raw).collect::<Result<_, _>>()?;
    Ok(axum::Json(RawList { data, next_cursor }).into_response())
}

/// Finds an event by the text of its id.
pub(crate) async fn find(hub: &Hub, id: &str) -> Result<LoggedEvent, Problem> {
    let id: EventId = id.parse().map_err(|_| Problem::not_found("event"))?;
    hub.store().event(id).await?.ok_or_else(|| Problem::not_found("event"))
}

/// One event.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, description = "The event", body = serde_json::Value), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let event = find(&hub, &id).await?;
    Ok(axum::Json(raw(&event)?).into_response())
}
/// Whom to tell again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// Only this destination; absent: every active one that wants the event.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    destination: Option<DestinationId>,
}

/// What a replay set going.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    /// The destinations that will be told again.
    #[schema(value_type = Vec<String>)]
    destinations: Vec<DestinationId>,
}

/// Tells an event again, in its lane's order.
#[utoipa::path(post, path = "/v1/events/{id}/replay", tag = "events", params(("id" = String, Path)), request_body = ReplayRequest,
    responses((status = 202, description = "Will be delivered again", body = ReplayAnswer), (status = 404, body = Problem)))]
pub(crate) async fn replay(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(id): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<Response, Problem> {
    let event = find(&hub, &id).await?;
    let destinations = hub.replay(&event, request.destination).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(ReplayAnswer { destinations })).into_response())
}
