//! Google Play, through real-time developer notifications that Pub/Sub pushes.
//!
//! `verify.rs` says who pushed, `wire.rs` holds Google's own names, `read/` turns notifications into questions and answers
//! into observations, `ask.rs` makes requests to the Android Publisher API, `account.rs` gets the tokens for it.
//! <https://developer.android.com/google/play/billing/getting-ready#configure-rtdn>

mod account;
mod ask;
mod read;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Notification, Proof, ProvenAnswer, RawRequest, Reading, Refusal,
    Rejection, RejectionKind, SettingsError, Source, Testing, Token, Upstreams, Verification, Verified,
    Wanted as Asked, settings,
};
use account::ServiceAccount;
use ask::{About, Api, Context, Place, Wanted};
use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, Kind, Store};
use paidup_lifecycle::time::Timestamp;
use read::{Policy, Reader};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use verify::{Proven, Prover};

/// The largest push. Notifications have about 1 KB; Pub/Sub allows 10 MB, of which Google Play uses nothing.
const MAX_BODY: usize = 64 * 1024;
/// The longest setting that is a name or an address.
const MAX_NAME: usize = 512;
/// Calls a minute that Google allows an app (the publisher API's default quota).
const CALLS_A_MINUTE: u32 = 3_000;
/// Most products and offers that an operator names.
const MAX_NAMED: usize = 1_000;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "play",
    title: "Google Play",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["credentials"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of a Google Play source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The app's package name, e.g. `com.example.app`. Notifications of other apps are refused.
    package_name: String,
    /// The audience that the push subscription is set up with. Pub/Sub's default is the push address itself.
    audience: String,
    /// The service account that the push subscription is set up with.
    service_account_email: String,
    /// The key file of a service account that may read the app's orders and subscriptions, as a text or as it stands.
    /// Without it nothing can be told of what Google only hints at.
    #[serde(default)]
    credentials: Option<KeyFile>,
    /// The full name of the Pub/Sub subscription, `projects/<project>/subscriptions/<name>`. Pushes of others are refused.
    #[serde(default)]
    subscription: Option<String>,
    /// Whether Paidup acknowledges purchases. By default your app does. What nobody acknowledges within three days, Google
    /// refunds and takes back.
    #[serde(default)]
    acknowledge: bool,
    /// One-time products that are used up and give no lasting access.
    #[serde(default)]
    consumables: Vec<String>,
    /// Offers (their ids) that begin with a free trial, for answers in which Google does not name the phase.
    #[serde(default)]
    trial_offers: Vec<String>,
    /// Most calls a minute to Google's API: your share of the app's quota. Default and maximum: 3000.
    #[serde(default)]
    calls_a_minute: Option<u32>,
}

/// A key file, as a text or as it stands.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum KeyFile {
    Text(String),
    Object(serde_json::Map<String, serde_json::Value>),
}

fn open(id: SourceId, raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    check(&settings)?;
    let account = match &settings.credentials {
        Some(KeyFile::Text(text)) => Some(text.clone()),
        Some(KeyFile::Object(object)) => {
            Some(serde_json::to_string(object).expect("JSON that was read can be written again"))
        }
        None => None,
    };
    let account = account.map(|file| ServiceAccount::open(&file, &upstreams.google_token)).transpose();
    let account = account.map_err(|detail| wrong("/credentials", detail))?;
    let policy = Policy {
        acknowledge: settings.acknowledge,
        consumables: settings.consumables.into_iter().collect(),
        trial_offers: settings.trial_offers.into_iter().collect(),
    };
    let prover = Prover {
        keys_url: upstreams.google_keys.clone(),
        audience: settings.audience,
        email: settings.service_account_email,
        subscription: settings.subscription,
    };
    let api = account.is_some().then(|| Api::new(&upstreams.play_api, &settings.package_name));
    let calls_a_minute = settings.calls_a_minute.unwrap_or(CALLS_A_MINUTE);
    Ok(Box::new(Play { id, prover, policy, package: settings.package_name, api, account, calls_a_minute }))
}

fn wrong(pointer: &str, detail: &str) -> SettingsError {
    SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    let is_name = |text: &str| !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_name(&settings.package_name) || !wire::is_id(&settings.package_name) {
        return Err(wrong("/package_name", "must be the app's package name, e.g. com.example.app"));
    }
    if !is_name(&settings.audience) {
        return Err(wrong("/audience", "must be the audience of the push subscription, without spaces"));
    }
    if !is_name(&settings.service_account_email) || !settings.service_account_email.contains('@') {
        return Err(wrong("/service_account_email", "must be the e-mail address of the pushing service account"));
    }
    if settings.subscription.as_ref().is_some_and(|name| !is_name(name) || !name.contains("/subscriptions/")) {
        return Err(wrong("/subscription", "must be projects/<project>/subscriptions/<name>, or left out"));
    }
    for (pointer, names) in [("/consumables", &settings.consumables), ("/trial_offers", &settings.trial_offers)] {
        if names.len() > MAX_NAMED || !names.iter().all(|name| is_name(name)) {
            return Err(wrong(pointer, "must be a list of at most 1000 ids"));
        }
    }
    if settings.calls_a_minute.is_some_and(|calls| calls == 0 || calls > CALLS_A_MINUTE) {
        return Err(wrong("/calls_a_minute", "must be 1 to 3000"));
    }
    Ok(())
}

/// A Google Play source, opened.
struct Play {
    id: SourceId,
    prover: Prover,
    policy: Policy,
    package: String,
    /// Only with credentials.
    api: Option<Api>,
    account: Option<ServiceAccount>,
    calls_a_minute: u32,
}

impl Play {
    fn reader(&self) -> Reader<'_> {
        Reader { source: self.id, policy: &self.policy }
    }

    fn read(&self, raw: &RawRequest) -> Result<Verified, Rejection> {
        let malformed = |reason: &'static str, detail: String| Rejection::new(RejectionKind::Malformed, reason, detail);
        let envelope: wire::Envelope = serde_json::from_slice(&raw.body).map_err(|error| {
            malformed("no_envelope", format!("the body is no push of Pub/Sub: {}", settings::explain(&error)))
        })?;
        let Some(id) = envelope.message.id() else {
            return Err(malformed("no_message_id", "the message has no messageId".to_owned()));
        };
        self.prover.check(&envelope)?;
        // What Google brought and nobody can read is kept and answered with success: refused, it would come for a week.
        let told = read::notification(&envelope);
        if told.as_ref().is_some_and(|told| told.package_name.as_deref() != Some(&self.package)) {
            let detail = "it is about another app than the source's package_name".to_owned();
            return Err(Rejection::new(RejectionKind::WrongAddress, "wrong_package", detail));
        }
        let notification = Notification {
            external_id: id.into(),
            label: read::label(told.as_ref()),
            body: raw.body.clone(),
            reading: self.reader().told(told.as_ref()),
        };
        Ok(Verified { notifications: vec![notification] })
    }
}

impl Source for Play {
    fn verify(&self, raw: &RawRequest, keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        match self.prover.prove(&raw.headers, keys, now)? {
            Proven::Yes => self.read(raw).map(Verification::Verified),
            Proven::KeysNeeded(request) => Ok(Verification::KeyNeeded(request)),
        }
    }

    fn test(&self) -> Testing {
        let how = "in Play Console open Monetize, Monetization setup, Google Play Billing, and choose Send test notification; \
                   a TEST event shows that it arrived";
        Testing::ByHand(how.to_owned())
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        self.reader().kept(external_id, body)
    }

    fn policy(&self) -> Option<String> {
        Some(serde_json::to_string(&self.policy).expect("texts and flags can always be written as JSON"))
    }

    fn read_kept_under(&self, policy: &str, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let policy: Policy = serde_json::from_str(policy).map_err(|error| {
            let detail = format!("the settings that it was read with cannot be read: {error}");
            Rejection::new(RejectionKind::Malformed, "unreadable_policy", detail)
        })?;
        Reader { source: self.id, policy: &policy }.kept(external_id, body)
    }

    // Without credentials too: dates alone do not end what Google renews. Nothing is known then but what was known before
    // they were taken away.
    fn can_ask(&self) -> bool {
        true
    }

    fn ask(&self, question: &Ask, _now: Timestamp) -> Option<http::Request<Bytes>> {
        let token = Place::of(&question.store_purchase_id).token;
        self.api.as_ref()?.request(&Wanted::Subscription(token).name(), "")
    }

    fn ask_by(&self, question: &Ask) -> Option<Lookup> {
        let token = Place::of(&question.store_purchase_id).token;
        let once = matches!(question.kind, Some(Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing));
        let why = "how a one-time purchase stands";
        once.then(|| Wanted::Product(token).lookup(&Context::of(About::Asked), why))
    }

    fn look_up(&self, lookup: &Lookup, _now: Timestamp) -> Option<http::Request<Bytes>> {
        self.api.as_ref()?.request(&lookup.name, &lookup.context)
    }

    fn prove_answer(&self, _wanted: &Asked<'_>, body: Bytes, _now: Timestamp) -> Result<ProvenAnswer, Rejection> {
        Ok(ProvenAnswer { body: read::without_persons(body), notifications: Vec::new() })
    }

    fn token_request(&self, now: Timestamp) -> Option<http::Request<Bytes>> {
        self.account.as_ref()?.token_request(now)
    }

    fn token(&self, answer: &[u8]) -> Result<Token, Rejection> {
        account::token(answer)
    }

    fn calls_a_minute(&self) -> Option<u32> {
        Some(self.calls_a_minute)
    }

    fn refused(&self, wanted: &Asked<'_>, status: http::StatusCode, body: &[u8]) -> Refusal {
        ask::refused(wanted, status, body)
    }

    // Google lists what was voided, and nothing else: a purchase that nobody told of is found by the app's own backend
    // (`claim`), or by the next notification about it.
    fn reconcile(&self, since: Timestamp, now: Timestamp) -> Vec<Lookup> {
        self.api.as_ref().map(|_| ask::voided_since(since, now)).into_iter().collect()
    }

    fn store(&self) -> Store {
        Store::PlayStore
    }

    fn claim(&self, claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        let refuse = |pointer: &str, detail: &str| Rejection {
            kind: RejectionKind::WrongAddress,
            reason: "no_such_claim",
            detail: detail.to_owned(),
            pointer: Some(pointer.to_owned()),
        };
        let Some(token) = claim.purchase_token.as_deref() else {
            return Err(refuse(
                "/purchase_token",
                "a purchase of Google Play is claimed by purchase_token and product_id",
            ));
        };
        if !wire::is_id(token) {
            return Err(refuse("/purchase_token", "this is no purchase token of Google Play"));
        }
        if self.api.is_none() {
            let environments = [Environment::Production, Environment::Sandbox];
            let key = |environment| ask::key(self.id, environment, Place { token, product: None });
            return Ok(Claimed::Known(environments.map(key).to_vec()));
        }
        let context = Context::of(About::Claimed { product: claim.product_id.clone() });
        Ok(Claimed::LookUp(vec![
            Wanted::Subscription(token).lookup(&context, "an app's backend says that it was bought"),
        ]))
    }
}
