//! What a notification brings besides observations: ids that are one customer's, what is to be looked up at the store, and
//! what answers lookups. Pure, like all of `commit`.

use super::Received;
use super::owners::Answered;
use super::work::Work;
use paidup_lifecycle::ids::{LookupId, SourceId};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Link, Lookup, is_reconciled_id, parse_looked_up_id};
use paidup_store::Changes;
use paidup_store::records::{ClueRecord, LookupRecord};
use std::time::Duration;

/// How long a lookup waits that is not wanted when the purchase's own notification comes: those of one purchase are
/// sent within seconds.
const OWN_NOTIFICATION: Duration = Duration::from_secs(60);

/// The id of a lookup: the same name and context of a source is the same lookup. What is wanted to compare is another one:
/// its answer is kept under another id, and only when it says something new.
pub(crate) fn lookup_id(source: SourceId, name: &str, context: &str, reconciles: bool) -> LookupId {
    let why: &[u8] = if reconciles { b"reconcile" } else { b"" };
    LookupId::derive(&[&source.0, name.as_bytes(), context.as_bytes(), why][..if reconciles { 4 } else { 3 }])
}

/// A lookup as it waits from `now` on.
pub(crate) fn record_of(source_id: SourceId, lookup: &Lookup, now: Timestamp, reconciles: bool) -> LookupRecord {
    LookupRecord {
        id: lookup_id(source_id, &lookup.name, &lookup.context, reconciles),
        source_id,
        name: lookup.name.clone(),
        context: lookup.context.clone(),
        why: lookup.why.to_owned(),
        unless_known: lookup.unless_known.as_ref().map(Purchase::id_of),
        asked_since: now,
        ask_at: Some(now),
        attempts: 0,
        last_error: None,
        reconciles,
    }
}

impl Received {
    /// The lookup that this answers.
    pub(crate) fn answers(&self) -> Option<LookupId> {
        let (_, name, context) = parse_looked_up_id(&self.kept.external_id)?;
        Some(lookup_id(self.kept.source_id, name, context, self.reconciles()))
    }

    /// It was asked for to compare what is known with the store.
    pub(crate) fn reconciles(&self) -> bool {
        is_reconciled_id(&self.kept.external_id)
    }
}

impl Work<'_> {
    /// The store says that two ids are one customer's. A store's customer who is known by no other id becomes the app's;
    /// one who was linked to somebody else before stays with them: two people may use one account of a store, and what
    /// was given is not taken away.
    pub(super) fn same_customer(&mut self, link: &Link) {
        let Some(known) = self.alias(&link.store_customer) else {
            // `customer` is made or found; its new id is free, so linking cannot be refused but for its bound.
            let _ = self.link(&link.customer, &link.store_customer);
            return;
        };
        let is_unlinked = self.customer(known).aliases.iter().all(|alias| *alias == link.store_customer);
        if is_unlinked && self.alias(&link.customer) != Some(known) {
            match self.alias(&link.customer) {
                Some(_) => {
                    let _ = self.link(&link.customer, &link.store_customer);
                }
                None => {
                    let _ = self.link(&link.store_customer, &link.customer);
                }
            }
        }
    }

    /// Puts an answer aside that replaces a purchase which nobody knows: that one is looked up first, and its answer leads
    /// back to this one. Says whether it did.
    pub(super) fn put_aside(&self, received: &Received, changes: &mut Changes, answered: &mut Answered) -> bool {
        let Some(first) = &received.first else { return false };
        let is_known = first.unless_known.as_ref().is_some_and(|key| self.purchase(Purchase::id_of(key)).is_some());
        if is_known {
            return false;
        }
        let source_id = received.kept.source_id;
        answered.lookup = received.answers();
        changes.looked_up.extend(answered.lookup);
        let record = record_of(source_id, first, self.now, received.reconciles());
        let record = LookupRecord { unless_known: None, ..record };
        answered.further.push(record.id);
        changes.lookups.push(record);
        true
    }

    /// Notes what is to be looked up, what this answers, and what answers others. To be called after its observations, which
    /// `answered` names; adds what claims that wait for this have to wait for instead.
    pub(super) fn look_up(&self, received: &Received, changes: &mut Changes, answered: &mut Answered) {
        let source_id = received.kept.source_id;
        answered.lookup = received.answers();
        changes.looked_up.extend(answered.lookup);
        for lookup in &received.lookups {
            let unless_known = lookup.unless_known.as_ref().map(Purchase::id_of);
            let is_known = |id| self.purchase(id).is_some_and(|purchase| purchase.state != State::None);
            if let Some(known) = unless_known.filter(|id| is_known(*id)) {
                answered.purchases.push(known);
                continue;
            }
            answered.further.push(lookup_id(source_id, &lookup.name, &lookup.context, received.reconciles()));
            answered.or_known.extend(unless_known);
            let wait = if unless_known.is_some() { OWN_NOTIFICATION } else { Duration::ZERO };
            let record = record_of(source_id, lookup, self.now, received.reconciles());
            changes.lookups.push(LookupRecord { ask_at: Some(self.now.plus(wait)), ..record });
        }
        changes.clues.extend(received.clues.iter().map(|clue| ClueRecord {
            source_id,
            name: clue.name.clone(),
            answer: clue.answer.clone().into(),
        }));
    }
}
