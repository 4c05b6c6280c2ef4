//! Notifications of a simulated App Store, signed before anything is timed.

use crate::process::ADMIN_KEY;
use anyhow::{Context, Result};
use paidup_simulator::calendar::{Calendar, MONTH};
use paidup_simulator::edge;
use paidup_simulator::hub::HubApi;
use paidup_simulator::lives::{Told, Turn};
use paidup_simulator::population::{Population, PopulationOptions, Shop};
use paidup_simulator::setup::setup;
use paidup_simulator::stores::Played;
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::wire::App;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// When lived time began, in milliseconds since 1970 (2026-01-01).
const EPOCH_MS: i64 = 1_767_225_600_000;

/// A lived month is stamped as one hour: periods are long enough that no clock ends them during a run.
const SPEED: f64 = 720.0;

/// A store with its root, and the customers who buy in it.
pub(crate) struct Apple {
    store: Arc<AppStore>,
}

/// Subscriptions that were bought and renewed, with nothing in between.
pub(crate) struct Renewals {
    /// One start for each subscription.
    pub(crate) starts: Vec<Vec<u8>>,
    /// Their renewals: the first of each, then the second of each, and so on, so that neighbours are different purchases.
    pub(crate) renewals: Vec<Vec<u8>>,
}

impl Apple {
    /// A store with a fresh chain.
    pub(crate) fn new() -> Result<Apple> {
        let app =
            App { bundle_id: Arc::from("com.example.bench"), app_apple_id: 1_234_567_890, environment: "Production" };
        Ok(Apple { store: Arc::new(AppStore::new(app)?) })
    }

    /// Makes the shop and a source that trusts this store in a hub; gives the path of its notifications.
    pub(crate) async fn set_up(&self, hub: SocketAddr) -> Result<String> {
        let api = HubApi::new(edge::client()?, &format!("http://{hub}"), ADMIN_KEY);
        let store: Arc<dyn Played> = self.store.clone();
        let made = setup(&api, &[store], &[]).await?;
        let source = made.sources.first().context("no source was made")?;
        Ok(format!("/ingest/{}", source.id))
    }

    /// The settings of a source that trusts this store.
    pub(crate) fn settings(&self) -> Value {
        let app = self.store.app();
        json!({
            "bundle_id": &*app.bundle_id, "app_apple_id": app.app_apple_id, "root_certificates": [self.store.root_pem()]
        })
    }

    /// Everything that happens to so many customers in two lived years, in lived order.
    pub(crate) fn lives(&self, customers: u32) -> Population {
        let options = PopulationOptions { customers, seed: 42, horizon: 24 * MONTH, ..PopulationOptions::default() };
        Population::new(options, Calendar::new(EPOCH_MS, SPEED), vec![Shop::AppStore(self.store.app().clone())])
    }

    /// The body of Apple's request about it.
    pub(crate) fn body(&self, told: &Told) -> Result<Vec<u8>> {
        Ok(self.store.body(told.app_store().context("another store's notification")?)?)
    }

    /// At least `count` renewals, if a population of the simulator's bound has them.
    pub(crate) fn renewals(&self, count: usize) -> Result<Renewals> {
        // Three customers in ten renew right after a start without an offer; the rest of the lives is not sent.
        let customers = u32::try_from(count * 4)?;
        let mut next: HashMap<Arc<str>, u32> = HashMap::new();
        let mut starts = Vec::new();
        let mut later: Vec<(u32, Vec<u8>)> = Vec::new();
        for told in self.lives(customers) {
            if told.ordinal == 0 && told.turn == Turn::Started {
                starts.push(self.body(&told)?);
                next.insert(told.purchase.clone(), 1);
            } else if told.turn == Turn::Renewed && next.get(&told.purchase) == Some(&told.ordinal) {
                later.push((told.ordinal, self.body(&told)?));
                next.insert(told.purchase.clone(), told.ordinal + 1);
            }
        }
        later.sort_by_key(|(ordinal, _)| *ordinal);
        let mut renewals: Vec<Vec<u8>> = later.into_iter().map(|(_, body)| body).collect();
        anyhow::ensure!(renewals.len() >= count, "{} renewals of {count} among {customers} customers", renewals.len());
        renewals.truncate(count);
        Ok(Renewals { starts, renewals })
    }
}
