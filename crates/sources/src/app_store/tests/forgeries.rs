//! What must not be believed. Each forgery has its name, its status and its reason.

use super::samples::{sample, test_payload};
use super::signing::{Chain, Oddities, envelope};
use super::{APP, BUNDLE, open, open_with_root, verify};
use crate::RejectionKind::{self, Forged, Malformed, TooLarge, WrongAddress};
use crate::Source;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

type Case = (&'static str, Vec<u8>, RejectionKind, &'static str);

fn check(source: &dyn Source, cases: Vec<Case>) {
    for (name, body, kind, reason) in cases {
        let rejection = verify(source, body).expect_err(name);
        assert_eq!((rejection.kind, rejection.reason), (kind, reason), "{name}: {rejection}");
    }
}

/// The genuine notification with one part of the sample changed, signed genuinely.
fn changed(chain: &Chain, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut sample = sample("did_renew");
    change(&mut sample);
    chain.sign_sample(&sample)
}

fn segments(jws: &str) -> (&str, &str, &str) {
    let mut parts = jws.split('.');
    (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn what_is_not_a_signed_notification_is_malformed() {
    let chain = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let jws = chain.sign(&test_payload());
    let (header, payload, signature) = segments(&jws);
    let deep = "[".repeat(100_000);
    let unread = "unreadable_body";
    check(
        source.as_ref(),
        vec![
            ("empty", Vec::new(), Malformed, unread),
            ("no JSON", b"signedPayload".to_vec(), Malformed, unread),
            ("no UTF-8", b"{\"signedPayload\":\"\xff\xfe\"}".to_vec(), Malformed, unread),
            ("array", b"[]".to_vec(), Malformed, unread),
            ("missing", b"{}".to_vec(), Malformed, unread),
            ("null", b"{\"signedPayload\":null}".to_vec(), Malformed, unread),
            ("deep", deep.clone().into_bytes(), Malformed, unread),
            ("deep inside", format!("{{\"signedPayload\":{deep}").into_bytes(), Malformed, unread),
            ("deep beside", format!("{{\"x\":{deep},\"signedPayload\":\"{jws}\"}}").into_bytes(), Malformed, unread),
            (
                "twice",
                format!("{{\"signedPayload\":\"{jws}\",\"signedPayload\":\"x\"}}").into_bytes(),
                Malformed,
                unread,
            ),
            ("trailing bytes", [envelope(&jws), b"x".to_vec()].concat(), Malformed, unread),
            ("no JWS", envelope("abc"), Malformed, "not_a_jws"),
            ("two segments", envelope(&format!("{header}.{payload}")), Malformed, "not_a_jws"),
            ("four segments", envelope(&format!("{jws}.x")), Malformed, "not_a_jws"),
            ("no header", envelope(&format!(".{payload}.{signature}")), Malformed, "not_a_jws"),
            ("broken header", envelope(&format!("{}.{payload}.{signature}", &header[..40])), Malformed, "not_a_jws"),
            ("padded header", envelope(&format!("{header}=.{payload}.{signature}")), Malformed, "not_a_jws"),
            ("too large", envelope(&"x".repeat(300_000)), TooLarge, "body_too_large"),
            (
                "signed, but no JSON",
                envelope(&chain.sign_bytes(&header_json(&chain), b"\xff")),
                Malformed,
                "unreadable_payload",
            ),
            ("signed, but empty", envelope(&chain.sign(&json!({}))), Malformed, "unreadable_payload"),
            (
                "no data",
                changed(&chain, |s| {
                    s["payload"].as_object_mut().unwrap().remove("data");
                    s.as_object_mut().unwrap().retain(|k, _| k == "payload");
                }),
                Malformed,
                "no_data",
            ),
            (
                "empty id",
                changed(&chain, |s| s["payload"]["notificationUUID"] = json!("")),
                Malformed,
                "unreadable_payload",
            ),
            (
                "long id",
                changed(&chain, |s| s["payload"]["notificationUUID"] = json!("x".repeat(201))),
                Malformed,
                "unreadable_payload",
            ),
            (
                "time out of range",
                changed(&chain, |s| s["payload"]["signedDate"] = json!(i64::MAX)),
                Malformed,
                "unreadable_payload",
            ),
            (
                "nested is no JWS",
                changed(&chain, |s| {
                    s["payload"]["data"]["signedTransactionInfo"] = json!("abc");
                    s.as_object_mut().unwrap().remove("transaction");
                }),
                Malformed,
                "not_a_jws",
            ),
        ],
    );
}

fn header_json(chain: &Chain) -> Vec<u8> {
    json!({"alg": "ES256", "x5c": chain.x5c()}).to_string().into_bytes()
}

#[test]
fn headers_that_try_it_otherwise_are_forged() {
    let chain = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let payload = test_payload();
    let x5c = chain.x5c();
    let with = |header: Value| envelope(&chain.sign_with_header(&header, &payload));
    let unsigned = |header: Value| {
        let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        envelope(&format!("{}.{}.", encode(&header), encode(&payload)))
    };
    check(
        source.as_ref(),
        vec![
            ("none", unsigned(json!({"alg": "none"})), Forged, "wrong_algorithm"),
            ("none with certificates", unsigned(json!({"alg": "none", "x5c": x5c})), Forged, "wrong_algorithm"),
            ("NONE", unsigned(json!({"alg": "NONE", "x5c": x5c})), Forged, "wrong_algorithm"),
            ("HMAC by the certificate", hmac_by_certificate(&chain, &payload), Forged, "wrong_algorithm"),
            ("ES384", with(json!({"alg": "ES384", "x5c": x5c})), Forged, "wrong_algorithm"),
            ("no signature", unsigned(json!({"alg": "ES256", "x5c": x5c})), Forged, "bad_signature"),
            (
                "crit",
                with(json!({"alg": "ES256", "crit": ["b64"], "b64": false, "x5c": x5c})),
                Forged,
                "unknown_jws_extension",
            ),
            ("no x5c", with(json!({"alg": "ES256"})), Forged, "missing_x5c"),
            ("x5cwrong", with(json!({"alg": "ES256", "x5cwrong": x5c})), Forged, "missing_x5c"),
            ("no certificate", with(json!({"alg": "ES256", "x5c": []})), Forged, "chain_length"),
            ("one certificate", with(json!({"alg": "ES256", "x5c": [x5c[0]]})), Forged, "chain_length"),
            ("two certificates", with(json!({"alg": "ES256", "x5c": [x5c[0], x5c[1]]})), Forged, "chain_length"),
            (
                "four certificates",
                with(json!({"alg": "ES256", "x5c": [x5c[0], x5c[1], x5c[2], x5c[2]]})),
                Forged,
                "chain_length",
            ),
            ("swapped", with(json!({"alg": "ES256", "x5c": [x5c[1], x5c[0], x5c[2]]})), Forged, "leaf_oid_missing"),
            (
                "leaf twice",
                with(json!({"alg": "ES256", "x5c": [x5c[0], x5c[0], x5c[2]]})),
                Forged,
                "intermediate_oid_missing",
            ),
            (
                "no certificates at all",
                with(json!({"alg": "ES256", "x5c": ["AAAA", "AAAA", "AAAA"]})),
                Forged,
                "certificate_unreadable",
            ),
            (
                "bytes behind the leaf",
                with(json!({"alg": "ES256", "x5c": [longer(&chain), x5c[1], x5c[2]]})),
                Forged,
                "certificate_unreadable",
            ),
        ],
    );
    // The sender's own root is never looked at, so rubbish there changes nothing.
    verify(source.as_ref(), with(json!({"alg": "ES256", "x5c": [x5c[0], x5c[1], "AAAA"]}))).unwrap();
}

/// The classic: the public certificate as the key of an HMAC.
fn hmac_by_certificate(chain: &Chain, payload: &Value) -> Vec<u8> {
    let header = json!({"alg": "HS256", "x5c": chain.x5c()});
    let input =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload.to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &chain.certificates[0]);
    let tag = ring::hmac::sign(&key, input.as_bytes());
    envelope(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

fn longer(chain: &Chain) -> String {
    let mut der = chain.certificates[0].clone();
    der.push(0);
    base64::engine::general_purpose::STANDARD.encode(der)
}

#[test]
fn chains_that_are_not_apples_are_forged() {
    let odd = Oddities::default();
    for (name, odd, reason) in [
        ("no leaf mark", Oddities { no_leaf_mark: true, ..odd }, "leaf_oid_missing"),
        ("no intermediate mark", Oddities { no_intermediate_mark: true, ..odd }, "intermediate_oid_missing"),
        ("intermediate is no authority", Oddities { intermediate_is_no_ca: true, ..odd }, "intermediate_not_ca"),
        ("leaf is an authority", Oddities { leaf_is_ca: true, ..odd }, "leaf_is_ca"),
        ("leaf of another intermediate", Oddities { leaf_of_another: true, ..odd }, "chain_broken"),
        ("leaf on P-384", Oddities { p384_leaf: true, ..odd }, "wrong_key"),
        ("leaf expired when signing", Oddities { old_leaf: true, ..odd }, "certificate_expired"),
    ] {
        let chain = Chain::odd(odd);
        let source = open_with_root(&chain.root_pem);
        let rejection = verify(source.as_ref(), envelope(&chain.sign(&test_payload()))).expect_err(name);
        assert_eq!((rejection.kind, rejection.reason), (Forged, reason), "{name}: {rejection}");
    }

    let chain = Chain::new();
    let body = chain.sign_sample(&sample("did_renew"));
    let apple = open(&json!({"bundle_id": BUNDLE}));
    let another = open_with_root(&Chain::new().root_pem);
    check(apple.as_ref(), vec![("our root at Apple's", body.clone(), Forged, "untrusted_root")]);
    check(another.as_ref(), vec![("another root of the same name", body, Forged, "untrusted_root")]);
}

#[test]
fn times_are_those_of_signing() {
    let chain = Chain::odd(Oddities { old_leaf: true, ..Oddities::default() });
    let source = open_with_root(&chain.root_pem);
    let signed = |at: i64| {
        let mut payload = test_payload();
        payload["signedDate"] = json!(at);
        envelope(&chain.sign(&payload))
    };
    let (first, last) = (1_577_836_800_000, 1_609_459_200_000); // all of 2020
    verify(source.as_ref(), signed(first)).unwrap();
    verify(source.as_ref(), signed(last)).unwrap();
    check(
        source.as_ref(),
        vec![
            ("too early", signed(first - 1), Forged, "certificate_not_yet_valid"),
            ("too late", signed(last + 1000), Forged, "certificate_expired"),
        ],
    );
    // A nested part that was signed by then-expired certificates is no better.
    let fresh = Chain::new();
    let source = open(&json!({"bundle_id": BUNDLE, "root_certificates": [fresh.root_pem, chain.root_pem]}));
    for (part, name) in [("transaction", "signedTransactionInfo"), ("renewal", "signedRenewalInfo")] {
        let mut mixed = sample("did_renew");
        mixed["payload"]["data"][name] = json!(chain.sign(&mixed[part]));
        mixed.as_object_mut().unwrap().remove(part);
        let rejection = verify(source.as_ref(), fresh.sign_sample(&mixed)).unwrap_err();
        assert_eq!((rejection.kind, rejection.reason), (Forged, "certificate_expired"), "{part}");
    }
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn tampering_is_noticed_at_every_layer() {
    let chain = Chain::new();
    let stranger = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let genuine = sample("did_renew");
    let body = chain.sign_sample(&genuine);
    verify(source.as_ref(), body.clone()).unwrap();
    let envelope_json: Value = serde_json::from_slice(&body).unwrap();
    let (header, payload, signature) = segments(envelope_json["signedPayload"].as_str().unwrap());
    let altered =
        String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap().replace("DID_RENEW", "DID_RENAW");
    let altered = URL_SAFE_NO_PAD.encode(altered);
    let nested = |sign: &dyn Fn(&Value) -> String, part: &str, name: &str| {
        let mut sample = genuine.clone();
        sample["payload"]["data"][name] = json!(sign(&sample[part]));
        sample.as_object_mut().unwrap().remove(part);
        chain.sign_sample(&sample)
    };
    let swapped_payload = |value: &Value| {
        let jws = chain.sign(value);
        let (header, _, signature) = segments(&jws);
        let mut richer = value.clone();
        richer["expiresDate"] = json!(4_000_000_000_000_i64);
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(richer.to_string()))
    };
    let by_stranger = |value: &Value| stranger.sign(value);
    let unsigned = |value: &Value| {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(value.to_string()))
    };
    check(
        source.as_ref(),
        vec![
            ("altered payload", envelope(&format!("{header}.{altered}.{signature}")), Forged, "bad_signature"),
            (
                "truncated payload",
                envelope(&format!("{header}.{}.{signature}", &payload[..payload.len() - 8])),
                Forged,
                "bad_signature",
            ),
            (
                "truncated signature",
                envelope(&format!("{header}.{payload}.{}", &signature[..80])),
                Forged,
                "bad_signature",
            ),
            (
                "signature of zeros",
                envelope(&format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
                Forged,
                "bad_signature",
            ),
            (
                "signature in DER",
                envelope(&format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0x30; 70]))),
                Forged,
                "bad_signature",
            ),
            (
                "altered transaction",
                nested(&swapped_payload, "transaction", "signedTransactionInfo"),
                Forged,
                "bad_signature",
            ),
            ("altered renewal info", nested(&swapped_payload, "renewal", "signedRenewalInfo"), Forged, "bad_signature"),
            (
                "transaction by a stranger",
                nested(&by_stranger, "transaction", "signedTransactionInfo"),
                Forged,
                "untrusted_root",
            ),
            (
                "renewal info by a stranger",
                nested(&by_stranger, "renewal", "signedRenewalInfo"),
                Forged,
                "untrusted_root",
            ),
            (
                "unsigned transaction",
                nested(&unsigned, "transaction", "signedTransactionInfo"),
                Forged,
                "wrong_algorithm",
            ),
            ("unsigned renewal info", nested(&unsigned, "renewal", "signedRenewalInfo"), Forged, "wrong_algorithm"),
        ],
    );
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn notifications_for_others_are_misaddressed() {
    let chain = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let with = |change: &dyn Fn(&mut Value)| changed(&chain, change);
    check(
        source.as_ref(),
        vec![
            (
                "other bundle",
                with(&|s| s["payload"]["data"]["bundleId"] = json!("com.other")),
                WrongAddress,
                "wrong_bundle",
            ),
            ("no bundle", with(&|s| s["payload"]["data"]["bundleId"] = json!(null)), WrongAddress, "wrong_bundle"),
            (
                "other bundle, nested only",
                with(&|s| s["transaction"]["bundleId"] = json!("com.other")),
                WrongAddress,
                "wrong_bundle",
            ),
            ("other app", with(&|s| s["payload"]["data"]["appAppleId"] = json!(1)), WrongAddress, "wrong_app"),
            (
                "no app in production",
                with(&|s| s["payload"]["data"]["appAppleId"] = json!(null)),
                WrongAddress,
                "wrong_app",
            ),
            (
                "Xcode",
                with(&|s| s["payload"]["data"]["environment"] = json!("Xcode")),
                WrongAddress,
                "wrong_environment",
            ),
            (
                "LocalTesting",
                with(&|s| s["payload"]["data"]["environment"] = json!("LocalTesting")),
                WrongAddress,
                "wrong_environment",
            ),
            (
                "no environment",
                with(&|s| s["payload"]["data"]["environment"] = json!(null)),
                WrongAddress,
                "wrong_environment",
            ),
            (
                "Xcode, nested only",
                with(&|s| s["transaction"]["environment"] = json!("Xcode")),
                WrongAddress,
                "wrong_environment",
            ),
            (
                "LocalTesting in the renewal info",
                with(&|s| s["renewal"]["environment"] = json!("LocalTesting")),
                WrongAddress,
                "wrong_environment",
            ),
            (
                "summary of another",
                chain.sign_sample(&{
                    let mut s = sample("renewal_extension_summary");
                    s["payload"]["summary"]["bundleId"] = json!("com.other");
                    s
                }),
                WrongAddress,
                "wrong_bundle",
            ),
            (
                "token of another",
                chain.sign_sample(&{
                    let mut s = sample("external_purchase_token");
                    s["payload"]["externalPurchaseToken"]["appAppleId"] = json!(1);
                    s
                }),
                WrongAddress,
                "wrong_app",
            ),
        ],
    );
    let roots = json!([chain.root_pem]);
    let sandbox = open(&json!({"bundle_id": BUNDLE, "environment": "SANDBOX", "root_certificates": roots}));
    let production = open(
        &json!({"bundle_id": BUNDLE, "app_apple_id": APP, "environment": "PRODUCTION", "root_certificates": roots}),
    );
    let mixed = |s: &mut Value| s["transaction"]["environment"] = json!("Sandbox");
    check(sandbox.as_ref(), vec![("production at a sandbox source", with(&|_| {}), WrongAddress, "wrong_environment")]);
    check(
        production.as_ref(),
        vec![
            ("sandbox at a production source", chain.sign_sample(&sample("test")), WrongAddress, "wrong_environment"),
            ("sandbox inside production", with(&mixed), WrongAddress, "wrong_environment"),
        ],
    );
    let both = open_with_root(&chain.root_pem);
    check(both.as_ref(), vec![("environments mixed", with(&mixed), WrongAddress, "wrong_environment")]);
}

/// Built once: making a chain costs more than checking one.
fn genuine() -> (Box<dyn Source>, Vec<u8>) {
    let chain = Chain::new();
    (open_with_root(&chain.root_pem), chain.sign_sample(&sample("did_renew")))
}

#[test]
fn arbitrary_and_mutated_bodies_are_refused_without_a_panic() {
    let (source, body) = genuine();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(256));
    let arbitrary = proptest::collection::vec(any::<u8>(), 0..2000);
    runner
        .run(&arbitrary, |bytes| {
            prop_assert!(verify(source.as_ref(), bytes.clone()).is_err());
            let _ = source.read_kept("x", &bytes);
            Ok(())
        })
        .unwrap();
    let signed = body.iter().position(|byte| *byte == b':').unwrap() + 2;
    let mutation = (signed..body.len() - 2, any::<u8>());
    runner
        .run(&mutation, |(place, byte)| {
            let mut mutated = body.clone();
            prop_assume!(mutated[place] != byte);
            mutated[place] = byte;
            prop_assert!(verify(source.as_ref(), mutated.clone()).is_err(), "byte {place} to {byte}");
            let _ = source.read_kept("x", &mutated);
            Ok(())
        })
        .unwrap();
    let cut = 0..body.len();
    runner
        .run(&cut, |length| {
            prop_assert!(verify(source.as_ref(), body[..length].to_vec()).is_err());
            Ok(())
        })
        .unwrap();
}
