//! One hub behind another: what the webhook formats `revenuecat` and `purchasely` say of a life goes over HTTP into sources of
//! those kinds at a second hub. What one may use is the same there at every moment, and the story is, but for what the
//! formats cannot carry: each life says exactly what came out.

use crate::support::vendors::{AUTHORIZATION, Line, SECRET};
use crate::support::{TestHub, at, observation, start};
use serde_json::{Value, json};
use std::time::Duration;

const JAN: &str = "2026-01-01T00:00:00Z";
const FEB: &str = "2026-02-01T00:00:00Z";
const MAR: &str = "2026-03-01T00:00:00Z";
const MID: &str = "2026-01-10T00:00:00Z";

/// A hub that a store tells, and the hub that it tells.
struct Chain {
    first: TestHub,
    source: String,
    destination: String,
    second: Line,
    steps: u32,
}

impl Chain {
    async fn of(format: &'static str) -> Chain {
        let first = TestHub::start(JAN).await;
        let second = Line::of(JAN, format).await;
        for hub in [&first, &second.hub] {
            for (product, rank) in [("lite_monthly", 1), ("pro_monthly", 2), ("pro_yearly", 3)] {
                let body = json!({"product_id": product, "entitlements": ["pro"], "rank": rank, "group": "pro"});
                hub.api("POST", "/v1/products", body).await.expect(201);
            }
            hub.map("lifetime", &["pro"]).await;
        }
        let url = format!("http://{}/ingest/{}", second.hub.address, second.source);
        let mut config = json!({"url": url, "format": format, "hmac_secret": SECRET});
        if format == "revenuecat" {
            config["authorization"] = json!(AUTHORIZATION);
        }
        let body = json!({"type": "webhook", "name": "second", "config": config});
        let made = first.api("POST", "/v1/destinations", body).await.expect(201);
        let source = first.source("generic", json!({})).await;
        let destination = made["id"].as_str().expect("an id").to_owned();
        Chain { first, source, destination, second, steps: 0 }
    }

    /// The store says something at that time; what both hubs told of it.
    async fn step(&mut self, observation: Value) -> (Vec<String>, Vec<String>) {
        // A moment ahead of the dates: the generic source cannot be asked, so its periods end by them.
        let time = at(observation["observed_at"].as_str().expect("a time")).minus(Duration::from_secs(5));
        let time = time.max(at(JAN));
        self.first.clock.set(time);
        self.second.hub.clock.set(time);
        let before = (self.first.types().await.len(), self.second.hub.types().await.len());
        self.steps += 1;
        let mut observation = observation;
        observation["id"] = json!(format!("n{}", self.steps));
        self.first.observe(&self.source, observation).await;
        let id = self.destination.parse().expect("an id");
        self.first
            .until("everything to be delivered", async |hub| {
                let behind = hub.get(&format!("/v1/destinations/{}", self.destination)).await["behind"] == 0;
                let parked = hub.hub.store().parked(id, 1).await.expect("rows");
                if behind && parked.is_empty() {
                    return Some(());
                }
                // Progress is saved by the hub's clock.
                self.first.clock.advance(Duration::from_millis(100));
                self.second.hub.clock.advance(Duration::from_millis(100));
                None
            })
            .await;
        let told = self.first.types().await.split_off(before.0);
        (told, self.second.hub.types().await.split_off(before.1))
    }

    async fn active(hub: &TestHub, customer: &str) -> Vec<Value> {
        let answer = hub.api("GET", &format!("/v1/customers/{customer}"), Value::Null).await;
        let rows = answer.body["entitlements"].as_array().cloned().unwrap_or_default();
        rows.into_iter().map(|row| json!([row["id"], row["store"], row["product_id"]])).collect()
    }

    async fn stop(self) {
        self.second.hub.check_rebuild().await;
        self.second.stop().await;
        self.first.stop().await;
    }
}

/// What the store says, what the first hub tells, and what comes out behind each format; `None`: the same.
struct Step {
    said: Value,
    told: &'static str,
    revenuecat: Option<&'static str>,
    purchasely: Option<&'static str>,
}

fn same(said: Value, told: &'static str) -> Step {
    Step { said, told, revenuecat: None, purchasely: None }
}

/// Something in between, of the purchase `sub`.
fn said(time: &str, reason: &str, more: Value) -> Value {
    observation("", time, reason, "sub", more)
}

fn of_store(mut observation: Value, store: &str) -> Value {
    observation["store"] = json!(store);
    observation
}

fn bought(store: &str) -> Step {
    let said = of_store(start("", "user-1", "sub", JAN, FEB), store);
    same(said, "ACTIVATE SUBSCRIPTION_STARTED TRANSACTION_PROCESSED")
}

/// The second period.
fn paid(time: &str, reason: &str) -> Value {
    let period = json!({"starts_at": time, "ends_at": MAR});
    said(
        time,
        reason,
        json!({"transaction_id": "sub-2", "period": period, "period_type": "normal",
        "price": {"amount_minor": 999, "currency": "USD"}}),
    )
}

#[expect(clippy::too_many_lines, reason = "a table, one life after the other")]
fn lives() -> Vec<(&'static str, Vec<Step>)> {
    let mut trial = of_store(start("", "user-1", "sub", JAN, FEB), "APP_STORE");
    trial["period_type"] = json!("trial");
    trial["price"] = json!({"amount_minor": 0, "currency": "USD"});
    let refund = |amount: i64| json!({"transaction_id": "sub-1", "refund": {"transaction_id": "sub-1", "amount_minor": amount, "currency": "USD"}});
    let change = json!({"product_id": "pro_yearly", "transaction_id": "sub-2", "period": {"starts_at": MID, "ends_at": "2027-01-10T00:00:00Z"},
        "price": {"amount_minor": 9900, "currency": "USD"}});
    let mut downgraded = paid(FEB, "renewed");
    downgraded["product_id"] = json!("lite_monthly");
    let mut once = of_store(start("", "user-1", "sub", JAN, FEB), "APP_STORE");
    for (name, value) in [("reason", "one_time_purchased"), ("kind", "non_consumable"), ("product_id", "lifetime")] {
        once[name] = json!(value);
    }
    for name in ["period_type", "will_renew"] {
        once.as_object_mut().expect("fields").remove(name);
    }
    once["period"] = json!({"starts_at": JAN});
    vec![
        (
            "a trial that converts, is switched off and on, and ends",
            vec![
                same(trial, "ACTIVATE SUBSCRIPTION_STARTED TRIAL_STARTED"),
                same(said(MID, "renewal_disabled", json!({})), "RENEWAL_DISABLED"),
                same(said("2026-01-11T00:00:00Z", "renewal_enabled", json!({})), "RENEWAL_ENABLED"),
                same(paid(FEB, "renewed"), "ACTIVATE SUBSCRIPTION_RENEWED TRIAL_CONVERTED TRANSACTION_PROCESSED"),
                same(said("2026-02-10T00:00:00Z", "renewal_disabled", json!({})), "RENEWAL_DISABLED"),
                same(
                    said(MAR, "expired", json!({"expiration_reason": "UNSUBSCRIBE"})),
                    "DEACTIVATE SUBSCRIPTION_TERMINATED",
                ),
            ],
        ),
        (
            "grace that is recovered",
            vec![
                bought("APP_STORE"),
                // RevenueCat's BILLING_ISSUE is a failed charge too.
                Step {
                    revenuecat: Some("ACTIVATE GRACE_PERIOD_STARTED PAYMENT_FAILED"),
                    ..same(
                        said(FEB, "grace_started", json!({"grace_ends_at": "2026-02-17T00:00:00Z"})),
                        "ACTIVATE GRACE_PERIOD_STARTED",
                    )
                },
                same(
                    paid("2026-02-03T00:00:00Z", "recovered"),
                    "ACTIVATE SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD TRANSACTION_PROCESSED",
                ),
            ],
        ),
        (
            "billing retry that is recovered",
            vec![
                bought("APP_STORE"),
                // RevenueCat does not say that the store goes on trying: it is an end, and then a return.
                Step {
                    revenuecat: Some("PAYMENT_FAILED DEACTIVATE SUBSCRIPTION_TERMINATED"),
                    ..same(said(FEB, "billing_retry_started", json!({})), "DEACTIVATE ENTERED_BILLING_RETRY")
                },
                Step {
                    revenuecat: Some("ACTIVATE SUBSCRIPTION_REACTIVATED TRANSACTION_PROCESSED"),
                    ..same(
                        paid("2026-02-03T00:00:00Z", "recovered"),
                        "ACTIVATE SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY TRANSACTION_PROCESSED",
                    )
                },
            ],
        ),
        (
            "a pause",
            vec![
                bought("PLAY_STORE"),
                same(
                    said(MID, "pause_scheduled", json!({"pause": {"resumes_at": "2026-02-20T00:00:00Z"}})),
                    "SUBSCRIPTION_WILL_PAUSE",
                ),
                same(
                    said(FEB, "paused", json!({"pause": {"starts_at": FEB, "resumes_at": "2026-02-20T00:00:00Z"}})),
                    "DEACTIVATE SUBSCRIPTION_PAUSED",
                ),
                same(paid("2026-02-20T00:00:00Z", "resumed"), "ACTIVATE SUBSCRIPTION_UNPAUSED TRANSACTION_PROCESSED"),
            ],
        ),
        (
            "a refund that is undone",
            vec![
                bought("APP_STORE"),
                // RevenueCat's CANCELLATION says nothing of access, its EXPIRATION does. Purchasely tells the money by itself.
                Step {
                    revenuecat: Some("REFUND_RECORDED TRANSACTION_PROCESSED DEACTIVATE SUBSCRIPTION_REFUNDED_REVOKED"),
                    ..same(
                        said(MID, "refunded", refund(999)),
                        "DEACTIVATE SUBSCRIPTION_REFUNDED_REVOKED TRANSACTION_PROCESSED",
                    )
                },
                // Purchasely has no event for it, only its ACTIVATE; the charge is told already.
                Step {
                    purchasely: Some("ACTIVATE REFUND_REVERSED"),
                    ..same(
                        said("2026-01-12T00:00:00Z", "refund_reversed", refund(999)),
                        "ACTIVATE REFUND_REVERSED TRANSACTION_PROCESSED",
                    )
                },
            ],
        ),
        (
            "a change of plan at once",
            vec![
                bought("APP_STORE"),
                // RevenueCat announces it and calls it a RENEWAL.
                Step {
                    revenuecat: Some(
                        "PLAN_CHANGE_SCHEDULED DEACTIVATE ACTIVATE SUBSCRIPTION_UPGRADED SUBSCRIPTION_RENEWED TRANSACTION_PROCESSED",
                    ),
                    ..same(
                        said(MID, "product_changed", change),
                        "DEACTIVATE ACTIVATE SUBSCRIPTION_UPGRADED TRANSACTION_PROCESSED",
                    )
                },
            ],
        ),
        (
            "a change of plan at the renewal",
            vec![
                bought("APP_STORE"),
                // Purchasely does not tell what is only announced.
                Step {
                    purchasely: Some(""),
                    ..same(
                        said(MID, "product_change_scheduled", json!({"pending_product_id": "lite_monthly"})),
                        "PLAN_CHANGE_SCHEDULED",
                    )
                },
                same(
                    downgraded,
                    "DEACTIVATE ACTIVATE SUBSCRIPTION_DOWNGRADED SUBSCRIPTION_RENEWED TRANSACTION_PROCESSED",
                ),
            ],
        ),
        (
            "an extension",
            vec![
                bought("APP_STORE"),
                same(
                    said(
                        MID,
                        "extended",
                        json!({"transaction_id": "sub-1", "period": {"starts_at": JAN, "ends_at": "2026-02-08T00:00:00Z"}}),
                    ),
                    "SUBSCRIPTION_DEFERRED",
                ),
            ],
        ),
        (
            "a transfer",
            vec![
                bought("APP_STORE"),
                same(
                    said(MID, "transferred", json!({"transfer_to": "user-2"})),
                    "DEACTIVATE SUBSCRIPTION_TRANSFERRED ACTIVATE SUBSCRIPTION_RECEIVED",
                ),
            ],
        ),
        (
            "what is bought once",
            vec![
                same(once, "ACTIVATE ONE_TIME_PURCHASED TRANSACTION_PROCESSED"),
                same(said(MID, "refunded", refund(999)), "DEACTIVATE ONE_TIME_REFUNDED TRANSACTION_PROCESSED"),
            ],
        ),
        // Neither has events for these.
        (
            "what is between a store and its customer",
            vec![
                bought("APP_STORE"),
                Step {
                    revenuecat: Some(""),
                    purchasely: Some(""),
                    ..same(said(MID, "refund_requested", refund(999)), "REFUND_REQUESTED")
                },
                // The refresh of a declined refund is Purchasely's ACTIVATE: access is on already.
                Step {
                    revenuecat: Some(""),
                    purchasely: Some(""),
                    ..same(said("2026-01-11T00:00:00Z", "refund_declined", refund(999)), "ACTIVATE REFUND_DECLINED")
                },
                Step {
                    purchasely: Some(""),
                    ..same(
                        said(
                            "2026-01-12T00:00:00Z",
                            "price_increase",
                            json!({"price": {"amount_minor": 1299, "currency": "USD"}}),
                        ),
                        "PRICE_INCREASE_PENDING",
                    )
                },
            ],
        ),
    ]
}

async fn survives(format: &'static str, expected: impl Fn(&Step) -> Option<&'static str>) {
    let mut wrong = Vec::new();
    for (name, steps) in lives() {
        let mut chain = Chain::of(format).await;
        for (number, step) in steps.iter().enumerate() {
            let (told, behind) = chain.step(step.said.clone()).await;
            assert_eq!(told.join(" "), step.told, "{name}, step {number}: the first hub");
            let expected = expected(step).unwrap_or(step.told);
            if behind.join(" ") != expected {
                wrong.push(format!("{name}, step {number}: {}, not {expected}", behind.join(" ")));
            }
            for customer in ["user-1", "user-2"] {
                let (here, there) =
                    (Chain::active(&chain.first, customer).await, Chain::active(&chain.second.hub, customer).await);
                if here != there {
                    wrong.push(format!("{name}, step {number}: {customer} has {here:?}, and behind it {there:?}"));
                }
            }
        }
        chain.stop().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_life_in_revenuecats_words_is_the_same_life() {
    survives("revenuecat", |step| step.revenuecat).await;
}

#[tokio::test]
async fn a_life_in_purchaselys_words_is_the_same_life() {
    survives("purchasely", |step| step.purchasely).await;
}
