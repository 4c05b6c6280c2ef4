//! Which events a destination wants (contract.md, destinations: `filter`).

use crate::alert::is_alert;
use crate::event::{Event, EventType};
use crate::ids::SourceId;
use crate::money::Money;
use crate::observation::{Environment, Store};
use serde::{Deserialize, Serialize};

/// Longest list of a filter.
const MAX_LISTED: usize = 1_000;

/// Empty lists mean "all". An event is wanted when every part agrees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Canonical types. Empty: all but operator alerts, which are told only to those who name them.
    pub events: Vec<EventType>,
    /// Environments.
    pub environments: Vec<Environment>,
    /// Source ids: an app is a source.
    pub sources: Vec<SourceId>,
    /// Store product ids.
    pub products: Vec<String>,
    /// Stores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
    /// Countries, ISO 3166 alpha-2. A purchase whose country nobody told is in none of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Only events about at least so much money of this currency, either way: refunds of that size too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Money>,
    /// `true`: only of a customer's first purchase, in its first period; `false`: only of later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_purchase: Option<bool>,
}

impl Filter {
    /// Whether the destination wants this event. TEST passes every part but the environment's. Operator alerts are wanted
    /// only where `events` names them, whatever the other parts say: those are about purchases.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        if is_alert(event.event_type) {
            return self.events.contains(&event.event_type);
        }
        let listed = |empty: bool, found: bool| empty || found;
        listed(self.environments.is_empty(), self.environments.contains(&event.environment))
            && (event.event_type == EventType::Test
                || (listed(self.events.is_empty(), self.events.contains(&event.event_type))
                    && listed(self.sources.is_empty(), self.sources.contains(&event.source_id))
                    && listed(self.stores.is_empty(), self.stores.contains(&event.store))
                    && self.wants_product(event)
                    && self.wants_country(event)
                    && self.wants_amount(event)
                    && self.first_purchase.is_none_or(|wanted| wanted == is_first_purchase(event))))
    }

    /// What could never agree with any event: a JSON pointer into the filter, and what to write instead.
    pub fn check(&self) -> Result<(), (String, String)> {
        for (index, code) in self.countries.iter().enumerate() {
            if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                let detail = "two capital letters as in ISO 3166, e.g. DE".to_owned();
                return Err((format!("/countries/{index}"), detail));
            }
        }
        let longest = self.products.len().max(self.countries.len()).max(self.sources.len());
        if longest > MAX_LISTED {
            return Err((String::new(), format!("a list of a filter has at most {MAX_LISTED} members")));
        }
        if self.min_amount.is_some_and(|least| least.amount_minor <= 0) {
            return Err(("/min_amount/amount_minor".to_owned(), "more than 0; it counts for refunds too".to_owned()));
        }
        Ok(())
    }

    fn wants_product(&self, event: &Event) -> bool {
        let product = event.purchase.product_id.as_ref();
        self.products.is_empty() || product.is_some_and(|id| self.products.contains(id))
    }

    fn wants_country(&self, event: &Event) -> bool {
        let country = event.purchase.country.as_ref();
        self.countries.is_empty() || country.is_some_and(|code| self.countries.contains(code))
    }

    fn wants_amount(&self, event: &Event) -> bool {
        let Some(least) = self.min_amount else { return true };
        let money = event.transaction.as_ref().and_then(|transaction| transaction.money);
        money.is_some_and(|money| {
            money.currency == least.currency && money.amount_minor.unsigned_abs() >= least.amount_minor.unsigned_abs()
        })
    }
}

/// The customer has no other purchase of this environment, and this one is in its first period.
fn is_first_purchase(event: &Event) -> bool {
    event.customer.other_purchases.is_none() && event.purchase.renewal_number <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::OtherPurchases;
    use crate::sample;

    #[test]
    fn what_could_never_agree_is_named() {
        let usd = |amount_minor| Some(Money { amount_minor, currency: crate::money::Currency::USD });
        for (filter, pointer) in [
            (Filter { countries: vec!["DE".to_owned()], min_amount: usd(1), ..Filter::default() }, None),
            (Filter { countries: vec!["DE".to_owned(), "de".to_owned()], ..Filter::default() }, Some("/countries/1")),
            (Filter { countries: vec!["Germany".to_owned()], ..Filter::default() }, Some("/countries/0")),
            (Filter { min_amount: usd(-5), ..Filter::default() }, Some("/min_amount/amount_minor")),
            (Filter { products: vec![String::new(); MAX_LISTED + 1], ..Filter::default() }, Some("")),
        ] {
            let found = filter.check().err().map(|(pointer, _)| pointer);
            assert_eq!(found.as_deref(), pointer, "{filter:?}");
        }
    }

    #[test]
    fn every_part_narrows() {
        let mut event = sample::event(EventType::SubscriptionStarted, Store::AppStore);
        event.purchase.country = Some("DE".to_owned());
        let usd = |amount_minor| Money { amount_minor, currency: crate::money::Currency::USD };
        if let Some(transaction) = &mut event.transaction {
            transaction.money = Some(usd(999));
        }
        assert!(event.transaction.is_some());
        let product = event.purchase.product_id.clone().unwrap();
        let all = Filter::default;
        let eur = Money { amount_minor: 1, currency: "EUR".parse().unwrap() };
        for (name, filter, wanted) in [
            ("all", all(), true),
            ("type", Filter { events: vec![EventType::SubscriptionStarted], ..all() }, true),
            ("another type", Filter { events: vec![EventType::Activate], ..all() }, false),
            ("another environment", Filter { environments: vec![Environment::Sandbox], ..all() }, false),
            ("source", Filter { sources: vec![event.source_id], ..all() }, true),
            ("another source", Filter { sources: vec![SourceId([9; 16])], ..all() }, false),
            ("product", Filter { products: vec!["other".to_owned(), product], ..all() }, true),
            ("another product", Filter { products: vec!["other".to_owned()], ..all() }, false),
            ("store", Filter { stores: vec![Store::AppStore], ..all() }, true),
            ("another store", Filter { stores: vec![Store::Stripe], ..all() }, false),
            ("country", Filter { countries: vec!["AT".to_owned(), "DE".to_owned()], ..all() }, true),
            ("another country", Filter { countries: vec!["AT".to_owned()], ..all() }, false),
            ("as much", Filter { min_amount: Some(usd(999)), ..all() }, true),
            ("too little", Filter { min_amount: Some(usd(1_000)), ..all() }, false),
            ("another currency", Filter { min_amount: Some(eur), ..all() }, false),
            ("first", Filter { first_purchase: Some(true), ..all() }, true),
            ("later ones", Filter { first_purchase: Some(false), ..all() }, false),
        ] {
            assert_eq!(filter.wants(&event), wanted, "{name}");
            let kept = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&kept).unwrap(), filter, "{name}");
        }
        let first = Filter { first_purchase: Some(true), ..all() };
        event.customer.other_purchases = Some(OtherPurchases {
            store: Store::Stripe,
            entitlements: Vec::new(),
            until: None,
            has_access: false,
            status: None,
        });
        assert!(!first.wants(&event), "the customer has bought before");
        event.purchase.country = None;
        assert!(!Filter { countries: vec!["DE".to_owned()], ..all() }.wants(&event), "nobody told the country");
        event.transaction = None;
        assert!(!Filter { min_amount: Some(usd(1)), ..all() }.wants(&event), "it is about no money");
        let test = sample::event(EventType::Test, Store::AppStore);
        assert!(Filter { stores: vec![Store::Stripe], min_amount: Some(usd(1)), ..all() }.wants(&test));
    }

    #[test]
    fn operator_alerts_are_for_those_who_name_them() {
        let alert = sample::event(EventType::OperatorAlert, Store::AppStore);
        let over = sample::event(EventType::OperatorAlertOver, Store::AppStore);
        let named = Filter { events: vec![EventType::OperatorAlert], ..Filter::default() };
        assert!(!Filter::default().wants(&alert), "an empty filter means every purchase's events");
        assert!(named.wants(&alert) && !named.wants(&over));
        let of_sales = Filter {
            events: vec![EventType::TransactionProcessed, EventType::OperatorAlertOver],
            environments: vec![Environment::Sandbox],
            stores: vec![Store::Stripe],
            countries: vec!["DE".to_owned()],
            first_purchase: Some(true),
            ..Filter::default()
        };
        assert!(of_sales.wants(&over), "the other parts are about purchases");
    }
}
