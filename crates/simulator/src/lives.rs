//! What a life is made of, whatever the store: its turns, what is told at each, and what is then true.
//!
//! Each store leads lives of its own kind and tells them in its own words (`stores/*/lives`).

use crate::calendar::Lived;
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::stores::app_store::wire::Notification;
use crate::stores::stripe::objects::Event;
use crate::stores::{StoreKind, amazon, discord, play};
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
    Confirmed,
    PrepaidStarted,
    ToppedUp,
    Relinked,
    BoughtOutOfApp,
    CancelledOnHold,
    RefundedKept,
    Reminded,
    ChargedAgain,
    PlanEnding,
    PlanBeginning,
    Consumed,
    TestGranted,
    TestWithdrawn,
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
        Turn::Confirmed,
        Turn::PrepaidStarted,
        Turn::ToppedUp,
        Turn::Relinked,
        Turn::BoughtOutOfApp,
        Turn::CancelledOnHold,
        Turn::RefundedKept,
        Turn::Reminded,
        Turn::ChargedAgain,
        Turn::PlanEnding,
        Turn::PlanBeginning,
        Turn::Consumed,
        Turn::TestGranted,
        Turn::TestWithdrawn,
    ];
}

/// One notification in a life, with the truth after it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The store's lasting id of the purchase: Apple's original transaction id, Stripe's subscription or payment intent, the
    /// first of Google's tokens or Amazon's receipts.
    pub purchase: Arc<str>,
    /// The id that the store gives it here, where the store may give a purchase a new one: Google's token, Amazon's receipt.
    pub known_as: Option<Arc<str>>,
    /// An id that the hub must know the customer by: the one of the app, if the app told the store, else Stripe's or
    /// Discord's. Some of Apple's customers have none.
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
    /// A real-time developer notification of Google Play.
    Play(Box<play::wire::Notification>),
    /// A real-time notification of the Amazon Appstore.
    Amazon(Box<amazon::wire::Notification>),
    /// A change at Discord, with or without a webhook event.
    Discord(Box<discord::wire::Change>),
}

impl Told {
    /// Which store tells it.
    #[must_use]
    pub const fn store(&self) -> StoreKind {
        match self.said {
            Said::AppStore(_) => StoreKind::AppStore,
            Said::Stripe(_) => StoreKind::Stripe,
            Said::Play(_) => StoreKind::Play,
            Said::Amazon(_) => StoreKind::Amazon,
            Said::Discord(_) => StoreKind::Discord,
        }
    }

    /// What Apple says; `None` from another store.
    #[must_use]
    pub fn app_store(&self) -> Option<&Notification> {
        let Said::AppStore(notification) = &self.said else { return None };
        Some(notification)
    }

    /// What Google says; `None` from another store.
    #[must_use]
    pub fn play(&self) -> Option<&play::wire::Notification> {
        let Said::Play(notification) = &self.said else { return None };
        Some(notification)
    }

    /// What Amazon says; `None` from another store.
    #[must_use]
    pub fn amazon(&self) -> Option<&amazon::wire::Notification> {
        let Said::Amazon(notification) = &self.said else { return None };
        Some(notification)
    }

    /// What changes at Discord; `None` from another store.
    #[must_use]
    pub fn discord(&self) -> Option<&discord::wire::Change> {
        let Said::Discord(change) = &self.said else { return None };
        Some(change)
    }

    /// The store tells nobody: it only shows to who asks.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.discord().is_some_and(|change| change.event.is_none())
    }

    /// What Stripe says; `None` from another store.
    #[must_use]
    pub fn stripe(&self) -> Option<&Event> {
        let Said::Stripe(event) = &self.said else { return None };
        Some(event)
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
