//! A store may say that what carries a purchase was replaced (an Amazon receipt, a Play token), and which one took its place only
//! later, or in a notification that never arrives. The replacement then stands there as a purchase of its own. The end of
//! what it replaced is held back for what takes its place (lifecycle.md section 5): once that is there, nothing is waited for.

use super::command::Command;
use super::decide::Deciding;
use super::work::Work;
use paidup_lifecycle::engine::Input;
use paidup_lifecycle::ids::PurchaseId;
use paidup_lifecycle::observation::{Hint, Kind, Observation, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_store::Before;
use std::time::Duration;

/// What a store dates twice for one thing is not further apart.
const SAME_MOMENT: Duration = Duration::from_secs(1);

/// The other subscriptions of whoever has this one, where one of them may have taken the place of another: it is new, or the
/// store says that it was replaced.
pub(super) fn beside(deciding: &Deciding, before: &Before) -> Vec<PurchaseId> {
    if !matches!(deciding.command, Command::Observe { .. }) {
        return Vec::new();
    }
    let observed = deciding.received.iter().flat_map(|received| &received.inputs).filter_map(|input| match input {
        Input::Observed(observation) => Some(observation),
        Input::Tick | Input::Unanswered | Input::Moved { .. } | Input::CatalogueChanged { .. } | Input::Converted => {
            None
        }
    });
    let mut beside = Vec::new();
    for observation in observed {
        let known = before.purchases.get(&Purchase::id_of(&observation.key));
        if known.is_some() && observation.hint != Hint::Replaced {
            continue;
        }
        let owner =
            observation.facets.owner.as_ref().and_then(|owner| before.aliases.get(owner.value.as_ref()?).copied());
        let Some(owner) = known.map(|known| known.customer).or(owner).and_then(|id| before.customers.get(&id)) else {
            continue;
        };
        let others = owner.holdings.iter().filter(|(_, held)| {
            held.kind == Kind::Subscription
                && held.store == observation.store
                && held.environment == observation.key.environment
        });
        beside.extend(others.map(|(id, _)| *id));
    }
    beside
}

/// Ends what was replaced by another purchase of the same customer.
pub(super) fn close_followed(work: &mut Work<'_>, id: PurchaseId) {
    let Some(one) = work.purchase(id).filter(|one| is_subscription(one)).cloned() else { return };
    let mut others = work.purchases_of(work.follow(one.customer));
    others.retain(|other| {
        is_subscription(other)
            && other.id != one.id
            && other.key.source_id == one.key.source_id
            && other.key.environment == one.key.environment
    });
    if others.iter().any(|other| follows(other, &one)) {
        end(work, &one);
    }
    for other in others.iter().filter(|other| follows(&one, other)) {
        end(work, other);
    }
}

fn is_subscription(purchase: &Purchase) -> bool {
    purchase.facets.kind.as_ref().is_none_or(|kind| kind.value == Kind::Subscription)
}

/// Whether `new` began when what carried `old` ended: both are the same moment of the store's.
fn follows(new: &Purchase, old: &Purchase) -> bool {
    let (Some(ended), Some(began)) = (old.carrier_ended_at, &new.first_period) else { return false };
    let between = began.starts_at.since(ended).max(ended.since(began.starts_at));
    old.state.has_access() && between <= SAME_MOMENT
}

/// Ends what an observation says was replaced by its own purchase, where both were told as purchases of their own before.
pub(super) fn close_former(work: &mut Work<'_>, observation: &Observation, id: PurchaseId) {
    let Some(former) = observation.replaces.as_ref() else { return };
    let key = PurchaseKey { store_purchase_id: former.clone(), ..observation.key.clone() };
    let Some(known) = work.purchase(Purchase::id_of(&key)).filter(|known| known.id != id) else { return };
    if known.newest_id() != former.as_str() {
        return; // it goes on under another id
    }
    let ended = known.carrier_ended_at.max(Some(observation.observed_at));
    let known = Purchase { carrier_ended_at: ended, ..known.clone() };
    end(work, &known);
}

fn end(work: &mut Work<'_>, replaced: &Purchase) {
    let replaced = Purchase { carrier_followed: true, ..replaced.clone() };
    work.apply(replaced, &Input::Tick, None);
}
