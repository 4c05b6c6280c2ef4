//! Who bought: one id, any number of aliases, and what all purchases together unlock.

use crate::event::AttributeView;
use crate::ids::{CustomerId, PurchaseId};
use crate::money::Currency;
use crate::observation::{Environment, Kind, PeriodType, Store};
use crate::purchase::State;
use crate::snowflake::Snowflake;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An alias that begins with this names a Discord account: `discord:1019653849998299136`.
pub const DISCORD_ALIAS: &str = "discord:";

/// What one purchase means to its customer. Kept in the customer's row, so that a notification touches two rows only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which store.
    pub store: Store,
    /// Environments never mix: sandbox access is told apart by this.
    pub environment: Environment,
    /// What was bought.
    pub kind: Kind,
    /// The product in force.
    pub product_id: Option<String>,
    /// How the running period was paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_type: Option<PeriodType>,
    /// Lifecycle state.
    pub state: State,
    /// What it unlocks now; empty without access.
    pub entitlements: Vec<String>,
    /// Until when, as far as is known.
    pub until: Option<Timestamp>,
}

/// A customer. Serialized into one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Our id.
    pub id: CustomerId,
    /// Other ids, oldest first, without repeats.
    pub aliases: Vec<String>,
    /// Grows by one with every bundle that concerns the customer.
    pub revision: u64,
    /// First seen.
    pub created_at: Timestamp,
    /// The alias that a store named last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_as: Option<String>,
    /// Attributes as last told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeView>,
    /// Purchases that give access or did; consumables are not among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holdings: BTreeMap<PurchaseId, Holding>,
    /// Lifetime totals in minor units, by environment and currency: `PRODUCTION/EUR` (see `Customer::total_key`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub totals: BTreeMap<String, i64>,
    /// Gave everything to this customer in a merge; every alias of this one answers as that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<CustomerId>,
}

impl Customer {
    /// A customer nobody knows yet.
    #[must_use]
    pub fn new(id: CustomerId, created_at: Timestamp) -> Customer {
        Customer {
            id,
            aliases: Vec::new(),
            revision: 0,
            created_at,
            last_seen_as: None,
            attributes: BTreeMap::new(),
            holdings: BTreeMap::new(),
            totals: BTreeMap::new(),
            merged_into: None,
        }
    }

    /// The name under which lifetime totals are kept.
    #[must_use]
    pub fn total_key(environment: Environment, currency: Currency) -> String {
        format!("{environment}/{currency}")
    }

    /// Nobody has claimed it.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.aliases.is_empty()
    }

    /// The Discord account that the customer is linked to: told by an alias `discord:<id>`, or by Discord's own store,
    /// which names its buyers by their account.
    #[must_use]
    pub fn discord_id(&self) -> Option<Snowflake> {
        let linked = self.aliases.iter().rev().find_map(|alias| Snowflake::native(alias.strip_prefix(DISCORD_ALIAS)?));
        let buys_there = || self.holdings.values().any(|holding| holding.store == Store::Discord);
        linked.or_else(|| self.aliases.iter().find_map(|alias| Snowflake::native(alias)).filter(|_| buys_there()))
    }

    /// All that the customer may use, from any purchase of that environment; sorted, without repeats.
    #[must_use]
    pub fn active_entitlements(&self, environment: Environment) -> Vec<String> {
        let mut active: Vec<String> = self
            .holdings
            .values()
            .filter(|holding| holding.environment == environment)
            .flat_map(|holding| holding.entitlements.iter().cloned())
            .collect();
        active.sort_unstable();
        active.dedup();
        active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discord_account_is_known_by_its_alias_or_by_discords_store() {
        const ID: &str = "1019653849998299136";
        let of = |alias: &str, store: Option<Store>| {
            let mut customer = Customer::new(CustomerId([1; 16]), Timestamp::MIN);
            customer.aliases.extend(["user-1".to_owned(), alias.to_owned()]);
            if let Some(store) = store {
                let holding = Holding {
                    store,
                    environment: Environment::Production,
                    kind: Kind::Subscription,
                    product_id: None,
                    period_type: None,
                    state: State::Expired,
                    entitlements: Vec::new(),
                    until: None,
                };
                customer.holdings.insert(PurchaseId([2; 16]), holding);
            }
            customer.discord_id().map(|id| id.to_string())
        };
        assert_eq!(of("discord:1019653849998299136", None).as_deref(), Some(ID));
        assert_eq!(of(ID, Some(Store::Discord)).as_deref(), Some(ID));
        assert_eq!(of(ID, Some(Store::Stripe)), None, "some shop's numbers are no accounts");
        assert_eq!(of("discord:me", Some(Store::Discord)), None);
    }
}
