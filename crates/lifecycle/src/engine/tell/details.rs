//! What only some events carry, and what follows from the products and offers on both sides of the bundle.

use super::Bundle;
use super::tables::begins_period;
use crate::engine::change::Change;
use crate::engine::classify::{self, Face, Step, stage};
use crate::engine::facts::{self, Fact};
use crate::engine::state;
use crate::event::{Details, EventType, PurchaseView};
use crate::observation::{Hint, OfferType};
use crate::purchase::{Held, State};

impl Bundle<'_> {
    pub(super) fn details(&self, step: &Step, event: EventType) -> Details {
        let (before, after) = (&self.teller.before, &self.teller.after);
        let mut details = Details {
            cancellation_told: Some(self.cancellation_told),
            detected_by: self.teller.why.detected_by,
            ..Details::default()
        };
        if !self.is_first {
            details.previous_offer_type = self.previous_offer(step);
        }
        if begins_period(step.change) {
            details.is_trial_conversion = Some(self.is_trial_conversion(step));
        }
        match event {
            EventType::SubscriptionReactivated => {
                let ended = !matches!(step.from, State::None | State::Pending);
                let goes_on = || ended || classify::had_periods(before, after);
                details.same_chain = Some(self.released_in(step).map_or_else(goes_on, |held| held.same_chain));
            }
            EventType::SubscriptionUpgraded
            | EventType::SubscriptionCrossgraded
            | EventType::SubscriptionDowngraded => {
                details.previous_product_id.clone_from(&before.view.product_id);
                details.new_product_id.clone_from(&after.view.product_id);
            }
            EventType::PlanChangeScheduled | EventType::PlanChangeUnscheduled => {
                let scheduled = event == EventType::PlanChangeScheduled;
                let pending = if scheduled { &after.view.pending } else { &before.view.pending };
                details.previous_product_id.clone_from(&after.view.product_id);
                details.new_product_id = pending.as_ref().map(|pending| pending.product_id.clone());
                details.effective_at = pending.as_ref().and_then(|pending| pending.effective_at).or(after.end);
            }
            EventType::SubscriptionWillPause => {
                details.effective_at = after.view.pause.as_ref().and_then(|pause| pause.starts_at).or(after.end);
            }
            EventType::SubscriptionDeferred => details.effective_at = after.end,
            EventType::PriceIncreasePending | EventType::PriceIncreaseAccepted => {
                let increase = after.price_increase.as_ref();
                details.new_price = increase.and_then(|increase| increase.new_price);
                details.effective_at = increase.and_then(|increase| increase.effective_at);
            }
            EventType::RefundRecorded | EventType::SubscriptionRefundedRevoked | EventType::OneTimeRefunded => {
                details.partial = self.is_partial(step.fact.as_ref());
            }
            EventType::Deactivate | EventType::Activate => {
                if matches!(step.change, Change::PlanChanged | Change::PlanChangedAtRenewal | Change::PlanChangedUnpaid)
                {
                    details.previous_product_id.clone_from(&before.view.product_id);
                    details.new_product_id.clone_from(&after.view.product_id);
                }
            }
            _ => {} // every other event says all in the purchase itself
        }
        if matches!(step.change, Change::Transferred | Change::TransferredOnce) {
            details.transferred_from = self.teller.context.owner_ids.to_vec();
            details.transferred_to = self.teller.context.new_owner_ids.to_vec();
            details.merged = self.teller.context.merges.then_some(true);
        }
        details
    }

    pub(super) fn is_partial(&self, fact: Option<&Fact>) -> Option<bool> {
        let fact = fact?;
        let known = self.teller.purchase.facets.transactions.get(&fact.transaction)?;
        let refund = known.refunds.get(fact.refund.as_ref()?)?;
        Some(state::is_partial(&refund.value, facts::price_of(self.teller.purchase, &fact.transaction, Some(known))))
    }

    pub(super) fn released_in(&self, step: &Step) -> Option<&Held> {
        self.teller.released.as_ref().filter(|_| step.stage == stage::HELD)
    }

    pub(super) fn previous_offer(&self, step: &Step) -> Option<OfferType> {
        self.released_in(step).map_or(self.teller.before.offer, |held| held.previous_offer)
    }

    pub(super) fn is_trial_conversion(&self, step: &Step) -> bool {
        match self.released_in(step) {
            Some(held) => held.is_trial_conversion,
            None => {
                !self.is_first && self.teller.before.is_free && !self.teller.after.is_free && !self.is_unclear(step)
            }
        }
    }

    /// The offer of the period that the step shows.
    pub(super) fn current_offer(&self, step: &Step) -> Option<OfferType> {
        match step.face {
            Face::After => self.teller.after.offer,
            Face::Before | Face::Closed => self.teller.before.offer,
        }
    }

    pub(super) fn started_offer(&self, step: &Step) -> Option<OfferType> {
        let anew = matches!(
            step.change,
            Change::Bought
                | Change::BoughtAgain
                | Change::StartTold
                | Change::ReactivationTold
                | Change::Reactivated
                | Change::Granted
        );
        self.current_offer(step).filter(|offer| anew || self.previous_offer(step) != Some(*offer))
    }

    /// How the period before this step's ended is not known.
    fn is_unclear(&self, step: &Step) -> bool {
        // A return says so itself, and a held renewal was looked at when it came.
        step.change != Change::Reactivated
            && self.released_in(step).is_none()
            && classify::is_unclear(&self.teller.before, &self.teller.after, &self.teller.why)
    }

    /// The offer of the period that ends with this bundle, unless its end is told already.
    pub(super) fn offer_that_ended(&mut self) -> Option<OfferType> {
        let offer = self.teller.before.offer.filter(|_| !self.offer_is_long_past())?;
        let period = self.teller.before.view.period.as_ref().map(|period| period.transaction_key().into_owned());
        let is_told = period.is_some() && period == self.teller.purchase.offer_ended;
        self.teller.purchase.offer_ended = period;
        (!is_told).then_some(offer)
    }

    pub(super) fn converted_offer(&self, step: &Step) -> Option<OfferType> {
        if self.is_unclear(step) {
            return None;
        }
        let old = self.previous_offer(step)?;
        let to_paid = old == OfferType::FreeTrial && self.is_trial_conversion(step);
        (to_paid || self.current_offer(step).is_none()).then_some(old)
    }

    /// The end that is told now is a later period's, whose own start was never heard of: how the offer ended nobody knows,
    /// and most such periods were paid for.
    pub(super) fn offer_is_long_past(&self) -> bool {
        let (before, after) = (&self.teller.before.view, &self.teller.after.view);
        let is_over = matches!(after.state, State::Expired | State::Revoked);
        let starts = |view: &PurchaseView| view.period.as_ref().map(|period| period.starts_at);
        is_over && starts(before).is_some_and(|old| starts(after).is_some_and(|new| new > old))
    }

    /// A configured rank wins over the store's word (lifecycle.md section 7).
    pub(super) fn grade(&self) -> EventType {
        let (old, new) = (&self.teller.before.view.product_id, &self.teller.after.view.product_id);
        let find = |id: &Option<String>| {
            id.as_ref().and_then(|id| self.teller.context.catalogue.product(self.teller.purchase.store, id))
        };
        if let (Some(old), Some(new)) = (find(old), find(new))
            && old.group == new.group
            && let (Some(old), Some(new)) = (old.rank, new.rank)
        {
            return match new.cmp(&old) {
                std::cmp::Ordering::Greater => EventType::SubscriptionUpgraded,
                std::cmp::Ordering::Equal => EventType::SubscriptionCrossgraded,
                std::cmp::Ordering::Less => EventType::SubscriptionDowngraded,
            };
        }
        match self.teller.why.hint {
            Some(Hint::Upgraded) => EventType::SubscriptionUpgraded,
            Some(Hint::Downgraded) => EventType::SubscriptionDowngraded,
            Some(_) | None => EventType::SubscriptionCrossgraded,
        }
    }
}
