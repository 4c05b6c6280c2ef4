//! Trying a destination out: a test call or a look at its set-up, and a look at what an event would cause. Neither leaves
//! a trace in the log or among the deliveries.

use crate::dispatch::deliver::{Talk, Turn, converse, drive, explain, millis, rehearse, without_secrets};
use crate::dispatch::settle::OnWire;
use crate::dispatch::{PARTITION, Target, memory_kept};
use crate::{Hub, HubError};
use bytes::Bytes;
use paidup_destinations::preview::{Shown, shown};
use paidup_destinations::{CallFailure, Finding, LoggedEvent, Memory, Moment, Verdict};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{DestinationId, EventId};
use paidup_lifecycle::sample;
use std::sync::Arc;
use std::time::Duration;

/// A person waits at most so long for what came of a test; less than an API call may take (a minute), so that there is an
/// answer in words.
const PATIENCE: Duration = Duration::from_secs(45);
/// Most characters of a page's title that are repeated.
const MAX_TITLE: usize = 80;

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
    /// Looks at the set-up, for kinds that can; else sends a sample event of type `sample` (TEST when none is named) now,
    /// outside of the log. Says what came of it. Works for held destinations too. Refused (422): a sample for a kind whose
    /// set-up is looked at.
    pub async fn test_destination(&self, id: DestinationId, sample: Option<EventType>) -> Result<TestResult, HubError> {
        let record = self.destination_record(id).await?;
        let target = self.target(&record)?;
        let begun = self.clock().now();
        let moment = Moment { now: begun, attempt: 1, waiting: 0 };
        if sample.is_some() && target.destination.check(moment).is_some() {
            let detail = "a test of this type of destination looks at its set-up, and a sample event would leave somebody who does \
                          not exist there; `preview` shows what an event would cause";
            return Err(HubError::refused(422, "/type", detail));
        }
        let event_type = sample.unwrap_or(EventType::Test);
        let result = tokio::select! {
            result = self.try_out(&target, event_type, moment) => result,
            () = self.clock().sleep(PATIENCE.min(target.destination.pace().timeout * 2)) => {
                let explanation = "it is not through yet: a rate limit holds all calls; try again later";
                TestResult::silent(explanation.to_owned(), 0)
            }
        };
        Ok(TestResult { duration_ms: millis(self.clock().now().since(begun)), ..result })
    }

    async fn try_out(&self, target: &Target, event_type: EventType, moment: Moment) -> TestResult {
        let (port, on_wire) = (self.destinations().dispatch().port(), OnWire::default());
        let timeout = target.destination.pace().timeout;
        if let Some(mut check) = target.destination.check(moment) {
            let talk = drive(port, &mut *check, timeout, &target.secrets, &on_wire, Turn::First).await;
            return checked(&talk, check.findings(), &target.secrets);
        }
        let event = self.sample_event(event_type);
        if let Some(reason) = target.destination.skips(&event) {
            return TestResult::silent(format!("nothing was sent: {}", reason.0), 0);
        }
        let (events, memory) = ([event], Memory::default());
        let talk = converse(port, &*target.destination, &target.secrets, &events, &memory, moment, &on_wire).await;
        TestResult {
            delivered: matches!(talk.verdict, Ok(Verdict::Delivered)),
            status: talk.status,
            ..TestResult::silent(in_words(&talk, timeout), 0)
        }
    }

    /// The requests that an event would cause if it were told now, byte for byte but for credentials. Sends nothing.
    pub async fn preview_destination(&self, id: DestinationId, event: &LoggedEvent) -> Result<Preview, HubError> {
        let record = self.destination_record(id).await?;
        let target = self.target(&record)?;
        let memory = memory_kept(&**self.store(), id, target.destination.about(&event.event)).await?;
        let rehearsed = rehearse(&*target.destination, std::slice::from_ref(event), &memory, self.clock().now());
        Ok(match rehearsed {
            Ok(requests) => Preview {
                requests: requests.iter().map(|request| masked(&target, request)).collect(),
                skipped: (!target.lets_pass_now(event)).then(|| "the filter does not let this event pass".to_owned()),
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
            ..sample::event(event_type, sample::home(event_type))
        };
        let json = serde_json::to_vec(&event).expect("an event can always be written as JSON");
        LoggedEvent { partition: PARTITION, position: 0, event: Arc::new(event), json: Bytes::from(json) }
    }
}

fn masked(target: &Target, request: &http::Request<Bytes>) -> Shown {
    let hide = |text: &str| without_secrets(text, &target.secrets);
    let shown = shown(&*target.destination, request);
    Shown {
        url: hide(&shown.url),
        headers: shown.headers.iter().map(|(name, value)| (name.clone(), hide(value))).collect(),
        ..shown
    }
}

/// A look at the set-up, in words.
fn checked(talk: &Talk, findings: &[Finding], secrets: &[String]) -> TestResult {
    let hide = |found: &Finding| Finding { gravity: found.gravity, text: without_secrets(&found.text, secrets) };
    let findings: Vec<Finding> = findings.iter().map(hide).collect();
    let (delivered, explanation) = match &talk.verdict {
        Ok(Verdict::Delivered) => (true, "the set-up works".to_owned()),
        Ok(
            Verdict::Retry { reason, .. }
            | Verdict::GiveUp(reason)
            | Verdict::SwitchOff(reason)
            | Verdict::Skip(reason),
        ) => (false, reason.0.clone()),
        Err(poison) => (false, explain(poison, None)),
    };
    let explanation = match talk.failure {
        Some(failure) => format!("{explanation}. {}", advice(failure)),
        None => explanation,
    };
    TestResult { delivered, status: talk.status, findings, ..TestResult::silent(explanation, 0) }
}

/// What came of a sample: what an event would go through, why, what was answered, and what to do about it.
fn in_words(talk: &Talk, timeout: Duration) -> String {
    let page = talk.is_page.then(|| a_page(talk.excerpt.as_deref().unwrap_or_default()));
    let excerpt = page.as_deref().or(talk.excerpt.as_deref());
    match &talk.verdict {
        Ok(Verdict::Delivered) if talk.is_page => {
            "the destination took the test event, but answered with a page for people (HTML): make sure that your receiver \
             answered, and not a login or a landing page"
                .to_owned()
        }
        Ok(Verdict::Delivered) => "the destination took the test event".to_owned(),
        Ok(Verdict::Retry { reason, .. }) => {
            let why = explain(&reason.0, excerpt);
            let failed = "it did not work; an event would be tried again";
            match talk.failure {
                Some(CallFailure::TimedOut) => {
                    format!("{failed}: {why} ({} s). {}", timeout.as_secs(), advice(CallFailure::TimedOut))
                }
                Some(failure) => format!("{failed}: {why}. {}", advice(failure)),
                None => format!("{failed}: {why}"),
            }
        }
        Ok(Verdict::GiveUp(reason)) => format!("the test event was refused: {}", explain(&reason.0, excerpt)),
        Ok(Verdict::SwitchOff(reason)) => {
            format!("the destination would be switched off: {}", explain(&reason.0, excerpt))
        }
        Ok(Verdict::Skip(reason)) => format!("nothing was sent: {}", reason.0),
        Err(poison) => format!("the test event cannot be rendered: {}", explain(poison, None)),
    }
}

/// What to do where no answer came.
const fn advice(failure: CallFailure) -> &'static str {
    match failure {
        CallFailure::TimedOut => {
            "A receiver answers first and does its work afterwards; a firewall that drops what it does not know looks the same."
        }
        CallFailure::NotConnected => {
            "Nothing listens at that host and port, or a firewall is between: is it running, and may this hub reach it?"
        }
        CallFailure::ConnectionLost => {
            "It was ended before an answer came: look into the log over there. Plain http to a port that speaks https ends so too."
        }
        CallFailure::AddressRefused => {
            "It is inside of your own network, and the operator of this hub decides about that."
        }
        CallFailure::NameNotFound => "Check its spelling, and the name server of the machine that the hub runs on.",
        CallFailure::TlsFailed => {
            "The certificate must be for that name, not be over, come with its chain and from an authority that browsers know; or \
             nothing speaks https there."
        }
        CallFailure::BadAnswer => {
            "Something else than a web server listens there, or its headers are longer than 32 KiB."
        }
    }
}

/// A page for people, by its title.
fn a_page(beginning: &str) -> String {
    let lower = beginning.to_ascii_lowercase(); // ASCII only: the places stay the same
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|start| {
        let end = lower[start..].find("</title").map_or(beginning.len(), |at| start + at);
        Some(beginning.get(start..end)?.trim())
    });
    match title.filter(|title| !title.is_empty()) {
        Some(title) => format!("a page for people (HTML), \"{}\"", title.chars().take(MAX_TITLE).collect::<String>()),
        None => "a page for people (HTML)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_destinations::Reason;

    fn retry(why: &str) -> Verdict {
        Verdict::Retry { after: None, counts: true, reason: Reason(why.to_owned()) }
    }

    fn answered(verdict: Verdict, excerpt: &str) -> Talk {
        Talk {
            verdict: Ok(verdict),
            excerpt: Some(excerpt.to_owned()).filter(|text| !text.is_empty()),
            ..Talk::begun()
        }
    }

    #[test]
    fn every_outcome_is_told_in_words() {
        let login = "<!DOCTYPE html><HTML><title> Sign in </title>...";
        let page = |verdict, excerpt| Talk { is_page: true, ..answered(verdict, excerpt) };
        let gone = || Verdict::SwitchOff(Reason("the receiver answered 410 Gone".to_owned()));
        for (name, talk, expected) in [
            ("taken", answered(Verdict::Delivered, ""), "the destination took the test event"),
            ("taken by a page", page(Verdict::Delivered, ""), "but answered with a page for people (HTML)"),
            ("no", answered(retry("500"), "oops"), "it did not work; an event would be tried again: 500; answer: oops"),
            ("a page", page(retry("404"), login), "again: 404; answer: a page for people (HTML), \"Sign in\""),
            ("a page cut off", page(retry("404"), "<title>Si"), "answer: a page for people (HTML), \"Si\""),
            ("a page without a title", page(retry("404"), "<html>"), "answer: a page for people (HTML)"),
            ("gone", answered(gone(), ""), "the destination would be switched off: the receiver answered 410 Gone"),
            (
                "refused",
                answered(Verdict::GiveUp(Reason("400".into())), "bad"),
                "the test event was refused: 400; answer: bad",
            ),
            ("silent", answered(Verdict::Skip(Reason("no".into())), ""), "nothing was sent: no"),
            ("poison", Talk { verdict: Err("too odd".into()), ..Talk::begun() }, "cannot be rendered: too odd"),
        ] {
            let words = in_words(&talk, Duration::from_secs(15));
            assert!(words.ends_with(expected) || words.contains(expected), "{name}: {words}");
        }
    }

    #[test]
    fn what_to_do_is_said_where_no_answer_came() {
        for (failure, expected) in [
            (CallFailure::TimedOut, "again: no answer in time (15 s). A receiver answers first"),
            (CallFailure::NotConnected, "again: could not connect. Nothing listens"),
            (CallFailure::ConnectionLost, "again: connection lost. It was ended"),
            (CallFailure::AddressRefused, "allow it with PAIDUP_ALLOW_PRIVATE_TARGETS. It is inside"),
            (CallFailure::NameNotFound, "again: the host name does not resolve. Check its spelling"),
            (CallFailure::TlsFailed, "was refused. The certificate must be"),
            (CallFailure::BadAnswer, "again: the answer is not valid HTTP. Something else"),
        ] {
            let words = failure.to_string();
            let talk = Talk { failure: Some(failure), ..answered(retry(&words), &words) };
            let told = in_words(&talk, Duration::from_secs(15));
            assert!(told.contains(expected), "{failure}: {told}");
        }
    }
}
