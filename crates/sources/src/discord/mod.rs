//! Discord app subscriptions and one-time purchases: signed webhook events tell of entitlements, Discord's API of the rest.
//!
//! `verify.rs` says who sent an event, `wire.rs` holds Discord's own names, `read.rs` turns entitlements and subscriptions
//! into observations, `ask.rs` makes requests to Discord's API. No event tells renewals and cancellations over HTTP: they are
//! found by asking. <https://discord.com/developers/docs/events/webhook-events>

mod ask;
mod read;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::proof::ed25519::PublicKey;
use crate::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Notification, Proof, RawRequest, Reading, Refusal, Rejection,
    RejectionKind, SettingsError, Source, Upstreams, Verification, Verified, Wanted as Asked, lenient, settings,
};
use ask::{Api, Wanted};
use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, PurchaseKey};
use paidup_lifecycle::time::Timestamp;
use read::Reader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// The largest event; they have about 1 KB.
const MAX_BODY: usize = 256 * 1024;
/// The longest token that is taken as one. Discord's have about 70 characters.
const MAX_TOKEN: usize = 256;
/// Calls a minute, unless it is said otherwise. ASSUMPTION: Discord publishes no limit of these routes; it allows 50 a second
/// over all, which a bot needs for other things too, and says with each answer what is left.
const CALLS_A_MINUTE: u32 = 240;
/// The most that Discord allows over all.
const MOST_CALLS_A_MINUTE: u32 = 50 * 60;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "discord",
    title: "Discord app subscriptions",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["bot_token"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 204,
};

/// Settings of a Discord source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The application's id.
    application_id: String,
    /// The application's public key: 64 hex digits.
    public_key: String,
    /// The bot's token. With it Paidup asks Discord for subscriptions: without, only starts and ends are known.
    #[serde(default)]
    bot_token: Option<String>,
    /// Most calls a minute to Discord's API: what the bot itself does not need of its limit of 3000. Default: 240.
    #[serde(default)]
    calls_a_minute: Option<u32>,
}

/// What reading depends on besides the bytes: the journal keeps it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Policy {
    /// There is a token: what an event does not say is asked for.
    asks: bool,
}

fn open(id: SourceId, raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    let wrong = |pointer: &str, detail: &str| SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() };
    if !wire::is_id(&settings.application_id) {
        return Err(wrong("/application_id", "must be the application's id: a number of 17 to 20 digits, as text"));
    }
    let Some(public_key) = PublicKey::from_hex(&settings.public_key) else {
        return Err(wrong("/public_key", "must be the application's public key: 64 hex digits"));
    };
    let is_token = |token: &String| {
        !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if settings.bot_token.as_ref().is_some_and(|token| !is_token(token)) {
        return Err(wrong("/bot_token", "must be the bot's token as Discord shows it, without `Bot `, or left out"));
    }
    let calls_a_minute = settings.calls_a_minute.unwrap_or(CALLS_A_MINUTE);
    if !(1..=MOST_CALLS_A_MINUTE).contains(&calls_a_minute) {
        return Err(wrong("/calls_a_minute", "must be 1 to 3000"));
    }
    let policy = Policy { asks: settings.bot_token.is_some() };
    let application = settings.application_id;
    let api = settings.bot_token.map(|token| Api::new(&upstreams.discord_api, &application, &token));
    Ok(Box::new(Discord { id, application, public_key, policy, api, calls_a_minute }))
}

/// A Discord source, opened.
struct Discord {
    id: SourceId,
    application: String,
    public_key: PublicKey,
    policy: Policy,
    api: Option<Api>,
    calls_a_minute: u32,
}

impl Discord {
    fn reader(&self, policy: Policy) -> Reader {
        Reader { source: self.id, asks: policy.asks }
    }
}

impl Source for Discord {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        verify::prove(&self.public_key, &raw.headers, &raw.body, now)?;
        let body = lenient::parse(&raw.body)?;
        let envelope = wire::Envelope::new(&body)?;
        envelope.check_application(&self.application)?;
        let Some(event) = envelope.event()? else {
            // A PING is answered, and says nothing that could be kept.
            return Ok(Verification::Verified(Verified { notifications: Vec::new() }));
        };
        event.check_time(now)?;
        let notification = Notification {
            external_id: event.external_id().into(),
            label: event.label(),
            body: raw.body.clone(),
            reading: self.reader(self.policy).event(&event),
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        self.reader(self.policy).kept(external_id, body)
    }

    fn policy(&self) -> Option<String> {
        Some(serde_json::to_string(&self.policy).expect("a flag can always be written as JSON"))
    }

    fn read_kept_under(&self, policy: &str, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let policy: Policy = serde_json::from_str(policy).map_err(|error| {
            let detail = format!("the settings that it was read with cannot be read: {error}");
            Rejection::new(RejectionKind::Malformed, "unreadable_policy", detail)
        })?;
        self.reader(policy).kept(external_id, body)
    }

    // Discord's subscriptions run on past the end of their period while a charge is retried: dates alone end nothing.
    fn can_ask(&self) -> bool {
        true
    }

    fn ask_by(&self, question: &Ask) -> Option<Lookup> {
        self.api.as_ref()?;
        Wanted::of_question(question)
    }

    fn look_up(&self, lookup: &Lookup, _now: Timestamp) -> Option<http::Request<Bytes>> {
        self.api.as_ref()?.look_up(&lookup.name)
    }

    fn refused(&self, wanted: &Asked<'_>, status: http::StatusCode, _body: &[u8]) -> Refusal {
        match (status, wanted) {
            (http::StatusCode::NOT_FOUND, Asked::Lookup(name, context)) => {
                let context = serde_json::from_str(context).unwrap_or_default();
                Wanted::of_name(name).map_or(Refusal::Final, |wanted| wanted.not_found(&context))
            }
            (http::StatusCode::NOT_FOUND | http::StatusCode::GONE, _) => Refusal::Final,
            (http::StatusCode::UNAUTHORIZED | http::StatusCode::FORBIDDEN, _) => Refusal::Credentials,
            _ => Refusal::Later,
        }
    }

    fn calls_a_minute(&self) -> Option<u32> {
        Some(self.calls_a_minute)
    }

    /// Discord tells fractions of a second.
    fn ask_again_at(&self, headers: &http::HeaderMap, now: Timestamp) -> Option<Timestamp> {
        let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let wait = seconds("retry-after").or_else(|| seconds("x-ratelimit-reset-after"))?;
        Duration::try_from_secs_f64(wait).ok().map(|wait| now.plus(wait))
    }

    fn reconcile(&self, since: Timestamp, _now: Timestamp) -> Vec<Lookup> {
        match &self.api {
            Some(_) => vec![Wanted::first_page(since)],
            None => Vec::new(),
        }
    }

    fn claim(&self, claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        let Some(id) = claim.subscription_id.as_deref().filter(|id| wire::is_id(id)) else {
            let detail =
                "a purchase at Discord is claimed by `subscription_id`: the subscription's or entitlement's id";
            let rejection = Rejection::new(RejectionKind::WrongAddress, "no_subscription", detail.to_owned());
            return Err(Rejection { pointer: Some("/subscription_id".to_owned()), ..rejection });
        };
        if self.api.is_none() {
            let key = |environment| PurchaseKey { source_id: self.id, environment, store_purchase_id: id.to_owned() };
            return Ok(Claimed::Known(Environment::ALL.iter().map(|environment| key(*environment)).collect()));
        }
        Ok(Claimed::LookUp(Wanted::of_claim(id, claim.product_id.as_deref())))
    }
}
