//! Customers, products and attributes that want to be markup, mentions, headers, addresses or JSON: through every kind and
//! format. Whatever stands in an event, the request goes where it always goes, with the headers that it always has, its body
//! is what the vendor takes, and nobody is pinged.

use crate::discord::{nothing_acts, within_limits};
use crate::support::{every_kind, logged, moment, open, run_by, sample_of};
use bytes::Bytes;
use http::Request;
use paidup_destinations::{Destination, Memory, Verdict};
use paidup_lifecycle::event::{AttributeView, Event, EventType};
use serde_json::{Value, json};

/// What each of them wants to be.
fn texts() -> Vec<(&'static str, String)> {
    let told = |name, text: &str| (name, text.to_owned());
    vec![
        told("a ping", "@everyone @here <@1> <@&2> <#3>"),
        told("markup", "**b** __u__ ~~s~~ ||x|| `c` ```x\ny``` > q # h - l 1. n"),
        told("a link", "[click](https://evil.example) https://evil.example discord.gg/evil"),
        told("a link out of a link", "](https://evil.example) ["),
        told("a header", "x\r\nAuthorization: Bearer evil\r\n\r\n{}"),
        told("a line", "x\nwebhook-id: evil"),
        told("JSON", "\",\"type\":\"ACTIVATE\",\"x\":\""),
        told("JSON with a tail", "\"}],\"allowed_mentions\":{\"parse\":[\"everyone\"]},\"a\":[{\"b\":\""),
        told("a lone surrogate's escape", "\\ud800 \\u0000 \\"),
        told("NUL", "\u{0}"),
        told("control characters", "a\u{1}\u{7}\u{8}\u{1b}[31m\u{7f}\u{9b}z"),
        told("turned round", "\u{202e}gnp.exe\u{202c} \u{2066}x\u{2069} \u{200f}"),
        told("invisible", "\u{200b}\u{feff}\u{2060}\u{e0041}"),
        told("noncharacters", "\u{fdd0}made:customer_link\u{fdd1} \u{fffe} \u{10ffff}"),
        told("a template", "{{ customer_link }}{% for x in range(9) %}{{ x }}{% endfor %}"),
        told("a path", "../../../v1/keys?x=1#y %2e%2e%2f %00 //evil.example/"),
        told("an address of mail", "a@b.example\r\nBcc: c@d.example"),
        told("HTML", "<script>alert(1)</script><img src=x onerror=y>"),
        told("a formula", "=HYPERLINK(\"https://evil.example\";\"x\")"),
        told("nothing", ""),
        told("blanks", " \t\n "),
        ("10 kB", "x".repeat(10_240)),
        ("10 kB of marks", "*_[](<@".repeat(1_500)),
        ("10 kB of combining marks", format!("z{}", "\u{0489}".repeat(5_000))),
        ("emoji", "👩‍👩‍👧".repeat(200)),
    ]
}

/// Events whose texts reach every part of every format.
const TYPES: [EventType; 13] = [
    EventType::SubscriptionStarted,
    EventType::SubscriptionRenewed,
    EventType::SubscriptionUpgraded,
    EventType::PlanChangeScheduled,
    EventType::RenewalDisabled,
    EventType::GracePeriodStarted,
    EventType::SubscriptionWillPause,
    EventType::TransactionProcessed,
    EventType::SubscriptionTransferred,
    EventType::SubscriptionReceived,
    EventType::OneTimePurchased,
    EventType::PromoGranted,
    EventType::Test,
];

/// The event with `text` wherever a store, an app or a person can put one.
fn with(text: &str, event_type: EventType) -> Event {
    let mut event = sample_of(event_type);
    let one = || Some(text.to_owned());
    let attribute = |value: &str| AttributeView { value: value.to_owned(), updated_at: event.occurred_at };
    event.customer.attributes =
        [text, "$email", "email", "$displayName"].map(|name| (name.to_owned(), attribute(text))).into();
    event.customer.app_user_id = text.to_owned();
    event.customer.original_app_user_id = text.to_owned();
    event.customer.aliases = vec![text.to_owned(), format!("discord:{text}")];
    for purchase in [Some(&mut event.purchase), event.previous.as_mut()].into_iter().flatten() {
        purchase.store_purchase_id = text.to_owned();
        (purchase.product_id, purchase.product_name) = (one(), one());
        (purchase.transaction_id, purchase.original_transaction_id, purchase.country) = (one(), one(), one());
        purchase.entitlements = vec![text.to_owned(); 4];
        if let Some(offer) = &mut purchase.offer {
            (offer.id, offer.code) = (one(), one());
        }
        if let Some(pending) = &mut purchase.pending {
            pending.product_id = text.to_owned();
        }
    }
    event.entitlements.active = vec![text.to_owned(); 4];
    if let Some(transaction) = &mut event.transaction {
        (transaction.id, transaction.refund_id, transaction.product_id) = (one(), one(), one());
        transaction.attempt_id = one();
    }
    (event.details.previous_product_id, event.details.new_product_id) = (one(), one());
    event.details.transferred_from = vec![text.to_owned(); 3];
    event.details.transferred_to = vec![text.to_owned(); 3];
    event
}

/// The requests of an event; none: it is passed over or given up, with a reason.
fn requests(name: &str, destination: &dyn Destination, event: Event) -> Option<Vec<Request<Bytes>>> {
    let event = logged(event);
    if let Some(reason) = destination.skips(&event) {
        assert!(!reason.0.is_empty(), "{name}");
        return None;
    }
    match destination.deliver(&[event], &Memory::default(), moment()) {
        Ok(conversation) => {
            let course = run_by(conversation, Memory::default(), |_, request| destination.rehearsal(request));
            assert_eq!(course.verdict, Verdict::Delivered, "{name}");
            Some(course.requests)
        }
        Err(poison) => {
            assert!(!poison.0.is_empty() && poison.0.len() < 300, "{name}: {}", poison.0);
            None
        }
    }
}

/// All that a request says beside its body and what is signed.
fn envelope(request: &Request<Bytes>) -> Vec<(String, String)> {
    let headers = request.headers().iter().filter(|(_, value)| !value.is_sensitive());
    let mut all: Vec<_> = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    all.push(("address".to_owned(), request.uri().to_string()));
    all
}

/// Every text of a body, and the names in it.
fn told(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|one| told(one, into)),
        Value::Object(all) => all.iter().for_each(|(name, one)| {
            into.push(name.clone());
            told(one, into);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A receiver reads the very text, as a value and nothing else: the fields are those of an honest event.
fn check_webhook(name: &str, text: &str, dirty: &[Request<Bytes>], clean: &[Request<Bytes>]) {
    assert_eq!(dirty.len(), clean.len(), "{name}");
    for (dirty, clean) in dirty.iter().zip(clean) {
        assert_eq!(envelope(dirty), envelope(clean), "{name}");
        let read = |request: &Request<Bytes>| serde_json::from_slice::<Value>(request.body()).expect("JSON");
        let (dirty, clean) = (read(dirty), read(clean));
        assert_eq!(fields(&dirty), fields(&clean), "{name}: {dirty}");
        let mut texts = Vec::new();
        told(&dirty, &mut texts);
        assert!(texts.iter().any(|one| one == text), "{name}: {dirty}");
    }
}

/// The names of a body's objects, but for maps whose names are the sender's.
fn fields(value: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        names.push(name.clone());
        if !["attributes", "subscriber_attributes"].contains(&name.as_str()) {
            names.extend(fields(inner).into_iter().map(|inner| format!("{name}.{inner}")));
        }
    }
    names
}

fn check_discord(name: &str, dirty: &[Request<Bytes>], clean: &[Request<Bytes>]) {
    assert_eq!((dirty.len(), clean.len()), (1, 1), "{name}");
    assert_eq!(envelope(&dirty[0]), envelope(&clean[0]), "{name}");
    let body: Value = serde_json::from_slice(dirty[0].body()).expect("JSON");
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }), "{name}");
    if let Some(title) = body["thread_name"].as_str() {
        crate::discord_posts::harmless_title(title);
    }
    if let Some(content) = body["content"].as_str() {
        assert!((1..=2_000).contains(&content.encode_utf16().count()), "{name}: {content}");
        return nothing_acts(content);
    }
    within_limits(&body);
    let clean: Value = serde_json::from_slice(clean[0].body()).expect("JSON");
    for (embed, honest) in body["embeds"].as_array().unwrap().iter().zip(clean["embeds"].as_array().unwrap()) {
        for part in ["title", "url", "color", "timestamp", "footer"] {
            assert_eq!(embed[part], honest[part], "{name}: {part}");
        }
        nothing_acts(embed["description"].as_str().unwrap());
        for field in embed["fields"].as_array().into_iter().flatten() {
            nothing_acts(field["value"].as_str().unwrap());
        }
    }
}

fn check_intercom(name: &str, dirty: &[Request<Bytes>]) {
    for request in dirty {
        crate::intercom::check(request);
        let path = request.uri().path();
        assert!(path.split('/').count() <= 4 && request.uri().query().is_none(), "{name}: {path}");
        let fits = |one: u8| one.is_ascii_alphanumeric() || b"/-._~%".contains(&one);
        assert!(path.bytes().all(fits) && !path.contains("/../"), "{name}: {path}");
        envelope(request);
        let mut texts = Vec::new();
        told(&serde_json::from_slice(request.body()).unwrap_or_default(), &mut texts);
        for text in texts {
            let is_plain = text.chars().count() <= 255 && !text.chars().any(char::is_control);
            assert!(is_plain, "{name}: {} characters, {text:?}", text.chars().count());
        }
    }
}

#[test]
fn hostile_texts_do_no_harm_in_any_kind_and_format() {
    let mut kinds = every_kind();
    let url = "https://discord.com/api/webhooks/112233/hunter2-token_of-the-webhook";
    let all: serde_json::Map<String, Value> = TYPES
        .iter()
        .map(|event| {
            (event.to_string(), json!({ "text": "{{user_id}} {{customer_link}} {{product_name}} {{entitlements}}" }))
        })
        .collect();
    kinds.push(("discord_webhook", "own texts", json!({ "url": url, "messages": all })));
    kinds.push(("discord_webhook", "short ids", json!({ "url": url, "privacy": "short_id" })));
    for anonymous in ["skip", "email"] {
        let more = json!({ "access_token": crate::support::ACCESS_TOKEN, "anonymous": anonymous, "match_by": "attribute", "match_attribute": "app_user" });
        kinds.push(("intercom", anonymous, more));
    }
    let mut sent = 0;
    for (kind, format, settings) in kinds {
        let destination = open(kind, &settings);
        for event_type in TYPES {
            // What a plain text gives: the same length of everything, no meaning.
            let clean = requests("plain", &*destination, with("plain", event_type)).unwrap_or_default();
            for (what, text) in texts() {
                let name = format!("{kind}/{format}, {event_type}: {what}");
                let Some(dirty) = requests(&name, &*destination, with(&text, event_type)) else { continue };
                sent += dirty.len();
                match kind {
                    "webhook" => check_webhook(&name, &text, &dirty, &clean),
                    "discord_webhook" => check_discord(&name, &dirty, &clean),
                    "intercom" => check_intercom(&name, &dirty),
                    other => panic!("who refuses what {other} refuses?"),
                }
            }
        }
    }
    assert!(sent > 3_000, "{sent}");
}
