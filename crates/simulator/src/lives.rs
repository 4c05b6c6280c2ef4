//! What a life is made of, whatever the store: its turns, what is told at each, and what is then true.
//!
//! Each store leads lives of its own kind and tells them in its own words (`stores/*/lives`).

use crate::calendar::Lived;
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::stores::StoreKind;
use crate::stores::app_store::wire::Notification;
use crate::stores::stripe::objects::Event;
use crate::truth::After;
use std::sync::Arc;

/// What a notification means in a life. Every kind occurs in a population of a few hundred (tested); some in one store only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Turn {
    Started,
    TrialStarted,
    IntroStarted,
    CodeRedeemed,
    FamilyShared,
    Renewed,
    TrialConverted,
    OfferConverted,
    PlanChangedAtRenewal,
    RenewalDisabled,
    RenewalEnabled,
    Expired,
    TrialLapsed,
    PriceRefused,
    GraceStarted,
    GraceOver,
    RecoveredInGrace,
    CancelledInGrace,
    RetryStarted,
    RecoveredInRetry,
    GivenUp,
    RefundAsked,
    RefundDeclined,
    RefundedCurrent,
    RefundedEarlier,
    RefundReversed,
    Upgraded,
    ChangeScheduled,
    ChangeWithdrawn,
    PriceRaised,
    PriceAccepted,
    Extended,
    Resubscribed,
    WonBack,
    FamilyRevoked,
    ConsumableBought,
    NonConsumableBought,
    OneTimeRefunded,
    FirstPaymentOpen,
    NeverPaid,
    CancelledNow,
    EndedByMerchant,
    CancelledInPause,
    IntervalChanged,
    QuantityChanged,
    PauseScheduled,
    PauseWithdrawn,
    Paused,
    Resumed,
    CollectionStopped,
    CollectionResumed,
    RenewedUncollected,
    PartlyRefunded,
    RefundFailed,
    DisputeOpened,
    DisputeWon,
    DisputeLost,
    BankAsked,
    BankRefused,
}

impl Turn {
    /// All of them.
    pub const ALL: &'static [Turn] = &[
        Turn::Started,
        Turn::TrialStarted,
        Turn::IntroStarted,
        Turn::CodeRedeemed,
        Turn::FamilyShared,
        Turn::Renewed,
        Turn::TrialConverted,
        Turn::OfferConverted,
        Turn::PlanChangedAtRenewal,
        Turn::RenewalDisabled,
        Turn::RenewalEnabled,
        Turn::Expired,
        Turn::TrialLapsed,
        Turn::PriceRefused,
        Turn::GraceStarted,
        Turn::GraceOver,
        Turn::RecoveredInGrace,
        Turn::CancelledInGrace,
        Turn::RetryStarted,
        Turn::RecoveredInRetry,
        Turn::GivenUp,
        Turn::RefundAsked,
        Turn::RefundDeclined,
        Turn::RefundedCurrent,
        Turn::RefundedEarlier,
        Turn::RefundReversed,
        Turn::Upgraded,
        Turn::ChangeScheduled,
        Turn::ChangeWithdrawn,
        Turn::PriceRaised,
        Turn::PriceAccepted,
        Turn::Extended,
        Turn::Resubscribed,
        Turn::WonBack,
        Turn::FamilyRevoked,
        Turn::ConsumableBought,
        Turn::NonConsumableBought,
        Turn::OneTimeRefunded,
        Turn::FirstPaymentOpen,
        Turn::NeverPaid,
        Turn::CancelledNow,
        Turn::EndedByMerchant,
        Turn::CancelledInPause,
        Turn::IntervalChanged,
        Turn::QuantityChanged,
        Turn::PauseScheduled,
        Turn::PauseWithdrawn,
        Turn::Paused,
        Turn::Resumed,
        Turn::CollectionStopped,
        Turn::CollectionResumed,
        Turn::RenewedUncollected,
        Turn::PartlyRefunded,
        Turn::RefundFailed,
        Turn::DisputeOpened,
        Turn::DisputeWon,
        Turn::DisputeLost,
        Turn::BankAsked,
        Turn::BankRefused,
    ];
}

/// One notification in a life, with the truth after it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The store's lasting id of the purchase: Apple's original transaction id, Stripe's subscription or payment intent.
    pub purchase: Arc<str>,
    /// An id that the hub must know the customer by: the one of the app, if the app told the store, else Stripe's. Some
    /// of Apple's customers have none.
    pub customer: Option<Arc<str>>,
    /// Place in the purchase's life, from 0.
    pub ordinal: u32,
    /// When it happens, in lived time.
    pub at: Lived,
    /// What it means in the life.
    pub turn: Turn,
    /// What the store says.
    pub said: Said,
    /// What is true after it.
    pub after: After,
}

/// A notification, in a store's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An App Store Server Notification.
    AppStore(Box<Notification>),
    /// A Stripe event.
    Stripe(Box<Event>),
}

impl Told {
    /// Which store tells it.
    #[must_use]
    pub const fn store(&self) -> StoreKind {
        match self.said {
            Said::AppStore(_) => StoreKind::AppStore,
            Said::Stripe(_) => StoreKind::Stripe,
        }
    }

    /// What Apple says; `None` from another store.
    #[must_use]
    pub fn app_store(&self) -> Option<&Notification> {
        match &self.said {
            Said::AppStore(notification) => Some(notification),
            Said::Stripe(_) => None,
        }
    }

    /// What Stripe says; `None` from another store.
    #[must_use]
    pub fn stripe(&self) -> Option<&Event> {
        match &self.said {
            Said::AppStore(_) => None,
            Said::Stripe(event) => Some(event),
        }
    }
}

/// What makes one customer differ from the others.
pub(crate) struct Person {
    /// Number in the population.
    pub(crate) number: u32,
    /// When they arrive.
    pub(crate) arrives: Lived,
    /// Tells the runs against one hub apart.
    pub(crate) run: u64,
    /// Decides what happens.
    pub(crate) chance: Chance,
    /// Gives ids.
    pub(crate) names: Chance,
    /// Where they buy.
    pub(crate) storefront: &'static Storefront,
    /// Their id in the app, if the app told Apple.
    pub(crate) token: Option<Arc<str>>,
}
