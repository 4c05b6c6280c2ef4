//! What is bought once or given: how Discord tells of it.

use super::teller::{Draft, Teller};
use crate::calendar::{DAY, HOUR, MINUTE};
use crate::catalogue::{Kind, Plan};
use crate::lives::Turn;
use crate::stores::discord::wire::{Audience, Entitlement, EntitlementType, Shown, plans, sku_id};
use crate::truth::{After, State};

/// A customer buys something once, or is given it; some give it back, and what is used up is used up.
pub(super) fn bought(teller: &mut Teller) {
    let kind = teller.chance.pick(&[(2, Kind::Consumable), (1, Kind::NonConsumable)]).unwrap_or(Kind::Consumable);
    let Some(plan) = plans().find(|plan| plan.kind == kind) else { return };
    let turn = if kind == Kind::Consumable { Turn::ConsumableBought } else { Turn::NonConsumableBought };
    let ways = [(84, EntitlementType::Purchase), (8, EntitlementType::UserGift), (8, EntitlementType::DeveloperGift)];
    let way = teller.chance.pick(&ways).unwrap_or(EntitlementType::Purchase);
    let mut own = entitlement(teller, plan, way);
    tell(teller, plan, turn, Some("ENTITLEMENT_CREATE"), own);
    if kind == Kind::Consumable && teller.chance.percent(60) {
        teller.wait(MINUTE, 10 * DAY);
        own.consumed = true;
        tell(teller, plan, Turn::Consumed, None, own);
    }
    if teller.chance.percent(20) {
        teller.wait(HOUR, 20 * DAY);
        own.deleted = true;
        tell(teller, plan, Turn::OneTimeRefunded, Some("ENTITLEMENT_DELETE"), own);
    }
}

/// The app gives a subscription's SKU as a test, and takes it back in the end.
pub(super) fn tested(teller: &mut Teller) {
    let Some(plan) = plans().find(|plan| plan.kind == Kind::Subscription) else { return };
    let mut own = entitlement(teller, plan, EntitlementType::ApplicationSubscription);
    if teller.app.audience == Audience::Guilds {
        (own.user, own.guild) = (None, Some(teller.guild));
    }
    tell(teller, plan, Turn::TestGranted, Some("ENTITLEMENT_CREATE"), own);
    if teller.chance.percent(60) {
        teller.wait(HOUR, 5 * DAY);
        own.deleted = true;
        tell(teller, plan, Turn::TestWithdrawn, Some("ENTITLEMENT_DELETE"), own);
    }
}

fn entitlement(teller: &mut Teller, plan: &Plan, kind: EntitlementType) -> Entitlement {
    Entitlement {
        id: teller.id(),
        sku: sku_id(plan),
        user: Some(teller.user),
        guild: None,
        kind,
        deleted: false,
        consumed: false,
        starts_at: None,
        ends_at: None,
        subscription: None,
    }
}

fn tell(teller: &mut Teller, plan: &'static Plan, turn: Turn, event: Option<&'static str>, own: Entitlement) {
    let events = match event {
        Some(_) if own.deleted => vec!["ONE_TIME_REFUNDED"],
        Some(_) => vec!["ONE_TIME_PURCHASED"],
        None => vec![],
    };
    let after = After {
        state: if own.deleted { State::Revoked } else { State::Active },
        will_renew: None,
        plan,
        product_id: sku_id(plan).to_string().into(),
        starts_at: crate::stores::discord::wire::made_at(own.id),
        ends_at: None,
        grace_ends_at: None,
        money: None,
        new_period: events.contains(&"ONE_TIME_PURCHASED"),
        events,
    };
    // ASSUMPTION: whether the flag is set in the event itself is not said: both occur.
    let told = Entitlement { deleted: own.deleted && teller.chance.percent(50), ..own };
    teller.tell(Draft {
        turn,
        purchase: own.id,
        user: own.user,
        event: event.map(|kind| (kind, told)),
        shown: vec![Shown::Entitlement(own)],
        after,
    });
}
