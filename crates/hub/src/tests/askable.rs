//! A source for tests: it proves senders with a key that must be fetched, and can be asked how a purchase stands.
//!
//! Body and answer are the same: `{"purchase", "until", "at"?, "says"?, "replaces"?, "ask_with"?}`. The header `x-proof`
//! says which proof is tried.
//! `from` is the period's start. A page of a list is `{"list": [...], "next"?}`; with the setting `lists` it compares with one, at a
//! start with the list `missed`.
//! What it looks up is a history, `{"history": [...]}` of bodies; one that holds `"forged"` is not believed.
//!
//! Body and answer may name an `environment` and an `owner` too. `says` may be `more`: then another thing has to be looked up. A
//! claim's `signed_transaction` is such a body, `forged` is refused; a `purchase_token` is looked up; a `subscription_id` counts when it
//! is told of.

use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Origin, Period, PurchaseKey, Stamp, Standing, Store,
};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Note, Notification, Proof, ProvenAnswer, RawRequest, Reading,
    Rejection, RejectionKind, SettingsError, Source, Upstreams, Verification, Verified, Wanted, parse_answer_id,
    parse_looked_up_id,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Where its key is.
pub(super) const KEY_URL: &str = "https://keys.test/key";

pub(super) const DEFINITION: Definition = Definition {
    kind: "askable",
    title: "Askable",
    setup: "",
    settings_schema: || schemars::json_schema!({}),
    secrets: &["token"],
    open,
    max_body: 10_000,
    proof: Proof::Store,
    success: 204,
};

fn open(id: SourceId, settings: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    if settings.get().contains("wrong") {
        return Err(SettingsError { pointer: "/token".to_owned(), detail: "the token is wrong".to_owned() });
    }
    Ok(Box::new(Askable(id, settings.get().contains("lists"))))
}

struct Askable(SourceId, bool);

#[derive(Deserialize)]
struct Body {
    purchase: String,
    until: Timestamp,
    at: Option<Timestamp>,
    says: Option<String>,
    replaces: Option<String>,
    ask_with: Option<String>,
    environment: Option<Environment>,
    owner: Option<String>,
    from: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Page {
    list: Vec<Body>,
    next: Option<String>,
}

fn refused(reason: &'static str) -> Rejection {
    Rejection { kind: RejectionKind::Malformed, reason, detail: reason.to_owned(), pointer: None }
}

fn list_page(name: String) -> Lookup {
    Lookup { name, context: String::new(), why: "a test", unless_known: None }
}

impl Askable {
    fn observation(&self, external_id: &str, body: Body) -> Observation {
        let is_claimed = parse_looked_up_id(external_id).is_some_and(|(_, name, _)| name.starts_with("token/"));
        let asked_at = parse_answer_id(external_id).map(|(asked_at, _)| asked_at);
        let asked_at = asked_at.or(parse_looked_up_id(external_id).map(|(asked_at, _, _)| asked_at));
        let origin = if asked_at.is_some() { Origin::Answer } else { Origin::Notification };
        let observed_at = asked_at.or(body.at).unwrap_or(body.until);
        let stamp = Stamp { as_of: observed_at, origin, by: external_id.into() };
        let dated = |standing| Some(Dated { value: standing, stamp: stamp.clone() });
        let period = Period {
            transaction_id: Some(body.until.to_string()),
            starts_at: body.from.unwrap_or(observed_at),
            ends_at: Some(body.until),
        };
        let facets = Facets {
            kind: Some(Dated { value: Kind::Subscription, stamp: stamp.clone() }),
            standing: dated(if body.until > observed_at { Standing::Active } else { Standing::Expired }),
            period: (body.until > observed_at).then(|| Dated { value: period, stamp: stamp.clone() }),
            product: Some(Dated { value: "pro_monthly".to_owned(), stamp: stamp.clone() }),
            owner: body.owner.map(|owner| Dated { value: Some(owner), stamp: stamp.clone() }),
            ask_with: body.ask_with.map(|with| Dated { value: with, stamp: stamp.clone() }),
            ..Facets::default()
        };
        let key = PurchaseKey {
            source_id: self.0,
            environment: body.environment.unwrap_or(Environment::Production),
            store_purchase_id: body.purchase,
        };
        Observation {
            key,
            store: Store::PlayStore,
            id: external_id.into(),
            observed_at,
            origin,
            hint: if asked_at.is_some() && !is_claimed { Hint::Answered } else { Hint::Purchased },
            about_transaction: None,
            facets,
            backfill: false,
            replaces: body.replaces,
            detected_by: None,
        }
    }
}

impl Source for Askable {
    fn verify(&self, raw: &RawRequest, keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        let proof = raw.headers.get("x-proof").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_ne!(proof, "panic", "asked to");
        match keys.0.get(KEY_URL) {
            Some(key) if key == "garbage" => {
                let (reason, detail) = ("garbage", "this is no key".to_owned());
                return Err(Rejection { kind: RejectionKind::Unavailable, reason, detail, pointer: None });
            }
            Some(key) if key == proof => {}
            Some(_) | None => {
                let request = http::Request::get(KEY_URL).body(Bytes::new()).unwrap();
                return Ok(Verification::KeyNeeded(request));
            }
        }
        let external_id: Arc<str> = format!("at {now}").into();
        let reading = self.read_kept(&external_id, &raw.body)?;
        let notification = Notification { external_id, label: "told".to_owned(), body: raw.body.clone(), reading };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn prove_answer(&self, _wanted: &Wanted<'_>, body: Bytes, _now: Timestamp) -> Result<ProvenAnswer, Rejection> {
        let answer: serde_json::Value = serde_json::from_slice(&body).map_err(|_| refused("malformed"))?;
        if answer["says"] == "forged" {
            return Err(refused("forged"));
        }
        let mut notifications = Vec::new();
        for told in answer["history"].as_array().into_iter().flatten() {
            let body = Bytes::from(told.to_string());
            let external_id: Arc<str> = format!("at {}", told["at"].as_str().unwrap()).into();
            let reading = self.read_kept(&external_id, &body)?;
            notifications.push(Notification { external_id, label: "told".to_owned(), body, reading });
        }
        let body = if answer["history"].is_array() { Bytes::from_static(b"{}") } else { body };
        Ok(ProvenAnswer { body, notifications })
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        if body == b"{}" {
            return Ok(Reading::default());
        }
        if let Ok(page) = serde_json::from_slice::<Page>(body) {
            let lookups = page.next.into_iter().map(list_page).collect();
            let observations = page.list.into_iter().map(|one| self.observation(external_id, one)).collect();
            return Ok(Reading { observations, lookups, ..Reading::default() });
        }
        let body: Body = serde_json::from_slice(body).map_err(|_| refused("malformed"))?;
        match body.says.as_deref() {
            Some("test") => {
                let note = Note::Test { environment: Environment::Sandbox, at: body.until };
                return Ok(Reading::noted(note));
            }
            Some("unknown") => return Ok(Reading::noted(Note::Unknown)),
            Some("look") => {
                let lookup =
                    Lookup { name: "history".to_owned(), context: String::new(), why: "a test", unless_known: None };
                return Ok(Reading { lookups: vec![lookup], ..Reading::noted(Note::Informative) });
            }
            Some("more") => return Ok(Reading { lookups: vec![wanted(&body.purchase)], ..Reading::default() }),
            Some(_) | None => {}
        }
        Ok(Reading::observed(self.observation(external_id, body)))
    }

    fn can_ask(&self) -> bool {
        true
    }

    fn ask_by(&self, question: &Ask) -> Option<Lookup> {
        let name = format!("{}/{}", question.ask_with.as_ref()?, question.store_purchase_id);
        Some(Lookup { name, context: String::new(), why: "a test", unless_known: None })
    }

    fn ask(&self, question: &Ask, _now: Timestamp) -> Option<http::Request<Bytes>> {
        let url = format!("https://store.test/{}", question.store_purchase_id);
        Some(http::Request::get(url).body(Bytes::new()).unwrap())
    }

    fn reconcile(&self, _since: Timestamp, _now: Timestamp) -> Vec<Lookup> {
        if self.1 { vec![list_page("list/1".to_owned())] } else { Vec::new() }
    }

    fn missed(&self, _since: Timestamp, _now: Timestamp) -> Vec<Lookup> {
        if self.1 { vec![list_page("missed/1".to_owned())] } else { Vec::new() }
    }

    fn look_up(&self, lookup: &Lookup, _now: Timestamp) -> Option<http::Request<Bytes>> {
        Some(http::Request::get(format!("https://store.test/{}", lookup.name)).body(Bytes::new()).unwrap())
    }

    fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Claimed, Rejection> {
        assert_ne!(claim.product_id.as_deref(), Some("panic"), "asked to");
        if let Some(signed) = &claim.signed_transaction {
            if signed == "forged" {
                let detail = "the signature does not fit".to_owned();
                let pointer = Some("/signed_transaction".to_owned());
                return Err(Rejection { kind: RejectionKind::Forged, reason: "forged", detail, pointer });
            }
            let external_id: Arc<str> = format!("claimed {now}").into();
            let reading = self.read_kept(&external_id, signed.as_bytes())?;
            let body = bytes::Bytes::from(signed.clone());
            return Ok(Claimed::Notification(Notification { external_id, label: "claimed".to_owned(), body, reading }));
        }
        if let Some(token) = &claim.purchase_token {
            return Ok(Claimed::LookUp(vec![wanted(token)]));
        }
        let id = claim.subscription_id.clone().unwrap_or_default();
        let key = PurchaseKey { source_id: self.0, environment: Environment::Production, store_purchase_id: id };
        Ok(Claimed::Known(vec![key]))
    }
}

fn wanted(token: &str) -> Lookup {
    Lookup { name: format!("token/{token}"), context: String::new(), why: "for a claim", unless_known: None }
}
