//! What is bought once: how Amazon tells of it.

use super::teller::{Draft, Teller};
use crate::calendar::{DAY, HOUR};
use crate::catalogue::{Kind, PLANS, Plan};
use crate::lives::Turn;
use crate::stores::amazon::wire::Receipt;
use crate::truth::{After, State};

/// A customer buys something once; some give it back.
pub(super) fn life(teller: &mut Teller) {
    let kind = teller.chance.pick(&[(2, Kind::Consumable), (1, Kind::NonConsumable)]).unwrap_or(Kind::Consumable);
    let Some(plan) = PLANS.iter().find(|plan| plan.kind == kind) else { return };
    let is_consumable = kind == Kind::Consumable;
    let mut receipt = super::receipt(teller, plan, if is_consumable { "CONSUMABLE" } else { "ENTITLED" });
    let (turn, bought, cancelled) = if is_consumable {
        (Turn::ConsumableBought, "CONSUMABLE_PURCHASED", "CONSUMABLE_CANCELLED")
    } else {
        (Turn::NonConsumableBought, "ENTITLEMENT_PURCHASED", "ENTITLEMENT_CANCELLED")
    };
    tell(teller, plan, turn, bought, &receipt);
    if teller.chance.percent(20) {
        teller.wait(HOUR, 20 * DAY);
        receipt.cancel_date = Some(teller.stamp());
        receipt.cancel_reason = Some(2);
        receipt.is_gone = teller.chance.percent(30);
        tell(teller, plan, Turn::OneTimeRefunded, cancelled, &receipt);
    }
}

fn tell(teller: &mut Teller, plan: &'static Plan, turn: Turn, kind: &'static str, receipt: &Receipt) {
    let is_over = receipt.cancel_date.is_some();
    let after = After {
        state: if is_over { State::Revoked } else { State::Active },
        will_renew: None,
        plan,
        product_id: plan.id.into(),
        starts_at: receipt.purchase_date,
        ends_at: None,
        grace_ends_at: None,
        money: None,
        new_period: !is_over,
        events: vec![if is_over { "ONE_TIME_REFUNDED" } else { "ONE_TIME_PURCHASED" }],
    };
    let (purchase, receipt) = (receipt.receipt_id.clone(), receipt.clone());
    teller.tell(Draft { turn, purchase, kind, receipt, replaced: None, after });
}
