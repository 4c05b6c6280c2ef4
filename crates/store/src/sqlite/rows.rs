//! The rows that a commit touches: found once, remembered until they are written.

use super::db::{Db, Outcome};
use super::{customers, purchases};
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use std::collections::BTreeMap;

/// Where the rows of one commit are.
#[derive(Default)]
pub(super) struct Rows {
    purchases: BTreeMap<PurchaseId, purchases::Slot>,
    customers: BTreeMap<CustomerId, customers::Slot>,
}

impl Rows {
    pub(super) fn know_purchase(&mut self, id: PurchaseId, slot: purchases::Slot) {
        self.purchases.insert(id, slot);
    }

    pub(super) fn know_customer(&mut self, id: CustomerId, slot: customers::Slot) {
        self.customers.insert(id, slot);
    }

    /// All purchases that were touched.
    pub(super) fn purchases(&self) -> impl Iterator<Item = (&PurchaseId, &purchases::Slot)> {
        self.purchases.iter()
    }

    /// All customers that were touched.
    pub(super) fn customers(&self) -> impl Iterator<Item = (&CustomerId, &customers::Slot)> {
        self.customers.iter()
    }

    /// Where a purchase is; looked up when it was not among the loaded ones.
    pub(super) fn purchase(&mut self, db: &Db, id: PurchaseId) -> Outcome<&mut purchases::Slot> {
        use std::collections::btree_map::Entry;
        match self.purchases.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(purchases::slot(db, id)?)),
        }
    }

    /// Where a customer is; looked up when it was not among the loaded ones.
    pub(super) fn customer(&mut self, db: &Db, id: CustomerId) -> Outcome<&mut customers::Slot> {
        use std::collections::btree_map::Entry;
        match self.customers.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(customers::slot(db, id)?)),
        }
    }

    /// Writes the last events of rows that were not written themselves.
    pub(super) fn finish(&self, db: &Db) -> Outcome<()> {
        for slot in self.purchases.values() {
            purchases::put_last_event(db, slot)?;
        }
        for slot in self.customers.values() {
            customers::put_last_event(db, slot)?;
        }
        Ok(())
    }
}
