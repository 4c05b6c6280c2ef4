//! Whole lives through the engine: what is told for the notifications of the reference's mapping (store-amazon.md section 5).

use super::{answer, open, take};
use crate::Source;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};

/// The observations of these samples, in this order.
fn said(source: &dyn Source, samples: &[&str]) -> Vec<Observation> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/amazon/samples");
    let read = |name: &&str| -> Observation {
        let sample: Value =
            serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        let asked_at = Timestamp::from_millis(sample["message"]["timestamp"].as_i64().unwrap() + 1000).unwrap();
        let reading = take(source, name, &sample["message"]).reading;
        let mut read = answer(source, &reading, asked_at, &sample["answer"].to_string()).unwrap();
        read.observations.remove(0)
    };
    samples.iter().map(read).collect()
}

#[test]
fn the_references_mapping_is_told() {
    let source = open(&json!({}));
    let started = &["SUBSCRIPTION_STARTED"][..];
    let lives: [(&[&str], &[&[&str]]); 15] = [
        (&["purchased", "renewed"], &[started, &["SUBSCRIPTION_RENEWED"]]),
        (
            &["purchased_trial", "converted"],
            &[&["SUBSCRIPTION_STARTED", "TRIAL_STARTED"], &["SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"]],
        ),
        (
            &["purchased_trial", "cancelled_in_trial"],
            &[
                &["SUBSCRIPTION_STARTED", "TRIAL_STARTED"],
                &["RENEWAL_DISABLED", "DEACTIVATE", "SUBSCRIPTION_TERMINATED", "TRIAL_NOT_CONVERTED"],
            ],
        ),
        (&["purchased_promotion"], &[&["SUBSCRIPTION_STARTED", "INTRO_OFFER_STARTED"]]),
        (&["purchased", "renewal_off", "renewal_on"], &[started, &["RENEWAL_DISABLED"], &["RENEWAL_ENABLED"]]),
        (
            &["purchased", "renewal_off", "scheduled_to_end", "expired"],
            &[started, &["RENEWAL_DISABLED"], &[], &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]],
        ),
        (&["purchased", "scheduled_to_end"], &[started, &["RENEWAL_DISABLED"]]),
        (&["purchased_and_switched_off_at_once", "renewal_off"], &[started, &["RENEWAL_DISABLED"]]),
        (
            &["purchased", "grace_began", "grace_over"],
            &[started, &["GRACE_PERIOD_STARTED"], &["SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]],
        ),
        (
            &["purchased", "grace_began", "cancelled_after_grace", "expired"],
            &[
                started,
                &["GRACE_PERIOD_STARTED"],
                &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"],
                &[],
            ],
        ),
        (
            &["purchased", "grace_began", "cancelled_unpaid_without_grace_date"],
            &[
                started,
                &["GRACE_PERIOD_STARTED"],
                &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"],
            ],
        ),
        (
            &["purchased", "modified_deferred", "renewed_on_deferred_plan"],
            &[started, &["PLAN_CHANGE_SCHEDULED"], &["DEACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"]],
        ),
        (
            &["purchased", "modified_immediate", "cancelled_replaced"],
            &[started, &["DEACTIVATE", "SUBSCRIPTION_CROSSGRADED"], &[]],
        ),
        (&["purchased", "cancelled_early"], &[started, &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]]),
        (&["purchased", "cancelled_early_with_date"], &[started, &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]]),
    ];
    for (samples, told) in lives {
        check(source.as_ref(), samples, told);
    }
    for (samples, told) in [
        (
            ["entitlement_purchased", "entitlement_cancelled"],
            [["ONE_TIME_PURCHASED"].as_slice(), &["DEACTIVATE", "ONE_TIME_REFUNDED"]],
        ),
        (["consumable_purchased", "consumable_cancelled"], [["ONE_TIME_PURCHASED"].as_slice(), &["ONE_TIME_REFUNDED"]]),
        (["purchased", "cancelled_at_the_end"], [started, &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]]),
        (["purchased", "expired_for_no_known_reason"], [started, &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]]),
        (["purchased", "renewal_put_off"], [started, &["SUBSCRIPTION_DEFERRED"]]),
    ] {
        check(source.as_ref(), &samples, &told);
    }
}

/// ACTIVATE goes without saying; what is told beside it is compared.
fn check(source: &dyn Source, samples: &[&str], told: &[&[&str]]) {
    let played = crate::golden::play(said(source, samples));
    let without: Vec<Vec<&str>> =
        played.into_iter().map(|events| events.into_iter().filter(|event| *event != "ACTIVATE").collect()).collect();
    assert_eq!(without, told, "{samples:?}");
}

/// A start that was told without RVS, and what RVS says of it once it can be asked: one start, and no renewal.
#[test]
fn what_is_learned_of_a_start_later_is_no_renewal() {
    let sample = super::signing::message("SUBSCRIPTION_PURCHASED", 1_767_268_800_000, &json!({}));
    let alone = take(super::opened(&json!({"topic_arn": super::TOPIC})).as_ref(), "m", &sample).reading;
    let receipt = json!({"productType": "SUBSCRIPTION", "productId": "pro", "termSku": "pro_monthly", "term": "1 Month",
        "purchaseDate": 1_767_268_800_000_i64, "renewalDate": 1_769_947_200_000_i64, "autoRenewing": true});
    let source = open(&json!({}));
    let answered = answer(source.as_ref(), &alone, super::at("2026-01-02T12:00:00Z"), &receipt.to_string()).unwrap();
    let played = crate::golden::play(alone.observations.into_iter().chain(answered.observations));
    assert_eq!(played, [vec!["ACTIVATE", "SUBSCRIPTION_STARTED"], vec!["ACTIVATE"]]);
}
