//! What a notification brings besides observations: ids that are one customer's, what is to be looked up at the store, and
//! what answers lookups. Pure, like all of `commit`.

use super::Received;
use super::work::Work;
use paidup_lifecycle::ids::LookupId;
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_sources::{Link, parse_looked_up_id};
use paidup_store::Changes;
use paidup_store::records::{ClueRecord, LookupRecord};
use std::time::Duration;

/// How long a lookup waits that is not wanted when the purchase's own notification comes: those of one purchase are
/// sent within seconds.
const OWN_NOTIFICATION: Duration = Duration::from_secs(60);

/// The id of a lookup: the same name and context of a source is the same lookup.
pub(crate) fn lookup_id(source: paidup_lifecycle::ids::SourceId, name: &str, context: &str) -> LookupId {
    LookupId::derive(&[&source.0, name.as_bytes(), context.as_bytes()])
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

    /// Notes what is to be looked up, what this answers, and what answers others. To be called after its observations.
    pub(super) fn look_up(&self, received: &Received, changes: &mut Changes) {
        let source_id = received.kept.source_id;
        if let Some((_, name, context)) = parse_looked_up_id(&received.kept.external_id) {
            changes.looked_up.push(lookup_id(source_id, name, context));
        }
        for lookup in &received.lookups {
            let unless_known = lookup.unless_known.as_ref().map(Purchase::id_of);
            let is_known = |id| self.purchase(id).is_some_and(|purchase| purchase.state != State::None);
            if unless_known.is_some_and(is_known) {
                continue;
            }
            let wait = if unless_known.is_some() { OWN_NOTIFICATION } else { Duration::ZERO };
            changes.lookups.push(LookupRecord {
                id: lookup_id(source_id, &lookup.name, &lookup.context),
                source_id,
                name: lookup.name.clone(),
                context: lookup.context.clone(),
                why: lookup.why.to_owned(),
                unless_known,
                asked_since: self.now,
                ask_at: Some(self.now.plus(wait)),
                attempts: 0,
                last_error: None,
            });
        }
        changes.clues.extend(received.clues.iter().map(|clue| ClueRecord {
            source_id,
            name: clue.name.clone(),
            answer: clue.answer.clone().into(),
        }));
    }
}
