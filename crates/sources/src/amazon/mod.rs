//! Amazon Appstore, through real-time notifications over SNS and the receipt verification service (RVS).
//!
//! `verify.rs` says who sent a message, `wire.rs` holds Amazon's own names, `read.rs` says what a notification comes to and
//! `receipt.rs` what a receipt stands for, `term.rs` counts periods, `ask.rs` makes the requests.
//! <https://developer.amazon.com/docs/in-app-purchasing/real-time-notifications.html>

mod ask;
mod read;
mod receipt;
mod term;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::proof::sns::Kind as SnsKind;
use crate::{
    Ask, Claim, Claimed, Definition, Keys, Lookup, Notification, Proof, RawRequest, Reading, Refusal, Rejection,
    RejectionKind, SettingsError, Source, Upstreams, Verification, Verified, Wanted as Asked, settings,
};
use ask::{About, Rvs, Wanted};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{Environment, PurchaseKey, Store};
use paidup_lifecycle::time::Timestamp;
use read::{Policy, Reader};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use verify::{Proven, Prover};
use wire::Message;

/// The largest message: SNS carries 256 KB, written as text inside of text.
const MAX_BODY: usize = 512 * 1024;
/// The longest name of a topic: twelve digits, a region, and a name of 256 characters.
const MAX_ARN: usize = 400;
/// The longest secret that is taken as one. Amazon's have about 90 characters.
const MAX_SECRET: usize = 512;
/// Most prices.
const MAX_PRICES: usize = 1_000;
/// The longest id in a claim.
const MAX_ID: usize = 256;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "amazon",
    title: "Amazon Appstore",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["shared_secret"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of an Amazon source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The topic that Amazon publishes your app's notifications to (`arn:aws:sns:...`). Messages of other topics are refused.
    topic_arn: String,
    /// Your shared key for the receipt verification service. With it Paidup asks Amazon how a receipt stands; without it
    /// nobody gets access, because notifications name no product.
    #[serde(default)]
    shared_secret: Option<String>,
    /// The app's package name. When set, notifications about other apps are refused.
    #[serde(default)]
    package_name: Option<String>,
    /// Which environment is taken; notifications with `betaProductTransaction` are SANDBOX.
    #[serde(default)]
    environment: Environments,
    /// Whether Paidup confirms the subscription to the topic by itself.
    #[serde(default)]
    confirmation: Confirmation,
    /// What a period costs, by term SKU (one-time purchases: by SKU), because Amazon tells no prices:
    /// `{"pro_monthly": {"amount_minor": 499, "currency": "USD"}}`. Without it no money is told.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Price>")]
    prices: BTreeMap<String, Money>,
}

/// An amount in minor units, for the schema.
#[derive(JsonSchema)]
#[allow(dead_code)] // only its shape is used
struct Price {
    /// In minor units: 499 is 4.99 USD.
    amount_minor: i64,
    /// ISO 4217.
    currency: String,
}

/// Which environments are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Environments {
    /// Real purchases.
    Production,
    /// Tests.
    Sandbox,
    /// All.
    #[default]
    Both,
}

/// How the subscription to the topic is confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Confirmation {
    /// Paidup calls the address in the proven message.
    #[default]
    Automatic,
    /// A person copies the token into Amazon's console; `GET /v1/notifications` shows it.
    ByHand,
}

fn open(id: SourceId, raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    check(&settings)?;
    let environment = match settings.environment {
        Environments::Production => Some(Environment::Production),
        Environments::Sandbox => Some(Environment::Sandbox),
        Environments::Both => None,
    };
    let policy = Policy {
        asks: settings.shared_secret.is_some(),
        confirms: settings.confirmation == Confirmation::Automatic,
        prices: settings.prices,
    };
    let rvs = settings.shared_secret.map(|secret| Rvs::new(&upstreams.amazon_rvs, &secret));
    let prover = Prover {
        topic_arn: settings.topic_arn,
        package_name: settings.package_name,
        environment,
        sns: upstreams.amazon_sns.clone(),
    };
    Ok(Box::new(Amazon { id, prover, policy, rvs }))
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    let wrong = |pointer: String, detail: &str| Err(SettingsError { pointer, detail: detail.to_owned() });
    if !is_topic(&settings.topic_arn) {
        let detail = "must be the topic's name, arn:aws:sns:<region>:<account>:<name>; Amazon's first message to this \
                      source names it";
        return wrong("/topic_arn".to_owned(), detail);
    }
    let is_text = |text: &String, longest: usize| {
        !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if settings.shared_secret.as_ref().is_some_and(|secret| !is_text(secret, MAX_SECRET)) {
        return wrong("/shared_secret".to_owned(), "must be your shared key for RVS, or left out");
    }
    if settings.package_name.as_ref().is_some_and(|name| !is_text(name, MAX_ID)) {
        return wrong("/package_name".to_owned(), "must be the app's package name, or left out");
    }
    if settings.prices.len() > MAX_PRICES {
        return wrong("/prices".to_owned(), "must be at most 1000");
    }
    for (sku, price) in &settings.prices {
        if !is_text(sku, MAX_ID) || price.amount_minor < 0 {
            let step = sku.replace('~', "~0").replace('/', "~1");
            return wrong(format!("/prices/{step}"), "must be a term SKU with an amount that is not negative");
        }
    }
    Ok(())
}

fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_plain = arn.len() <= MAX_ARN && arn.bytes().all(|byte| byte.is_ascii_graphic());
    match parts.as_slice() {
        ["arn", partition, "sns", region, account, name] => {
            is_plain && partition.starts_with("aws") && [region, account, name].iter().all(|part| !part.is_empty())
        }
        _ => false,
    }
}

/// An Amazon source, opened.
struct Amazon {
    id: SourceId,
    prover: Prover,
    policy: Policy,
    /// `None`: there is no shared secret.
    rvs: Option<Rvs>,
}

impl Amazon {
    fn reader(&self) -> Reader<'_> {
        Reader { source: self.id, policy: &self.policy }
    }
}

impl Source for Amazon {
    fn verify(&self, raw: &RawRequest, keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        let envelope = match self.prover.prove(&raw.body, keys, now)? {
            Proven::Yes(envelope) => envelope,
            Proven::KeyNeeded(request) => return Ok(Verification::KeyNeeded(request)),
        };
        let malformed = |detail: String| Rejection::new(RejectionKind::Malformed, "unreadable_body", detail);
        let told = match envelope.kind().map_err(|error| malformed(error.to_string()))? {
            SnsKind::Notification => {
                let message = Message::parse(&envelope.message)?;
                self.prover.check(&message)?;
                self.reader().message(&envelope, message)?
            }
            kind @ (SnsKind::SubscriptionConfirmation | SnsKind::UnsubscribeConfirmation) => {
                self.reader().subscription_of_ours(&envelope, kind)
            }
        };
        let notification = Notification {
            external_id: envelope.message_id.as_str().into(),
            label: told.label,
            body: raw.body.clone(),
            reading: told.reading,
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        self.reader().kept(external_id, body)
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

    // Without a secret too: Amazon tells of every end, so dates alone end nothing before a day has passed.
    fn can_ask(&self) -> bool {
        true
    }

    fn ask_by(&self, question: &Ask) -> Option<Lookup> {
        let wanted = Wanted::again(question.ask_with.as_ref()?, question.store_purchase_id.clone())?;
        Some(wanted.lookup(&About::Asked { kind: question.kind }, "how the purchase stands"))
    }

    fn look_up(&self, lookup: &Lookup, _now: Timestamp) -> Option<http::Request<bytes::Bytes>> {
        if let Some(About::Confirm { url }) = About::parse(&lookup.context) {
            return ask::confirmation(&url);
        }
        self.rvs.as_ref()?.request(&Wanted::of_name(&lookup.name)?)
    }

    fn refused(&self, wanted: &Asked<'_>, status: http::StatusCode, _body: &[u8]) -> Refusal {
        let about = match wanted {
            Asked::Lookup(name, context) => Wanted::of_name(name).map(|wanted| (wanted, About::parse(context))),
            Asked::Purchase(_) => None,
        };
        match about {
            Some((wanted, about)) => ask::refused(&wanted, about.as_ref(), status, self.prover.environment.is_none()),
            // A token that ran out, or was used.
            None if status.is_client_error() && status != http::StatusCode::TOO_MANY_REQUESTS => Refusal::Final,
            None => Refusal::Later,
        }
    }

    fn store(&self) -> Store {
        Store::Amazon
    }

    fn claim(&self, claim: &Claim, _now: Timestamp) -> Result<Claimed, Rejection> {
        let (user, receipt) = claimed(claim)?;
        let environments = match self.prover.environment {
            Some(environment) => vec![environment],
            None => vec![Environment::Production, Environment::Sandbox],
        };
        if self.rvs.is_none() {
            let key = |environment| PurchaseKey { source_id: self.id, environment, store_purchase_id: receipt.clone() };
            return Ok(Claimed::Known(environments.into_iter().map(key).collect()));
        }
        // The other environment is looked at when this one does not know it.
        let environment = environments.first().copied().unwrap_or(Environment::Production);
        let wanted = Wanted { environment, user, receipt };
        let lookup = wanted.lookup(&About::Claimed, "a backend says that a customer bought it");
        if !lookup.fits() {
            return Err(Claim::refused("receipt_id", "must be an id of Amazon's".to_owned()));
        }
        Ok(Claimed::LookUp(vec![lookup]))
    }
}

/// User and receipt of a claim.
fn claimed(claim: &Claim) -> Result<(String, String), Rejection> {
    claim.takes_only(&["receipt_id", "user_id"])?;
    let id = |name: &str, given: Option<&String>| {
        let id = Claim::required(given, name, MAX_ID)?;
        let is_id = id.bytes().all(|byte| byte.is_ascii_graphic());
        is_id
            .then(|| id.to_owned())
            .ok_or_else(|| Claim::refused(name, "must be an id of the Appstore SDK's".to_owned()))
    };
    Ok((id("user_id", claim.user_id.as_ref())?, id("receipt_id", claim.receipt_id.as_ref())?))
}
