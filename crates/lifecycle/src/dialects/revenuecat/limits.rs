//! What RevenueCat tells for which store: of the webhook types (`is_told_by`) and of the ten names (`is_told_in`).
//! <https://www.revenuecat.com/docs/integrations/webhooks/event-types-and-fields> and the pages of both integrations.

use super::{IntegrationEvent, Outlet, RcType};
use crate::observation::Store;

/// A column of RevenueCat's matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    AppStore,
    Play,
    Amazon,
    /// Called "Web" in the older pages. ASSUMPTION: Paddle, which has no column, is as Stripe.
    Stripe,
    Promo,
    /// RevenueCat does not sell through it, so it says nothing about limits: there are none.
    None,
}

const fn column(store: Store) -> Column {
    match store {
        Store::AppStore | Store::MacAppStore => Column::AppStore,
        Store::PlayStore => Column::Play,
        Store::Amazon => Column::Amazon,
        Store::Stripe | Store::Paddle => Column::Stripe,
        Store::Promotional => Column::Promo,
        Store::Discord | Store::External => Column::None,
    }
}

/// Whether RevenueCat's webhooks know this type for this store.
#[must_use]
pub const fn is_told_by(rc_type: RcType, store: Store) -> bool {
    let column = column(store);
    if matches!(column, Column::None) {
        return true;
    }
    match rc_type {
        // RevenueCat has it for two stores because only those can be tested from its dashboard; ours tests the line.
        RcType::Test => true,
        RcType::Cancellation | RcType::Expiration | RcType::NonRenewingPurchase => true,
        RcType::InitialPurchase
        | RcType::Renewal
        | RcType::BillingIssue
        | RcType::Transfer
        | RcType::TemporaryEntitlementGrant
        | RcType::SubscriptionExtended => !matches!(column, Column::Promo),
        RcType::Uncancellation => matches!(column, Column::AppStore | Column::Play | Column::Amazon),
        RcType::ProductChange => matches!(column, Column::AppStore | Column::Play | Column::Stripe),
        RcType::SubscriptionPaused => matches!(column, Column::Play),
        RcType::RefundReversed => matches!(column, Column::AppStore),
        // ASSUMPTION: newer than the published matrix; every store that can raise a price.
        RcType::PriceIncreaseConsentRequired | RcType::PriceIncreaseConsentApproved => !matches!(column, Column::Promo),
    }
}

/// Whether the integration tells this name for this store.
#[must_use]
pub const fn is_told_in(outlet: Outlet, event: IntegrationEvent, store: Store) -> bool {
    use IntegrationEvent as I;
    let column = column(store);
    if matches!(column, Column::None) {
        return true;
    }
    let promo = matches!(column, Column::Promo);
    match event {
        I::Cancellation | I::NonSubscriptionPurchase | I::Expiration => true,
        // The Promo column of Intercom's page of 2023-02 has the three trial events, Discord's has not.
        I::TrialStarted | I::TrialConverted | I::TrialCancelled => !promo || matches!(outlet, Outlet::Intercom),
        I::InitialPurchase | I::Renewal | I::BillingIssue => !promo,
        I::ProductChange => !promo && !matches!(column, Column::Amazon),
    }
}
