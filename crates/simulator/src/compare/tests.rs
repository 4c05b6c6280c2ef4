use super::*;
use crate::calendar::Calendar;
use crate::population::{Population, PopulationOptions, Shop};
use crate::stores::app_store::wire::App;
use serde_json::json;

pub(super) fn some_truth() -> Truth {
    let app = App { bundle_id: Arc::from("com.example.paidup"), app_apple_id: 1, environment: "Production" };
    let options = PopulationOptions { customers: 150, seed: 4, ..PopulationOptions::default() };
    let mut truth = Truth::default();
    let calendar = Calendar::new(1_767_225_600_000, 432_000.0);
    Population::new(options, calendar, vec![Shop::AppStore(app)]).for_each(|told| truth.learn(&told));
    truth
}

/// Of Stripe's customers.
pub(super) fn some_truth_of_stripe() -> Truth {
    let options = PopulationOptions { customers: 150, seed: 4, ..PopulationOptions::default() };
    let mut truth = Truth::default();
    let calendar = Calendar::new(1_767_225_600_000, 432_000.0);
    let shop = Shop::Stripe(crate::stores::stripe::shape::Shape::Basil);
    Population::new(options, calendar, vec![shop]).for_each(|told| truth.learn(&told));
    truth
}

fn shown(id: &str, truth: &PurchaseTruth) -> Value {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    let now = &truth.now;
    json!({
        "store_purchase_id": id, "product_id": now.product_id, "state": now.state.word(), "will_renew": now.will_renew,
        "period": {"starts_at": at(now.starts_at), "ends_at": now.ends_at.map(at)},
        "grace_ends_at": now.grace_ends_at.map(at),
    })
}

/// What a hub that is right answers.
fn right(truth: &Truth, alias: &str, ids: &[Arc<str>]) -> Value {
    let (subscriptions, purchases): (Vec<_>, Vec<_>) = ids
        .iter()
        .map(|id| (&truth.purchases()[id], id))
        .map(|(purchase, id)| (purchase.now.plan.kind == Kind::Subscription, shown(id, purchase)))
        .partition(|(subscription, _)| *subscription);
    let values = |list: Vec<(bool, Value)>| list.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    let totals: serde_json::Map<String, Value> =
        truth.totals(ids).into_iter().map(|(currency, sum)| (format!("PRODUCTION/{currency}"), sum.into())).collect();
    let entitlements: Vec<Value> = truth.entitlements(ids).into_iter().map(|id| json!({"id": id})).collect();
    json!({
        "aliases": [alias], "entitlements": entitlements, "subscriptions": values(subscriptions),
        "purchases": values(purchases), "totals": totals,
    })
}

#[test]
fn a_hub_that_is_right_has_no_differences() {
    let truth = some_truth();
    assert!(truth.customers().len() > 100);
    for (alias, ids) in truth.customers() {
        let result = customer(&truth, &alias, &ids, Some(&right(&truth, &alias, &ids)));
        assert!(result.is_clean(), "{:?}", result.differences);
        assert_eq!((result.customers, result.purchases), (1, ids.len() as u64));
    }
}

#[test]
fn every_kind_of_mistake_is_found() {
    let truth = some_truth();
    let running = |ids: &Vec<Arc<str>>| {
        ids.len() == 1
            && truth.purchases()[&ids[0]].now.state == State::Active
            && truth.purchases()[&ids[0]].now.plan.kind == Kind::Subscription
    };
    let (alias, ids) = truth.customers().into_iter().find(|(_, ids)| running(ids)).unwrap();
    let table: [(&str, &str, Value); 9] = [
        ("aliases", "/aliases", json!([])),
        ("entitlements", "/entitlements", json!([{"id": "themes"}])),
        ("product_id", "/subscriptions/0/product_id", json!("other")),
        ("state", "/subscriptions/0/state", json!("expired")),
        ("will_renew", "/subscriptions/0/will_renew", json!(null)),
        ("period.starts_at", "/subscriptions/0/period/starts_at", json!("2020-01-01T00:00:00Z")),
        ("period.ends_at", "/subscriptions/0/period/ends_at", json!(null)),
        ("purchase", "/subscriptions", json!([])),
        ("totals in", "/totals", json!({"PRODUCTION/USD": -1, "PRODUCTION/XXX": 1})),
    ];
    for (what, pointer, wrong) in table {
        let mut answer = right(&truth, &alias, &ids);
        *answer.pointer_mut(pointer).unwrap() = wrong;
        let result = customer(&truth, &alias, &ids, Some(&answer));
        assert_eq!(result.count, 1, "{what}: {:?}", result.differences);
        assert!(result.differences[0].what.starts_with(what), "{what}: {:?}", result.differences);
    }
    assert_eq!(customer(&truth, &alias, &ids, None).differences[0].found, "unknown");
    let mut extended = right(&truth, &alias, &ids);
    let end = extended["subscriptions"][0]["period"]["ends_at"].take();
    extended["subscriptions"][0]["extended_until"] = end;
    assert!(customer(&truth, &alias, &ids, Some(&extended)).is_clean(), "an extension may stand beside the period");
}

#[test]
fn silence_is_right_only_where_nothing_was_given_and_nothing_paid() {
    let truth = some_truth();
    let of = |state: State, paid: bool| {
        truth
            .purchases()
            .values()
            .find(|one| one.now.state == state && one.totals.is_empty() != paid)
            .unwrap_or_else(|| panic!("the population has no such purchase: {state:?}, paid: {paid}"))
    };
    assert!(must_be_told(of(State::Active, true)));
    assert!(must_be_told(of(State::Expired, true)));
    assert!(!must_be_told(of(State::Revoked, false)));
}
