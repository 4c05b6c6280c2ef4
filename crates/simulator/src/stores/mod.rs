//! The stores that are played: each leads lives of its own kind, tells them in its own words and signs them as the real
//! one does.

pub mod app_store;
pub mod stripe;

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
}

impl StoreKind {
    /// All of them.
    pub const ALL: &'static [StoreKind] = &[StoreKind::AppStore, StoreKind::Stripe];

    /// The `type` of a hub's source for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            StoreKind::AppStore => "app_store",
            StoreKind::Stripe => "stripe",
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
#[error("`{0}` is no store that can be played: app_store and stripe are")]
pub struct UnknownStore(String);

impl FromStr for StoreKind {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<StoreKind, UnknownStore> {
        StoreKind::ALL.iter().copied().find(|kind| kind.word() == text).ok_or_else(|| UnknownStore(text.to_owned()))
    }
}
