//! Notifications that Apple signed, and those of Apple's own library's tests. They are not part of this project: they
//! are read from a folder beside it where there is one (`PAIDUP_REFERENCE_DIR`).

use super::lives::played;
use super::packing::MAX_REST;
use super::signing::envelope;
use super::{open, verify};
use crate::RejectionKind::{Forged, WrongAddress};
use crate::app_store::pack::{pack, unpack};
use crate::app_store::verify::Prover;
use crate::proof::jws::Compact;
use base64::Engine as _;
use paidup_lifecycle::observation::{Hint, Reason, Standing};
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or_else(beside, PathBuf::from).join("samples/apple");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: Apple's own notifications; there is no {}", folder.display());
    None
}

fn jws(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

#[test]
fn notifications_signed_by_apple_verify_and_pack() {
    let Some(folder) = folder() else { return };
    let source = open(&json!({"bundle_id": "com.loki-project.loki-messenger", "app_apple_id": 1_470_168_868}));
    let one_month = "com.getsession.org.pro_sub";
    let three_months = "com.getsession.org.pro_sub_3_months";
    let unsubscribe = Some(Reason::Unsubscribe);
    for (file, hint, standing, product, will_renew, ended, minor) in [
        ("a1-DID_RENEW", Hint::Renewed, Standing::Active, one_month, true, None, 199),
        ("b1-SUBSCRIBED-RESUBSCRIBE", Hint::Purchased, Standing::Active, one_month, true, None, 199),
        (
            "b2-DID_CHANGE_RENEWAL_STATUS-AUTO_RENEW_DISABLED",
            Hint::RenewalDisabled,
            Standing::Active,
            one_month,
            false,
            None,
            199,
        ),
        ("b3-EXPIRED-VOLUNTARY", Hint::Expired, Standing::Expired, one_month, false, unsubscribe, 199),
        ("c1-SUBSCRIBED-RESUBSCRIBE", Hint::Purchased, Standing::Active, three_months, true, None, 599),
        ("c2-DID_CHANGE_RENEWAL_PREF-UPGRADE", Hint::Upgraded, Standing::Active, one_month, true, None, 199),
        (
            "c3-DID_CHANGE_RENEWAL_STATUS-AUTO_RENEW_DISABLED",
            Hint::RenewalDisabled,
            Standing::Active,
            one_month,
            false,
            None,
            199,
        ),
        ("c7-EXPIRED-VOLUNTARY", Hint::Expired, Standing::Expired, one_month, false, unsubscribe, 199),
    ] {
        let body = envelope(&jws(folder.join(format!("real/{file}.jws"))));
        let notification = verify(source.as_ref(), body.clone()).unwrap_or_else(|error| panic!("{file}: {error:?}"));
        let [observation] = notification.reading.observations.as_slice() else { panic!("{file}: one observation") };
        let facets = &observation.facets;
        let period = &facets.period.as_ref().unwrap().value;
        let transaction = &facets.transactions[period.transaction_id.as_ref().unwrap()];
        assert_eq!(observation.key.store_purchase_id, "2000001024993299", "{file}");
        assert_eq!(observation.hint, hint, "{file}");
        assert_eq!(facets.standing.as_ref().unwrap().value, standing, "{file}");
        assert_eq!(facets.product.as_ref().unwrap().value, product, "{file}");
        assert_eq!(facets.will_renew.as_ref().unwrap().value, will_renew, "{file}");
        assert_eq!(facets.expiration_reason.as_ref().unwrap().value, ended, "{file}");
        assert_eq!(facets.country.as_ref().unwrap().value.as_deref(), Some("AU"), "{file}");
        assert_eq!(transaction.price.as_ref().unwrap().value.unwrap().amount_minor, minor, "{file}");
        assert!(facets.owner.is_none() && facets.pending.as_ref().unwrap().value.is_none(), "{file}");

        let packed = pack(&body).unwrap();
        assert_eq!(unpack(&packed).unwrap(), body, "{file}");
        assert_eq!(packed.shared.len(), 1, "{file}");
        eprintln!("{file}: {} bytes, {} of its own", body.len(), packed.rest.len());
        assert!(packed.rest.len() < MAX_REST, "{file}: {}", packed.rest.len());
        assert_eq!(source.read_kept(&notification.external_id, &body).unwrap(), notification.reading, "{file}");
    }
}

#[test]
fn a_life_that_apple_told_gives_its_events() {
    let Some(folder) = folder() else { return };
    let source = open(&json!({"bundle_id": "com.loki-project.loki-messenger", "app_apple_id": 1_470_168_868}));
    let story: &[(&str, &[&str])] = &[
        ("a1-DID_RENEW", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        (
            "b1-SUBSCRIBED-RESUBSCRIBE",
            &["DEACTIVATE", "SUBSCRIPTION_TERMINATED", "ACTIVATE", "SUBSCRIPTION_REACTIVATED"],
        ),
        ("b2-DID_CHANGE_RENEWAL_STATUS-AUTO_RENEW_DISABLED", &["RENEWAL_DISABLED"]),
        ("b3-EXPIRED-VOLUNTARY", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
        ("c1-SUBSCRIBED-RESUBSCRIBE", &["ACTIVATE", "SUBSCRIPTION_REACTIVATED"]),
        ("c2-DID_CHANGE_RENEWAL_PREF-UPGRADE", &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_UPGRADED"]),
        ("c3-DID_CHANGE_RENEWAL_STATUS-AUTO_RENEW_DISABLED", &["RENEWAL_DISABLED"]),
        ("c7-EXPIRED-VOLUNTARY", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
    ];
    let body = |file: &str| envelope(&jws(folder.join(format!("real/{file}.jws"))));
    let bodies: Vec<Vec<u8>> = story.iter().map(|(file, _)| body(file)).collect();
    for ((file, expected), events) in story.iter().zip(played(source.as_ref(), &bodies)) {
        assert_eq!(events, *expected, "{file}");
    }
}

#[test]
fn an_expired_leaf_verifies_at_the_time_of_signing_only() {
    let Some(folder) = folder() else { return };
    let prover = Prover::new(crate::app_store::settings::roots(None).unwrap());
    let text = jws(folder.join("real/g1-signedRenewalInfo-leaf-expired-2023-09.jws"));
    let proven = prover.prove(&Compact::split(&text).unwrap(), "signedRenewalInfo").unwrap();
    let payload: Value = serde_json::from_slice(&proven.payload).unwrap();
    let signed_at = Timestamp::from_millis(payload["signedDate"].as_i64().unwrap()).unwrap();
    proven.chain.check_time(signed_at).unwrap();
    assert!(proven.chain.check_time("2023-10-01T00:00:00Z".parse().unwrap()).is_err());
}

#[test]
fn the_vendors_test_notifications() {
    let Some(folder) = folder() else { return };
    let root = std::fs::read(folder.join("certs/testCA.der")).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&root);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
    let source = open(&json!({"bundle_id": "com.example", "root_certificates": [pem]}));
    let test = jws(folder.join("mock/testNotification.jws"));
    let notification = verify(source.as_ref(), envelope(&test)).unwrap();
    assert_eq!((notification.label.as_str(), notification.reading.note.is_some()), ("TEST", true));

    let prover = Prover::new(vec![root]);
    for file in ["transactionInfo", "renewalInfo"] {
        let text = jws(folder.join(format!("mock/{file}.jws")));
        prover.prove(&Compact::split(&text).unwrap(), file).unwrap();
    }
    let missing = jws(folder.join("mock/missingX5CHeaderClaim.jws"));
    let rejection = verify(source.as_ref(), envelope(&missing)).unwrap_err();
    assert_eq!((rejection.kind, rejection.reason), (Forged, "missing_x5c"));

    let other_bundle = open(&json!({"bundle_id": "com.examplex", "root_certificates": [pem]}));
    let rejection = verify(other_bundle.as_ref(), envelope(&test)).unwrap_err();
    assert_eq!((rejection.kind, rejection.reason), (WrongAddress, "wrong_bundle"));
    let at_apples = open(&json!({"bundle_id": "com.example"}));
    assert_eq!(verify(at_apples.as_ref(), envelope(&test)).unwrap_err().reason, "untrusted_root");
}
