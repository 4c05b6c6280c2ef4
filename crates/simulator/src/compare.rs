//! Holds a hub's answers, and what a receiver saw, against the truth.
//!
//! What is compared stands in the contract: a customer's entitlements, and of each purchase its product, state, renewal
//! and period. Of events it is only asked that each one that must have occurred did, at least as often as it must:
//! a hub may tell more (renewal switched off by a refund, for example).

use crate::catalogue::Kind;
use crate::hub::{HubApi, HubError};
use crate::standins::receiver::{Receiver, Seen};
use crate::stores::StoreKind;
use crate::truth::{PurchaseTruth, State, Truth};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The customer's alias, or the purchase's store id.
    pub subject: String,
    /// Which part.
    pub what: String,
    /// The truth.
    pub expected: String,
    /// The hub's word.
    pub found: String,
}

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Customers asked for.
    pub customers: u64,
    /// Purchases compared.
    pub purchases: u64,
    /// How many differences there are.
    pub count: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// The hub is right in everything.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, subject: &str, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        self.count += 1;
        if self.differences.len() < MAX_LISTED {
            self.differences.push(Difference {
                subject: subject.to_owned(),
                what: what.into(),
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
    }

    fn check(&mut self, subject: &str, what: &str, expected: impl ToString, found: &Value) {
        let expected = expected.to_string();
        let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        if expected != found {
            self.add(subject, what, expected, found);
        }
    }

    pub(crate) fn join(&mut self, other: Comparison) {
        self.customers += other.customers;
        self.purchases += other.purchases;
        self.count += other.count;
        let room = MAX_LISTED.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
    }
}

/// Differences that are listed.
const MAX_LISTED: usize = 200;
/// What a hub learns of Stripe's purchases by looking something up.
const LOOKED_UP: [&str; 6] = [
    "ONE_TIME_REFUNDED",
    "REFUND_DECLINED",
    "REFUND_RECORDED",
    "REFUND_REQUESTED",
    "REFUND_REVERSED",
    "SUBSCRIPTION_REFUNDED_REVOKED",
];
/// Customers asked for at the same time.
const AT_ONCE: usize = 8;

/// Asks the hub for every customer that it must know by an id, and compares.
pub async fn with_hub(hub: &HubApi, truth: &Truth) -> Result<Comparison, HubError> {
    let truth = Arc::new(truth.clone());
    let mut waiting = truth.customers().into_iter();
    let mut asked = JoinSet::new();
    let mut all = Comparison::default();
    loop {
        while asked.len() < AT_ONCE
            && let Some((alias, purchases)) = waiting.next()
        {
            let (hub, truth) = (hub.clone(), Arc::clone(&truth));
            asked.spawn(async move {
                let answer = hub.get(&format!("/v1/customers/{alias}")).await?;
                Ok(customer(&truth, &alias, &purchases, answer.as_ref()))
            });
        }
        match asked.join_next().await {
            Some(Ok(one)) => all.join(one?),
            // The tasks are ours, are never aborted, and a panic in one is ours as well.
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => return Ok(all),
        }
    }
}

/// Compares one customer with the hub's answer.
fn customer(truth: &Truth, alias: &str, purchases: &[Arc<str>], answer: Option<&Value>) -> Comparison {
    let mut result = Comparison { customers: 1, ..Comparison::default() };
    let Some(answer) = answer else {
        result.add(alias, "customer", "known", "unknown");
        return result;
    };
    if !strings(&answer["aliases"]).contains(alias) {
        result.add(alias, "aliases", alias, &answer["aliases"]);
    }
    let expected: BTreeSet<String> = truth.entitlements(purchases).into_iter().map(str::to_owned).collect();
    let found = strings(&answer["entitlements"]);
    if expected != found {
        result.add(alias, "entitlements", format!("{expected:?}"), format!("{found:?}"));
    }
    // Totals are not in the contract; where a hub shows them, they must be right.
    if let Some(totals) = answer["totals"].as_object() {
        for (currency, minor) in truth.totals(purchases) {
            let of_currency = totals.iter().filter(|(name, _)| name.ends_with(currency));
            let found: i64 = of_currency.filter_map(|(_, sum)| sum.as_i64()).sum();
            if found != minor {
                result.add(alias, format!("totals in {currency}"), minor, found);
            }
        }
    }
    for id in purchases {
        let Some(expected) = truth.purchases().get(id) else { continue };
        let lists = [&answer["subscriptions"], &answer["purchases"]];
        let mut all = lists.iter().filter_map(|list| list.as_array()).flatten();
        match all.find(|one| one["store_purchase_id"].as_str() == Some(id)) {
            Some(found) => purchase(&mut result, id, expected, found),
            None => result.add(id, "purchase", "known", "unknown"),
        }
    }
    result
}

/// A list of texts, or of objects with an `id`.
fn strings(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| one.as_str().or_else(|| one["id"].as_str())).map(str::to_owned).collect()
}

fn purchase(result: &mut Comparison, id: &str, expected: &PurchaseTruth, found: &Value) {
    result.purchases += 1;
    let now = &expected.now;
    result.check(id, "product_id", &now.product_id, &found["product_id"]);
    match now.plan.kind {
        // Used up at once: how a consumable stands is nobody's concern until it is refunded.
        Kind::Consumable if now.state == State::Active => return,
        Kind::Consumable | Kind::NonConsumable => return result.check(id, "state", now.state.word(), &found["state"]),
        Kind::Subscription => result.check(id, "state", now.state.word(), &found["state"]),
    }
    match now.state {
        State::Active | State::Grace | State::BillingRetry => {
            result.check(id, "will_renew", now.will_renew.unwrap_or_default(), &found["will_renew"]);
        }
        // Whether a subscription renews that has ended, or not begun, is no question.
        State::Pending | State::Paused | State::Expired | State::Revoked => {}
    }
    if now.state != State::Revoked {
        time(result, id, "period.starts_at", Some(now.starts_at), &[&found["period"]["starts_at"]]);
        // An extension may be shown as the period's end or beside it.
        time(result, id, "period.ends_at", now.ends_at, &[&found["period"]["ends_at"], &found["extended_until"]]);
    }
    if now.state == State::Grace {
        time(result, id, "grace_ends_at", now.grace_ends_at, &[&found["grace_ends_at"]]);
    }
}

fn time(result: &mut Comparison, id: &str, what: &str, expected: Option<i64>, found: &[&Value]) {
    let millis = |value: &&Value| value.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    if found.iter().any(|value| millis(value) == expected) {
        return;
    }
    let text = |ms: Option<i64>| ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map(|at| at.to_string());
    result.add(id, what, text(expected).unwrap_or_default(), found[0]);
}

/// Compares what a receiver of all events saw: of every purchase the events that must have occurred, and of purchases
/// without a known customer how they stand. `in_order`: of these stores the hub heard everything in order and asked
/// nothing, so the events are certain.
#[must_use]
pub fn with_receiver(receiver: &Receiver, truth: &Truth, in_order: &[StoreKind]) -> Comparison {
    let mut result = Comparison::default();
    for (id, expected) in truth.purchases() {
        let in_order = in_order.contains(&expected.store);
        let Some(seen) = receiver.seen(id) else {
            if must_be_told(expected) || in_order && !expected.events.is_empty() {
                result.add(id, "events", "some", "none");
            }
            continue;
        };
        if expected.customer.is_none() {
            purchase(&mut result, id, expected, &seen.purchase);
        }
        if in_order {
            events(&mut result, id, expected, &seen);
        }
    }
    result
}

/// Whether a hub that heard of everything, the end perhaps before the start, must have said anything: it gave access, or
/// money moved. A family share whose withdrawal came first gave nobody anything and cost nothing.
fn must_be_told(expected: &PurchaseTruth) -> bool {
    expected.now.state.has_access() || !expected.totals.is_empty()
}

fn events(result: &mut Comparison, id: &str, expected: &PurchaseTruth, seen: &Seen) {
    for (event, &count) in &expected.events {
        // The way from a payment at Stripe to its subscription is looked up: a later period may be heard of first.
        if expected.store == StoreKind::Stripe && LOOKED_UP.contains(event) {
            continue;
        }
        let found = seen.events.get(*event).copied().unwrap_or(0);
        if found < count {
            result.add(id, format!("event {event}"), count, found);
        }
    }
}

#[cfg(test)]
mod tests;
