//! One delivery: asks the destination's conversation for its next step, and does it. The same for every kind, and the
//! same for a test call.

use super::Port;
use super::settle::OnWire;
use paidup_destinations::preview::MASK;
use paidup_destinations::{
    Answer, BudgetKey, CallFailure, Conversation, Destination, LoggedEvent, Memory, Moment, Reason, Step, Verdict,
};
use paidup_lifecycle::time::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most steps of a conversation: more is a mistake of ours, and must not hold a lane for ever.
const MAX_STEPS: usize = 64;
/// Most bytes of an answer that are kept for people.
pub const MAX_EXCERPT: usize = 500;
/// Most bytes of a reason that are kept.
const MAX_REASON: usize = 300;

/// Who goes first where calls are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Live deliveries: as far as the budget goes.
    First,
    /// Long work: leaves a part of the budget unused, so that live deliveries never wait for it.
    Spare,
}

/// What a conversation came to.
#[derive(Debug)]
pub struct Talk {
    /// The verdict; an error is the reason why the events cannot be rendered.
    pub verdict: Result<Verdict, String>,
    /// Status of the last answer.
    pub status: Option<u16>,
    /// Beginning of the last answer's body, without secrets.
    pub excerpt: Option<String>,
    /// Why the last call had no answer.
    pub failure: Option<CallFailure>,
    /// The last answer was a page for people (HTML).
    pub is_page: bool,
    /// What to remember, when that changed.
    pub memory: Option<Memory>,
}

impl Talk {
    /// Nothing was said yet.
    pub(crate) const fn begun() -> Talk {
        Talk { verdict: Err(String::new()), status: None, excerpt: None, failure: None, is_page: false, memory: None }
    }

    /// Whether the last call may have been acted on although no answer came.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        match self.failure {
            Some(CallFailure::TimedOut | CallFailure::ConnectionLost | CallFailure::BadAnswer) => true,
            Some(
                CallFailure::NotConnected
                | CallFailure::AddressRefused
                | CallFailure::NameNotFound
                | CallFailure::TlsFailed,
            )
            | None => false,
        }
    }

    /// Notes what the last call was answered.
    fn hear(&mut self, answer: &Answer, secrets: &[String]) {
        (self.status, self.excerpt, self.failure, self.is_page) = (None, None, None, false);
        match answer {
            Answer::Response(response) => {
                let body = response.body();
                self.status = Some(response.status().as_u16());
                self.is_page = is_page(response);
                if !response.status().is_success() && !body.is_empty() {
                    self.excerpt = Some(match packed(response.headers()) {
                        Some(coding) => format!("(a body packed by {coding}, which is not unpacked)"),
                        None => excerpt(&String::from_utf8_lossy(&body[..body.len().min(4 * MAX_EXCERPT)]), secrets),
                    });
                }
            }
            Answer::Failed(failure) => {
                (self.failure, self.excerpt) = (Some(*failure), Some(failure.to_string()));
            }
        }
    }
}

/// Holds the conversation about `events`.
pub async fn converse(
    port: &Port,
    destination: &dyn Destination,
    secrets: &[String],
    events: &[LoggedEvent],
    memory: &Memory,
    moment: Moment,
    on_wire: &OnWire,
) -> Talk {
    let poisoned = |reason| Talk { verdict: Err(reason), ..Talk::begun() };
    let mut conversation = match guarded(|| destination.deliver(events, memory, moment)) {
        Ok(Ok(conversation)) => conversation,
        Ok(Err(poison)) => return poisoned(poison.0),
        Err(panic) => return poisoned(panic),
    };
    drive(port, &mut *conversation, destination.pace().timeout, secrets, on_wire, Turn::First).await
}

/// Asks a conversation for its steps and does them, until it ends.
pub async fn drive(
    port: &Port,
    conversation: &mut dyn Conversation,
    timeout: Duration,
    secrets: &[String],
    on_wire: &OnWire,
    turn: Turn,
) -> Talk {
    let mut talk = Talk::begun();
    let mut answer: Option<Answer> = None;
    for _ in 0..MAX_STEPS {
        let step = match guarded(|| conversation.next(answer.as_ref())) {
            Ok(step) => step,
            Err(panic) => return Talk { verdict: Err(panic), ..talk },
        };
        match step {
            Step::Call { request, budgets } => {
                let began = wait_for_budgets(port, &budgets, turn).await;
                // The first call's moment counts for the whole delivery.
                let now = began.as_millis().max(1);
                let _ = on_wire.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                let answered = port.outbound.call(request, timeout).await;
                if !budgets.is_empty() {
                    port.budgets.lock().over(&budgets, began, port.clock.now());
                }
                talk.hear(&answered, secrets);
                answer = Some(answered);
            }
            Step::Remember(memory) => talk.memory = Some(memory),
            Step::Learn(hints) => {
                let (now, mut budgets) = (port.clock.now(), port.budgets.lock());
                hints.iter().for_each(|hint| budgets.learn(hint, now));
            }
            Step::Join(name, with) => port.budgets.lock().join(&name, &with),
            Step::Finish(verdict) => return Talk { verdict: Ok(masked(verdict, secrets)), ..talk },
        }
    }
    Talk { verdict: Err(format!("the delivery did not end within {MAX_STEPS} steps")), ..talk }
}

/// A mistake in one kind's rendering must not take the destination's task along.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| "rendering this event failed unexpectedly; see the log".to_owned())
}

/// Waits until all of `keys` have a call left and takes it; answers when that was.
async fn wait_for_budgets(port: &Port, keys: &[BudgetKey], turn: Turn) -> Timestamp {
    loop {
        let now = port.clock.now();
        if keys.is_empty() {
            return now;
        }
        let taken = match turn {
            Turn::First => port.budgets.lock().take(keys, now),
            Turn::Spare => port.budgets.lock().take_spare(keys, now),
        };
        match taken {
            Ok(()) => return now,
            Err(free) => port.clock.sleep_until(free).await,
        }
    }
}

/// By what it says of itself, or by how it begins.
fn is_page(response: &http::Response<bytes::Bytes>) -> bool {
    let told = response.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let begins = |word: &[u8]| {
        let body = response.body().trim_ascii_start();
        body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    told.is_some_and(|told| told.to_ascii_lowercase().starts_with("text/html"))
        || begins(b"<!doctype")
        || begins(b"<html")
}

/// `text` without the secrets of the destination.
#[must_use]
pub fn without_secrets(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
}

/// A reason may repeat what the far side said (a redirect's target, an error's text), and that may repeat anything.
fn masked(verdict: Verdict, secrets: &[String]) -> Verdict {
    let hide = |reason: Reason| Reason(without_secrets(&reason.0, secrets));
    match verdict {
        Verdict::Delivered => Verdict::Delivered,
        Verdict::Retry { after, counts, reason } => Verdict::Retry { after, counts, reason: hide(reason) },
        Verdict::GiveUp(reason) => Verdict::GiveUp(hide(reason)),
        Verdict::SwitchOff(reason) => Verdict::SwitchOff(hide(reason)),
        Verdict::Skip(reason) => Verdict::Skip(hide(reason)),
    }
}

/// How a body is packed. It stays so: who unpacks what strangers send can be made to unpack without end.
fn packed(headers: &http::HeaderMap) -> Option<String> {
    let coding = headers.get(http::header::CONTENT_ENCODING)?.to_str().unwrap_or("something odd");
    let word: String = coding.chars().filter(|letter| letter.is_ascii_graphic()).take(20).collect();
    Some(word).filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("identity"))
}

/// At most [`MAX_EXCERPT`] bytes of `text`, on one line, without secrets.
#[must_use]
pub fn excerpt(text: &str, secrets: &[String]) -> String {
    let line: String =
        without_secrets(text, secrets).chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    shortened(line.trim(), MAX_EXCERPT).to_owned()
}

fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Why, and what was answered: what people read beside an attempt.
#[must_use]
pub fn explain(reason: &str, excerpt: Option<&str>) -> String {
    match excerpt {
        Some(excerpt) if !excerpt.is_empty() && !reason.contains(excerpt) => {
            format!("{}; answer: {excerpt}", shortened(reason, MAX_REASON))
        }
        Some(_) | None => shortened(reason, MAX_REASON).to_owned(),
    }
}

/// The requests that `events` would cause when every call succeeds; `memory` is that of their customer. Sends nothing. An error: they
/// cannot be rendered, or nothing would be sent, with the reason.
pub fn rehearse(
    destination: &dyn Destination,
    events: &[LoggedEvent],
    memory: &Memory,
    now: Timestamp,
) -> Result<Vec<http::Request<bytes::Bytes>>, Reason> {
    if let [event] = events
        && let Some(reason) = destination.skips(event)
    {
        return Err(reason);
    }
    let moment = Moment { now, attempt: 1, waiting: 0 };
    let mut conversation: Box<dyn Conversation> = match guarded(|| destination.deliver(events, memory, moment)) {
        Ok(Ok(conversation)) => conversation,
        Ok(Err(poison)) => return Err(Reason(poison.0)),
        Err(panic) => return Err(Reason(panic)),
    };
    let mut requests = Vec::new();
    let mut answer: Option<Answer> = None;
    for _ in 0..MAX_STEPS {
        match guarded(|| conversation.next(answer.as_ref())).map_err(Reason)? {
            Step::Call { request, .. } => {
                answer = Some(destination.rehearsal(&request));
                requests.push(request);
            }
            Step::Remember(_) | Step::Learn(_) | Step::Join(_, _) => {}
            Step::Finish(Verdict::Skip(reason)) if requests.is_empty() => return Err(reason),
            Step::Finish(_) => break,
        }
    }
    Ok(requests)
}

/// Values of settings that must not appear in anything that people see, longest first.
#[must_use]
pub fn secret_texts(names: &[&str], settings: &serde_json::Value) -> Vec<String> {
    /// Shorter ones would blank out ordinary words and protect nothing.
    const SHORTEST: usize = 8;
    fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                into.push(text.clone());
                // A URL's secret is one part of its path or query.
                into.extend(text.split(['/', '?', '&', '=']).filter(|part| part.len() >= 32).map(str::to_owned));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            serde_json::Value::Object(values) => values.values().for_each(|value| collect(value, into)),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
        }
    }
    let mut texts = Vec::new();
    for name in names {
        let pointer = if name.starts_with('/') { (*name).to_owned() } else { format!("/{name}") };
        if let Some(value) = settings.pointer(&pointer) {
            collect(value, &mut texts);
        }
    }
    texts.retain(|text| text.len() >= SHORTEST);
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts.dedup();
    texts
}

/// How long an attempt took, as it is kept.
pub(crate) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_excerpt_is_short_one_line_and_without_secrets() {
        let settings = json!({
            "url": "https://discord.com/api/webhooks/12345678/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL",
            "headers": {"x-key": "hunter2-hunter2", "x-short": "abc"},
            "name": "not a secret",
        });
        let secrets = secret_texts(&["url", "headers", "absent"], &settings);
        let cases = [
            ("a header's value", "key hunter2-hunter2 is wrong", "key *** is wrong"),
            ("the token without its URL", "token abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL unknown", "token *** unknown"),
            ("several lines", " one\n\ttwo\r\n", "one  two"),
            ("short values are no secrets", "abc", "abc"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(excerpt(text, &secrets), expected, "{name}");
        }
        assert_eq!(excerpt(&"ä".repeat(1_000), &secrets).len(), MAX_EXCERPT);
    }

    #[test]
    fn a_packed_body_is_named_and_stays_packed() {
        for (coding, expected) in [
            ("gzip", "(a body packed by gzip, which is not unpacked)"),
            ("br, zstd", "(a body packed by br,zstd, which is not unpacked)"),
            ("a-very-long-word-that-says-nothing", "(a body packed by a-very-long-word-tha, which is not unpacked)"),
            ("identity", "\u{fffd}  and more"),
        ] {
            let response = http::Response::builder().status(500).header("content-encoding", coding);
            let mut talk = Talk::begun();
            talk.hear(
                &Answer::Response(response.body(bytes::Bytes::from_static(b"\x1f\x8b\x08 and more")).unwrap()),
                &[],
            );
            assert_eq!((talk.status, talk.excerpt.as_deref()), (Some(500), Some(expected)), "{coding}");
        }
    }

    #[test]
    fn an_attempt_says_why_and_what_was_answered() {
        let cases = [
            ("status 500", Some("oops"), "status 500; answer: oops"),
            ("no answer in time", Some("no answer in time"), "no answer in time"),
            ("status 500", None, "status 500"),
        ];
        for (reason, excerpt, expected) in cases {
            assert_eq!(explain(reason, excerpt), expected);
        }
    }
}
