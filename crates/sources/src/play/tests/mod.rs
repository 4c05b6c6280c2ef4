//! The source as the hub sees it: settings, requests, refusals, and what samples come to.

mod forgeries;
mod reference;
mod rules;
mod samples;

use super::DEFINITION;
use crate::{Keys, Lookup, RawRequest, Reading, Rejection, Source, Verification, Verified, golden, looked_up_id};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use std::time::Duration;

/// The key with which these tests play Google, and one that nobody publishes.
const GOOGLE: &str = include_str!("google.pem");
const OTHER: &str = include_str!("other.pem");
const KID: &str = "key-1";
const AUDIENCE: &str = "https://hub.example.com/ingest/src_1";
const SENDER: &str = "push@example.iam.gserviceaccount.com";

fn pair(pem: &str) -> RsaKeyPair {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap()
}

fn sign(pem: &str, signed: &str) -> String {
    let key = pair(pem);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    URL_SAFE_NO_PAD.encode(signature)
}

/// A token of that header and those claims.
fn jwt(pem: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", sign(pem, &signed))
}

/// The public half of a key as Google publishes it.
fn published(pem: &str, kid: &str) -> Value {
    let public: RsaPublicKeyComponents<Vec<u8>> = pair(pem).public().into();
    json!({"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e)})
}

fn keys() -> Keys {
    let set = json!({"keys": [published(OTHER, "key-0"), published(GOOGLE, KID)]}).to_string();
    Keys([(golden::upstreams().google_keys, set.into())].into())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-01-01T00:00:00Z")
}

fn claims() -> Value {
    let seconds = now().as_seconds();
    json!({"iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": SENDER,
        "email_verified": true, "iat": seconds - 10, "exp": seconds + 3590})
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": KID, "typ": "JWT"})
}

fn key_file() -> Value {
    json!({"type": "service_account", "client_email": "api@example.iam.gserviceaccount.com", "private_key": OTHER,
        "private_key_id": "account-key", "token_uri": "https://oauth2.test/token"})
}

/// A source with credentials; `more` goes into its settings.
fn open(more: Value) -> Box<dyn Source> {
    let mut settings = json!({"package_name": "com.example.app", "audience": AUDIENCE, "service_account_email": SENDER,
        "credentials": key_file()});
    settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &golden::upstreams()).unwrap()
}

/// What Pub/Sub pushes with that notification in it.
fn envelope(id: &str, notification: &Value) -> Vec<u8> {
    let data = STANDARD.encode(notification.to_string());
    json!({"message": {"data": data, "messageId": id, "message_id": id, "publishTime": "2026-01-01T00:00:00Z",
        "attributes": {}}, "subscription": "projects/p/subscriptions/s"})
    .to_string()
    .into_bytes()
}

fn request(token: Option<&str>, body: Vec<u8>) -> RawRequest {
    let mut headers = http::HeaderMap::new();
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    RawRequest { headers, body: body.into() }
}

fn verify(source: &dyn Source, raw: &RawRequest) -> Result<Verified, Rejection> {
    match source.verify(raw, &keys(), now())? {
        Verification::Verified(verified) => Ok(verified),
        Verification::KeyNeeded(request) => panic!("asks for {}", request.uri()),
    }
}

/// What a pushed notification says.
fn told(source: &dyn Source, notification: &Value) -> Reading {
    let token = jwt(GOOGLE, &header(), &claims());
    let verified = verify(source, &request(Some(&token), envelope("1", notification))).unwrap();
    verified.notifications.into_iter().next().unwrap().reading
}

/// The answer to a lookup, asked for at that moment.
fn answered(source: &dyn Source, lookup: &Lookup, asked_at: Timestamp, body: &[u8]) -> Result<Reading, Rejection> {
    source.read_kept(&looked_up_id(asked_at, &lookup.name, &lookup.context), body)
}

fn time_of(notification: &Value) -> Timestamp {
    let millis = notification["eventTimeMillis"].as_str().unwrap().parse().unwrap();
    Timestamp::from_millis(millis).unwrap()
}

fn second_after(notification: &Value) -> Timestamp {
    time_of(notification).plus(Duration::from_secs(1))
}
