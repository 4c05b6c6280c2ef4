//! Makes in a hub what the simulation needs: sources that trust the simulated stores, the catalogue, destinations.

use crate::catalogue::{ENTITLEMENTS, GROUP, Kind, Plan};
use crate::hub::{HubApi, HubError};
use crate::stores::{Played, StoreKind};
use serde_json::{Value, json};
use std::sync::Arc;

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
pub async fn setup(
    hub: &HubApi,
    stores: &[Arc<dyn Played>],
    destinations: &[NewDestination],
) -> Result<Setup, HubError> {
    for id in ENTITLEMENTS {
        existing_is_fine(hub.post("/v1/entitlements", &json!({"id": id})).await)?;
    }
    for store in stores {
        for (plan, id) in store.products() {
            existing_is_fine(hub.post("/v1/products", &product(plan, &id, store.kind())).await)?;
        }
    }
    let mut destination_ids = Vec::with_capacity(destinations.len());
    for destination in destinations {
        let made = hub.post("/v1/destinations", &destination.body).await?;
        destination_ids.push(id_of(&made, "POST /v1/destinations")?);
    }
    let mut sources = Vec::with_capacity(stores.len());
    for store in stores {
        let source = json!({"type": store.kind().word(), "name": store.title(), "config": store.config()});
        let id = id_of(&hub.post("/v1/sources", &source).await?, "POST /v1/sources")?;
        // The answer's ingest_url is the public one, which a simulation beside the hub may not reach.
        let ingest_url = format!("{}/ingest/{id}", hub.url());
        sources.push(MadeSource { store: store.kind(), id, ingest_url });
    }
    Ok(Setup { sources, destination_ids })
}

fn product(plan: &Plan, id: &str, store: StoreKind) -> Value {
    let mut product = json!({
        "product_id": id,
        "store": store.catalogue_word(),
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
