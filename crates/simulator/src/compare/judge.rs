//! Judges every event that a receiver saw against the truth. An event is wrong when it says something that did not happen;
//! nothing is said here about what a hub did not tell.
//!
//! An event is **wrong** when the truth of its purchase
//! 1. has no such purchase;
//! 2. has that kind of thing less often: [`RULES`] says for each kind what of the truth it may be told for, because a hub
//!    that hears the turns of a life in another order, or learns of them by asking, tells some in each other's stead
//!    (a payment out of a grace period that it never heard of is a renewal to it);
//! 3. has no period of that product with that start, for events that begin one, or that period was told before (the App
//!    Store and Stripe, which tell when periods begin);
//! 4. did not move that sum of money, or not as often (of Google's only how often: it shows the list price of today);
//! 5. has fewer ways into access, or out of it, than were told, counting each carrier that was heard of before anybody said
//!    that it belongs to another (Amazon's receipts) as a purchase of its own;
//! 6. says of an offer that it converted and the event says that it did not, or the other way round.
//!
//! A kind that stands nowhere here must not come at all.

use super::Comparison;
use crate::standins::receiver::{Receiver, Seen, Word};
use crate::stores::StoreKind;
use crate::truth::{PurchaseTruth, Truth};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Kinds of events, and the kinds of the truth that they may be told for: there must be no more of the first than of the
/// second.
struct Rule {
    told: &'static [&'static str],
    of: &'static [&'static str],
}

/// A period begins.
const BEGINS: &[&str] = &[
    "SUBSCRIPTION_STARTED",
    "SUBSCRIPTION_RENEWED",
    "SUBSCRIPTION_REACTIVATED",
    "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD",
    "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY",
    "SUBSCRIPTION_UNPAUSED",
];
/// It is another product's.
const GRADES: &[&str] = &["SUBSCRIPTION_UPGRADED", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_DOWNGRADED"];
/// Money goes back. Which of them it is depends on the period that is known to run.
const REFUNDS: &[&str] = &["SUBSCRIPTION_REFUNDED_REVOKED", "REFUND_RECORDED", "ONE_TIME_REFUNDED"];

const RULES: &[Rule] = &[
    Rule { told: GRADES, of: GRADES },
    Rule { told: REFUNDS, of: REFUNDS },
    Rule { told: &["PLAN_CHANGE_SCHEDULED"], of: &["PLAN_CHANGE_SCHEDULED"] },
    Rule { told: &["PLAN_CHANGE_UNSCHEDULED"], of: &["PLAN_CHANGE_UNSCHEDULED", "RENEWAL_DISABLED"] },
    Rule { told: &["SUBSCRIPTION_DEFERRED"], of: &["SUBSCRIPTION_DEFERRED"] },
    // A purchase that is over, or was taken away, renews no more: who hears of that first hears of a renewal switched off.
    Rule {
        told: &["RENEWAL_DISABLED"],
        of: &[
            "RENEWAL_DISABLED",
            "SUBSCRIPTION_TERMINATED",
            "SUBSCRIPTION_REFUNDED_REVOKED",
            "FAMILY_SHARED_REVOKED",
            "ENTERED_BILLING_RETRY",
        ],
    },
    // And one that came back renews again.
    Rule {
        told: &["RENEWAL_ENABLED"],
        of: &["RENEWAL_ENABLED", "SUBSCRIPTION_REACTIVATED", "REFUND_REVERSED", "PLAN_CHANGE_SCHEDULED"],
    },
    // Stripe ends a subscription whose last period was refunded without saying so a second time.
    Rule { told: &["SUBSCRIPTION_TERMINATED"], of: &["SUBSCRIPTION_TERMINATED", "SUBSCRIPTION_REFUNDED_REVOKED"] },
    Rule { told: &["FAMILY_SHARED_REVOKED"], of: &["FAMILY_SHARED_REVOKED"] },
    Rule { told: &["GRACE_PERIOD_STARTED"], of: &["GRACE_PERIOD_STARTED"] },
    Rule { told: &["GRACE_PERIOD_TERMINATED"], of: &["GRACE_PERIOD_TERMINATED"] },
    Rule { told: &["ENTERED_BILLING_RETRY"], of: &["ENTERED_BILLING_RETRY"] },
    // The lives name these two only where the store does; where it ends a purchase in such a phase the hub says so.
    Rule {
        told: &["SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD"],
        of: &["SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "GRACE_PERIOD_STARTED"],
    },
    Rule {
        told: &["SUBSCRIPTION_CANCELLED_DURING_PAUSE"],
        of: &["SUBSCRIPTION_CANCELLED_DURING_PAUSE", "SUBSCRIPTION_PAUSED"],
    },
    Rule { told: &["SUBSCRIPTION_WILL_PAUSE"], of: &["SUBSCRIPTION_WILL_PAUSE"] },
    Rule { told: &["SUBSCRIPTION_WILL_NOT_PAUSE"], of: &["SUBSCRIPTION_WILL_NOT_PAUSE"] },
    Rule { told: &["SUBSCRIPTION_PAUSED"], of: &["SUBSCRIPTION_PAUSED"] },
    Rule { told: &["ONE_TIME_PURCHASED"], of: &["ONE_TIME_PURCHASED"] },
    Rule { told: &["REFUND_REQUESTED"], of: &["REFUND_REQUESTED"] },
    Rule { told: &["REFUND_DECLINED"], of: &["REFUND_DECLINED"] },
    Rule { told: &["REFUND_REVERSED"], of: &["REFUND_REVERSED"] },
    Rule { told: &["PRICE_INCREASE_PENDING"], of: &["PRICE_INCREASE_PENDING"] },
    Rule { told: &["PRICE_INCREASE_ACCEPTED"], of: &["PRICE_INCREASE_ACCEPTED"] },
];

/// Offers, by the beginning of their events' names.
const OFFERS: [&str; 4] = ["TRIAL", "INTRO_OFFER", "PROMO_CODE", "PROMOTIONAL_OFFER"];
/// Judged by what they say, not by how often they come.
const BY_CONTENT: [&str; 3] = ["ACTIVATE", "DEACTIVATE", "TRANSACTION_PROCESSED"];
/// Told once for each attempt of the store to charge, which the lives do not count: a life without a failed payment has
/// none.
const PAYMENT_FAILED: &str = "PAYMENT_FAILED";
/// What a life with a failed payment has one of, or is a first payment that stayed open.
const FAILURES: &[&str] = &["GRACE_PERIOD_STARTED", "ENTERED_BILLING_RETRY"];

/// The verdict on everything that came. A purchase is one under whichever of its ids events came about it.
#[must_use]
pub fn wrong_events(receiver: &Receiver, truth: &Truth) -> Comparison {
    let mut result = Comparison::default();
    let named = |(id, one): (&Arc<str>, &PurchaseTruth)| {
        let names = one.names.iter().chain([id]).cloned();
        names.map(|name| (name, Arc::clone(id))).collect::<Vec<_>>()
    };
    let by_name: HashMap<Arc<str>, Arc<str>> = truth.purchases().iter().flat_map(named).collect();
    let mut of_purchase: BTreeMap<Arc<str>, Seen> = BTreeMap::new();
    for name in receiver.purchases() {
        let Some(seen) = receiver.seen(&name) else { continue };
        match by_name.get(name.as_str()) {
            Some(id) => of_purchase.entry(Arc::clone(id)).or_default().join(seen),
            None => result.add(&name, "purchase", "none", "events"),
        }
    }
    for (id, seen) in &of_purchase {
        result.purchases += 1;
        if let Some(expected) = truth.purchases().get(id) {
            judge(&mut result, id, expected, seen);
        }
    }
    result
}

fn judge(result: &mut Comparison, id: &str, expected: &PurchaseTruth, seen: &Seen) {
    kinds(result, id, expected, seen);
    offers(result, id, expected, seen);
    periods(result, id, expected, &seen.words);
    money(result, id, expected, &seen.words);
    access(result, id, expected, &seen.words);
}

fn kinds(result: &mut Comparison, id: &str, expected: &PurchaseTruth, seen: &Seen) {
    let is_offer = |kind: &str| OFFERS.iter().any(|offer| kind.starts_with(offer));
    let is_known = |kind: &str| is_offer(kind) || BEGINS.contains(&kind) || BY_CONTENT.contains(&kind);
    for kind in seen.events.keys().map(String::as_str) {
        let has_rule = RULES.iter().any(|rule| rule.told.contains(&kind));
        if !has_rule && !is_known(kind) && kind != PAYMENT_FAILED {
            result.add(id, kind, "never", "told");
        }
    }
    let told = sum(BEGINS, |kind| seen.events.get(kind).copied());
    if told > expected.periods {
        result.add(id, "periods begun", format!("at most {}", expected.periods), told);
    }
    for rule in RULES {
        let told = sum(rule.told, |kind| seen.events.get(kind).copied());
        let of = sum(rule.of, |kind| expected.events.get(kind).copied());
        if told > of {
            result.add(id, rule.told.join(" or "), format!("at most {of}"), told);
        }
    }
    let failed = sum(FAILURES, |kind| expected.events.get(kind).copied());
    let may_fail = failed > 0 || expected.first_payment_open;
    if seen.events.contains_key(PAYMENT_FAILED) && !may_fail {
        result.add(id, PAYMENT_FAILED, "never", "told");
    }
}

fn sum(kinds: &[&str], count: impl Fn(&str) -> Option<u32>) -> u32 {
    kinds.iter().filter_map(|kind| count(kind)).sum()
}

fn offers(result: &mut Comparison, id: &str, expected: &PurchaseTruth, seen: &Seen) {
    for offer in OFFERS {
        let name = |end: &str| format!("{offer}_{end}");
        let (started, yes, no) = (name("STARTED"), name("CONVERTED"), name("NOT_CONVERTED"));
        let told = |kind: &str| seen.events.get(kind).copied().unwrap_or(0);
        let of = |kind: &str| expected.events.get(kind).copied().unwrap_or(0);
        // The lives of Stripe's customers do not name their coupons as offers, nor every end of a trial.
        let is_named = expected.store != StoreKind::Stripe;
        let begun = if is_named { of(&started) } else { sum(BEGINS, |kind| expected.events.get(kind).copied()).max(1) };
        if told(&started) > begun {
            result.add(id, started.as_str(), format!("at most {begun}"), told(&started));
        }
        // An offer ends once, and once more where the refund that ended it was undone.
        let ended = begun + of("REFUND_REVERSED");
        if told(&yes) + told(&no) > ended {
            result.add(id, format!("{yes} or {no}"), format!("at most {ended}"), told(&yes) + told(&no));
        }
        for (said, other) in [(&yes, &no), (&no, &yes)] {
            let is_denied =
                if is_named { told(said) > of(said) } else { of(said) == 0 && of(other) > 0 && told(said) > 0 };
            if is_denied {
                result.add(id, said.as_str(), of(said), told(said));
            }
        }
    }
}

fn periods(result: &mut Comparison, id: &str, expected: &PurchaseTruth, words: &[Word]) {
    if !expected.store.tells_periods() {
        return;
    }
    let mut begun = BTreeSet::new();
    for word in words.iter().filter(|word| BEGINS.contains(&word.kind.as_str())) {
        if !begun.insert(&word.starts_at) {
            result.add(id, format!("{} of a period", word.kind), "once", format!("again from {:?}", word.starts_at));
        }
    }
    let begins = |kind: &str| BEGINS.contains(&kind) || GRADES.contains(&kind);
    for word in words.iter().filter(|word| begins(&word.kind)) {
        let Some(starts_at) = word.starts_at.as_deref().and_then(millis) else { continue };
        let is_known = expected.begun.iter().any(|(product, at)| *product == word.product_id && *at == starts_at);
        if !is_known {
            let what = format!("period of {}", word.kind);
            result.add(id, what, "one of the life's", format!("{} from {:?}", word.product_id, word.starts_at));
        }
    }
}

fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn money(result: &mut Comparison, id: &str, expected: &PurchaseTruth, words: &[Word]) {
    if !expected.store.has_history() {
        return how_often(result, id, expected, words);
    }
    let mut left: BTreeMap<(i64, &str), u32> = BTreeMap::new();
    for amount in &expected.moved {
        *left.entry((amount.minor, amount.currency)).or_default() += 1;
    }
    let processed = words.iter().filter(|word| word.kind == "TRANSACTION_PROCESSED");
    for (minor, currency) in processed.filter_map(|word| word.money.as_ref()) {
        match left.get_mut(&(*minor, currency.as_str())) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => result.add(id, "TRANSACTION_PROCESSED", "no such sum", format!("{minor} {currency}")),
        }
    }
}

/// Google shows the list price of today, not what was charged: who asks after a price or a plan has changed reads the new
/// one. So only how often money came and went is judged there.
fn how_often(result: &mut Comparison, id: &str, expected: &PurchaseTruth, words: &[Word]) {
    let processed = words.iter().filter(|word| word.kind == "TRANSACTION_PROCESSED");
    let told: Vec<i64> = processed.filter_map(|word| word.money.as_ref()).map(|(minor, _)| *minor).collect();
    for (what, sign) in [("payments", 1), ("refunds", -1)] {
        let told = told.iter().filter(|minor| minor.signum() == sign).count();
        let moved = expected.moved.iter().filter(|amount| amount.minor.signum() == sign).count();
        if told > moved {
            result.add(id, format!("TRANSACTION_PROCESSED: {what}"), format!("at most {moved}"), told.to_string());
        }
    }
}

/// A refresh confirms access; what is replaced hands it over.
fn access(result: &mut Comparison, id: &str, expected: &PurchaseTruth, words: &[Word]) {
    let (mut on, mut off, mut has) = (0_u32, 0_u32, false);
    for &now in expected.access.values() {
        on += u32::from(now && !has);
        off += u32::from(has && !now);
        has = now;
    }
    let apart = u32::try_from(expected.carriers.apart()).unwrap_or(u32::MAX);
    let (on, off) = (on.saturating_add(apart), off.saturating_add(apart));
    let told = |kind: &str| {
        let moves = |word: &&Word| {
            word.kind == kind && !matches!(word.edge.as_deref(), Some("refresh" | "replaced" | "transferred"))
        };
        u32::try_from(words.iter().filter(moves).count()).unwrap_or(u32::MAX)
    };
    for (kind, of) in [("ACTIVATE", on), ("DEACTIVATE", off)] {
        if told(kind) > of {
            result.add(id, format!("{kind} that moves access"), format!("at most {of}"), told(kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{some_truth, some_truth_of_stripe};

    /// What a hub tells that hears of everything in order.
    fn right(expected: &PurchaseTruth) -> Seen {
        let mut seen = Seen::default();
        for (kind, count) in &expected.events {
            seen.events.insert((*kind).to_owned(), *count);
        }
        seen
    }

    fn with_words(mut seen: Seen, words: Vec<Word>) -> Seen {
        seen.words = words;
        seen
    }

    fn verdict(expected: &PurchaseTruth, seen: &Seen) -> Vec<String> {
        let mut result = Comparison::default();
        judge(&mut result, "p", expected, seen);
        result.differences.into_iter().map(|one| one.what).collect()
    }

    #[test]
    fn what_the_lives_say_is_never_wrong() {
        let (apples, stripes) = (some_truth(), some_truth_of_stripe());
        for (id, expected) in apples.purchases().iter().chain(stripes.purchases()) {
            assert!(verdict(expected, &right(expected)).is_empty(), "{id}: {:?}", verdict(expected, &right(expected)));
        }
    }

    #[test]
    fn each_kind_of_falsehood_is_found() {
        let truth = some_truth();
        let with = |kind: &str| truth.purchases().values().find(|one| one.events.contains_key(kind)).unwrap();
        let start = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
        let renewed = with("SUBSCRIPTION_RENEWED");
        let one_more = |kind: &str| {
            let mut seen = right(renewed);
            *seen.events.entry(kind.to_owned()).or_default() += 1;
            seen
        };
        for kind in ["SUBSCRIPTION_UPGRADED", "SUBSCRIPTION_PAUSED", "SUBSCRIPTION_DEFERRED", "TEST", "REFUND_REVERSED"]
        {
            assert!(!verdict(renewed, &one_more(kind)).is_empty(), "{kind}");
        }
        let word = |word: Word| with_words(right(renewed), vec![word]);
        let (product, at) = renewed.begun.first().unwrap().clone();
        let begins = |product: &str, at: i64| Word {
            kind: "SUBSCRIPTION_RENEWED".to_owned(),
            product_id: product.to_owned(),
            starts_at: Some(start(at)),
            ..Word::default()
        };
        assert!(verdict(renewed, &word(begins(&product, at))).is_empty());
        assert_eq!(verdict(renewed, &word(begins(&product, at + 1))), ["period of SUBSCRIPTION_RENEWED"]);
        let twice = with_words(right(renewed), vec![begins(&product, at), begins(&product, at)]);
        assert_eq!(verdict(renewed, &twice), ["SUBSCRIPTION_RENEWED of a period"]);
        assert_eq!(verdict(renewed, &word(begins("other", at))), ["period of SUBSCRIPTION_RENEWED"]);
        let again = with_words(right(renewed), vec![begins(&product, at); 2]);
        assert_eq!(verdict(renewed, &again), ["SUBSCRIPTION_RENEWED of a period"]);
        let paid = truth.purchases().values().find(|one| !one.moved.is_empty()).unwrap();
        let sum = &paid.moved[0];
        let moved = |minor: i64| Word {
            kind: "TRANSACTION_PROCESSED".to_owned(),
            money: Some((minor, sum.currency.to_owned())),
            ..Word::default()
        };
        let told = |words: Vec<Word>| with_words(right(paid), words);
        assert!(verdict(paid, &told(vec![moved(sum.minor)])).is_empty());
        assert_eq!(verdict(paid, &told(vec![moved(sum.minor + 1)])), ["TRANSACTION_PROCESSED"]);
        let twice = vec![moved(sum.minor); paid.moved.len() + 1];
        assert!(!verdict(paid, &told(twice)).is_empty());
        let ended = Word { kind: "DEACTIVATE".to_owned(), edge: Some("ended".to_owned()), ..Word::default() };
        let times = renewed.access.len() + 1;
        let seen = with_words(right(renewed), vec![ended; times]);
        assert_eq!(verdict(renewed, &seen), ["DEACTIVATE that moves access"]);
        let converted = with("TRIAL_CONVERTED");
        let mut seen = right(converted);
        seen.events.remove("TRIAL_CONVERTED");
        seen.events.insert("TRIAL_NOT_CONVERTED".to_owned(), 1);
        if !converted.events.contains_key("TRIAL_NOT_CONVERTED") {
            assert_eq!(verdict(converted, &seen), ["TRIAL_NOT_CONVERTED"]);
        }
    }
}
