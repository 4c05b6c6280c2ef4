//! Discord messages from outside: held to Discord's schema and limits, compared with RevenueCat's samples, and fed with
//! texts that want to act.

use crate::support::{TOKEN, answered, body_of, every_kind, logged, moment, now, open, reference, run, sample_of};
use paidup_destinations::{Destination, LoggedEvent, Memory, Moment, Verdict};
use paidup_lifecycle::dialects::revenuecat::{IntegrationEvent, Options, integration_events};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{Environment, PeriodType, Store};
use paidup_lifecycle::sample;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) fn discord(more: Value) -> Box<dyn Destination> {
    let mut settings = json!({ "url": format!("https://discord.com/api/webhooks/112233/{TOKEN}") });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open("discord_webhook", &settings)
}

fn one(destination: &dyn Destination, event: Event) -> Value {
    body_of(destination, &[logged(event)], moment())
}

/// An event for which RevenueCat's integration says `name`, from the samples.
fn event_for(name: IntegrationEvent) -> Event {
    let says = |event: &Event| integration_events(event, &Options::discord()).iter().any(|told| told.event == name);
    let mut samples = EventType::ALL.iter().flat_map(|event_type| sample::bundle(*event_type, Store::AppStore));
    if name == IntegrationEvent::TrialCancelled {
        let mut event = sample_of(EventType::RenewalDisabled);
        event.purchase.period_type = Some(PeriodType::Trial);
        event.previous.as_mut().unwrap().period_type = Some(PeriodType::Trial);
        assert!(says(&event));
        return event;
    }
    samples.find(says).unwrap_or_else(|| panic!("no sample gives {name}"))
}

#[test]
fn the_nine_sentences_arrive_word_for_word() {
    use IntegrationEvent as I;
    let destination = discord(json!({}));
    for (name, sentence) in [
        (I::InitialPurchase, "Customer user-1 just started a subscription of pro_monthly"),
        (I::TrialStarted, "Customer user-1 just started a free trial of pro_monthly"),
        (I::TrialConverted, "Customer user-1 just converted from a free trial of pro_monthly"),
        (I::TrialCancelled, "Customer user-1 just cancelled their free trial of pro_monthly"),
        (I::Renewal, "Customer user-1 just renewed their subscription of pro_monthly"),
        (I::Cancellation, "Customer user-1 just cancelled their subscription of pro_monthly"),
        (I::NonSubscriptionPurchase, "Customer user-1 just purchased pro_monthly"),
        (I::BillingIssue, "Customer user-1 got a billing issue on pro_monthly"),
        (I::ProductChange, "Customer user-1 got a product change from pro_monthly to pro_yearly"),
    ] {
        let event = named(event_for(name), "user-1", "pro_monthly", Some("pro_yearly"));
        let body = one(&*destination, event);
        let descriptions: Vec<_> = embeds(&body).iter().map(|embed| embed["description"].clone()).collect();
        assert!(descriptions.contains(&json!(sentence)), "{name}: {descriptions:?}");
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    }
    let mut unknown = named(event_for(I::ProductChange), "user-1", "pro_monthly", None);
    unknown.purchase.pending = None;
    unknown.previous = None;
    let body = one(&*destination, unknown);
    assert_eq!(embeds(&body)[0]["description"], "Customer user-1 got a product change from pro_monthly");
}

/// The event with other names in it.
pub(crate) fn named(mut event: Event, customer: &str, product: &str, new_product: Option<&str>) -> Event {
    event.customer.app_user_id = customer.to_owned();
    event.purchase.product_name = None;
    event.purchase.product_id = Some(product.to_owned());
    if let Some(previous) = &mut event.previous {
        previous.product_id = Some(product.to_owned());
    }
    if event.details.previous_product_id.is_some() {
        event.details.previous_product_id = Some(product.to_owned());
    }
    event.details.new_product_id = new_product.filter(|_| event.details.new_product_id.is_some()).map(str::to_owned);
    event
}

pub(crate) fn embeds(body: &Value) -> &Vec<Value> {
    body["embeds"].as_array().unwrap()
}

/// RevenueCat's nine samples, field by field, but for Discord's own form of a link and the emoji itself.
#[test]
fn the_revenuecat_embed_is_that_of_its_samples() {
    let Some(reference) = reference() else {
        eprintln!("NOT CHECKED: RevenueCat's Discord samples are not here");
        return;
    };
    use IntegrationEvent as I;
    let names = [
        I::InitialPurchase,
        I::TrialStarted,
        I::TrialConverted,
        I::TrialCancelled,
        I::Renewal,
        I::Cancellation,
        I::NonSubscriptionPurchase,
        I::BillingIssue,
        I::ProductChange,
    ];
    for (number, name) in (1..).zip(names) {
        let path = reference.join(format!("samples/revenuecat/discord_{number}.json"));
        let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut expected = sample["payload"].clone();
        let old = sample["product_identifier"].as_str().unwrap();
        let new = expected["embeds"][0]["fields"][0]["value"].as_str().unwrap().to_owned();
        let mut event = named(event_for(name), "12345", old, Some(&new));
        event.occurred_at = "2023-10-26T17:21:32Z".parse().unwrap();
        let price = Money { amount_minor: 599, currency: Currency::USD };
        event.purchase.price =
            event.purchase.price.map(|price_before| if price_before.amount_minor > 0 { price } else { price_before });
        if let Some(transaction) = &mut event.transaction
            && transaction.money.is_some_and(|money| money.amount_minor > 0)
        {
            transaction.money = Some(price);
        }
        // An event may give two of the nine; only this one is compared.
        let others: Map<String, Value> = IntegrationEvent::ALL
            .iter()
            .filter(|other| **other != name)
            .map(|other| (other.to_string(), json!({ "enabled": false })))
            .collect();
        let destination = discord(json!({ "style": "revenuecat_embed", "messages": others }));
        let customer = event.customer.id;
        let mut found = one(&*destination, event);
        let mentions = found.as_object_mut().unwrap().remove("allowed_mentions");
        assert_eq!(mentions, Some(json!({ "parse": [] })), "the one addition");
        let description = expected["embeds"][0]["description"].as_str().unwrap();
        let improved =
            [(":smiley_cat:", "😺"), (":pouting_cat:", "😾"), (":crying_cat_face:", "😿"), (":scream_cat:", "🙀")]
                .iter()
                .fold(description.to_owned(), |text, (code, emoji)| text.replace(code, emoji))
                .replace(
                    "<https://app.revenuecat.com/activity/123abcd45/12345|12345>",
                    &format!("[12345](https://hub.example/customers/{customer})"),
                );
        expected["embeds"][0]["description"] = json!(improved);
        assert_eq!(found, expected, "sample {number}");
    }
}

/// Discord's own document: every request body that our golden events give, and several at once.
#[test]
fn bodies_are_valid_by_discords_schema() {
    let Some(reference) = reference() else {
        eprintln!("NOT CHECKED: Discord's OpenAPI document is not here");
        return;
    };
    let document: Value =
        serde_json::from_slice(&std::fs::read(reference.join("openapi/discord.json")).unwrap()).unwrap();
    let operation = &document["paths"]["/webhooks/{webhook_id}/{webhook_token}"]["post"];
    let body_schema = &operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"][0]["$ref"];
    assert_eq!(body_schema, "#/components/schemas/IncomingWebhookRequestPartial");
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": body_schema,
        "components": document["components"],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    assert!(!validator.is_valid(&json!({ "embeds": "none" })), "the schema says something");
    let mut checked = 0;
    for (kind, format, settings) in every_kind().into_iter().filter(|(kind, _, _)| *kind == "discord_webhook") {
        let destination = open(kind, &settings);
        let all: Vec<LoggedEvent> = EventType::ALL.iter().map(|event| logged(sample_of(*event))).collect();
        let mut deliveries: Vec<&[LoggedEvent]> = all.chunks(1).collect();
        deliveries.extend(all.chunks(7));
        deliveries.extend(all.chunks(25));
        deliveries.push(&all);
        for events in deliveries {
            if events.iter().all(|event| destination.skips(event).is_some()) {
                continue;
            }
            let body = body_of(&*destination, events, moment());
            let errors: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{format}: {errors:?}\n{body}");
            only_known_keys(&document, "IncomingWebhookRequestPartial", &body);
            for embed in body["embeds"].as_array().into_iter().flatten() {
                only_known_keys(&document, "RichEmbed", embed);
            }
            within_limits(&body);
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}

/// The schema lets unknown keys pass; Discord drops them, so a misspelt one would be silent.
pub(crate) fn only_known_keys(document: &Value, schema: &str, value: &Value) {
    let known = &document["components"]["schemas"][schema]["properties"];
    for key in value.as_object().unwrap().keys() {
        assert!(known.get(key).is_some(), "{schema} has no {key}");
    }
}

fn units(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.encode_utf16().count())
}

/// discord-delivery.md section 3.
pub(crate) fn within_limits(body: &Value) {
    if let Some(content) = body.get("content").filter(|content| content.is_string()) {
        assert!((1..=2000).contains(&units(content)) && body.get("embeds").is_none(), "{body}");
        return assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    }
    assert!((1..=10).contains(&embeds(body).len()));
    let mut total = 0;
    let mut urls = std::collections::BTreeSet::new();
    for embed in embeds(body) {
        let (title, description, footer) =
            (units(&embed["title"]), units(&embed["description"]), units(&embed["footer"]["text"]));
        assert!(title <= 256 && (1..=4096).contains(&description) && footer <= 2048, "{embed}");
        total += title + description + footer;
        let none = Vec::new();
        let fields = embed["fields"].as_array().unwrap_or(&none);
        assert!(fields.len() <= 25);
        for field in fields {
            let (name, value) = (units(&field["name"]), units(&field["value"]));
            assert!((1..=256).contains(&name) && (1..=1024).contains(&value), "{field}");
            total += name + value;
        }
        if let Some(url) = embed["url"].as_str() {
            assert!(url.len() <= 2048);
            assert!(urls.insert(url.to_owned()), "embeds with one address are shown as one: {url}");
        }
    }
    assert!(total <= 6000, "{total}");
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
}

#[test]
fn defaults_off_switches_and_blank_texts() {
    let renewal = || sample_of(EventType::SubscriptionRenewed);
    let paused = || sample_of(EventType::SubscriptionPaused);
    let default = discord(json!({}));
    assert!(default.skips(&logged(renewal())).is_none());
    assert!(default.skips(&logged(paused())).is_some(), "canonical events are off");
    assert!(default.skips(&logged(sample_of(EventType::SubscriptionTerminated))).is_some(), "no EXPIRATION");
    assert!(default.skips(&logged(sample_of(EventType::Test))).is_none(), "the line can be tested");
    let changed = discord(json!({ "messages": {
        "RENEWAL": { "enabled": false },
        "SUBSCRIPTION_PAUSED": { "enabled": true, "text": "  " },
    }}));
    assert!(changed.skips(&logged(renewal())).is_some());
    let description = embeds(&one(&*changed, named(paused(), "u", "p", None)))[0]["description"].clone();
    assert_eq!(description, "Customer u paused their subscription of p");
}

#[test]
fn texts_of_the_operator_are_used_in_both_styles() {
    let text =
        "**{{event}}** {{user_id}} {{product_id}} {{revenue}} {{currency}} {{store}} {{environment}} {{period_type}}";
    for (style, before) in [("default", ""), ("revenuecat_embed", "😺 ")] {
        let destination = discord(json!({ "style": style, "messages": { "RENEWAL": { "text": text } } }));
        let mut event = named(sample_of(EventType::SubscriptionRenewed), "*a*", "p", None);
        event.transaction.as_mut().unwrap().money = Some(Money { amount_minor: 599, currency: "EUR".parse().unwrap() });
        event.purchase.price = event.transaction.as_ref().unwrap().money;
        let body = one(&*destination, event);
        let expected = format!("{before}**Renewal** \\*a\\* p 5.99 EUR EUR App Store PRODUCTION normal");
        assert_eq!(embeds(&body)[0]["description"], expected, "{style}");
    }
}

#[test]
fn faulty_settings_are_refused_at_their_place() {
    let url = format!("https://discord.com/api/webhooks/112233/{TOKEN}");
    let definition = paidup_destinations::definition("discord_webhook").unwrap();
    for (name, settings, pointer, detail) in [
        ("no url", json!({}), "", "missing setting `url`"),
        (
            "other host",
            json!({ "url": format!("https://evil.example/api/webhooks/1/{TOKEN}") }),
            "/url",
            "host must be discord.com",
        ),
        ("look-alike", json!({ "url": format!("https://notdiscord.com/api/webhooks/1/{TOKEN}") }), "/url", "host"),
        (
            "user part",
            json!({ "url": format!("https://discord.com@evil.example/api/webhooks/1/{TOKEN}") }),
            "/url",
            "host",
        ),
        ("no webhook", json!({ "url": "https://discord.com/channels/1/2" }), "/url", "form"),
        ("id", json!({ "url": format!("https://discord.com/api/webhooks/abc/{TOKEN}") }), "/url", "digits"),
        (
            "token",
            json!({ "url": format!("https://discord.com/api/webhooks/1/{TOKEN}%20x") }),
            "/url",
            "token may only",
        ),
        (
            "event",
            json!({ "url": url, "messages": { "RENEWALS": {} } }),
            "/messages/RENEWALS",
            "did you mean `RENEWAL`?",
        ),
        ("key", json!({ "url": url, "messages": { "RENEWAL": { "txt": "" } } }), "/messages/RENEWAL/txt", "`text`"),
        (
            "variable",
            json!({ "url": url, "messages": { "RENEWAL": { "text": "hi {{product}}" } } }),
            "/messages/RENEWAL/text",
            "line 1, column 6: unknown variable `product`; did you mean `product_id`?",
        ),
        ("style", json!({ "url": url, "style": "fancy" }), "/style", "`default`"),
        (
            "store",
            json!({ "url": url, "commission": { "PLAY": 0.1 } }),
            "/commission/PLAY",
            "did you mean `PLAY_STORE`?",
        ),
        ("share", json!({ "url": url, "commission": { "PLAY_STORE": 15 } }), "/commission/PLAY_STORE", "from 0 to 1"),
        ("thread", json!({ "url": url, "thread_id": "x" }), "/thread_id", "digits"),
        ("sender", json!({ "url": url, "username": "Paidup for Discord" }), "/username", "`discord`"),
        ("everyone", json!({ "url": url, "username": "everyone" }), "/username", "refuses"),
        ("picture", json!({ "url": url, "avatar_url": "javascript:alert(1)" }), "/avatar_url", "http(s)"),
    ] {
        let raw = crate::support::raw(&settings);
        let error = (definition.prepare)(&raw, &[0; 32]).err();
        let error = error.or_else(|| (definition.open)(&raw, &crate::support::upstreams()).err());
        let error = error.unwrap_or_else(|| panic!("{name}: taken"));
        assert_eq!(error.pointer, pointer, "{name}: {error}");
        assert!(error.detail.contains(detail), "{name}: {error}");
        assert!(!error.detail.contains("hunter2"), "{name}: {error}");
    }
}

#[test]
fn every_form_of_the_url_goes_to_the_operators_address() {
    let expected = format!("https://discord.com/api/v10/webhooks/112233/{TOKEN}?wait=true");
    let in_thread = format!("{expected}&thread_id=99");
    for (form, expected) in [
        ("https://discord.com/api/webhooks/112233/TOKEN", &expected),
        ("https://discord.com/api/v9/webhooks/112233/TOKEN/", &expected),
        ("https://discordapp.com/api/webhooks/112233/TOKEN", &expected),
        ("https://ptb.discord.com/api/webhooks/112233/TOKEN?wait=false", &expected),
        (" https://canary.discordapp.com/api/v10/webhooks/112233/TOKEN\n", &expected),
        ("https://discord.com/api/webhooks/112233/TOKEN?thread_id=99", &in_thread),
    ] {
        let destination = open("discord_webhook", &json!({ "url": form.replace("TOKEN", TOKEN) }));
        let events = [logged(sample_of(EventType::Test))];
        let course =
            run(destination.deliver(&events, &Memory::default(), moment()).unwrap(), Memory::default(), |_| {
                answered(200, &[("x-ratelimit-remaining", "4"), ("x-ratelimit-reset-after", "2")], "{}")
            });
        assert_eq!(course.requests[0].uri().to_string(), *expected, "{form}");
        let agent = course.requests[0].headers()["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("DiscordBot (https://hub.example, "), "{agent}");
        let keys: Vec<&str> = course.budgets.iter().map(|key| key.0.as_str()).collect();
        assert_eq!(keys, ["discord/global", "discord/webhook/112233", "discord/channel-of/112233"]);
        assert_eq!(course.learned[0].remaining, Some(4));
        let guessed: Vec<_> = destination.budgets().into_iter().map(|guess| guess.key).collect();
        assert_eq!(guessed, course.budgets, "every budget has a first guess");
        assert!(destination.addresses().is_empty(), "the user names no address that is called");
    }
    // The operator's stand-in is a form too.
    let definition = paidup_destinations::definition("discord_webhook").unwrap();
    let mut upstreams = crate::support::upstreams();
    upstreams.discord_api = "http://127.0.0.1:9/api/v10/".into();
    let raw = crate::support::raw(&json!({ "url": "http://127.0.0.1:9/api/webhooks/1/abc" }));
    assert!((definition.open)(&raw, &upstreams).is_ok());
}

#[test]
fn only_production_by_default_and_sandbox_is_marked_or_hidden() {
    let definition = paidup_destinations::definition("discord_webhook").unwrap();
    let mut event = sample_of(EventType::SubscriptionRenewed);
    event.environment = Environment::Sandbox;
    assert!(!(definition.default_filter)().wants(&event));
    let hidden = discord(json!({ "sandbox": "hide" }));
    assert!(hidden.skips(&logged(event.clone())).is_some());
    for style in ["default", "revenuecat_embed"] {
        let body = one(&*discord(json!({ "style": style })), event.clone());
        assert_eq!(embeds(&body)[0]["footer"]["text"], "Sandbox: no real money", "{style}");
    }
}

#[test]
fn privacy_hides_the_apps_id_everywhere() {
    let mut event = sample_of(EventType::SubscriptionRenewed);
    event.customer.app_user_id = "jane.doe@example.com".into();
    for style in ["default", "revenuecat_embed"] {
        let text = "{{user_id}} {{customer_link}} {{user_id_encoded}}";
        let settings =
            json!({ "style": style, "privacy": "short_id", "messages": { "SUBSCRIPTION_RENEWED": { "text": text } } });
        let body = one(&*discord(settings), event.clone()).to_string();
        assert!(!body.contains("jane"), "{body}");
        let id = event.customer.id.to_string();
        assert!(body.contains(&id[id.len() - 8..]), "{body}");
    }
}

#[test]
fn revenue_is_gross_net_or_hidden() {
    let price = |minor: i64, currency: &str| {
        let mut event = sample_of(EventType::SubscriptionRenewed);
        let money = Some(Money { amount_minor: minor, currency: currency.parse().unwrap() });
        event.transaction.as_mut().unwrap().money = money;
        event.purchase.price = money;
        event
    };
    let shown = |settings: Value, event: Event| {
        let body = one(&*discord(settings), event);
        let fields = embeds(&body)[0]["fields"].as_array().unwrap().clone();
        let money = fields.iter().find(|field| field["name"].as_str().unwrap().starts_with("Rev"));
        money.map(|field| format!("{}: {}", field["name"].as_str().unwrap(), field["value"].as_str().unwrap()))
    };
    let share = json!({ "revenue": "proceeds", "commission": { "APP_STORE": 0.15 } });
    for (settings, event, expected) in [
        (json!({}), price(599, "USD"), Some("Revenue: $5.99")),
        (json!({}), price(500, "JPY"), Some("Revenue: 500 JPY")),
        (json!({}), price(0, "USD"), None),
        (share.clone(), price(1000, "USD"), Some("Revenue: $8.50")),
        (share, price(999, "EUR"), Some("Revenue: 8.49 EUR")),
        (json!({ "revenue": "proceeds" }), price(1000, "USD"), Some("Revenue (gross): $10.00")),
        (json!({ "revenue": "hide" }), price(1000, "USD"), None),
    ] {
        assert_eq!(shown(settings.clone(), event).as_deref(), expected, "{settings}");
    }
}

fn renewals(count: usize) -> Vec<LoggedEvent> {
    let event = |n: usize| {
        let mut event = named(sample_of(EventType::SubscriptionRenewed), &format!("user-{n}"), "pro", None);
        event.id.0[15] = u8::try_from(n % 251).unwrap();
        event.transaction.as_mut().unwrap().money = Some(Money { amount_minor: 599, currency: Currency::USD });
        event.purchase.price = event.transaction.as_ref().unwrap().money;
        logged(event)
    };
    (0..count).map(event).collect()
}

#[test]
fn events_share_a_message_as_pressure_grows() {
    let destination = discord(json!({}));
    let most = destination.pace().coalesces;
    assert_eq!(destination.pace().concurrency, 1);
    let ten = body_of(&*destination, &renewals(10), moment());
    assert_eq!(embeds(&ten).len(), 10);
    let list = body_of(&*destination, &renewals(25), moment());
    let text = embeds(&list)[0]["description"].as_str().unwrap();
    assert_eq!(text.lines().count(), 25);
    assert!(text.contains("Customer user-24 just renewed their subscription of pro · $5.99"), "{text}");
    let pressed = Moment { waiting: 5_000, ..moment() };
    assert_eq!(embeds(&body_of(&*destination, &renewals(10), pressed)).len(), 10, "ten fit whatever waits");
    for body in [body_of(&*destination, &renewals(25), pressed), body_of(&*destination, &renewals(most), moment())] {
        assert_eq!(embeds(&body).len(), 1);
        let digest = embeds(&body)[0]["description"].as_str().unwrap();
        assert!(digest.starts_with("😺 **Renewal**: "), "{digest}");
        within_limits(&body);
    }
}

#[test]
fn a_digest_counts_every_event_exactly() {
    let destination = discord(json!({ "messages": { "EXPIRATION": {} } }));
    let mut events = renewals(40);
    let mut euro = sample_of(EventType::SubscriptionRenewed);
    euro.transaction.as_mut().unwrap().money = Some(Money { amount_minor: 250, currency: "EUR".parse().unwrap() });
    euro.purchase.price = euro.transaction.as_ref().unwrap().money;
    events.extend((0..3).map(|_| logged(euro.clone())));
    let mut sandbox = sample_of(EventType::SubscriptionRenewed);
    sandbox.environment = Environment::Sandbox;
    sandbox.transaction = None;
    sandbox.purchase.price = None;
    events.extend((0..2).map(|_| logged(sandbox.clone())));
    events.extend((0..30).map(|_| logged(sample_of(EventType::RenewalDisabled))));
    let body = body_of(&*destination, &events, moment());
    let digest = embeds(&body)[0]["description"].as_str().unwrap();
    let lines: Vec<&str> = digest.lines().collect();
    assert_eq!(lines[0], "😺 **Renewal**: 43 · $239.60 · 7.50 EUR");
    assert_eq!(lines[1], "😿 **Cancellation**: 30");
    assert_eq!(lines[2], "😺 **Renewal** (sandbox): 2");
    assert_eq!(embeds(&body)[0]["title"], "75 messages about 75 events");
}

/// Everything at once: every event in both environments, in more currencies than a line names.
#[test]
fn the_widest_digest_keeps_its_counts() {
    let (kind, _, settings) = every_kind().into_iter().find(|(_, format, _)| *format == "all").unwrap();
    let destination = open(kind, &settings);
    let mut events = Vec::new();
    for (n, event_type) in EventType::ALL.iter().enumerate() {
        for environment in [Environment::Production, Environment::Sandbox] {
            for c in 0..8_u8 {
                let mut event = sample_of(*event_type);
                event.environment = environment;
                let code = format!("X{}{}", char::from(b'A' + u8::try_from(n % 26).unwrap()), char::from(b'A' + c));
                if let Some(money) = event.transaction.as_mut().and_then(|transaction| transaction.money.as_mut()) {
                    *money = Money { amount_minor: i64::MAX, currency: code.parse().unwrap() };
                }
                events.push(logged(event));
            }
        }
    }
    let body = body_of(&*destination, &events, moment());
    within_limits(&body);
    let digest = embeds(&body)[0]["description"].as_str().unwrap();
    assert!(!digest.ends_with('…'), "{digest}");
    assert!(digest.contains("Subscription Paused: 8 + 8 sandbox"), "{digest}");
    assert!(digest.lines().count() > 60, "{digest}");
}

#[test]
fn nothing_to_say_is_skipped() {
    let destination = discord(json!({}));
    let silent = logged(sample_of(EventType::SubscriptionPaused));
    let course = run(
        destination.deliver(&[silent], &Memory::default(), moment()).unwrap(),
        Memory::default(),
        |_| unreachable!(),
    );
    assert!(matches!(course.verdict, Verdict::Skip(_)));
}

/// Texts that want to be a mention, a link, a heading, bold, hidden, or very long.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "@everyone",
        "@HERE",
        "<@123>",
        "<@&9>",
        "<#1>",
        "<:a:1>",
        "<t:1:R>",
        "](http://e.vil)",
        "[x](http://e.vil)",
        "[",
        "]",
        "(",
        ")",
        "**",
        "*",
        "__",
        "_",
        "~~",
        "||",
        "```",
        "`",
        "\\",
        "\n",
        "\r",
        "# ",
        "- ",
        "> ",
        "1. ",
        "\u{202e}",
        "\u{200b}",
        "😀",
        "👩‍👩‍👧",
        "a",
        "Z9",
        "://",
        "https://e.vil",
        ":smile:",
        "\u{0}",
        "é",
        " ",
        "discord.gg/x",
    ]);
    prop_oneof![
        prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat()),
        ".{0,60}",
        ("[\\\\*_\\[\\]()<>@:|~` a]{1,3}", 1..1500_usize).prop_map(|(part, times)| part.repeat(times)),
    ]
}

/// What acts in a text: escaped characters, our own links and our own dates taken out.
fn active(text: &str) -> String {
    let mut bare = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            assert!(chars.next().is_some(), "half an escape at the end of {text:?}");
            bare.push('\u{fffd}');
        } else {
            bare.push(c);
        }
    }
    while let Some(start) = bare.find('[') {
        let middle = bare[start..].find("](https://hub.example/customers/cus_");
        let middle = start + middle.unwrap_or_else(|| panic!("a link that is not ours: {text:?}"));
        let end = middle + bare[middle..].find(')').unwrap_or_else(|| panic!("half a link: {text:?}"));
        assert!(end - middle < 100 && !bare[start + 1..middle].contains(['[', ']']), "{text:?}");
        bare.replace_range(start..=end, "");
    }
    while let Some(start) = bare.find("<t:") {
        let end = start + bare[start..].find('>').unwrap_or_else(|| panic!("half a date: {text:?}"));
        assert!(bare[start + 3..end - 2].bytes().all(|c| c.is_ascii_digit() || c == b'-'), "{text:?}");
        bare.replace_range(start..=end, "");
    }
    bare
}

pub(crate) fn nothing_acts(text: &str) {
    let bare = active(text);
    for mark in ["*", "~", "|", "`", "[", "]", "<", ">", "://", "@everyone", "@here", "\n# ", "\n- "] {
        assert!(!bare.to_lowercase().contains(mark), "{mark:?} acts in {text:?}");
    }
    let chars: Vec<char> = bare.chars().collect();
    for (at, _) in chars.iter().enumerate().filter(|(_, c)| **c == '_') {
        let word = |c: Option<&char>| c.is_some_and(char::is_ascii_alphanumeric);
        assert!(word(chars.get(at.wrapping_sub(1))) && word(chars.get(at + 1)), "emphasis in {text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn hostile_texts_stay_within_limits_and_never_act(
        texts in prop::collection::vec(hostile(), 6),
        amount in any::<i64>(),
        at in -70_000_000_000_000_i64..260_000_000_000_000,
        count in 1..14_usize,
        revenuecat in any::<bool>(),
        short in any::<bool>(),
    ) {
        let text = "{{user_id}}{{product_name}}{{customer_link}} {{old_product_id}}{{new_product_id}}{{country}}{{entitlements}}{{revenue}}";
        let on: BTreeMap<&str, Value> = [("RENEWAL", json!({})), ("PRODUCT_CHANGE", json!({})), ("SUBSCRIPTION_RENEWED", json!({ "text": text })),
            ("SUBSCRIPTION_UPGRADED", json!({ "text": text.repeat(4) }))].into();
        let destination = discord(json!({
            "messages": on,
            "style": if revenuecat { "revenuecat_embed" } else { "default" },
            "privacy": if short { "short_id" } else { "full" },
        }));
        let mut events = Vec::new();
        for n in 0..count {
            let event_type = if n % 3 == 0 { EventType::SubscriptionUpgraded } else { EventType::SubscriptionRenewed };
            let mut event = sample_of(event_type);
            event.id.0[15] = u8::try_from(n).unwrap();
            event.occurred_at = paidup_lifecycle::time::Timestamp::from_millis_clamped(at);
            event.customer.app_user_id = texts[0].clone();
            event.purchase.product_id = Some(texts[1].clone());
            event.purchase.product_name = Some(texts[2].clone());
            event.purchase.country = Some(texts[3].clone());
            event.entitlements.active = vec![texts[3].clone(); 40];
            event.details.previous_product_id = Some(texts[4].clone());
            event.details.new_product_id = Some(texts[5].clone());
            event.transaction.as_mut().unwrap().money = Some(Money { amount_minor: amount, currency: Currency::USD });
            events.push(logged(event));
        }
        let body = body_of(&*destination, &events, Moment { now: now(), attempt: 1, waiting: 0 });
        within_limits(&body);
        let is_digest = embeds(&body)[0]["footer"]["text"].as_str().is_some_and(|text| text.starts_with("More happened"));
        for embed in embeds(&body).iter().filter(|_| !is_digest) {
            nothing_acts(embed["description"].as_str().unwrap());
            for field in embed["fields"].as_array().into_iter().flatten() {
                nothing_acts(field["value"].as_str().unwrap());
            }
        }
    }
}

/// One line without an embed; a digest when the lines do not fit; never an empty text, never a ping.
#[test]
fn a_text_stands_alone_without_an_embed() {
    let destination = discord(json!({ "style": "text" }));
    let content = |events: &[LoggedEvent], moment: Moment| {
        let body = body_of(&*destination, events, moment);
        assert!(body.get("embeds").is_none(), "{body}");
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
        let text = body["content"].as_str().unwrap().to_owned();
        assert!(!text.is_empty() && text.encode_utf16().count() <= 2_000, "{text}");
        text
    };
    assert_eq!(content(&renewals(1), moment()), "😺 Customer user-0 just renewed their subscription of pro · $5.99");
    let ten = content(&renewals(10), moment());
    assert_eq!(ten.lines().count(), 10);
    let digest = content(&renewals(40), moment());
    assert_eq!(digest.lines().next(), Some("**40 messages about 40 events**"), "{digest}");
    assert!(digest.contains("😺 **Renewal**: 40 · $239.60"), "{digest}");
    let pressed = content(&renewals(25), Moment { waiting: 5_000, ..moment() });
    assert!(pressed.contains("😺 **Renewal**: 25"), "{pressed}");
    let long = "x".repeat(1_900);
    let mine =
        discord(json!({ "style": "text", "messages": { "RENEWAL": { "text": format!("{long} {{{{user_id}}}}") } } }));
    let body = body_of(&*mine, &renewals(2), moment());
    assert!(body["content"].as_str().unwrap().contains("**Renewal**: 2"), "both do not fit as they are: {body}");
}
