//! What is known, without when it was said and heard: whether an answer that was asked for to compare says anything new.
//!
//! A store that is asked every day about every purchase says, nearly always, what is known already, only later. Keeping all
//! of that would let the database grow by an answer for each purchase and day.

use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::purchase::Purchase;
use serde_json::{Map, Value};

/// Fields of a purchase that say when something was heard, not what.
const MOMENTS: [&str; 6] = ["heard_at", "recent", "asked", "next_deadline", "renewal_on_at", "renewal_off_at"];

/// Whether two states of a purchase say the same.
pub(super) fn same_purchase(before: &Purchase, after: &Purchase) -> bool {
    of_purchase(before) == of_purchase(after)
}

/// Whether two states of a customer say the same.
pub(super) fn same_customer(before: &Customer, after: &Customer) -> bool {
    of_customer(before) == of_customer(after)
}

fn of_purchase(purchase: &Purchase) -> Option<Value> {
    let mut value = serde_json::to_value(purchase).ok()?;
    let fields = value.as_object_mut()?;
    for moment in MOMENTS {
        fields.remove(moment);
    }
    if let Some(transactions) = fields.get_mut("facets").and_then(|facets| facets.get_mut("transactions")) {
        for facts in transactions.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for moves in facts.get_mut("moved").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
                in_order(moves);
            }
        }
    }
    undate(&mut value);
    Some(value)
}

fn of_customer(customer: &Customer) -> Option<Value> {
    let mut value = serde_json::to_value(customer).ok()?;
    for attribute in value.get_mut("attributes").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Some(fields) = attribute.as_object_mut() {
            fields.remove("updated_at");
        }
    }
    Some(value)
}

/// Movements of money by what they were: the same said again later is no other movement.
fn in_order(moves: &mut Value) {
    let Some(list) = moves.as_array() else { return };
    let mut kinds: Vec<Value> = list.iter().filter_map(|one| one.get(1).cloned()).collect();
    kinds.dedup();
    *moves = Value::Array(kinds);
}

/// Puts a value in the place of it with its stamp.
fn undate(value: &mut Value) {
    if let Value::Object(fields) = value {
        if fields.len() == 2
            && fields.contains_key("stamp")
            && let Some(inner) = fields.remove("value")
        {
            *value = inner;
            return undate(value);
        }
        fields.values_mut().for_each(undate);
    } else if let Value::Array(entries) = value {
        entries.iter_mut().for_each(undate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::ids::{CustomerId, SourceId};
    use paidup_lifecycle::observation::{
        Dated, Environment, Facets, Origin, PurchaseKey, RefundStatus, Stamp, Standing, Store, TransactionFacts,
    };
    use paidup_lifecycle::time::Timestamp;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    fn at(second: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(second))
    }

    fn dated<T>(second: u64, value: T) -> Option<Dated<T>> {
        Some(Dated { value, stamp: Stamp { as_of: at(second), origin: Origin::Answer, by: second.to_string().into() } })
    }

    fn known() -> Purchase {
        let key = PurchaseKey {
            source_id: SourceId([1; 16]),
            environment: Environment::Production,
            store_purchase_id: "sub".to_owned(),
        };
        let mut purchase = Purchase::new(key, Store::Stripe, CustomerId([2; 16]));
        let moved = BTreeMap::from([("re".to_owned(), BTreeSet::from([(at(1), RefundStatus::Refunded)]))]);
        let facts = TransactionFacts { moved, ..TransactionFacts::default() };
        purchase.facets = Facets {
            standing: dated(1, Standing::Active),
            will_renew: dated(1, true),
            attributes: BTreeMap::from([("stamp".to_owned(), dated(1, "a".to_owned()).unwrap())]),
            transactions: BTreeMap::from([("one".to_owned(), facts)]),
            ..Facets::default()
        };
        purchase
    }

    #[test]
    fn what_is_said_again_later_is_nothing_new() {
        type Change = fn(&mut Purchase);
        let table: [(&str, bool, Change); 9] = [
            ("nothing", true, |_| {}),
            ("a later stamp", true, |it| it.facets.standing = dated(9, Standing::Active)),
            ("heard later", true, |it| {
                it.heard_at = Some(at(9));
                it.recent.push(7);
                it.next_deadline = Some(at(99));
            }),
            ("the same movement later", true, |it| {
                let moved = &mut it.facets.transactions.get_mut("one").unwrap().moved;
                moved.get_mut("re").unwrap().insert((at(9), RefundStatus::Refunded));
            }),
            ("another movement", false, |it| {
                let moved = &mut it.facets.transactions.get_mut("one").unwrap().moved;
                moved.get_mut("re").unwrap().insert((at(9), RefundStatus::Reversed));
            }),
            ("another value", false, |it| it.facets.will_renew = dated(9, false)),
            ("a facet more", false, |it| it.facets.product = dated(9, "pro".to_owned())),
            ("an attribute of that name", false, |it| {
                it.facets.attributes.insert("stamp".to_owned(), dated(9, "b".to_owned()).unwrap());
            }),
            ("a number", false, |it| it.seq = 9),
        ];
        for (name, same, change) in table {
            let mut after = known();
            change(&mut after);
            assert_eq!(same_purchase(&known(), &after), same, "{name}");
        }
    }
}
