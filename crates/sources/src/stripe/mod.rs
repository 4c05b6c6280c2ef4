//! Stripe Billing, through webhook endpoints with snapshot events.
//!
//! `verify.rs` says who sent an event, `wire.rs` holds Stripe's own names in both generations of its API, `read/` turns
//! objects into observations, `ask.rs` makes requests to Stripe's API and gathers the clues that stand in for its answers
//! where there is no key. <https://docs.stripe.com/billing/subscriptions/webhooks>

mod ask;
mod read;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Notification, Proof, ProvenAnswer, RawRequest, Reading, Rejection,
    RejectionKind, SettingsError, Source, Testing, Upstreams, Verification, Verified, settings,
};
use ask::Api;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, PurchaseKey, Store};
use paidup_lifecycle::time::Timestamp;
use read::{Policy, Reader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use verify::Prover;

/// The largest event. Most are below 10 KB; invoices with many lines are larger.
const MAX_BODY: usize = 1024 * 1024;
/// The longest id of an object, in bytes; Stripe says 255.
const MAX_ID: usize = 255;
/// How many secrets may be live at once: endpoints for live mode, test mode and Connect, each while it is rolled.
const MAX_SECRETS: usize = 16;
/// The longest secret or key that is taken as one. Stripe's have about 110 characters.
const MAX_KEY: usize = 512;
/// The longest time past due that access can be kept, in days.
const MAX_DAYS: u16 = 365;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "stripe",
    title: "Stripe",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["signing_secret", "api_key"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of a Stripe source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The endpoint's signing secret (`whsec_...`); a list when several endpoints send here, or while one is rolled.
    signing_secret: OneOrMore,
    /// A restricted key that may read subscriptions, invoices, invoice payments, charges, refunds, customers and
    /// checkout sessions. With it Paidup asks Stripe where an event does not say enough.
    #[serde(default)]
    api_key: Option<String>,
    /// The key in a subscription's or customer's metadata that holds your customer's id. Default: `user_id`, else
    /// `app_user_id`.
    #[serde(default)]
    metadata_key: Option<String>,
    /// Whether a customer keeps access while a renewal is unpaid and Stripe retries (`past_due`).
    #[serde(default)]
    past_due_access: PastDueAccess,
    /// For how many days access is kept while `past_due`, from the day on which the renewal was due. Default: as long as
    /// Stripe retries.
    #[serde(default)]
    past_due_days: Option<u16>,
    /// Whether a full refund or a lost dispute of the running period ends access, although the subscription itself stays
    /// active at Stripe.
    #[serde(default = "yes")]
    refund_revokes: bool,
}

fn yes() -> bool {
    true
}

/// One text or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What `past_due` means for access.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum PastDueAccess {
    /// Kept, as in a grace period.
    #[default]
    Keep,
    /// Lost at once.
    Drop,
}

fn open(id: SourceId, raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    let wrong = |pointer: &str, detail: &str| SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() };
    let secrets = match settings.signing_secret {
        OneOrMore::One(secret) => vec![secret],
        OneOrMore::More(secrets) => secrets,
    };
    if secrets.is_empty() || secrets.len() > MAX_SECRETS || !secrets.iter().all(|secret| is_key(secret)) {
        let detail = "must be the endpoint's signing secret (whsec_...), or a list of 1 to 16 of them";
        return Err(wrong("/signing_secret", detail));
    }
    if settings.api_key.as_ref().is_some_and(|key| !is_key(key)) {
        return Err(wrong("/api_key", "must be a secret or restricted key (sk_... or rk_...), or left out"));
    }
    let named = settings.metadata_key.as_deref();
    if named.is_some_and(|name| name.is_empty() || name.len() > wire::MAX_METADATA_KEY) {
        return Err(wrong("/metadata_key", "must be a metadata key of 1 to 40 characters"));
    }
    if settings.past_due_days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
        return Err(wrong("/past_due_days", "must be 1 to 365; leave it out to follow Stripe's retries"));
    }
    let policy = Policy {
        metadata_key: settings.metadata_key,
        past_due_access: settings.past_due_access,
        past_due_days: settings.past_due_days,
        refund_revokes: settings.refund_revokes,
        asks: settings.api_key.is_some(),
    };
    let api = settings.api_key.map(|key| Api::new(&upstreams.stripe_api, &key));
    Ok(Box::new(Stripe { id, prover: Prover::new(&secrets), policy, api }))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_KEY && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A Stripe source, opened.
struct Stripe {
    id: SourceId,
    prover: Prover,
    policy: Policy,
    api: Option<Api>,
}

impl Source for Stripe {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        self.prover.prove(&raw.headers, &raw.body, now)?;
        let event = wire::parse(&raw.body)?;
        let event = wire::Event::new(&event)?;
        event.check_time(now)?;
        let notification = Notification {
            external_id: event.id().into(),
            label: event.label(),
            body: raw.body.clone(),
            reading: Reader { source: self.id, policy: &self.policy }.event(event),
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        Reader { source: self.id, policy: &self.policy }.kept(external_id, body)
    }

    fn policy(&self) -> Option<String> {
        Some(serde_json::to_string(&self.policy).expect("texts, numbers and flags can always be written as JSON"))
    }

    fn read_kept_under(&self, policy: &str, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let policy: Policy = serde_json::from_str(policy).map_err(|error| {
            let detail = format!("the settings that it was read with cannot be read: {error}");
            Rejection::new(RejectionKind::Malformed, "unreadable_policy", detail)
        })?;
        Reader { source: self.id, policy: &policy }.kept(external_id, body)
    }

    // Without a key too: dates alone do not end what Stripe renews, its events come seconds after them. Where nobody
    // can be asked, a subscription ends a day after Stripe's last word on it.
    fn can_ask(&self) -> bool {
        true
    }

    fn price_follows(&self) -> bool {
        true
    }

    fn test(&self) -> Testing {
        let how = "in Stripe's dashboard, Developers, Webhooks, choose the endpoint and resend a recent event (or, in test mode, \
                   `stripe trigger customer.subscription.created`); GET /v1/notifications shows it";
        Testing::ByHand(how.to_owned())
    }

    fn ask(&self, question: &Ask, _now: Timestamp) -> Option<http::Request<bytes::Bytes>> {
        self.api.as_ref()?.subscription(&question.store_purchase_id)
    }

    fn look_up(&self, lookup: &Lookup, _now: Timestamp) -> Option<http::Request<bytes::Bytes>> {
        self.api.as_ref()?.look_up(&lookup.name)
    }

    fn store(&self) -> Store {
        Store::Stripe
    }

    // Nothing is signed here: what comes over TLS from Stripe's own address is Stripe's word.
    fn prove_answer(
        &self,
        wanted: &crate::Wanted<'_>,
        body: bytes::Bytes,
        _now: Timestamp,
    ) -> Result<ProvenAnswer, Rejection> {
        match wanted {
            crate::Wanted::Lookup(name, _)
                if matches!(ask::Wanted::of_name(name), Some(ask::Wanted::EventsSince(_))) =>
            {
                let (notifications, rest) = Reader { source: self.id, policy: &self.policy }.events_of(&body)?;
                Ok(ProvenAnswer { body: rest.into(), notifications })
            }
            crate::Wanted::Lookup(..) | crate::Wanted::Purchase(_) => {
                Ok(ProvenAnswer { body, notifications: Vec::new() })
            }
        }
    }

    fn reconcile(&self, since: Timestamp, _now: Timestamp) -> Vec<Lookup> {
        if self.api.is_some() { read::first_pages(since) } else { Vec::new() }
    }

    /// A subscription, by its id. Without a key it counts when Stripe's own events tell of it.
    fn claim(&self, claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        claim.takes_only(&["subscription_id"])?;
        let id = Claim::required(claim.subscription_id.as_ref(), "subscription_id", MAX_ID)?;
        if !id.starts_with("sub_") || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Claim::refused(
                "subscription_id",
                "must be the id of a subscription at Stripe, sub_...".to_owned(),
            ));
        }
        if self.api.is_some() {
            return Ok(Claimed::LookUp(vec![read::claimed(id)]));
        }
        let key = |environment| PurchaseKey { source_id: self.id, environment, store_purchase_id: id.to_owned() };
        Ok(Claimed::Known(vec![key(Environment::Production), key(Environment::Sandbox)]))
    }
}
