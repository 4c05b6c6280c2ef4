//! How a subscription begins: paid at once, after a step in the browser, never, with a trial, or with a coupon.

use super::{Meaning, Subscription};
use crate::calendar::{DAY, HOUR, MINUTE};
use crate::catalogue::{Plan, Storefront};
use crate::lives::Turn;
use crate::stores::stripe::lives::teller::Teller;
use crate::stores::stripe::objects::{self, Id, Invoice, Line, Object, Price, Session};
use crate::truth::State;

/// A free fortnight.
const TRIAL: i64 = 14 * DAY;
/// Stripe gives a first payment 23 hours.
const FIRST_PAYMENT: i64 = 23 * HOUR;

/// How the first period is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::stripe::lives) enum Start {
    /// The subscription is created active.
    Paid,
    /// The bank asks the customer first.
    AfterConfirmation,
    /// The customer never answers the bank.
    Never,
    /// Free for a fortnight, with a card on file or without.
    Trial { has_method: bool },
    /// A coupon over half of the first invoice.
    Coupon,
}

impl Subscription {
    /// The customer subscribes.
    pub(in crate::stores::stripe::lives) fn begin(
        teller: &mut Teller,
        plan: &'static Plan,
        start: Start,
        is_first: bool,
    ) -> Subscription {
        let mut own = Subscription::open(teller, plan, start, is_first);
        teller.turn();
        match start {
            Start::Paid | Start::Coupon => own.begin_paid(teller, start),
            Start::AfterConfirmation | Start::Never => own.begin_incomplete(teller, start),
            Start::Trial { .. } => own.begin_trial(teller),
        }
        own
    }

    fn open(teller: &mut Teller, plan: &'static Plan, start: Start, is_first: bool) -> Subscription {
        let (now, trial) = (teller.now, teller.span(TRIAL));
        let is_trial = matches!(start, Start::Trial { .. });
        let length = if is_trial { trial } else { teller.span(plan.period) };
        let period = (now, now + length);
        let price = Price { plan, storefront: teller.storefront };
        let invoice = first_invoice(teller, price, is_trial, start, period);
        let object = objects::Subscription {
            id: Id::clone(&invoice.subscription),
            item: Id::clone(&invoice.item),
            customer: Id::clone(&teller.customer.id),
            created: now,
            status: match start {
                Start::Paid | Start::Coupon => "active",
                Start::AfterConfirmation | Start::Never => "incomplete",
                Start::Trial { .. } => "trialing",
            },
            price,
            quantity: 1,
            period,
            trial: is_trial.then_some(period),
            without_method: if start == (Start::Trial { has_method: false }) { "pause" } else { "create_invoice" },
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            cancellation: (None, None),
            pause: None,
            coupon: (start == Start::Coupon).then_some(50),
            schedule: None,
            latest_invoice: Some(Id::clone(&invoice.id)),
            user: teller.user.clone(),
        };
        Subscription {
            told: object.clone(),
            object,
            invoice,
            paid: None,
            earlier: Vec::new(),
            schedule: None,
            carried: Vec::new(),
            state: State::Active,
            grace_ends: None,
            period,
            is_first,
        }
    }

    /// The event that a start must cause: a second subscription to a product may be told as a return.
    fn started(&self) -> Vec<&'static str> {
        if self.is_first { vec!["SUBSCRIPTION_STARTED"] } else { vec![] }
    }

    fn begin_paid(&mut self, teller: &mut Teller, start: Start) {
        let turn = match start {
            Start::Coupon => Turn::CodeRedeemed,
            Start::Paid | Start::AfterConfirmation | Start::Never | Start::Trial { .. } if self.is_first => {
                Turn::Started
            }
            Start::Paid | Start::AfterConfirmation | Start::Never | Start::Trial { .. } => Turn::Resubscribed,
        };
        self.say(teller, turn, "customer.subscription.created", Meaning { new_period: true, ..Meaning::default() });
        self.checkout(teller, turn, "paid");
        let events = self.started();
        self.pay(teller, turn, events);
        if self.object.coupon.take().is_some() {
            // "once": Stripe takes the discount off after its one invoice.
            teller.until(0);
            self.update(teller, turn, Meaning::default());
        }
    }

    fn begin_incomplete(&mut self, teller: &mut Teller, start: Start) {
        self.state = State::Pending;
        self.say(teller, Turn::FirstPaymentOpen, "customer.subscription.created", Meaning::default());
        if start == Start::Never || teller.chance.percent(40) {
            self.fail(teller, Turn::FirstPaymentOpen, None);
        }
        if start == Start::Never {
            let from = teller.now;
            teller.until(from + teller.span(FIRST_PAYMENT));
            teller.turn();
            self.object.status = "incomplete_expired";
            self.object.ended_at = Some(teller.now);
            self.state = State::Expired;
            self.update(teller, Turn::NeverPaid, Meaning::default());
            self.void(teller, Turn::NeverPaid);
            return;
        }
        // Half of the confirmations come within the second in which the subscription was made: then `created` does not say
        // which of the two events is the later one.
        if teller.chance.percent(50) {
            teller.wait(MINUTE, 2 * HOUR);
            teller.turn();
        }
        self.object.status = "active";
        self.state = State::Active;
        let turn = if self.is_first { Turn::Started } else { Turn::Resubscribed };
        self.update(teller, turn, Meaning { new_period: true, ..Meaning::default() });
        let events = self.started();
        self.pay(teller, turn, events);
        self.checkout(teller, turn, "paid");
    }

    fn begin_trial(&mut self, teller: &mut Teller) {
        let turn = Turn::TrialStarted;
        let mut events = self.started();
        if self.is_first {
            events.push("TRIAL_STARTED");
        }
        self.say(teller, turn, "customer.subscription.created", Meaning { new_period: true, ..Meaning::default() });
        self.pay(teller, turn, events);
        self.checkout(teller, turn, "no_payment_required");
    }

    /// Most customers come through Stripe's checkout page.
    fn checkout(&mut self, teller: &mut Teller, turn: Turn, payment_status: &'static str) {
        if !teller.chance.percent(60) {
            return;
        }
        let session = Session {
            id: teller.id("cs"),
            created: teller.now,
            customer: Some(Id::clone(&teller.customer.id)),
            country: teller.customer.country,
            reference: teller.user.clone(),
            mode: "subscription",
            payment_status,
            total: self.invoice.due,
            price: self.object.price,
            intent: None,
            subscription: Some(Id::clone(&self.object.id)),
            invoice: Some(Id::clone(&self.invoice.id)),
        };
        self.tell(teller, turn, "checkout.session.completed", Object::Session(session), None, Meaning::default());
    }
}

fn first_invoice(teller: &mut Teller, price: Price, is_trial: bool, start: Start, period: (i64, i64)) -> Invoice {
    let now = teller.now;
    let full = if is_trial { 0 } else { price.amount() };
    let coupon = (start == Start::Coupon).then_some(50);
    Invoice {
        id: teller.id("in"),
        customer: Id::clone(&teller.customer.id),
        country: teller.customer.country,
        subscription: teller.id("sub"),
        item: teller.id("si"),
        user: teller.user.clone(),
        created: now,
        window: (now, now),
        status: "open",
        reason: "subscription_create",
        due: if coupon.is_some() { full / 2 } else { full },
        currency: lower(teller.storefront),
        attempts: 0,
        next_attempt: None,
        transitions: [Some(now), None, None, None],
        payment: None,
        coupon,
        lines: vec![Line { amount: full, price, quantity: 1, proration: false, period }],
    }
}

/// Stripe writes currencies in lower case.
pub(in crate::stores::stripe::lives) fn lower(storefront: &Storefront) -> &'static str {
    match storefront.currency {
        "EUR" => "eur",
        "GBP" => "gbp",
        "AUD" => "aud",
        "JPY" => "jpy",
        _ => "usd",
    }
}
