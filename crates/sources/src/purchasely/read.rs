//! From an event to our words.
//!
//! **Keys.** A purchase is known by Purchasely's own id of it. Apple's and Google's periods have ids of their own; elsewhere a
//! receipt or subscription keeps its id from period to period, so there a period is known by its start.
//!
//! **Access.** `subscription_status` says how a subscription stands, in every event. A DEACTIVATE whose status does not
//! explain it (a transfer, a change of plan, anything bought once) ends access five minutes later, unless an ACTIVATE or
//! the event that explains it comes: it is a period's carrier that ended ([`Hint::Replaced`]).
//!
//! **Money.** Only TRANSACTION_PROCESSED tells what was paid; a plan's price is a list price.
//!
//! **Order.** `event_created_at` dates an event. Of the same moment the later period counts more, then DEACTIVATE counts less
//! than ACTIVATE, and both less than what explains them.

use super::wire::{Event, Name, PurchaseType, Status};
use crate::{Note, Reading};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, Pause, Period, PeriodType,
    PurchaseKey, Reason, RefundFact, RefundStatus, Stamp, Standing, Store, TransactionFacts,
};
use paidup_lifecycle::time::Timestamp;
use std::sync::Arc;

/// The refund of a transaction that was taken back whole.
const WHOLE_REFUND: &str = "0";

/// What an event says.
pub(super) fn read(source: SourceId, event: &Event<'_>, bytes: &[u8]) -> Reading {
    let Some(name) = event.name() else { return Reading::noted(Note::Unknown) };
    let mut reading = match name {
        Name::Test => test(event),
        // The customer looked at the cancel sheet: nothing changed.
        Name::RetentionMessageRequested => Reading::noted(Note::Informative),
        _ => match Statement::of(source, name, event, bytes) {
            Some(statement) => Reading::observed(statement.observation()),
            // Which purchase, in which environment or when is not told: shown to the operator.
            None => Reading::noted(Note::Unknown),
        },
    };
    // The app's id or an anonymous one stands there; where both do, they are one person's.
    if let (Some(user), Some(anonymous)) = (event.user(), event.anonymous_user()) {
        reading.same.push(vec![user.to_owned(), anonymous.to_owned()]);
    }
    reading
}

fn test(event: &Event<'_>) -> Reading {
    let Some(at) = event.at() else { return Reading::noted(Note::Unknown) };
    Reading::noted(Note::Test { environment: event.environment().unwrap_or(Environment::Sandbox), at })
}

/// An event about a purchase.
struct Statement<'a> {
    source: SourceId,
    name: Name,
    event: &'a Event<'a>,
    id: Arc<str>,
    at: Timestamp,
    environment: Environment,
    purchase: &'a str,
}

impl<'a> Statement<'a> {
    /// `None`: it does not say enough.
    fn of(source: SourceId, name: Name, event: &'a Event<'a>, bytes: &[u8]) -> Option<Statement<'a>> {
        let (at, environment) = (event.at()?, event.environment()?);
        let by_store = || event.original_transaction_id().or_else(|| event.transaction_id());
        let purchase = event.purchase_id().or_else(by_store)?;
        Some(Statement { source, name, event, id: event.external_id(bytes).into(), at, environment, purchase })
    }

    fn stamp(&self, as_of: Timestamp) -> Stamp {
        let rank = match self.name {
            Name::Deactivate => 'a',
            Name::Activate => 'b',
            Name::TransactionProcessed => 'd',
            _ => 'c', // all that explain one of those two
        };
        let period = self.event.purchased_at().map_or(0, |at| at.as_millis().max(0));
        Stamp { as_of, origin: Origin::Notification, by: format!("{period:012x}{rank}/{}", self.id).into() }
    }

    fn dated<T>(&self, value: T) -> Dated<T> {
        Dated { value, stamp: self.stamp(self.at) }
    }

    fn observation(&self) -> Observation {
        let mut facets = Facets { kind: Some(self.dated(self.kind())), ..Facets::default() };
        let hint = match self.name {
            Name::TransactionProcessed => {
                self.tell_money(&mut facets);
                Hint::Answered
            }
            Name::Deactivate if !self.explains_itself() => Hint::Replaced,
            _ => {
                self.tell_all(&mut facets);
                self.hint()
            }
        };
        self.tell_customer(&mut facets);
        Observation {
            key: PurchaseKey {
                source_id: self.source,
                environment: self.environment,
                store_purchase_id: self.purchase.to_owned(),
            },
            store: self.event.store(),
            id: self.id.clone(),
            observed_at: self.at,
            origin: Origin::Notification,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: self.event.replaced_subscription().map(str::to_owned),
            detected_by: None,
        }
    }

    fn kind(&self) -> Kind {
        match self.event.purchase_type() {
            Some(PurchaseType::Consumable) => Kind::Consumable,
            Some(PurchaseType::NonConsumable) => Kind::NonConsumable,
            Some(PurchaseType::NonRenewingSubscription) => Kind::NonRenewing,
            Some(PurchaseType::RenewingSubscription) => Kind::Subscription,
            // Events of before 2022 do not say.
            None if self.event.is_one_time() => Kind::NonConsumable,
            None => Kind::Subscription,
        }
    }

    /// The owner. A DEACTIVATE names whoever loses access: that says nothing about who owns the purchase now.
    fn tell_customer(&self, facets: &mut Facets) {
        let named = self.event.user().or_else(|| self.event.anonymous_user());
        let (owner, as_of) = match self.name {
            Name::SubscriptionTransferred | Name::OneTimePurchaseTransferred => {
                (self.event.transferred_to().or(named), self.at)
            }
            Name::Deactivate => (named, Timestamp::MIN),
            _ => (named, self.at),
        };
        facets.owner = owner.map(|id| Dated { value: Some(id.to_owned()), stamp: self.stamp(as_of) });
        facets.country = self.event.country().map(|code| self.dated(Some(code)));
    }

    /// Whether a DEACTIVATE says by its status why access ended.
    fn explains_itself(&self) -> bool {
        if self.event.is_one_time() {
            return false;
        }
        match self.event.status() {
            Some(Status::OnHold | Status::Paused | Status::Unpaid | Status::Revoked) => true,
            // A subscription that was handed over is "deactivated" for who had it, in the middle of its period.
            Some(Status::Deactivated) => {
                let end = self.event.effective_next_renewal_at().or_else(|| self.event.next_renewal_at());
                end.is_some_and(|end| end <= self.at)
            }
            // Of the plan before a change; or nothing is said.
            Some(Status::AutoRenewing | Status::AutoRenewingCanceled | Status::InGracePeriod) | None => false,
        }
    }

    /// How all stands.
    fn tell_all(&self, facets: &mut Facets) {
        facets.product = self.event.plan().map(|plan| self.dated(plan.to_owned()));
        facets.period = self.period().map(|period| self.dated(period));
        facets.family_shared = self.event.is_family_shared().map(|shared| self.dated(shared));
        if let Some(offer_type) = self.event.offer_type() {
            self.tell_offer(offer_type, facets);
        }
        if self.event.is_one_time() {
            facets.standing = match self.name {
                // Who it goes to hears ACTIVATE.
                Name::OneTimePurchaseTransferred => None,
                _ => Some(self.dated(Standing::Active)),
            };
        } else {
            self.tell_subscription(facets);
            self.tell_first_period(facets);
        }
    }

    /// That there was an earlier period, for whoever hears of the subscription in its middle: it is no new one.
    fn tell_first_period(&self, facets: &mut Facets) {
        let first = self.event.first_purchased_at().filter(|first| Some(*first) < self.event.purchased_at());
        let Some(starts_at) = first else { return };
        let by_id = self.event.original_transaction_id().filter(|_| self.periods_have_ids());
        let transaction_id = by_id.filter(|id| Some(*id) != self.event.transaction_id()).map(str::to_owned);
        if by_id.is_some() && transaction_id.is_none() {
            return;
        }
        let period = Period { transaction_id, starts_at, ends_at: None };
        let facts = facets.transactions.entry(period.transaction_key().into_owned()).or_default();
        // Whoever told the period itself knows it better.
        facts.period = Some(Dated { value: period, stamp: self.stamp(Timestamp::MIN) });
    }

    /// Stores that give every period an id of its own (lifecycle.md section 2).
    fn periods_have_ids(&self) -> bool {
        matches!(self.event.store(), Store::AppStore | Store::PlayStore)
    }

    fn period(&self) -> Option<Period> {
        let starts_at = self.event.purchased_at()?;
        let ends_at = match self.kind() {
            Kind::Consumable | Kind::NonConsumable => None,
            Kind::Subscription | Kind::NonRenewing | Kind::Grant | Kind::Temporary => self.event.next_renewal_at(),
        };
        if ends_at.is_some_and(|end| end <= starts_at) {
            return None;
        }
        let transaction_id = self.event.transaction_id().filter(|_| self.periods_have_ids()).map(str::to_owned);
        Some(Period { transaction_id, starts_at, ends_at })
    }

    fn tell_offer(&self, offer_type: Option<OfferType>, facets: &mut Facets) {
        let period_type = match offer_type {
            Some(OfferType::FreeTrial) => PeriodType::Trial,
            Some(OfferType::IntroOffer) => PeriodType::Intro,
            Some(OfferType::PromoCode | OfferType::PromotionalOffer) => PeriodType::Promo,
            None => PeriodType::Normal,
        };
        let text = |told: Option<&str>| told.map(str::to_owned);
        let offer = offer_type.map(|offer_type| Offer {
            offer_type,
            id: text(self.event.offer_id()),
            code: text(self.event.offer_code()),
        });
        facets.period_type = Some(self.dated(period_type));
        facets.offer = Some(self.dated(offer));
    }

    fn tell_subscription(&self, facets: &mut Facets) {
        // To the former owner a subscription that runs on is "deactivated".
        let status = self.event.status().filter(|_| self.name != Name::SubscriptionTransferred);
        let standing = self.standing(status);
        facets.standing = standing.map(|standing| self.dated(standing));
        match status {
            Some(Status::AutoRenewing) => facets.will_renew = Some(self.dated(true)),
            Some(Status::AutoRenewingCanceled) => facets.will_renew = Some(self.dated(false)),
            Some(
                Status::InGracePeriod
                | Status::OnHold
                | Status::Paused
                | Status::Unpaid
                | Status::Deactivated
                | Status::Revoked,
            )
            | None => {}
        }
        facets.extended_until = Some(self.dated(self.event.deferred_until()));
        let Some(standing) = standing else { return };
        let in_trouble = matches!(standing, Standing::Grace | Standing::BillingRetry);
        facets.billing_retry = Some(self.dated(in_trouble));
        facets.grace_ends_at = match standing {
            Standing::Grace => self.event.grace_ends_at().or_else(|| self.event.effective_next_renewal_at()),
            _ => None,
        }
        .map(|until| self.dated(Some(until)))
        .or_else(|| (!in_trouble).then(|| self.dated(None)));
        self.tell_pause(standing, facets);
        self.tell_end(standing, facets);
    }

    fn standing(&self, status: Option<Status>) -> Option<Standing> {
        Some(match (self.name, status?) {
            (Name::SubscriptionCancelledDuringPause | Name::SubscriptionCancelledDuringGracePeriod, _) => {
                Standing::Expired
            }
            (Name::SubscriptionTerminated, status) if status != Status::Revoked => Standing::Expired,
            (Name::FamilySharedRevoked | Name::SubscriptionRefundedRevoked, _) => Standing::Revoked,
            (_, Status::AutoRenewing | Status::AutoRenewingCanceled) => Standing::Active,
            (_, Status::InGracePeriod) => Standing::Grace,
            (_, Status::OnHold) => Standing::BillingRetry,
            (_, Status::Paused) => Standing::Paused,
            (_, Status::Unpaid | Status::Deactivated) => Standing::Expired,
            (_, Status::Revoked) => Standing::Revoked,
        })
    }

    /// `auto_resume_at` stands there while a pause runs or is planned, and only then.
    fn tell_pause(&self, standing: Standing, facets: &mut Facets) {
        let resumes_at = self.event.resumes_at();
        let is_planned = self.name == Name::SubscriptionWillPause || resumes_at.is_some();
        let pause = match standing {
            Standing::Paused => Some(Pause { starts_at: None, resumes_at }),
            Standing::Active if is_planned && self.name != Name::SubscriptionWillNotPause => {
                Some(Pause { starts_at: None, resumes_at })
            }
            _ => None,
        };
        facets.pause = Some(self.dated(pause));
    }

    /// Purchasely gives no reasons; the event's name and the status are one, where they are.
    fn tell_end(&self, standing: Standing, facets: &mut Facets) {
        let reason = match (self.name, self.event.status()) {
            (Name::SubscriptionCancelledDuringGracePeriod | Name::SubscriptionCancelledDuringPause, _) => {
                Some(Reason::Unsubscribe)
            }
            (_, Some(Status::Unpaid)) => Some(Reason::BillingError),
            _ if standing == Standing::Active => None,
            _ => return,
        };
        facets.expiration_reason = Some(self.dated(reason));
    }

    /// The transaction that the money is of, with its amount: paid, or given back.
    fn tell_money(&self, facets: &mut Facets) {
        let by_start = || self.event.purchased_at().map(|at| format!("@{at}"));
        let by_id = || self.event.transaction_id().map(str::to_owned);
        let key = if self.periods_have_ids() { by_id().or_else(by_start) } else { by_start().or_else(by_id) };
        let (Some(key), Some(money)) = (key, self.event.amount()) else { return };
        let store_id = self.event.transaction_id().filter(|id| *id != key).map(|id| self.dated(id.to_owned()));
        let product_id = self.event.plan().map(|plan| self.dated(plan.to_owned()));
        let mut facts = TransactionFacts { store_id, product_id, ..TransactionFacts::default() };
        if money.amount_minor > 0 {
            facts.price = Some(self.dated(Some(money)));
        } else if money.amount_minor < 0 {
            // The status takes access away from a subscription, and may give it back. Part of the old plan's price that goes
            // back at an upgrade takes nothing away.
            let is_once = self.event.is_one_time();
            let is_whole = is_once || self.event.money_of() == Some(Name::SubscriptionRefundedRevoked);
            let id = if is_whole { WHOLE_REFUND.to_owned() } else { self.id.to_string() };
            let (status, revokes) = (RefundStatus::Refunded, (!is_once).then_some(false));
            let fact = RefundFact { status, amount: Some(money.negated()), revokes, family: false };
            facts.refunds.insert(id, self.dated(fact));
        }
        facets.transactions.insert(key, facts);
    }

    fn hint(&self) -> Hint {
        match self.name {
            Name::Activate if self.event.is_one_time() => Hint::OneTimePurchased,
            Name::Deactivate if self.is_family_revoked() => Hint::FamilyRevoked,
            Name::Deactivate | Name::SubscriptionTerminated => Hint::Expired,
            Name::SubscriptionStarted | Name::SubscriptionReactivated => Hint::Purchased,
            Name::SubscriptionUpgraded => Hint::Upgraded,
            Name::SubscriptionCrossgraded => Hint::Crossgraded,
            Name::SubscriptionDowngraded => Hint::Downgraded,
            Name::SubscriptionRenewed => Hint::Renewed,
            Name::SubscriptionDeferred => Hint::Extended,
            Name::RenewalDisabled => Hint::RenewalDisabled,
            Name::RenewalEnabled => Hint::RenewalEnabled,
            Name::FamilySharedRevoked => Hint::FamilyRevoked,
            Name::GracePeriodStarted => Hint::GraceStarted,
            Name::GracePeriodTerminated
            | Name::SubscriptionCancelledDuringGracePeriod
            | Name::SubscriptionCancelledDuringPause => Hint::Expired,
            Name::EnteredBillingRetry => Hint::BillingRetryStarted,
            Name::SubscriptionRecoveredFromGracePeriod | Name::SubscriptionRecoveredFromBillingRetry => Hint::Recovered,
            Name::SubscriptionWillPause => Hint::PauseScheduled,
            Name::SubscriptionWillNotPause => Hint::PauseCancelled,
            Name::SubscriptionPaused => Hint::Paused,
            Name::SubscriptionUnpaused => Hint::Resumed,
            Name::SubscriptionTransferred
            | Name::SubscriptionReceived
            | Name::OneTimePurchaseTransferred
            | Name::OneTimePurchaseReceived => Hint::Transferred,
            Name::SubscriptionRefundedRevoked => Hint::Refunded,
            // They confirm how things stand.
            Name::Activate
            | Name::RetentionMessageRequested
            | Name::TrialStarted
            | Name::TrialConverted
            | Name::TrialNotConverted
            | Name::IntroOfferStarted
            | Name::IntroOfferConverted
            | Name::IntroOfferNotConverted
            | Name::PromoCodeStarted
            | Name::PromoCodeConverted
            | Name::PromoCodeNotConverted
            | Name::PromotionalOfferStarted
            | Name::PromotionalOfferConverted
            | Name::PromotionalOfferNotConverted
            | Name::TransactionProcessed
            | Name::Test => Hint::Answered,
        }
    }

    /// ASSUMPTION: what a family member loses as revoked is withdrawn, not refunded.
    fn is_family_revoked(&self) -> bool {
        self.event.is_family_shared() == Some(true) && self.event.status() == Some(Status::Revoked)
    }
}
