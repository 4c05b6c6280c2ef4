//! Where fuzzing begins: what the samples of the sources say, as the targets take it. `cargo run -p paidup-fuzz-targets`
//! writes it into `fuzz/corpus`.

use crate::shop::{Kind, NOW, Shop};
use paidup_lifecycle::observation::Observation;
use paidup_sources::{Verification, Verified};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The most samples of a source that are taken.
const MAX_SAMPLES: usize = 24;

/// A seed: its target, a name, the bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// The corpus.
#[must_use]
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The samples of a source: name and JSON, evenly taken out of all.
fn samples(kind: Kind) -> Vec<(String, Value)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/sources/src").join(kind.word()).join("samples");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json") && !name.ends_with(".expected.json")
    });
    paths.sort();
    let step = paths.len().div_ceil(MAX_SAMPLES).max(1);
    let read = |path: &PathBuf| {
        let value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        Some((path.file_stem()?.to_string_lossy().into_owned(), value))
    };
    paths.iter().step_by(step).filter_map(read).collect()
}

/// What the store signs of a sample.
fn notification(kind: Kind, sample: &Value) -> Value {
    match kind {
        Kind::AppStore => {
            let mut payload = sample["payload"].clone();
            for (part, name) in [("transaction", "signedTransactionInfo"), ("renewal", "signedRenewalInfo")] {
                if let Some(part) = sample.get(part) {
                    payload["data"][name] = part.clone();
                }
            }
            payload
        }
        Kind::Play => sample["notification"].clone(),
        Kind::Amazon => sample["message"].clone(),
        Kind::Stripe | Kind::Discord | Kind::Revenuecat | Kind::Purchasely | Kind::Generic => sample.clone(),
    }
}

fn verified(kind: Kind, body: &[u8]) -> Option<Verified> {
    let shop = Shop::get();
    match shop.source(kind, true).verify(&shop.signed(kind, body), shop.keys(), NOW) {
        Ok(Verification::Verified(verified)) => Some(verified),
        Ok(Verification::KeyNeeded(_)) | Err(_) => None,
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (kind, source, proof) in [
        (Kind::AppStore, "source_app_store", Some("proof_app_store")),
        (Kind::Play, "source_play", Some("proof_play")),
        (Kind::Amazon, "source_amazon", Some("proof_amazon")),
        (Kind::Stripe, "source_stripe", Some("proof_stripe")),
        (Kind::Discord, "source_discord", Some("proof_discord")),
        (Kind::Revenuecat, "source_revenuecat", Some("proof_revenuecat")),
        (Kind::Purchasely, "source_purchasely", Some("proof_purchasely")),
        (Kind::Generic, "source_generic", None),
    ] {
        let mut life: Vec<Observation> = Vec::new();
        for (place, (name, sample)) in samples(kind).into_iter().enumerate() {
            let body = notification(kind, &sample).to_string().into_bytes();
            seeds.push((source, name.clone(), [b"v1", body.as_slice()].concat()));
            let Some(verified) = verified(kind, &body) else { continue };
            for notification in verified.notifications {
                if place % 8 == 0 {
                    let kept = [b"k1", notification.external_id.as_bytes(), b"\n", &notification.body].concat();
                    seeds.push((source, format!("{name}_kept"), kept));
                }
                life.extend(notification.reading.observations);
                let Some((lookup, answer)) = notification.reading.lookups.first().zip(sample.get("answer")) else {
                    continue;
                };
                let wanted = format!("a1L {} {}\n{answer}", lookup.name, lookup.context);
                if place % 2 == 0 {
                    seeds.push((source, format!("{name}_answer"), wanted.into_bytes()));
                }
            }
        }
        seeds.extend(
            claims(kind).into_iter().enumerate().map(|(place, claim)| {
                (source, format!("claim_{place}"), [b"c1", claim.to_string().as_bytes()].concat())
            }),
        );
        seeds.extend(lives(kind, &life));
        seeds.extend(proof.into_iter().flat_map(|proof| forgeries(kind, proof)));
    }
    seeds.extend(words());
    seeds
}

fn claims(kind: Kind) -> Vec<Value> {
    match kind {
        Kind::AppStore => {
            let sample = samples(kind).into_iter().find_map(|(_, sample)| sample.get("transaction").cloned());
            vec![json!({"signed_transaction": sample}), json!({"signed_transaction": "a.b.c"})]
        }
        Kind::Play => vec![json!({"purchase_token": "token-1.AO-J1Oz", "product_id": "pro"})],
        Kind::Amazon => vec![json!({"receipt_id": "receipt-1:3:11", "user_id": "io9oFd-user_1="})],
        Kind::Stripe | Kind::Generic => vec![json!({"subscription_id": "sub_1"})],
        Kind::Discord => vec![json!({"subscription_id": "1456074443750113343"})],
        Kind::Revenuecat | Kind::Purchasely => Vec::new(),
    }
}

/// Observations of one source as facets that meet, and as a life.
fn lives(kind: Kind, life: &[Observation]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (place, some) in life.chunks(3).take(3).enumerate() {
        let line = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        let facets: Vec<String> = some.iter().map(|one| line(serde_json::to_string(&one.facets))).collect();
        seeds.push(("facets", format!("{}_{place}", kind.word()), facets.join("\n").into_bytes()));
        let mut lines = vec!["1767225600000".to_owned()];
        for one in some {
            let one = Observation { key: some[0].key.clone(), ..one.clone() };
            lines.extend([line(serde_json::to_string(&one)), "tick".to_owned()]);
        }
        lines.push("unanswered".to_owned());
        seeds.push(("engine", format!("{}_{place}", kind.word()), lines.join("\n").into_bytes()));
    }
    seeds
}

fn forgeries(kind: Kind, proof: &'static str) -> Vec<Seed> {
    let mut seeds: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"e".to_vec()),
        ("first_byte", b"e\x00\x00\x00x".to_vec()),
        ("body", b"e\x01\x10\x00x\x02\x20\x00y".to_vec()),
        ("no_header", b"h".to_vec()),
    ];
    let headers: &[&str] = match kind {
        Kind::AppStore => {
            &["a.b.c", "eyJhbGciOiJFUzI1NiIsIng1YyI6WyJBQSIsIkFBIiwiQUEiXX0.e30.AA", "eyJhbGciOiJub25lIn0.e30."]
        }
        Kind::Play => &[
            "Bearer a.b.c",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImtleS0xIn0.e30.AA",
        ],
        Kind::Amazon => &[
            r#"{"Type":"Notification","MessageId":"id-1","TopicArn":"arn:aws:sns:us-east-1:123456789012:rtn-test","Message":"{}","Timestamp":"2026-09-21T14:13:20.000Z","SignatureVersion":"1","SigningCertURL":"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem","Signature":"AA=="}"#,
            r#"{"Type":"SubscriptionConfirmation","MessageId":"id-1","TopicArn":"arn:aws:sns:us-east-1:123456789012:rtn-test","Token":"t","SubscribeURL":"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription","Message":"m","Timestamp":"2026-09-21T14:13:20.000Z","SignatureVersion":"2","SigningCertURL":"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem","Signature":"AA=="}"#,
        ],
        Kind::Stripe | Kind::Revenuecat => &["t=1790000000,v1=00,v1=ff", "t=1790000000", "v1=,t=", "t=-1,t=1,v1=00"],
        Kind::Discord | Kind::Purchasely => {
            &["00", "zz", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"]
        }
        Kind::Generic => &[],
    };
    let named: Vec<String> = (0..headers.len()).map(|place| format!("header_{place}")).collect();
    seeds.extend(named.iter().zip(headers).map(|(name, text)| (name.as_str(), [b"h", text.as_bytes()].concat())));
    if kind == Kind::Play {
        seeds.push((
            "keys",
            br#"k{"keys":[{"kty":"RSA","kid":"key-1","alg":"RS256","use":"sig","n":"AQAB","e":"AQAB"}]}"#.to_vec(),
        ));
        let claims = r#"{"iss":"https://accounts.google.com","aud":"https://hub.example.com/ingest/src_1","email":"push@example.iam.gserviceaccount.com","email_verified":true,"iat":1789999990,"exp":1790003590}"#;
        for (name, header) in
            [("token", r#"{"alg":"RS256","kid":"key-1"}"#), ("token_hs256", r#"{"alg":"HS256","kid":"key-1"}"#)]
        {
            seeds.push((name, format!("t{header}\n{claims}").into_bytes()));
        }
    }
    if kind == Kind::Amazon {
        let keys = Shop::get().keys().0.values();
        let certificate =
            keys.into_iter().find(|key| key.starts_with(b"-----BEGIN")).map(|pem| [b"k", &pem[..]].concat());
        seeds.extend(certificate.map(|pem| ("certificate", pem)));
    }
    seeds.into_iter().map(|(name, bytes)| (proof, name.to_owned(), bytes)).collect()
}

fn words() -> Vec<Seed> {
    let texts = [
        "2026-01-31T08:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-30T22:00:00.000Z",
        "2026-01-31T08:00:00.123456+01:00",
        "usd",
        "JPY",
        "evt_00000000000000000000000000",
        "cus_7zzzzzzzzzzzzzzzzzzzzzzzzz",
        "1158857122189168803",
        "9223372036854775808",
        "SUBSCRIPTION_STARTED",
        "APP_STORE",
        "lookup/1767225602000/invoice/in_1 {\"a\": 1}",
        "answer/1767225602000/sub_1",
        "reconcile/answer/1767225602000/sub_1",
    ];
    let numbers = [9.99f64, 1e12, -0.005, f64::NAN, 999_999_999_999.995];
    let texts = texts.iter().enumerate().map(|(place, text)| (format!("text_{place}"), text.as_bytes().to_vec()));
    let amounts = numbers
        .iter()
        .enumerate()
        .map(|(place, number)| (format!("amount_{place}"), [number.to_le_bytes().as_slice(), b"KWD"].concat()));
    texts.chain(amounts).map(|(name, bytes)| ("words", name, bytes)).collect()
}
