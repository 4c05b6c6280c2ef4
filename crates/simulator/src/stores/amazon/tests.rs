//! Amazon's lives, read back from the JSON alone by a reader that knows nothing of how they were led; and its signatures.

use super::sns::string_to_sign;
use super::*;
use crate::calendar::{Calendar, MONTH};
use crate::lives::{Told, Turn};
use crate::population::{Population, PopulationOptions};
use crate::rsa::RsaKey;
use crate::truth::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const START: i64 = 1_767_225_600_000;

fn app() -> App {
    App { package_name: Arc::from("com.example.paidup"), is_beta: false }
}

fn told(customers: u32, seed: u64, speed: f64) -> Vec<Told> {
    let options = PopulationOptions { customers, seed, horizon: 12 * MONTH, ..PopulationOptions::default() };
    Population::new(options, Calendar::new(START, speed), vec![Shop::Amazon(app())]).collect()
}

/// Whether the signature is right, by AWS's procedure on ring's verification.
fn is_vouched(body: &[u8]) -> bool {
    let envelope: Value = serde_json::from_slice(body).unwrap();
    let algorithm: &RsaParameters = match envelope["SignatureVersion"].as_str() {
        Some("1") => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Some("2") => &RSA_PKCS1_2048_8192_SHA256,
        _ => return false,
    };
    let Some(signature) = envelope["Signature"].as_str().and_then(|text| STANDARD.decode(text).ok()) else {
        return false;
    };
    let (n, e) = RsaKey::of(Holder::Sns).public();
    let text = string_to_sign(envelope.as_object().unwrap());
    PublicKeyComponents { n, e }.verify(algorithm, text.as_bytes(), &signature).is_ok()
}

#[test]
fn both_versions_of_signatures_are_right_and_a_subject_would_be_signed() {
    let one = &told(1, 1, 1.0)[0];
    for seed in [1, 2] {
        let amazon = Amazon::new(seed, app(), true).unwrap();
        let body = amazon.body(one.amazon().unwrap());
        assert!(is_vouched(&body) && is_vouched(&amazon.confirmation(START)), "seed {seed}");
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(envelope["SignatureVersion"], if seed == 1 { "1" } else { "2" });
        assert_eq!(envelope["TopicArn"], amazon.topic_arn());
        assert!(envelope["SigningCertURL"].as_str().unwrap().starts_with("https://sns.us-east-1.amazonaws.com/"));
        assert_eq!(envelope["Timestamp"].as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
        let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
        assert_eq!(message["appPackageName"], "com.example.paidup");
        assert_eq!(message["betaProductTransaction"], false);
    }
    let mut envelope = sns::envelope("Notification", "1", "arn", "hello", 0);
    envelope.insert("Subject".to_owned(), "a subject".into());
    let lines = string_to_sign(&envelope);
    assert_eq!(
        lines,
        "Message\nhello\nMessageId\n1\nSubject\na subject\nTimestamp\n1970-01-01T00:00:00.000Z\nTopicArn\narn\nType\nNotification\n"
    );
}

#[test]
fn nothing_is_open_before_the_endpoint_has_confirmed() {
    let amazon = Amazon::new(1, app(), true).unwrap();
    assert!(!amazon.is_open() && amazon.opening(START).is_some());
    let confirmation: Value = serde_json::from_slice(&amazon.confirmation(START)).unwrap();
    let token = confirmation["Token"].as_str().unwrap();
    assert!(!amazon.confirm("arn:aws:sns:us-east-1:1:other", token) && !amazon.confirm(amazon.topic_arn(), "x"));
    assert!(!amazon.is_open());
    assert!(amazon.confirm(amazon.topic_arn(), token) && amazon.is_open());
    assert!(!amazon.confirm(amazon.topic_arn(), "x") && amazon.is_open() && amazon.opening(START).is_none());
}

#[test]
fn what_verification_answers_is_what_is_true() {
    for (seed, speed) in [(1, 1.0), (2, 432_000.0), (3, crate::calendar::MAX_SPEED)] {
        let mut shelf = Shelf::default();
        let mut quirks = BTreeSet::new();
        for told in told(300, seed, speed) {
            let (said, after) = (told.amazon().unwrap(), &told.after);
            let name = format!("{:?} {} of {} (seed {seed})", told.turn, said.kind, told.purchase);
            shelf.publish(said);
            assert_eq!(told.known_as.as_ref(), Some(&said.receipt), "{name}");
            let receipt = shelf.receipt(&said.receipt).unwrap();
            let json = receipt.json();
            if told.turn == Turn::Confirmed {
                assert_eq!((&json["cancelReason"], said.kind), (&json!(4), "SUBSCRIPTION_CANCELLED"), "{name}");
                continue;
            }
            let is_over = matches!(after.state, State::Expired | State::Revoked);
            assert_eq!(json["cancelDate"].is_null(), !is_over, "{name}");
            if receipt.term.is_none() {
                assert_eq!(json["productId"], after.plan.id, "{name}");
                continue;
            }
            assert_eq!(json["termSku"], after.plan.id, "{name}");
            let [auto, grace] = if json.get("AutoRenewing").is_some() {
                ["AutoRenewing", "GracePeriodEndDate"]
            } else {
                ["autoRenewing", "gracePeriodEndDate"]
            };
            quirks.insert(auto);
            assert_eq!(json[auto].as_bool(), after.will_renew, "{name}");
            assert_eq!(json[grace].as_i64(), after.grace_ends_at, "{name}");
            let renews = after.will_renew == Some(true);
            assert_eq!(json["renewalDate"].as_i64(), after.ends_at.filter(|_| renews), "{name}");
            assert_eq!(after.money, None, "{name}");
        }
        assert_eq!(quirks.len(), 2, "both casings occur");
    }
}

#[test]
fn a_receipt_keeps_its_id_through_renewals_and_changes_it_with_an_immediate_change() {
    let all = told(400, 4, 432_000.0);
    let mut lives: BTreeMap<Arc<str>, Vec<&Told>> = BTreeMap::new();
    all.iter().for_each(|told| lives.entry(Arc::clone(&told.purchase)).or_default().push(told));
    let mut changes = 0;
    for life in lives.values() {
        let mut current = Arc::clone(&life[0].purchase);
        for told in life {
            let said = told.amazon().unwrap();
            match said.kind {
                "SUBSCRIPTION_MODIFIED_IMMEDIATE" => {
                    assert_eq!(said.cancelled_receipt.as_ref(), Some(&current));
                    assert_ne!(said.receipt, current);
                    current = said.receipt.clone();
                    changes += 1;
                }
                _ if told.turn == Turn::Confirmed => assert_ne!(said.receipt, current),
                _ => assert_eq!((&said.receipt, &said.cancelled_receipt), (&current, &None)),
            }
        }
        let dates: Vec<i64> = life.iter().map(|told| told.amazon().unwrap().at).collect();
        assert!(dates.windows(2).all(|pair| pair[0] < pair[1]), "dates never tie");
    }
    assert!(changes > 5, "{changes}");
    let ids: BTreeSet<_> = all.iter().map(|told| &told.amazon().unwrap().message_id).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn no_forgery_is_vouched_for_unless_it_is_wrong_elsewhere() {
    let amazon = Amazon::new(1, app(), true).unwrap();
    let genuine = &told(1, 1, 1.0)[0];
    let all = forgeries::all(&amazon, genuine.amazon().unwrap()).unwrap();
    let names: BTreeSet<_> = all.iter().map(|forgery| forgery.name).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.len() >= 25, "{}", all.len());
    for forgery in all {
        let Ok(envelope) = serde_json::from_slice::<Value>(&forgery.body) else { continue };
        let is_signed = envelope["Signature"].is_string() && is_vouched(&forgery.body);
        let is_misdirected = envelope["TopicArn"] != amazon.topic_arn();
        let is_unreadable = envelope["Message"].as_str().is_none_or(|text| !text.starts_with('{'));
        let is_elsewhere = envelope["SigningCertURL"].as_str().is_none_or(|url| !url.starts_with(&amazon.origin()));
        assert!(!is_signed || is_misdirected || is_unreadable || is_elsewhere, "{}", forgery.name);
    }
}
