//! What contacts show, and what is told of each event.

use super::rules::text;
use super::*;
use paidup_lifecycle::customer::OtherPurchases;
use paidup_lifecycle::dialects::revenuecat::Status;
use paidup_lifecycle::observation::{Kind, Store};
use paidup_lifecycle::sample;
use serde_json::Map;

/// What a contact without attributes is given by an event.
fn shown(event: &Event) -> Map<String, Value> {
    let destination = intercom(json!({}));
    let delivery = destination.deliver(&[logged(event.clone())], &Memory::default(), moment()).unwrap();
    let course = run_by(delivery, Memory::default(), |_, request| {
        check(request);
        match called(request).as_str() {
            // It showed everything before, so that what is cleared is seen.
            FIND => {
                let before = json!({ "latest_store": "x", "latest_entitlement": "x", "expires_at": 1, "subscription_status": "x" });
                answer(200, &[], &contact(ID, Some("sample-user"), before))
            }
            TELL => answer(202, &[], &Value::Null),
            _ => answer(200, &[], &known()),
        }
    });
    let update = course.requests.iter().find(|request| request.method() == "PUT");
    let written = update.map(|request| body(request)["custom_attributes"].clone());
    written.and_then(|written| written.as_object().cloned()).unwrap_or_default()
}

fn others(status: Option<Status>, has_access: bool) -> Option<OtherPurchases> {
    Some(OtherPurchases {
        store: Store::Stripe,
        entitlements: if has_access { vec!["team".to_owned()] } else { vec![] },
        until: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        has_access,
        status,
    })
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn a_contact_shows_the_purchase_that_gives_access() {
    let ended = || sample_of(EventType::SubscriptionTerminated);
    let with = |mut event: Event, others: Option<OtherPurchases>| {
        event.customer.other_purchases = others;
        event
    };
    let consumable = || {
        let mut event = sample_of(EventType::OneTimePurchased);
        event.purchase.kind = Kind::Consumable;
        event.purchase.entitlements.clear();
        event
    };
    let (own_end, other_end) = (1_769_904_000, 1_798_761_600);
    let own = json!({ "latest_store": "APP_STORE", "latest_entitlement": "pro", "expires_at": own_end });
    let other = json!({ "latest_store": "STRIPE", "latest_entitlement": "team", "expires_at": other_end });
    let cleared = json!({ "latest_entitlement": null, "expires_at": null });
    // (what, event, the three, status)
    for (name, event, three, status) in [
        ("the only one, ended", ended(), &own, json!("expired")),
        ("ended, another runs", with(ended(), others(Some(Status::Active), true)), &other, json!("active")),
        ("ended, another too", with(ended(), others(Some(Status::ExpiredPromotional), false)), &own, json!("expired")),
        (
            "a better one besides",
            with(sample_of(EventType::RenewalDisabled), others(Some(Status::Active), true)),
            &own,
            json!("active"),
        ),
        ("used up", consumable(), &json!({ "latest_store": "APP_STORE" }), json!(null)),
        (
            "used up by a subscriber",
            with(consumable(), others(Some(Status::Trial), true)),
            &json!({ "latest_store": "APP_STORE" }),
            json!("trial"),
        ),
        (
            "for ever",
            sample_of(EventType::OneTimePurchased),
            &json!({ "latest_store": "APP_STORE", "latest_entitlement": "pro", "expires_at": null }),
            json!(null),
        ),
        ("given away, the only one", sample_of(EventType::SubscriptionTransferred), &cleared, json!(null)),
        (
            "given away, another stays",
            with(sample_of(EventType::SubscriptionTransferred), others(Some(Status::Cancelled), true)),
            &other,
            json!("cancelled"),
        ),
        (
            "granted",
            sample_of(EventType::PromoGranted),
            &json!({ "latest_store": "PROMOTIONAL" }),
            json!("promotional"),
        ),
        ("grace", sample_of(EventType::GracePeriodStarted), &own, json!("grace_period")),
        ("paused", sample_of(EventType::SubscriptionPaused), &json!({ "latest_store": "PLAY_STORE" }), json!("paused")),
    ] {
        let found = shown(&event);
        for key in ["latest_store", "latest_entitlement", "expires_at"] {
            // The sample's contact lacks nothing, so a key that is not written is one that must not be.
            match three.get(key) {
                Some(expected) => assert_eq!(found.get(key), Some(expected), "{name}: {key} in {found:?}"),
                None if three == &own || three == &other => panic!("{name}"),
                None => {
                    let kept = ["granted", "paused"].contains(&name) || !found.contains_key(key);
                    assert!(kept, "{name}: {key} in {found:?}");
                }
            }
        }
        let given_away = name == "given away, the only one";
        let expected = (!status.is_null() || given_away).then_some(&status);
        assert_eq!(found.get("subscription_status"), expected, "{name}: {found:?}");
        assert!(found["paidup_customer_url"].as_str().unwrap().starts_with("https://hub.example/customers/cus_"));
    }
    // Both sides of a transfer are brought up to date, and neither is told an event.
    let received = sample_of(EventType::SubscriptionReceived);
    assert_eq!(intercom(json!({})).skips(&logged(received)), None);
}

/// Each of the ten names, and what of each event Intercom is told at all.
#[test]
fn what_is_told_of_each_event() {
    let destination = intercom(json!({}));
    let mut names = std::collections::BTreeSet::new();
    // With their neighbours: trials are told by the start or the renewal beside them.
    let bundles = EventType::ALL.iter().flat_map(|event_type| sample::bundle(*event_type, Store::AppStore));
    for event in bundles.map(logged) {
        if destination.skips(&event).is_some() {
            continue;
        }
        let event_type = event.event.event_type;
        let conversation = destination.deliver(&[event], &Memory::default(), moment()).unwrap();
        let course = run_by(conversation, Memory::default(), |_, request| destination.rehearsal(request));
        assert_eq!(course.verdict, Verdict::Delivered, "{event_type}");
        course.requests.iter().for_each(check);
        let told = course.requests.iter().filter(|request| called(request) == TELL);
        names.extend(told.map(|request| text(&body(request)["event_name"]).to_owned()));
    }
    let trial = {
        let mut event = sample_of(EventType::RenewalDisabled);
        event.purchase = sample::event(EventType::TrialStarted, Store::AppStore).purchase;
        event.purchase.will_renew = Some(false);
        event
    };
    let trial = body_told(&*destination, &trial);
    names.insert(text(&trial["event_name"]).to_owned());
    let expected = [
        "rc_billing_issue_event",
        "rc_cancellation_event",
        "rc_expiration_event",
        "rc_initial_purchase_event",
        "rc_non_subscription_purchase_event",
        "rc_product_change_event",
        "rc_renewal_event",
        "rc_trial_cancelled_event",
        "rc_trial_converted_event",
        "rc_trial_started_event",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    // Names and switches of one's own; a blank name is the default one.
    let own = json!({ "events": {
        "RENEWAL": { "name": "Paid.again" }, "CANCELLATION": { "enabled": false }, "INITIAL_PURCHASE": { "name": "  " }
    } });
    let own = intercom(own);
    assert_eq!(body_told(&*own, &renewal())["event_name"], "Paid.again");
    let first = sample_of(EventType::SubscriptionStarted);
    assert_eq!(body_told(&*own, &first)["event_name"], "rc_initial_purchase_event");
    // Not told, but its contact shows it.
    let off = sample_of(EventType::RenewalDisabled);
    let script = [(FIND, 200, known()), (UPDATE, 200, known())];
    assert_eq!(play("off", &*own, &off, Memory::default(), &script).verdict, Verdict::Delivered);
}
