//! An App Store that sells, and its API on loopback: a hub with a source that may ask it, one clock for all.

use super::{TestHub, at, log};
use axum::http::{StatusCode, Uri};
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::app_store::{AppStoreApi, AppStoreApiOptions};
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::account::SendResult;
use paidup_simulator::stores::app_store::wire::{App, Notification, Renewal, Transaction};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) const JAN: &str = "2026-01-01T00:00:00Z";
pub(crate) const FEB: &str = "2026-02-01T00:00:00Z";
pub(crate) const MAR: &str = "2026-03-01T00:00:00Z";
/// The chain of everything here.
pub(crate) const CHAIN: &str = "700000";

/// The line from the store to the hub.
pub(crate) struct Apple {
    pub(crate) hub: TestHub,
    pub(crate) store: Arc<AppStore>,
    pub(crate) api: AppStoreApi,
    pub(crate) source: String,
    clock: Clock,
}

pub(crate) fn app() -> App {
    App { bundle_id: "com.example.app".into(), app_apple_id: 1_234_567_890, environment: "Production" }
}

/// The settings of a source of production that believes in this store and has its key.
pub(crate) fn settings(store: &AppStore) -> Value {
    let key = store.api_key();
    json!({
        "bundle_id": "com.example.app", "app_apple_id": 1_234_567_890, "environment": "PRODUCTION",
        "root_certificates": [store.root_pem()],
        "api": {"issuer_id": key.issuer_id, "key_id": key.key_id, "private_key": key.private_key},
    })
}

impl Apple {
    /// A hub with a source, at the beginning of January, and nothing sold.
    pub(crate) async fn open(more: Value) -> Apple {
        let clock = Clock::manual(at(JAN).as_millis());
        let store = Arc::new(AppStore::new(app()).expect("a store"));
        // Only a store that is followed remembers what became of its notifications.
        store.account().follow(Box::new(std::iter::empty()));
        let options = AppStoreApiOptions { clock: clock.clone(), ..AppStoreApiOptions::default() };
        let api = AppStoreApi::start(store.clone(), options).await.expect("a stand-in");
        let hub = TestHub::start_with(JAN, &[("PAIDUP_APPSTORE_API_URL", &api.url())]).await;
        hub.map("pro_monthly", &["pro"]).await;
        let mut config = settings(&store);
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let source = hub.source("app_store", config).await;
        Apple { hub, store, api, source, clock }
    }

    /// It happens, and the hub is told.
    pub(crate) async fn told(&self, said: &Notification) {
        self.happens(said, SendResult::Success);
        self.hub.ingest(&self.source, &self.store.body(said).expect("signed")).await.expect(200);
    }

    /// It happens, and Apple's attempt to tell it ends so.
    pub(crate) fn happens(&self, said: &Notification, result: SendResult) {
        let mut account = self.store.account();
        account.publish(said);
        account.attempted(&said.uuid, said.signed_date, result);
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.hub.clock.advance(by);
    }

    pub(crate) fn pass_until(&self, moment: &str) {
        self.pass(at(moment).since(self.hub.hub.clock().now()));
    }

    /// Waits, while time passes by seconds, until `ready` answers something: loops may look at the clock just before a step.
    pub(crate) async fn in_time<T>(&self, what: &str, mut ready: impl AsyncFnMut(&TestHub) -> Option<T>) -> T {
        let passing = async |hub: &TestHub| {
            self.pass(Duration::from_secs(1));
            ready(hub).await
        };
        self.hub.until(what, passing).await
    }

    /// What was told since `before` events, once the last of it is `last`.
    pub(crate) async fn told_until(&self, before: usize, last: &str) -> Vec<String> {
        let ready = async |hub: &TestHub| {
            let types = hub.types().await;
            types[before.min(types.len())..].iter().any(|one| one == last).then(|| types[before..].to_vec())
        };
        self.in_time(last, ready).await
    }

    /// Stops, and wants that Apple was never asked wrongly, that no secret was logged, and that the journal folds.
    pub(crate) async fn stop(self) {
        let report = self.api.report();
        assert_eq!((report.unauthorized, report.wrong), (Vec::new(), Vec::new()));
        rebuilds(&self.hub).await;
        let calls = self.api.report().calls;
        assert_eq!(calls, report.calls, "a rebuild asks nobody");
        self.hub.stop().await;
        let key = &self.store.api_key().private_key;
        let line = key.lines().nth(1).expect("a line of the key").to_owned();
        log::check(&[&line, "eyJhbGciOiJFUzI1NiIsImtpZCI6"]);
    }
}

/// Folds the journal into an empty database: the same bytes.
pub(crate) async fn rebuilds(hub: &TestHub) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("again.db").display());
    let into: Arc<dyn paidup_store::Store> =
        paidup_store::open(&url, paidup_store::OpenOptions::default()).await.expect("a database");
    let report = paidup_hub::rebuild::verify(&hub.hub, &into, &|_, _| {}).await.expect("a report");
    assert!(report.is_equal(), "{:#?}", report.mismatches);
}

/// A month of the subscription; 0 is January.
pub(crate) fn month(number: u32, from: &str, to: &str) -> Transaction {
    Transaction {
        transaction_id: (700_000 + number).to_string().into(),
        original_transaction_id: CHAIN.into(),
        web_order_line_item_id: None,
        bundle_id: "com.example.app".into(),
        product_id: "pro_monthly",
        subscription_group_identifier: Some("21000001"),
        purchase_date: at(from).as_millis(),
        original_purchase_date: at(JAN).as_millis(),
        expires_date: Some(at(to).as_millis()),
        quantity: 1,
        kind: "Auto-Renewable Subscription",
        app_account_token: Some("7e3fb20b-4cdb-47cc-936d-99d65f608138".into()),
        in_app_ownership_type: "PURCHASED",
        signed_date: at(from).as_millis(),
        revocation_reason: None,
        revocation_date: None,
        revocation_type: None,
        revocation_percentage: None,
        offer_type: None,
        offer_identifier: None,
        environment: "Production",
        transaction_reason: if number == 0 { "PURCHASE" } else { "RENEWAL" },
        storefront: "USA",
        storefront_id: "143441",
        price: 9990,
        currency: "USD",
        offer_discount_type: None,
        app_transaction_id: "700000000000000001".into(),
        offer_period: None,
    }
}

/// A notification about that transaction. `what` is its type and subtype.
pub(crate) fn said(
    what: (&'static str, Option<&'static str>),
    status: u8,
    signed_at: &str,
    about: Transaction,
) -> Notification {
    let signed_date = at(signed_at).as_millis();
    let transaction = Transaction { signed_date, ..about };
    let is_over = status == 2;
    Notification {
        kind: what.0,
        subtype: what.1,
        uuid: format!("{}-{signed_at}", what.0),
        signed_date,
        status: Some(status),
        renewal: Some(Renewal {
            expiration_intent: is_over.then_some(1),
            original_transaction_id: transaction.original_transaction_id.clone(),
            auto_renew_product_id: transaction.product_id,
            product_id: transaction.product_id,
            auto_renew_status: u8::from(!is_over),
            is_in_billing_retry_period: Some(false),
            price_increase_status: None,
            grace_period_expires_date: None,
            renewal_price: (!is_over).then_some(9990),
            currency: Some("USD"),
            signed_date,
            environment: "Production",
            recent_subscription_start_date: transaction.original_purchase_date,
            renewal_date: transaction.expires_date.unwrap_or_default(),
            app_account_token: transaction.app_account_token.clone(),
            app_transaction_id: transaction.app_transaction_id.clone(),
        }),
        transaction,
        consumption_request_reason: None,
    }
}

/// The purchase in January.
pub(crate) fn bought() -> Notification {
    said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:00:10Z", month(0, JAN, FEB))
}

/// The renewal for February.
pub(crate) fn renewed() -> Notification {
    said(("DID_RENEW", None), 1, "2026-01-31T23:50:00Z", month(1, FEB, MAR))
}

/// An API that answers what a test lays ready, whatever it is asked.
#[derive(Clone)]
pub(crate) struct Answering {
    address: SocketAddr,
    kept: Arc<Mutex<(u16, Vec<u8>, usize)>>,
}

impl Answering {
    pub(crate) async fn start() -> Answering {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answering = Answering { address, kept: Arc::new(Mutex::new((503, Vec::new(), 0))) };
        let kept = answering.kept.clone();
        let app = axum::Router::new().fallback(move |_: Uri| {
            let kept = kept.clone();
            async move {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.2 += 1;
                (StatusCode::from_u16(kept.0).expect("a status"), kept.1.clone())
            }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        answering
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is answered, with 200.
    pub(crate) fn answer(&self, body: Vec<u8>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.0, kept.1) = (200, body);
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).2
    }
}
