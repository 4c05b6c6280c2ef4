//! Events in the order of the log, for apps: pulled page by page, or pushed as server-sent events.
//!
//! Both go on from a cursor that the hub hands out and nobody else reads, so a reader that was away misses nothing. They
//! read what dispatchers read: the newest events from memory, older ones from the log. They keep no progress: the
//! reader does.

use super::events::{raw, word};
use crate::auth::{Authorized, Read};
use crate::extract::Query;
use crate::problem::Problem;
use crate::streams::{Place, Streams};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use paidup_hub::Hub;
use paidup_hub::recent::Page;
use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};

/// The log has one partition here; a cursor is a text so that it may hold more one day.
const PARTITION: u16 = 0;
/// Events read at a time.
const READ: usize = 200;
/// Events that one pull looks at when few of them are wanted; the reader goes on from the cursor that it gets.
const MAX_SCANNED: usize = 5_000;
/// The longest that a pull may wait for something new, in seconds.
const MAX_WAIT: u64 = 30;
/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A stream ends after this long, and its reader comes back by its cursor: so a key that was revoked reads no longer.
const MAX_LIFE: Duration = Duration::from_secs(15 * 60);
/// When a reader whose stream broke should come back.
const RETRY: Duration = Duration::from_secs(2);

/// Which events, and from where on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedQuery {
    /// Canonical types, separated by commas.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// PRODUCTION or SANDBOX; absent: both.
    environment: Option<String>,
    /// Source ids, separated by commas.
    source: Option<String>,
    /// The store's product ids, separated by commas.
    product: Option<String>,
    /// The cursor of what was read last.
    after: Option<String>,
    /// Where to begin without a cursor: `beginning`, `now` or a time. A pull begins at the beginning, a stream now.
    start: Option<String>,
    /// Pull only: events on the page, 1 to 200; 50 when absent.
    limit: Option<String>,
    /// Pull only: seconds to wait for something new when there is nothing, 0 to 30; 0 when absent.
    wait: Option<String>,
}

impl FeedQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            events: words("type", self.event_type.as_deref())?,
            environments: words("environment", self.environment.as_deref())?,
            sources: words("source", self.source.as_deref())?,
            products: words("product", self.product.as_deref())?,
            ..Filter::default()
        })
    }

    fn limit(&self) -> Result<usize, Problem> {
        crate::paging::Page { after: None, limit: self.limit.clone() }.limit()
    }

    fn wait(&self) -> Result<Duration, Problem> {
        let seconds = word::<u64>("wait", self.wait.as_deref())?.unwrap_or(0);
        if seconds > MAX_WAIT {
            return Err(Problem::malformed("wait is a number of seconds from 0 to 30").at("wait", "0 to 30"));
        }
        Ok(Duration::from_secs(seconds))
    }

    /// The position after which to read. `resumed` is the cursor in the header `Last-Event-ID`, which outranks the URL's:
    /// a browser that reconnects sends both.
    async fn begin(&self, hub: &Hub, resumed: Option<&str>, default: Start) -> Result<u64, Problem> {
        if let Some(cursor) = resumed.or(self.after.as_deref()).filter(|cursor| !cursor.is_empty()) {
            return self.resume(hub, cursor).await;
        }
        let start = match self.start.as_deref() {
            None => default,
            Some("beginning") => Start::Beginning,
            Some("now") => Start::Now,
            Some(text) => Start::At(text.parse().map_err(|_| {
                Problem::malformed("start is `beginning`, `now` or a time like 2026-01-31T08:00:00Z")
                    .at("start", "not a time")
            })?),
        };
        Ok(match start {
            Start::Beginning => hub.store().pruned().await?.position,
            Start::Now => hub.store().head(PARTITION).await?,
            // It answers the first event's own position; reading begins after a position.
            Start::At(at) => hub.store().position_at(PARTITION, at).await?.saturating_sub(1),
        })
    }

    async fn resume(&self, hub: &Hub, cursor: &str) -> Result<u64, Problem> {
        let wrong =
            |why: &'static str| Problem::malformed(format!("this is no cursor of this log: {why}")).at("after", why);
        let position: u64 = cursor.parse().map_err(|_| wrong("give one back unchanged"))?;
        if position > hub.store().head(PARTITION).await? {
            return Err(wrong("it lies beyond the newest event; was the database replaced?"));
        }
        let pruned = hub.store().pruned().await?.position;
        if position < pruned {
            let lost = pruned - position;
            let detail = format!("{lost} events after this cursor are no longer kept; go on with start=beginning");
            return Err(Problem::new(StatusCode::GONE, detail).at("after", "it lies before the oldest event"));
        }
        Ok(position)
    }
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Beginning,
    Now,
    At(Timestamp),
}

/// The words of a list that is separated by commas.
fn words<T: std::str::FromStr>(name: &str, list: Option<&str>) -> Result<Vec<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let mut found = Vec::new();
    for one in list.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|one| !one.is_empty()) {
        found.extend(word::<T>(name, Some(one))?);
    }
    Ok(found)
}

/// A reader of the log: where it stands and what it wants.
struct Reader {
    hub: Hub,
    filter: Filter,
    position: u64,
    news: watch::Receiver<u64>,
}

impl Reader {
    fn new(hub: Hub, filter: Filter, position: u64) -> Reader {
        let news = hub.recent().changes();
        Reader { hub, filter, position, news }
    }

    /// The wanted ones of the next events; `None`: there is nothing newer.
    async fn next(&mut self) -> Result<Option<Vec<LoggedEvent>>, Problem> {
        // What is pushed from here on wakes the next wait.
        self.news.borrow_and_update();
        let events = match self.hub.recent().after(PARTITION, self.position, READ) {
            Page::Events(events) => events,
            Page::Behind => self.hub.store().events_after(PARTITION, self.position, READ).await?,
        };
        let Some(last) = events.last() else { return Ok(None) };
        self.position = last.position;
        Ok(Some(events.into_iter().filter(|event| self.filter.wants(&event.event)).collect()))
    }

    /// Waits until something newer may be there.
    async fn news(&mut self) {
        // The sender lives as long as the hub, so there is always more to wait for.
        let _ = self.news.changed().await;
    }
}

/// A page of the feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Feed {
    /// Events in the order of the log, in the form of the `paidup` webhook body.
    #[schema(value_type = Vec<serde_json::Value>)]
    data: Vec<Box<RawValue>>,
    /// Give this as `after` for what follows; it is there on every page, also on an empty one.
    next_cursor: String,
    /// More is there already.
    has_more: bool,
}

/// Pulls events, oldest first.
#[utoipa::path(get, path = "/v1/events/feed", tag = "events", params(FeedQuery),
    responses((status = 200, body = Feed), (status = 400, body = Problem)))]
pub(crate) async fn pull(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Extension(streams): Extension<Streams>,
    Query(query): Query<FeedQuery>,
) -> Result<axum::Json<Feed>, Problem> {
    let (limit, wait) = (query.limit()?, query.wait()?);
    let position = query.begin(&hub, None, Start::Beginning).await?;
    let mut reader = Reader::new(hub, query.filter()?, position);
    let mut page = Pull::new(limit);
    page.fill(&mut reader).await?;
    if page.data.is_empty() && !page.has_more && !wait.is_zero() {
        let _place = streams.enter()?;
        let waiting = async {
            while page.data.is_empty() && !page.has_more {
                reader.news().await;
                page.fill(&mut reader).await?;
            }
            Ok::<(), Problem>(())
        };
        tokio::select! {
            filled = tokio::time::timeout(wait, waiting) => filled.unwrap_or(Ok(()))?,
            () = streams.closing() => {}
        }
    }
    Ok(axum::Json(Feed { data: page.data, next_cursor: reader.position.to_string(), has_more: page.has_more }))
}

/// A page that is being filled.
struct Pull {
    limit: usize,
    data: Vec<Box<RawValue>>,
    has_more: bool,
}

impl Pull {
    fn new(limit: usize) -> Pull {
        Pull { limit, data: Vec::new(), has_more: false }
    }

    /// Reads until the page is full, the log ends, or enough was looked at.
    async fn fill(&mut self, reader: &mut Reader) -> Result<(), Problem> {
        let until = reader.position.saturating_add(MAX_SCANNED as u64);
        while let Some(events) = reader.next().await? {
            for event in events {
                if self.data.len() == self.limit {
                    self.has_more = true;
                    return Ok(());
                }
                self.data.push(raw(&event)?);
                if self.data.len() == self.limit {
                    reader.position = event.position;
                }
            }
            if self.data.len() == self.limit || reader.position >= until {
                self.has_more = reader.position < reader.hub.store().head(PARTITION).await?;
                return Ok(());
            }
        }
        self.has_more = false;
        Ok(())
    }
}

/// Streams events as they are written: server-sent events, `id` is the cursor, `event` the type, `data` the event.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    params(FeedQuery, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of what was read last")),
    responses((status = 200, description = "text/event-stream", content_type = "text/event-stream", body = String),
        (status = 400, body = Problem), (status = 503, description = "Too many streams are open", body = Problem)))]
pub(crate) async fn stream(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Extension(streams): Extension<Streams>,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.limit.is_some() || query.wait.is_some() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "limit and wait are for /v1/events/feed; a stream has no pages",
        ));
    }
    let resumed = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let position = query.begin(&hub, resumed, Start::Now).await?;
    let reader = Reader::new(hub, query.filter()?, position);
    let place = streams.enter()?;
    let life = Box::pin(tokio::time::sleep(MAX_LIFE));
    let state = Streaming { reader, ready: VecDeque::new(), first: true, life, streams, _place: place };
    let events = stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("still here");
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// One open stream.
struct Streaming {
    reader: Reader,
    ready: VecDeque<LoggedEvent>,
    first: bool,
    life: Pin<Box<tokio::time::Sleep>>,
    streams: Streams,
    _place: Place,
}

impl Streaming {
    /// The next frame; `None` ends the stream: the hub stops, or cannot read the log. The reader comes back by its cursor.
    async fn next(&mut self) -> Option<Result<sse::Event, Infallible>> {
        if std::mem::take(&mut self.first) {
            // Where it begins, so that a stream that breaks before its first event is resumed here too.
            let hello = sse::Event::default().id(self.reader.position.to_string()).retry(RETRY).comment("connected");
            return Some(Ok(hello));
        }
        loop {
            if self.life.is_elapsed() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return frame(&event).map(Ok);
            }
            match self.reader.next().await {
                Ok(Some(events)) => self.ready.extend(events),
                Ok(None) => {
                    tokio::select! {
                        () = self.reader.news() => {}
                        () = &mut self.life => return None,
                        () = self.streams.closing() => return None,
                    }
                }
                Err(problem) => {
                    tracing::warn!(problem = %problem.detail, "a stream of events ends: the log cannot be read");
                    return None;
                }
            }
        }
    }
}

fn frame(event: &LoggedEvent) -> Option<sse::Event> {
    let json = std::str::from_utf8(&event.json).ok()?;
    let frame = sse::Event::default().id(event.position.to_string()).event(event.event.event_type.as_str());
    Some(frame.data(json))
}
