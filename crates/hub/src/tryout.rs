//! Trying a destination out: a test call or a look at its set-up, and a look at what an event would cause. Neither leaves
//! a trace in the log or among the deliveries.

use crate::dispatch::deliver::{Talk, Turn, converse, drive, explain, millis, rehearse};
use crate::dispatch::settle::OnWire;
use crate::dispatch::{PARTITION, Target};
use crate::{Hub, HubError};
use bytes::Bytes;
use paidup_destinations::preview::{Shown, shown};
use paidup_destinations::{Finding, LoggedEvent, Memory, Moment, Verdict};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use std::sync::Arc;

/// What came of a test call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// It took the test event, or nothing in its set-up was found that does not work.
    pub delivered: bool,
    /// Status of the answer, when there was one.
    pub status: Option<u16>,
    /// How long it took, waiting for rate limits included.
    pub duration_ms: u32,
    /// What happened, in words.
    pub explanation: String,
    /// What a look at the set-up has found, for kinds that have one.
    pub findings: Vec<Finding>,
}

impl TestResult {
    fn silent(explanation: String, duration_ms: u32) -> TestResult {
        TestResult { delivered: false, status: None, duration_ms, explanation, findings: Vec::new() }
    }
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
    /// Looks at the set-up, for kinds that can; else sends a TEST event now, outside of the log. Says what came of it.
    /// Works for held destinations too.
    pub async fn test_destination(&self, id: DestinationId) -> Result<TestResult, HubError> {
        let record = self.destination_record(id).await?;
        let target = self.target(&record)?;
        let begun = self.clock().now();
        let result = tokio::select! {
            result = self.try_out(&target) => result,
            () = self.clock().sleep(target.destination.pace().timeout * 2) => {
                let explanation = "it is not through yet: a rate limit holds all calls; try again later";
                TestResult::silent(explanation.to_owned(), 0)
            }
        };
        Ok(TestResult { duration_ms: millis(self.clock().now().since(begun)), ..result })
    }

    async fn try_out(&self, target: &Target) -> TestResult {
        let (port, on_wire) = (self.destinations().dispatch().port(), OnWire::default());
        let moment = Moment { now: self.clock().now(), attempt: 1, waiting: 0 };
        let timeout = target.destination.pace().timeout;
        if let Some(mut check) = target.destination.check(moment) {
            let talk = drive(port, &mut *check, timeout, &target.secrets, &on_wire, Turn::First).await;
            return checked(&talk, check.findings(), &target.secrets);
        }
        let event = self.sample_event(EventType::Test);
        if let Some(reason) = target.destination.skips(&event) {
            return TestResult::silent(format!("nothing was sent: {}", reason.0), 0);
        }
        let (events, memory) = ([event], Memory::default());
        let talk = converse(port, &*target.destination, &target.secrets, &events, &memory, moment, &on_wire).await;
        TestResult {
            delivered: matches!(talk.verdict, Ok(Verdict::Delivered)),
            status: talk.status,
            ..TestResult::silent(in_words(&talk), 0)
        }
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

/// A look at the set-up, in words.
fn checked(talk: &Talk, findings: &[Finding], secrets: &[String]) -> TestResult {
    let hide = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"));
    let findings: Vec<Finding> =
        findings.iter().map(|one| Finding { gravity: one.gravity, text: hide(&one.text) }).collect();
    let (delivered, explanation) = match &talk.verdict {
        Ok(Verdict::Delivered) => (true, "the set-up works".to_owned()),
        Ok(
            Verdict::Retry { reason, .. }
            | Verdict::GiveUp(reason)
            | Verdict::SwitchOff(reason)
            | Verdict::Skip(reason),
        ) => (false, hide(&reason.0)),
        Err(poison) => (false, explain(poison, None)),
    };
    TestResult { delivered, status: talk.status, findings, ..TestResult::silent(explanation, 0) }
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
