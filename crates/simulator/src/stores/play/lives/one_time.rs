//! What is bought once: how Google tells of it.

use super::teller::{Draft, Teller};
use crate::calendar::{DAY, HOUR, MINUTE};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Turn;
use crate::stores::play::wire::{About, Order, ProductPurchase, Shown, VoidedPurchase};
use crate::truth::{After, Amount, State};

/// A customer buys something once; some give it back, some never pay for it.
pub(super) fn life(teller: &mut Teller) {
    let kind = teller.chance.pick(&[(2, Kind::Consumable), (1, Kind::NonConsumable)]).unwrap_or(Kind::Consumable);
    let Some(plan) = PLANS.iter().find(|plan| plan.kind == kind) else { return };
    let mut purchase = order(teller, plan);
    if teller.chance.percent(8) {
        teller.wait(HOUR, 2 * DAY);
        purchase.state = "CANCELLED";
        let about = About::OneTimeProduct { kind: 2, token: purchase.token.clone(), sku: plan.id };
        let after = after(plan, State::Expired, teller.stamp());
        return tell(teller, Turn::NeverPaid, &purchase, vec![], about, after);
    }
    teller.now += MINUTE;
    let bought = buy(teller, plan, &mut purchase);
    if teller.chance.percent(20) {
        teller.wait(HOUR, 20 * DAY);
        refund(teller, plan, &mut purchase, bought);
    }
}

fn order(teller: &mut Teller, plan: &'static Plan) -> ProductPurchase {
    ProductPurchase {
        token: teller.token(),
        order_id: teller.order_id(),
        product_id: plan.id,
        state: "PENDING",
        completed_at: None,
        region_code: teller.storefront.country,
        is_acknowledged: false,
        is_consumed: false,
        refundable: 0,
        account_id: teller.user.clone(),
        is_test: teller.app.is_tested,
    }
}

fn buy(teller: &mut Teller, plan: &'static Plan, purchase: &mut ProductPurchase) -> Order {
    let (now, price) = (teller.stamp(), teller.money(plan.cents));
    purchase.state = "PURCHASED";
    purchase.completed_at = Some(now);
    purchase.refundable = 1;
    let order = Order {
        order_id: purchase.order_id.clone(),
        token: purchase.token.clone(),
        state: "PROCESSED",
        created: now,
        last_event: now,
        country: teller.storefront.country,
        total: price,
        listing_price: price,
        product_id: plan.id,
        product_title: plan.name,
        subscription: None,
        refunded_at: None,
    };
    let turn = if plan.kind == Kind::Consumable { Turn::ConsumableBought } else { Turn::NonConsumableBought };
    let about = About::OneTimeProduct { kind: 1, token: purchase.token.clone(), sku: plan.id };
    let after = After {
        money: Some(Amount { minor: price.minor, currency: price.currency }),
        new_period: true,
        events: vec!["ONE_TIME_PURCHASED"],
        ..after(plan, State::Active, now)
    };
    tell(teller, turn, purchase, vec![Shown::Order(Box::new(order.clone()))], about, after);
    // The app has taken note of it by the next time that anybody looks.
    purchase.is_acknowledged = true;
    purchase.is_consumed = plan.kind == Kind::Consumable;
    order
}

fn refund(teller: &mut Teller, plan: &'static Plan, purchase: &mut ProductPurchase, mut order: Order) {
    let now = teller.stamp();
    purchase.state = "CANCELLED";
    purchase.refundable = 0;
    order.state = "REFUNDED";
    order.last_event = now;
    order.refunded_at = Some(now);
    let money = Amount { minor: -order.total.minor, currency: order.total.currency };
    let (token, order_id) = (purchase.token.clone(), purchase.order_id.clone());
    let voided = VoidedPurchase {
        token: token.clone(),
        order_id: order_id.clone(),
        purchased: order.created,
        voided: now,
        source: 1,
        reason: 1,
        is_subscription: false,
    };
    let about = About::VoidedPurchase { token, order_id, product_type: 2, refund_type: 1 };
    let after =
        After { money: Some(money), events: vec!["ONE_TIME_REFUNDED"], ..after(plan, State::Revoked, order.created) };
    let shown = vec![Shown::Order(Box::new(order)), Shown::Voided(voided)];
    tell(teller, Turn::OneTimeRefunded, purchase, shown, about, after);
}

fn after(plan: &'static Plan, state: State, starts_at: i64) -> After {
    After {
        state,
        will_renew: None,
        plan,
        product_id: plan.id.into(),
        starts_at,
        ends_at: None,
        grace_ends_at: None,
        money: None,
        new_period: false,
        events: Vec::new(),
    }
}

fn tell(teller: &mut Teller, turn: Turn, one: &ProductPurchase, mut shown: Vec<Shown>, about: About, after: After) {
    shown.insert(0, Shown::Product(Box::new(one.clone())));
    let (purchase, known_as) = (one.token.clone(), one.token.clone());
    teller.tell(Draft { turn, purchase, known_as, about, shown, after });
}
