//! The stores that are played: each leads lives of its own kind, tells them in its own words and signs them as the real
//! one does.

pub mod amazon;
pub mod app_store;
pub mod discord;
pub mod forgery;
pub mod play;
mod played;
pub mod stripe;

pub use played::{CannotTell, Feed, Outcome, Played};

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A store that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Apple's.
    AppStore,
    /// Stripe Billing and Checkout.
    Stripe,
    /// Google's.
    Play,
    /// Amazon's.
    Amazon,
    /// An app's subscriptions at Discord.
    Discord,
}

impl StoreKind {
    /// All of them.
    pub const ALL: &'static [StoreKind] =
        &[StoreKind::AppStore, StoreKind::Stripe, StoreKind::Play, StoreKind::Amazon, StoreKind::Discord];

    /// The `type` of a hub's source for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            StoreKind::AppStore => "app_store",
            StoreKind::Stripe => "stripe",
            StoreKind::Play => "play",
            StoreKind::Amazon => "amazon",
            StoreKind::Discord => "discord",
        }
    }
}

impl StoreKind {
    /// The `store` of its products in a hub's catalogue.
    #[must_use]
    pub const fn catalogue_word(self) -> &'static str {
        match self {
            StoreKind::AppStore => "APP_STORE",
            StoreKind::Stripe => "STRIPE",
            StoreKind::Play => "PLAY_STORE",
            StoreKind::Amazon => "AMAZON",
            StoreKind::Discord => "DISCORD",
        }
    }

    /// Whether the store shows what happened, and not only how things stand: then a hub can learn of everything that it
    /// did not hear.
    ///
    /// The App Store shows its notifications of 180 days, Stripe its events of 30. Google Play and Amazon show purchases as
    /// they stand, and so does Discord: a renewal between two others, a price, a hold that was paid are gone.
    #[must_use]
    pub const fn has_history(self) -> bool {
        match self {
            StoreKind::AppStore | StoreKind::Stripe => true,
            StoreKind::Play | StoreKind::Amazon | StoreKind::Discord => false,
        }
    }

    /// Whether the store can be asked for all purchases, those too that a hub never heard of. Discord lists its entitlements,
    /// ended and deleted ones as well.
    #[must_use]
    pub const fn lists_purchases(self) -> bool {
        match self {
            StoreKind::AppStore | StoreKind::Stripe | StoreKind::Discord => true,
            StoreKind::Play | StoreKind::Amazon => false,
        }
    }

    /// Whether the store tells when a period began; where it does not, a hub reckons.
    #[must_use]
    pub const fn tells_periods(self) -> bool {
        match self {
            StoreKind::AppStore | StoreKind::Stripe | StoreKind::Discord => true,
            StoreKind::Play | StoreKind::Amazon => false,
        }
    }

    /// Whether there is a notification for everything that happens. Discord tells of entitlements alone: a renewal or a
    /// cancellation only shows to who asks.
    #[must_use]
    pub const fn tells_everything(self) -> bool {
        match self {
            StoreKind::AppStore | StoreKind::Stripe | StoreKind::Play | StoreKind::Amazon => true,
            StoreKind::Discord => false,
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// No store that can be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no store that can be played: {list} are", list = words())]
pub struct UnknownStore(String);

fn words() -> String {
    StoreKind::ALL.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

impl FromStr for StoreKind {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<StoreKind, UnknownStore> {
        StoreKind::ALL.iter().copied().find(|kind| kind.word() == text).ok_or_else(|| UnknownStore(text.to_owned()))
    }
}
