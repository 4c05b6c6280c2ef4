//! Stripe: an account with one webhook endpoint that signs its events as Stripe does, and what its API shows
//! (`standins/stripe`).
//!
//! One turn of a life often makes several events, and the period moves before the money does: an invoice is a draft for
//! about an hour. Everything is written by hand from Stripe's API reference, in both shapes ([`shape::Shape`]).

pub mod account;
pub(crate) mod lives;
pub mod objects;
pub mod render;
pub mod shape;
#[cfg(test)]
mod tests;

use super::{CannotTell, Feed, Played, StoreKind};
use crate::catalogue::{PLANS, Plan, STOREFRONTS};
use crate::lives::Said;
use crate::population::Shop;
use account::Account;
use objects::{Event, Price};
use render::Pen;
use ring::hmac;
use serde_json::{Value, json};
use shape::Shape;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An account, for one endpoint.
pub struct Stripe {
    pen: Pen,
    secret: String,
    /// While the endpoint's secret is rolled, the old one signs too.
    old_secret: Option<String>,
    api_key: String,
    /// Hubs may ask its API.
    is_asked: bool,
    account: Arc<Mutex<Account>>,
}

impl Stripe {
    /// An account of its own for each seed. Its secrets open nothing but simulations. Every third one is in the middle of
    /// rolling its signing secret. `is_asked`: hubs may ask its API.
    #[must_use]
    pub fn new(seed: u64, shape: Shape, live: bool, is_asked: bool) -> Stripe {
        let mut chance = crate::chance::Chance::new(seed, u64::MAX);
        let mut word = || format!("{:016x}{:016x}", chance.draw(), chance.draw());
        let (secret, old, key) = (word(), word(), word());
        Stripe {
            pen: Pen { shape, live, names_products: !is_asked },
            secret: format!("whsec_{secret}"),
            old_secret: seed.is_multiple_of(3).then(|| format!("whsec_{old}")),
            api_key: format!("rk_{}_{key}", if live { "live" } else { "test" }),
            is_asked,
            account: Arc::default(),
        }
    }

    /// How it writes.
    #[must_use]
    pub const fn pen(&self) -> Pen {
        self.pen
    }

    /// `signing_secret` of the source.
    #[must_use]
    pub fn signing_secret(&self) -> &str {
        &self.secret
    }

    /// `api_key` of the source: a restricted key.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// What its API shows.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a webhook: indented, as Stripe sends it.
    pub fn body(&self, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(&self.pen.event(event))
    }

    /// `Stripe-Signature` for a body sent at `now_ms`: every attempt is signed anew.
    #[must_use]
    pub fn signature(&self, body: &[u8], now_ms: i64) -> String {
        let at = now_ms.div_euclid(1000);
        let signed = |secret: &str| signature(secret, at, body);
        match &self.old_secret {
            // The old one first: a reader that looks at one signature only must fail.
            Some(old) => format!("t={at},v1={},v1={},v0={}", signed(old), signed(&self.secret), signed("v0")),
            None => format!("t={at},v1={},v0={}", signed(&self.secret), signed("v0")),
        }
    }
}

/// HMAC-SHA256 over `t.body`, in lower-case hex. The key is the secret as text, prefix included.
#[must_use]
pub fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[at.to_string().as_bytes(), b".", body].concat());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Played for Stripe {
    fn kind(&self) -> StoreKind {
        StoreKind::Stripe
    }

    fn title(&self) -> &'static str {
        "Simulated Stripe"
    }

    fn config(&self) -> Value {
        let mut config = json!({"signing_secret": self.secret});
        if self.is_asked {
            config["api_key"] = self.api_key.as_str().into();
        }
        config
    }

    /// Stripe has a price of each product for each currency, and these are what customers are on.
    fn products(&self) -> Vec<(&'static Plan, String)> {
        let prices = |plan| STOREFRONTS.iter().map(move |storefront| Price { plan, storefront });
        PLANS.iter().flat_map(prices).map(|price| (price.plan, price.id())).collect()
    }

    fn shop(&self) -> Shop {
        Shop::Stripe(self.pen.shape)
    }

    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell> {
        let Said::Stripe(event) = said else { return Err(CannotTell::Misplaced) };
        Stripe::body(self, event).map_err(CannotTell::because)
    }

    /// Every attempt is signed anew.
    fn headers(&self, body: &[u8], now_ms: i64) -> Vec<(&'static str, String)> {
        vec![("stripe-signature", self.signature(body, now_ms))]
    }

    fn follow(&self, lives: Feed) {
        let events = lives.filter_map(|(at, told)| match told.said {
            Said::Stripe(event) => Some((at, *event)),
            Said::AppStore(_) | Said::Play(_) | Said::Amazon(_) | Said::Discord(_) => None,
        });
        self.account().follow(Box::new(events));
    }

    fn freeze(&self) {
        self.account().freeze();
    }
}
