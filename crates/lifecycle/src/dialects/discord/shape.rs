//! Purchases as Discord's objects: subscriptions, entitlements, SKUs. Pure and without ids of customers, which are kept
//! beside the purchases.
//!
//! ASSUMPTION: Discord knows no other stores, so the projection is ours. A subscription has one SKU, the product in force,
//! and one entitlement, which stays the same over renewals and changes of plan. Only subscriptions are Subscriptions;
//! one-time purchases and grants are entitlements alone.

use super::{Status, status};
use crate::catalogue::{Catalogue, Entitlement, Product, granted_entitlement};
use crate::engine::{self, state};
use crate::event::PurchaseView;
use crate::observation::{Environment, Kind, Standing, Store};
use crate::purchase::{Purchase, State};
use crate::snowflake::Snowflake;
use crate::time::Timestamp;

/// A Subscription without its ids.
/// <https://discord.com/developers/docs/resources/subscription#subscription-object>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionShape {
    /// What is subscribed to.
    pub sku_id: Snowflake,
    /// What it will be at the next renewal; `None`: it will not renew.
    pub renewal_sku_id: Option<Snowflake>,
    /// Whether it gives its entitlement now.
    pub is_entitled: bool,
    /// The entitlement's own id, where Discord sold it.
    pub native_entitlement: Option<Snowflake>,
    /// First moment of the running (or last) period.
    pub period_starts_at: Timestamp,
    /// First moment after it. Discord has no period without an end: one without is said to end at `Timestamp::MAX`.
    pub period_ends_at: Timestamp,
    /// How it stands.
    pub status: Status,
    /// Since when it is cancelled.
    pub canceled_at: Option<Timestamp>,
    /// ISO 3166-1 alpha-2, where told.
    pub country: Option<String>,
}

/// An Entitlement without its ids. <https://discord.com/developers/docs/resources/entitlement#entitlement-object>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitlementShape {
    /// Its own id, where Discord sold it.
    pub native: Option<Snowflake>,
    /// What may be used.
    pub sku_id: Snowflake,
    /// How it came about.
    pub entitlement_type: EntitlementType,
    /// Refunded or withdrawn.
    pub deleted: bool,
    /// First moment.
    pub starts_at: Timestamp,
    /// First moment after it. A subscription that runs has none: its end moves, and Discord tells it by the Subscription.
    pub ends_at: Option<Timestamp>,
    /// It belongs to a Subscription.
    pub of_subscription: bool,
    /// It is one that can be used up.
    pub is_consumable: bool,
}

impl EntitlementShape {
    /// It was over at `now`.
    #[must_use]
    pub fn is_ended(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// It gives access at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.deleted && self.starts_at <= now && !self.is_ended(now)
    }
}

/// How an entitlement came about. <https://discord.com/developers/docs/resources/entitlement#entitlement-object-entitlement-types>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntitlementType {
    /// Bought once.
    Purchase,
    /// Given by hand.
    DeveloperGift,
    /// Bought in a store's sandbox.
    TestModePurchase,
    /// ASSUMPTION: by a subscription. Discord's page and its OpenAPI document say 8; what it sends since 2024-10 is 1.
    ApplicationSubscription,
}

impl EntitlementType {
    /// Discord's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            EntitlementType::Purchase => 1,
            EntitlementType::DeveloperGift => 3,
            EntitlementType::TestModePurchase => 4,
            EntitlementType::ApplicationSubscription => 8,
        }
    }
}

/// What can be bought. <https://discord.com/developers/docs/resources/sku#sku-object>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuShape {
    /// Its id.
    pub id: Snowflake,
    /// What it is.
    pub sku_type: SkuType,
    /// For people.
    pub name: String,
}

/// What an SKU is. <https://discord.com/developers/docs/resources/sku#sku-object-sku-types>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkuType {
    /// Bought or given once and kept.
    Durable,
    /// Used up.
    Consumable,
    /// Renews.
    Subscription,
}

impl SkuType {
    /// Discord's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            SkuType::Durable => 2,
            SkuType::Consumable => 3,
            SkuType::Subscription => 5,
        }
    }

    /// Discord's flags: AVAILABLE, and USER_SUBSCRIPTION for what renews.
    #[must_use]
    pub const fn flags(self) -> u32 {
        const AVAILABLE: u32 = 1 << 2;
        const USER_SUBSCRIPTION: u32 = 1 << 8;
        match self {
            SkuType::Durable | SkuType::Consumable => AVAILABLE,
            SkuType::Subscription => AVAILABLE | USER_SUBSCRIPTION,
        }
    }
}

/// The snowflake that a purchase is to have, unless it is taken: Discord's own id of it, else one minted from its start.
/// `None`: nothing is known yet that began.
#[must_use]
pub fn snowflake(purchase: &Purchase, attempt: u32) -> Option<Snowflake> {
    let start = start_of(purchase)?;
    let native = Snowflake::native(&purchase.key.store_purchase_id);
    let native = native.filter(|_| purchase.store == Store::Discord && attempt == 0);
    Some(native.unwrap_or_else(|| Snowflake::mint(start, &purchase.id.0, attempt)))
}

/// The earliest period that is known; for what has none, when the store first said how it stands.
fn start_of(purchase: &Purchase) -> Option<Timestamp> {
    let first = purchase.first_period.as_ref().map(|period| period.starts_at);
    let period = || purchase.facets.period.as_ref().map(|period| period.value.starts_at);
    let standing = || purchase.facets.standing.as_ref().map(|standing| standing.stamp.as_of);
    first.or_else(period).or_else(standing)
}

/// The SKU of a purchase: its product's; a grant's is its entitlement's.
#[must_use]
pub fn sku_of(purchase: &Purchase, catalogue: &Catalogue) -> Option<Snowflake> {
    sku_named(purchase.store, state::product_of(purchase)?, catalogue)
}

fn sku_named(store: Store, product_id: &str, catalogue: &Catalogue) -> Option<Snowflake> {
    match catalogue.product(store, product_id) {
        Some(product) => product.sku_id,
        None => catalogue.entitlements.get(granted_entitlement(product_id)?)?.sku_id,
    }
}

/// Everything that can be bought or given.
#[must_use]
pub fn skus(catalogue: &Catalogue) -> Vec<SkuShape> {
    let of_product = |product: &Product| {
        let sku_type = match product.kind {
            Some(Kind::Consumable) => SkuType::Consumable,
            Some(Kind::NonConsumable | Kind::NonRenewing | Kind::Grant | Kind::Temporary) => SkuType::Durable,
            Some(Kind::Subscription) | None => SkuType::Subscription,
        };
        let name = product.name.clone().unwrap_or_else(|| product.product_id.clone());
        Some(SkuShape { id: product.sku_id?, sku_type, name })
    };
    let of_entitlement = |entitlement: &Entitlement| {
        let name = entitlement.name.clone().unwrap_or_else(|| entitlement.id.clone());
        Some(SkuShape { id: entitlement.sku_id?, sku_type: SkuType::Durable, name })
    };
    let products = catalogue.products.values().filter_map(of_product);
    let mut skus: Vec<SkuShape> = products.chain(catalogue.entitlements.values().filter_map(of_entitlement)).collect();
    skus.sort_by_key(|sku| sku.id);
    skus.dedup_by_key(|sku| sku.id);
    skus
}

/// The purchase as a Subscription; `None`: it is none, or its product is not in the catalogue.
#[must_use]
pub fn subscription(purchase: &Purchase, catalogue: &Catalogue) -> Option<SubscriptionShape> {
    let view = engine::view(purchase, catalogue);
    if view.kind != Kind::Subscription {
        return None;
    }
    let sku_id = sku_of(purchase, catalogue)?;
    let pending = view.pending.as_ref().map(|pending| pending.product_id.as_str());
    let next = pending.and_then(|product| sku_named(purchase.store, product, catalogue)).unwrap_or(sku_id);
    // ASSUMPTION: a first payment that is open has no period; it is shown as one that is over where it begins.
    let start = start_of(purchase)?;
    let (period_starts_at, period_ends_at) = match &view.period {
        None => (start, start),
        Some(period) => {
            let end = state::end_of_period(&purchase.facets).or(period.ends_at);
            (period.starts_at, end.unwrap_or(Timestamp::MAX))
        }
    };
    Some(SubscriptionShape {
        sku_id,
        renewal_sku_id: renews(&view).then_some(next),
        is_entitled: view.state.has_access(),
        native_entitlement: native_entitlement(purchase),
        period_starts_at,
        period_ends_at,
        status: status(&view),
        canceled_at: canceled_at(&view),
        country: view.country,
    })
}

/// The id that Discord gave the entitlement: those of what it sold are kept.
fn native_entitlement(purchase: &Purchase) -> Option<Snowflake> {
    let told = purchase.facets.entitlement_id.as_ref().filter(|_| purchase.store == Store::Discord)?;
    Snowflake::native(&told.value)
}

/// Whether it is to be charged again. Stores that say nothing of it renew.
fn renews(view: &PurchaseView) -> bool {
    match view.state {
        State::Active => view.will_renew != Some(false),
        State::Pending | State::Grace | State::BillingRetry => true,
        State::None | State::Paused | State::Expired | State::Revoked => false,
    }
}

fn canceled_at(view: &PurchaseView) -> Option<Timestamp> {
    match view.state {
        State::Active | State::Expired | State::Revoked => view.cancelled_at,
        State::None | State::Pending | State::Grace | State::BillingRetry | State::Paused => None,
    }
}

/// The purchase as an Entitlement; `None`: it never gave access, or its product is not in the catalogue.
#[must_use]
pub fn entitlement(purchase: &Purchase, catalogue: &Catalogue) -> Option<EntitlementShape> {
    if matches!(purchase.state, State::None | State::Pending) {
        return None;
    }
    let kind = state::kind_of(&purchase.facets);
    let entitlement_type = match (purchase.key.environment, kind) {
        (Environment::Sandbox, _) => EntitlementType::TestModePurchase,
        (Environment::Production, Kind::Subscription) => EntitlementType::ApplicationSubscription,
        (Environment::Production, Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing) => {
            EntitlementType::Purchase
        }
        (Environment::Production, Kind::Grant | Kind::Temporary) => EntitlementType::DeveloperGift,
    };
    Some(EntitlementShape {
        native: native_entitlement(purchase),
        sku_id: sku_of(purchase, catalogue)?,
        entitlement_type,
        deleted: purchase.state == State::Revoked,
        starts_at: start_of(purchase)?,
        ends_at: access_ends_at(purchase, kind),
        of_subscription: kind == Kind::Subscription,
        is_consumable: kind == Kind::Consumable,
    })
}

/// When access ended, or will end where no renewal can move that.
fn access_ends_at(purchase: &Purchase, kind: Kind) -> Option<Timestamp> {
    let facets = &purchase.facets;
    let by_date = state::end_of_grace(facets).max(state::end_of_period(facets));
    let standing = facets.standing.as_ref();
    let said = |wanted: &[Standing]| {
        standing.filter(|standing| wanted.contains(&standing.value)).map(|standing| standing.stamp.as_of)
    };
    match purchase.state {
        State::None | State::Pending => None,
        State::Active | State::Grace if kind == Kind::Subscription => None,
        State::Active | State::Grace => state::end_of_period(facets),
        State::BillingRetry => earlier(by_date, said(&[Standing::BillingRetry])),
        State::Paused => earlier(state::pause_begins_at(facets), said(&[Standing::Paused])),
        State::Expired => {
            let carrier = purchase.carrier_ended_at.filter(|_| state::carrier_is_gone(purchase));
            earlier(by_date, earlier(said(&[Standing::Expired]), carrier)).or(purchase.heard_at)
        }
        State::Revoked => {
            let transaction = state::current_transaction(facets);
            let refund = state::revoking_refund(facets).and_then(|(id, _)| transaction?.refunds.get(id));
            refund.map(|refund| refund.stamp.as_of).or_else(|| said(&[Standing::Revoked])).or(purchase.heard_at)
        }
    }
}

/// The earlier of two moments, where there are any.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
