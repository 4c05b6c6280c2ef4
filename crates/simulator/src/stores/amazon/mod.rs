//! The Amazon Appstore: real-time notifications as SNS delivers them, and what receipt verification answers
//! (`standins/amazon`).
//!
//! Nothing flows before the endpoint has confirmed its subscription to the topic. A notification is only a hint: Amazon
//! tells receivers to verify the receipt every time. What is said is decided in `lives`; what is wrong on purpose stands in
//! `forgeries`.

pub mod forgeries;
pub(crate) mod lives;
pub mod shelf;
pub mod sns;
#[cfg(test)]
mod tests;
pub mod wire;

use super::{CannotTell, Feed, Played, StoreKind};
use crate::catalogue::{PLANS, Plan};
use crate::chance::Chance;
use crate::lives::Said;
use crate::population::Shop;
use crate::rsa::Holder;
use serde_json::{Value, json};
use shelf::Shelf;
use sns::{Signer, SnsError, Version};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{App, Notification};

/// The path of the certificate that signs.
pub const CERTIFICATE_PATH: &str = "/SimpleNotificationService-5517a1a7ed517a1a7ed517a1a7ed0001.pem";

/// An app in the Amazon Appstore, with its topic.
pub struct Amazon {
    app: App,
    topic_arn: String,
    shared_secret: String,
    /// What confirms the subscription.
    token: String,
    version: Version,
    signer: Signer,
    /// Where certificate and confirmation are served; AWS's own until a stand-in plays it.
    origin: Mutex<String>,
    is_confirmed: AtomicBool,
    shelf: Mutex<Shelf>,
    /// Hubs may verify receipts.
    is_asked: bool,
}

impl Amazon {
    /// A topic of its own for each seed; every second one signs with version 1. `is_asked`: the hub gets the shared secret.
    pub fn new(seed: u64, app: App, is_asked: bool) -> Result<Amazon, SnsError> {
        let mut chance = Chance::new(seed, u64::MAX - 1);
        let mut word = || format!("{:016x}{:016x}", chance.draw(), chance.draw());
        let (topic, secret, token) = (word(), word(), word());
        Ok(Amazon {
            app,
            topic_arn: format!("arn:aws:sns:us-east-1:000000000000:{topic}"),
            shared_secret: format!("2:{secret}:{topic}"),
            token,
            version: if seed.is_multiple_of(2) { Version::Two } else { Version::One },
            signer: Signer::new(Holder::Sns, (2020, 2060))?,
            origin: Mutex::new("https://sns.us-east-1.amazonaws.com".to_owned()),
            is_confirmed: AtomicBool::new(false),
            shelf: Mutex::default(),
            is_asked,
        })
    }

    /// The app that sells.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// `topic_arn` of the source.
    #[must_use]
    pub fn topic_arn(&self) -> &str {
        &self.topic_arn
    }

    /// `shared_secret` of the source.
    #[must_use]
    pub fn shared_secret(&self) -> &str {
        &self.shared_secret
    }

    /// What is served at `SigningCertURL`, in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        self.signer.certificate()
    }

    /// What receipt verification knows.
    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on SNS is at this origin (without a slash at the end).
    pub fn serve_at(&self, origin: &str) {
        origin.clone_into(&mut self.origin.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// `https://sns.us-east-1.amazonaws.com`, or what stands in for it.
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The endpoint called the `SubscribeURL`; false: with a wrong topic or token.
    pub fn confirm(&self, topic_arn: &str, token: &str) -> bool {
        let is_right = topic_arn == self.topic_arn && token == self.token;
        self.is_confirmed.fetch_or(is_right, Ordering::SeqCst);
        is_right
    }

    /// Whether the endpoint has confirmed.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.is_confirmed.load(Ordering::SeqCst)
    }

    /// What SNS asks a new endpoint.
    #[must_use]
    pub fn confirmation(&self, now_ms: i64) -> Vec<u8> {
        let message = format!(
            "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL included in this message.",
            self.topic_arn
        );
        let mut envelope = sns::envelope(
            "SubscriptionConfirmation",
            "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            &self.topic_arn,
            &message,
            now_ms,
        );
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "ConfirmSubscription"), ("TopicArn", &self.topic_arn), ("Token", &self.token)])
            .finish();
        envelope.insert("Token".to_owned(), self.token.as_str().into());
        envelope.insert("SubscribeURL".to_owned(), format!("{}/?{query}", self.origin()).into());
        self.sealed(&self.signer, envelope)
    }

    /// The body of a notification.
    #[must_use]
    pub fn body(&self, notification: &Notification) -> Vec<u8> {
        let message = notification.json(&self.app).to_string();
        let id = &notification.message_id;
        let mut envelope = sns::envelope("Notification", id, &self.topic_arn, &message, notification.at + DELIVERY_MS);
        let unsubscribe = format!("{}/?Action=Unsubscribe&SubscriptionArn={}:{id}", self.origin(), self.topic_arn);
        envelope.insert("UnsubscribeURL".to_owned(), unsubscribe.into());
        self.sealed(&self.signer, envelope)
    }

    fn sealed(&self, signer: &Signer, mut envelope: serde_json::Map<String, Value>) -> Vec<u8> {
        envelope.insert("SigningCertURL".to_owned(), format!("{}{CERTIFICATE_PATH}", self.origin()).into());
        signer.signed(self.version, envelope).to_string().into_bytes()
    }
}

/// The way from the Appstore to SNS.
const DELIVERY_MS: i64 = 7;

impl Played for Amazon {
    fn kind(&self) -> StoreKind {
        StoreKind::Amazon
    }

    fn title(&self) -> &'static str {
        "Simulated Amazon Appstore"
    }

    fn config(&self) -> Value {
        let mut config = json!({"topic_arn": self.topic_arn});
        if self.is_asked {
            config["shared_secret"] = self.shared_secret.as_str().into();
        }
        config
    }

    /// A term's SKU says what is paid for, so it is the product.
    fn products(&self) -> Vec<(&'static Plan, String)> {
        PLANS.iter().map(|plan| (plan, plan.id.to_owned())).collect()
    }

    fn shop(&self) -> Shop {
        Shop::Amazon(self.app.clone())
    }

    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell> {
        let Said::Amazon(notification) = said else { return Err(CannotTell::Misplaced) };
        Ok(Amazon::body(self, notification))
    }

    /// These headers are not signed: nothing may depend on them.
    fn headers(&self, _body: &[u8], _now_ms: i64) -> Vec<(&'static str, String)> {
        vec![("x-amz-sns-message-type", "Notification".to_owned()), ("x-amz-sns-topic-arn", self.topic_arn.clone())]
    }

    fn content_type(&self) -> &'static str {
        "text/plain; charset=UTF-8"
    }

    fn opening(&self, now_ms: i64) -> Option<Vec<u8>> {
        (!self.is_confirmed()).then(|| self.confirmation(now_ms))
    }

    fn is_open(&self) -> bool {
        self.is_confirmed()
    }

    fn follow(&self, lives: Feed) {
        let notifications = lives.filter_map(|(at, told)| match told.said {
            Said::Amazon(notification) => Some((at, *notification)),
            Said::AppStore(_) | Said::Stripe(_) | Said::Play(_) | Said::Discord(_) => None,
        });
        self.shelf().follow(Box::new(notifications));
    }

    fn freeze(&self) {
        self.shelf().freeze();
    }
}
