//! The ids that products and entitlements have in Discord's shape: given when they come into the catalogue, and kept.

use paidup_lifecycle::catalogue::{Catalogue, Product};
use paidup_lifecycle::ids::digest16;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;

/// A new product's. A store's product id that is one of Discord's own SKU ids is kept, in every store's entry of it.
pub(super) fn of_product(catalogue: &Catalogue, product: &Product, now: Timestamp) -> Snowflake {
    let is_held = |id: Snowflake| {
        let mut holders = catalogue.products.values().filter(|held| held.sku_id == Some(id));
        holders.any(|held| held.product_id != product.product_id)
    };
    let native = Snowflake::native(&product.product_id).filter(|id| !is_held(*id));
    native.unwrap_or_else(|| free(catalogue, product.id.0, now))
}

/// A new entitlement's.
pub(super) fn of_entitlement(catalogue: &Catalogue, id: &str, now: Timestamp) -> Snowflake {
    free(catalogue, digest16(&[b"entitlement", id.as_bytes()]), now)
}

/// The first attempt that nothing in the catalogue has. Each is another number, so one is found.
fn free(catalogue: &Catalogue, key: [u8; 16], now: Timestamp) -> Snowflake {
    let is_taken = |id: Snowflake| {
        catalogue.products.values().any(|held| held.sku_id == Some(id))
            || catalogue.entitlements.values().any(|held| held.sku_id == Some(id))
    };
    let mut attempt = 0;
    loop {
        let id = Snowflake::mint(now, &key, attempt);
        if !is_taken(id) {
            return id;
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::catalogue::Entitlement;
    use paidup_lifecycle::ids::ProductId;
    use paidup_lifecycle::observation::Store;

    fn product(product_id: &str, store: Option<Store>) -> Product {
        Product {
            id: ProductId::derive(&[product_id.as_bytes(), store.map_or("", Store::as_str).as_bytes()]),
            product_id: product_id.to_owned(),
            store,
            name: None,
            entitlements: Vec::new(),
            rank: None,
            group: None,
            sku_id: None,
            kind: None,
        }
    }

    #[test]
    fn ids_are_free_and_discords_own_are_kept() {
        const NATIVE: &str = "1158857122189168803";
        let now = Timestamp::from_millis(1_767_225_600_000).unwrap();
        let mut catalogue = Catalogue::default();
        let mut given = Vec::new();
        for (product_id, store) in
            [("a", None), ("a", Some(Store::Stripe)), (NATIVE, None), (NATIVE, Some(Store::Discord))]
        {
            let mut product = product(product_id, store);
            let id = of_product(&catalogue, &product, now);
            product.sku_id = Some(id);
            catalogue.products.insert((product_id.to_owned(), store), product);
            given.push(id);
        }
        assert_eq!((given[0].time(), given[1].time()), (now, now));
        assert_ne!(given[0], given[1]);
        assert_eq!((given[2].to_string().as_str(), given[3]), (NATIVE, given[2]));

        let wished = of_entitlement(&catalogue, "pro", now);
        let thief = Entitlement { id: "thief".to_owned(), name: None, sku_id: Some(wished) };
        catalogue.entitlements.insert("thief".to_owned(), thief);
        assert_ne!(of_entitlement(&catalogue, "pro", now), wished, "taken");
    }
}
