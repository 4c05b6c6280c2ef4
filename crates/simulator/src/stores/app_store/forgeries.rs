//! Notifications that a hub must refuse: each is a genuine one with one thing wrong, by name.

use super::AppStore;
use super::sign::{Authority, ChainPlan, SignError, header};
use super::wire::{App, Body, Notification};
use crate::stores::forgery::{FORGED, Forgery, MALFORMED, MISDIRECTED, TOO_LARGE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// More than any hub reads: Apple's notifications are about 20 kB.
const OVERSIZED: usize = 8 * 1024 * 1024;
/// Deeper than any reader should follow.
const DEPTH: usize = 10_000;

/// Every forgery of this genuine notification.
pub fn all(store: &AppStore, genuine: &Notification) -> Result<Vec<Forgery>, SignError> {
    let mut all = forged(store, genuine)?;
    all.extend(misdirected(store, genuine)?);
    all.extend(malformed(store, genuine)?);
    Ok(all)
}

fn body(jws: &str) -> Result<Vec<u8>, SignError> {
    Ok(serde_json::to_vec(&Body { signed_payload: jws })?)
}

fn forged(store: &AppStore, genuine: &Notification) -> Result<Vec<Forgery>, SignError> {
    let forgery =
        |name, jws: &str| Ok::<_, SignError>(Forgery { name, headers: vec![], body: body(jws)?, answers: FORGED });
    let chain = |authority: &Authority, plan| {
        let signer = authority.signer(plan)?;
        store.signed_payload(&signer, &store.app, genuine)
    };
    let stranger = Authority::new("Simulated Apple Root CA - G3")?;
    let jws = store.signed_payload(&store.signer, &store.app, genuine)?;
    let (signed, signature) = jws.rsplit_once('.').ok_or(SignError::Signature)?;
    let payload = signed.split('.').nth(1).ok_or(SignError::Signature)?;
    let own = &store.authority;

    // The attacker's root in x5c must not make the attacker's root trusted; nor must the true root beside a false chain.
    let strange = stranger.signer(ChainPlan::default())?;
    let mut mixed = strange.x5c().to_vec();
    mixed[2] = store.signer.x5c()[2].clone();
    let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| SignError::Signature)?;

    Ok(vec![
        forgery("wrong root", &chain(&stranger, ChainPlan::default())?)?,
        forgery("wrong chain under the true root", &strange.sign_bytes(&header("ES256", &mixed), &json)?)?,
        forgery("expired leaf", &chain(own, ChainPlan { leaf_years: (2014, 2016), ..ChainPlan::default() })?)?,
        forgery("leaf without its marker", &chain(own, ChainPlan { leaf_marker: false, ..ChainPlan::default() })?)?,
        forgery(
            "intermediate without its marker",
            &chain(own, ChainPlan { intermediate_marker: false, ..ChainPlan::default() })?,
        )?,
        forgery("tampered payload", &format!("{}.{}.{signature}", store.signer.header(), tampered(&json)))?,
        forgery("tampered signature", &format!("{signed}.{}", flipped(signature)))?,
        forgery("signature cut short", &format!("{signed}.{}", &signature[..signature.len() / 2]))?,
        forgery("alg none", &format!("{}.{payload}.", header("none", store.signer.x5c())))?,
        forgery("alg HS256", &store.signer.sign_bytes(&header("HS256", store.signer.x5c()), &json)?)?,
        forgery("no certificates", &store.signer.sign_bytes(&header("ES256", &[]), &json)?)?,
        forgery(
            "four certificates",
            &store.signer.sign_bytes(&header("ES256", &[store.signer.x5c(), &mixed[..1]].concat()), &json)?,
        )?,
        forgery("inner transaction of a wrong root", &inner_forged(store, &strange, &json)?)?,
    ])
}

/// The outer payload is genuinely signed, the transaction in it is not. Apple would never do it; a hub that trusts the
/// outside only would not notice that it happened to Apple's keys, but a mixed-up proxy is noticed the same way.
fn inner_forged(store: &AppStore, stranger: &super::Signer, json: &[u8]) -> Result<String, SignError> {
    let mut payload: serde_json::Value = serde_json::from_slice(json)?;
    let inner = payload["data"]["signedTransactionInfo"].as_str().and_then(|jws| jws.split('.').nth(1));
    let inner = URL_SAFE_NO_PAD.decode(inner.unwrap_or_default()).map_err(|_| SignError::Signature)?;
    payload["data"]["signedTransactionInfo"] = stranger.sign_bytes(stranger.header(), &inner)?.into();
    store.signer.sign(&payload)
}

fn tampered(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json).replacen("\"version\":\"2.0\"", "\"version\":\"2.1\"", 1);
    URL_SAFE_NO_PAD.encode(text)
}

fn flipped(signature: &str) -> String {
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    std::iter::once(first).chain(signature.chars().skip(1)).collect()
}

fn misdirected(store: &AppStore, genuine: &Notification) -> Result<Vec<Forgery>, SignError> {
    let other = |app: App| {
        let mut said = genuine.clone();
        said.transaction.bundle_id = app.bundle_id.clone();
        said.transaction.environment = app.environment;
        if let Some(renewal) = &mut said.renewal {
            renewal.environment = app.environment;
        }
        store.signed_payload(&store.signer, &app, &said)
    };
    let app = &store.app;
    let forgery =
        |name, jws: &str| Ok::<_, SignError>(Forgery { name, headers: vec![], body: body(jws)?, answers: MISDIRECTED });
    Ok(vec![
        forgery("wrong bundle", &other(App { bundle_id: Arc::from("com.example.other"), ..app.clone() })?)?,
        // Apple's libraries do not check signatures in this environment, so it is the one to ask for.
        forgery("wrong environment", &other(App { environment: "Xcode", ..app.clone() })?)?,
        forgery("wrong app number", &other(App { app_apple_id: app.app_apple_id + 1, ..app.clone() })?)?,
    ])
}

fn malformed(store: &AppStore, genuine: &Notification) -> Result<Vec<Forgery>, SignError> {
    let genuine = store.body(genuine)?;
    let deep = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    let mut not_text = genuine.clone();
    not_text[20] = 0xFF;
    let forgery = |name, body: Vec<u8>| Forgery { name, headers: vec![], body, answers: MALFORMED };
    let deep_inside = store.signer.sign_bytes(store.signer.header(), deep.as_bytes())?;
    let not_json = store.signer.sign_bytes(store.signer.header(), b"not json")?;
    Ok(vec![
        forgery("truncated", genuine[..genuine.len() / 2].to_vec()),
        forgery("empty", Vec::new()),
        forgery("deep nesting", format!("{{\"signedPayload\":{deep}}}").into_bytes()),
        forgery("deep nesting inside the signature", body(&deep_inside)?),
        forgery("not JSON inside the signature", body(&not_json)?),
        forgery("not UTF-8", not_text),
        forgery("no signedPayload", b"{\"signedPayloads\":\"a.b.c\"}".to_vec()),
        forgery("two parts only", body("e30.e30")?),
        Forgery {
            name: "oversized",
            headers: vec![],
            body: [b"{\"signedPayload\":\"", vec![b'A'; OVERSIZED].as_slice(), b"\"}"].concat(),
            answers: TOO_LARGE,
        },
    ])
}
