//! What the simulated shop sells, and what each product unlocks. The hub is told the same through its API.

use crate::calendar::{Lived, MONTH, YEAR};

/// How a product is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Renews by itself.
    Subscription,
    /// Used up.
    Consumable,
    /// Kept for ever.
    NonConsumable,
}

/// A product.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The store's id of it.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// How it is paid for.
    pub kind: Kind,
    /// Grade inside the subscription group; 0 outside of one.
    pub rank: u32,
    /// One period; 0 for a one-time purchase.
    pub period: Lived,
    /// The price in US cents.
    pub cents: i64,
    /// What it unlocks.
    pub entitlements: &'static [&'static str],
}

/// The subscription group of all subscriptions.
pub const GROUP: &str = "21700001";

/// Everything that is sold. Subscriptions come first, in the order of their rank.
pub const PLANS: &[Plan] = &[
    plan("basic_monthly", "Basic, monthly", Kind::Subscription, 1, MONTH, 499, &["basic"]),
    plan("pro_monthly", "Pro, monthly", Kind::Subscription, 2, MONTH, 999, &["basic", "pro"]),
    plan("pro_yearly", "Pro, yearly", Kind::Subscription, 2, YEAR, 7999, &["basic", "pro"]),
    plan("max_monthly", "Max, monthly", Kind::Subscription, 3, MONTH, 1999, &["basic", "max", "pro"]),
    plan("coins_100", "100 coins", Kind::Consumable, 0, 0, 299, &[]),
    plan("theme_pack", "Theme pack", Kind::NonConsumable, 0, 0, 1499, &["themes"]),
];

/// Every entitlement that some product unlocks.
pub const ENTITLEMENTS: &[&str] = &["basic", "max", "pro", "themes"];

const fn plan(
    id: &'static str,
    name: &'static str,
    kind: Kind,
    rank: u32,
    period: Lived,
    cents: i64,
    entitlements: &'static [&'static str],
) -> Plan {
    Plan { id, name, kind, rank, period, cents, entitlements }
}

/// The product of that id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Plan> {
    PLANS.iter().find(|plan| plan.id == id)
}

/// Where a customer buys. The store shows prices in the storefront's currency.
#[derive(Debug, PartialEq, Eq)]
pub struct Storefront {
    /// ISO 3166 alpha-3.
    pub code: &'static str,
    /// ISO 3166 alpha-2.
    pub country: &'static str,
    /// Apple's number of it.
    pub id: &'static str,
    /// ISO 4217.
    pub currency: &'static str,
    /// How many minor units one US cent is worth, in hundredths.
    per_cent: i64,
    /// Thousandths of the currency unit in one minor unit: Apple counts in thousandths whatever the currency.
    pub milli_per_minor: i64,
}

/// Where the population buys.
pub const STOREFRONTS: &[Storefront] = &[
    Storefront { code: "USA", country: "US", id: "143441", currency: "USD", per_cent: 100, milli_per_minor: 10 },
    Storefront { code: "DEU", country: "DE", id: "143443", currency: "EUR", per_cent: 100, milli_per_minor: 10 },
    Storefront { code: "GBR", country: "GB", id: "143444", currency: "GBP", per_cent: 80, milli_per_minor: 10 },
    Storefront { code: "AUS", country: "AU", id: "143460", currency: "AUD", per_cent: 150, milli_per_minor: 10 },
    // The yen has no minor unit: 230 JPY are 230000 in a notification and 230 in minor units.
    Storefront { code: "JPN", country: "JP", id: "143462", currency: "JPY", per_cent: 150, milli_per_minor: 1000 },
];

impl Storefront {
    /// A price in US cents as minor units of the storefront's currency.
    #[must_use]
    pub const fn minor(&self, cents: i64) -> i64 {
        cents * self.per_cent / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_entitlements_is_what_the_products_unlock() {
        let mut all: Vec<_> = PLANS.iter().flat_map(|plan| plan.entitlements.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, ENTITLEMENTS);
        assert!(PLANS.iter().all(|plan| (plan.kind == Kind::Subscription) == (plan.period > 0)));
        assert_eq!(find("pro_yearly").map(|plan| plan.rank), Some(2));
        assert_eq!(find("nothing"), None);
    }
}
