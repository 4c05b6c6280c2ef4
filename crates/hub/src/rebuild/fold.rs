//! One journal entry, decided again. Whatever comes of it, it takes its entry's number: the ids of events hang on it, so
//! one entry that gives nothing any more would make every later event another one.

use crate::commit::decide::Deciding;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_store::records::JournalRecord;
use paidup_store::{Before, Changes, Decision, Refused, Wants};
use parking_lot::Mutex;
use std::sync::Arc;

/// What an entry's decision looked at and wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    /// Loaded or written.
    pub(super) purchases: Vec<PurchaseId>,
    /// Loaded or written.
    pub(super) customers: Vec<CustomerId>,
    /// Purchases that it wrote, with whose they are: what happened to the one shows in the other.
    pub(super) owned: Vec<(PurchaseId, CustomerId)>,
    /// Customers that it wrote who were merged, with into whom.
    pub(super) merged: Vec<(CustomerId, CustomerId)>,
    /// It wrote the catalogue.
    pub(super) catalogue: bool,
    /// Why its input cannot be read, for people.
    pub(super) unreadable: Option<String>,
    /// Why nothing is decided on it any more, for people.
    pub(super) undecided: Option<String>,
}

/// An entry's decision on its way.
pub(super) struct Folding {
    record: JournalRecord,
    /// An error: the input cannot be read.
    decision: Result<Deciding, String>,
    touched: Arc<Mutex<Touched>>,
}

impl Folding {
    pub(super) fn new(
        record: JournalRecord,
        decision: Result<Deciding, String>,
        touched: Arc<Mutex<Touched>>,
    ) -> Folding {
        Folding { record, decision, touched }
    }

    fn only_journal(&self) -> Changes {
        Changes { journal: Some(self.record.clone()), ..Changes::default() }
    }
}

impl Decision for Folding {
    fn wants(&self) -> Wants {
        self.decision.as_ref().map(Decision::wants).unwrap_or_default()
    }

    fn wants_also(&self, before: &Before) -> Vec<PurchaseId> {
        self.decision.as_ref().map(|deciding| deciding.wants_also(before)).unwrap_or_default()
    }

    fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
        let mut touched = Touched::default();
        let changes = match &mut self.decision {
            Ok(deciding) => match deciding.decide(before) {
                Ok(changes) if changes.journal.is_some() => changes,
                Ok(_) => {
                    touched.undecided = Some("it decides nothing any more".to_owned());
                    self.only_journal()
                }
                Err(refused) => {
                    touched.undecided = Some(format!("it cannot be folded: {refused}"));
                    self.only_journal()
                }
            },
            Err(detail) => {
                touched.unreadable = Some(detail.clone());
                self.only_journal()
            }
        };
        let written = changes.purchases.iter().map(|purchase| purchase.id);
        let loaded = before.purchases.keys().copied();
        let wrote = changes.customers.iter().map(|customer| customer.id);
        *self.touched.lock() = Touched {
            purchases: self.wants().purchases.into_iter().chain(loaded).chain(written).collect(),
            customers: before.customers.keys().copied().chain(wrote).collect(),
            owned: changes.purchases.iter().map(|purchase| (purchase.id, purchase.customer)).collect(),
            merged: changes.customers.iter().filter_map(|one| Some((one.id, one.merged_into?))).collect(),
            catalogue: changes.catalogue.is_some(),
            ..touched
        };
        Ok(changes)
    }
}
