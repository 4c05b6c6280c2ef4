//! From an element to an observation: the facets that it tells, and those that its reason implies.
//!
//! What is told wins over what is implied. A reason implies only what cannot be otherwise: "renewed" means active and
//! no longer in trouble, "renewal_disabled" says nothing about access.

use super::wire::{Bought, Element, Reason};
use crate::{Note, Reading};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Consent, Dated, Facets, Hint, Kind, Observation, Origin, Pause, PendingProduct, Period, PriceIncrease, PurchaseKey,
    Reason as Cause, RefundFact, RefundStatus, Stamp, Standing, Store, TransactionFacts,
};
use std::sync::Arc;

/// The refund of a sender that does not number refunds.
const ONLY_REFUND: &str = "0";

/// What an element says. It has been checked.
pub(super) fn read(source: SourceId, element: &Element<'_>) -> Reading {
    if element.reason == Reason::Test {
        let note = Note::Test { environment: element.environment, at: element.observed_at };
        return Reading::noted(note);
    }
    let statement = Statement { element, id: element.id.0.as_ref().into() };
    Reading::observed(statement.observation(source))
}

struct Statement<'a> {
    element: &'a Element<'a>,
    id: Arc<str>,
}

impl Statement<'_> {
    fn observation(&self, source: SourceId) -> Observation {
        let element = self.element;
        let refunded = element.refund.as_ref().map(|refund| refund.transaction_id.0.as_ref());
        let about = refunded.or_else(|| element.reason.refund_status().and(self.told_transaction()));
        Observation {
            key: PurchaseKey {
                source_id: source,
                environment: element.environment,
                store_purchase_id: element.purchase_id.0.clone().into_owned(),
            },
            // ASSUMPTION: a backend that names no store sells by itself.
            store: element.store.unwrap_or(Store::External),
            id: self.id.clone(),
            observed_at: element.observed_at,
            origin: Origin::Notification,
            hint: self.hint(),
            about_transaction: about.map(str::to_owned),
            facets: self.facets(),
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    fn facets(&self) -> Facets {
        let mut facets = Facets::default();
        self.tell(&mut facets);
        self.imply(&mut facets);
        self.tell_transactions(&mut facets);
        facets
    }

    fn dated<T>(&self, value: T) -> Dated<T> {
        let stamp = Stamp { as_of: self.element.observed_at, origin: Origin::Notification, by: self.id.clone() };
        Dated { value, stamp }
    }

    fn maybe<T>(&self, value: Option<T>) -> Option<Dated<T>> {
        value.map(|value| self.dated(value))
    }

    /// Facets that stand in the element.
    /// `null` for what every purchase has was refused by `check`. For a yes-or-no facet it means no.
    fn tell(&self, facets: &mut Facets) {
        let element = self.element;
        facets.kind = self.maybe(element.kind.flatten().map(Bought::kind));
        facets.product = self.maybe(element.product_id().map(str::to_owned));
        facets.period = self.maybe(self.period());
        facets.period_type = self.maybe(element.period_type.flatten());
        facets.will_renew = self.maybe(element.will_renew.flatten());
        facets.cancel_reason = self.maybe(element.cancel_reason);
        facets.expiration_reason = self.maybe(element.expiration_reason);
        facets.grace_ends_at = self.maybe(element.grace_ends_at);
        facets.billing_retry = self.maybe(element.billing_retry.map(Option::unwrap_or_default));
        facets.pause = self.maybe(element.pause.clone());
        facets.pending = self.maybe(element.pending_product_id.as_ref().map(|pending| {
            pending.as_ref().map(|product| PendingProduct {
                product_id: product.0.clone().into_owned(),
                effective_at: element.pending_at,
            })
        }));
        facets.extended_until = self.maybe(element.extended_until);
        facets.offer = self.maybe(element.offer.clone());
        facets.owner =
            self.maybe(element.customer_id.as_ref().map(|id| id.as_ref().map(|id| id.0.clone().into_owned())));
        facets.family_shared = self.maybe(element.family_shared.map(Option::unwrap_or_default));
        facets.country =
            self.maybe(element.country.as_ref().map(|code| code.as_ref().map(|code| code.0.to_ascii_uppercase())));
        for (name, value) in element.attributes.iter().flatten() {
            // ASSUMPTION: an attribute that is null is emptied, as RevenueCat deletes one by an empty value.
            let value = value.as_ref().map(|value| value.0.clone().into_owned()).unwrap_or_default();
            facets.attributes.insert(name.clone().into_owned(), self.dated(value));
        }
    }

    /// Facets that the reason implies, unless the element tells them itself.
    fn imply(&self, facets: &mut Facets) {
        facets.standing = self.maybe(self.standing());
        match self.element.reason {
            Reason::Purchased => self.imply_paid(facets),
            Reason::Renewed | Reason::Recovered => self.imply_paid(facets),
            Reason::Resumed => {
                self.imply_paid(facets);
                facets.pause.get_or_insert_with(|| self.dated(None));
            }
            Reason::ProductChanged => {
                facets.pending.get_or_insert_with(|| self.dated(None));
            }
            Reason::ProductChangeCancelled => {
                facets.pending.get_or_insert_with(|| self.dated(None));
            }
            Reason::RenewalDisabled => {
                facets.will_renew.get_or_insert_with(|| self.dated(false));
                // ASSUMPTION: without a reason it was the customer's wish.
                facets.cancel_reason.get_or_insert_with(|| self.dated(Some(Cause::Unsubscribe)));
            }
            Reason::RenewalEnabled => {
                facets.will_renew.get_or_insert_with(|| self.dated(true));
                facets.cancel_reason.get_or_insert_with(|| self.dated(None));
            }
            Reason::GraceStarted => {
                facets.billing_retry.get_or_insert_with(|| self.dated(true));
            }
            Reason::BillingRetryStarted => {
                facets.billing_retry.get_or_insert_with(|| self.dated(true));
                facets.expiration_reason.get_or_insert_with(|| self.dated(Some(Cause::BillingError)));
            }
            Reason::PauseScheduled => {
                facets.pause.get_or_insert_with(|| self.dated(Some(Pause { starts_at: None, resumes_at: None })));
            }
            Reason::PauseCancelled => {
                facets.pause.get_or_insert_with(|| self.dated(None));
            }
            Reason::Paused => {
                let pause = Pause { starts_at: Some(self.element.observed_at), resumes_at: None };
                facets.pause.get_or_insert_with(|| self.dated(Some(pause)));
                facets.expiration_reason.get_or_insert_with(|| self.dated(Some(Cause::SubscriptionPaused)));
            }
            Reason::Extended => {
                let until = self.element.period().and_then(|period| period.ends_at);
                facets.extended_until.get_or_insert_with(|| self.dated(until));
            }
            Reason::Refunded | Reason::Revoked if self.standing() == Some(Standing::Revoked) => {
                facets.expiration_reason.get_or_insert_with(|| self.dated(Some(Cause::CustomerSupport)));
            }
            Reason::Transferred => {
                let owner = self.element.transfer_to.as_ref().map(|id| id.0.clone().into_owned());
                facets.owner = self.maybe(owner.map(Some)).or(facets.owner.take());
            }
            Reason::OneTimePurchased => {
                // ASSUMPTION: what is bought once is kept, unless the sender says otherwise.
                facets.kind.get_or_insert_with(|| self.dated(Kind::NonConsumable));
            }
            Reason::PriceIncrease => {
                // ASSUMPTION: an announced price waits for consent; `price` is the new one.
                let new_price = self.price().flatten();
                let increase = PriceIncrease { consent: Consent::Pending, new_price, effective_at: None };
                facets.price_increase = Some(self.dated(Some(increase)));
            }
            Reason::PaymentFailed
            | Reason::ProductChangeScheduled
            | Reason::RefundRequested
            | Reason::Refunded
            | Reason::RefundDeclined
            | Reason::RefundReversed
            | Reason::Revoked
            | Reason::Expired
            | Reason::Test => {}
        }
    }

    /// Paid: whatever was wrong with the last charge is over, and an ending of long ago has no reason any more.
    fn imply_paid(&self, facets: &mut Facets) {
        facets.billing_retry.get_or_insert_with(|| self.dated(false));
        facets.grace_ends_at.get_or_insert_with(|| self.dated(None));
        facets.expiration_reason.get_or_insert_with(|| self.dated(None));
        facets.extended_until.get_or_insert_with(|| self.dated(None));
    }

    fn standing(&self) -> Option<Standing> {
        match self.element.reason {
            Reason::Purchased
            | Reason::Renewed
            | Reason::Recovered
            | Reason::Resumed
            | Reason::ProductChanged
            | Reason::OneTimePurchased => Some(Standing::Active),
            Reason::GraceStarted => Some(Standing::Grace),
            Reason::BillingRetryStarted => Some(Standing::BillingRetry),
            Reason::Paused => Some(Standing::Paused),
            Reason::Revoked => Some(Standing::Revoked),
            Reason::Expired => Some(Standing::Expired),
            // ASSUMPTION: a refund that names no transaction is of everything. One that does is a fact about that
            // transaction, and the engine knows whether its period is the running one.
            Reason::Refunded => self.refunded_transaction().is_none().then_some(Standing::Revoked),
            Reason::RefundReversed => self.refunded_transaction().is_none().then_some(Standing::Active),
            Reason::RenewalDisabled
            | Reason::RenewalEnabled
            | Reason::PaymentFailed
            | Reason::ProductChangeScheduled
            | Reason::ProductChangeCancelled
            | Reason::PauseScheduled
            | Reason::PauseCancelled
            | Reason::Extended
            | Reason::RefundRequested
            | Reason::RefundDeclined
            | Reason::Transferred
            | Reason::PriceIncrease
            | Reason::Test => None,
        }
    }

    fn told_transaction(&self) -> Option<&str> {
        self.element.transaction_id.as_ref().map(|id| id.0.as_ref())
    }

    /// The transaction's id; without one the start of its period names it (`@2026-01-31T08:00:00Z`): a repeat of the
    /// notification gives it again, and the next period does not.
    fn transaction_id(&self) -> Option<String> {
        let by_period = || self.period().map(|period| period.transaction_key().into_owned());
        self.told_transaction().map(str::to_owned).or_else(by_period)
    }

    fn period(&self) -> Option<Period> {
        let period = self.element.period()?;
        let transaction_id = self.told_transaction().map(str::to_owned);
        Some(Period { transaction_id, starts_at: period.starts_at, ends_at: period.ends_at })
    }

    fn price(&self) -> Option<Option<Money>> {
        let price = self.element.price.as_ref()?;
        Some(price.as_ref().map(|price| Money { amount_minor: price.amount_minor, currency: price.currency }))
    }

    /// Which transaction a refund is of: the one it names, else the one that the element is about.
    fn refunded_transaction(&self) -> Option<String> {
        let named = self.element.refund.as_ref().map(|refund| refund.transaction_id.0.clone().into_owned());
        named.or_else(|| self.transaction_id())
    }

    fn tell_transactions(&self, facets: &mut Facets) {
        let price = self.price().filter(|_| self.element.reason.moves_money());
        // A price without a transaction or a period belongs to this very notification; a repeat has the same id.
        let by_notification = || price.is_some().then(|| format!("notification:{}", self.id));
        if let Some(id) = self.transaction_id().or_else(by_notification) {
            let facts = facets.transactions.entry(id).or_default();
            facts.product_id = facets.product.clone();
            facts.period = facets.period.clone();
            facts.price = self.maybe(price);
            self.tell_failure(facts);
        } else if self.element.reason == Reason::PaymentFailed {
            // By the attempt, so that it counts once however often it is told.
            let id = format!("attempt:{}", self.attempt_id());
            self.tell_failure(facets.transactions.entry(id).or_default());
        }
        if let (Some(status), Some(id)) = (self.element.reason.refund_status(), self.refunded_transaction()) {
            self.tell_refund(facets.transactions.entry(id).or_default(), status);
        }
    }

    fn tell_failure(&self, facts: &mut TransactionFacts) {
        if self.element.reason == Reason::PaymentFailed {
            facts.failures.insert(self.attempt_id().to_owned(), self.element.observed_at);
        }
    }

    fn attempt_id(&self) -> &str {
        self.element.attempt_id.as_ref().map_or(self.id.as_ref(), |id| id.0.as_ref())
    }

    fn tell_refund(&self, facts: &mut TransactionFacts, status: RefundStatus) {
        let refund = self.element.refund.as_ref();
        let id = refund.and_then(|refund| refund.id.as_ref()).map_or(ONLY_REFUND, |id| id.0.as_ref());
        let amount =
            refund.and_then(|refund| Some(Money { amount_minor: refund.amount_minor?, currency: refund.currency? }));
        let fact = RefundFact { status, amount, revokes: None, family: false };
        facts.refunds.insert(id.to_owned(), self.dated(fact));
    }

    fn hint(&self) -> Hint {
        match self.element.reason {
            Reason::Purchased => Hint::Purchased,
            Reason::Renewed => Hint::Renewed,
            Reason::RenewalDisabled => Hint::RenewalDisabled,
            Reason::RenewalEnabled => Hint::RenewalEnabled,
            Reason::PaymentFailed => Hint::PaymentFailed,
            Reason::GraceStarted => Hint::GraceStarted,
            Reason::BillingRetryStarted => Hint::BillingRetryStarted,
            Reason::Recovered => Hint::Recovered,
            Reason::ProductChanged => Hint::ProductChanged,
            Reason::ProductChangeScheduled => Hint::ProductChangeScheduled,
            Reason::ProductChangeCancelled => Hint::ProductChangeCancelled,
            Reason::PauseScheduled => Hint::PauseScheduled,
            Reason::PauseCancelled => Hint::PauseCancelled,
            Reason::Paused => Hint::Paused,
            Reason::Resumed => Hint::Resumed,
            Reason::Extended => Hint::Extended,
            Reason::RefundRequested => Hint::RefundRequested,
            Reason::Refunded => Hint::Refunded,
            Reason::RefundDeclined => Hint::RefundDeclined,
            Reason::RefundReversed => Hint::RefundReversed,
            // What a family member shares is not refunded but withdrawn.
            Reason::Revoked if self.element.family_shared == Some(Some(true)) => Hint::FamilyRevoked,
            Reason::Revoked => Hint::Revoked,
            Reason::Expired => Hint::Expired,
            Reason::Transferred => Hint::Transferred,
            Reason::OneTimePurchased => Hint::OneTimePurchased,
            Reason::PriceIncrease => Hint::PriceIncrease,
            Reason::Test => Hint::Test,
        }
    }
}

impl Reason {
    /// How far a refund has come, for reasons about refunds.
    pub(super) const fn refund_status(self) -> Option<RefundStatus> {
        match self {
            Reason::RefundRequested => Some(RefundStatus::Requested),
            Reason::Refunded => Some(RefundStatus::Refunded),
            Reason::RefundDeclined => Some(RefundStatus::Declined),
            Reason::RefundReversed => Some(RefundStatus::Reversed),
            Reason::Purchased
            | Reason::Renewed
            | Reason::RenewalDisabled
            | Reason::RenewalEnabled
            | Reason::PaymentFailed
            | Reason::GraceStarted
            | Reason::BillingRetryStarted
            | Reason::Recovered
            | Reason::ProductChanged
            | Reason::ProductChangeScheduled
            | Reason::ProductChangeCancelled
            | Reason::PauseScheduled
            | Reason::PauseCancelled
            | Reason::Paused
            | Reason::Resumed
            | Reason::Extended
            | Reason::Revoked
            | Reason::Expired
            | Reason::Transferred
            | Reason::OneTimePurchased
            | Reason::PriceIncrease
            | Reason::Test => None,
        }
    }

    /// Whether `price` is what was paid. Where the charge failed nothing was, and an announced price is not yet.
    const fn moves_money(self) -> bool {
        match self {
            Reason::PaymentFailed | Reason::GraceStarted | Reason::BillingRetryStarted | Reason::PriceIncrease => false,
            Reason::Purchased
            | Reason::Renewed
            | Reason::RenewalDisabled
            | Reason::RenewalEnabled
            | Reason::Recovered
            | Reason::ProductChanged
            | Reason::ProductChangeScheduled
            | Reason::ProductChangeCancelled
            | Reason::PauseScheduled
            | Reason::PauseCancelled
            | Reason::Paused
            | Reason::Resumed
            | Reason::Extended
            | Reason::RefundRequested
            | Reason::Refunded
            | Reason::RefundDeclined
            | Reason::RefundReversed
            | Reason::Revoked
            | Reason::Expired
            | Reason::Transferred
            | Reason::OneTimePurchased
            | Reason::Test => true,
        }
    }
}

impl Bought {
    const fn kind(self) -> Kind {
        match self {
            Bought::Subscription => Kind::Subscription,
            Bought::Consumable => Kind::Consumable,
            Bought::NonConsumable => Kind::NonConsumable,
            Bought::NonRenewing => Kind::NonRenewing,
        }
    }
}
