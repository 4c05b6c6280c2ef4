use super::DEFINITION;
use crate::RejectionKind::{self, Malformed, TooLarge, WrongAddress};
use crate::{Keys, Notification, RawRequest, Rejection, Source, Verification, golden};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json, value::to_raw_value};

fn open() -> Box<dyn Source> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&json!({})).unwrap(), &golden::upstreams()).unwrap()
}

fn verify(source: &dyn Source, body: impl Into<bytes::Bytes>) -> Result<Vec<Notification>, Rejection> {
    let raw = RawRequest { headers: http::HeaderMap::new(), body: body.into() };
    match source.verify(&raw, &Keys::default(), Timestamp::MIN)? {
        Verification::Verified(verified) => Ok(verified.notifications),
        Verification::KeyNeeded(_) => panic!("the generic source needs no keys from elsewhere"),
    }
}

/// The least that is taken, with more fields.
fn element(more: Value) -> Value {
    let mut element = json!({
        "id": "n-1", "observed_at": "2026-01-31T08:00:00Z", "reason": "purchased",
        "environment": "PRODUCTION", "purchase_id": "sub_42",
    });
    element.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    element
}

#[test]
fn samples_are_read_as_expected() {
    let source = open();
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("generic/samples") {
        let body = std::fs::read(&path).unwrap();
        let notifications = verify(source.as_ref(), body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        for notification in &notifications {
            let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
            assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        }
        wrong.extend(golden::compare(&path, &golden::shown(&notifications)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reason_has_a_sample() {
    let source = open();
    let seen: Vec<String> = golden::samples("generic/samples")
        .into_iter()
        .flat_map(|(_, path)| verify(source.as_ref(), std::fs::read(path).unwrap()).unwrap())
        .map(|notification| notification.label)
        .collect();
    for reason in super::wire::Reason::ALL {
        assert!(seen.iter().any(|label| label == reason.as_str()), "no sample of {reason}");
    }
}

/// What each of a list of notifications of one purchase tells; times are hours of one day unless they are told.
fn told(elements: &[Value]) -> Vec<Vec<&'static str>> {
    let source = open();
    golden::play(elements.iter().enumerate().map(|(hour, more)| {
        let mut element =
            element(json!({"id": format!("n-{hour}"), "observed_at": format!("2026-01-31T{hour:02}:00:00Z")}));
        element.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut read = verify(source.as_ref(), element.to_string()).unwrap_or_else(|error| panic!("{more}: {error:?}"));
        read.remove(0).reading.observations.remove(0)
    }))
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn lives_give_their_events() {
    let start = json!({"reason": "purchased", "product_id": "pro", "customer_id": "user-1", "will_renew": true, "transaction_id": "t1",
        "period": {"starts_at": "2026-01-31T00:00:00Z", "ends_at": "2026-02-28T00:00:00Z"}, "price": {"amount_minor": 999, "currency": "USD"}});
    let next = |reason: &str| {
        json!({"reason": reason, "transaction_id": "t2",
        "period": {"starts_at": "2026-02-28T00:00:00Z", "ends_at": "2026-03-31T00:00:00Z"}, "price": {"amount_minor": 999, "currency": "USD"}})
    };
    let only = |reason: &str| json!({"reason": reason});
    let started: &[&str] = &["ACTIVATE", "SUBSCRIPTION_STARTED"];
    let refund = |reason: &str, id: &str| json!({"reason": reason, "refund": {"transaction_id": id}});
    let lives: Vec<Vec<(Value, &[&str])>> = vec![
        vec![
            (start.clone(), started),
            (next("renewed"), &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
            (only("renewal_disabled"), &["RENEWAL_DISABLED"]),
            (only("renewal_enabled"), &["RENEWAL_ENABLED"]),
            (json!({"reason": "extended", "extended_until": "2026-04-15T00:00:00Z"}), &["SUBSCRIPTION_DEFERRED"]),
            (refund("refund_requested", "t2"), &["REFUND_REQUESTED"]),
            (refund("refund_declined", "t2"), &["ACTIVATE", "REFUND_DECLINED"]),
            (refund("refunded", "t1"), &["REFUND_RECORDED"]),
            (refund("refunded", "t2"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
            (refund("refund_reversed", "t2"), &["ACTIVATE", "REFUND_REVERSED"]),
            (only("expired"), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
        ],
        vec![
            (start.clone(), started),
            (
                json!({"reason": "grace_started", "grace_ends_at": "2026-03-07T00:00:00Z"}),
                &["ACTIVATE", "GRACE_PERIOD_STARTED"],
            ),
            (next("recovered"), &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
        ],
        vec![
            (start.clone(), started),
            (json!({"reason": "payment_failed", "attempt_id": "a1"}), &["PAYMENT_FAILED"]),
            (json!({"reason": "payment_failed", "attempt_id": "a1"}), &[]),
            (only("billing_retry_started"), &["DEACTIVATE", "ENTERED_BILLING_RETRY"]),
            (next("recovered"), &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"]),
        ],
        vec![
            (start.clone(), started),
            (
                json!({"reason": "pause_scheduled", "pause": {"starts_at": "2026-02-28T00:00:00Z"}}),
                &["SUBSCRIPTION_WILL_PAUSE"],
            ),
            (only("pause_cancelled"), &["SUBSCRIPTION_WILL_NOT_PAUSE"]),
            (only("paused"), &["DEACTIVATE", "SUBSCRIPTION_PAUSED"]),
            (next("resumed"), &["ACTIVATE", "SUBSCRIPTION_UNPAUSED"]),
        ],
        vec![
            (start.clone(), started),
            (json!({"reason": "product_change_scheduled", "pending_product_id": "basic"}), &["PLAN_CHANGE_SCHEDULED"]),
            (only("product_change_cancelled"), &["PLAN_CHANGE_UNSCHEDULED"]),
            (
                json!({"reason": "product_changed", "product_id": "max", "transaction_id": "t9"}),
                &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"],
            ),
            (
                json!({"reason": "price_increase", "price": {"amount_minor": 1999, "currency": "USD"}}),
                &["PRICE_INCREASE_PENDING"],
            ),
            (
                json!({"reason": "transferred", "transfer_to": "user-2"}),
                &["DEACTIVATE", "SUBSCRIPTION_TRANSFERRED", "ACTIVATE", "SUBSCRIPTION_RECEIVED"],
            ),
            (only("revoked"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        ],
        vec![
            (
                json!({"reason": "purchased", "product_id": "pro", "period_type": "trial", "offer": {"type": "FREE_TRIAL"},
                "period": {"starts_at": "2026-01-31T00:00:00Z", "ends_at": "2026-02-07T00:00:00Z"}}),
                &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"],
            ),
            (
                json!({"reason": "renewed", "period_type": "normal", "offer": null, "period": {"starts_at": "2026-02-07T00:00:00Z", "ends_at": "2026-03-07T00:00:00Z"}}),
                &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"],
            ),
            (refund("refunded", "@2026-02-07T00:00:00Z"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        ],
        vec![(start.clone(), started), (only("refunded"), &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"])],
        vec![
            (
                json!({"reason": "one_time_purchased", "product_id": "life", "price": {"amount_minor": 9999, "currency": "USD"}}),
                &["ACTIVATE", "ONE_TIME_PURCHASED"],
            ),
            (only("refunded"), &["DEACTIVATE", "ONE_TIME_REFUNDED"]),
        ],
        vec![(only("purchased"), started), (only("expired"), &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"])],
    ];
    let mut wrong = Vec::new();
    for (number, life) in lives.iter().enumerate() {
        let elements: Vec<Value> = life.iter().map(|(element, _)| element.clone()).collect();
        for ((element, expected), events) in life.iter().zip(told(&elements)) {
            if events != *expected {
                wrong.push(format!("life {number}, {}: expected {expected:?}, got {events:?}", element["reason"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_are_empty() {
    let error = (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&json!({"url": 1})).unwrap(), &golden::upstreams())
        .err()
        .unwrap();
    assert_eq!(error.pointer, "/url");
}

#[test]
fn each_element_of_an_array_keeps_its_own_bytes() {
    let first = element(json!({})).to_string();
    let second = r#"{ "id":"n-2",  "observed_at":"2026-01-31T08:00:00Z","reason":"test","environment":"SANDBOX","purchase_id":"x\u0041"}"#;
    let body = format!(" [ {first} ,\n{second}]  ");
    let kept: Vec<bytes::Bytes> = verify(open().as_ref(), body).unwrap().into_iter().map(|n| n.body).collect();
    assert_eq!(kept, [first.as_bytes(), second.as_bytes()]);
}

#[test]
fn an_array_is_bounded_and_taken_as_a_whole() {
    let source = open();
    let many = |count: usize| Value::Array((0..count).map(|i| element(json!({"id": format!("n-{i}")}))).collect());
    assert_eq!(verify(source.as_ref(), many(1000).to_string()).unwrap().len(), 1000);
    let mut one_bad = many(5);
    one_bad[3]["period"] = json!({"starts_at": "2026-01-31T08:00:00Z", "ends_at": "2026-01-30T08:00:00Z"});
    for (name, body, kind, pointer) in [
        ("1001", many(1001).to_string(), Malformed, None),
        ("none", "[]".to_owned(), Malformed, None),
        ("one bad", one_bad.to_string(), WrongAddress, Some("/3/period/ends_at")),
        ("numbers", "[1]".to_owned(), Malformed, Some("/0")),
        ("unfinished", "[{}".to_owned(), Malformed, None),
        ("deep", "[".repeat(100_000), Malformed, None),
        ("too large", format!("\"{}\"", "x".repeat(3_000_000)), TooLarge, None),
    ] {
        let rejection = verify(source.as_ref(), body).expect_err(name);
        assert_eq!((rejection.kind, rejection.pointer.as_deref()), (kind, pointer), "{name}: {rejection}");
    }
}

fn refused(name: &str, element: Value, kind: RejectionKind, pointer: &str) -> Rejection {
    let rejection = verify(open().as_ref(), element.to_string()).expect_err(name);
    let found = rejection.pointer.clone().unwrap_or_default();
    assert_eq!((rejection.kind, found.as_str()), (kind, pointer), "{name}: {rejection}");
    rejection
}

#[test]
fn what_cannot_be_read_says_where() {
    for (name, more, pointer) in [
        ("unknown field", json!({"perchase_id": "x"}), "/perchase_id"),
        ("unknown field inside", json!({"price": {"amount": 1, "currency": "USD"}}), "/price/amount"),
        ("number for text", json!({"product_id": 7}), "/product_id"),
        ("no time", json!({"observed_at": "yesterday"}), "/observed_at"),
        ("no time inside", json!({"period": {"starts_at": 5}}), "/period/starts_at"),
        ("unknown reason", json!({"reason": "bought"}), "/reason"),
        ("unknown environment", json!({"environment": "production"}), "/environment"),
        ("unknown store", json!({"store": "STEAM"}), "/store"),
        ("a grant", json!({"kind": "grant"}), "/kind"),
        ("no currency", json!({"price": {"amount_minor": 1, "currency": "Euro"}}), "/price/currency"),
        ("a price with a fraction", json!({"price": {"amount_minor": 9.99, "currency": "EUR"}}), "/price/amount_minor"),
        ("period without a start", json!({"period": {"ends_at": "2026-01-31T08:00:00Z"}}), "/period"),
        ("null for what is needed", json!({"purchase_id": null}), "/purchase_id"),
        ("attribute of a number", json!({"attributes": {"a/b": 1}}), "/attributes/a~1b"),
    ] {
        refused(name, element(more), Malformed, pointer);
    }
    let rejection = refused("nearest", element(json!({"will_renw": true})), Malformed, "/will_renw");
    assert_eq!(rejection.detail, "/will_renw: unknown field `will_renw`; did you mean `will_renew`?");
    let rejection = refused("missing", json!({"id": "x"}), Malformed, "");
    assert_eq!(rejection.detail, "missing field `observed_at`");
    let twice = r#"{"id":"a","id":"b"}"#;
    assert_eq!(verify(open().as_ref(), twice).unwrap_err().kind, Malformed);
    let no_text = b"{\"id\":\"\xff\"}";
    assert_eq!(verify(open().as_ref(), no_text.to_vec()).unwrap_err().kind, Malformed);
}

#[test]
fn facts_that_cannot_be_say_where() {
    let start = "2026-01-31T08:00:00Z";
    let long = "x".repeat(201);
    let many: serde_json::Map<String, Value> = (0..51).map(|i| (format!("a{i}"), json!("x"))).collect();
    for (name, more, pointer) in [
        ("kind cleared", json!({"kind": null}), "/kind"),
        ("product cleared", json!({"product_id": null}), "/product_id"),
        ("period cleared", json!({"period": null}), "/period"),
        ("period type cleared", json!({"period_type": null}), "/period_type"),
        ("renewal cleared", json!({"will_renew": null}), "/will_renew"),
        ("empty id", json!({"id": " "}), "/id"),
        ("long id", json!({"id": long}), "/id"),
        ("long purchase id", json!({"purchase_id": long}), "/purchase_id"),
        ("NUL", json!({"customer_id": "a\u{0}b"}), "/customer_id"),
        ("period of no length", json!({"period": {"starts_at": start, "ends_at": start}}), "/period/ends_at"),
        (
            "grace before the period",
            json!({"period": {"starts_at": start}, "grace_ends_at": "2026-01-01T00:00:00Z"}),
            "/grace_ends_at",
        ),
        (
            "pause backwards",
            json!({"pause": {"starts_at": start, "resumes_at": "2026-01-01T00:00:00Z"}}),
            "/pause/resumes_at",
        ),
        ("negative price", json!({"price": {"amount_minor": -1, "currency": "EUR"}}), "/price/amount_minor"),
        ("endless price", json!({"price": {"amount_minor": i64::MAX, "currency": "EUR"}}), "/price/amount_minor"),
        ("country", json!({"country": "DEU"}), "/country"),
        (
            "refund of nothing",
            json!({"reason": "refunded", "refund": {"transaction_id": "t", "amount_minor": 0, "currency": "EUR"}}),
            "/refund/amount_minor",
        ),
        (
            "refund without currency",
            json!({"reason": "refunded", "refund": {"transaction_id": "t", "amount_minor": 1}}),
            "/refund/currency",
        ),
        (
            "refund without amount",
            json!({"reason": "refunded", "refund": {"transaction_id": "t", "currency": "EUR"}}),
            "/refund/amount_minor",
        ),
        ("refund beside a purchase", json!({"refund": {"transaction_id": "t"}}), "/refund"),
        ("scheduled what", json!({"reason": "product_change_scheduled"}), "/pending_product_id"),
        ("scheduled nothing", json!({"pending_at": start}), "/pending_at"),
        ("extended until when", json!({"reason": "extended"}), "/extended_until"),
        ("transferred to whom", json!({"reason": "transferred"}), "/transfer_to"),
        ("transferred by the way", json!({"transfer_to": "user-2"}), "/transfer_to"),
        ("subscribed once", json!({"reason": "one_time_purchased", "kind": "subscription"}), "/kind"),
        ("many attributes", json!({"attributes": many}), "/attributes"),
        ("long name", json!({"attributes": {"x".repeat(41): "x"}}), "/attributes"),
        ("long value", json!({"attributes": {"x": "x".repeat(501)}}), "/attributes/x"),
    ] {
        refused(name, element(more), WrongAddress, pointer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bodies_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = verify(open().as_ref(), bytes.clone());
        let _ = open().read_kept("x", &bytes);
    }

    #[test]
    fn mutated_bodies_never_panic(place in 0usize..400, byte in any::<u8>()) {
        let mut body = element(json!({
            "period": {"starts_at": "2026-01-31T08:00:00Z", "ends_at": "2026-02-28T08:00:00Z"},
            "price": {"amount_minor": 999, "currency": "USD"}, "attributes": {"a": "b"}, "will_renew": true,
        })).to_string().into_bytes();
        let place = place % body.len();
        body[place] = byte;
        let _ = verify(open().as_ref(), body);
    }
}
