//! How the moves of a subscription are made: periods begin, prices are set, and all of it is written down in Apple's
//! shapes.

use super::offer::Offer;
use super::{Said, Subscription};
use crate::calendar::{DAY, Lived};
use crate::catalogue::{GROUP, Plan};
use crate::lives::Turn;
use crate::stores::app_store::lives::teller::{Draft, Teller};
use crate::stores::app_store::wire::{Renewal, Transaction};
use crate::truth::{After, Amount, State};
use std::sync::Arc;

/// Earlier transactions that can still be refunded; Apple's own window is about 90 days.
const MAX_EARLIER: usize = 3;

impl Subscription {
    pub(super) fn open(teller: &mut Teller, plan: &'static Plan, offer: Option<Offer>, family: bool) -> Subscription {
        let id = teller.transaction_id();
        let date = teller.calendar.stamp(teller.now);
        let mut own = Subscription {
            plan,
            next_plan: plan,
            cents: plan.cents,
            raised: None,
            offer: None,
            transaction: first_transaction(teller, plan, id, family),
            starts: teller.now,
            ends: teller.now + plan.period,
            recent_start: date,
            renews: true,
            state: State::Active,
            grace_ends: None,
            earlier: Vec::new(),
            paid_minor: 0,
            was_reversed: false,
        };
        own.price(teller);
        if let Some(offer) = offer {
            own.apply(teller, offer);
        }
        own
    }

    /// Begins a period of the next plan at its regular price.
    pub(super) fn next_period(&mut self, teller: &mut Teller, from: Lived, reason: &'static str) {
        let was_reversed = std::mem::take(&mut self.was_reversed);
        if self.charge().is_some() && self.transaction.revocation_date.is_none() && !was_reversed {
            self.earlier.push((self.transaction.clone(), self.paid_minor));
            if self.earlier.len() > MAX_EARLIER {
                self.earlier.remove(0);
            }
        }
        self.cents = match self.raised.take() {
            Some((cents, true)) if self.next_plan == self.plan => cents,
            Some(_) | None if self.next_plan == self.plan => self.cents,
            Some(_) | None => self.next_plan.cents,
        };
        self.plan = self.next_plan;
        self.offer = None;
        self.starts = from;
        self.ends = from + self.plan.period;
        self.renews = true;
        self.state = State::Active;
        self.grace_ends = None;
        self.transaction = Transaction {
            transaction_id: teller.transaction_id(),
            web_order_line_item_id: Some(teller.transaction_id()),
            product_id: self.plan.id,
            purchase_date: teller.calendar.stamp(from),
            expires_date: Some(teller.calendar.stamp(self.ends)),
            transaction_reason: reason,
            revocation_date: None,
            revocation_reason: None,
            revocation_type: None,
            offer_type: None,
            offer_identifier: None,
            offer_discount_type: None,
            offer_period: None,
            ..self.transaction.clone()
        };
        self.price(teller);
    }

    pub(super) fn price(&mut self, teller: &Teller) {
        self.paid_minor = teller.storefront.minor(self.cents);
        self.transaction.price = self.paid_minor * teller.storefront.milli_per_minor;
    }

    pub(super) fn apply(&mut self, teller: &Teller, offer: Offer) {
        let (kind, id, discount) = offer.wire();
        if offer == Offer::Trial {
            self.ends = self.starts + 7 * DAY;
        }
        self.offer = Some(offer);
        self.paid_minor = teller.storefront.minor(offer.cents(self.cents));
        let transaction = &mut self.transaction;
        transaction.price = self.paid_minor * teller.storefront.milli_per_minor;
        transaction.expires_date = Some(teller.calendar.stamp(self.ends));
        transaction.offer_type = Some(kind);
        transaction.offer_identifier = id;
        transaction.offer_discount_type = Some(discount);
        transaction.offer_period = Some(match (offer, self.plan.period > 31 * DAY) {
            (Offer::Trial, _) => "P1W",
            (_, true) => "P1Y",
            (_, false) => "P1M",
        });
    }

    pub(super) fn is_family(&self) -> bool {
        self.transaction.in_app_ownership_type == "FAMILY_SHARED"
    }

    /// What the period costs the customer: nothing when somebody else in the family pays.
    pub(super) fn charge(&self) -> Option<i64> {
        (self.paid_minor > 0 && !self.is_family()).then_some(self.paid_minor)
    }

    pub(super) fn grade(&self, to: &Plan) -> &'static str {
        match to.rank.cmp(&self.plan.rank) {
            std::cmp::Ordering::Greater => "SUBSCRIPTION_UPGRADED",
            std::cmp::Ordering::Equal => "SUBSCRIPTION_CROSSGRADED",
            std::cmp::Ordering::Less => "SUBSCRIPTION_DOWNGRADED",
        }
    }

    pub(super) fn close(
        &mut self,
        teller: &mut Teller,
        turn: Turn,
        subtype: &'static str,
        intent: u8,
        mut events: Vec<&'static str>,
    ) {
        self.state = State::Expired;
        self.renews = false;
        self.next_plan = self.plan;
        self.grace_ends = None;
        // An offer ends once: where the period was refunded and the refund undone, its end was told with the refund.
        events.extend(self.offer.filter(|_| !self.was_reversed).map(|offer| offer.events().2));
        self.say(
            teller,
            turn,
            "EXPIRED",
            Said { subtype: Some(subtype), intent: Some(intent), events, ..Said::default() },
        );
    }

    pub(super) fn say(&mut self, teller: &mut Teller, turn: Turn, kind: &'static str, said: Said) {
        let status = match self.state {
            // Apple knows neither an open first payment nor a pause.
            State::Active | State::Pending => 1,
            State::Expired | State::Paused => 2,
            State::BillingRetry => 3,
            State::Grace => 4,
            State::Revoked => 5,
        };
        let after = After {
            state: self.state,
            will_renew: Some(self.renews),
            plan: self.plan,
            product_id: self.plan.id.into(),
            starts_at: self.transaction.purchase_date,
            ends_at: self.transaction.expires_date,
            grace_ends_at: self.grace_ends.map(|at| teller.calendar.stamp(at)),
            money: said.money.map(|minor| Amount { minor, currency: teller.storefront.currency }),
            new_period: said.new_period,
            events: said.events,
        };
        let renewal = Some(self.renewal(teller, said.intent));
        let transaction = said.about.unwrap_or_else(|| self.transaction.clone());
        teller.tell(Draft { turn, kind, subtype: said.subtype, status: Some(status), transaction, renewal, after });
    }

    fn renewal(&self, teller: &Teller, intent: Option<u8>) -> Renewal {
        let retrying = matches!(self.state, State::Grace | State::BillingRetry);
        let cents = match self.raised {
            Some((cents, _)) if self.next_plan == self.plan => cents,
            Some(_) | None if self.next_plan == self.plan => self.cents,
            Some(_) | None => self.next_plan.cents,
        };
        let price = teller.storefront.minor(cents) * teller.storefront.milli_per_minor;
        Renewal {
            expiration_intent: intent.or(retrying.then_some(2)),
            original_transaction_id: Arc::clone(&self.transaction.original_transaction_id),
            auto_renew_product_id: self.next_plan.id,
            product_id: self.plan.id,
            auto_renew_status: u8::from(self.renews),
            is_in_billing_retry_period: (retrying || intent.is_some()).then_some(retrying),
            price_increase_status: self.raised.map(|(_, accepted)| u8::from(accepted)),
            grace_period_expires_date: self.grace_ends.map(|at| teller.calendar.stamp(at)),
            renewal_price: self.renews.then_some(price),
            currency: self.renews.then_some(teller.storefront.currency),
            signed_date: 0,
            environment: teller.app.environment,
            recent_subscription_start_date: self.recent_start,
            renewal_date: self.transaction.expires_date.unwrap_or_default(),
            app_account_token: self.transaction.app_account_token.clone(),
            app_transaction_id: teller.app_transaction_id(),
        }
    }
}

pub(super) fn revoke(transaction: &mut Transaction, teller: &Teller, kind: &'static str) {
    transaction.revocation_date = Some(teller.calendar.stamp(teller.now));
    transaction.revocation_reason = Some(0);
    transaction.revocation_type = Some(kind);
}

fn first_transaction(teller: &mut Teller, plan: &'static Plan, id: Arc<str>, family: bool) -> Transaction {
    let date = teller.calendar.stamp(teller.now);
    Transaction {
        transaction_id: Arc::clone(&id),
        original_transaction_id: id,
        web_order_line_item_id: Some(teller.transaction_id()),
        bundle_id: teller.app.bundle_id.clone(),
        product_id: plan.id,
        subscription_group_identifier: Some(GROUP),
        purchase_date: date,
        original_purchase_date: date,
        expires_date: Some(teller.calendar.stamp(teller.now + plan.period)),
        quantity: 1,
        kind: "Auto-Renewable Subscription",
        app_account_token: if family { None } else { teller.token.clone() },
        in_app_ownership_type: if family { "FAMILY_SHARED" } else { "PURCHASED" },
        signed_date: 0,
        revocation_reason: None,
        revocation_date: None,
        revocation_type: None,
        revocation_percentage: None,
        offer_type: None,
        offer_identifier: None,
        environment: teller.app.environment,
        transaction_reason: "PURCHASE",
        storefront: teller.storefront.code,
        storefront_id: teller.storefront.id,
        price: 0,
        currency: teller.storefront.currency,
        offer_discount_type: None,
        app_transaction_id: teller.app_transaction_id(),
        offer_period: None,
    }
}
