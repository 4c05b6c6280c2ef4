//! What the tests share: opened destinations, logged events, and a loop that drives a conversation as the hub does.

use paidup_destinations::{
    Answer, BudgetHint, BudgetKey, Conversation, Destination, LoggedEvent, Memory, Moment, Step, Upstreams, Verdict,
    definition,
};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// No conversation of ours needs more steps.
const MAX_STEPS: usize = 32;

/// A secret that no reason, poison or memory may repeat.
pub(crate) const SECRET: &str = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LSE=";
/// The credential in a Discord URL.
pub(crate) const TOKEN: &str = "hunter2-token_of-the-webhook";

/// An access token of Intercom.
pub(crate) const ACCESS_TOKEN: &str = "dG9rOmh1bnRlcjJfYWNjZXNzX3Rva2Vu";

pub(crate) fn now() -> Timestamp {
    "2026-03-05T12:00:00Z".parse().unwrap()
}

pub(crate) fn moment() -> Moment {
    Moment { now: now(), attempt: 1, waiting: 0 }
}

pub(crate) fn upstreams() -> Upstreams {
    Upstreams {
        discord_api: "https://discord.com/api/v10".into(),
        intercom_api: None,
        public_url: "https://hub.example".into(),
    }
}

pub(crate) fn raw(json: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(json).unwrap()
}

/// Opens a destination as the hub does: `prepare` at creation, then `open`.
pub(crate) fn open(kind: &str, settings: &Value) -> Box<dyn Destination> {
    let definition = definition(kind).unwrap();
    let prepared = (definition.prepare)(&raw(settings), &[7; 32]).unwrap();
    (definition.open)(&prepared, &upstreams()).unwrap()
}

/// Settings of every kind and format that there is: (kind, name of the folder of golden files, settings).
pub(crate) fn every_kind() -> Vec<(&'static str, &'static str, Value)> {
    let webhook = |format: &str, more: Value| {
        let mut settings = json!({ "url": "https://receiver.example/hook?a=1", "format": format, "secret": SECRET });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    let discord = |more: Value| {
        let mut settings = json!({ "url": format!("https://discord.com/api/webhooks/112233/{TOKEN}") });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    let mut on: serde_json::Map<String, Value> =
        EventType::ALL.iter().map(|event| (event.to_string(), json!({}))).collect();
    on.insert("EXPIRATION".to_owned(), json!({ "enabled": true, "text": " " }));
    vec![
        ("webhook", "paidup", webhook("paidup", json!({ "headers": { "X-Team": "growth" } }))),
        (
            "webhook",
            "revenuecat",
            webhook("revenuecat", json!({ "authorization": "Bearer receiver", "hmac_secret": "rc-secret" })),
        ),
        ("webhook", "purchasely", webhook("purchasely", json!({ "hmac_secret": "purchasely-secret" }))),
        ("discord_webhook", "default", discord(json!({}))),
        ("discord_webhook", "revenuecat_embed", discord(json!({ "style": "revenuecat_embed" }))),
        ("discord_webhook", "text", discord(json!({ "style": "text" }))),
        ("discord_webhook", "all", discord(json!({ "messages": on }))),
        (
            "discord_webhook",
            "forum_text",
            discord(json!({ "style": "text", "billing_issues": "collapse", "post_per": "customer" })),
        ),
        ("intercom", "default", json!({ "access_token": ACCESS_TOKEN })),
        ("intercom", "own", own_intercom()),
    ]
}

/// An Intercom destination with everything that can be chosen.
fn own_intercom() -> Value {
    json!({
        "access_token": ACCESS_TOKEN, "region": "eu", "match_by": "email", "missing_contact": "wait", "entitlement": "joined",
        "events": {
            "RENEWAL": { "name": "Paid again" }, "INITIAL_PURCHASE": { "name": " " }, "EXPIRATION": { "enabled": false },
        },
        "reactivation_as": "renewal",
    })
}

pub(crate) fn sample_of(event_type: EventType) -> Event {
    sample::event(event_type, sample::home(event_type))
}

pub(crate) fn logged(event: Event) -> LoggedEvent {
    let json = serde_json::to_vec(&event).unwrap().into();
    LoggedEvent { partition: 0, position: 1, event: Arc::new(event), json }
}

/// What became of a conversation.
pub(crate) struct Course {
    pub(crate) requests: Vec<http::Request<bytes::Bytes>>,
    pub(crate) budgets: Vec<BudgetKey>,
    pub(crate) learned: Vec<BudgetHint>,
    pub(crate) joined: Vec<(BudgetKey, BudgetKey)>,
    pub(crate) memory: Memory,
    pub(crate) verdict: Verdict,
}

/// Drives a conversation as the hub's loop does. `answer` is asked with the number of the call, from 0.
pub(crate) fn run(conversation: Box<dyn Conversation>, memory: Memory, answer: impl Fn(usize) -> Answer) -> Course {
    run_by(conversation, memory, |number, _| answer(number))
}

/// The same with answers that depend on the request too.
pub(crate) fn run_by(
    mut conversation: Box<dyn Conversation>,
    memory: Memory,
    answer: impl Fn(usize, &http::Request<bytes::Bytes>) -> Answer,
) -> Course {
    let mut course = Course {
        requests: Vec::new(),
        budgets: Vec::new(),
        learned: Vec::new(),
        joined: Vec::new(),
        memory,
        verdict: Verdict::Delivered,
    };
    let mut last: Option<Answer> = None;
    for _ in 0..MAX_STEPS {
        match conversation.next(last.as_ref()) {
            Step::Call { request, budgets } => {
                last = Some(answer(course.requests.len(), &request));
                course.requests.push(request);
                course.budgets = budgets;
            }
            Step::Remember(memory) => course.memory = memory,
            Step::Learn(hints) => course.learned.extend(hints),
            Step::Join(one, other) => course.joined.push((one, other)),
            Step::Finish(verdict) => {
                course.verdict = verdict;
                return course;
            }
        }
    }
    panic!("the conversation does not end within {MAX_STEPS} steps")
}

pub(crate) fn answered(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::Response(response.body(bytes::Bytes::from_static(body.as_bytes())).unwrap())
}

/// The body of the only request.
pub(crate) fn body_of(destination: &dyn Destination, events: &[LoggedEvent], moment: Moment) -> Value {
    let conversation = destination.deliver(events, &Memory::default(), moment).unwrap();
    let course = run(conversation, Memory::default(), |_| answered(200, &[], "{}"));
    assert_eq!(course.verdict, Verdict::Delivered);
    assert_eq!(course.requests.len(), 1);
    serde_json::from_slice(course.requests[0].body()).unwrap()
}

/// The folder of vendors' published documents and samples, which is not part of the repository.
pub(crate) fn reference() -> Option<PathBuf> {
    let fixed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let path = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or_else(|| PathBuf::from(fixed), PathBuf::from);
    path.is_dir().then_some(path)
}
