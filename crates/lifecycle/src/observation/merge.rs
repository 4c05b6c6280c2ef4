//! How what is newly said joins what is known: the larger stamp wins, facet by facet, so that arrival order does not
//! matter.

use super::{Dated, Facets, MAX_MOVES, MAX_PAUSE_CHANGES, RefundStatus, Rounds, TransactionFacts};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The larger stamp wins; equal stamps are equal facts, so either stays. Says whether theirs was taken.
fn newer<T: Clone>(mine: &mut Option<Dated<T>>, theirs: &Option<Dated<T>>) -> bool {
    let Some(theirs) = theirs else { return false };
    match mine {
        Some(mine) if mine.stamp >= theirs.stamp => false,
        Some(mine) => {
            // Most words of a store repeat what it said before: a text's own memory serves again.
            mine.value.clone_from(&theirs.value);
            mine.stamp.clone_from(&theirs.stamp);
            true
        }
        None => {
            *mine = Some(theirs.clone());
            true
        }
    }
}

fn newer_by_key<T: Clone>(mine: &mut BTreeMap<String, Dated<T>>, theirs: &BTreeMap<String, Dated<T>>) -> bool {
    let mut taken = false;
    for (key, value) in theirs {
        match mine.get(key) {
            Some(known) if known.stamp >= value.stamp => {}
            Some(_) | None => {
                mine.insert(key.clone(), value.clone());
                taken = true;
            }
        }
    }
    taken
}

/// Keeps a movement unless it is older than all of a full set.
fn note_move(known: &mut BTreeSet<(Timestamp, RefundStatus)>, moved: (Timestamp, RefundStatus)) -> bool {
    if !known.insert(moved) {
        return false;
    }
    while known.len() > MAX_MOVES {
        if known.pop_first() == Some(moved) {
            return false;
        }
    }
    true
}

impl TransactionFacts {
    /// How often money went back with a refund, and how often it came again. What is said twice in a row is one movement,
    /// and a reversal with nothing before it speaks of a refund that was not heard of. Hearing more never lowers either.
    #[must_use]
    pub fn rounds(&self, refund_id: &str) -> Rounds {
        let mut rounds = Rounds::default();
        let mut last = None;
        for (_, status) in self.moved.get(refund_id).into_iter().flatten() {
            match (last, *status) {
                (Some(RefundStatus::Refunded), RefundStatus::Reversed) => rounds.reversals += 1,
                (None, RefundStatus::Reversed) => rounds = Rounds { refunds: 1, reversals: 1 },
                (None | Some(RefundStatus::Reversed), RefundStatus::Refunded) => rounds.refunds += 1,
                // Said again; and the other two are never kept, because they move nothing.
                (_, _) => {}
            }
            last = Some(*status);
        }
        rounds
    }

    /// Money that has moved stays moved even if a newer word on the refund is heard first.
    fn absorb_moved(&mut self, other: &TransactionFacts) -> bool {
        let mut taken = false;
        let said = other.refunds.iter().map(|(id, refund)| (id, (refund.stamp.as_of, refund.value.status)));
        let kept = other.moved.iter().flat_map(|(id, moves)| moves.iter().map(move |moved| (id, *moved)));
        for (id, moved) in said.chain(kept) {
            if moved.1 < RefundStatus::Refunded {
                continue;
            }
            match self.moved.get_mut(id) {
                Some(known) => taken |= note_move(known, moved),
                None => {
                    self.moved.insert(id.clone(), BTreeSet::from([moved]));
                    taken = true;
                }
            }
        }
        taken
    }

    fn absorb(&mut self, other: &TransactionFacts) -> bool {
        let mut taken = newer(&mut self.store_id, &other.store_id);
        taken |= newer(&mut self.product_id, &other.product_id);
        taken |= newer(&mut self.period, &other.period);
        taken |= newer(&mut self.price, &other.price);
        taken |= newer_by_key(&mut self.refunds, &other.refunds);
        taken |= self.absorb_moved(other);
        for (attempt, at) in &other.failures {
            match self.failures.get_mut(attempt) {
                Some(known) if *known <= *at => {}
                Some(known) => {
                    *known = *at;
                    taken = true;
                }
                None => {
                    self.failures.insert(attempt.clone(), *at);
                    taken = true;
                }
            }
        }
        taken
    }
}

impl Facets {
    /// Takes in what `other` knows better, and says whether there was anything. What was said at several moments comes to the
    /// same in any order and any number: the reason why arrival order does not matter. `other` is what was said at one
    /// moment, never a sum of several: its product counts as what its period paid for.
    pub fn absorb(&mut self, other: &Facets) -> bool {
        let mut taken = newer(&mut self.kind, &other.kind);
        taken |= newer(&mut self.standing, &other.standing);
        taken |= newer(&mut self.period, &other.period);
        taken |= newer(&mut self.start_is_bound, &other.start_is_bound);
        taken |= newer(&mut self.period_type, &other.period_type);
        taken |= newer(&mut self.product, &other.product);
        taken |= newer(&mut self.offer, &other.offer);
        taken |= newer(&mut self.next_offer, &other.next_offer);
        taken |= newer(&mut self.will_renew, &other.will_renew);
        taken |= newer(&mut self.cancel_reason, &other.cancel_reason);
        taken |= newer(&mut self.expiration_reason, &other.expiration_reason);
        taken |= newer(&mut self.grace_ends_at, &other.grace_ends_at);
        taken |= newer(&mut self.billing_retry, &other.billing_retry);
        taken |= newer(&mut self.pause, &other.pause);
        taken |= self.absorb_pause_changes(other);
        taken |= newer(&mut self.pending, &other.pending);
        taken |= newer(&mut self.extended_until, &other.extended_until);
        taken |= newer(&mut self.price_increase, &other.price_increase);
        taken |= newer(&mut self.owner, &other.owner);
        taken |= newer(&mut self.family_shared, &other.family_shared);
        taken |= newer(&mut self.country, &other.country);
        taken |= newer(&mut self.ask_with, &other.ask_with);
        taken |= newer(&mut self.entitlement_id, &other.entitlement_id);
        taken |= newer_by_key(&mut self.attributes, &other.attributes);
        for (id, facts) in &other.transactions {
            taken |= match self.transactions.get_mut(id) {
                Some(mine) => mine.absorb(facts),
                None => {
                    let mut mine = facts.clone();
                    mine.absorb_moved(facts);
                    self.transactions.insert(id.clone(), mine);
                    true
                }
            };
        }
        taken | self.absorb_period(other)
    }

    fn absorb_pause_changes(&mut self, other: &Facets) -> bool {
        let known = self.pause_changed_at.len();
        self.pause_changed_at.extend(&other.pause_changed_at);
        let taken = self.pause_changed_at.len() > known;
        while self.pause_changed_at.len() > MAX_PAUSE_CHANGES {
            // Two at a time: what is left means the same.
            self.pause_changed_at.pop_first();
            self.pause_changed_at.pop_first();
        }
        taken
    }

    /// A period that ran is a transaction even if a later one is in force, so that periods can be counted in any order.
    fn absorb_period(&mut self, other: &Facets) -> bool {
        let Some(period) = &other.period else { return false };
        let key = period.value.transaction_key();
        if !self.transactions.contains_key(&*key) {
            self.transactions.insert(key.to_string(), TransactionFacts::default());
        }
        let Some(facts) = self.transactions.get_mut(&*key) else { return false };
        newer(&mut facts.period, &other.period) | newer(&mut facts.product_id, &other.product)
    }
}
