//! Rows that the writer met lately, decoded: those of busy customers are not read, unpacked and parsed each time.
//!
//! What stands here is what the writer's transaction sees: only `commit` writes these tables, and it tells every write.
//! Whatever undoes a write empties it ([`Hot::forget`]), and what is on disk decides again.

use super::rows::Rows;
use super::{customers, purchases};
use crate::lately::Lately;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::purchase::Purchase;
use std::sync::Arc;

/// Half of what each table may hold, in bytes of its rows' JSON; decoded they take about twice that. Two tables of two
/// halves are 8 MiB of JSON: about 2,600 customers of 3 KB, who by Zipf send two thirds of the notifications of 100,000.
const HALF_BYTES: usize = 2 * 1024 * 1024;

/// The same for aliases, in bytes of their texts.
const HALF_ALIAS_BYTES: usize = 128 * 1024;

/// A purchase, where its row is, and how long its JSON is.
#[derive(Clone)]
pub(super) struct HotPurchase {
    pub(super) slot: purchases::Slot,
    pub(super) purchase: Arc<Purchase>,
    pub(super) bytes: usize,
}

/// A customer, where its row is, and how long its JSON is.
#[derive(Clone)]
pub(super) struct HotCustomer {
    pub(super) slot: customers::Slot,
    pub(super) customer: Arc<Customer>,
    pub(super) bytes: usize,
}

/// The rows, by id.
pub(super) struct Hot {
    purchases: Lately<PurchaseId, HotPurchase>,
    customers: Lately<CustomerId, HotCustomer>,
    aliases: Lately<String, CustomerId>,
}

impl Hot {
    pub(super) fn new() -> Hot {
        Hot {
            purchases: Lately::new(HALF_BYTES),
            customers: Lately::new(HALF_BYTES),
            aliases: Lately::new(HALF_ALIAS_BYTES),
        }
    }

    /// Something was undone: nothing of this may hold any more.
    pub(super) fn forget(&mut self) {
        *self = Hot::new();
    }

    pub(super) fn purchase(&mut self, id: PurchaseId) -> Option<&HotPurchase> {
        self.purchases.get(&id).map(|known| &*known)
    }

    pub(super) fn customer(&mut self, id: CustomerId) -> Option<&HotCustomer> {
        self.customers.get(&id).map(|known| &*known)
    }

    pub(super) fn alias(&mut self, alias: &str) -> Option<CustomerId> {
        self.aliases.get(alias).map(|id| *id)
    }

    pub(super) fn put_purchase(&mut self, row: HotPurchase) {
        self.purchases.put(row.purchase.id, row.bytes, row);
    }

    pub(super) fn put_customer(&mut self, row: HotCustomer) {
        self.customers.put(row.customer.id, row.bytes, row);
    }

    pub(super) fn put_alias(&mut self, alias: &str, customer: CustomerId) {
        self.aliases.put(alias.to_owned(), alias.len(), customer);
    }

    /// Rows that a commit touched may have moved their last event without being written whole.
    pub(super) fn follow(&mut self, rows: &Rows) {
        for (id, slot) in rows.purchases() {
            if let Some(known) = self.purchases.get(id) {
                known.slot = purchases::Slot { moved: false, ..*slot };
            }
        }
        for (id, slot) in rows.customers() {
            if let Some(known) = self.customers.get(id) {
                known.slot = customers::Slot { moved: false, ..*slot };
            }
        }
    }
}
