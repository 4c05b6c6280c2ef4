//! Products and entitlements. A change is a command like everything else; what it changes for customers is found by a
//! sweep over them, at a pace, and told as ENTITLEMENTS_CHANGED. That a sweep is due stands in the database, so a
//! restart goes on with it.

use crate::commit::command::Command;
use crate::commit::work::product_id_of;
use crate::grants::{MAX_NAME, check_name};
use crate::{Hub, HubError};
use paidup_lifecycle::catalogue::{Catalogue, Entitlement, Product};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::{PurchaseId, digest16};
use paidup_lifecycle::observation::Store;
use paidup_store::{StoreError, Urgency};
use std::collections::BTreeSet;
use std::time::Duration;

/// In the database: the digest of what products unlocked when customers were last swept.
const SWEPT: &str = "catalogue_swept";
/// Customers that are read together.
const PAGE: usize = 500;
/// Purchases that are looked at in one journal entry.
const BATCH: usize = 100;
/// Most entitlements of a product.
const MAX_ENTITLEMENTS: usize = 100;
/// How often the catalogue is looked at when nobody says that it changed.
const LOOK: Duration = Duration::from_secs(60);
/// How long to wait when the database cannot be used.
const TROUBLE: Duration = Duration::from_secs(1);

/// A product to map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProduct {
    /// The store's product id.
    pub product_id: String,
    /// Only in this store; `None`: every store's product of that id.
    pub store: Option<Store>,
    /// For people.
    pub name: Option<String>,
    /// What it unlocks.
    pub entitlements: Vec<String>,
    /// Decides up-, cross- and downgrade inside a group.
    pub rank: Option<i32>,
    /// Products that replace each other.
    pub group: Option<String>,
}

/// What a change of a product came to, or would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedProduct {
    /// The product as it is kept.
    pub product: Product,
    /// Purchases with access whose entitlements it changes.
    pub affected: u64,
}

impl Hub {
    /// Makes or replaces a product, by (product id, store). With `dry_run` nothing is changed and only counted.
    pub async fn put_product(&self, new: NewProduct, dry_run: bool) -> Result<ChangedProduct, HubError> {
        check_name("product_id", &new.product_id)?;
        for name in new.name.iter().chain(&new.group) {
            check_name("name", name)?;
        }
        if new.entitlements.len() > MAX_ENTITLEMENTS {
            return Err(HubError::refused(422, "/entitlements", "a product unlocks at most 100 entitlements"));
        }
        for entitlement in &new.entitlements {
            check_name("entitlements", entitlement)?;
        }
        let mut product = Product {
            id: product_id_of(&new.product_id, new.store),
            product_id: new.product_id,
            store: new.store,
            name: new.name,
            entitlements: new.entitlements,
            rank: new.rank,
            group: new.group,
            sku_id: None,
            kind: None,
        };
        product.entitlements.sort_unstable();
        product.entitlements.dedup();
        let mut after = Catalogue::clone(&self.store().catalogue());
        after.products.insert((product.product_id.clone(), product.store), product.clone());
        let affected = if dry_run { self.affected(&after).await? } else { 0 };
        if !dry_run {
            self.commit(Urgency::Rest, Command::PutProduct { product: product.clone() }, Vec::new()).await?;
            self.agenda().wake_catalogue();
        }
        let kept = self.store().catalogue().products.get(&(product.product_id.clone(), product.store)).cloned();
        Ok(ChangedProduct { product: kept.filter(|_| !dry_run).unwrap_or(product), affected })
    }

    /// Removes a product: purchases of it unlock nothing then.
    pub async fn delete_product(&self, product_id: &str, store: Option<Store>) -> Result<(), HubError> {
        let command = Command::DeleteProduct { product_id: product_id.to_owned(), store };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        self.agenda().wake_catalogue();
        Ok(())
    }

    /// Makes or renames an entitlement.
    pub async fn put_entitlement(&self, entitlement: Entitlement) -> Result<Entitlement, HubError> {
        check_name("id", &entitlement.id)?;
        if entitlement.name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
            return Err(HubError::refused(422, "/name", "must be at most 255 bytes"));
        }
        let command = Command::PutEntitlement { entitlement: entitlement.clone() };
        self.commit(Urgency::Rest, command, Vec::new()).await?;
        let kept = self.store().catalogue().entitlements.get(&entitlement.id).cloned();
        Ok(kept.unwrap_or(entitlement))
    }

    /// Removes an entitlement, from products too.
    pub async fn delete_entitlement(&self, id: &str) -> Result<(), HubError> {
        self.commit(Urgency::Rest, Command::DeleteEntitlement { id: id.to_owned() }, Vec::new()).await?;
        self.agenda().wake_catalogue();
        Ok(())
    }

    /// How many purchases with access would unlock something else.
    async fn affected(&self, catalogue: &Catalogue) -> Result<u64, HubError> {
        let (mut count, mut after) = (0u64, 0u64);
        loop {
            let page = self.store().customers(after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(count) };
            after = *last;
            count += page.iter().map(|(_, customer)| changed(customer, catalogue).len() as u64).sum::<u64>();
        }
    }

    /// Brings customers up to date with the catalogue until the hub stops.
    pub(crate) async fn run_catalogue(self) {
        loop {
            let swept = tokio::select! {
                () = self.stopping().cancelled() => return,
                swept = self.sweep() => swept,
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "customers cannot be brought up to date with the catalogue now");
                tokio::select! {
                    () = self.stopping().cancelled() => return,
                    () = self.clock().sleep(TROUBLE) => continue,
                }
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.agenda().catalogue_change() => {}
                // A caller who went away between its commit and its wake-up call would leave a change unswept.
                () = self.clock().sleep(LOOK) => {}
            }
        }
    }

    /// One pass over all customers, when products unlock something else than at the last one.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        let mapping = mapping(&self.store().catalogue());
        if self.store().meta(SWEPT).await?.as_deref() == Some(&mapping) {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let page = self.store().customers(after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let catalogue = self.store().catalogue();
            let all: BTreeSet<PurchaseId> =
                page.iter().flat_map(|(_, customer)| changed(customer, &catalogue)).collect();
            let all: Vec<PurchaseId> = all.into_iter().collect();
            for batch in all.chunks(BATCH) {
                self.commit_store(Urgency::Rest, Command::Recompute { purchases: batch.to_vec() }).await?;
            }
        }
        // What changed while we went through is swept again: the mapping of the beginning is noted.
        self.store().put_meta(SWEPT, mapping.to_vec()).await
    }
}

/// A digest of what products unlock. Products that nobody mapped are not in it: new ones come all the time and change
/// nothing for anybody.
fn mapping(catalogue: &Catalogue) -> [u8; 16] {
    let mut parts: Vec<&[u8]> = Vec::new();
    for product in catalogue.products.values().filter(|product| !product.entitlements.is_empty()) {
        parts.push(product.product_id.as_bytes());
        parts.push(product.store.map_or("", Store::as_str).as_bytes());
        parts.extend(product.entitlements.iter().map(String::as_bytes));
        parts.push(&[]);
    }
    // Grants unlock entitlements without a product.
    parts.extend(catalogue.entitlements.keys().map(String::as_bytes));
    digest16(&parts)
}

/// Purchases of a customer that have access and unlock something else by this catalogue than is noted.
fn changed(customer: &Customer, catalogue: &Catalogue) -> Vec<PurchaseId> {
    let differs = |holding: &paidup_lifecycle::customer::Holding| {
        let Some(product_id) = holding.product_id.as_deref().filter(|_| holding.state.has_access()) else {
            return false;
        };
        let now: BTreeSet<&String> = catalogue.entitlements_of(holding.store, product_id).iter().collect();
        now != holding.entitlements.iter().collect::<BTreeSet<_>>()
    };
    customer.holdings.iter().filter(|(_, holding)| differs(holding)).map(|(id, _)| *id).collect()
}
