//! Two kinds of pause: of the subscription (`status` is `paused`), and of collecting payments (`pause_collection`), which
//! leaves `status` alone.

use super::{Meaning, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::lives::Turn;
use crate::stores::stripe::lives::teller::Teller;
use crate::stores::stripe::objects::{Object, PauseCollection};
use crate::truth::State;

impl Subscription {
    /// The trial is over and there is no card to charge.
    pub(in crate::stores::stripe::lives) fn pause_after_trial(&mut self, teller: &mut Teller) {
        teller.until(self.object.period.1);
        teller.turn();
        self.object.status = "paused";
        self.state = State::Paused;
        self.update(teller, Turn::Paused, Meaning::events(vec!["SUBSCRIPTION_PAUSED"]));
        self.say(teller, Turn::Paused, "customer.subscription.paused", Meaning::default());
    }

    /// The customer gives a card: a period begins now and is paid now.
    pub(in crate::stores::stripe::lives) fn resume(&mut self, teller: &mut Teller) {
        teller.wait(DAY, 20 * DAY);
        teller.turn();
        self.object.status = "active";
        self.state = State::Active;
        self.next_period(teller, teller.now);
        let also = vec![Object::Invoice(self.invoice.clone())];
        self.update(teller, Turn::Resumed, Meaning { new_period: true, also, ..Meaning::default() });
        self.say(teller, Turn::Resumed, "customer.subscription.resumed", Meaning::default());
        self.pay(teller, Turn::Resumed, vec!["SUBSCRIPTION_UNPAUSED"]);
    }

    /// Or goes.
    pub(in crate::stores::stripe::lives) fn cancel_in_pause(&mut self, teller: &mut Teller) {
        teller.wait(DAY, 20 * DAY);
        teller.turn();
        self.close(teller, Turn::CancelledInPause, "cancellation_requested", vec!["SUBSCRIPTION_TERMINATED"]);
    }

    /// No payments are collected: with `void` the service pauses when the paid period is over, else nothing changes.
    pub(in crate::stores::stripe::lives) fn pause_collection(&mut self, teller: &mut Teller, behavior: &'static str) {
        teller.turn();
        self.object.pause = Some(PauseCollection { behavior, resumes_at: None });
        let (turn, events) = match behavior {
            "void" => (Turn::PauseScheduled, vec!["SUBSCRIPTION_WILL_PAUSE"]),
            _ => (Turn::CollectionStopped, vec![]),
        };
        self.update(teller, turn, Meaning::events(events));
    }

    /// Collected again before it mattered.
    pub(in crate::stores::stripe::lives) fn collect_again(&mut self, teller: &mut Teller) {
        teller.turn();
        let paused = self.object.pause.take().is_some_and(|pause| pause.behavior == "void");
        let (turn, events) = match (paused, self.state) {
            (true, State::Paused) => (Turn::Resumed, vec!["SUBSCRIPTION_UNPAUSED"]),
            (true, _) => (Turn::PauseWithdrawn, vec!["SUBSCRIPTION_WILL_NOT_PAUSE"]),
            (false, _) => (Turn::CollectionResumed, vec![]),
        };
        // The service of the period that Stripe began in the pause begins with the return from it.
        let new_period = self.state == State::Paused;
        if new_period {
            self.state = State::Active;
        }
        self.update(teller, turn, Meaning { new_period, ..Meaning::events(events) });
    }

    /// The period moves although nobody pays: the invoice is voided, written off or kept as a draft.
    pub(in crate::stores::stripe::lives) fn renew_uncollected(&mut self, teller: &mut Teller) {
        let Some(pause) = self.object.pause else { return };
        self.move_on(teller);
        let turn = if pause.behavior == "void" { Turn::Paused } else { Turn::RenewedUncollected };
        let mut meaning = Meaning { also: vec![Object::Invoice(self.invoice.clone())], ..Meaning::default() };
        if pause.behavior == "void" {
            self.state = State::Paused;
            meaning.events.push("SUBSCRIPTION_PAUSED");
        } else {
            meaning.new_period = true;
        }
        self.update(teller, turn, meaning);
        match pause.behavior {
            "void" => self.void(teller, turn),
            "mark_uncollectible" => {
                self.wait_for_draft(teller);
                self.invoice.status = "uncollectible";
                self.invoice.transitions[0] = Some(teller.now);
                self.invoice.transitions[2] = Some(teller.now);
                self.about_invoice(teller, turn, "invoice.marked_uncollectible", Meaning::default());
            }
            _ => {}
        }
        teller.wait(HOUR, 4 * DAY);
        self.collect_again(teller);
    }
}
