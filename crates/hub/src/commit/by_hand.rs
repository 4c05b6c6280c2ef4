//! What operators and apps do by command: grants, links between ids, the catalogue. Pure, like all of `commit`.

use super::skus;
use super::work::{Work, product_id_of};
use paidup_lifecycle::catalogue::{Entitlement, Product, grant_product_id};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::Input;
use paidup_lifecycle::engine::grants::{self, Grant};
use paidup_lifecycle::ids::{CustomerId, GrantId, PurchaseId};
use paidup_lifecycle::observation::{PeriodType, Store};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_store::Refused;
use std::time::Duration;

/// Most ids of one customer.
const MAX_ALIASES: usize = 1_000;

impl Work<'_> {
    /// An entitlement is given by hand; it is made when nobody knows it, as a product's are.
    pub(super) fn grant(
        &mut self,
        id: GrantId,
        customer: &str,
        entitlement: &str,
        expires_at: Option<Timestamp>,
        period_type: PeriodType,
    ) -> Result<(), Refused> {
        let key = crate::grants::key_of(id);
        if self.purchase(Purchase::id_of(&key)).is_some() {
            return Err(refused(409, "this grant exists already"));
        }
        let owner = self.claim_by_hand(customer, None)?;
        self.know_entitlement(entitlement);
        let span = if expires_at.is_some() { "custom" } else { "lifetime" };
        let product_id = grant_product_id(entitlement, span);
        let grant = Grant { product_id, starts_at: self.now, ends_at: expires_at, period_type };
        let observation = grants::given(key.clone(), self.command_id(), self.now, &grant, true);
        let purchase = Purchase::new(key, Store::Promotional, owner);
        self.apply(purchase, &Input::Observed(observation), Some(owner));
        Ok(())
    }

    /// A grant ends at another time.
    pub(super) fn change_grant(&mut self, id: GrantId, expires_at: Option<Timestamp>) -> Result<(), Refused> {
        let purchase = self.running_grant(id)?;
        let facets = &purchase.facets;
        let (Some(period), Some(product), Some(period_type)) = (&facets.period, &facets.product, &facets.period_type)
        else {
            return Err(refused(500, "this grant lacks a part that every grant is made with"));
        };
        let grant = Grant {
            product_id: product.value.clone(),
            starts_at: period.value.starts_at,
            ends_at: expires_at,
            period_type: period_type.value,
        };
        let observation = grants::given(purchase.key.clone(), self.command_id(), self.now, &grant, false);
        self.apply(purchase, &Input::Observed(observation), None);
        Ok(())
    }

    /// A grant ends so much later than it would. Decided in here, so that of two at the same time both count.
    pub(super) fn extend_grant(&mut self, id: GrantId, by: Duration) -> Result<(), Refused> {
        let purchase = self.running_grant(id)?;
        let ends_at = purchase.facets.period.as_ref().and_then(|period| period.value.ends_at);
        let ends_at = ends_at.ok_or_else(|| refused(409, "this grant never ends"))?;
        self.change_grant(id, Some(ends_at.plus(by)))
    }

    /// A grant is taken away.
    pub(super) fn revoke_grant(&mut self, id: GrantId) -> Result<(), Refused> {
        let purchase = self.running_grant(id)?;
        let observation = grants::removed(purchase.key.clone(), self.command_id(), self.now);
        self.apply(purchase, &Input::Observed(observation), None);
        Ok(())
    }

    fn running_grant(&self, id: GrantId) -> Result<Purchase, Refused> {
        let known = self.purchase(Purchase::id_of(&crate::grants::key_of(id))).cloned();
        let purchase = known.ok_or_else(|| refused(404, "there is no such grant"))?;
        if !purchase.state.has_access() {
            return Err(refused(409, "this grant has ended"));
        }
        Ok(purchase)
    }

    /// Like `claim`, but one of our own ids that nobody has is a mistake, not a new alias.
    pub(super) fn claim_by_hand(&mut self, customer: &str, holder: Option<CustomerId>) -> Result<CustomerId, Refused> {
        if customer.parse::<CustomerId>().is_ok() && self.alias(customer).is_none() {
            return Err(refused(404, "there is no such customer"));
        }
        Ok(self.claim(customer, holder))
    }

    /// `alias` becomes an id of `customer`. Another customer of that id becomes one with this: its purchases move, which
    /// both sides are told, then it answers as this one.
    pub(super) fn link(&mut self, customer: &str, alias: &str) -> Result<(), Refused> {
        let stays = self.claim_by_hand(customer, None)?;
        let goes = match self.alias(alias) {
            Some(other) if other == stays => return Ok(()),
            Some(other) => other,
            None if alias.parse::<CustomerId>().is_ok() => return Err(refused(404, "there is no such customer")),
            None => {
                return self.add_id(stays, alias);
            }
        };
        self.unite(goes, stays)
    }

    /// A customer gets an id that nobody has.
    pub(super) fn add_id(&mut self, customer: CustomerId, alias: &str) -> Result<(), Refused> {
        let mut customer = self.customer(customer);
        add_alias(&mut customer, alias.to_owned())?;
        self.put_alias(alias.to_owned(), customer.id);
        self.put_customer(customer);
        Ok(())
    }

    pub(super) fn merge(&mut self, goes: CustomerId, stays: CustomerId) -> Result<(), Refused> {
        let (mut from, mut to) = (self.customer(goes), self.customer(stays));
        for alias in std::mem::take(&mut from.aliases) {
            add_alias(&mut to, alias.clone())?;
            self.put_alias(alias, stays);
        }
        for (name, theirs) in std::mem::take(&mut from.attributes) {
            let newer = to.attributes.get(&name).is_none_or(|mine| mine.updated_at < theirs.updated_at);
            if newer {
                to.attributes.insert(name, theirs);
            }
        }
        for (currency, total) in std::mem::take(&mut from.totals) {
            let sum = to.totals.entry(currency).or_default();
            *sum = sum.saturating_add(total);
        }
        to.created_at = to.created_at.min(from.created_at);
        from.merged_into = Some(stays);
        self.put_customer(from);
        self.put_customer(to);
        Ok(())
    }

    /// A purchase is given to a customer; one whose owner nobody claimed makes the customer its owner's name.
    pub(super) fn bind(&mut self, id: PurchaseId, customer: &str) -> Result<(), Refused> {
        let purchase = self.purchase(id).cloned().ok_or_else(|| refused(404, "there is no such purchase"))?;
        let owner = self.claim_by_hand(customer, Some(purchase.customer))?;
        if owner != self.follow(purchase.customer) {
            self.apply(purchase, &Input::Moved { to: owner }, None);
        }
        Ok(())
    }

    /// A product is made or replaced. Entitlements that it names and nobody knows are made with it.
    pub(super) fn put_product(&mut self, product: &Product) {
        let key = (product.product_id.clone(), product.store);
        let mut product = product.clone();
        match self.catalogue.products.get(&key) {
            Some(known) => (product.id, product.sku_id, product.kind) = (known.id, known.sku_id, known.kind),
            None => {
                product.id = product_id_of(&product.product_id, product.store);
                product.sku_id = Some(skus::of_product(&self.catalogue, &product, self.now));
            }
        }
        product.entitlements.sort_unstable();
        product.entitlements.dedup();
        for entitlement in &product.entitlements {
            self.know_entitlement(entitlement);
        }
        self.catalogue.to_mut().products.insert(key, product);
    }

    pub(super) fn know_entitlement(&mut self, id: &str) {
        if !self.catalogue.entitlements.contains_key(id) {
            self.put_entitlement(&Entitlement { id: id.to_owned(), name: None, sku_id: None });
        }
    }

    /// A product is removed.
    pub(super) fn delete_product(&mut self, product_id: &str, store: Option<Store>) -> Result<(), Refused> {
        let key = (product_id.to_owned(), store);
        if !self.catalogue.products.contains_key(&key) {
            return Err(refused(404, "there is no such product"));
        }
        self.catalogue.to_mut().products.remove(&key);
        Ok(())
    }

    /// An entitlement is made or renamed.
    pub(super) fn put_entitlement(&mut self, entitlement: &Entitlement) {
        let known = self.catalogue.entitlements.get(&entitlement.id).map(|known| known.sku_id);
        let mut entitlement = entitlement.clone();
        entitlement.sku_id =
            known.unwrap_or_else(|| Some(skus::of_entitlement(&self.catalogue, &entitlement.id, self.now)));
        self.catalogue.to_mut().entitlements.insert(entitlement.id.clone(), entitlement);
    }

    /// An entitlement is removed, from products too.
    pub(super) fn delete_entitlement(&mut self, id: &str) -> Result<(), Refused> {
        if !self.catalogue.entitlements.contains_key(id) {
            return Err(refused(404, "there is no such entitlement"));
        }
        let catalogue = self.catalogue.to_mut();
        catalogue.entitlements.remove(id);
        for product in catalogue.products.values_mut() {
            product.entitlements.retain(|entitlement| entitlement != id);
        }
        Ok(())
    }
}

fn add_alias(customer: &mut Customer, alias: String) -> Result<(), Refused> {
    if customer.aliases.len() >= MAX_ALIASES {
        return Err(refused(409, "this customer has as many ids as a customer may have"));
    }
    if !customer.aliases.contains(&alias) {
        customer.aliases.push(alias);
    }
    Ok(())
}

fn refused(status: u16, detail: &str) -> Refused {
    Refused { status, detail: detail.to_owned() }
}
