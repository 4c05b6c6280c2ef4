//! The App Store's tests, with certificate chains of our own making: `signing.rs` makes them.

mod api;
mod forgeries;
mod lives;
mod packing;
mod reference;
mod samples;
mod signing;

use super::{AppStore, DEFINITION};
use crate::{Keys, Notification, RawRequest, Rejection, Source, Verification};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json, value::to_raw_value};

/// The app that all self-made notifications are for.
const BUNDLE: &str = "com.example.app";
const APP: i64 = 1_234_567_890;

/// Opens a source with the settings.
fn open(settings: &Value) -> Box<dyn Source> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(settings).unwrap(), &crate::golden::upstreams()).unwrap()
}

/// Opens a source that believes in one root of our own.
fn open_with_root(root_pem: &str) -> Box<dyn Source> {
    open(&json!({"bundle_id": BUNDLE, "app_apple_id": APP, "root_certificates": [root_pem]}))
}

fn request(body: impl Into<bytes::Bytes>) -> RawRequest {
    RawRequest { headers: http::HeaderMap::new(), body: body.into() }
}

fn verify(source: &dyn Source, body: impl Into<bytes::Bytes>) -> Result<Notification, Rejection> {
    match source.verify(&request(body), &Keys::default(), Timestamp::MIN)? {
        Verification::Verified(mut verified) => {
            assert_eq!(verified.notifications.len(), 1);
            Ok(verified.notifications.remove(0))
        }
        Verification::KeyNeeded(_) => panic!("the App Store needs no keys from elsewhere"),
    }
}

#[test]
fn the_built_in_root_is_apples() {
    let root = super::settings::roots(None).unwrap().remove(0);
    let digest = ring::digest::digest(&ring::digest::SHA256, &root);
    assert_eq!(hex::encode(digest), "63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179");
}

#[test]
fn settings_are_checked() {
    let root = signing::Chain::new().root_pem;
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let api = |key: &str| json!({"issuer_id": "i", "key_id": "k", "private_key": key});
    for (name, settings, pointer) in [
        ("least", json!({"bundle_id": BUNDLE}), None),
        (
            "all",
            json!({"bundle_id": BUNDLE, "app_apple_id": APP, "environment": "SANDBOX", "root_certificates": [root], "api": api(&key),
                "consumption": {"consent": true, "refund_preference": "DECLINE"}}),
            None,
        ),
        ("no key", json!({"bundle_id": BUNDLE, "api": api("secret")}), Some("/api/private_key")),
        (
            "a blank in an id",
            json!({"bundle_id": BUNDLE, "api": {"issuer_id": "a b", "key_id": "k", "private_key": key}}),
            Some("/api/issuer_id"),
        ),
        (
            "no key id",
            json!({"bundle_id": BUNDLE, "api": {"issuer_id": "i", "key_id": "", "private_key": key}}),
            Some("/api/key_id"),
        ),
        ("consent without a key", json!({"bundle_id": BUNDLE, "consumption": {"consent": true}}), Some("/consumption")),
        ("no consent", json!({"bundle_id": BUNDLE, "consumption": {"consent": false}}), None),
        (
            "an unknown preference",
            json!({"bundle_id": BUNDLE, "consumption": {"consent": true, "refund_preference": "GRANT"}}),
            Some("/consumption/refund_preference"),
        ),
        ("no bundle", json!({}), Some("")),
        ("empty bundle", json!({"bundle_id": ""}), Some("/bundle_id")),
        ("odd bundle", json!({"bundle_id": "com.example app"}), Some("/bundle_id")),
        ("unknown setting", json!({"bundle_id": BUNDLE, "bundle": "x"}), Some("/bundle")),
        ("Xcode", json!({"bundle_id": BUNDLE, "environment": "XCODE"}), Some("/environment")),
        ("LocalTesting", json!({"bundle_id": BUNDLE, "environment": "LocalTesting"}), Some("/environment")),
        ("app id of zero", json!({"bundle_id": BUNDLE, "app_apple_id": 0}), Some("/app_apple_id")),
        ("no roots", json!({"bundle_id": BUNDLE, "root_certificates": []}), Some("/root_certificates")),
        ("no root", json!({"bundle_id": BUNDLE, "root_certificates": ["x"]}), Some("/root_certificates/0")),
        ("empty key", json!({"bundle_id": BUNDLE, "api": api(" ")}), Some("/api/private_key")),
    ] {
        let opened =
            (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &crate::golden::upstreams());
        assert_eq!(opened.err().map(|error| error.pointer).as_deref(), pointer, "{name}");
    }
}

#[test]
fn chains_are_kept_bounded_and_used_again() {
    let chain = signing::Chain::new();
    let roots = super::settings::roots(Some(std::slice::from_ref(&chain.root_pem))).unwrap();
    let address = super::Address {
        bundle_id: BUNDLE.to_owned(),
        app_apple_id: None,
        environments: &[super::Environment::Sandbox],
    };
    let policy = super::Policy::default();
    let source = AppStore { id: SourceId([7; 16]), address, prover: super::Prover::new(roots), api: None, policy };
    let payload = samples::test_payload();
    for _ in 0..3 {
        verify(&source, signing::envelope(&chain.sign(&payload))).unwrap();
    }
    assert_eq!(source.prover.known_chains(), 1);
    // A known header with a foreign signature is refused, and odd spellings of a genuine chain do not fill the memory.
    for round in 0..40 {
        let header = json!({"alg": "ES256", "x5c": chain.x5c(), "kid": round});
        let forged = signing::Chain::new().sign_with_header(&header, &payload);
        assert_eq!(verify(&source, signing::envelope(&forged)).unwrap_err().reason, "bad_signature");
    }
    assert_eq!(source.prover.known_chains(), 1);
    for round in 0..40 {
        let header = json!({"alg": "ES256", "x5c": chain.x5c(), "kid": round});
        verify(&source, signing::envelope(&chain.sign_with_header(&header, &payload))).unwrap();
    }
    assert_eq!(source.prover.known_chains(), 16);
}
