//! Every type and subtype, from the sample folder: signed with a chain of our own, verified, and compared with the
//! observations that stand beside it.

use super::signing::Chain;
use super::{open_with_root, verify};
use crate::golden;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A notification that needs no purchase.
pub(super) fn test_payload() -> Value {
    json!({
        "notificationType": "TEST",
        "notificationUUID": "00000000-0000-4000-8000-00000000ffff",
        "data": {"environment": "Sandbox", "bundleId": super::BUNDLE},
        "version": "2.0",
        "signedDate": 1_769_846_400_000_i64,
    })
}

pub(super) fn sample(name: &str) -> Value {
    let samples = golden::samples("app_store/samples");
    let (_, path) = samples.iter().find(|(known, _)| known == name).unwrap();
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn samples_are_read_as_expected() {
    let chain = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, path) in golden::samples("app_store/samples") {
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let body = chain.sign_sample(&sample);
        let notification = verify(source.as_ref(), body.clone()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let kept = source.read_kept(&notification.external_id, &body).unwrap();
        assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
        seen.insert(notification.label.clone());
        wrong.extend(golden::compare(&path, &golden::shown(std::slice::from_ref(&notification))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for label in KNOWN_TYPES {
        assert!(seen.contains(*label), "no sample of {label}");
    }
}

/// Apple's list: each has a sample.
const KNOWN_TYPES: &[&str] = &[
    "SUBSCRIBED/INITIAL_BUY",
    "SUBSCRIBED/RESUBSCRIBE",
    "DID_RENEW",
    "DID_RENEW/BILLING_RECOVERY",
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED",
    "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED",
    "DID_CHANGE_RENEWAL_PREF/UPGRADE",
    "DID_CHANGE_RENEWAL_PREF/DOWNGRADE",
    "DID_CHANGE_RENEWAL_PREF",
    "OFFER_REDEEMED",
    "OFFER_REDEEMED/UPGRADE",
    "OFFER_REDEEMED/DOWNGRADE",
    "DID_FAIL_TO_RENEW/GRACE_PERIOD",
    "DID_FAIL_TO_RENEW",
    "GRACE_PERIOD_EXPIRED",
    "EXPIRED/VOLUNTARY",
    "EXPIRED/BILLING_RETRY",
    "EXPIRED/PRICE_INCREASE",
    "EXPIRED/PRODUCT_NOT_FOR_SALE",
    "EXPIRED",
    "PRICE_INCREASE/PENDING",
    "PRICE_INCREASE/ACCEPTED",
    "REFUND",
    "REFUND_DECLINED",
    "REFUND_REVERSED",
    "CONSUMPTION_REQUEST",
    "REVOKE",
    "ONE_TIME_CHARGE",
    "TEST",
    "RENEWAL_EXTENDED",
    "RENEWAL_EXTENSION/SUMMARY",
    "RENEWAL_EXTENSION/FAILURE",
    "EXTERNAL_PURCHASE_TOKEN/UNREPORTED",
    "RESCIND_CONSENT",
];
