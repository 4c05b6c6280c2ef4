//! Who may push: the table of forgeries, each with its status and reason.

use super::{
    AUDIENCE, GOOGLE, KID, OTHER, SENDER, claims, envelope, header, jwt, keys, now, open, published, request, sign,
    verify,
};
use crate::{Keys, RawRequest, Verification, golden};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

fn purchase() -> Value {
    json!({"version": "1.0", "packageName": "com.example.app", "eventTimeMillis": "1767225600000",
        "subscriptionNotification": {"version": "1.0", "notificationType": 4, "purchaseToken": "token-1"}})
}

fn with(claim: &str, value: Value) -> String {
    let mut claims = claims();
    claims[claim] = value;
    jwt(GOOGLE, &header(), &claims)
}

fn without(claim: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    jwt(GOOGLE, &header(), &claims)
}

fn pushed(token: &str) -> RawRequest {
    request(Some(token), envelope("1", &purchase()))
}

/// A token whose signature is an HMAC under Google's public key: what a verifier that believes `alg` falls for.
fn signed_with_the_public_key() -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "HS256", "kid": KID, "typ": "JWT"})), encode(&claims()));
    let secret = published(GOOGLE, KID)["n"].as_str().unwrap().to_owned();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn what_google_signs_is_taken() {
    let source = open(json!({"subscription": "projects/p/subscriptions/s"}));
    for (name, token) in [
        ("as it is", jwt(GOOGLE, &header(), &claims())),
        ("the other issuer", with("iss", json!("accounts.google.com"))),
        ("by the other key", jwt(OTHER, &json!({"alg": "RS256", "kid": "key-0"}), &claims())),
        ("a minute fast", with("iat", json!(now().as_seconds() + 60))),
        ("over for half a minute", with("exp", json!(now().as_seconds() - 30))),
    ] {
        let verified = verify(source.as_ref(), &pushed(&token)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [notification] = verified.notifications.as_slice() else { panic!("{name}") };
        assert_eq!((&*notification.external_id, notification.label.as_str()), ("1", "SUBSCRIPTION_PURCHASED"));
        assert_eq!(notification.reading.lookups[0].name, "subscription/token-1");
    }
    let mut lower = pushed(&jwt(GOOGLE, &header(), &claims()));
    let token = lower.headers["authorization"].to_str().unwrap().replace("Bearer", "bearer");
    lower.headers.insert("authorization", token.parse().unwrap());
    assert!(verify(source.as_ref(), &lower).is_ok(), "the scheme has no case");
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn forgeries_are_refused_with_their_reason() {
    let source = open(json!({"subscription": "projects/p/subscriptions/s"}));
    let good = jwt(GOOGLE, &header(), &claims());
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three segments") };
    let seconds = now().as_seconds();
    let token = |alg: Value| jwt(GOOGLE, &alg, &claims());
    let padded = |text: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(text).unwrap());
    let standard = |text: &str| STANDARD.encode(URL_SAFE_NO_PAD.decode(text).unwrap());
    let forged_payload = URL_SAFE_NO_PAD.encode(claims().to_string().replace(SENDER, "me@example.com"));
    let wide = head.replacen('e', "\u{ff45}", 1);
    for (name, raw, status, reason) in [
        ("no header", request(None, envelope("1", &purchase())), 401, "no_token"),
        ("an empty token", pushed(""), 401, "not_a_jwt"),
        ("no token", pushed("nothing"), 401, "not_a_jwt"),
        ("the wrong key", pushed(&jwt(OTHER, &header(), &claims())), 401, "bad_signature"),
        ("another audience", pushed(&with("aud", json!("https://elsewhere.example.com"))), 401, "wrong_audience"),
        ("a part of the audience", pushed(&with("aud", json!(AUDIENCE[..9]))), 401, "wrong_audience"),
        ("several audiences", pushed(&with("aud", json!([AUDIENCE]))), 401, "not_a_jwt"),
        ("another issuer", pushed(&with("iss", json!("https://accounts.google.com.example.com"))), 401, "wrong_issuer"),
        ("no issuer", pushed(&without("iss")), 401, "not_a_jwt"),
        ("another account", pushed(&with("email", json!("me@example.com"))), 403, "wrong_sender"),
        ("an account that looks alike", pushed(&with("email", json!(SENDER.to_uppercase()))), 403, "wrong_sender"),
        ("no account", pushed(&without("email")), 403, "wrong_sender"),
        ("an unverified account", pushed(&with("email_verified", json!(false))), 403, "unverified_sender"),
        ("an account of which nobody says so", pushed(&without("email_verified")), 403, "unverified_sender"),
        ("verified as a text", pushed(&with("email_verified", json!("true"))), 401, "not_a_jwt"),
        ("over", pushed(&with("exp", json!(seconds - 61))), 401, "token_expired"),
        ("without an end", pushed(&without("exp")), 401, "not_a_jwt"),
        ("from the future", pushed(&with("iat", json!(seconds + 3600))), 401, "token_from_the_future"),
        ("not yet", pushed(&with("nbf", json!(seconds + 3600))), 401, "token_from_the_future"),
        ("alg none", pushed(&token(json!({"alg": "none", "kid": KID}))), 401, "wrong_algorithm"),
        (
            "alg none, unsigned",
            pushed(&format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))),
            401,
            "wrong_algorithm",
        ),
        ("HS256 with the public key", pushed(&signed_with_the_public_key()), 401, "wrong_algorithm"),
        ("RS384", pushed(&token(json!({"alg": "RS384", "kid": KID}))), 401, "wrong_algorithm"),
        ("no key named", pushed(&token(json!({"alg": "RS256"}))), 401, "no_key_id"),
        (
            "an extension",
            pushed(&token(json!({"alg": "RS256", "kid": KID, "crit": ["exp"]}))),
            401,
            "unknown_jws_extension",
        ),
        (
            "its own key beside",
            pushed(&jwt(
                OTHER,
                &json!({"alg": "RS256", "kid": KID, "jwk": published(OTHER, KID),
            "jku": "https://evil.example.com"}),
                &claims(),
            )),
            401,
            "bad_signature",
        ),
        ("truncated", pushed(&good[..good.len() - 8]), 401, "bad_signature"),
        ("without a signature", pushed(&format!("{head}.{payload}.")), 401, "bad_signature"),
        ("two segments", pushed(&format!("{head}.{payload}")), 401, "not_a_jwt"),
        ("four segments", pushed(&format!("{good}.e30")), 401, "not_a_jwt"),
        ("other claims", pushed(&format!("{head}.{forged_payload}.{signature}")), 401, "bad_signature"),
        ("padded base64", pushed(&format!("{}.{payload}.{signature}", padded(head))), 401, "not_a_jwt"),
        ("a padded signature", pushed(&format!("{head}.{payload}.{signature}==")), 401, "bad_signature"),
        (
            "base64 of the other alphabet",
            pushed(&format!("{head}.{payload}.{}", standard(signature))),
            401,
            "bad_signature",
        ),
        (
            "letters that look alike",
            {
                let mut raw = pushed(&good);
                let value = http::HeaderValue::from_bytes(format!("Bearer {wide}.{payload}.{signature}").as_bytes());
                raw.headers.insert("authorization", value.unwrap());
                raw
            },
            401,
            "no_token",
        ),
        (
            "two tokens",
            {
                let mut raw = pushed(&good);
                raw.headers.append("authorization", format!("Bearer {good}").parse().unwrap());
                raw
            },
            401,
            "several_tokens",
        ),
        (
            "another scheme",
            {
                let mut raw = pushed(&good);
                raw.headers.insert("authorization", format!("Basic {good}").parse().unwrap());
                raw
            },
            401,
            "no_token",
        ),
        (
            "another subscription",
            {
                let body = String::from_utf8(envelope("1", &purchase()))
                    .unwrap()
                    .replace("subscriptions/s", "subscriptions/t");
                request(Some(&good), body.into_bytes())
            },
            422,
            "wrong_subscription",
        ),
        (
            "another app",
            {
                let mut about = purchase();
                about["packageName"] = json!("com.example.other");
                request(Some(&good), envelope("1", &about))
            },
            422,
            "wrong_package",
        ),
        ("no message", request(Some(&good), b"{}".to_vec()), 400, "no_envelope"),
        ("no JSON", request(Some(&good), b"<html>".to_vec()), 400, "no_envelope"),
        (
            "no id",
            request(
                Some(&good),
                json!({"message": {"data": ""}, "subscription": "projects/p/subscriptions/s"}).to_string().into_bytes(),
            ),
            400,
            "no_message_id",
        ),
        ("too large", request(Some(&good), vec![b' '; super::super::MAX_BODY + 1]), 413, "body_too_large"),
    ] {
        let refused = verify(source.as_ref(), &raw).expect_err(name);
        assert_eq!((refused.kind.status(), refused.reason), (status, reason), "{name}: {refused}");
        assert!(!refused.detail.contains(&good[..40]), "{name}: no token is repeated");
    }
    // Signed by Google and still not ours: a token that is right in all but what it was signed over.
    let moved = format!("{head}.{payload}.{}", sign(GOOGLE, "something else"));
    assert_eq!(verify(source.as_ref(), &pushed(&moved)).unwrap_err().reason, "bad_signature");
}

#[test]
fn keys_are_asked_for_and_believed_only_if_they_are_keys() {
    let source = open(json!({}));
    let raw = pushed(&jwt(GOOGLE, &header(), &claims()));
    let url = golden::upstreams().google_keys;
    let set = |text: &str| Keys([(url.clone(), text.to_owned().into())].into());
    let other_only = json!({"keys": [published(OTHER, "key-0")]}).to_string();
    for (name, keys) in [("none yet", Keys::default()), ("rotated", set(&other_only))] {
        match source.verify(&raw, &keys, now()) {
            Ok(Verification::KeyNeeded(request)) => assert_eq!(request.uri().to_string(), url, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut weak = published(GOOGLE, KID);
    weak["e"] = json!("AQ");
    let mut half = published(GOOGLE, KID);
    half["n"] = json!("");
    for (name, keys, status, reason) in [
        ("a page", set("<html>"), 503, "unreadable_keys"),
        ("an empty set", set(r#"{"keys":[]}"#), 503, "unreadable_keys"),
        ("an error", set(r#"{"error":"down"}"#), 503, "unreadable_keys"),
        (
            "a key of another use",
            set(&json!({"keys": [published(GOOGLE, KID), published(OTHER, KID)]}).to_string()),
            503,
            "unreadable_keys",
        ),
        (
            "another's key under that name",
            set(&json!({"keys": [published(OTHER, KID)]}).to_string()),
            401,
            "bad_signature",
        ),
        ("a key that signs anything", set(&json!({"keys": [weak]}).to_string()), 401, "bad_signature"),
        ("half a key", set(&json!({"keys": [half]}).to_string()), 401, "bad_signature"),
    ] {
        let refused = source.verify(&raw, &keys, now()).expect_err(name);
        assert_eq!((refused.kind.status(), refused.reason), (status, reason), "{name}");
    }
    // A forged algorithm is refused before anybody is asked for anything.
    let none = pushed(&jwt(GOOGLE, &json!({"alg": "none", "kid": "x"}), &claims()));
    assert_eq!(source.verify(&none, &Keys::default(), now()).unwrap_err().reason, "wrong_algorithm");
    assert!(source.verify(&raw, &keys(), now()).is_ok());
}
