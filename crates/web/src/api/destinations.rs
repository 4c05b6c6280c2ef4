//! Destinations: where events go; testing, previewing, holding and resuming them.

use super::sources::{KindAnswer, empty};
use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::List;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::alerts::Alert;
use paidup_hub::destinations::{
    DestinationChange as Change, DestinationView, LanePolicy as Policy, NewDestination as New,
};
use paidup_hub::dispatch::breaker::Look;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::DestinationId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{Gap, LaneOrder, ResumeFrom, Start};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// A destination to set up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDestination {
    /// `webhook`, `discord_webhook`; `GET /v1/destinations/kinds` lists them.
    #[serde(rename = "type")]
    kind: String,
    /// For people.
    name: String,
    /// Settings of the type.
    #[serde(default = "empty")]
    #[schema(value_type = Object)]
    config: Box<RawValue>,
    /// Which events: `{events, environments, sources, products, stores, countries, min_amount: {amount_minor, currency},
    /// first_purchase: bool}`; an empty or absent part means all. Absent: both
    /// environments for `webhook`, PRODUCTION only for the others.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Filter>,
    /// What must stay in order: `purchase`, `customer`, `none`. Absent: `customer` for `intercom`, `purchase` for the others.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    order: Option<LaneOrder>,
    /// `now` (default), `beginning`, or a time.
    #[serde(default)]
    start: Option<String>,
    /// So many events may wait for it; beyond, it is switched off with a gap on record. 1,000,000 when absent.
    #[serde(default)]
    max_backlog: Option<u64>,
    /// What a lane does whose first event fails. `wait` when absent.
    #[serde(default)]
    lane_policy: Option<LanePolicy>,
    /// From its first failure on an event is tried for at least so many hours, 1 to 720, and then given up; a destination that
    /// takes nothing at all for so long is switched off. 75 when absent.
    #[serde(default)]
    keep_trying_hours: Option<u64>,
}

/// What a lane does whose first event fails: `"wait"` until that arrived or was given up, or `{"skip_after_s": 600}`: so many
/// seconds (1 to 2,592,000) after its first failure the lane goes on, and the failed event is tried by itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LanePolicy {
    /// Until the first event arrived or was given up.
    Wait,
    /// Seconds from the first failure of its first event on.
    SkipAfterS(u64),
}

impl From<LanePolicy> for Policy {
    fn from(policy: LanePolicy) -> Policy {
        match policy {
            LanePolicy::Wait => Policy::Wait,
            LanePolicy::SkipAfterS(seconds) => Policy::SkipAfter(Duration::from_secs(seconds)),
        }
    }
}

impl From<Policy> for LanePolicy {
    fn from(policy: Policy) -> LanePolicy {
        match policy {
            Policy::Wait => LanePolicy::Wait,
            Policy::SkipAfter(span) => LanePolicy::SkipAfterS(span.as_secs()),
        }
    }
}

fn hours(given: Option<u64>) -> Option<Duration> {
    given.map(|hours| Duration::from_secs(hours.saturating_mul(3600)))
}

/// A change of a destination.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationChange {
    /// For people.
    #[serde(default)]
    name: Option<String>,
    /// All settings of the type; a secret that is sent back masked stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Box<RawValue>>,
    /// From now on.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Filter>,
    /// From now on.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    order: Option<LaneOrder>,
    /// So many events may wait for it.
    #[serde(default)]
    max_backlog: Option<u64>,
    /// From now on; what a lane went on without stays so.
    #[serde(default)]
    lane_policy: Option<LanePolicy>,
    /// 1 to 720.
    #[serde(default)]
    keep_trying_hours: Option<u64>,
}

/// Whether anybody is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BreakerAnswer {
    /// `closed`: deliveries run. `open`: it takes nothing; a probe goes now and then, the rest waits in the log.
    /// `half_open`: a probe is under way, or it answered and gets a few calls at a time, twice as many each second.
    state: String,
    /// Since when nothing was taken; null: the last attempt was.
    failing_since: Option<String>,
    /// When the next probe goes.
    next_probe_at: Option<String>,
    /// How many seconds it waits for the one after that, should that fail.
    next_probe_wait_s: Option<u64>,
    /// Calls side by side while it comes back.
    at_once: Option<usize>,
}

impl From<Look> for BreakerAnswer {
    fn from(look: Look) -> BreakerAnswer {
        BreakerAnswer {
            state: look.phase.to_string(),
            failing_since: look.failing_since.map(|at| at.to_string()),
            next_probe_at: look.probe_at.map(|at| at.to_string()),
            next_probe_wait_s: look.probe_every.map(|span| span.as_secs()),
            at_once: look.at_once,
        }
    }
}

/// Events that a destination was not told, or not in time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapAnswer {
    /// First position of the log.
    first: u64,
    /// Last position; of an open one as of when it was noted.
    last: u64,
    /// Events in it that were still to be looked at, wanted or not.
    events: u64,
    /// When it was noted.
    noted_at: String,
    /// Why.
    reason: String,
    /// `open`: nobody has decided yet; `skipped`; `caught_up`.
    state: String,
}

impl From<Gap> for GapAnswer {
    fn from(gap: Gap) -> GapAnswer {
        let Gap { first, last, events, noted_at, reason, state } = gap;
        GapAnswer { first, last, events, noted_at: noted_at.to_string(), reason, state: state.to_string() }
    }
}

/// What a person must know about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertAnswer {
    /// Of destinations: `backlog`, `crowded`, `failing`, `gap`, `late`, `paused`, `switched_off`; of sources: `credentials`, `silent`,
    /// `unreachable`.
    kind: String,
    /// Since when.
    since: String,
    /// What is wrong and what to do.
    detail: String,
}

impl From<Alert> for AlertAnswer {
    fn from(alert: Alert) -> AlertAnswer {
        AlertAnswer { kind: alert.kind.to_string(), since: alert.since.to_string(), detail: alert.detail }
    }
}

/// A destination. Secrets are masked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DestinationAnswer {
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
    /// Which events.
    #[schema(value_type = Object)]
    filter: Filter,
    /// What must stay in order.
    #[schema(value_type = String)]
    order: LaneOrder,
    /// `active`, `paused`, `switched_off`.
    state: String,
    /// Why it is not active.
    state_reason: Option<String>,
    /// Since when.
    state_since: String,
    /// Events of the log that it has yet to look at.
    behind: u64,
    /// Beyond so many it is switched off.
    max_backlog: u64,
    /// What a lane does whose first event fails.
    lane_policy: LanePolicy,
    /// An event is tried for at least so long; when nothing was taken for so long, it is switched off.
    keep_trying_hours: u64,
    /// Whether anybody is there; null: it is not served.
    breaker: Option<BreakerAnswer>,
    /// What it was not told, or not in time; oldest first.
    gaps: Vec<GapAnswer>,
    /// What a person must know about now.
    alerts: Vec<AlertAnswer>,
    /// Since when it exists.
    created_at: String,
    /// Secrets that were made for it, such as `secret`: shown this once.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    made: BTreeMap<String, String>,
}

impl From<DestinationView> for DestinationAnswer {
    fn from(view: DestinationView) -> DestinationAnswer {
        DestinationAnswer {
            id: view.id.to_string(),
            kind: view.kind,
            name: view.name,
            config: view.config,
            filter: view.filter,
            order: view.order,
            state: view.state.to_string(),
            state_reason: view.state_reason,
            state_since: view.state_since.to_string(),
            behind: view.behind,
            max_backlog: view.max_backlog,
            lane_policy: view.lane_policy.into(),
            keep_trying_hours: view.keep_trying.as_secs() / 3600,
            breaker: view.breaker.map(BreakerAnswer::from),
            gaps: view.gaps.into_iter().map(GapAnswer::from).collect(),
            alerts: view.alerts.into_iter().map(AlertAnswer::from).collect(),
            created_at: view.created_at.to_string(),
            made: BTreeMap::new(),
        }
    }
}

fn id(text: &str) -> Result<DestinationId, Problem> {
    text.parse().map_err(|_| Problem::not_found("destination"))
}

fn start(text: Option<&str>) -> Result<Start, Problem> {
    match text {
        None | Some("now") => Ok(Start::Now),
        Some("beginning") => Ok(Start::Beginning),
        Some(time) => time
            .parse::<Timestamp>()
            .map(Start::At)
            .map_err(|_| Problem::invalid("/start", "now, beginning, or a time such as 2026-01-31T08:00:00Z")),
    }
}

/// Sets up a destination. A made secret stands in `secret` of this answer, once.
#[utoipa::path(post, path = "/v1/destinations", tag = "destinations", request_body = NewDestination,
    responses((status = 201, body = DestinationAnswer), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Json(request): Json<NewDestination>,
) -> Result<Response, Problem> {
    let new = New {
        kind: &request.kind,
        name: &request.name,
        config: &request.config,
        filter: request.filter,
        order: request.order,
        start: start(request.start.as_deref())?,
        max_backlog: request.max_backlog,
        lane_policy: request.lane_policy.map(Policy::from),
        keep_trying: hours(request.keep_trying_hours),
    };
    let made = hub.create_destination(new).await?;
    let answer = DestinationAnswer { made: made.made, ..made.view.into() };
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

/// Lists destinations, oldest first.
#[utoipa::path(get, path = "/v1/destinations", tag = "destinations", responses((status = 200, body = List<DestinationAnswer>)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
) -> Result<axum::Json<List<DestinationAnswer>>, Problem> {
    let rows = hub.list_destinations().await?;
    Ok(axum::Json(List::whole(rows.into_iter().map(DestinationAnswer::from).collect())))
}

/// The types of destination that this version knows.
#[utoipa::path(get, path = "/v1/destinations/kinds", tag = "destinations", responses((status = 200, body = List<KindAnswer>)))]
pub(crate) async fn kinds(_: Authorized<Read>) -> axum::Json<List<KindAnswer>> {
    let kinds = paidup_destinations::DEFINITIONS.iter().map(|definition| KindAnswer {
        kind: definition.kind,
        title: definition.title,
        setup: definition.setup,
        settings_schema: (definition.settings_schema)(),
        secrets: definition.secrets,
    });
    axum::Json(List::whole(kinds.collect()))
}

/// One destination.
#[utoipa::path(get, path = "/v1/destinations/{id}", tag = "destinations", params(("id" = String, Path)),
    responses((status = 200, body = DestinationAnswer), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
) -> Result<axum::Json<DestinationAnswer>, Problem> {
    Ok(axum::Json(hub.show_destination(id(&text)?).await?.into()))
}

/// Changes a destination. A new filter holds for events from now on.
#[utoipa::path(patch, path = "/v1/destinations/{id}", tag = "destinations", params(("id" = String, Path)), request_body = DestinationChange,
    responses((status = 200, body = DestinationAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<DestinationChange>,
) -> Result<axum::Json<DestinationAnswer>, Problem> {
    let change = Change {
        name: request.name.as_deref(),
        config: request.config.as_deref(),
        filter: request.filter,
        order: request.order,
        max_backlog: request.max_backlog,
        lane_policy: request.lane_policy.map(Policy::from),
        keep_trying: hours(request.keep_trying_hours),
    };
    Ok(axum::Json(hub.update_destination(id(&text)?, change).await?.into()))
}

/// Forgets a destination with its progress.
#[utoipa::path(delete, path = "/v1/destinations/{id}", tag = "destinations", params(("id" = String, Path)),
    responses((status = 204, description = "Forgotten"), (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    hub.delete_destination(id(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Holds a destination; what comes meanwhile waits in the log.
#[utoipa::path(post, path = "/v1/destinations/{id}/pause", tag = "destinations", params(("id" = String, Path)),
    responses((status = 200, body = DestinationAnswer), (status = 404, body = Problem)))]
pub(crate) async fn pause(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
) -> Result<axum::Json<DestinationAnswer>, Problem> {
    Ok(axum::Json(hub.pause_destination(id(&text)?).await?.into()))
}

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// `gap`: where it stopped, so that everything that is still kept is told; `head`: behind the newest event, what lies
    /// between stands in `gaps`. Absent: `head` when a gap is open, else `gap`.
    from: Option<String>,
}

/// Serves a paused or switched-off destination again.
#[utoipa::path(post, path = "/v1/destinations/{id}/resume", tag = "destinations", params(("id" = String, Path), Resume),
    responses((status = 200, body = DestinationAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn resume(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Query(query): Query<Resume>,
) -> Result<axum::Json<DestinationAnswer>, Problem> {
    let from = match query.from.as_deref() {
        None => None,
        Some("gap") => Some(ResumeFrom::Cursor),
        Some("head") => Some(ResumeFrom::Head),
        Some(_) => return Err(Problem::invalid("/from", "gap or head")),
    };
    Ok(axum::Json(hub.resume_destination(id(&text)?, from).await?.into()))
}

/// How long secrets of before hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateRequest {
    /// So many hours those of before sign too, 0 to 720; 24 when absent. 0: they are known to others, and end at once.
    overlap_hours: u64,
}

impl Default for RotateRequest {
    fn default() -> RotateRequest {
        RotateRequest { overlap_hours: 24 }
    }
}

/// Makes fresh signing secrets. Those of before sign too until the overlap ends, so receivers have time to change. The fresh
/// ones stand in `secret` and `signing_key` of this answer, once.
#[utoipa::path(post, path = "/v1/destinations/{id}/rotate_secret", tag = "destinations", params(("id" = String, Path)), request_body = RotateRequest,
    responses((status = 200, body = DestinationAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn rotate_secret(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<RotateRequest>,
) -> Result<axum::Json<DestinationAnswer>, Problem> {
    let overlap = Duration::from_secs(request.overlap_hours.saturating_mul(3600));
    let made = hub.rotate_secrets(id(&text)?, overlap).await?;
    Ok(axum::Json(DestinationAnswer { made: made.made, ..made.view.into() }))
}

/// What receivers check signatures with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublicKeysAnswer {
    /// `whpk_...`: the key that signs now, and those that sign until the overlap of a rotation ends.
    public_keys: Vec<String>,
}

/// The public keys of a destination that signs with `v1a`. Needs no key: they are no secret.
#[utoipa::path(get, path = "/v1/destinations/{id}/public_keys", tag = "destinations", params(("id" = String, Path)), security(()),
    responses((status = 200, body = PublicKeysAnswer), (status = 404, body = Problem, description = "No such destination, or it does not sign with `v1a`")))]
pub(crate) async fn public_keys(
    State(hub): State<Hub>,
    Path(text): Path<String>,
) -> Result<axum::Json<PublicKeysAnswer>, Problem> {
    let config = hub.show_destination(id(&text)?).await?.config;
    let current = config["public_key"].as_str();
    let previous = config["previous_public_keys"].as_array().into_iter().flatten().filter_map(|key| key.as_str());
    let public_keys: Vec<String> = current.into_iter().chain(previous).map(ToOwned::to_owned).collect();
    if public_keys.is_empty() {
        Err(Problem::not_found("public key"))
    } else {
        Ok(axum::Json(PublicKeysAnswer { public_keys }))
    }
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAnswer {
    /// It arrived; or, for a kind whose set-up is looked at instead (`intercom`), nothing was found that does not work.
    delivered: bool,
    /// The HTTP status, when there was an answer.
    status: Option<u16>,
    /// What the answer means and what to do, in words.
    explanation: String,
    /// How long it took.
    duration_ms: u32,
    /// What a look at the set-up has found, in the order in which it was looked at.
    findings: Vec<FindingAnswer>,
}

/// One thing that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingAnswer {
    /// `fine`, `warning` (works, but look at it) or `problem` (does not work until it is mended).
    gravity: &'static str,
    /// What it is, and what to do.
    text: String,
}

/// What to try.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestRequest {
    /// The canonical type of the sample event; `TEST` when absent. Not for kinds whose set-up is looked at.
    #[serde(rename = "type", default)]
    event_type: Option<String>,
}

/// Sends a sample event now, or looks at the set-up (`intercom`), and explains what came of it.
#[utoipa::path(post, path = "/v1/destinations/{id}/test", tag = "destinations", params(("id" = String, Path)), request_body = TestRequest,
    responses((status = 200, body = TestAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn test(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<TestRequest>,
) -> Result<axum::Json<TestAnswer>, Problem> {
    let sample = request.event_type.as_deref().map(canonical).transpose()?;
    let outcome = hub.test_destination(id(&text)?, sample).await?;
    Ok(axum::Json(TestAnswer {
        delivered: outcome.delivered,
        status: outcome.status,
        explanation: outcome.explanation,
        duration_ms: outcome.duration_ms,
        findings: outcome
            .findings
            .into_iter()
            .map(|found| FindingAnswer { gravity: found.gravity.as_str(), text: found.text })
            .collect(),
    }))
}

fn canonical(name: &str) -> Result<EventType, Problem> {
    name.parse().map_err(|_| Problem::invalid("/type", "not a canonical event; see docs/events.md"))
}

/// Which event to show.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewRequest {
    /// An event of the log.
    #[serde(default)]
    event_id: Option<String>,
    /// A sample event of this canonical type instead.
    #[serde(rename = "type", default)]
    event_type: Option<String>,
}

/// A request that would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewedRequest {
    /// HTTP method.
    method: String,
    /// Where; a secret in it is masked.
    url: String,
    /// Headers; secrets and signatures masked.
    headers: Vec<(String, String)>,
    /// The very body, byte for byte; as a string where it is no JSON (empty: a call without a body).
    #[schema(value_type = serde_json::Value)]
    body: Box<RawValue>,
}

/// What an event would cause.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewAnswer {
    /// The event that was used.
    #[schema(value_type = serde_json::Value)]
    event: Box<RawValue>,
    /// The requests, in order.
    requests: Vec<PreviewedRequest>,
    /// Why there are none.
    skipped: Option<String>,
}

/// Shows the requests that an event would cause, and sends nothing.
#[utoipa::path(post, path = "/v1/destinations/{id}/preview", tag = "destinations", params(("id" = String, Path)), request_body = PreviewRequest,
    responses((status = 200, body = PreviewAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn preview(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(text): Path<String>,
    Json(request): Json<PreviewRequest>,
) -> Result<axum::Json<PreviewAnswer>, Problem> {
    let event = match (&request.event_id, &request.event_type) {
        (Some(_), Some(_)) => return Err(Problem::invalid("/type", "give event_id or type, not both")),
        (Some(event), None) => super::events::find(&hub, event).await?,
        (None, name) => hub.sample_event(canonical(name.as_deref().unwrap_or("SUBSCRIPTION_RENEWED"))?),
    };
    let shown = hub.preview_destination(id(&text)?, &event).await?;
    let requests = shown.requests.into_iter().map(|one| {
        let unreadable = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a request that cannot be shown as JSON");
        let body = RawValue::from_string(one.body).map_err(unreadable)?;
        Ok(PreviewedRequest { method: one.method, url: one.url, headers: one.headers, body })
    });
    Ok(axum::Json(PreviewAnswer {
        event: super::events::raw(&event)?,
        requests: requests.collect::<Result<_, Problem>>()?,
        skipped: shown.skipped,
    }))
}
