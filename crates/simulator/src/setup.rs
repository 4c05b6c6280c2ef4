//! Makes in a hub what the simulation needs: sources that trust the simulated stores, the catalogue, destinations.

use crate::catalogue::{ENTITLEMENTS, GROUP, Kind, PLANS, Plan, STOREFRONTS};
use crate::hub::{HubApi, HubError};
use crate::stores::StoreKind;
use crate::stores::app_store::AppStore;
use crate::stores::stripe::Stripe;
use crate::stores::stripe::objects::Price;
use serde_json::{Value, json};

/// A destination to make.
#[derive(Debug, Clone)]
pub struct NewDestination {
    body: Value,
}

impl NewDestination {
    /// A Discord channel, by its webhook URL.
    #[must_use]
    pub fn discord(name: &str, webhook_url: &str) -> NewDestination {
        NewDestination::any("discord_webhook", name, json!({"url": webhook_url}))
    }

    /// A receiver of webhooks in the `paidup` format, with a secret of ours.
    #[must_use]
    pub fn webhook(name: &str, url: &str, secret: &str) -> NewDestination {
        NewDestination::any("webhook", name, json!({"url": url, "format": "paidup", "secret": secret}))
    }

    /// Any kind, with its `config`.
    #[must_use]
    pub fn any(kind: &str, name: &str, config: Value) -> NewDestination {
        NewDestination { body: json!({"type": kind, "name": name, "config": config}) }
    }
}

/// A store that needs a source.
#[derive(Clone, Copy)]
pub enum Seller<'a> {
    /// Apple's.
    AppStore(&'a AppStore),
    /// Stripe, and whether the hub may ask its API.
    Stripe(&'a Stripe, bool),
}

impl Seller<'_> {
    /// Which one.
    #[must_use]
    pub const fn kind(&self) -> StoreKind {
        match self {
            Seller::AppStore(_) => StoreKind::AppStore,
            Seller::Stripe(_, _) => StoreKind::Stripe,
        }
    }

    /// Apple sells products; Stripe has a price of each for each currency, and these are what customers are on.
    fn products(&self) -> Vec<Value> {
        let all = PLANS.iter();
        match self {
            Seller::AppStore(_) => all.map(|plan| product(plan, plan.id, self.kind())).collect(),
            Seller::Stripe(_, _) => all
                .flat_map(|plan| STOREFRONTS.iter().map(move |storefront| Price { plan, storefront }))
                .map(|price| product(price.plan, &price.id(), self.kind()))
                .collect(),
        }
    }

    fn source(&self) -> Value {
        let (name, config) = match self {
            Seller::AppStore(store) => {
                let app = store.app();
                let config = json!({
                    "bundle_id": &*app.bundle_id,
                    "app_apple_id": app.app_apple_id,
                    "root_certificates": [store.root_pem()],
                });
                ("Simulated App Store", config)
            }
            Seller::Stripe(store, is_asked) => {
                let mut config = json!({"signing_secret": store.signing_secret()});
                if *is_asked {
                    config["api_key"] = store.api_key().into();
                }
                ("Simulated Stripe", config)
            }
        };
        json!({"type": self.kind().word(), "name": name, "config": config})
    }
}

/// A source that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeSource {
    /// For which store.
    pub store: StoreKind,
    /// Its id.
    pub id: String,
    /// Where its notifications go, on the address that the hub was called at.
    pub ingest_url: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The sources, in the order asked for.
    pub sources: Vec<MadeSource>,
    /// The destinations, in the order asked for.
    pub destination_ids: Vec<String>,
}

/// Makes everything. The catalogue comes first, so that no purchase is ever seen unmapped.
pub async fn setup(hub: &HubApi, sellers: &[Seller<'_>], destinations: &[NewDestination]) -> Result<Setup, HubError> {
    for id in ENTITLEMENTS {
        existing_is_fine(hub.post("/v1/entitlements", &json!({"id": id})).await)?;
    }
    for seller in sellers {
        for product in seller.products() {
            existing_is_fine(hub.post("/v1/products", &product).await)?;
        }
    }
    let mut destination_ids = Vec::with_capacity(destinations.len());
    for destination in destinations {
        let made = hub.post("/v1/destinations", &destination.body).await?;
        destination_ids.push(id_of(&made, "POST /v1/destinations")?);
    }
    let mut sources = Vec::with_capacity(sellers.len());
    for seller in sellers {
        let id = id_of(&hub.post("/v1/sources", &seller.source()).await?, "POST /v1/sources")?;
        // The answer's ingest_url is the public one, which a simulation beside the hub may not reach.
        let ingest_url = format!("{}/ingest/{id}", hub.url());
        sources.push(MadeSource { store: seller.kind(), id, ingest_url });
    }
    Ok(Setup { sources, destination_ids })
}

fn product(plan: &Plan, id: &str, store: StoreKind) -> Value {
    let mut product = json!({
        "product_id": id,
        "store": store.word().to_uppercase(),
        "name": plan.name,
        "entitlements": plan.entitlements,
    });
    if plan.kind == Kind::Subscription {
        product["rank"] = plan.rank.into();
        product["group"] = GROUP.into();
    }
    product
}

fn id_of(made: &Value, what: &str) -> Result<String, HubError> {
    let id = made["id"].as_str().ok_or_else(|| HubError::Unexpected { what: what.to_owned(), missing: "id" })?;
    Ok(id.to_owned())
}

/// A second simulation against the same hub finds the catalogue there.
fn existing_is_fine(answer: Result<Value, HubError>) -> Result<(), HubError> {
    match answer {
        Ok(_) | Err(HubError::Refused { status: 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
