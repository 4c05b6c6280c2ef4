//! Samples with what is read of them, with and without a token, answers, lists, changes of plan, forgeries.

mod answers;
mod changes;
mod forgeries;

use super::DEFINITION;
use crate::{Keys, Lookup, Notification, RawRequest, Reading, Rejection, Source, Verification, golden, looked_up_id};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json, value::to_raw_value};

const APPLICATION: &str = "1100000000000000001";
const USER: &str = "1019653849998299136";
const SKU: &str = "1158857122189168803";
const SKU_2: &str = "1158857122189168804";
const ONCE: &str = "1158857122189168805";
const TOKEN: &str = "bot-token-that-nobody-sees";
/// 2026-01-01.
const T0: i64 = 1_767_225_600_000;
const DAY: i64 = 86_400_000;
/// Of that moment.
const SUBSCRIPTION: &str = "1456074443750113343";

fn key_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn settings(token: Option<&str>) -> Value {
    let mut settings =
        json!({"application_id": APPLICATION, "public_key": hex::encode(key_pair().public_key().as_ref())});
    if let Some(token) = token {
        settings["bot_token"] = json!(token);
    }
    settings
}

fn open_with(settings: &Value) -> Result<Box<dyn Source>, crate::SettingsError> {
    (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(settings).unwrap(), &golden::upstreams())
}

fn open(token: Option<&str>) -> Box<dyn Source> {
    open_with(&settings(token)).unwrap()
}

fn sign(time: &str, body: &[u8]) -> String {
    hex::encode(key_pair().sign(&[time.as_bytes(), body].concat()).as_ref())
}

fn verify_with(
    source: &dyn Source,
    headers: &[(&'static str, &str)],
    body: &[u8],
    now: i64,
) -> Result<Vec<Notification>, Rejection> {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let raw = RawRequest { headers: map, body: body.to_vec().into() };
    match source.verify(&raw, &Keys::default(), Timestamp::from_millis(now * 1000).unwrap())? {
        Verification::Verified(verified) => Ok(verified.notifications),
        Verification::KeyNeeded(_) => panic!("Discord's key is a setting"),
    }
}

/// Signed when all samples are of the past.
fn verify(source: &dyn Source, body: &[u8]) -> Result<Vec<Notification>, Rejection> {
    const LATER: i64 = 1_790_000_000;
    let time = LATER.to_string();
    let signature = sign(&time, body);
    verify_with(source, &[("x-signature-ed25519", &signature), ("x-signature-timestamp", &time)], body, LATER)
}

fn shown(notification: &Notification) -> Value {
    let mut shown = golden::shown(std::slice::from_ref(notification));
    shown[0]["lookups"] = notification.reading.lookups.iter().map(|it| json!([it.name, it.context])).collect();
    shown[0]["same"] = json!(notification.reading.same);
    shown
}

#[test]
fn samples_are_read_as_expected_with_and_without_a_token() {
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("discord/samples") {
        let body = std::fs::read(&path).unwrap();
        let mut both = json!({});
        for (mode, token) in [("with_token", Some(TOKEN)), ("without_token", None)] {
            let source = open(token);
            let notification =
                verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}")).remove(0);
            let kept = source.read_kept(&notification.external_id, &notification.body).unwrap();
            assert_eq!(kept, notification.reading, "{name}: read again from what was kept");
            let (policy, other) = (source.policy().unwrap(), open(token.xor(Some(TOKEN))));
            let under = other.read_kept_under(&policy, &notification.external_id, &notification.body).unwrap();
            assert_eq!(under, notification.reading, "{name}: read again under the settings of that time");
            assert!(!policy.contains(TOKEN));
            both[mode] = shown(&notification)[0].clone();
        }
        wrong.extend(golden::compare(&path, &both));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_do_not_fit_say_where() {
    let with = |name: &str, value: Value| {
        let mut settings = settings(Some(TOKEN));
        settings[name] = value;
        settings
    };
    for (settings, pointer) in [
        (json!({}), ""),
        (with("application_id", json!("my app")), "/application_id"),
        (with("application_id", json!("0")), "/application_id"),
        (with("public_key", json!("abcd")), "/public_key"),
        (with("public_key", json!("zz".repeat(32))), "/public_key"),
        (with("bot_token", json!("")), "/bot_token"),
        (with("bot_token", json!("line\nbreak")), "/bot_token"),
        (with("calls_a_minute", json!(0)), "/calls_a_minute"),
        (with("calls_a_minute", json!(3001)), "/calls_a_minute"),
        (with("bottoken", json!("x")), "/bottoken"),
    ] {
        let error = open_with(&settings).err().map(|error| error.pointer);
        assert_eq!(error.as_deref(), Some(pointer), "{settings}");
    }
    assert_eq!(open(Some(TOKEN)).calls_a_minute(), Some(240));
    assert_eq!(open_with(&with("calls_a_minute", json!(3000))).unwrap().calls_a_minute(), Some(3000));
}
