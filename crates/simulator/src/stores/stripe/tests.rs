//! Stripe's lives, read back from the JSON alone by a reader that knows nothing of how they were led.

use super::objects::Event;
use super::*;
use crate::calendar::{Calendar, MONTH};
use crate::lives::{Told, Turn};
use crate::population::{Population, PopulationOptions, Shop};
use crate::truth::{State, Truth};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

const START: i64 = 1_767_225_600_000;

fn told(customers: u32, seed: u64, shape: Shape, speed: f64) -> Vec<Told> {
    let options = PopulationOptions { customers, seed, horizon: 10 * MONTH, ..PopulationOptions::default() };
    Population::new(options, Calendar::new(START, speed), vec![Shop::Stripe(shape)]).collect()
}

fn pen(shape: Shape) -> Pen {
    Pen { shape, live: true, names_products: false }
}

/// What a reader of the events knows of one purchase.
#[derive(Default)]
struct Account {
    status: String,
    period: (i64, i64),
    price: String,
    ends_with_period: bool,
    /// Start of the period in which collecting was paused with `void`.
    paused_in: Option<i64>,
    /// Payment intents by the start of the period that they paid for.
    paid: HashMap<String, i64>,
    /// Payment intents of invoices.
    intents: HashMap<String, String>,
    /// Starts of the periods that were paid back.
    back: BTreeSet<i64>,
    refunded: HashMap<String, i64>,
    money: i64,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

impl Account {
    fn read(&mut self, event: &Value) {
        let object = &event["data"]["object"];
        match event["type"].as_str().unwrap() {
            kind if kind.starts_with("customer.subscription.") => self.subscription(object),
            "invoice.paid" => {
                self.money += int(&object["amount_paid"]);
                let lines = object["lines"]["data"].as_array().unwrap();
                let is_regular = |line: &&Value| {
                    line["proration"] == false || line["parent"]["subscription_item_details"]["proration"] == false
                };
                let starts = lines.iter().find(is_regular).map(|line| int(&line["period"]["start"]));
                let id = text(&object["id"]);
                let intent = self.intents.get(&id).cloned().unwrap_or_else(|| text(&object["payment_intent"]));
                if let Some(starts) = starts {
                    self.paid.insert(intent, starts);
                    self.paid.insert(id, starts);
                }
            }
            "invoice_payment.paid" => {
                let (invoice, intent) = (text(&object["invoice"]), text(&object["payment"]["payment_intent"]));
                if let Some(starts) = self.paid.get(&invoice) {
                    self.paid.insert(intent.clone(), *starts);
                }
                self.intents.insert(invoice, intent);
            }
            "charge.refunded" => {
                let intent = text(&object["payment_intent"]);
                let all = int(&object["amount_refunded"]);
                self.money -= all - self.refunded.insert(intent.clone(), all).unwrap_or(0);
                if object["refunded"] == true {
                    self.back.extend(self.paid.get(&intent));
                    self.status = if self.period == (0, 0) { "refunded".to_owned() } else { self.status.clone() };
                }
            }
            "refund.failed" => {
                self.money += int(&object["amount"]);
                let starts = self.paid.get(&text(&object["payment_intent"])).copied();
                self.back.retain(|back| Some(*back) != starts);
            }
            "charge.dispute.closed" if object["status"] == "lost" => {
                self.money -= int(&object["amount"]);
                self.back.extend(self.paid.get(&text(&object["payment_intent"])));
            }
            kind if kind.starts_with("checkout.session.") && object["mode"] == "payment" => {
                self.status =
                    if kind.ends_with("failed") { "failed".to_owned() } else { text(&object["payment_status"]) };
                self.money += if self.status == "paid" { int(&object["amount_total"]) } else { 0 };
            }
            _ => {}
        }
    }

    fn subscription(&mut self, object: &Value) {
        let item = &object["items"]["data"][0];
        let holder = if object["current_period_start"].is_null() { item } else { object };
        self.period = (int(&holder["current_period_start"]), int(&holder["current_period_end"]));
        self.price = text(&item["price"]["id"]);
        self.status = text(&object["status"]);
        self.ends_with_period = object["cancel_at_period_end"] == true || !object["cancel_at"].is_null();
        let is_void = object["pause_collection"]["behavior"] == "void";
        self.paused_in = is_void.then(|| self.paused_in.unwrap_or(self.period.0));
    }

    fn state(&self) -> State {
        if self.back.contains(&self.period.0) {
            return State::Revoked;
        }
        match self.status.as_str() {
            "incomplete" | "unpaid" if self.period == (0, 0) => State::Pending,
            "incomplete" => State::Pending,
            "trialing" | "active" if self.paused_in.is_some_and(|starts| starts < self.period.0) => State::Paused,
            "trialing" | "active" | "paid" => State::Active,
            "past_due" => State::Grace,
            "unpaid" => State::BillingRetry,
            "paused" => State::Paused,
            "canceled" | "incomplete_expired" | "failed" => State::Expired,
            "refunded" => State::Revoked,
            other => panic!("no status of Stripe's: {other}"),
        }
    }
}

fn check(seed: u64, shape: Shape, speed: f64) {
    let all = told(250, seed, shape, speed);
    let mut accounts: BTreeMap<Arc<str>, Account> = BTreeMap::new();
    let mut money: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    let mut lives: BTreeMap<Arc<str>, Vec<&Told>> = BTreeMap::new();
    all.iter().for_each(|told| lives.entry(Arc::clone(&told.purchase)).or_default().push(told));
    for (purchase, life) in &lives {
        for (place, told) in life.iter().enumerate() {
            let event = pen(shape).event(told.stripe().unwrap());
            let account = accounts.entry(Arc::clone(purchase)).or_default();
            account.read(&event);
            *money.entry(Arc::clone(purchase)).or_default() += told.after.money.map_or(0, |money| money.minor);
            let created = |told: &Told| told.stripe().unwrap().created;
            if life.get(place + 1).is_some_and(|next| created(next) == created(told)) {
                continue; // the second is not over
            }
            let name = format!("{purchase} {:?} {} (seed {seed}, {shape:?})", told.turn, event["type"]);
            let after = &told.after;
            assert_eq!(account.state(), after.state, "{name}");
            assert_eq!(account.money, money[purchase], "{name}");
            if account.period == (0, 0) {
                assert_eq!(after.ends_at, None, "{name}");
                continue;
            }
            assert_eq!(
                (account.period.0 * 1000, Some(account.period.1 * 1000)),
                (after.starts_at, after.ends_at),
                "{name}"
            );
            assert_eq!(account.price, after.product_id, "{name}");
            if after.state.has_access() {
                assert_eq!(after.will_renew, Some(!account.ends_with_period), "{name}");
            }
            assert!(account.period.0 < account.period.1, "{name}");
        }
    }
}

#[test]
fn what_stripe_says_is_what_is_true() {
    for (seed, shape) in [(1, Shape::Classic), (2, Shape::Basil), (3, Shape::Classic), (4, Shape::Basil)] {
        for speed in [720.0, 432_000.0, crate::calendar::MAX_SPEED] {
            check(seed, shape, speed);
        }
    }
}

#[test]
fn events_come_in_order_and_no_two_turns_share_a_second() {
    for speed in [720.0, 432_000.0] {
        let all = told(150, 9, Shape::Basil, speed);
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let mut last: HashMap<Arc<str>, (u32, i64)> = HashMap::new();
        let mut status: HashMap<Arc<str>, (i64, String)> = HashMap::new();
        for told in &all {
            let event = told.stripe().unwrap();
            let before = last.insert(Arc::clone(&told.purchase), (told.ordinal, event.created));
            assert_eq!(told.ordinal, before.map_or(0, |(ordinal, _)| ordinal + 1));
            assert!(before.is_none_or(|(_, created)| created <= event.created));
            // The subscription says two different things in one second only when it is confirmed at once.
            if let objects::Object::Subscription(now) = &event.object {
                let was = status.insert(Arc::clone(&told.purchase), (event.created, now.status.to_owned()));
                if let Some((at, was)) = was.filter(|(at, was)| *at == event.created && was != now.status) {
                    assert_eq!((was.as_str(), now.status), ("incomplete", "active"), "{} at {at}", told.purchase);
                }
            }
        }
    }
}

#[test]
fn ids_are_never_used_twice_and_the_account_shows_what_was_told() {
    let all = told(120, 5, Shape::Basil, 432_000.0);
    let stripe = Stripe::new(5, Shape::Basil, true, true);
    let mut ids = BTreeSet::new();
    let mut truth = Truth::default();
    for told in &all {
        let event = told.stripe().unwrap();
        assert!(ids.insert(event.id.clone()), "{}", event.id);
        stripe.account().publish(event);
        truth.learn(told);
    }
    let account = stripe.account();
    let subscriptions = truth.purchases().keys().filter(|id| id.starts_with("sub_")).count();
    assert_eq!(account.census()["subscription"], subscriptions);
    assert!(account.census().len() == 9, "{:?}", account.census());
    let last: &Event = account.events().next().unwrap();
    assert_eq!(last, all.last().unwrap().stripe().unwrap());
}

#[test]
fn both_shapes_tell_the_same_in_their_own_places() {
    let some = told(40, 6, Shape::Basil, 432_000.0);
    let updated =
        |told: &&Told| told.turn == Turn::Renewed && told.stripe().unwrap().kind == "customer.subscription.updated";
    let told = some.iter().find(updated).unwrap().stripe().unwrap();
    let (classic, basil) = (pen(Shape::Classic).event(told), pen(Shape::Basil).event(told));
    let (old, new) = (&classic["data"], &basil["data"]);
    assert_eq!(old["object"]["current_period_end"], new["object"]["items"]["data"][0]["current_period_end"]);
    assert!(new["object"]["current_period_end"].is_null());
    assert!(old["previous_attributes"]["current_period_end"].is_i64(), "{}", old["previous_attributes"]);
    assert!(new["previous_attributes"]["items"]["data"][0]["current_period_end"].is_i64());
    assert!(old["previous_attributes"]["latest_invoice"].is_string());
    assert!(old["previous_attributes"]["status"].is_null(), "it did not change");
}

#[test]
fn signatures_are_stripes() {
    let body = br#"{"id":"evt_1"}"#;
    let plain = Stripe::new(1, Shape::Basil, true, true);
    let at = 1_700_000_000;
    let header = plain.signature(body, at * 1000 + 999);
    let expected = signature(plain.signing_secret(), at, body);
    assert!(header.starts_with(&format!("t={at},v1={expected},v0=")), "{header}");
    let rolling = Stripe::new(3, Shape::Basil, true, true);
    let header = rolling.signature(body, at * 1000);
    let v1: Vec<_> = header.split(',').filter_map(|part| part.strip_prefix("v1=")).collect();
    assert_eq!((v1.len(), v1[1]), (2, signature(rolling.signing_secret(), at, body).as_str()));
    assert_ne!(v1[0], v1[1]);
}

/// Where the vendor's samples are, when they are on this machine.
fn reference() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or(default, PathBuf::from).join("samples/stripe");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: Stripe's samples are not at {}", folder.display());
    None
}

fn sample(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_published_vector_is_signed_as_published() {
    let Some(folder) = reference() else { return };
    let vector = sample(folder.join("signature-vector.json"));
    let body = std::fs::read(folder.join(vector["body_file"].as_str().unwrap())).unwrap();
    let at = vector["timestamp"].as_i64().unwrap();
    let signed = signature(vector["secret"].as_str().unwrap(), at, &body);
    assert!(vector["header"].as_str().unwrap().contains(&format!("v1={signed},")));
}

/// Every name that is written stands in a published object, or has its reason here.
#[test]
fn names_are_the_published_ones() {
    let Some(folder) = reference() else { return };
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in ["objects", "events"].iter().flat_map(|part| std::fs::read_dir(folder.join(part)).unwrap()) {
        names(&sample(path.unwrap().path()), &mut known);
    }
    // Documented, but in none of the samples.
    let beside = [
        ("charge", "invoice"),
        ("discount", "coupon"),
        ("subscription", "trial_settings"),
        ("subscription", "discounts"),
        ("coupon", ""),
        ("item", ""),
        ("event", "account"),
        ("invoice", "discounts"),
        ("payment_intent", ""),
        ("price", "recurring"),
    ];
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for shape in [Shape::Classic, Shape::Basil] {
        for told in told(60, 8, shape, 432_000.0) {
            names(&pen(shape).event(told.stripe().unwrap()), &mut written);
        }
    }
    for (kind, names) in written {
        for name in names {
            let is_known = known.get(&kind).is_some_and(|known| known.contains(&name));
            let is_beside = beside.iter().any(|(of, one)| *of == kind && (one.is_empty() || *one == name));
            assert!(is_known || is_beside, "{kind}.{name} is in no sample");
        }
    }
}

fn names(value: &Value, all: &mut BTreeMap<String, BTreeSet<String>>) {
    if let (Some(fields), Some(kind)) = (value.as_object(), value["object"].as_str()) {
        all.entry(kind.to_owned()).or_default().extend(fields.keys().cloned());
    }
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => fields.iter().filter(|(key, _)| *key != "metadata").map(|(_, value)| value).collect(),
        Value::Array(rows) => rows.iter().collect(),
        _ => vec![],
    };
    inner.into_iter().for_each(|value| names(value, all));
}
