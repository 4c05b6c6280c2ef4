//! Samples with what is read of them, signatures and forgeries, requests, and whole lives through the engine.

mod forgeries;
mod lives;
mod reference;
mod requests;
mod signing;

use super::DEFINITION;
use crate::{Keys, Notification, RawRequest, Reading, Rejection, Source, Verification, golden, looked_up_id};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json, value::to_raw_value};
use signing::{CERTIFICATE_URL, Signer, TOPIC};

const SECRET: &str = "2:shared-Secret_of-the:tests==";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A source that asks, with more settings.
fn open(more: &Value) -> Box<dyn Source> {
    let mut settings = json!({"topic_arn": TOPIC, "shared_secret": SECRET});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    opened(&settings)
}

fn opened(settings: &Value) -> Box<dyn Source> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(settings).unwrap(), &golden::upstreams()).unwrap()
}

/// Keys as the hub would have fetched them.
fn certificate() -> Keys {
    let pem = Signer::Sns.certificate(2020, 2040);
    Keys([(CERTIFICATE_URL.to_owned(), pem.into())].into())
}

fn verify(source: &dyn Source, body: &[u8], keys: &Keys, now: Timestamp) -> Result<Notification, Rejection> {
    let raw = RawRequest { headers: http::HeaderMap::new(), body: body.to_vec().into() };
    match source.verify(&raw, keys, now)? {
        Verification::Verified(mut verified) => Ok(verified.notifications.remove(0)),
        Verification::KeyNeeded(request) => panic!("{} is needed", request.uri()),
    }
}

/// Signs a message and takes it in, at its own time.
fn take(source: &dyn Source, id: &str, message: &Value) -> Notification {
    let now = Timestamp::from_millis(message["timestamp"].as_i64().unwrap()).unwrap();
    let envelope = signing::envelope(id, &message.to_string(), &now.to_string());
    let body = signing::signed(envelope, Signer::Sns).to_string();
    verify(source, body.as_bytes(), &certificate(), now).unwrap_or_else(|error| panic!("{id}: {error:?}"))
}

/// What the answer to the only lookup of a reading is read as.
fn answer(source: &dyn Source, reading: &Reading, asked_at: Timestamp, body: &str) -> Result<Reading, Rejection> {
    let [lookup] = reading.lookups.as_slice() else { panic!("{reading:?}") };
    let id = looked_up_id(asked_at, &lookup.name, &lookup.context);
    let read = source.read_kept(&id, body.as_bytes());
    let under = source.read_kept_under(&source.policy().unwrap(), &id, body.as_bytes());
    assert_eq!(read, under, "read again under the settings of that time");
    read
}

/// Each sample is a message of Amazon's, and what RVS answers when it is asked a second later.
#[test]
fn samples_are_read_as_expected() {
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("amazon/samples") {
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let settings = sample.get("settings").cloned().unwrap_or(json!({}));
        let source = open(&settings);
        let notification = take(source.as_ref(), &name, &sample["message"]);
        let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
        assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        let mut shown = golden::shown(std::slice::from_ref(&notification));
        shown[0]["lookups"] = notification.reading.lookups.iter().map(|it| json!([it.name, it.context])).collect();
        let asked_at = Timestamp::from_millis(sample["message"]["timestamp"].as_i64().unwrap() + 1000).unwrap();
        let answered = answer(source.as_ref(), &notification.reading, asked_at, &sample["answer"].to_string());
        shown[0]["answered"] = serde_json::to_value(answered.unwrap().observations).unwrap();
        wrong.extend(golden::compare(&path, &shown));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_do_not_fit_say_where() {
    let topic = |topic: &str| json!({"topic_arn": topic});
    for (settings, pointer) in [
        (json!({}), ""),
        (topic(""), "/topic_arn"),
        (topic("arn:aws:sqs:us-east-1:1:x"), "/topic_arn"),
        (topic("arn:aws:sns:us-east-1:1:x:y"), "/topic_arn"),
        (topic("arn:aws:sns:us-east-1::x"), "/topic_arn"),
        (json!({"topic_arn": TOPIC, "shared_secret": ""}), "/shared_secret"),
        (json!({"topic_arn": TOPIC, "shared_secret": "line\nbreak"}), "/shared_secret"),
        (json!({"topic_arn": TOPIC, "package_name": ""}), "/package_name"),
        (json!({"topic_arn": TOPIC, "environment": "STAGING"}), "/environment"),
        (json!({"topic_arn": TOPIC, "confirmation": "never"}), "/confirmation"),
        (json!({"topic_arn": TOPIC, "prices": {"a/b": {"amount_minor": -1, "currency": "USD"}}}), "/prices/a~1b"),
        (
            json!({"topic_arn": TOPIC, "prices": {"a": {"amount_minor": 1, "currency": "dollars"}}}),
            "/prices/a/currency",
        ),
        (json!({"topic_arn": TOPIC, "shared_sekret": "a"}), "/shared_sekret"),
    ] {
        let opened = (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &golden::upstreams());
        assert_eq!(opened.err().map(|error| error.pointer).as_deref(), Some(pointer), "{settings}");
    }
}
