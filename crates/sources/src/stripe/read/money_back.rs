//! Money that goes back: refunds and disputes. Neither names a subscription. The way there is refund, payment intent,
//! invoice payment, invoice, subscription, each step looked up; before basil a charge names its invoice.

use super::invoice::Bill;
use super::{About, Rank, Word, lookup};
use crate::stripe::ask::Wanted;
use crate::stripe::wire::Object;
use crate::{Lookup, Note, Reading};
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Dated, Facets, Hint, Observation, Origin, Period, RefundFact, RefundStatus, Stamp, TransactionFacts,
};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many refunds of one charge are read.
const MAX_REFUNDS: usize = 100;

/// What went back, as it is carried from lookup to lookup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Back {
    /// The refund's or dispute's id.
    id: String,
    status: RefundStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revokes: Option<bool>,
    is_dispute: bool,
    /// When Stripe said so, and in which event.
    at: Timestamp,
    by: String,
    /// What was paid with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
}

/// `refund.created`, `.updated`, `.failed` and the older `charge.refund.updated`.
pub(super) fn refund(word: &Word<'_>, refund: Object<'_>) -> Reading {
    let Some(back) = back_of_refund(word, refund, refund.id_of("payment_intent")) else {
        return Reading::noted(Note::Informative);
    };
    find(word, back, refund.id_of("charge"), None)
}

/// `None`: no money has moved yet, or the refund has no id.
fn back_of_refund(word: &Word<'_>, refund: Object<'_>, payment: Option<&str>) -> Option<Back> {
    let status = match refund.text("status") {
        Some("succeeded") => RefundStatus::Refunded,
        // ASSUMPTION: money that a failed refund brought back is as if the refund were undone.
        Some("failed" | "canceled") => RefundStatus::Reversed,
        // `pending`, `requires_action`, and what is not known.
        _ => return None,
    };
    Some(Back {
        id: refund.id()?.to_owned(),
        status,
        amount: refund.money("amount"),
        revokes: (!word.reader.policy.refund_revokes).then_some(false),
        is_dispute: false,
        at: word.at,
        by: word.id.to_string(),
        payment: payment.map(str::to_owned),
    })
}

/// `charge.refunded`: before `2022-11-15` with the charge's refunds. Without them, and where nobody can be asked, the
/// refund's own events say it all.
pub(super) fn charge(word: &Word<'_>, charge: Object<'_>) -> Reading {
    let Some(id) = charge.id() else { return Reading::noted(Note::Unknown) };
    let (payment, invoice) = (charge.id_of("payment_intent"), charge.id_of("invoice"));
    if charge.list("refunds").next().is_some() {
        return refunds_of(word, charge.list("refunds"), payment, Some(id), invoice);
    }
    let mut reading = Reading::noted(Note::Informative);
    if word.reader.policy.asks {
        let about = About::Refunds { payment: payment.map(str::to_owned), invoice: invoice.map(str::to_owned) };
        reading.lookups.push(lookup(Wanted::RefundsOf(id), word.context(about), "which refunds a charge has"));
    }
    reading
}

/// The refunds of a charge, looked up.
pub(super) fn refunds(
    word: &Word<'_>,
    wanted: Wanted<'_>,
    payment: Option<&str>,
    invoice: Option<&str>,
    list: Object<'_>,
) -> Reading {
    match wanted {
        Wanted::RefundsOf(charge) => refunds_of(word, list.list("data"), payment, Some(charge), invoice),
        _ => Reading::noted(Note::Informative), // nothing else is looked up for this
    }
}

fn refunds_of<'a>(
    word: &Word<'_>,
    list: impl Iterator<Item = Object<'a>>,
    payment: Option<&str>,
    charge: Option<&str>,
    invoice: Option<&str>,
) -> Reading {
    let mut all = Reading::default();
    for refund in list.take(MAX_REFUNDS) {
        let payment = payment.or_else(|| refund.id_of("payment_intent"));
        if let Some(back) = back_of_refund(word, refund, payment) {
            let found = find(word, back, charge, invoice);
            all.observations.extend(found.observations);
            all.lookups.extend(found.lookups);
        }
    }
    all.note = Some(Note::Informative);
    all
}

/// `charge.dispute.*`. Stripe takes the money when it opens; it counts as gone when the dispute is lost.
pub(super) fn dispute(word: &Word<'_>, dispute: Object<'_>) -> Reading {
    let Some(id) = dispute.id() else { return Reading::noted(Note::Unknown) };
    let (status, revokes) = match dispute.text("status") {
        Some("lost") => (RefundStatus::Refunded, Some(word.reader.policy.refund_revokes)),
        Some("won" | "warning_closed" | "prevented") => (RefundStatus::Declined, None),
        Some("warning_needs_response" | "warning_under_review" | "needs_response" | "under_review") => {
            (RefundStatus::Requested, None)
        }
        _ => return Reading::noted(Note::Informative),
    };
    let back = Back {
        id: id.to_owned(),
        status,
        amount: dispute.money("amount"),
        revokes,
        is_dispute: true,
        at: word.at,
        by: word.id.to_string(),
        payment: dispute.id_of("payment_intent").map(str::to_owned),
    };
    find(word, back, dispute.id_of("charge"), None)
}

/// The next step on the way to the purchase.
fn find(word: &Word<'_>, back: Back, charge: Option<&str>, invoice: Option<&str>) -> Reading {
    let why = if back.is_dispute { "which purchase a dispute is about" } else { "which purchase a refund is of" };
    let wanted = match (invoice, back.payment.as_deref(), charge) {
        (Some(invoice), _, _) => Wanted::Invoice(invoice),
        (None, Some(payment), _) => Wanted::PaidBy(payment),
        (None, None, Some(charge)) if word.reader.policy.asks => Wanted::Charge(charge),
        // Only clues can answer, and they name charges like payment intents.
        (None, None, Some(charge)) => Wanted::PaidBy(charge),
        (None, None, None) => return Reading::noted(Note::Informative),
    };
    let next = lookup(wanted, word.context(About::Back(back.clone())), why);
    Reading { lookups: vec![next], ..Reading::noted(Note::Informative) }
}

/// What was looked up on the way.
pub(super) fn looked_up(word: &Word<'_>, wanted: Wanted<'_>, back: &Back, object: Object<'_>) -> Reading {
    let next = |wanted: Wanted<'_>| {
        let lookup: Lookup =
            lookup(wanted, word.context(About::Back(back.clone())), "which purchase money went back of");
        Reading { lookups: vec![lookup], ..Reading::noted(Note::Informative) }
    };
    let nothing = || Reading::noted(Note::Informative);
    match wanted {
        Wanted::Charge(_) => match (object.id_of("invoice"), object.id_of("payment_intent")) {
            (Some(invoice), _) => next(Wanted::Invoice(invoice)),
            (None, Some(payment)) => {
                let back = Back { payment: Some(payment.to_owned()), ..back.clone() };
                let lookup = lookup(
                    Wanted::PaidBy(payment),
                    word.context(About::Back(back)),
                    "which purchase money went back of",
                );
                Reading { lookups: vec![lookup], ..nothing() }
            }
            (None, None) => nothing(),
        },
        Wanted::PaidBy(payment) => match object.list("data").find_map(|payment| payment.id_of("invoice")) {
            Some(invoice) => next(Wanted::Invoice(invoice)),
            None => next(Wanted::SessionOf(payment)),
        },
        Wanted::Invoice(_) => match (Bill::of(object), back.payment.as_deref()) {
            (Some(bill), _) => of_invoice(word, &bill, back),
            // A one-time purchase may have an invoice too.
            (None, Some(payment)) => next(Wanted::SessionOf(payment)),
            (None, None) => nothing(),
        },
        Wanted::SessionOf(payment) => {
            let session = object.list("data").find(|session| session.text("mode") == Some("payment"));
            session.map_or_else(nothing, |session| of_session(word, payment, session, back))
        }
        Wanted::Subscription(_)
        | Wanted::RefundsOf(_)
        | Wanted::LinesOf(_)
        | Wanted::Customer(_)
        | Wanted::EventsSince(_)
        | Wanted::SubscriptionsSince(_) => nothing(),
    }
}

fn of_invoice(word: &Word<'_>, bill: &Bill<'_>, back: &Back) -> Reading {
    let transaction = bill.transaction();
    let mut facts = TransactionFacts::default();
    facts.refunds.insert(back.id.clone(), back.fact());
    let facets = bill.facets(word, facts);
    let mut reading = Reading::observed(back.observation(word, bill.subscription, transaction, facets));
    if word.reader.policy.asks {
        reading.lookups.push(word.subscription_unless_known(bill.subscription));
    }
    reading
}

/// A one-time purchase is known by its payment.
fn of_session(word: &Word<'_>, payment: &str, session: Object<'_>, back: &Back) -> Reading {
    let mut facts = TransactionFacts {
        price: session.money("amount_total").map(|price| word.dated(Rank::Made, Some(price))),
        ..TransactionFacts::default()
    };
    facts.refunds.insert(back.id.clone(), back.fact());
    let mut facets = Facets {
        kind: Some(word.dated(Rank::Made, paidup_lifecycle::observation::Kind::NonConsumable)),
        ..Facets::default()
    };
    let key = Period { transaction_id: Some(payment.to_owned()), starts_at: back.at, ends_at: None };
    let transaction = key.transaction_key().into_owned();
    facets.transactions.insert(transaction.clone(), facts);
    Reading::observed(back.observation(word, payment, transaction, facets))
}

impl Back {
    fn fact(&self) -> Dated<RefundFact> {
        let value = RefundFact { status: self.status, amount: self.amount, revokes: self.revokes, family: false };
        // Of one second, what has come further counts.
        let by = format!("{}/{}", self.status as u8, self.by).into();
        Dated { value, stamp: Stamp { as_of: self.at, origin: Origin::Notification, by } }
    }

    fn hint(&self) -> Hint {
        match self.status {
            RefundStatus::Requested => Hint::RefundRequested,
            RefundStatus::Declined => Hint::RefundDeclined,
            RefundStatus::Refunded => Hint::Refunded,
            RefundStatus::Reversed => Hint::RefundReversed,
        }
    }

    fn observation(&self, word: &Word<'_>, purchase: &str, transaction: String, facets: Facets) -> Observation {
        Observation {
            observed_at: self.at,
            about_transaction: Some(transaction),
            ..word.observation(purchase, self.hint(), facets)
        }
    }
}
