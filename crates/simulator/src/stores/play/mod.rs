//! Google Play: real-time developer notifications as Pub/Sub pushes them, and what the Developer API shows
//! (`standins/play`).
//!
//! A notification carries no state: whoever gets one has to ask. What is said is decided in `lives`; `push` wraps and
//! signs it; `shelf` is what Google knows at a moment; what is wrong on purpose stands in `forgeries`.

pub mod forgeries;
pub(crate) mod lives;
mod push;
pub mod shelf;
#[cfg(test)]
mod tests;
pub mod wire;

pub(crate) use push::verified;
pub use push::{Google, PushError};

use super::{CannotTell, Feed, Played, StoreKind};
use crate::calendar::MONTH;
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Said;
use crate::population::Shop;
use crate::rsa::{Holder, RsaKey};
use serde_json::{Value, json};
use shelf::Shelf;
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{App, Notification};

/// Where Google hands out tokens: `token_uri` of every service account's key file.
pub const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The service account that a hub asks as.
pub const SERVICE_ACCOUNT: &str = "paidup@simulated-project.iam.gserviceaccount.com";
/// The service account that Pub/Sub pushes as.
pub const PUSH_ACCOUNT: &str = "play-pushes@simulated-project.iam.gserviceaccount.com";
/// What pushes are addressed to: the endpoint's "audience" in Google's console.
pub const AUDIENCE: &str = "https://hub.example/play";
/// The Pub/Sub subscription that pushes.
pub const SUBSCRIPTION: &str = "projects/simulated-project/subscriptions/play-to-paidup";

/// What a hub knows a plan by: the subscription with its base plan, which is named after the period.
#[must_use]
pub fn product_id(plan: &Plan) -> Cow<'static, str> {
    match plan.kind {
        Kind::Subscription => format!("{}:{}", plan.id, base_plan(plan)).into(),
        Kind::Consumable | Kind::NonConsumable => plan.id.into(),
    }
}

const fn base_plan(plan: &Plan) -> &'static str {
    if plan.period > MONTH { "yearly" } else { "monthly" }
}

/// An app in Google Play, with its Pub/Sub subscription.
pub struct Play {
    app: App,
    google: Google,
    shelf: Mutex<Shelf>,
    /// Hubs may ask its API.
    is_asked: bool,
}

impl Play {
    /// `is_asked`: the hub gets a service account's key.
    #[must_use]
    pub fn new(app: App, is_asked: bool) -> Play {
        Play { app, google: Google::new(), shelf: Mutex::default(), is_asked }
    }

    /// The app that sells.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Google, which signs.
    #[must_use]
    pub const fn google(&self) -> &Google {
        &self.google
    }

    /// What its API shows.
    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service account's key file, as Google's console gives it.
    #[must_use]
    pub fn credentials(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": "simulated-project",
            "private_key_id": "simulated",
            "private_key": RsaKey::of(Holder::ServiceAccount).pem(),
            "client_email": SERVICE_ACCOUNT,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": TOKEN_URI,
        })
    }

    /// The body of a push.
    #[must_use]
    pub fn body(&self, notification: &Notification) -> Vec<u8> {
        push::envelope(&self.app, notification, SUBSCRIPTION)
    }
}

impl Played for Play {
    fn kind(&self) -> StoreKind {
        StoreKind::Play
    }

    fn title(&self) -> &'static str {
        "Simulated Google Play"
    }

    fn config(&self) -> Value {
        let mut config = json!({
            "package_name": &*self.app.package_name,
            "audience": AUDIENCE,
            "service_account_email": PUSH_ACCOUNT,
            "subscription": SUBSCRIPTION,
            "consumables": PLANS.iter().filter(|plan| plan.kind == Kind::Consumable).map(|plan| plan.id).collect::<Vec<_>>(),
        });
        if self.is_asked {
            config["credentials"] = self.credentials();
        }
        config
    }

    fn products(&self) -> Vec<(&'static Plan, String)> {
        PLANS.iter().map(|plan| (plan, product_id(plan).into_owned())).collect()
    }

    fn shop(&self) -> Shop {
        Shop::Play(self.app.clone())
    }

    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell> {
        let Said::Play(notification) = said else { return Err(CannotTell::Misplaced) };
        Ok(Play::body(self, notification))
    }

    fn headers(&self, _body: &[u8], now_ms: i64) -> Vec<(&'static str, String)> {
        vec![("authorization", format!("Bearer {}", self.google.push_token(now_ms)))]
    }

    fn follow(&self, lives: Feed) {
        let notifications = lives.filter_map(|(at, told)| match told.said {
            Said::Play(notification) => Some((at, *notification)),
            Said::AppStore(_) | Said::Stripe(_) | Said::Amazon(_) | Said::Discord(_) => None,
        });
        self.shelf().follow(Box::new(notifications));
    }

    fn freeze(&self) {
        self.shelf().freeze();
    }
}
