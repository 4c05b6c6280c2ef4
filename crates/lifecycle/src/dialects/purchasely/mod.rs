//! Purchasely's words: event names, statuses, stores, and the flat webhook body of its API version 3.
//! <https://docs.purchasely.com/docs/server-events-attributes>
//!
//! The canonical names are Purchasely's, so an event is always told under its own name; [`is_extension`] marks those
//! that only this hub has.

mod body;
#[cfg(test)]
mod tests;

pub use body::body;

use crate::closed_set;
use crate::event::{Edge, Event, EventType, PurchaseView};
use crate::observation::{Kind, Offer, OfferType, Reason, Store};
use crate::purchase::State;

closed_set! {
    /// Purchasely's families of events.
    pub enum Family {
        /// ACTIVATE and DEACTIVATE: the only ones that steer access.
        Entitlement = "entitlement",
        /// What happened to the subscription.
        Lifecycle = "lifecycle",
        /// What happened to an offer.
        Offer = "offer",
        /// Money moved.
        Transactional = "transactional",
        /// Not Purchasely's: this hub's own.
        Extension = "extension",
    }
}

closed_set! {
    /// `subscription_status`.
    pub enum SubscriptionStatus {
        /// Will renew.
        AutoRenewing = "AUTO_RENEWING",
        /// Will end with the period.
        AutoRenewingCanceled = "AUTO_RENEWING_CANCELED",
        /// The charge failed, access is kept.
        InGracePeriod = "IN_GRACE_PERIOD",
        /// The charge failed, access is lost, the store keeps trying.
        OnHold = "ON_HOLD",
        /// Paused.
        Paused = "PAUSED",
        /// Ended for lack of payment.
        Unpaid = "UNPAID",
        /// Ended otherwise, or given to somebody else.
        Deactivated = "DEACTIVATED",
        /// Refunded or withdrawn.
        Revoked = "REVOKED",
    }
}

closed_set! {
    /// `purchase_type`.
    pub enum PurchaseType {
        /// Used up.
        Consumable = "CONSUMABLE",
        /// Bought for ever.
        NonConsumable = "NON_CONSUMABLE",
        /// Runs for a time and ends.
        NonRenewingSubscription = "NON_RENEWING_SUBSCRIPTION",
        /// Renews by itself.
        RenewingSubscription = "RENEWING_SUBSCRIPTION",
    }
}

/// Which family a canonical event belongs to.
#[must_use]
pub const fn family(event_type: EventType) -> Family {
    use EventType as E;
    match event_type {
        E::Activate | E::Deactivate => Family::Entitlement,
        E::SubscriptionStarted
        | E::SubscriptionRenewed
        | E::SubscriptionReactivated
        | E::SubscriptionUpgraded
        | E::SubscriptionCrossgraded
        | E::SubscriptionDowngraded
        | E::SubscriptionDeferred
        | E::RenewalDisabled
        | E::RenewalEnabled
        | E::SubscriptionTerminated
        | E::FamilySharedRevoked
        | E::GracePeriodStarted
        | E::GracePeriodTerminated
        | E::EnteredBillingRetry
        | E::SubscriptionCancelledDuringGracePeriod
        | E::SubscriptionRecoveredFromGracePeriod
        | E::SubscriptionRecoveredFromBillingRetry
        | E::SubscriptionWillPause
        | E::SubscriptionWillNotPause
        | E::SubscriptionPaused
        | E::SubscriptionUnpaused
        | E::SubscriptionCancelledDuringPause
        | E::SubscriptionTransferred
        | E::SubscriptionReceived
        | E::OneTimePurchaseTransferred
        | E::OneTimePurchaseReceived
        | E::SubscriptionRefundedRevoked
        | E::RetentionMessageRequested => Family::Lifecycle,
        E::TrialStarted
        | E::TrialConverted
        | E::TrialNotConverted
        | E::IntroOfferStarted
        | E::IntroOfferConverted
        | E::IntroOfferNotConverted
        | E::PromoCodeStarted
        | E::PromoCodeConverted
        | E::PromoCodeNotConverted
        | E::PromotionalOfferStarted
        | E::PromotionalOfferConverted
        | E::PromotionalOfferNotConverted => Family::Offer,
        E::TransactionProcessed => Family::Transactional,
        E::PlanChangeScheduled
        | E::PlanChangeUnscheduled
        | E::OneTimePurchased
        | E::OneTimeRefunded
        | E::OneTimeExpired
        | E::PromoGranted
        | E::PromoRevoked
        | E::TemporaryEntitlementGranted
        | E::PaymentFailed
        | E::RefundRequested
        | E::RefundDeclined
        | E::RefundReversed
        | E::RefundRecorded
        | E::PriceIncreasePending
        | E::PriceIncreaseAccepted
        | E::OfferRedeemed
        | E::EntitlementsChanged
        | E::OperatorAlert
        | E::OperatorAlertOver
        | E::Test => Family::Extension,
    }
}

/// Whether only this hub has the event: a receiver made for Purchasely does not know the name.
#[must_use]
pub const fn is_extension(event_type: EventType) -> bool {
    matches!(family(event_type), Family::Extension)
}

/// The status of a purchase. None: nothing was paid yet, or the purchase is no subscription.
#[must_use]
pub fn status(purchase: &PurchaseView) -> Option<SubscriptionStatus> {
    match purchase.kind {
        Kind::Subscription | Kind::Grant => {}
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Temporary => return None,
    }
    match purchase.state {
        State::None | State::Pending => None,
        State::Active if purchase.will_renew == Some(false) => Some(SubscriptionStatus::AutoRenewingCanceled),
        State::Active if purchase.kind == Kind::Grant => Some(SubscriptionStatus::AutoRenewingCanceled),
        State::Active => Some(SubscriptionStatus::AutoRenewing),
        State::Grace => Some(SubscriptionStatus::InGracePeriod),
        State::BillingRetry => Some(SubscriptionStatus::OnHold),
        State::Paused => Some(SubscriptionStatus::Paused),
        // ASSUMPTION: read off Purchasely's sample of a lapsed subscription; the value is not documented.
        State::Expired if purchase.expiration_reason == Some(Reason::BillingError) => Some(SubscriptionStatus::Unpaid),
        State::Expired => Some(SubscriptionStatus::Deactivated),
        State::Revoked => Some(SubscriptionStatus::Revoked),
    }
}

/// The status as an event tells it: to the former owner of a transferred subscription it is DEACTIVATED, although the
/// subscription itself runs on.
#[must_use]
pub fn status_in(event: &Event) -> Option<SubscriptionStatus> {
    let handed_over = event.event_type == EventType::SubscriptionTransferred
        || (event.event_type == EventType::Deactivate && event.edge == Some(Edge::Transferred));
    let status = status(&event.purchase)?;
    Some(if handed_over { SubscriptionStatus::Deactivated } else { status })
}

/// Purchasely's name of the store; stores that it does not sell through keep ours.
#[must_use]
pub const fn store_name(store: Store) -> &'static str {
    match store {
        Store::AppStore | Store::MacAppStore => "APPLE_APP_STORE",
        Store::PlayStore => "GOOGLE_PLAY_STORE",
        Store::Amazon => "AMAZON_APPSTORE",
        Store::Stripe | Store::Paddle | Store::Discord | Store::Promotional | Store::External => store.as_str(),
    }
}

/// `purchase_type`. ASSUMPTION: a grant, which Purchasely does not have, is like a subscription that does not renew.
#[must_use]
pub const fn purchase_type(kind: Kind) -> PurchaseType {
    match kind {
        Kind::Subscription => PurchaseType::RenewingSubscription,
        Kind::Consumable => PurchaseType::Consumable,
        Kind::NonConsumable => PurchaseType::NonConsumable,
        Kind::NonRenewing | Kind::Grant | Kind::Temporary => PurchaseType::NonRenewingSubscription,
    }
}

/// `offer_type`: the canonical names are Purchasely's, and `NONE`.
#[must_use]
pub fn offer_type(offer: Option<&Offer>) -> &'static str {
    offer_type_name(offer.map(|offer| offer.offer_type))
}

const fn offer_type_name(offer_type: Option<OfferType>) -> &'static str {
    match offer_type {
        Some(offer_type) => offer_type.as_str(),
        None => "NONE",
    }
}
