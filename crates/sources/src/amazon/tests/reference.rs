//! A message that SNS signed, and the samples of Amazon's documentation. They are not part of this project: they are read
//! from a folder beside it where there is one (`PAIDUP_REFERENCE_DIR`).

use super::{answer, at, open, opened, take, verify};
use crate::Keys;
use crate::RejectionKind::Malformed;
use crate::proof::sns::Envelope;
use paidup_lifecycle::observation::{Kind, Standing};
use serde_json::{Value, json};
use std::path::PathBuf;

fn sample(name: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or_else(beside, PathBuf::from).join("samples/amazon");
    if !folder.is_dir() {
        eprintln!("NOT CHECKED: Amazon's own samples; there is no {}", folder.display());
        return None;
    }
    let path = folder.join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
fn a_message_signed_by_sns_verifies() {
    let name = "SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem";
    let Some((body, certificate)) = sample("sns-notification-v1.json").zip(sample(name)) else { return };
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    assert_eq!(envelope.verify(certificate.as_bytes()), Ok(()));
    let url = envelope.certificate_url(None).unwrap().to_owned();
    let source = opened(&json!({"topic_arn": envelope.topic_arn}));
    let keys = Keys([(url, certificate.into())].into());
    // It is SNS's and of our topic, but "Hello world" is no message of Amazon's store.
    let rejection = verify(source.as_ref(), body.as_bytes(), &keys, at("2022-07-28T21:24:00Z")).unwrap_err();
    assert_eq!((rejection.kind, rejection.reason), (Malformed, "unreadable_message"));
    for (part, with) in
        [("Hello world", "Hello World"), ("28T21:23:58", "28T21:23:57"), ("\"792c", "\"892c"), ("ghtf+", "ghtg+")]
    {
        assert!(body.contains(part));
        let rejection = verify(source.as_ref(), body.replace(part, with).as_bytes(), &keys, at("2022-07-28T21:24:00Z"));
        assert_eq!(rejection.unwrap_err().reason, "wrong_signature", "{with}");
    }
}

#[test]
fn the_documentations_receipts_are_read() {
    let Some(purchased) = sample("rtn-subscription-purchased-from-docs.json") else { return };
    let (Some(subscription), Some(entitled)) = (sample("rvs-subscription.json"), sample("rvs-entitled.json")) else {
        return;
    };
    let source = open(&json!({}));
    let envelope: Value = serde_json::from_str(&purchased).unwrap();
    let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    let told = take(source.as_ref(), "1", &message).reading;
    let read = |answered: &str| {
        let read = answer(source.as_ref(), &told, at("2020-09-21T15:19:40Z"), answered).unwrap();
        read.observations.into_iter().next().unwrap()
    };
    let read_subscription = read(&subscription);
    assert_eq!(read_subscription.key.store_purchase_id, "koxIn_LO2u7rc-_MF40hKz1vqSSJSlitfTNDeH_JAs8=:3:11");
    let facets = read_subscription.facets;
    assert_eq!(facets.product.unwrap().value, "sub1-weekly");
    assert_eq!(facets.owner.unwrap().value.as_deref(), Some("io9oFdzmCSMuKk_pp9pYccoIHRfc6kSAAYaNo51xZrg="));
    assert_eq!(facets.standing.unwrap().value, Standing::Active);
    let period = facets.period.unwrap().value;
    assert_eq!(period.ends_at, Some(at("2019-06-21T07:47:57.035Z")));
    // The sample's trial ends behind its renewal, so nothing before that counts.
    assert_eq!(period.starts_at, at("2019-06-14T07:47:57.035Z"));
    let mut once = message;
    once["notificationType"] = json!("ENTITLEMENT_PURCHASED");
    let told = take(source.as_ref(), "2", &once).reading;
    let read = answer(source.as_ref(), &told, at("2020-09-21T15:19:40Z"), &entitled).unwrap();
    let facets = &read.observations[0].facets;
    assert_eq!(facets.kind.as_ref().unwrap().value, Kind::NonConsumable);
    assert_eq!(facets.product.as_ref().unwrap().value, "com.amazon.iapsamplev2.expansion_set_3");
    assert_eq!(facets.period.as_ref().unwrap().value.starts_at, at("2014-06-05T22:50:34.018Z"));
}
