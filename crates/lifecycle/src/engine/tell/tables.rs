//! The small tables behind an event: its reason, its place in the bundle, the name that its offer gives it.

use super::Family;
use crate::engine::change::Change;
use crate::engine::classify::Step;
use crate::engine::transitions::{Emit, Row};
use crate::event::{EventType, MoneyKind, PurchaseView};
use crate::observation::{OfferType, Reason};
use crate::purchase::State;

/// The lifecycle event of a row: what a dialect and the money beside it refer to.
pub(super) fn main_event(row: &Row, grade: impl Fn() -> EventType) -> Option<EventType> {
    row.emits.iter().find_map(|emit| match emit {
        Emit::Tell(event) => Some(*event),
        Emit::Grade => Some(grade()),
        Emit::Activate(_)
        | Emit::Deactivate(_)
        | Emit::DeactivateOld
        | Emit::OfferStarted
        | Emit::OfferConverted
        | Emit::OfferNotConverted
        | Emit::Money
        | Emit::Former(_) => None,
    })
}

/// A period begins with the change: what it costs belongs to its event, and cancellations are forgotten.
pub(in crate::engine) fn begins_period(change: Change) -> bool {
    matches!(
        change,
        Change::Bought
            | Change::BoughtAgain
            | Change::StartTold
            | Change::ReactivationTold
            | Change::FirstSeenRenewed
            | Change::FirstSeenRecovered
            | Change::FirstSeenResumed
            | Change::FirstSeenChanged
            | Change::PlanChanged
            | Change::PlanChangedAtRenewal
            | Change::PlanFound
            | Change::ReplacementCame
            | Change::Renewed
            | Change::RenewedLate
            | Change::RenewalTold
            | Change::SignedUpAgain
            | Change::Recovered
            | Change::Resumed
            | Change::Reactivated
            | Change::BoughtOnce
            | Change::Granted
    )
}

pub(super) fn refund_kind(change: Change) -> Option<MoneyKind> {
    match change {
        Change::Revoked | Change::RefundedOnce | Change::RefundKeepsAccess => Some(MoneyKind::Refund),
        Change::RefundUndone | Change::RefundReversed => Some(MoneyKind::Reversal),
        _ => None, // a request or a refusal moves no money
    }
}

/// Why, in RevenueCat's words (lifecycle.md section 9).
pub(super) fn reason(event: EventType, step: &Step, view: &PurchaseView) -> Option<Reason> {
    match event {
        EventType::RenewalDisabled if step.from == State::Revoked => Some(Reason::CustomerSupport),
        EventType::RenewalDisabled => Some(view.cancel_reason.unwrap_or(Reason::Unsubscribe)),
        EventType::GracePeriodStarted | EventType::EnteredBillingRetry | EventType::PaymentFailed => {
            Some(Reason::BillingError)
        }
        EventType::GracePeriodTerminated => Some(view.expiration_reason.unwrap_or(Reason::BillingError)),
        EventType::SubscriptionCancelledDuringGracePeriod | EventType::SubscriptionCancelledDuringPause => {
            Some(view.expiration_reason.unwrap_or(Reason::Unsubscribe))
        }
        EventType::SubscriptionRefundedRevoked | EventType::OneTimeRefunded | EventType::RefundRecorded => {
            Some(Reason::CustomerSupport)
        }
        EventType::PromoRevoked => Some(Reason::DeveloperInitiated),
        EventType::Deactivate | EventType::SubscriptionTerminated | EventType::FamilySharedRevoked => {
            view.expiration_reason
        }
        EventType::SubscriptionPaused => Some(Reason::SubscriptionPaused),
        _ => None, // the others are good news, or no ending
    }
}

pub(super) fn family(event: EventType) -> Family {
    match event {
        EventType::Activate | EventType::Deactivate => Family::Entitlement,
        EventType::TrialStarted
        | EventType::TrialConverted
        | EventType::TrialNotConverted
        | EventType::IntroOfferStarted
        | EventType::IntroOfferConverted
        | EventType::IntroOfferNotConverted
        | EventType::PromoCodeStarted
        | EventType::PromoCodeConverted
        | EventType::PromoCodeNotConverted
        | EventType::PromotionalOfferStarted
        | EventType::PromotionalOfferConverted
        | EventType::PromotionalOfferNotConverted => Family::Offer,
        EventType::TransactionProcessed => Family::Money,
        _ => Family::Lifecycle,
    }
}

pub(super) fn started(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialStarted,
        OfferType::IntroOffer => EventType::IntroOfferStarted,
        OfferType::PromoCode => EventType::PromoCodeStarted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferStarted,
    }
}

pub(super) fn converted(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialConverted,
        OfferType::IntroOffer => EventType::IntroOfferConverted,
        OfferType::PromoCode => EventType::PromoCodeConverted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferConverted,
    }
}

pub(super) fn not_converted(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialNotConverted,
        OfferType::IntroOffer => EventType::IntroOfferNotConverted,
        OfferType::PromoCode => EventType::PromoCodeNotConverted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferNotConverted,
    }
}
