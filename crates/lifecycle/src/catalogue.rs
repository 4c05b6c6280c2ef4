//! What can be bought and what it unlocks. Changes are commands that go through `commit` like everything else.

use crate::ids::ProductId;
use crate::observation::{Kind, Store};
use crate::snowflake::Snowflake;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A product in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Our id.
    pub id: ProductId,
    /// The store's product id.
    pub product_id: String,
    /// Absent: every store's product of that id.
    #[serde(default)]
    pub store: Option<Store>,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// What it unlocks, sorted, without repeats.
    #[serde(default)]
    pub entitlements: Vec<String>,
    /// Decides up-, cross- and downgrade inside a group: higher is better, equal is a crossgrade.
    #[serde(default)]
    pub rank: Option<i32>,
    /// Products that replace each other.
    #[serde(default)]
    pub group: Option<String>,
    /// Its id in Discord's shape, given when it comes into the catalogue; absent in commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku_id: Option<Snowflake>,
    /// What the first purchase of it was; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

/// An entitlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// Named by its owner, e.g. `pro`.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// Its id in Discord's shape: the SKU of grants of it. Given when it comes into the catalogue; absent in commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku_id: Option<Snowflake>,
}

/// All products and entitlements, with the revision that the journal notes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// Counts changes.
    pub revision: u64,
    /// Products by (store's product id, store); the entry without a store stands for every store.
    #[serde(with = "as_list")]
    pub products: BTreeMap<(String, Option<Store>), Product>,
    /// Entitlements by id.
    pub entitlements: BTreeMap<String, Entitlement>,
}

impl Catalogue {
    /// The product of that id in that store: the store's own entry first, else the one for every store. A plan of the Play
    /// Store (`subscription:base plan`) that unlocks nothing of its own is what its subscription is.
    #[must_use]
    pub fn product(&self, store: Store, product_id: &str) -> Option<&Product> {
        let exact = self.named(store, product_id);
        let is_mapped = |product: &&Product| !product.entitlements.is_empty();
        let whole =
            product_id.split_once(':').filter(|_| store == Store::PlayStore && exact.filter(is_mapped).is_none());
        whole.and_then(|(whole, _)| self.named(store, whole)).filter(is_mapped).or(exact)
    }

    fn named(&self, store: Store, product_id: &str) -> Option<&Product> {
        let find = |store: Option<Store>| self.products.get(&(product_id, store) as &dyn ProductKey);
        find(Some(store)).or_else(|| find(None))
    }

    /// What that product unlocks; empty for one that is not mapped. A grant's product names its entitlement.
    #[must_use]
    pub fn entitlements_of(&self, store: Store, product_id: &str) -> &[String] {
        match self.product(store, product_id) {
            Some(product) => &product.entitlements,
            None if store == Store::Promotional => granted_entitlement(product_id)
                .and_then(|id| self.entitlements.get(id))
                .map_or(&[], |entitlement| std::slice::from_ref(&entitlement.id)),
            None => &[],
        }
    }
}

/// The key of a product, owned or borrowed: a map whose keys are pairs cannot be searched with a borrowed half otherwise,
/// and products are looked up several times for each notification.
trait ProductKey {
    fn parts(&self) -> (&str, Option<Store>);
}

impl ProductKey for (String, Option<Store>) {
    fn parts(&self) -> (&str, Option<Store>) {
        (&self.0, self.1)
    }
}

impl ProductKey for (&str, Option<Store>) {
    fn parts(&self) -> (&str, Option<Store>) {
        *self
    }
}

impl<'a> Borrow<dyn ProductKey + 'a> for (String, Option<Store>) {
    fn borrow(&self) -> &(dyn ProductKey + 'a) {
        self
    }
}

/// Ordered as the pairs themselves are, which is what `Borrow` demands.
impl Ord for dyn ProductKey + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for dyn ProductKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn ProductKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn ProductKey + '_ {}

/// RevenueCat's prefix of a grant's product (lifecycle.md section 12).
const GRANT_PREFIX: &str = "rc_promo_";

/// The product id of a grant of `entitlement`: `rc_promo_pro_lifetime`. `span` is a word without `_`: `lifetime`,
/// `monthly`, `custom`.
#[must_use]
pub fn grant_product_id(entitlement: &str, span: &str) -> String {
    format!("{GRANT_PREFIX}{entitlement}_{span}")
}

/// Spans of RevenueCat's own grants that are two words.
const LONG_SPANS: [&str; 5] = ["_three_day", "_two_week", "_two_month", "_three_month", "_six_month"];

/// The entitlement that a grant's product names.
#[must_use]
pub fn granted_entitlement(product_id: &str) -> Option<&str> {
    let named = product_id.strip_prefix(GRANT_PREFIX)?;
    let of_long_span = LONG_SPANS.iter().find_map(|span| named.strip_suffix(span));
    of_long_span.or_else(|| named.rsplit_once('_').map(|(entitlement, _span)| entitlement))
}

mod as_list {
    use super::{BTreeMap, Product, Store};
    use serde::{Deserialize, Deserializer, Serializer};

    type Products = BTreeMap<(String, Option<Store>), Product>;

    pub(super) fn serialize<S: Serializer>(products: &Products, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(products.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Products, D::Error> {
        let list = Vec::<Product>::deserialize(d)?;
        Ok(list.into_iter().map(|product| ((product.product_id.clone(), product.store), product)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_a_play_subscription_is_its_own_or_its_subscriptions() {
        let mut catalogue = Catalogue::default();
        let mut put = |product_id: &str, entitlements: &[&str]| {
            let product = Product {
                id: ProductId([0; 16]),
                product_id: product_id.to_owned(),
                store: None,
                name: None,
                entitlements: entitlements.iter().map(|id| (*id).to_owned()).collect(),
                rank: None,
                group: None,
                sku_id: None,
                kind: None,
            };
            catalogue.products.insert((product_id.to_owned(), None), product);
        };
        put("pro", &["pro"]);
        put("pro:weekly", &[]);
        put("pro:family", &["family", "pro"]);
        put("basic:monthly", &[]);
        for (store, product_id, expected) in [
            (Store::PlayStore, "pro:monthly", Some("pro")),
            (Store::PlayStore, "pro:weekly", Some("pro")),
            (Store::PlayStore, "pro:family", Some("pro:family")),
            (Store::PlayStore, "basic:monthly", Some("basic:monthly")),
            (Store::PlayStore, "other:monthly", None),
            (Store::Stripe, "pro:monthly", None),
            (Store::Stripe, "pro:weekly", Some("pro:weekly")),
        ] {
            let found = catalogue.product(store, product_id).map(|product| product.product_id.as_str());
            assert_eq!(found, expected, "{store} {product_id}");
        }
    }
}
