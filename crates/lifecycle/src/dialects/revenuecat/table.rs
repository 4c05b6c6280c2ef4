//! The table: one row per canonical event, its cells the RevenueCat messages it may give, each with its condition
//! (lifecycle.md section 4).
//!
//! RevenueCat's EXPIRATION follows the edge from access to none, not the end of the subscription: of a bundle's events
//! after its DEACTIVATE, the first whose row is `ends` tells it, and DEACTIVATE itself only where there is none.

use super::{Amount, RcPeriod, RcType, ReactivationAs, chain_goes_on};
use crate::event::{Edge, Event, EventType, MoneyKind, PurchaseView};
use crate::money::Money;
use crate::observation::{Kind, Reason, Store};
use crate::purchase::State;

/// What one canonical event may give.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// In RevenueCat's order.
    pub cells: &'static [Cell],
    /// This event answers for the end of access in its bundle, so DEACTIVATE stays silent.
    pub ends: bool,
}

/// One message and its condition.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Which type.
    pub say: Say,
    /// If what holds.
    pub when: When,
    /// Which reason, on CANCELLATION and EXPIRATION.
    pub because: Because,
    /// Which price.
    pub price: Price,
    /// The purchase of before or of after the event.
    pub shows: Shows,
}

/// Which RevenueCat type a cell gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Always this.
    Type(RcType),
    /// RENEWAL or INITIAL_PURCHASE, by the owner's option.
    Reactivation,
    /// RENEWAL or INITIAL_PURCHASE, by what the store makes of a plan change.
    ChangedPlan,
}

/// On what condition a cell gives its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// None.
    Always,
    /// The bundle ends access, and this event is the one that answers for it.
    AccessEnds,
    /// On DEACTIVATE: access ends (it is not swapped or handed over), and no other event of the bundle answers for it.
    AccessEndsAlone,
    /// A subscription ends that nobody was told would: RevenueCat sends CANCELLATION before such an EXPIRATION.
    CancellationUntold,
    /// The charge failed without a grace period before it: the failure was not told yet.
    FailureUntold,
    /// Another plan is in force that was neither announced before nor came with a renewal.
    ChangedAtOnce,
    /// A plan change that is paid, and whose charge no other event of the bundle tells.
    ChangeTellsCharge,
    /// The purchase was not over: after a refund, that renewal is off too is no news.
    NotOver,
    /// Renewal is on again by the customer's wish, not by a payment that went through.
    NotByPayment,
    /// The whole running (or last) period was refunded.
    LatestPeriodRefunded,
    /// The refund that is undone was one that RevenueCat told: not of an earlier period.
    NotOfEarlierPeriod,
    /// The purchase is a grant.
    Grant,
    /// The purchase went to another person. (RevenueCat tells nothing of two customers who become one.)
    NotMerged,
}

/// Which reason a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The event's, else the purchase's, else UNKNOWN.
    Told,
    /// Always this.
    Fixed(Reason),
}

/// Which price a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// 0.
    Nothing,
    /// What was paid.
    Paid,
    /// What was paid back, negative.
    PaidBack,
}

/// Which purchase a message shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// As before the event: RevenueCat's PRODUCT_CHANGE is about the old product.
    Before,
    /// As after it.
    After,
}

const NONE: Row = Row { cells: &[], ends: false };

/// A row of messages. (A macro, because the list must be a constant of its own.)
macro_rules! tells {
    ($($cell:expr),* $(,)?) => { Row { cells: const { &[$($cell),*] }, ends: false } };
}

/// A row that answers for the end of access.
macro_rules! ends {
    ($($cell:expr),* $(,)?) => { Row { cells: const { &[$($cell),*] }, ends: true } };
}

const fn cell(rc_type: RcType) -> Cell {
    Cell {
        say: Say::Type(rc_type),
        when: When::Always,
        because: Because::Told,
        price: Price::Nothing,
        shows: Shows::After,
    }
}

impl Cell {
    const fn when(self, when: When) -> Cell {
        Cell { when, ..self }
    }

    const fn because(self, reason: Reason) -> Cell {
        Cell { because: Because::Fixed(reason), ..self }
    }

    const fn price(self, price: Price) -> Cell {
        Cell { price, ..self }
    }

    const fn say(self, say: Say) -> Cell {
        Cell { say, ..self }
    }

    const fn shows(self, shows: Shows) -> Cell {
        Cell { shows, ..self }
    }
}

const PURCHASED: Cell = cell(RcType::InitialPurchase).price(Price::Paid);
const RENEWED: Cell = cell(RcType::Renewal).price(Price::Paid);
const BOUGHT_ONCE: Cell = cell(RcType::NonRenewingPurchase).price(Price::Paid);
const CANCELLED: Cell = cell(RcType::Cancellation);
const REFUNDED: Cell = CANCELLED.because(Reason::CustomerSupport).price(Price::PaidBack);
const EXPIRED: Cell = cell(RcType::Expiration).when(When::AccessEnds);
const FAILED: Cell = cell(RcType::BillingIssue);
const TRANSFERRED: Cell = cell(RcType::Transfer).when(When::NotMerged);
const PLAN_CHANGED: &[Cell] = &[
    cell(RcType::ProductChange).when(When::ChangedAtOnce).shows(Shows::Before),
    RENEWED.say(Say::ChangedPlan).when(When::ChangeTellsCharge),
];

/// The row of a canonical event.
#[must_use]
pub const fn row(event_type: EventType) -> Row {
    use EventType as E;
    match event_type {
        // RevenueCat has no event for access itself.
        E::Activate => NONE,
        E::Deactivate => tells![EXPIRED.when(When::AccessEndsAlone)],
        E::SubscriptionStarted => tells![PURCHASED],
        E::SubscriptionRenewed => tells![RENEWED],
        E::SubscriptionReactivated => tells![RENEWED.say(Say::Reactivation)],
        E::SubscriptionUpgraded | E::SubscriptionCrossgraded | E::SubscriptionDowngraded => {
            Row { cells: PLAN_CHANGED, ends: false }
        }
        E::PlanChangeScheduled => tells![cell(RcType::ProductChange)],
        E::PlanChangeUnscheduled => NONE,
        E::SubscriptionDeferred => tells![cell(RcType::SubscriptionExtended)],
        E::RenewalDisabled => tells![CANCELLED.when(When::NotOver)],
        E::RenewalEnabled => tells![cell(RcType::Uncancellation).when(When::NotByPayment)],
        E::SubscriptionTerminated => ends![CANCELLED.when(When::CancellationUntold), EXPIRED],
        E::FamilySharedRevoked => ends![CANCELLED, EXPIRED],
        E::GracePeriodStarted => tells![FAILED, CANCELLED.because(Reason::BillingError)],
        E::GracePeriodTerminated => ends![EXPIRED.because(Reason::BillingError)],
        E::EnteredBillingRetry => ends![
            FAILED.when(When::FailureUntold),
            CANCELLED.because(Reason::BillingError).when(When::FailureUntold),
            EXPIRED.because(Reason::BillingError),
        ],
        // CANCELLATION was told when the grace period began.
        E::SubscriptionCancelledDuringGracePeriod => ends![EXPIRED.because(Reason::Unsubscribe)],
        E::SubscriptionRecoveredFromGracePeriod
        | E::SubscriptionRecoveredFromBillingRetry
        | E::SubscriptionUnpaused => tells![RENEWED],
        E::SubscriptionWillPause => tells![cell(RcType::SubscriptionPaused)],
        E::SubscriptionWillNotPause => NONE,
        // RevenueCat's SUBSCRIPTION_PAUSED is the plan, not this.
        E::SubscriptionPaused => ends![EXPIRED.because(Reason::SubscriptionPaused)],
        E::SubscriptionCancelledDuringPause => tells![CANCELLED.because(Reason::Unsubscribe)],
        // One TRANSFER for both sides, told for the new owner.
        E::SubscriptionTransferred | E::OneTimePurchaseTransferred => ends![],
        E::SubscriptionReceived | E::OneTimePurchaseReceived => tells![TRANSFERRED],
        E::SubscriptionRefundedRevoked => ends![REFUNDED, EXPIRED.because(Reason::CustomerSupport)],
        // Offers and money are told inside the messages of the lifecycle event beside them. Only a trial that was
        // granted by hand has none: a purchase elsewhere converts it.
        E::TrialConverted => tells![RENEWED.when(When::Grant)],
        E::TrialStarted
        | E::TrialNotConverted
        | E::IntroOfferStarted
        | E::IntroOfferConverted
        | E::IntroOfferNotConverted
        | E::PromoCodeStarted
        | E::PromoCodeConverted
        | E::PromoCodeNotConverted
        | E::PromotionalOfferStarted
        | E::PromotionalOfferConverted
        | E::PromotionalOfferNotConverted
        | E::TransactionProcessed
        | E::RetentionMessageRequested => NONE,
        E::OneTimePurchased => tells![BOUGHT_ONCE],
        // RevenueCat tells no EXPIRATION for a purchase without an end.
        E::OneTimeRefunded => ends![REFUNDED],
        E::OneTimeExpired => ends![EXPIRED],
        E::PromoGranted => tells![BOUGHT_ONCE.price(Price::Nothing)],
        E::PromoRevoked => {
            ends![CANCELLED.because(Reason::DeveloperInitiated), EXPIRED.because(Reason::DeveloperInitiated)]
        }
        E::TemporaryEntitlementGranted => tells![cell(RcType::TemporaryEntitlementGrant)],
        // RevenueCat tells one BILLING_ISSUE until the next renewal, not one per attempt.
        E::PaymentFailed => NONE,
        E::RefundRequested | E::RefundDeclined => NONE,
        E::RefundReversed => {
            tells![cell(RcType::RefundReversed).price(Price::Paid).when(When::NotOfEarlierPeriod)]
        }
        E::RefundRecorded => tells![REFUNDED.when(When::LatestPeriodRefunded)],
        E::PriceIncreasePending => tells![cell(RcType::PriceIncreaseConsentRequired)],
        E::PriceIncreaseAccepted => tells![cell(RcType::PriceIncreaseConsentApproved)],
        E::OfferRedeemed | E::EntitlementsChanged => NONE,
        // About the hub, of which RevenueCat knows nothing.
        E::OperatorAlert | E::OperatorAlertOver => NONE,
        E::Test => tells![cell(RcType::Test)],
    }
}

impl Say {
    /// The type for this event.
    #[must_use]
    pub fn rc_type(self, event: &Event, reactivation_as: ReactivationAs) -> RcType {
        match self {
            Say::Type(rc_type) => rc_type,
            Say::Reactivation => match reactivation_as {
                ReactivationAs::Renewal => RcType::Renewal,
                ReactivationAs::InitialPurchase => RcType::InitialPurchase,
                ReactivationAs::ByStore if chain_goes_on(event) => RcType::Renewal,
                ReactivationAs::ByStore => RcType::InitialPurchase,
            },
            Say::ChangedPlan if was_announced(event) => RcType::Renewal,
            Say::ChangedPlan => match event.store {
                // A new purchase token.
                Store::PlayStore => RcType::InitialPurchase,
                // A new receipt, unless the source says that the old one goes on.
                Store::Amazon if event.details.same_chain == Some(true) => RcType::Renewal,
                Store::Amazon => RcType::InitialPurchase,
                Store::AppStore
                | Store::MacAppStore
                | Store::Stripe
                | Store::Paddle
                | Store::Discord
                | Store::Promotional
                | Store::External => RcType::Renewal,
            },
        }
    }
}

impl When {
    /// Whether the condition holds for this event.
    #[must_use]
    pub fn holds(self, event: &Event) -> bool {
        let beside = |event_type: EventType| event.bundle.types.contains(&event_type);
        let came_from = |state: State| event.previous.as_ref().is_some_and(|previous| previous.state == state);
        match self {
            When::Always => true,
            When::AccessEnds => answers_for_end(event),
            When::AccessEndsAlone => {
                matches!(event.edge, Some(Edge::Ended) | None) && !after_this(event).iter().any(|&told| row(told).ends)
            }
            When::CancellationUntold => {
                event.purchase.kind == Kind::Subscription
                    && event.store != Store::Promotional
                    && answers_for_end(event)
                    && !cancellation_told(event)
            }
            When::FailureUntold => !beside(EventType::GracePeriodTerminated) && !came_from(State::Grace),
            When::ChangedAtOnce => !beside(EventType::SubscriptionRenewed) && !was_announced(event),
            // In grace, retry or pause the change is not paid yet: the recovery tells its charge.
            When::ChangeTellsCharge => event.purchase.state == State::Active && !beside_a_payment(event),
            When::NotOver => {
                // What is ended at once is switched off first, in the same breath.
                !matches!(event.purchase.state, State::Expired | State::Revoked)
                    || event.bundle.types.contains(&EventType::SubscriptionTerminated)
            }
            When::NotByPayment => !beside_a_payment(event),
            When::LatestPeriodRefunded => {
                event.details.partial != Some(true) && is_about_latest_period(event) == Some(true)
            }
            When::NotOfEarlierPeriod => beside(EventType::Activate) || is_about_latest_period(event) != Some(false),
            When::Grant => event.purchase.kind == Kind::Grant,
            When::NotMerged => event.details.merged != Some(true),
        }
    }
}

/// What the bundle tells after this event.
fn after_this(event: &Event) -> &[EventType] {
    let next = usize::try_from(event.bundle.index).unwrap_or(usize::MAX).saturating_add(1);
    event.bundle.types.get(next..).unwrap_or(&[])
}

/// The bundle ends access before this event, and no event between the two has answered for it.
fn answers_for_end(event: &Event) -> bool {
    let index = usize::try_from(event.bundle.index).unwrap_or(usize::MAX);
    let told = event.bundle.types.get(..index).unwrap_or(&event.bundle.types);
    match told.iter().rposition(|told| *told == EventType::Deactivate) {
        Some(off) => !told[off + 1..].iter().any(|&told| row(told).ends),
        None => false,
    }
}

/// Another event of the bundle tells that the next period was paid.
fn beside_a_payment(event: &Event) -> bool {
    event.bundle.types.iter().any(|told| {
        matches!(
            told,
            EventType::SubscriptionRenewed
                | EventType::SubscriptionReactivated
                | EventType::SubscriptionRecoveredFromGracePeriod
                | EventType::SubscriptionRecoveredFromBillingRetry
                | EventType::SubscriptionUnpaused
        )
    })
}

/// The product that is in force now was announced before (PLAN_CHANGE_SCHEDULED gave the PRODUCT_CHANGE).
fn was_announced(event: &Event) -> bool {
    let pending = event.previous.as_ref().and_then(|previous| previous.pending.as_ref());
    pending.is_some_and(|pending| Some(&pending.product_id) == event.purchase.product_id.as_ref())
}

/// A CANCELLATION was told for this period: as the engine says, else by what the purchase was before.
fn cancellation_told(event: &Event) -> bool {
    if event.bundle.types.contains(&EventType::RenewalDisabled) {
        return true;
    }
    event.details.cancellation_told.unwrap_or_else(|| {
        event.previous.as_ref().is_some_and(|previous| {
            previous.will_renew == Some(false)
                || matches!(previous.state, State::Grace | State::BillingRetry | State::Paused)
        })
    })
}

/// Whether the event's transaction is that of the running (or last) period. None: one of them has no id.
fn is_about_latest_period(event: &Event) -> Option<bool> {
    let told = event.transaction.as_ref()?.id.as_ref()?;
    let latest = event.purchase.current_transaction_id()?;
    Some(told == latest)
}

impl Shows {
    /// The purchase as it was before, where there was one, or as it is now.
    #[must_use]
    pub fn purchase(self, event: &Event) -> &PurchaseView {
        match (self, &event.previous) {
            (Shows::Before, Some(previous)) => previous,
            (Shows::Before, None) | (Shows::After, _) => &event.purchase,
        }
    }
}

impl Because {
    /// The reason on a CANCELLATION.
    #[must_use]
    pub fn cancel_reason(self, event: &Event) -> Reason {
        let told = || event.reason.or(event.purchase.cancel_reason).or(event.purchase.expiration_reason);
        match self {
            Because::Fixed(reason) => reason,
            // A pause is a reason for EXPIRATION only.
            Because::Told => told().filter(|reason| *reason != Reason::SubscriptionPaused).unwrap_or(Reason::Unknown),
        }
    }

    /// The reason on an EXPIRATION.
    #[must_use]
    pub fn expiration_reason(self, event: &Event) -> Reason {
        let told = || event.reason.or(event.purchase.expiration_reason).or(event.purchase.cancel_reason);
        match self {
            Because::Fixed(reason) => reason,
            Because::Told => told().unwrap_or(Reason::Unknown),
        }
    }
}

impl Price {
    /// How much the message says was paid.
    pub(super) fn amount(self, event: &Event, view: &PurchaseView, period_type: RcPeriod) -> Amount {
        let told = event.transaction.as_ref().and_then(|transaction| transaction.money);
        match self {
            Price::Nothing => Amount::Nothing,
            Price::Paid => match told.or(view.price) {
                Some(money) => Amount::Told(Money { amount_minor: money.amount_minor.saturating_abs(), ..money }),
                None if period_type == RcPeriod::Trial || view.kind == Kind::Grant => Amount::Nothing,
                None => Amount::Unknown,
            },
            // Where a store withdrew access and told of no refund, what the period cost is not what was paid back.
            Price::PaidBack => match told.filter(|_| is_refund(event)) {
                Some(money) => {
                    Amount::Told(Money { amount_minor: money.amount_minor.saturating_abs().saturating_neg(), ..money })
                }
                None => Amount::Unknown,
            },
        }
    }
}

fn is_refund(event: &Event) -> bool {
    event.transaction.as_ref().is_some_and(|transaction| transaction.kind == Some(MoneyKind::Refund))
}
