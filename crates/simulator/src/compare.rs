//! Holds a hub's answers, and what a receiver saw, against the truth.
//!
//! What is compared stands in the contract: a customer's entitlements, and of each purchase its product, state, renewal
//! and period. Of events it is only asked that each one that must have occurred did, at least as often as it must:
//! a hub may tell more (renewal switched off by a refund, for example).

mod judge;

pub use judge::wrong_events;

use crate::catalogue::Kind;
use crate::hub::{HubApi, HubError};
use crate::standins::receiver::{Receiver, Seen};
use crate::stores::StoreKind;
use crate::truth::{PurchaseTruth, State, Truth};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
    if expected != found && truth.is_access_certain(alias) {
        result.add(alias, "entitlements", format!("{expected:?}"), format!("{found:?}"));
    }
    // Totals are not in the contract; where a hub shows them, they must be right.
    if let Some(totals) = answer["totals"].as_object().filter(|_| tells_money(truth, purchases)) {
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
        let all = lists.iter().filter_map(|list| list.as_array()).flatten();
        let is_its = |one: &&Value| one["store_purchase_id"].as_str().is_some_and(|id| expected.names.contains(id));
        let mut found: Vec<&Value> = all.filter(is_its).collect();
        // A hub may show a subscription in both lists.
        found.sort_by_key(|one| one["store_purchase_id"].as_str());
        found.dedup_by_key(|one| one["store_purchase_id"].as_str());
        let goes_on = |one: &&Value| expected.carriers.is_known_as_now(one["store_purchase_id"].as_str().unwrap_or(""));
        match found.as_slice() {
            [one] => purchase(&mut result, id, expected, one),
            // It never came to anything, so a hub may know too little of it to show.
            [] if expected.periods == 0 => {}
            [] => result.add(id, "purchase", "known", "unknown"),
            several if several.len() <= 1 + expected.carriers.apart() => {
                let (goes_on, over): (Vec<&Value>, Vec<&Value>) = several.iter().copied().partition(goes_on);
                match goes_on.as_slice() {
                    [one] => purchase(&mut result, id, expected, one),
                    others => result.add(id, "purchase that goes on", 1, others.len()),
                }
                for one in over.into_iter().filter(|one| one["state"] == "active" || one["state"] == "grace") {
                    result.add(id, "state of what was replaced", "over", &one["state"]);
                }
            }
            several => result.add(id, "purchase", "one, under whichever of its ids", several.len()),
        }
    }
    result
}

/// Whether the stores tell what was paid.
fn tells_money(truth: &Truth, purchases: &[Arc<str>]) -> bool {
    purchases.iter().filter_map(|id| truth.purchases().get(id)).all(|one| match one.store {
        StoreKind::AppStore | StoreKind::Stripe => true,
        // Google's resource shows what the next period costs, not what was paid for this one; Amazon and Discord show no prices.
        StoreKind::Play | StoreKind::Amazon | StoreKind::Discord => false,
    })
}

/// Whether what a hub can read of a purchase, asking when it does, shows when the running period began and ends.
fn shows_period(expected: &PurchaseTruth) -> (bool, bool) {
    let now = &expected.now;
    match expected.store {
        StoreKind::AppStore | StoreKind::Stripe => (now.state != State::Revoked, now.state != State::Revoked),
        StoreKind::Discord => (now.state != State::Revoked, now.state == State::Active),
        // An expiry is the period's end only while the subscription is active.
        StoreKind::Play => (false, now.state == State::Active),
        // A date of renewal is there only while there will be one.
        StoreKind::Amazon => (false, now.state == State::Active && now.will_renew == Some(true)),
    }
}

/// A list of texts, or of objects with an `id`.
fn strings(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| one.as_str().or_else(|| one["id"].as_str())).map(str::to_owned).collect()
}

fn purchase(result: &mut Comparison, id: &str, expected: &PurchaseTruth, found: &Value) {
    result.purchases += 1;
    let now = &expected.now;
    if expected.periods == 0 && now.state == State::Expired {
        // Nobody ever paid: in which way it is nothing is nobody's concern.
        if [State::Active, State::Grace].iter().any(|state| found["state"] == state.word()) {
            result.check(id, "state", now.state.word(), &found["state"]);
        }
        return;
    }
    // Of a receipt that verification does not know any more nobody can say what it was for who did not ask before.
    if !(expected.carriers.is_gone() && found["product_id"].is_null()) {
        result.check(id, "product_id", &now.product_id, &found["product_id"]);
    }
    match now.plan.kind {
        // Used up at once: how a consumable stands is nobody's concern until it is refunded.
        Kind::Consumable if now.state == State::Active => return,
        Kind::Consumable | Kind::NonConsumable => return result.check(id, "state", now.state.word(), &found["state"]),
        // A receipt that was cancelled is over; by which of two ways, only a notification in order tells.
        Kind::Subscription
            if expected.store == StoreKind::Amazon && matches!(now.state, State::Expired | State::Revoked) =>
        {
            if [State::Expired, State::Revoked].iter().all(|state| found["state"] != state.word()) {
                result.check(id, "state", now.state.word(), &found["state"]);
            }
            return;
        }
        Kind::Subscription => result.check(id, "state", now.state.word(), &found["state"]),
    }
    match now.state {
        State::Active | State::Grace | State::BillingRetry => {
            // A subscription's SKU that an app gave as a test is none.
            if let Some(will_renew) = now.will_renew {
                result.check(id, "will_renew", will_renew, &found["will_renew"]);
            }
        }
        // Whether a subscription renews that has ended, or not begun, is no question.
        State::Pending | State::Paused | State::Expired | State::Revoked => {}
    }
    let (shows_start, shows_end) = shows_period(expected);
    if shows_start {
        time(result, id, "period.starts_at", Some(now.starts_at), &[&found["period"]["starts_at"]]);
    }
    if shows_end {
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
        let Some(seen) = expected.names.iter().find_map(|name| receiver.seen(name)) else {
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
    let tells_what_is_over = match expected.store {
        StoreKind::AppStore | StoreKind::Stripe => true,
        // They are asked, and say how a purchase stands: what is over by then is not told.
        StoreKind::Play | StoreKind::Amazon | StoreKind::Discord => false,
    };
    expected.now.state.has_access() || tells_what_is_over && !expected.totals.is_empty()
}

/// Compares the events of every purchase exactly: each as often as it must occur, and no other; what a store tells nobody and
/// takes back, at most as often. Only for a hub that heard
/// of everything in order, and whose every question was answered before the next thing happened. ACTIVATE, DEACTIVATE and
/// TRANSACTION_PROCESSED are not compared: access and money are, as such.
#[must_use]
pub fn events_exactly(receiver: &Receiver, truth: &Truth) -> Comparison {
    let mut result = Comparison::default();
    for (id, expected) in truth.purchases() {
        result.purchases += 1;
        let seen = expected.names.iter().filter_map(|name| receiver.seen(name));
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for (event, count) in seen.flat_map(|seen| seen.events) {
            *found.entry(event).or_default() += count;
        }
        found.retain(|event, _| !BESIDE.contains(&event.as_str()));
        // A second subscription to a product may be told as a start or as a return.
        if !expected.events.contains_key("SUBSCRIPTION_STARTED") {
            let begun = ["SUBSCRIPTION_STARTED", "SUBSCRIPTION_REACTIVATED"].iter().find(|event| {
                found.get(**event).copied().unwrap_or(0) > expected.events.get(**event).copied().unwrap_or(0)
            });
            if let Some(count) = begun.and_then(|event| found.get_mut(*event)) {
                *count -= 1;
            }
            found.retain(|_, count| *count > 0);
        }
        let mut wanted: BTreeMap<String, u32> =
            expected.events.iter().map(|(event, count)| ((*event).to_owned(), *count)).collect();
        if !expected.store.tells_everything() {
            // What was taken back before anybody asked is not seen.
            for event in UNTOLD {
                let most = wanted.remove(event).unwrap_or(0);
                if found.get(event).is_none_or(|count| *count <= most) {
                    found.remove(event);
                }
            }
        }
        if wanted != found {
            result.add(id, "events", format!("{wanted:?}"), format!("{found:?}"));
        }
    }
    result
}

/// What happens between two looks of a hub at a store that does not tell of it.
const UNTOLD: [&str; 4] = ["RENEWAL_DISABLED", "RENEWAL_ENABLED", "PLAN_CHANGE_SCHEDULED", "PLAN_CHANGE_UNSCHEDULED"];

/// Events that are compared as access and money, or that say something about the hub.
const BESIDE: [&str; 4] = ["ACTIVATE", "DEACTIVATE", "TRANSACTION_PROCESSED", "PAYMENT_FAILED"];

/// What a period that follows a refund is told as: a renewal, or a return where the refund's failure is looked up later.
const GOES_ON: [&str; 2] = ["SUBSCRIPTION_RENEWED", "SUBSCRIPTION_REACTIVATED"];

fn events(result: &mut Comparison, id: &str, expected: &PurchaseTruth, seen: &Seen) {
    let is_refunded = LOOKED_UP.iter().any(|event| expected.events.contains_key(event));
    let is_looked_up = expected.store == StoreKind::Stripe && is_refunded;
    if is_looked_up {
        let wanted: u32 = GOES_ON.iter().filter_map(|event| expected.events.get(event)).sum();
        let found: u32 = GOES_ON.iter().filter_map(|event| seen.events.get(*event)).sum();
        if found < wanted {
            result.add(id, format!("event {}", GOES_ON.join(" or ")), wanted, found);
        }
    }
    for (event, &count) in &expected.events {
        if is_looked_up && GOES_ON.contains(event) {
            continue;
        }
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
