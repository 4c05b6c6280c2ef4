//! Invoices: what the periods of a subscription cost, and attempts to charge them. An invoice says nothing of how the
//! subscription stands: it brings the facets of one transaction, and waits for nothing else.

use super::{Rank, Word, lookup};
use crate::stripe::PastDueAccess;
use crate::stripe::ask::{self, Wanted};
use crate::stripe::wire::{self, Object};
use crate::{Note, Reading};
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{Facets, Hint, Observation, Period, TransactionFacts};

/// An invoice was paid. (`invoice.payment_succeeded` says the same once more.)
pub(super) fn paid(word: &Word<'_>, invoice: Object<'_>) -> Reading {
    let clues = ask::clues_of_invoice(invoice);
    let Some(bill) = Bill::of(invoice) else { return Reading { clues, ..Reading::noted(Note::Informative) } };
    let hint = match invoice.text("billing_reason") {
        Some("subscription_create") => Hint::Purchased,
        Some("subscription_cycle") => Hint::Renewed,
        _ => Hint::Answered,
    };
    let observation = word.observation(bill.subscription, hint, bill.facets(word, TransactionFacts::default()));
    let mut reading = Reading { clues, ..Reading::observed(observation) };
    if word.reader.policy.asks {
        reading.lookups.push(word.subscription_unless_known(bill.subscription));
    }
    reading
}

/// An attempt to charge an invoice failed. Of a first invoice that is no failure of a purchase yet: it is not bought.
pub(super) fn failed(word: &Word<'_>, invoice: Object<'_>) -> Reading {
    let is_first = invoice.text("billing_reason") == Some("subscription_create");
    let Some(bill) = Bill::of(invoice).filter(|_| !is_first) else { return Reading::noted(Note::Informative) };
    let attempt = invoice.int("attempt_count").unwrap_or(1);
    let mut facts = TransactionFacts::default();
    facts.failures.insert(format!("{}/{attempt}", bill.id), word.at);
    let mut facets = bill.facets(word, facts);
    if bill.keeps_access_until_tried_again(word) {
        // Said beside the status, which comes in the same second: it counts with that.
        facets.grace_ends_at = Some(word.dated(Rank::Final, invoice.time("next_payment_attempt")));
    }
    Reading::observed(word.observation(bill.subscription, Hint::PaymentFailed, facets))
}

/// An invoice will not be paid. What that means for the subscription is Stripe's setting: its status says it.
pub(super) fn given_up(word: &Word<'_>, invoice: Object<'_>) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    if let Some(subscription) = wire::subscription_of(invoice).filter(|_| word.reader.policy.asks) {
        let why = "an invoice of it was given up";
        reading.lookups.push(lookup(Wanted::Subscription(subscription), String::new(), why));
    }
    reading
}

/// A payment paid an invoice (since basil nothing else says which).
pub(super) fn payment(payment: Object<'_>) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    if let (Some(invoice), Some(by)) = (payment.id_of("invoice"), payment.object("payment")) {
        let ids = ["payment_intent", "charge"].into_iter().filter_map(|name| by.id_of(name));
        reading.clues = ids.map(|id| ask::clue_of_payment(id, invoice)).collect();
    }
    reading
}

/// A charge; before basil it names its invoice.
pub(super) fn charged(charge: Object<'_>) -> Reading {
    let mut reading = Reading::noted(Note::Informative);
    if let Some(invoice) = charge.id_of("invoice") {
        let ids = [charge.id_of("payment_intent"), charge.id()].into_iter().flatten();
        reading.clues = ids.map(|id| ask::clue_of_payment(id, invoice)).collect();
    }
    reading
}

/// An invoice that was looked up.
pub(super) fn answer(word: &Word<'_>, invoice: Object<'_>) -> Reading {
    observation_of_answer(word, invoice).map_or_else(|| Reading::noted(Note::Informative), Reading::observed)
}

/// What an invoice says that came with an answer: its price, once it is paid, and until then when Stripe tries again. The
/// failed attempt that told of it may be lost.
pub(super) fn observation_of_answer(word: &Word<'_>, invoice: Object<'_>) -> Option<Observation> {
    let bill = Bill::of(invoice)?;
    let mut facets = bill.facets(word, TransactionFacts::default());
    let next_attempt = invoice.time("next_payment_attempt").filter(|_| invoice.text("status") == Some("open"));
    if next_attempt.is_some() && bill.keeps_access_until_tried_again(word) {
        facets.grace_ends_at = Some(word.dated(Rank::Final, next_attempt));
    }
    Some(word.observation(bill.subscription, Hint::Answered, facets))
}

/// An invoice of a subscription.
pub(super) struct Bill<'a> {
    invoice: Object<'a>,
    id: &'a str,
    pub(super) subscription: &'a str,
    /// The period that it pays for. `None`: none as a whole.
    service: Option<wire::Running<'a>>,
}

impl<'a> Bill<'a> {
    /// `None`: it bills no subscription.
    pub(super) fn of(invoice: Object<'a>) -> Option<Bill<'a>> {
        let (id, subscription) = (invoice.id()?, wire::subscription_of(invoice)?);
        let of_period = matches!(
            invoice.text("billing_reason"),
            Some("subscription_create" | "subscription_cycle" | "subscription_update" | "subscription")
        );
        let service = wire::service(invoice).filter(|_| of_period);
        Some(Bill { invoice, id, subscription, service })
    }

    /// A renewal that is unpaid keeps access until Stripe tries next, unless the operator set another length.
    fn keeps_access_until_tried_again(&self, word: &Word<'_>) -> bool {
        let policy = word.reader.policy;
        policy.past_due_access == PastDueAccess::Keep
            && policy.past_due_days.is_none()
            && self.invoice.text("billing_reason") == Some("subscription_cycle")
    }

    /// The name of its transaction: that of the period, else its own.
    pub(super) fn transaction(&self) -> String {
        match self.service {
            Some(service) => {
                let period = Period { transaction_id: None, starts_at: service.starts_at, ends_at: None };
                period.transaction_key().into_owned()
            }
            None => self.id.to_owned(),
        }
    }

    /// What was paid. ASSUMPTION: of one paid out of band that says nothing was paid, all that was due.
    fn price(&self) -> Option<Money> {
        if self.invoice.text("status") != Some("paid") && !self.invoice.is("paid") {
            return None;
        }
        let paid = self.invoice.money("amount_paid")?;
        let out_of_band = self.invoice.is("paid_out_of_band") && paid.amount_minor == 0;
        if out_of_band { self.invoice.money("amount_due") } else { Some(paid) }
    }

    /// The facets of its transaction, beside what `facts` says of it.
    pub(super) fn facets(&self, word: &Word<'_>, facts: TransactionFacts) -> Facets {
        let mut facts = TransactionFacts {
            store_id: Some(word.dated(Rank::Repeated, self.id.to_owned())),
            price: self.price().map(|price| word.dated(Rank::Changed, Some(price))),
            ..facts
        };
        if let Some(service) = &self.service {
            facts.product_id = service.price.map(|price| word.dated(Rank::Repeated, price.to_owned()));
            let period = Period { transaction_id: None, starts_at: service.starts_at, ends_at: Some(service.ends_at) };
            let is_whole = service.ends_at > service.starts_at;
            facts.period = is_whole.then(|| word.dated(Rank::Made, period));
        }
        let country = self.invoice.object("customer_address").and_then(|address| address.text("country"));
        let country = country.filter(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
        let mut facets = Facets {
            country: country.map(|country| word.dated(Rank::Repeated, Some(country.to_owned()))),
            ..Facets::default()
        };
        facets.transactions.insert(self.transaction(), facts);
        self.tell_owner(word, &mut facets);
        facets
    }

    /// The invoice repeats the subscription's metadata as of its making; the subscription itself knows better.
    fn tell_owner(&self, word: &Word<'_>, facets: &mut Facets) {
        let repeated = wire::subscription_details(self.invoice).and_then(|it| word.reader.policy.customer(it));
        facets.owner = match (repeated, self.invoice.time("created")) {
            (Some(owner), Some(made_at)) => {
                let mut dated = word.dated(Rank::Made, Some(owner.to_owned()));
                dated.stamp.as_of = made_at.min(word.at);
                Some(dated)
            }
            (Some(_) | None, _) => self.invoice.id_of("customer").map(|customer| word.by_customer(customer)),
        };
    }
}
