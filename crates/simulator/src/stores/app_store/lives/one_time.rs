//! What is bought once: how Apple tells of it.

use super::teller::{Draft, Teller};
use crate::catalogue::{Kind, Plan};
use crate::lives::Turn;
use crate::stores::app_store::wire::Transaction;
use crate::truth::{After, Amount, State};

/// The customer buys. The transaction is kept for a refund.
pub(super) fn buy(teller: &mut Teller, plan: &'static Plan) -> Transaction {
    let id = teller.transaction_id();
    let date = teller.calendar.stamp(teller.now);
    let minor = teller.storefront.minor(plan.cents);
    let transaction = Transaction {
        transaction_id: id.clone(),
        original_transaction_id: id,
        web_order_line_item_id: None,
        bundle_id: teller.app.bundle_id.clone(),
        product_id: plan.id,
        subscription_group_identifier: None,
        purchase_date: date,
        original_purchase_date: date,
        expires_date: None,
        quantity: 1,
        kind: if plan.kind == Kind::Consumable { "Consumable" } else { "Non-Consumable" },
        app_account_token: teller.token.clone(),
        in_app_ownership_type: "PURCHASED",
        signed_date: 0,
        revocation_reason: None,
        revocation_date: None,
        revocation_type: None,
        revocation_percentage: None,
        offer_type: None,
        offer_identifier: None,
        environment: teller.app.environment,
        transaction_reason: "PURCHASE",
        storefront: teller.storefront.code,
        storefront_id: teller.storefront.id,
        price: minor * teller.storefront.milli_per_minor,
        currency: teller.storefront.currency,
        offer_discount_type: None,
        app_transaction_id: teller.app_transaction_id(),
        offer_period: None,
    };
    let turn = if plan.kind == Kind::Consumable { Turn::ConsumableBought } else { Turn::NonConsumableBought };
    tell(teller, plan, turn, transaction.clone(), minor);
    transaction
}

/// Apple gives the money back.
pub(super) fn refund(teller: &mut Teller, plan: &'static Plan, bought: &Transaction) {
    let mut transaction = bought.clone();
    transaction.revocation_date = Some(teller.calendar.stamp(teller.now));
    transaction.revocation_reason = Some(0);
    transaction.revocation_type = Some("REFUND_FULL");
    let minor = -teller.storefront.minor(plan.cents);
    tell(teller, plan, Turn::OneTimeRefunded, transaction, minor);
}

fn tell(teller: &mut Teller, plan: &'static Plan, turn: Turn, transaction: Transaction, minor: i64) {
    let refunded = transaction.revocation_date.is_some();
    let after = After {
        state: if refunded { State::Revoked } else { State::Active },
        will_renew: None,
        plan,
        product_id: plan.id.into(),
        starts_at: transaction.purchase_date,
        ends_at: None,
        grace_ends_at: None,
        money: Some(Amount { minor, currency: teller.storefront.currency }),
        new_period: !refunded,
        events: vec![if refunded { "ONE_TIME_REFUNDED" } else { "ONE_TIME_PURCHASED" }],
    };
    let kind = if refunded { "REFUND" } else { "ONE_TIME_CHARGE" };
    teller.tell(Draft { turn, kind, subtype: None, status: None, transaction, renewal: None, after });
}
