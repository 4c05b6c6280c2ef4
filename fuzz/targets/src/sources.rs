//! Everything that a source reads: notifications that their store signed, bodies that were kept, answers of the store's
//! API, claims of an app's backend.
//!
//! The first byte says what is done, the second whether the source has all settings (`1`) or the fewest. `v`: the rest is
//! signed and verified. `k`: the rest is an external id, a line break, a body. `a`: the rest is `P <purchase>` or
//! `L <name> <context>`, a line break, an answer. `c`: the rest is a claim as JSON.

use crate::shop::{Kind, NOW, Shop, is_upstream};
use bytes::Bytes;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::purchase::Purchase;
use paidup_sources::{
    Ask, Claimed, Lookup, Notification, Reading, Source, Verification, Verified, Wanted, answer_id, looked_up_id,
};
use std::fmt::Debug;

/// The most observations that one body may give: the generic source's bound on elements.
const MAX_OBSERVATIONS: usize = 1_000;
/// The most lookups, clues, links and groups of ids of one body.
const MAX_OTHERS: usize = 2_500;
/// The longest name of a purchase, and the longest external id and label.
const MAX_NAME: usize = 1_024;
/// An answer's external id holds a lookup's context.
const MAX_ID: usize = Lookup::MAX_NAME + Lookup::MAX_CONTEXT + 100;

/// The target of a kind of source.
pub(crate) fn any(kind: Kind, data: &[u8]) {
    let [what, settings, rest @ ..] = data else { return };
    let source = Shop::get().source(kind, *settings == b'1');
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (first, body) = (&rest[..line], rest.get(line + 1..).unwrap_or_default());
    match (what, std::str::from_utf8(first)) {
        (b'v', _) => verified(kind, source, rest),
        (b'k', Ok(external_id)) => read(source, external_id, body),
        (b'a', Ok(wanted)) => answered(kind, source, wanted, body),
        (b'c', _) => claimed(kind, source, rest),
        _ => {}
    }
}

fn verified(kind: Kind, source: &dyn Source, body: &[u8]) {
    let raw = Shop::get().signed(kind, body);
    let verify = || source.verify(&raw, Shop::get().keys(), NOW);
    match verify() {
        Ok(Verification::Verified(first)) => {
            let Ok(Verification::Verified(second)) = verify() else { panic!("verified once and then not") };
            assert_eq!(first, second, "verified alike");
            check_verified(source, &first);
        }
        Ok(Verification::KeyNeeded(request)) => assert!(is_upstream(request.uri()), "{}", request.uri()),
        Err(rejection) => {
            assert!(rejection.detail.len() < 4_096, "a refusal is short: {}", rejection.detail.len());
            // Parts of Apple's payload are signed on their own: a text in their place is a forgery in an honest one.
            let is_proof = rejection.reason == "wrong_signature" && kind != Kind::AppStore;
            assert!(!is_proof, "what is signed right is refused as a forgery: {}", rejection.detail);
        }
    }
}

/// What was proven is kept, and reads again alike, under the settings of then too.
pub(crate) fn check_verified(source: &dyn Source, verified: &Verified) {
    assert!(verified.notifications.len() <= MAX_OBSERVATIONS);
    for notification in &verified.notifications {
        check_notification(source, notification);
    }
}

fn check_notification(source: &dyn Source, notification: &Notification) {
    let Notification { external_id, label, body, reading } = notification;
    assert!(!external_id.is_empty() && external_id.len() <= MAX_NAME, "external id of {} bytes", external_id.len());
    assert!(label.len() <= MAX_NAME, "label of {} bytes", label.len());
    let again = source.read_kept(external_id, body);
    assert_eq!(again.as_ref(), Ok(reading), "what was proven reads again alike");
    if let Some(policy) = source.policy() {
        let under = source.read_kept_under(&policy, external_id, body);
        assert_eq!(under.as_ref(), Ok(reading), "and under the settings of then");
    }
    if let Some(packed) = source.pack(body) {
        assert_eq!(source.unpack(&packed).as_deref(), Ok(&body[..]), "packed and unpacked");
    }
    check_reading(source, reading);
}

fn read(source: &dyn Source, external_id: &str, body: &[u8]) {
    if let Some(packed) = source.pack(body) {
        assert_eq!(source.unpack(&packed).as_deref(), Ok(body), "packed and unpacked, whatever it is");
    }
    let Ok(reading) = source.read_kept(external_id, body) else { return };
    assert_eq!(source.read_kept(external_id, body).as_ref(), Ok(&reading), "read alike");
    check_reading(source, &reading);
}

fn answered(kind: Kind, source: &dyn Source, wanted: &str, body: &[u8]) {
    let (wanted, id) = match wanted.split_once(' ') {
        Some(("P", purchase)) => (Wanted::Purchase(purchase), answer_id(NOW, purchase)),
        Some(("L", rest)) => {
            let (name, context) = rest.split_once(' ').unwrap_or((rest, ""));
            if name.len() > Lookup::MAX_NAME || context.len() > Lookup::MAX_CONTEXT {
                return; // the hub keeps none of those
            }
            (Wanted::Lookup(name, context), looked_up_id(NOW, name, context))
        }
        Some(_) | None => return,
    };
    let mut body = Bytes::copy_from_slice(body);
    if kind == Kind::AppStore
        && let Ok(mut answer) = serde_json::from_slice(&body)
    {
        Shop::get().sign_parts(&mut answer);
        body = answer.to_string().into();
    }
    let Ok(proven) = source.prove_answer(&wanted, body, NOW) else { return };
    proven.notifications.iter().for_each(|notification| check_notification(source, notification));
    let Ok(reading) = source.read_kept(&id, &proven.body) else { return };
    assert_eq!(source.read_kept(&id, &proven.body).as_ref(), Ok(&reading), "read alike");
    check_reading(source, &reading);
}

fn claimed(kind: Kind, source: &dyn Source, claim: &[u8]) {
    let Ok(mut claim) = serde_json::from_slice::<serde_json::Value>(claim) else { return };
    let transaction = claim.get_mut("signed_transaction").filter(|it| kind == Kind::AppStore && it.is_object());
    if let Some(transaction) = transaction {
        *transaction = Shop::get().sign_within(transaction.to_string().as_bytes()).into();
    }
    let Ok(claim) = serde_json::from_value(claim) else { return };
    match source.claim(&claim, NOW) {
        Ok(Claimed::Notification(notification)) => check_notification(source, &notification),
        Ok(Claimed::LookUp(lookups)) => lookups.iter().for_each(|lookup| check_lookup(source, lookup)),
        Ok(Claimed::Known(keys)) => {
            assert!(keys.iter().all(|key| key.store_purchase_id.len() <= MAX_NAME), "a purchase's name is bounded");
        }
        Err(rejection) => assert!(rejection.detail.len() < 4_096, "a refusal is short"),
    }
}

fn same_json<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_vec(value).expect("our own words are JSON");
    assert_eq!(serde_json::from_slice::<T>(&json).as_ref().ok(), Some(value), "{}", String::from_utf8_lossy(&json));
}

fn check_reading(source: &dyn Source, reading: &Reading) {
    assert!(reading.observations.len() <= MAX_OBSERVATIONS, "{} observations", reading.observations.len());
    for (what, count) in [
        ("lookups", reading.lookups.len()),
        ("clues", reading.clues.len()),
        ("links", reading.links.len()),
        ("groups of ids", reading.same.len()),
        ("transfers", reading.transfers.len()),
    ] {
        assert!(count <= MAX_OTHERS, "{count} {what}");
    }
    reading.lookups.iter().chain(reading.first.as_deref()).for_each(|lookup| check_lookup(source, lookup));
    for observation in &reading.observations {
        assert!(observation.key.store_purchase_id.len() <= MAX_NAME, "a purchase's name is bounded");
        assert!(observation.id.len() <= MAX_ID, "{} bytes of id", observation.id.len());
        check_observation(source, observation);
    }
}

/// The engine takes it, what it makes of it is kept and found again, and its store can be asked about it.
fn check_observation(source: &dyn Source, observation: &Observation) {
    same_json(observation);
    let owner = observation.facets.owner.as_ref().and_then(|owner| owner.value.as_ref());
    let catalogue = Catalogue::default();
    let context = Context {
        catalogue: &catalogue,
        can_ask: source.can_ask(),
        owner: owner.map(|_| CustomerId([2; 16])),
        price_follows: source.price_follows(),
        had_before: false,
        owner_ids: &[],
        new_owner_ids: &[],
        merges: false,
    };
    let purchase = Purchase::new(observation.key.clone(), observation.store, CustomerId([1; 16]));
    let outcome = advance(purchase, &Input::Observed(observation.clone()), &context, NOW);
    assert_eq!(outcome.purchase.seq, outcome.events.len() as u64, "events are numbered without gaps");
    assert_eq!(outcome.purchase.next_deadline, outcome.next_deadline);
    same_json(&outcome.purchase);
    let facets = &outcome.purchase.facets;
    let ask = Ask {
        store_purchase_id: outcome.purchase.newest_id().to_owned(),
        ask_with: facets.ask_with.as_ref().map(|with| with.value.clone()),
        environment: Some(observation.key.environment),
        kind: facets.kind.as_ref().map(|kind| kind.value),
    };
    if let Some(lookup) = source.ask_by(&ask) {
        check_lookup(source, &lookup);
    }
    if let Some(request) = source.ask(&ask, NOW) {
        assert!(is_upstream(request.uri()), "{}", request.uri());
    }
}

/// Whatever is looked up leads to the store and nowhere else. One that is too long is not kept by the hub.
fn check_lookup(source: &dyn Source, lookup: &Lookup) {
    if !lookup.fits() {
        return;
    }
    if let Some(request) = source.look_up(lookup, NOW) {
        assert!(is_upstream(request.uri()), "{} leads to {}", lookup.name, request.uri());
    }
}
