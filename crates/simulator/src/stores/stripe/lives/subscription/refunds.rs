//! Money that goes back: whole or in parts, for the running period or an earlier one; refunds that fail; disputes.

use super::{Meaning, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::lives::Turn;
use crate::stores::stripe::lives::teller::Teller;
use crate::stores::stripe::objects::{Charge, Dispute, Id, Object, Refund};
use crate::truth::State;

/// What becomes of a refund of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::stripe::lives) enum RefundEnd {
    /// The money arrives; the subscription goes on, to be paid again next time.
    Stays,
    /// The merchant ends the subscription with it.
    Ends,
    /// The bank sends the money back to the merchant.
    Fails,
}

/// A refund of a charge, as Stripe makes it.
pub(in crate::stores::stripe::lives) fn refund_of(teller: &mut Teller, charge: &Charge, amount: i64) -> Refund {
    Refund {
        id: teller.id("re"),
        charge: Id::clone(&charge.id),
        intent: Id::clone(&charge.intent),
        amount,
        currency: charge.currency,
        created: teller.now,
        status: "succeeded",
    }
}

impl Subscription {
    /// Tells a refund and the charge that it belongs to, in either order. Both tell of one movement of money, which is
    /// counted with the later one: whoever hears of one alone may not know whose it is.
    fn tell_refund(&mut self, teller: &mut Teller, turn: Turn, charge: &mut Charge, amount: i64, meaning: Meaning) {
        let before = charge.clone();
        charge.refunded += amount;
        let refund = Object::Refund(refund_of(teller, charge, amount));
        let (old, new) = (Object::Charge(before), Object::Charge(charge.clone()));
        let silent = Meaning { also: vec![new.clone(), refund.clone()], ..Meaning::default() };
        if teller.chance.percent(50) {
            self.tell(teller, turn, "refund.created", refund, None, silent);
            self.tell(teller, turn, "charge.refunded", new, Some(old), meaning);
        } else {
            self.tell(teller, turn, "charge.refunded", new, Some(old), silent);
            self.tell(teller, turn, "refund.created", refund, None, meaning);
        }
    }

    /// The running period is paid back in full: access ends, Stripe's subscription does not.
    pub(in crate::stores::stripe::lives) fn refund(&mut self, teller: &mut Teller, end: RefundEnd) {
        let Some(mut charge) = self.paid.take() else { return };
        teller.turn();
        self.state = State::Revoked;
        let amount = charge.amount;
        let meaning = Meaning::money(-amount, vec!["SUBSCRIPTION_REFUNDED_REVOKED"]);
        self.tell_refund(teller, Turn::RefundedCurrent, &mut charge, amount, meaning);
        match end {
            RefundEnd::Stays => {}
            RefundEnd::Ends => {
                teller.wait(HOUR, DAY);
                self.schedule = None;
                self.close_after_refund(teller);
            }
            RefundEnd::Fails => {
                teller.wait(HOUR, DAY);
                self.fail_refund(teller, &mut charge);
            }
        }
    }

    fn close_after_refund(&mut self, teller: &mut Teller) {
        teller.turn();
        self.close(teller, Turn::EndedByMerchant, "cancellation_requested", vec![]);
    }

    fn fail_refund(&mut self, teller: &mut Teller, charge: &mut Charge) {
        teller.turn();
        let amount = charge.amount;
        let found = self.refund_again(teller, charge);
        charge.refunded = 0;
        self.state = State::Active;
        let also = vec![Object::Charge(charge.clone())];
        let meaning = Meaning { also, ..Meaning::money(amount, vec!["REFUND_REVERSED"]) };
        self.tell(teller, Turn::RefundFailed, "refund.failed", Object::Refund(found), None, meaning);
    }

    /// The refund that was told last, as failed.
    fn refund_again(&self, teller: &Teller, charge: &Charge) -> Refund {
        let told = teller.last_refund(&charge.id);
        let mut refund = told.unwrap_or_else(|| Refund {
            id: Id::clone(&charge.id),
            charge: Id::clone(&charge.id),
            intent: Id::clone(&charge.intent),
            amount: charge.amount,
            currency: charge.currency,
            created: teller.now,
            status: "failed",
        });
        refund.status = "failed";
        refund
    }

    /// A part of the running period's price goes back, sometimes in two goes. Access stays.
    pub(in crate::stores::stripe::lives) fn refund_part(&mut self, teller: &mut Teller) {
        let Some(mut charge) = self.paid.take() else { return };
        let part = charge.amount / 4;
        for _ in 0..teller.chance.between(1, 2) {
            teller.wait(HOUR, DAY);
            teller.turn();
            let meaning = Meaning::money(-part, vec!["REFUND_RECORDED"]);
            self.tell_refund(teller, Turn::PartlyRefunded, &mut charge, part, meaning);
        }
    }

    /// An earlier period is paid back.
    pub(in crate::stores::stripe::lives) fn refund_earlier(&mut self, teller: &mut Teller) {
        let Some(mut charge) = self.earlier.pop() else { return };
        teller.turn();
        let amount = charge.amount;
        let meaning = Meaning::money(-amount, vec!["REFUND_RECORDED"]);
        self.tell_refund(teller, Turn::RefundedEarlier, &mut charge, amount, meaning);
    }

    /// The customer's bank takes the money back; the merchant wins or loses.
    pub(in crate::stores::stripe::lives) fn dispute(&mut self, teller: &mut Teller, won: bool) {
        let Some(mut charge) = self.paid.take() else { return };
        teller.turn();
        charge.disputed = true;
        let mut dispute = Dispute {
            id: teller.id("dp"),
            charge: Id::clone(&charge.id),
            intent: Id::clone(&charge.intent),
            amount: charge.amount,
            currency: charge.currency,
            created: teller.now,
            status: "needs_response",
        };
        let also = vec![Object::Charge(charge.clone())];
        let opened = Meaning { also, ..Meaning::events(vec!["REFUND_REQUESTED"]) };
        self.about_dispute(teller, Turn::DisputeOpened, "charge.dispute.created", &dispute, opened);
        self.about_dispute(teller, Turn::DisputeOpened, "charge.dispute.funds_withdrawn", &dispute, Meaning::default());
        teller.wait(HOUR, DAY);
        teller.turn();
        if won {
            dispute.status = "won";
            let turn = Turn::DisputeWon;
            let meaning = Meaning::events(vec!["REFUND_DECLINED"]);
            self.about_dispute(teller, turn, "charge.dispute.closed", &dispute, meaning);
            self.about_dispute(teller, turn, "charge.dispute.funds_reinstated", &dispute, Meaning::default());
            return;
        }
        dispute.status = "lost";
        self.state = State::Revoked;
        let meaning = Meaning::money(-charge.amount, vec!["SUBSCRIPTION_REFUNDED_REVOKED"]);
        self.about_dispute(teller, Turn::DisputeLost, "charge.dispute.closed", &dispute, meaning);
        teller.wait(HOUR, DAY);
        teller.turn();
        self.schedule = None;
        self.close(teller, Turn::EndedByMerchant, "payment_disputed", vec![]);
    }

    fn about_dispute(
        &mut self,
        teller: &mut Teller,
        turn: Turn,
        kind: &'static str,
        dispute: &Dispute,
        meaning: Meaning,
    ) {
        self.tell(teller, turn, kind, Object::Dispute(dispute.clone()), None, meaning);
    }
}
