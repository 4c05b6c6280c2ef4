//! What is bought once, on Stripe's checkout page: paid by card, or by a bank that answers later.

use super::subscription::refund_of;
use super::teller::{Draft, Teller};
use crate::calendar::{DAY, HOUR};
use crate::catalogue::{Kind, Plan};
use crate::lives::Turn;
use crate::stores::stripe::objects::{Charge, Id, Object, Price, Session};
use crate::truth::{After, Amount, State};

/// One purchase.
pub(super) struct OneTime {
    plan: &'static Plan,
    charge: Charge,
    starts: i64,
}

/// The customer buys. Gives nothing when the bank says no.
pub(super) fn buy(teller: &mut Teller, plan: &'static Plan) -> Option<OneTime> {
    let price = Price { plan, storefront: teller.storefront };
    let charge = Charge {
        id: teller.id("ch"),
        intent: teller.id("pi"),
        invoice: None,
        customer: Some(Id::clone(&teller.customer.id)),
        country: teller.customer.country,
        created: teller.now,
        amount: price.amount(),
        refunded: 0,
        currency: super::subscription::lower(teller.storefront),
        disputed: false,
        user: teller.user.clone(),
        product: plan.id,
    };
    let mut session = Session {
        id: teller.id("cs"),
        created: teller.now,
        customer: Some(Id::clone(&teller.customer.id)),
        country: teller.customer.country,
        reference: teller.user.clone(),
        mode: "payment",
        payment_status: "paid",
        total: price.amount(),
        price,
        intent: Some(Id::clone(&charge.intent)),
        subscription: None,
        invoice: None,
    };
    let mut own = OneTime { plan, charge, starts: teller.now };
    teller.turn();
    let is_late = teller.chance.percent(20);
    if is_late {
        session.payment_status = "unpaid";
        own.tell(
            teller,
            Turn::BankAsked,
            "checkout.session.completed",
            Object::Session(session.clone()),
            State::Pending,
        );
        teller.wait(HOUR, 3 * DAY);
        teller.turn();
        if teller.chance.percent(30) {
            let object = Object::Session(session);
            own.tell(teller, Turn::BankRefused, "checkout.session.async_payment_failed", object, State::Expired);
            return None;
        }
        session.payment_status = "paid";
        own.charge.created = teller.now;
        own.starts = teller.now;
    }
    let turn = if plan.kind == Kind::Consumable { Turn::ConsumableBought } else { Turn::NonConsumableBought };
    let kind = if is_late { "checkout.session.async_payment_succeeded" } else { "checkout.session.completed" };
    own.tell(teller, turn, kind, Object::Session(session), State::Active);
    Some(own)
}

impl OneTime {
    /// The merchant gives the money back.
    pub(super) fn refund(mut self, teller: &mut Teller) {
        teller.turn();
        let before = Object::Charge(self.charge.clone());
        self.charge.refunded = self.charge.amount;
        let refund = refund_of(teller, &self.charge, self.charge.amount);
        let charge = Object::Charge(self.charge.clone());
        self.tell_with(teller, Turn::OneTimeRefunded, "charge.refunded", charge, Some(before), State::Revoked);
        self.tell_with(teller, Turn::OneTimeRefunded, "refund.created", Object::Refund(refund), None, State::Revoked);
    }

    fn tell(&self, teller: &mut Teller, turn: Turn, kind: &'static str, object: Object, state: State) {
        self.tell_with(teller, turn, kind, object, None, state);
    }

    fn tell_with(
        &self,
        teller: &mut Teller,
        turn: Turn,
        kind: &'static str,
        object: Object,
        before: Option<Object>,
        state: State,
    ) {
        let (minor, events) = match (turn, kind) {
            (Turn::ConsumableBought | Turn::NonConsumableBought, _) => (self.charge.amount, vec!["ONE_TIME_PURCHASED"]),
            (Turn::OneTimeRefunded, "charge.refunded") => (-self.charge.amount, vec!["ONE_TIME_REFUNDED"]),
            _ => (0, vec![]),
        };
        let money = (minor != 0).then_some(Amount { minor, currency: teller.storefront.currency });
        let paid = matches!(state, State::Active | State::Revoked);
        let also = if paid { vec![Object::Charge(self.charge.clone())] } else { vec![] };
        let after = After {
            state,
            will_renew: None,
            plan: self.plan,
            product_id: Price { plan: self.plan, storefront: teller.storefront }.id().into(),
            starts_at: self.starts * 1000,
            ends_at: None,
            grace_ends_at: None,
            money,
            new_period: minor > 0,
            events,
        };
        let purchase = Id::clone(&self.charge.intent);
        teller.tell(Draft { turn, purchase, kind, object, before, also, after });
    }
}
