//! Trying a destination out: a test call, and a look at what an event would cause. Neither leaves a trace in the log or
//! among the deliveries.

use crate::dispatch::deliver::{Talk, converse, explain, millis, rehearse};
use crate::dispatch::settle::OnWire;
use crate::dispatch::{PARTITION, Target};
use crate::{Hub, HubError};
use bytes::Bytes;
use paidup_destinations::preview::{Shown, shown};
use paidup_destinations::{LoggedEvent, Memory, Moment, Verdict};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use std::sync::Arc;

/// What came of a test call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// It took the test event.
    pub delivered: bool,
    /// Status of the answer, when there was one.
    pub status: Option<u16>,
    /// How long it took, waiting for rate limits included.
    pub duration_ms: u32,
    /// What happened, in words.
    pub explanation: String,
}

/// What an event would cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The requests, credentials masked. Each but the first assumes that the one before succeeded.
    pub requests: Vec<Shown>,
    /// Why there are none.
    pub skipped: Option<String>,
}

impl Hub {
    /// Sends a TEST event now, outside of the log, and says what came of it. Works for held destinations too.
    pub async fn test_destination(&self, id: DestinationId) -> Result<TestResult, HubError> {
        let record = self.destination_record(id).await?;
        let target = self.target(&record)?;
        let event = self.sample_event(EventType::Test);
        if let Some(reason) = target.destination.skips(&event) {
            let explanation = format!("nothing was sent: {}", reason.0);
            return Ok(TestResult { delivered: false, status: None, duration_ms: 0, explanation });
        }
        let begun = self.clock().now();
        let moment = Moment { now: begun, attempt: 1, waiting: 0 };
        let port = self.destinations().dispatch().port();
        let (events, memory, on_wire) = ([event], Memory::default(), OnWire::default());
        let conversation = converse(port, &*target.destination, &target.secrets, &events, &memory, moment, &on_wire);
        let talk = tokio::select! {
            talk = conversation => talk,
            () = self.clock().sleep(target.destination.pace().timeout * 2) => {
                let explanation = "nothing was sent yet: a rate limit holds all calls; try again later".to_owned();
                let duration_ms = millis(self.clock().now().since(begun));
                return Ok(TestResult { delivered: false, status: None, duration_ms, explanation });
            }
        };
        Ok(TestResult {
            delivered: matches!(talk.verdict, Ok(Verdict::Delivered)),
            status: talk.status,
            duration_ms: millis(self.clock().now().since(begun)),
            explanation: in_words(&talk),
        })
    }

    /// The requests that an event would cause. Sends nothing.
    pub async fn preview_destination(&self, id: DestinationId, event: &LoggedEvent) -> Result<Preview, HubError> {
        let record = self.destination_record(id).await?;
        let target = self.target(&record)?;
        let wanted = record.filters.last().is_none_or(|version| version.filter.wants(&event.event));
        let rehearsed = rehearse(&*target.destination, std::slice::from_ref(event), self.clock().now());
        Ok(match rehearsed {
            Ok(requests) => Preview {
                requests: requests.iter().map(|request| masked(&target, request)).collect(),
                skipped: (!wanted).then(|| "the filter does not let this event pass".to_owned()),
            },
            Err(reason) => Preview { requests: Vec::new(), skipped: Some(reason.0) },
        })
    }

    /// A plausible event of a type, for tests and previews: never in the log.
    #[must_use]
    pub fn sample_event(&self, event_type: EventType) -> LoggedEvent {
        let now = self.clock().now();
        let event = Event {
            id: EventId(self.chance().seed()),
            occurred_at: now,
            detected_at: now,
            ..sample::event(event_type, Store::AppStore)
        };
        let json = serde_json::to_vec(&event).expect("an event can always be written as JSON");
        LoggedEvent { partition: PARTITION, position: 0, event: Arc::new(event), json: Bytes::from(json) }
    }
}

fn masked(target: &Target, request: &http::Request<Bytes>) -> Shown {
    let hide = |text: String| target.secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "***"));
    let shown = shown(&*target.destination, request);
    Shown {
        url: hide(shown.url),
        headers: shown.headers.into_iter().map(|(name, value)| (name, hide(value))).collect(),
        ..shown
    }
}

fn in_words(talk: &Talk) -> String {
    let excerpt = talk.excerpt.as_deref();
    match &talk.verdict {
        Ok(Verdict::Delivered) => "the destination took the test event".to_owned(),
        Ok(Verdict::Retry { reason, .. }) => {
            format!("it did not work; an event would be tried again: {}", explain(&reason.0, excerpt))
        }
        Ok(Verdict::GiveUp(reason)) => format!("the test event was refused: {}", explain(&reason.0, excerpt)),
        Ok(Verdict::SwitchOff(reason)) => {
            format!("the destination would be switched off: {}", explain(&reason.0, excerpt))
        }
        Ok(Verdict::Skip(reason)) => format!("nothing was sent: {}", reason.0),
        Err(poison) => format!("the test event cannot be rendered: {}", explain(poison, None)),
    }
}
