use super::forgeries;
use super::wire::{App, Notification};
use super::*;
use crate::calendar::Calendar;
use crate::population::{Population, PopulationOptions, Shop};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use std::sync::Arc;

fn store() -> AppStore {
    AppStore::new(app()).unwrap()
}

fn app() -> App {
    App { bundle_id: Arc::from("com.example.paidup"), app_apple_id: 1_470_000_001, environment: "Production" }
}

fn some_notification() -> Notification {
    let calendar = Calendar::new(1_767_000_000_000, 432_000.0);
    let options = PopulationOptions { customers: 3, seed: 1, ..PopulationOptions::default() };
    let mut said = Population::new(options, calendar, vec![Shop::AppStore(app())])
        .filter_map(|told| told.app_store().cloned())
        .filter(|said| said.renewal.is_some());
    said.next().unwrap()
}

/// The payload of a JWS whose signature is right by ring's own verification; the leaf's key is found in its DER.
fn verified(jws: &str) -> Value {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["x5c"].as_array().unwrap().len(), 3);
    let leaf = STANDARD.decode(header["x5c"][0].as_str().unwrap()).unwrap();
    // id-ecPublicKey with prime256v1, then BIT STRING of 66 bytes: the uncompressed point follows.
    let spki = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00];
    let at = leaf.windows(spki.len()).position(|window| window == spki).unwrap() + spki.len();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, &leaf[at..at + 65])
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn notifications_and_what_is_inside_them_are_signed() {
    let store = store();
    let said = some_notification();
    let body: Value = serde_json::from_slice(&store.body(&said).unwrap()).unwrap();
    let payload = verified(body["signedPayload"].as_str().unwrap());
    assert_eq!(payload["notificationUUID"], said.uuid);
    assert_eq!(payload["data"]["bundleId"], "com.example.paidup");
    let transaction = verified(payload["data"]["signedTransactionInfo"].as_str().unwrap());
    assert_eq!(transaction["originalTransactionId"], *said.transaction.original_transaction_id);
    let renewal = verified(payload["data"]["signedRenewalInfo"].as_str().unwrap());
    assert_eq!(renewal["originalTransactionId"], transaction["originalTransactionId"]);
}

#[test]
fn certificates_carry_apples_markers() {
    let store = store();
    // 1.2.840.113635.100.6.11.1 and .6.2.1, as DER writes them.
    let markers: [(usize, &[u8]); 2] = [
        (0, &[0x06, 0x0A, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x63, 0x64, 0x06, 0x0B, 0x01]),
        (1, &[0x06, 0x0A, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x63, 0x64, 0x06, 0x02, 0x01]),
    ];
    for (place, marker) in markers {
        let der = STANDARD.decode(&store.signer().x5c()[place]).unwrap();
        assert!(der.windows(marker.len()).any(|window| window == marker), "certificate {place}");
    }
    assert!(store.root_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(STANDARD.decode(&store.signer().x5c()[2]).unwrap(), store.root_der());
}

#[test]
fn each_forgery_differs_from_the_genuine_one_in_its_own_way() {
    let store = store();
    let all = forgeries::all(&store, &some_notification()).unwrap();
    let mut names: Vec<_> = all.iter().map(|forgery| forgery.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "names are unique");
    assert!(all.len() >= 20);
    let body = |name: &str| all.iter().find(|forgery| forgery.name == name).unwrap().body.clone();
    assert!(std::str::from_utf8(&body("not UTF-8")).is_err());
    assert!(serde_json::from_slice::<Value>(&body("truncated")).is_err());
    let wrong: Value = serde_json::from_slice(&body("wrong bundle")).unwrap();
    assert_eq!(verified(wrong["signedPayload"].as_str().unwrap())["data"]["bundleId"], "com.example.other");
}
