//! Who bought: one id, any number of aliases, and what all purchases together unlock.

use crate::dialects::revenuecat::Status;
use crate::event::AttributeView;
use crate::ids::{CustomerId, PurchaseId};
use crate::money::Currency;
use crate::observation::{Environment, Kind, PeriodType, Store};
use crate::purchase::State;
use crate::snowflake::Snowflake;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An alias that begins with this names a Discord account: `discord:1019653849998299136`.
pub const DISCORD_ALIAS: &str = "discord:";

/// Ids that begin with this are RevenueCat's for people who are not logged in (revenuecat-events.md section 6).
pub const REVENUECAT_ANONYMOUS: &str = "$RCAnonymousID:";

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
    /// RevenueCat's status of it; none for what was bought once, and for what has not changed since before this was
    /// noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// What several purchases of one customer in one environment amount to: an event is about one purchase, a picture of
/// the customer needs the others too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherPurchases {
    /// Store of the purchase that gives access for longest, or that gave it last.
    pub store: Store,
    /// What that one unlocks now; empty without access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// Its end; absent: none, or none known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// It gives access.
    pub has_access: bool,
    /// RevenueCat's status of the best of the subscriptions and grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
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

    /// An app knows the customer: one of its ids is neither ours nor made up by RevenueCat's SDK for somebody who is not
    /// logged in.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.aliases.iter().any(|alias| !alias.starts_with(REVENUECAT_ANONYMOUS))
    }

    /// The Discord account that the customer is linked to: told by an alias `discord:<id>`, or by Discord's own store,
    /// which names its buyers by their account.
    #[must_use]
    pub fn discord_id(&self) -> Option<Snowflake> {
        let linked = self.aliases.iter().rev().find_map(|alias| Snowflake::native(alias.strip_prefix(DISCORD_ALIAS)?));
        let buys_there = || self.holdings.values().any(|holding| holding.store == Store::Discord);
        linked.or_else(|| self.aliases.iter().find_map(|alias| Snowflake::native(alias)).filter(|_| buys_there()))
    }

    /// What the purchases of that environment, but for one, amount to. None: there are none.
    #[must_use]
    pub fn purchases_except(&self, one: Option<PurchaseId>, environment: Environment) -> Option<OtherPurchases> {
        let others = || {
            let counts =
                |(id, holding): &(&PurchaseId, &Holding)| holding.environment == environment && Some(**id) != one;
            self.holdings.iter().filter(counts).map(|(_, holding)| holding)
        };
        let lasts = |holding: &&Holding| {
            let has_access = holding.state.has_access();
            (has_access, !holding.entitlements.is_empty(), holding.until.unwrap_or(Timestamp::MAX))
        };
        let best = others().max_by_key(lasts)?;
        Some(OtherPurchases {
            store: best.store,
            entitlements: best.entitlements.clone(),
            until: best.until,
            has_access: best.state.has_access(),
            status: others().filter_map(|holding| holding.status).min_by_key(|status| status.rank()),
        })
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
                    status: None,
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

    fn holding(status: Option<Status>, state: State, unlocks: &str, until: Option<&str>) -> Holding {
        Holding {
            store: Store::Stripe,
            environment: Environment::Production,
            kind: Kind::Subscription,
            product_id: None,
            period_type: None,
            state,
            entitlements: unlocks.split_whitespace().map(str::to_owned).collect(),
            until: until.map(|text| text.parse().unwrap()),
            status,
        }
    }

    #[test]
    fn several_purchases_amount_to_the_one_that_gives_access_for_longest() {
        let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"));
        let ended = || holding(Some(Status::Expired), State::Expired, "", late);
        let running = || holding(Some(Status::Cancelled), State::Active, "pro", early);
        let longer = || holding(Some(Status::GracePeriod), State::Grace, "team", late);
        let for_ever = || holding(None, State::Active, "gold", None);
        // (what, purchases, what the best unlocks, its end, whether it gives access, status)
        for (what, all, unlocks, until, has_access, status) in [
            ("one that ended", vec![ended()], "", late, false, Some(Status::Expired)),
            ("access over a later end", vec![ended(), running()], "pro", early, true, Some(Status::Cancelled)),
            ("the longer one", vec![running(), longer()], "team", late, true, Some(Status::GracePeriod)),
            ("for ever", vec![for_ever(), longer(), ended()], "gold", None, true, Some(Status::GracePeriod)),
            ("without a subscription", vec![for_ever()], "gold", None, true, None),
        ] {
            let mut customer = Customer::new(CustomerId([0; 16]), Timestamp::default());
            for (number, one) in (0..).zip(all) {
                customer.holdings.insert(PurchaseId([number; 16]), one);
            }
            let mine = customer.holdings.keys().last().map(|id| PurchaseId([id.0[0] + 1; 16]));
            let found = customer.purchases_except(mine, Environment::Production).unwrap();
            assert_eq!(found.entitlements.join(" "), unlocks, "{what}");
            assert_eq!(found.until, until.map(|text| text.parse().unwrap()), "{what}");
            assert_eq!((found.has_access, found.status), (has_access, status), "{what}");
            assert_eq!(customer.purchases_except(None, Environment::Sandbox), None, "{what}");
        }
    }

    #[test]
    fn the_one_that_an_event_is_about_does_not_count() {
        let mut customer = Customer::new(CustomerId([0; 16]), Timestamp::default());
        let one = PurchaseId([1; 16]);
        customer.holdings.insert(one, holding(Some(Status::Active), State::Active, "pro", None));
        assert_eq!(customer.purchases_except(Some(one), Environment::Production), None);
        assert!(customer.purchases_except(None, Environment::Production).is_some());
    }
}
