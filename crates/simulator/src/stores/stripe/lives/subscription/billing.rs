//! Invoices: made with the period, a draft for an hour, then paid, refused, given up or voided.

use super::start::lower;
use super::{MAX_EARLIER, Meaning, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::lives::Turn;
use crate::stores::stripe::lives::teller::Teller;
use crate::stores::stripe::objects::{Charge, Id, Invoice, InvoicePayment, Line, Object, Payment, Price};
use crate::stores::stripe::shape::Shape;
use crate::truth::State;

/// How long a renewal's invoice stays a draft.
const DRAFT: i64 = HOUR;

/// What becomes of a charge that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::stripe::lives) enum Dunning {
    /// Paid while past due.
    Paid,
    /// Unpaid, then paid.
    UnpaidThenPaid,
    /// Unpaid, then ended.
    UnpaidThenGivenUp,
    /// Ended straight from past due.
    GivenUp,
    /// The customer ends it while past due.
    Cancelled,
}

impl Subscription {
    /// The next period begins with an invoice that is not paid yet, in whatever state the subscription is.
    pub(super) fn next_period(&mut self, teller: &mut Teller, from: i64) {
        self.settle_paid();
        let was = self.object.period;
        let length = teller.span(self.plan().period);
        self.object.period = (from, from + length);
        self.period = self.object.period;
        let lines = vec![self.line(self.object.price, self.object.period, false)];
        self.draft(teller, "subscription_cycle", was, lines);
    }

    /// What was paid for the period that is over can be refunded later.
    fn settle_paid(&mut self) {
        if let Some(charge) = self.paid.take()
            && charge.refunded == 0
            && !charge.disputed
        {
            self.earlier.push(charge);
            if self.earlier.len() > MAX_EARLIER {
                self.earlier.remove(0);
            }
        }
    }

    pub(super) fn line(&self, price: Price, period: (i64, i64), proration: bool) -> Line {
        let quantity = self.object.quantity;
        Line { amount: price.amount() * i64::from(quantity), price, quantity, proration, period }
    }

    /// A new invoice; it takes along what was carried over.
    pub(super) fn draft(&mut self, teller: &mut Teller, reason: &'static str, window: (i64, i64), lines: Vec<Line>) {
        let now = teller.now;
        let mut lines = lines;
        lines.append(&mut self.carried);
        self.invoice = Invoice {
            id: teller.id("in"),
            customer: Id::clone(&self.object.customer),
            country: teller.customer.country,
            subscription: Id::clone(&self.object.id),
            item: Id::clone(&self.object.item),
            user: self.object.user.clone(),
            created: now,
            window,
            status: "draft",
            reason,
            due: lines.iter().map(|line| line.amount).sum::<i64>().max(0),
            currency: lower(teller.storefront),
            attempts: 0,
            next_attempt: None,
            transitions: [None; 4],
            payment: None,
            coupon: None,
            lines,
        };
        self.object.latest_invoice = Some(Id::clone(&self.invoice.id));
    }

    /// `invoice.created`, which nobody has to listen to. It makes the draft visible in the API.
    pub(super) fn tell_draft(&mut self, teller: &mut Teller, turn: Turn) {
        self.about_invoice(teller, turn, "invoice.created", Meaning::default());
    }

    /// Stripe's hour passes.
    pub(super) fn wait_for_draft(&mut self, teller: &mut Teller) {
        let ready = self.invoice.created + teller.span(DRAFT);
        teller.until(ready);
        teller.turn();
    }

    /// The last invoice is paid, or owes nothing: the charge, the invoice (told twice, under two names), the payment.
    pub(super) fn pay(&mut self, teller: &mut Teller, turn: Turn, events: Vec<&'static str>) {
        let now = teller.now;
        let due = self.invoice.due;
        let failed = self.invoice.attempts > 0;
        self.invoice.status = "paid";
        self.invoice.next_attempt = None;
        self.invoice.transitions[0] = self.invoice.transitions[0].or(Some(now));
        self.invoice.transitions[1] = Some(now);
        let mut meaning = Meaning::money(due, events);
        let mut payment = None;
        if due > 0 {
            self.invoice.attempts += 1;
            let ids = Payment { intent: teller.id("pi"), charge: teller.id("ch"), invoice_payment: teller.id("inpay") };
            let charge = self.charge(teller, &ids);
            meaning.also.push(Object::Charge(charge.clone()));
            payment = Some(self.invoice_payment(&ids, now));
            self.invoice.payment = Some(ids);
            if teller.chance.percent(20) {
                self.tell(teller, turn, "charge.succeeded", Object::Charge(charge.clone()), None, Meaning::default());
            }
            // A period that was paid for in several parts is not refunded here: which part its access hangs on is nowhere
            // described.
            let whole = self.invoice.reason != "subscription_update" && !failed;
            self.paid = whole.then_some(charge);
        }
        meaning.also.extend(payment.clone().map(Object::InvoicePayment));
        let first = teller.chance.percent(50);
        if first {
            self.about_payment(teller, turn, payment.clone());
        }
        self.about_invoice(teller, turn, "invoice.paid", meaning);
        if teller.chance.percent(50) {
            self.about_invoice(teller, turn, "invoice.payment_succeeded", Meaning::default());
        }
        if !first {
            self.about_payment(teller, turn, payment);
        }
    }

    /// `invoice_payment.paid`, since basil.
    fn about_payment(&mut self, teller: &mut Teller, turn: Turn, payment: Option<InvoicePayment>) {
        let Some(payment) = payment else { return };
        match teller.shape {
            Shape::Classic => {}
            Shape::Basil => {
                let object = Object::InvoicePayment(payment);
                self.tell(teller, turn, "invoice_payment.paid", object, None, Meaning::default());
            }
        }
    }

    pub(super) fn about_invoice(&mut self, teller: &mut Teller, turn: Turn, kind: &'static str, meaning: Meaning) {
        let object = Object::Invoice(self.invoice.clone());
        self.tell(teller, turn, kind, object, None, meaning);
    }

    fn charge(&self, teller: &Teller, ids: &Payment) -> Charge {
        Charge {
            id: Id::clone(&ids.charge),
            intent: Id::clone(&ids.intent),
            invoice: Some(Id::clone(&self.invoice.id)),
            customer: Some(Id::clone(&self.object.customer)),
            country: teller.customer.country,
            created: teller.now,
            amount: self.invoice.due,
            refunded: 0,
            currency: self.invoice.currency,
            disputed: false,
            user: None,
            product: self.plan().id,
        }
    }

    fn invoice_payment(&self, ids: &Payment, now: i64) -> InvoicePayment {
        InvoicePayment {
            id: Id::clone(&ids.invoice_payment),
            invoice: Id::clone(&self.invoice.id),
            intent: Id::clone(&ids.intent),
            amount: self.invoice.due,
            currency: self.invoice.currency,
            created: now,
        }
    }

    /// The charge is refused; Stripe says when it tries again.
    pub(super) fn fail(&mut self, teller: &mut Teller, turn: Turn, next_attempt: Option<i64>) {
        self.invoice.status = "open";
        self.invoice.transitions[0] = self.invoice.transitions[0].or(Some(teller.now));
        self.invoice.attempts += 1;
        self.invoice.next_attempt = next_attempt;
        if self.state == State::Grace {
            self.grace_ends = next_attempt.or(self.grace_ends);
        }
        let kind = if self.state == State::Pending && teller.chance.percent(50) {
            "invoice.payment_action_required"
        } else {
            "invoice.payment_failed"
        };
        self.about_invoice(teller, turn, kind, Meaning::default());
    }

    pub(super) fn void(&mut self, teller: &mut Teller, turn: Turn) {
        self.invoice.status = "void";
        self.invoice.next_attempt = None;
        self.invoice.transitions[3] = Some(teller.now);
        self.about_invoice(teller, turn, "invoice.voided", Meaning::default());
    }

    /// The period is over and the next one is paid for, an hour later. The subscription may be in a trial, or refunded.
    pub(in crate::stores::stripe::lives) fn renew(&mut self, teller: &mut Teller, free: bool) {
        let mut events = self.move_on(teller);
        if self.object.status == "trialing" {
            events.push("TRIAL_CONVERTED");
        }
        let turn = self.renewal_turn();
        self.object.status = "active";
        self.state = State::Active;
        if free {
            self.invoice.coupon = Some(100);
            self.invoice.due = 0;
        }
        self.tell_renewal(teller, turn);
        self.wait_for_draft(teller);
        self.pay(teller, turn, events);
        self.drop_finished_schedule(teller, turn);
    }

    fn renewal_turn(&self) -> Turn {
        if self.told.price.plan != self.plan() {
            Turn::PlanChangedAtRenewal
        } else if self.object.status == "trialing" {
            Turn::TrialConverted
        } else {
            Turn::Renewed
        }
    }

    /// The period moves to the next one, on the plan that the schedule names. Gives the events that the payment will cause.
    pub(super) fn move_on(&mut self, teller: &mut Teller) -> Vec<&'static str> {
        teller.until(self.object.period.1);
        teller.turn();
        let was_revoked = self.state == State::Revoked;
        let mut events = if was_revoked { vec![] } else { vec!["SUBSCRIPTION_RENEWED"] };
        if let Some(schedule) = &mut self.schedule {
            schedule.current = 1;
            if let Some(phase) = schedule.phases.get(1) {
                let price = phase.price;
                if !was_revoked && price.plan != self.object.price.plan {
                    events.insert(0, self.grade(price.plan));
                }
                self.object.price = price;
            }
        }
        self.next_period(teller, self.object.period.1);
        events
    }

    /// The period moves before the money does.
    pub(super) fn tell_renewal(&mut self, teller: &mut Teller, turn: Turn) {
        if teller.chance.percent(50) {
            self.tell_draft(teller, turn);
        }
        let also = vec![Object::Invoice(self.invoice.clone())];
        self.update(teller, turn, Meaning { new_period: true, also, ..Meaning::default() });
        self.tell_schedule(teller, turn, "subscription_schedule.updated");
    }

    /// The period is over, the next one is not paid for.
    pub(in crate::stores::stripe::lives) fn fail_to_renew(&mut self, teller: &mut Teller, then: Dunning) {
        self.move_on(teller);
        self.object.status = "active";
        self.state = State::Active;
        self.tell_renewal(teller, Turn::GraceStarted);
        self.wait_for_draft(teller);
        let retry = teller.span(3 * DAY);
        // Everything is over before the period is, so that no second unpaid invoice comes on top.
        let last = self.object.period.1 - 1;
        let next = (teller.now + retry).min(last);
        let fails_first = teller.chance.percent(50);
        if fails_first {
            self.fail(teller, Turn::GraceStarted, Some(next));
        }
        self.object.status = "past_due";
        self.state = State::Grace;
        self.grace_ends = Some(next);
        self.update(teller, Turn::GraceStarted, Meaning::events(vec!["GRACE_PERIOD_STARTED"]));
        if !fails_first {
            self.fail(teller, Turn::GraceStarted, Some(next));
        }
        self.dun(teller, then, next);
        self.drop_finished_schedule(teller, Turn::ChangeWithdrawn);
    }

    fn dun(&mut self, teller: &mut Teller, then: Dunning, next: i64) {
        if then == Dunning::Cancelled {
            teller.until(next.min(teller.now + 1));
            teller.turn();
            self.object.cancellation.1 = Some("too_expensive");
            let events = vec!["SUBSCRIPTION_TERMINATED"];
            return self.close(teller, Turn::CancelledInGrace, "cancellation_requested", events);
        }
        teller.until(next);
        teller.turn();
        match then {
            Dunning::Paid => {
                // Whether a trial whose period is over, and whose first charge failed, is then told as converted is left
                // open: no page says so of Stripe.
                self.recover(teller, Turn::RecoveredInGrace, vec!["SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]);
            }
            Dunning::UnpaidThenPaid | Dunning::UnpaidThenGivenUp => {
                self.go_unpaid(teller);
                teller.wait(DAY, 3 * DAY);
                teller.turn();
                if then == Dunning::UnpaidThenPaid {
                    let events = vec!["SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
                    self.recover(teller, Turn::RecoveredInRetry, events);
                } else {
                    self.close(teller, Turn::GivenUp, "payment_failed", vec!["SUBSCRIPTION_TERMINATED"]);
                }
            }
            Dunning::GivenUp => {
                self.fail(teller, Turn::GivenUp, None);
                let events = vec!["GRACE_PERIOD_TERMINATED", "SUBSCRIPTION_TERMINATED"];
                self.close(teller, Turn::GivenUp, "payment_failed", events);
            }
            Dunning::Cancelled => {}
        }
    }

    /// The retries are over and the subscription is left unpaid.
    fn go_unpaid(&mut self, teller: &mut Teller) {
        self.fail(teller, Turn::GraceOver, None);
        self.object.status = "unpaid";
        self.state = State::BillingRetry;
        self.grace_ends = None;
        let events = vec!["GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"];
        self.update(teller, Turn::GraceOver, Meaning::events(events));
    }

    fn recover(&mut self, teller: &mut Teller, turn: Turn, events: Vec<&'static str>) {
        let paid_first = teller.chance.percent(50);
        if paid_first {
            self.pay(teller, turn, vec![]);
        }
        self.object.status = "active";
        self.state = State::Active;
        self.grace_ends = None;
        self.update(teller, turn, Meaning::events(if paid_first { events.clone() } else { vec![] }));
        if !paid_first {
            self.pay(teller, turn, events);
        }
    }
}
