//! What vendors that keep customers themselves say of people: which ids are one customer's, and whose purchases became
//! whose. Pure, like all of `commit`.

use super::Received;
use super::decide::Deciding;
use super::work::{Work, remember};
use paidup_lifecycle::engine::Input;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::observation::{Dated, Facets, Hint, Observation, Origin, Stamp};
use paidup_lifecycle::purchase::Purchase;
use paidup_sources::Transfer;
use paidup_store::Before;
use std::collections::BTreeSet;

impl Received {
    /// All ids of people that it names besides its purchases' owners.
    pub(super) fn people(&self) -> impl Iterator<Item = &String> {
        let moved = self.transfers.iter().flat_map(|transfer| transfer.from.iter().chain(&transfer.to));
        self.same.iter().flatten().chain(moved)
    }
}

impl Deciding {
    /// Purchases that may get another owner: those of whoever gives them away, and of customers who become part of another.
    pub(super) fn moving(&self, before: &Before) -> Vec<PurchaseId> {
        let mut moving = Vec::new();
        let mut take = |id: CustomerId| {
            let customer = before.customers.get(&id);
            moving.extend(customer.into_iter().flat_map(|customer| customer.holdings.keys().copied()));
        };
        for received in &self.received {
            for ids in &received.same {
                let known: BTreeSet<CustomerId> = ids.iter().filter_map(|id| before.aliases.get(id).copied()).collect();
                if known.len() > 1 {
                    known.into_iter().for_each(&mut take);
                }
            }
            let from = received.transfers.iter().flat_map(|transfer| &transfer.from);
            from.filter_map(|id| before.aliases.get(id).copied()).for_each(&mut take);
        }
        moving
    }
}

impl Work<'_> {
    /// All customers that have one of these ids become one: the first of the list that is known stays. Unlike a store's
    /// customer, which two people may share, these are one person by the word of who keeps them.
    pub(super) fn one_customer(&mut self, ids: &[String]) {
        let Some(stays) = ids.iter().find(|id| self.alias(id).is_some()) else { return };
        for id in ids {
            if self.alias(id) != self.alias(stays) {
                // Refused only where a customer has as many ids as may be.
                let _ = self.link(stays, id);
            }
        }
    }

    /// What the source told of one customer becomes another's; gives the first purchase that does. It goes by as a word on
    /// the owner, so a later word of the source on a purchase stays, whichever is heard first.
    pub(super) fn hand_over(&mut self, received: &Received, transfer: &Transfer) -> Option<PurchaseId> {
        let to = transfer.to.first()?;
        let known = transfer.to.iter().find_map(|id| self.alias(id));
        let from: BTreeSet<CustomerId> = transfer.from.iter().filter_map(|id| self.alias(id)).collect();
        let stamp = Stamp { as_of: transfer.at, origin: Origin::Notification, by: transfer.id.clone() };
        let moves = |purchase: &Purchase| {
            let later = purchase.facets.owner.as_ref().is_some_and(|owner| owner.stamp >= stamp);
            let is_meant = purchase.key.source_id == received.kept.source_id
                && purchase.key.environment == transfer.environment
                && transfer.store.is_none_or(|store| purchase.store == store);
            is_meant && !later
        };
        let moving: Vec<Purchase> =
            from.iter().flat_map(|customer| self.purchases_of(*customer)).filter(moves).collect();
        let first = moving.first().map(|purchase| purchase.id);
        for mut purchase in moving {
            let owner = match known {
                Some(known) => self.follow(known),
                None => self.claim(to, None),
            };
            remember(&mut purchase, received.digest());
            let facets =
                Facets { owner: Some(Dated { value: Some(to.clone()), stamp: stamp.clone() }), ..Facets::default() };
            let observation = Observation {
                key: purchase.key.clone(),
                store: purchase.store,
                id: transfer.id.clone(),
                observed_at: transfer.at,
                origin: Origin::Notification,
                hint: Hint::Transferred,
                about_transaction: None,
                facets,
                backfill: false,
                replaces: None,
                detected_by: None,
            };
            self.apply(purchase, &Input::Observed(observation), Some(owner));
        }
        first
    }
}
