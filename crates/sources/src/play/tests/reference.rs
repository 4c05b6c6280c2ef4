//! Notifications and answers that Google sent to a license tester, and the samples of its documentation. They are not part of
//! this project: they are read from a folder beside it where there is one (`PAIDUP_REFERENCE_DIR`).

use super::{answered, envelope, open, request, second_after, told, verify};
use crate::golden;
use paidup_lifecycle::observation::Observation;
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or_else(beside, PathBuf::from).join("samples/google");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: Google's samples; there is no {}", folder.display());
    None
}

const PACKAGE: &str = "network.loki.messenger";
const START: [&str; 2] = ["ACTIVATE", "SUBSCRIPTION_STARTED"];
const GRACE: [&str; 2] = ["ACTIVATE", "GRACE_PERIOD_STARTED"];
const HOLD: [&str; 3] = ["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"];
const BACK: [&str; 2] = ["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
const CHANGED: [&str; 3] = ["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED"];
const REVOKED: [&str; 2] = ["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"];
const NOTHING: [&str; 0] = [];

/// The traces of the canonical lifecycle's section 11.
const TRACES: [(&str, &[&[&str]]); 8] = [
    ("A-purchase-cancel-restart-revoke", &[&START, &["RENEWAL_DISABLED"], &["RENEWAL_ENABLED"], &REVOKED]),
    (
        "B-purchase-grace-renew-cancel-expire",
        &[
            &START,
            &GRACE,
            &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"],
            &["RENEWAL_DISABLED"],
            &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"],
        ],
    ),
    (
        "D-grace-then-user-cancel",
        &[
            &START,
            &GRACE,
            &["DEACTIVATE", "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "SUBSCRIPTION_TERMINATED"],
            &NOTHING,
        ],
    ),
    ("E-grace-hold-system-cancel-expire", &[&START, &GRACE, &HOLD, &["SUBSCRIPTION_TERMINATED"], &NOTHING]),
    ("F-grace-hold-recovered", &[&START, &GRACE, &HOLD, &BACK]),
    ("G-plan-change-old-token-replaced-renew", &[&START, &CHANGED, &NOTHING, &["ACTIVATE", "SUBSCRIPTION_RENEWED"]]),
    ("I-plan-change-grace-hold-recovered", &[&START, &CHANGED, &NOTHING, &GRACE, &HOLD, &BACK]),
    ("K-purchase-revoke-expire", &[&START, &REVOKED, &NOTHING]),
];

fn observations(flow: &Value) -> Vec<Observation> {
    let source = open(json!({"package_name": PACKAGE}));
    let pairs = flow.as_array().unwrap().iter();
    pairs
        .map(|pair| {
            let notification = &pair["rtdn"];
            let lookup = told(source.as_ref(), notification).lookups.remove(0);
            let body = pair["subscriptionsv2"].to_string();
            let reading = answered(source.as_ref(), &lookup, second_after(notification), body.as_bytes()).unwrap();
            let [observation] = reading.observations.as_slice() else { panic!("{reading:?}") };
            observation.clone()
        })
        .collect()
}

#[test]
fn real_lives_give_the_traces_of_the_canonical_lifecycle() {
    let Some(folder) = folder() else { return };
    for (name, expected) in TRACES {
        let path = folder.join("flows").join(format!("{name}.json"));
        let flow: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(golden::play(observations(&flow)), expected, "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.join("flows")).unwrap().count(), TRACES.len(), "every flow has its trace");
}

#[test]
fn a_real_purchase_field_by_field() {
    let Some(folder) = folder() else { return };
    let path = folder.join("flows/G-plan-change-old-token-replaced-renew.json");
    let flow: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let all = observations(&flow);
    let [first, changed, ended, renewed] = all.as_slice() else { panic!("{all:?}") };
    let facets = &first.facets;
    assert_eq!(first.key.environment.as_str(), "SANDBOX");
    assert_eq!(facets.product.as_ref().unwrap().value, "session_pro:session-pro-1-month");
    let period = &facets.period.as_ref().unwrap().value;
    assert_eq!(period.transaction_id.as_deref(), Some("GPA.3361-2060-7612-01550"));
    assert_eq!(period.starts_at.to_string(), "2025-10-10T02:51:04.303Z");
    assert_eq!(period.ends_at.unwrap().to_string(), "2025-10-10T02:56:03.854Z");
    let price = facets.transactions["GPA.3361-2060-7612-01550"].price.as_ref().unwrap().value.unwrap();
    assert_eq!(price.to_string(), "16.99 AUD");
    assert_eq!(facets.owner.as_ref().unwrap().value.as_deref(), Some("OBFUSCATED"));
    assert_eq!(facets.country.as_ref().unwrap().value.as_deref(), Some("AU"));
    assert!(facets.will_renew.as_ref().unwrap().value);
    assert_eq!(changed.replaces.as_ref(), Some(&first.key.store_purchase_id));
    assert_eq!((ended.hint.as_str(), &ended.key), ("replaced", &first.key));
    assert!(renewed.facets.start_is_bound.as_ref().unwrap().value, "a renewal's start is not given");
}

/// Keys of 2019 are gone, and the envelope of the documentation holds no JSON.
#[test]
fn the_samples_of_googles_documentation() {
    let Some(folder) = folder() else { return };
    let source = open(json!({}));
    let token = std::fs::read_to_string(folder.join("pubsub-oidc-jwt-from-docs.jwt")).unwrap();
    let raw = request(Some(token.trim()), envelope("1", &json!({})));
    let answer = source.verify(&raw, &super::keys(), super::now()).unwrap();
    assert!(matches!(answer, crate::Verification::KeyNeeded(_)), "nobody publishes its key");
    let body = std::fs::read(folder.join("pubsub-push-envelope-from-docs.json")).unwrap();
    let token = super::jwt(super::GOOGLE, &super::header(), &super::claims());
    let verified = verify(source.as_ref(), &request(Some(&token), body)).unwrap();
    let [kept] = verified.notifications.as_slice() else { panic!("{verified:?}") };
    assert_eq!((&*kept.external_id, kept.label.as_str()), ("136969346945", "unreadable"));
    assert_eq!(kept.reading.note, Some(crate::Note::Unknown), "kept and shown; refused, it would come for a week");
}
