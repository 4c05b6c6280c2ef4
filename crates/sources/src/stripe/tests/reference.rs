//! Samples of public sources and the vector of Stripe's own libraries. They are not part of this project: they are read
//! from a folder beside it where there is one (`PAIDUP_REFERENCE_DIR`).

use super::{open, verify, verify_with};
use crate::{Note, Reading, answer_id};
use paidup_lifecycle::observation::{Environment, Hint, RefundStatus, Standing};
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or_else(beside, PathBuf::from).join("samples/stripe");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: Stripe's samples; there is no {}", folder.display());
    None
}

#[test]
fn the_vector_of_stripes_libraries() {
    let Some(folder) = folder() else { return };
    let vector: Value = serde_json::from_slice(&std::fs::read(folder.join("signature-vector.json")).unwrap()).unwrap();
    let body = std::fs::read(folder.join(vector["body_file"].as_str().unwrap())).unwrap();
    let source = open(json!({"signing_secret": vector["secret"]}));
    let header = vector["header"].as_str().unwrap();
    let seconds =
        |list: &str| vector[list].as_array().unwrap().iter().map(|at| at.as_i64().unwrap()).collect::<Vec<_>>();
    for at in seconds("accept_at") {
        assert!(verify_with(source.as_ref(), header, &body, at).is_ok(), "{at}");
    }
    for at in seconds("reject_at") {
        assert_eq!(verify_with(source.as_ref(), header, &body, at).unwrap_err().reason, "stale_signature", "{at}");
    }
    let at = vector["timestamp"].as_i64().unwrap();
    for malformed in vector["malformed_headers"].as_array().unwrap() {
        let malformed = malformed.as_str().unwrap();
        let refused = verify_with(source.as_ref(), malformed, &body, at).unwrap_err();
        assert_eq!(refused.kind.status(), 400, "{malformed}: {refused}");
    }
    let tampered = [body.as_slice(), b"this_changes_the_json"].concat();
    assert_eq!(verify_with(source.as_ref(), header, &tampered, at).unwrap_err().reason, "wrong_signature");
    // A captured header with two v1 values is not public: any wrong one before the right one.
    let two = header.replacen(",v1=", &format!(",v1={},v1=", "0".repeat(64)), 1);
    assert!(verify_with(source.as_ref(), &two, &body, at).is_ok());
}

fn read(folder: &std::path::Path, name: &str) -> Reading {
    let source = open(json!({"metadata_key": "project_id"}));
    let body = std::fs::read(folder.join("events").join(name)).unwrap();
    verify(source.as_ref(), &body).unwrap().reading
}

#[test]
fn real_events_field_by_field() {
    let Some(folder) = folder() else { return };
    let created = read(&folder, "subscription_created.json");
    let [observation] = created.observations.as_slice() else { panic!("{created:?}") };
    assert_eq!(observation.key.store_purchase_id, "sub_JdIzvfy6o5GZRd");
    assert_eq!(observation.key.environment, Environment::Sandbox);
    assert_eq!((observation.hint, observation.observed_at.as_seconds()), (Hint::Purchased, 1_623_148_918));
    let facets = &observation.facets;
    assert_eq!(facets.standing.as_ref().unwrap().value, Standing::Active);
    let period = &facets.period.as_ref().unwrap().value;
    assert_eq!((period.starts_at.as_seconds(), period.ends_at.unwrap().as_seconds()), (1_623_148_918, 1_625_740_918));
    assert_eq!(facets.product.as_ref().unwrap().value, "price_1IDQm5JDPojXS6LNM31hxKzp", "the first item's price");
    assert_eq!(facets.owner.as_ref().unwrap().value.as_deref(), Some("312"), "the metadata key");
    assert!(facets.will_renew.as_ref().unwrap().value);

    let updated = read(&folder, "subscription_updated.json");
    let [observation] = updated.observations.as_slice() else { panic!("{updated:?}") };
    assert_eq!((observation.hint, observation.observed_at.as_seconds()), (Hint::Answered, 1_619_706_820));
    assert_eq!(observation.facets.owner.as_ref().unwrap().value.as_deref(), Some("205"));

    let paid = read(&folder, "invoice_paid.json");
    let [observation] = paid.observations.as_slice() else { panic!("{paid:?}") };
    assert_eq!((observation.key.store_purchase_id.as_str(), observation.hint), ("sub_JsuPyCPhXWfZar", Hint::Renewed));
    assert!(observation.facets.standing.is_none() && observation.facets.period.is_none(), "an invoice is no snapshot");
    let [(key, facts)] = observation.facets.transactions.iter().collect::<Vec<_>>()[..] else { panic!("one") };
    assert_eq!(key, "@2022-01-20T02:21:20Z", "the start of the service period");
    assert_eq!(facts.store_id.as_ref().unwrap().value, "in_1KJqKBJDPojXS6LNJbvLUgEy");
    assert_eq!(facts.price.as_ref().unwrap().value.unwrap().to_string(), "0.00 USD");
    assert_eq!(facts.period.as_ref().unwrap().value.ends_at.unwrap().as_seconds(), 1_645_323_680);

    let refund = read(&folder, "refund_created.json");
    assert_eq!(refund.lookups[0].name, "paid_by/pi_1GszsK2eZvKYlo2CfhZyoZLp");
    let context: Value = serde_json::from_str(&refund.lookups[0].context).unwrap();
    assert_eq!((&context["id"], &context["status"]), (&json!("re_1Nispe2eZvKYlo2Cd31jOCgZ"), &json!("refunded")));
    assert_eq!(context["amount"], json!({"amount_minor": 1000, "currency": "USD"}));

    let dispute = read(&folder, "charge_dispute_created.json");
    assert_eq!(dispute.lookups[0].name, "paid_by/pi_1IqtG9JDPojXS6LNOGnYrIqq");
    let context: Value = serde_json::from_str(&dispute.lookups[0].context).unwrap();
    assert_eq!(context["status"], json!(RefundStatus::Requested));

    let payment = read(&folder, "invoice_payment_paid.json");
    assert_eq!(payment.clues[0].name, "paid_by/pi_103Q0w2eZvKYlo2C364X582Z");
    assert!(payment.clues[0].answer.contains("in_103Q0w2eZvKYlo2C5PYwf6Wf"));
    assert_eq!(payment.note, Some(Note::Informative));

    let charge = read(&folder, "charge_succeeded.json");
    let names: Vec<&str> = charge.clues.iter().map(|clue| clue.name.as_str()).collect();
    assert_eq!(names, ["paid_by/pi_3KtQThJDPojXS6LN0H9EfsjV", "paid_by/ch_3KtQThJDPojXS6LN0YmgbxGj"]);
}

/// Objects as the API answers today, odd fixtures included: none breaks reading.
#[test]
fn present_day_objects_are_read() {
    let Some(folder) = folder() else { return };
    let source = open(json!({"api_key": "rk_test"}));
    let object = |name: &str| std::fs::read(folder.join("objects").join(name)).unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let answer = source.read_kept(&answer_id(at, "sub"), &object("subscription.json")).unwrap();
    let [observation] = answer.observations.as_slice() else { panic!("{answer:?}") };
    assert_eq!(observation.key.store_purchase_id, "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw");
    assert!(observation.facets.period.is_none(), "the fixture's period ends before it starts");
    assert_eq!(observation.facets.product.as_ref().unwrap().value, "price_1PgafmB7WZ01zgkW6dKueIc5");
    assert!(!observation.facets.will_renew.as_ref().unwrap().value);
    for entry in std::fs::read_dir(folder.join("objects")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let value: Value = serde_json::from_slice(&object(&name)).unwrap();
        for kind in [
            "customer.subscription.updated",
            "invoice.paid",
            "invoice.payment_failed",
            "refund.updated",
            "charge.refunded",
            "charge.dispute.closed",
            "checkout.session.completed",
            "subscription_schedule.updated",
            "invoice_payment.paid",
            "customer.updated",
            "some.thing_new",
        ] {
            let event = json!({"id": "evt_1", "object": "event", "created": 1_767_225_600, "livemode": false,
                "type": kind, "data": {"object": value}});
            verify(source.as_ref(), event.to_string().as_bytes())
                .unwrap_or_else(|error| panic!("{name} as {kind}: {error}"));
        }
    }
}
