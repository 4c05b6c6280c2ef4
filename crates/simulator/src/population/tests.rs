use super::*;
use crate::catalogue::Kind;
use crate::lives::Turn;
use crate::truth::{State, Truth};
use std::collections::BTreeSet;

const START: i64 = 1_767_225_600_000;

fn some_app() -> Shop {
    Shop::AppStore(App { bundle_id: Arc::from("com.example.paidup"), app_apple_id: 1, environment: "Production" })
}

fn told(customers: u32, seed: u64, speed: f64) -> Vec<Told> {
    told_in(vec![some_app()], customers, seed, speed)
}

fn told_in(shops: Vec<Shop>, customers: u32, seed: u64, speed: f64) -> Vec<Told> {
    let options = PopulationOptions { customers, seed, ..PopulationOptions::default() };
    Population::new(options, Calendar::new(START, speed), shops).collect()
}

fn signed(told: &Told) -> i64 {
    told.app_store().unwrap().signed_date
}

fn lives(told: &[Told]) -> BTreeMap<Arc<str>, Vec<&Told>> {
    let mut lives: BTreeMap<_, Vec<&Told>> = BTreeMap::new();
    for one in told {
        lives.entry(Arc::clone(&one.purchase)).or_default().push(one);
    }
    lives
}

#[test]
fn a_few_hundred_customers_live_every_kind_of_life() {
    let package_name: Arc<str> = Arc::from("com.example.paidup");
    let play = play::wire::App { package_name: Arc::clone(&package_name), is_tested: false };
    let amazon = amazon::wire::App { package_name, is_beta: false };
    let discord = discord::wire::App::of_seed(1);
    let shops =
        vec![some_app(), Shop::Stripe(Shape::Basil), Shop::Play(play), Shop::Amazon(amazon), Shop::Discord(discord)];
    let all = told_in(shops, 4_000, 7, 432_000.0);
    let seen: BTreeSet<Turn> = all.iter().map(|told| told.turn).collect();
    let missing: Vec<_> = Turn::ALL.iter().filter(|turn| !seen.contains(turn)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn the_same_seed_tells_the_same_and_another_seed_does_not() {
    let both = || vec![some_app(), Shop::Stripe(Shape::Classic)];
    let text =
        |seed: u64| told_in(both(), 40, seed, 432_000.0).iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
    assert_eq!(text(3), text(3));
    assert_ne!(text(3), text(4));
}

#[test]
fn notifications_come_in_lived_order_and_dates_of_a_purchase_never_tie() {
    for speed in [1.0, 432_000.0, crate::calendar::MAX_SPEED] {
        let told = told(150, 11, speed);
        assert!(told.windows(2).all(|pair| pair[0].at <= pair[1].at), "speed {speed}");
        for (purchase, life) in lives(&told) {
            for (place, pair) in life.windows(2).enumerate() {
                let dates = (signed(pair[0]), signed(pair[1]));
                assert!(dates.0 < dates.1, "{purchase} at {place}: {dates:?}, speed {speed}");
                assert_eq!(pair[1].ordinal, pair[0].ordinal + 1);
            }
        }
    }
}

/// What a subscription's notifications say must agree with what is said to be true: checked from the outside of the
/// lives, by status, dates and renewal info alone.
#[test]
fn what_apple_says_is_what_is_true() {
    for told in told(400, 5, 432_000.0) {
        let (said, after) = (told.app_store().unwrap(), &told.after);
        let name = format!("{:?} {}/{:?}", told.turn, said.kind, said.subtype);
        let Some(renewal) = &said.renewal else {
            assert_ne!(after.plan.kind, Kind::Subscription, "{name}");
            assert_eq!(after.state == State::Revoked, said.transaction.revocation_date.is_some(), "{name}");
            continue;
        };
        let state = [State::Active, State::Expired, State::BillingRetry, State::Grace, State::Revoked];
        assert_eq!(after.state, state[usize::from(said.status.unwrap()) - 1], "{name}");
        assert_eq!(after.will_renew, Some(renewal.auto_renew_status == 1), "{name}");
        assert_eq!(after.plan.id, renewal.product_id, "{name}");
        assert_eq!(after.ends_at, Some(renewal.renewal_date), "{name}");
        assert_eq!(after.grace_ends_at, renewal.grace_period_expires_date, "{name}");
        let failing = matches!(after.state, State::Grace | State::BillingRetry);
        assert_eq!(renewal.is_in_billing_retry_period.unwrap_or(false), failing, "{name}");
        assert!(after.starts_at < after.ends_at.unwrap(), "{name}");
        if told.turn != Turn::RefundedEarlier {
            assert_eq!(said.transaction.product_id, after.plan.id, "{name}");
            assert_eq!(said.transaction.expires_date, after.ends_at, "{name}");
        }
        let milli = if said.transaction.currency == "JPY" { 1000 } else { 10 };
        if let Some(money) = after.money {
            assert_eq!(money.minor.abs() * milli, said.transaction.price, "{name}");
            assert_eq!(money.minor < 0, said.transaction.revocation_date.is_some(), "{name}");
        }
    }
}

#[test]
fn states_follow_each_other_as_they_can() {
    for (purchase, life) in lives(&told(500, 9, 432_000.0)) {
        for pair in life.windows(2) {
            let (from, to, turn) = (pair[0].after.state, pair[1].after.state, pair[1].turn);
            let fits = match to {
                State::Grace => from == State::Active,
                State::BillingRetry => matches!(from, State::Active | State::Grace),
                State::Expired => matches!(from, State::Active | State::Grace | State::BillingRetry),
                State::Revoked => from == State::Active,
                State::Pending | State::Paused => false,
                State::Active => match from {
                    State::Active | State::Grace | State::BillingRetry => true,
                    State::Expired => matches!(turn, Turn::Resubscribed | Turn::WonBack),
                    State::Pending | State::Paused => false,
                    State::Revoked => matches!(turn, Turn::RefundReversed | Turn::Resubscribed | Turn::WonBack),
                },
            };
            assert!(fits, "{purchase}: {from:?} to {to:?} by {turn:?}");
        }
        assert!(life[0].after.state == State::Active && life[0].ordinal == 0, "{purchase} begins with a purchase");
    }
}

#[test]
fn the_account_of_a_run_does_not_depend_on_the_order_of_hearing() {
    let told = told(200, 2, 432_000.0);
    let (mut forth, mut back) = (Truth::default(), Truth::default());
    told.iter().for_each(|one| forth.learn(one));
    told.iter().rev().for_each(|one| back.learn(one));
    assert_eq!(forth.purchases(), back.purchases());
    for (id, purchase) in forth.purchases() {
        let last = told.iter().rfind(|one| one.purchase == *id).unwrap();
        assert_eq!(purchase.now, last.after);
        let sum: i64 =
            told.iter().filter(|one| one.purchase == *id).filter_map(|one| one.after.money).map(|m| m.minor).sum();
        assert_eq!(purchase.totals.values().sum::<i64>(), sum);
    }
    for (customer, purchases) in forth.customers() {
        let access = purchases.iter().any(|id| forth.purchases()[id].now.state.has_access());
        assert!(access || forth.entitlements(&purchases).is_empty(), "{customer}");
    }
}
