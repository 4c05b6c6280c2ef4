//! Where Discord messages stand and what becomes of them: collapsed billing failures, threads and forum posts, and one
//! message for each purchase that is edited as its life goes on.

use crate::discord::{discord, embeds, hostile, named, nothing_acts, only_known_keys, within_limits};
use crate::support::{Course, TOKEN, answered, logged, moment, now, raw, reference, run_by, sample_of, upstreams};
use http::Method;
use paidup_destinations::{Answer, Destination, LoggedEvent, Memory, Moment, Verdict};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// A message's id of just now: Discord's ids begin with the time.
const MESSAGE: u64 = ((1_772_712_000_000 - 1_420_070_400_000) << 22) | 5;
const CHANNEL: u64 = 555;
const POST: u64 = 777;

fn answer(status: u16, body: &Value) -> Answer {
    Answer::Response(http::Response::builder().status(status).body(body.to_string().into()).unwrap())
}

fn stored(message: u64, channel: u64) -> Answer {
    answer(200, &json!({ "id": message.to_string(), "channel_id": channel.to_string() }))
}

fn refused(status: u16, code: u32) -> Answer {
    answer(status, &json!({ "code": code, "message": "no" }))
}

fn deliver(
    destination: &dyn Destination,
    events: &[LoggedEvent],
    memory: &Memory,
    answer: impl Fn(usize, &http::Request<bytes::Bytes>) -> Answer,
) -> Course {
    deliver_at(destination, events, memory, moment(), answer)
}

fn deliver_at(
    destination: &dyn Destination,
    events: &[LoggedEvent],
    memory: &Memory,
    moment: Moment,
    answer: impl Fn(usize, &http::Request<bytes::Bytes>) -> Answer,
) -> Course {
    run_by(destination.deliver(events, memory, moment).unwrap(), memory.clone(), answer)
}

/// Method, what follows the webhook's address, and the body.
fn call(request: &http::Request<bytes::Bytes>) -> (Method, String, Value) {
    let base = format!("https://discord.com/api/v10/webhooks/112233/{TOKEN}");
    let rest = request.uri().to_string().strip_prefix(&base).unwrap().to_owned();
    (request.method().clone(), rest, serde_json::from_slice(request.body()).unwrap())
}

fn renewal() -> LoggedEvent {
    logged(named(sample_of(EventType::SubscriptionRenewed), "anna", "pro", None))
}

#[test]
fn one_cause_is_one_message_where_wished() {
    let titles = |settings: Value, event: Event| -> Vec<String> {
        let course =
            deliver(&*discord(settings), &[logged(event)], &Memory::default(), |_, _| stored(MESSAGE, CHANNEL));
        let bodies = course.requests.iter().map(|request| call(request).2);
        bodies.flat_map(|body| embeds(&body).clone()).map(|one| one["title"].as_str().unwrap().to_owned()).collect()
    };
    let collapse = json!({ "billing_issues": "collapse" });
    let without = json!({ "billing_issues": "collapse", "messages": { "BILLING_ISSUE": { "enabled": false } } });
    let failed = || sample_of(EventType::GracePeriodStarted);
    assert_eq!(titles(json!({}), failed()), ["🙀 Billing Issue", "😿 Cancellation"]);
    assert_eq!(titles(collapse.clone(), failed()), ["🙀 Billing Issue"]);
    assert_eq!(titles(without, failed()), ["😿 Cancellation"], "what is switched on is told");
    assert_eq!(titles(collapse, sample_of(EventType::RenewalDisabled)), ["😿 Cancellation"], "another cause");
}

#[test]
fn settings_that_do_not_fit_together_are_refused_at_their_place() {
    let definition = paidup_destinations::definition("discord_webhook").unwrap();
    let url = format!("https://discord.com/api/webhooks/112233/{TOKEN}");
    for (more, pointer) in [
        (json!({ "post_per": "customer", "thread_id": "9" }), "/post_per"),
        (json!({ "post_per": "day", "url": format!("{url}?thread_id=9") }), "/post_per"),
        (json!({ "post_per": "hour" }), "/post_per"),
        (json!({ "post_per": "day", "updates": "edit" }), "/updates"),
        (json!({ "updates": "always" }), "/updates"),
        (json!({ "applied_tags": ["1"] }), "/applied_tags"),
        (json!({ "post_per": "day", "applied_tags": ["x"] }), "/applied_tags"),
        (json!({ "post_per": "day", "applied_tags": ["1", "2", "3", "4", "5", "6"] }), "/applied_tags"),
        (json!({ "billing_issues": "none" }), "/billing_issues"),
    ] {
        let mut settings = json!({ "url": url });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = (definition.prepare)(&raw(&settings), &[0; 32]).err();
        let error = error.or_else(|| (definition.open)(&raw(&settings), &upstreams()).err());
        assert_eq!(error.unwrap_or_else(|| panic!("{more}: taken")).pointer, pointer, "{more}");
    }
    let by_customer = |more: Value| {
        let mut settings = json!({ "url": url });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (definition.by_customer)(&raw(&settings))
    };
    assert!(by_customer(json!({ "post_per": "customer" })) && !by_customer(json!({ "post_per": "day" })));
}

#[test]
fn a_customers_post_is_made_once_and_found_again() {
    let destination = discord(json!({ "post_per": "customer", "applied_tags": ["31", "32"] }));
    let first = deliver(&*destination, &[renewal()], &Memory::default(), |_, _| stored(MESSAGE, POST));
    let (method, rest, body) = call(&first.requests[0]);
    assert_eq!((method, rest.as_str()), (Method::POST, "?wait=true"));
    assert_eq!((&body["thread_name"], &body["applied_tags"]), (&json!("anna"), &json!(["31", "32"])));
    assert_eq!((first.verdict, first.joined), (Verdict::Delivered, Vec::new()));
    let second = deliver(&*destination, &[renewal()], &first.memory, |_, _| stored(MESSAGE + 1, POST));
    let (_, rest, body) = call(&second.requests[0]);
    assert_eq!(rest, format!("?wait=true&thread_id={POST}"));
    assert!(body.get("thread_name").is_none() && body.get("applied_tags").is_none(), "{body}");
    assert_eq!(second.memory, first.memory);
    // Another webhook may be in another channel: what is remembered says nothing there.
    let mut elsewhere = first.memory.clone();
    elsewhere.0.insert("webhook".into(), "9".into());
    let third = deliver(&*destination, &[renewal()], &elsewhere, |_, _| stored(MESSAGE, POST));
    assert_eq!(call(&third.requests[0]).2["thread_name"], "anna");
    // An answer that names no post is no reason to fail, nor to remember something.
    for odd in
        [answered(204, &[], ""), answered(200, &[], "{}"), answer(200, &json!({"id": "1", "channel_id": "../2"}))]
    {
        let course = deliver(&*destination, &[renewal()], &Memory::default(), |_, _| odd.clone());
        assert_eq!((course.verdict, course.memory), (Verdict::Delivered, Memory::default()));
    }
}

#[test]
fn posts_are_named_by_what_people_may_know() {
    let title = |settings: Value| {
        let course = deliver(&*discord(settings), &[renewal()], &Memory::default(), |_, _| stored(MESSAGE, POST));
        call(&course.requests[0]).2["thread_name"].as_str().unwrap().to_owned()
    };
    let id = renewal().event.customer.id.to_string();
    assert_eq!(title(json!({ "post_per": "customer", "privacy": "short_id" })), id[id.len() - 8..]);
    assert_eq!(title(json!({ "post_per": "day", "privacy": "short_id" })), "2026-03-05");
}

#[test]
fn a_day_has_one_post_whoever_it_is_about() {
    let destination = discord(json!({ "post_per": "day" }));
    let mut other = renewal();
    std::sync::Arc::make_mut(&mut other.event).customer.id.0[3] ^= 1;
    assert_eq!(destination.about(&renewal().event), destination.about(&other.event));
    assert!(destination.together().is_none(), "a crowd shares messages as in a channel");
    let morning = deliver(&*destination, &[renewal()], &Memory::default(), |_, _| stored(MESSAGE, POST));
    let at = |hours: u64| Moment { now: now().plus(Duration::from_secs(hours * 3600)), ..moment() };
    let night = deliver_at(&*destination, &[other], &morning.memory, at(11), |_, _| stored(MESSAGE, POST));
    assert_eq!(call(&night.requests[0]).1, format!("?wait=true&thread_id={POST}"));
    let next = deliver_at(&*destination, &[renewal()], &night.memory, at(12), |_, _| stored(MESSAGE, POST + 1));
    assert_eq!(call(&next.requests[0]).2["thread_name"], "2026-03-06");
    let later = deliver_at(&*destination, &[renewal()], &next.memory, at(13), |_, _| stored(MESSAGE, POST + 1));
    assert_eq!(call(&later.requests[0]).1, format!("?wait=true&thread_id={}", POST + 1));
}

#[test]
fn a_post_that_cannot_be_used_is_made_anew_once() {
    let destination = discord(json!({ "post_per": "customer" }));
    let known = deliver(&*destination, &[renewal()], &Memory::default(), |_, _| stored(MESSAGE, POST)).memory;
    for (status, code) in [(404, 10_003), (404, 10_008), (400, 50_083), (400, 160_005), (403, 50_083)] {
        let mended = deliver(&*destination, &[renewal()], &known, |number, _| {
            if number == 0 { refused(status, code) } else { stored(MESSAGE, POST + 1) }
        });
        assert_eq!((mended.verdict, mended.requests.len()), (Verdict::Delivered, 2), "{code}");
        let (_, rest, body) = call(&mended.requests[1]);
        assert_eq!((rest.as_str(), &body["thread_name"]), ("?wait=true", &json!("anna")), "{code}");
        let next = deliver(&*destination, &[renewal()], &mended.memory, |_, _| stored(MESSAGE, POST + 1));
        assert_eq!(call(&next.requests[0]).1, format!("?wait=true&thread_id={}", POST + 1), "{code}");
        let twice = deliver(&*destination, &[renewal()], &known, |_, _| refused(status, code));
        assert_eq!((twice.requests.len(), twice.memory), (2, Memory::default()), "{code}: once, and it is forgotten");
        assert!(!matches!(twice.verdict, Verdict::Delivered), "{code}");
    }
    // The thread that the settings name is not ours to replace.
    let fixed = discord(json!({ "thread_id": "99" }));
    for code in [10_003, 50_083, 160_005] {
        let course = deliver(&*fixed, &[renewal()], &Memory::default(), |_, _| refused(400, code));
        assert_eq!(call(&course.requests[0]).1, "?wait=true&thread_id=99");
        let Verdict::SwitchOff(reason) = course.verdict else { panic!("{code}: {:?}", course.verdict) };
        assert!(reason.0.contains("thread_id"), "{code}: {}", reason.0);
    }
}

/// The bundles of one purchase's life, with numbered events.
fn life(types: &[EventType]) -> Vec<Vec<LoggedEvent>> {
    let mut seq = 0;
    let bundles = types.iter().zip(1_u8..).map(|(event_type, number)| {
        let bundle = sample::bundle(*event_type, Store::AppStore).into_iter().map(|mut event| {
            seq += 1;
            (event.seq, event.bundle.id.0[0]) = (seq, number);
            logged(named(event, "anna", "pro", None))
        });
        bundle.collect()
    });
    bundles.collect()
}

fn fields(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let fields = embeds(body)[0]["fields"].as_array().unwrap();
    fields.iter().map(|field| (text(&field["name"]), text(&field["value"]))).collect()
}

fn field(body: &Value, name: &str) -> String {
    fields(body).into_iter().find(|(field, _)| field == name).map_or_else(String::new, |(_, value)| value)
}

#[test]
fn one_message_follows_a_purchase() {
    use EventType as E;
    let destination = discord(json!({ "updates": "edit" }));
    let mut bundles =
        life(&[E::SubscriptionStarted, E::SubscriptionRenewed, E::RenewalDisabled, E::SubscriptionTerminated]);
    bundles.iter_mut().for_each(|bundle| bundle.retain(|event| destination.skips(event).is_none()));
    let mut memory = Memory::default();
    let mut bodies = Vec::new();
    for (number, bundle) in bundles.iter().enumerate() {
        let course = deliver(&*destination, bundle, &memory, |_, _| stored(MESSAGE, CHANNEL));
        assert_eq!((course.requests.len(), &course.verdict), (1, &Verdict::Delivered), "{number}");
        let (method, rest, body) = call(&course.requests[0]);
        let expected = match number {
            0 => (Method::POST, "?wait=true".to_owned()),
            _ => (Method::PATCH, format!("/messages/{MESSAGE}")),
        };
        assert_eq!((method, rest), expected);
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }), "{number}: an edit parses mentions anew");
        within_limits(&body);
        memory = course.memory;
        bodies.push(body);
    }
    let told: Vec<(&str, String)> =
        bodies.iter().map(|body| (embeds(body)[0]["title"].as_str().unwrap(), field(body, "State"))).collect();
    let told: Vec<(&str, &str)> = told.iter().map(|(title, state)| (*title, state.as_str())).collect();
    assert_eq!(
        told,
        [
            ("😺 Initial Purchase", "Active"),
            ("😺 Renewal", "Active"),
            ("😿 Cancellation", "Active, will not renew"),
            ("😿 Subscription Terminated", "Ended"),
        ],
        "what has no message of its own changes it too"
    );
    let history = field(&bodies[3], "Before");
    let lines: Vec<&str> = history.lines().map(|line| line.split_once("> ").unwrap().1).collect();
    assert_eq!(lines, ["😿 Cancellation", "😺 Renewal · $9.99", "😺 Initial Purchase · $9.99"]);
    assert_eq!(field(&bodies[0], "Before"), "");

    // Together they are one message that says the same.
    let all: Vec<LoggedEvent> = bundles.concat();
    let course = deliver(&*destination, &all, &Memory::default(), |_, _| stored(MESSAGE, CHANNEL));
    let (_, _, body) = call(&course.requests[0]);
    assert_eq!((embeds(&body), course.memory), (embeds(&bodies[3]), memory.clone()));
    // The last one again: the same edit. An older one: nothing, the message is further.
    let again = deliver(&*destination, &bundles[3], &memory, |_, _| stored(MESSAGE, CHANNEL));
    assert_eq!((&call(&again.requests[0]).2, &again.memory), (&bodies[3], &memory));
    let older = deliver(&*destination, &bundles[1], &memory, |_, _| unreachable!());
    assert!(matches!(older.verdict, Verdict::Skip(_)));
    // Without a message, only what is switched on begins one.
    let silent = deliver(&*destination, &bundles[3], &Memory::default(), |_, _| unreachable!());
    assert!(matches!(silent.verdict, Verdict::Skip(_)));
}

#[test]
fn only_events_of_one_purchase_share_an_edit() {
    let destination = discord(json!({ "updates": "edit" }));
    let together = destination.together().unwrap();
    let (one, mut other) = (renewal(), renewal());
    assert!(together(&one.event, &other.event));
    std::sync::Arc::make_mut(&mut other.event).purchase.id.0[0] ^= 1;
    assert!(!together(&one.event, &other.event));
    assert_ne!(destination.about(&one.event), destination.about(&other.event));
    assert!(!together(&one.event, &sample_of(EventType::Test)), "a test of the line is a message of its own");
    let test = deliver(&*destination, &[logged(sample_of(EventType::Test))], &Memory::default(), |_, _| {
        stored(MESSAGE, CHANNEL)
    });
    assert_eq!((test.verdict, test.memory), (Verdict::Delivered, Memory::default()));
    // In a customer's post the messages of all purchases are remembered together.
    let both = discord(json!({ "updates": "edit", "post_per": "customer" }));
    assert_eq!(both.about(&one.event), both.about(&other.event));
    assert!(!both.together().unwrap()(&one.event, &other.event));
    let first = deliver(&*both, &[one], &Memory::default(), |_, _| stored(MESSAGE, POST));
    let second = deliver(&*both, &[other.clone()], &first.memory, |_, _| stored(MESSAGE + 1, POST));
    assert_eq!(call(&second.requests[0]).1, format!("?wait=true&thread_id={POST}"));
    let third = deliver(&*both, &[other], &second.memory, |_, _| stored(MESSAGE + 1, POST));
    assert_eq!(call(&third.requests[0]).1, format!("/messages/{}?thread_id={POST}", MESSAGE + 1));
}

#[test]
fn a_message_that_cannot_be_edited_is_posted_anew_once() {
    use EventType as E;
    let events = life(&[E::SubscriptionStarted, E::SubscriptionRenewed]);
    let (first, second) = (&events[0], &events[1]);
    // (settings, where it stands, status and code, where it is posted anew)
    let in_post = format!("?wait=true&thread_id={POST}");
    for (more, status, code, anew) in [
        (json!({}), 404, 10_008, "?wait=true"),
        (json!({}), 403, 50_005, "?wait=true"),
        (json!({}), 429, 30_046, "?wait=true"),
        (json!({ "thread_id": "99" }), 400, 50_083, "?wait=true&thread_id=99"),
        (json!({ "post_per": "customer" }), 400, 50_083, in_post.as_str()),
        (json!({ "post_per": "customer" }), 404, 10_008, in_post.as_str()),
        (json!({ "post_per": "customer" }), 404, 10_003, "?wait=true"),
    ] {
        let mut settings = json!({ "updates": "edit" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let destination = discord(settings);
        let stands_in = if more.get("post_per").is_some() { POST } else { CHANNEL };
        let known = deliver(&*destination, first, &Memory::default(), |_, _| stored(MESSAGE, stands_in)).memory;
        let mended = deliver(&*destination, second, &known, |number, _| {
            if number == 0 { refused(status, code) } else { stored(MESSAGE + 1, stands_in) }
        });
        let name = format!("{more} {code}");
        assert_eq!((mended.requests.len(), &mended.verdict), (2, &Verdict::Delivered), "{name}");
        assert_eq!(call(&mended.requests[0]).0, Method::PATCH, "{name}");
        let (method, rest, body) = call(&mended.requests[1]);
        assert_eq!((method, rest.as_str()), (Method::POST, anew), "{name}");
        assert!(field(&body, "Before").contains("Initial Purchase"), "{name}: with its history");
        assert_eq!(body.get("thread_name").is_some(), code == 10_003, "{name}");
        let next = deliver(&*destination, second, &mended.memory, |_, _| stored(MESSAGE + 1, stands_in));
        let followed = call(&next.requests[0]).1;
        assert!(followed.contains(&(MESSAGE + 1).to_string()), "{name}: {followed}");
        let twice = deliver(&*destination, second, &known, |_, _| refused(status, code));
        assert!(twice.requests.len() <= 3 && twice.verdict != Verdict::Delivered, "{name}: {:?}", twice.verdict);
    }
}

#[test]
fn what_passes_is_waited_for_and_leaves_the_message_known() {
    use EventType as E;
    let destination = discord(json!({ "updates": "edit" }));
    let events = life(&[E::SubscriptionStarted, E::SubscriptionRenewed]);
    let (first, second) = (&events[0], &events[1]);
    let known = deliver(&*destination, first, &Memory::default(), |_, _| stored(MESSAGE, CHANNEL)).memory;
    let limited = [("retry-after", "3"), ("x-ratelimit-scope", "user")];
    for answer in [answered(429, &limited, "{}"), answered(502, &[], "<html>"), answered(500, &[], "")] {
        let course = deliver(&*destination, second, &known, |_, _| answer.clone());
        assert_eq!((course.requests.len(), &course.memory), (1, &known));
        assert!(matches!(course.verdict, Verdict::Retry { .. }), "{:?}", course.verdict);
    }
    let gone = deliver(&*destination, second, &known, |_, _| refused(404, 10_015));
    assert!(matches!(gone.verdict, Verdict::SwitchOff(_)) && gone.requests.len() == 1, "the webhook itself is gone");
    // Old messages have a limit of their own.
    let keys = |hours: u64| {
        let moment = Moment { now: now().plus(Duration::from_secs(hours * 3600)), ..moment() };
        let course = deliver_at(&*destination, second, &known, moment, |_, _| stored(MESSAGE, CHANNEL));
        course.budgets.into_iter().map(|key| key.0).collect::<Vec<_>>()
    };
    assert!(!keys(1).contains(&"discord/old-edits-of/112233".to_owned()));
    assert!(keys(2).contains(&"discord/old-edits-of/112233".to_owned()));
    assert!(destination.budgets().iter().any(|guess| guess.key.0 == "discord/old-edits-of/112233"));
}

#[test]
fn an_edit_leaves_nothing_of_another_look() {
    use EventType as E;
    let events = life(&[E::SubscriptionStarted, E::SubscriptionRenewed]);
    let looks = [json!({ "updates": "edit", "style": "text" }), json!({ "updates": "edit" })];
    let known = deliver(&*discord(looks[1].clone()), &events[0], &Memory::default(), |_, _| stored(MESSAGE, CHANNEL));
    let edited = |look: &Value| {
        let course = deliver(&*discord(look.clone()), &events[1], &known.memory, |_, _| stored(MESSAGE, CHANNEL));
        call(&course.requests[0]).2
    };
    let text = edited(&looks[0]);
    assert_eq!(text["embeds"], json!([]));
    let lines: Vec<&str> = text["content"].as_str().unwrap().lines().collect();
    assert_eq!(lines[0], "😺 Customer anna just renewed their subscription of pro · $9.99 · Active");
    assert!(lines[1].starts_with("-# <t:") && lines[1].ends_with("😺 Initial Purchase · $9.99"), "{lines:?}");
    let embed = edited(&looks[1]);
    assert_eq!((&embed["content"], embeds(&embed).len()), (&Value::Null, 1));
}

#[test]
fn the_channel_is_learned_from_the_answer() {
    let course = deliver(&*discord(json!({})), &[renewal()], &Memory::default(), |_, _| stored(MESSAGE, CHANNEL));
    let joined: Vec<(&str, &str)> =
        course.joined.iter().map(|(one, other)| (one.0.as_str(), other.0.as_str())).collect();
    assert_eq!(joined, [("discord/channel-of/112233", "discord/channel/555")]);
    assert_eq!(course.memory, Memory::default());
}

/// Discord's own document, for bodies of edits and posts.
#[test]
fn bodies_of_posts_and_edits_are_valid_by_discords_schema() {
    let Some(reference) = reference() else {
        eprintln!("NOT CHECKED: Discord's OpenAPI document is not here");
        return;
    };
    let document: Value =
        serde_json::from_slice(&std::fs::read(reference.join("openapi/discord.json")).unwrap()).unwrap();
    let path = "/webhooks/{webhook_id}/{webhook_token}";
    let edit = &document["paths"][format!("{path}/messages/{{message_id}}")]["patch"];
    let edit = &edit["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(edit, "#/components/schemas/IncomingWebhookUpdateRequestPartial");
    for (kind, settings) in [
        ("IncomingWebhookRequestPartial", json!({ "post_per": "customer", "applied_tags": ["1"] })),
        ("IncomingWebhookRequestPartial", json!({ "post_per": "day", "style": "text" })),
        ("IncomingWebhookUpdateRequestPartial", json!({ "updates": "edit" })),
        ("IncomingWebhookUpdateRequestPartial", json!({ "updates": "edit", "style": "text" })),
        ("IncomingWebhookUpdateRequestPartial", json!({ "updates": "edit", "style": "revenuecat_embed" })),
    ] {
        let schema = json!({ "$ref": format!("#/components/schemas/{kind}"), "components": document["components"] });
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let destination = discord(settings.clone());
        let events = life(&[EventType::SubscriptionStarted]).concat();
        let first = deliver(&*destination, &events, &Memory::default(), |_, _| stored(MESSAGE, POST));
        let is_edit = kind.contains("Update");
        let course =
            if is_edit { deliver(&*destination, &events, &first.memory, |_, _| stored(MESSAGE, POST)) } else { first };
        let (method, _, body) = call(&course.requests[0]);
        assert_eq!(method, if is_edit { Method::PATCH } else { Method::POST }, "{settings}");
        let errors: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{settings}: {errors:?}\n{body}");
        only_known_keys(&document, kind, &body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn hostile_texts_are_harmless_in_titles_and_edits(
        texts in prop::collection::vec(hostile(), 3),
        text_style in any::<bool>(),
        count in 1..20_usize,
    ) {
        let style = if text_style { "text" } else { "default" };
        let text = "{{user_id}}{{product_name}} {{old_product_id}}{{new_product_id}}{{customer_link}}";
        let messages = json!({ "RENEWAL": { "text": text }, "INITIAL_PURCHASE": { "text": text } });
        let settings = json!({ "updates": "edit", "post_per": "customer", "style": style, "messages": messages });
        let destination = discord(settings);
        let types = [vec![EventType::SubscriptionStarted], vec![EventType::SubscriptionRenewed; count]].concat();
        let mut memory = Memory::default();
        for mut event in life(&types).concat() {
            let inner = std::sync::Arc::make_mut(&mut event.event);
            inner.customer.app_user_id = texts[0].clone();
            inner.purchase.product_id = Some(texts[1].clone());
            inner.purchase.product_name = Some(texts[2].clone());
            if destination.skips(&event).is_some() {
                continue;
            }
            let course = deliver(&*destination, &[event], &memory, |_, _| stored(MESSAGE, POST));
            prop_assert!(matches!(course.verdict, Verdict::Delivered | Verdict::Skip(_)));
            prop_assert!(serde_json::to_vec(&course.memory.0).unwrap().len() <= 4 * 1024);
            memory = course.memory;
            for request in &course.requests {
                let (_, _, body) = call(request);
                if let Some(title) = body["thread_name"].as_str() {
                    harmless_title(title);
                }
                if text_style {
                    let content = body["content"].as_str().unwrap();
                    prop_assert!((1..=2_000).contains(&content.encode_utf16().count()));
                    nothing_acts(&content.replace("\n-# ", "\n"));
                } else {
                    within_limits(&body);
                    nothing_acts(embeds(&body)[0]["description"].as_str().unwrap());
                    fields(&body).iter().for_each(|(_, value)| nothing_acts(value));
                }
            }
        }
    }
}

pub(crate) fn harmless_title(title: &str) {
    assert!((1..=100).contains(&title.encode_utf16().count()), "{title:?}");
    assert_eq!(title.trim(), title);
    let lower = title.to_lowercase();
    for mark in ["@everyone", "@here", "<@", "<#", "<:", "<t:", "\n", "\u{202e}", "\u{0}"] {
        assert!(!lower.contains(mark), "{mark:?} in {title:?}");
    }
}
