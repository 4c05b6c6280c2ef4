//! Thirty days of the same traffic: what is kept for a week stays as large as a week.

use crate::support::{Receiver, TestHub, at, observation, start};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2036-01-01T00:00:00Z";
/// Customers; each switches renewal off and on twice a day.
const CUSTOMERS: usize = 150;
/// Those whose events are delivered.
const TOLD: usize = 20;
const BATCHES: usize = 4;
const HOUR: Duration = Duration::from_secs(3_600);

/// Rows of every table, and pages of the file.
struct Sizes {
    rows: BTreeMap<String, i64>,
    pages: i64,
    free: i64,
}

fn sizes(hub: &TestHub) -> Sizes {
    let read = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let file = Connection::open_with_flags(hub.database(), read).expect("the file");
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("tables");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("names").map(|name| name.expect("a name")).collect();
    let rows = names.into_iter().map(|name| (name.clone(), number(&format!("SELECT count(*) FROM {name}")))).collect();
    Sizes { rows, pages: number("PRAGMA page_count"), free: number("PRAGMA freelist_count") }
}

fn product(customer: usize) -> &'static str {
    if customer < TOLD { "pro_told" } else { "pro_untold" }
}

/// Everybody's renewal is switched, in one request.
async fn switch(hub: &TestHub, source: &str, number: usize) {
    let (now, off) = (hub.clock_text(), number.is_multiple_of(2));
    let reason = if off { "renewal_disabled" } else { "renewal_enabled" };
    let all: Vec<Value> = (0..CUSTOMERS)
        .map(|customer| {
            let said = json!({"store": "STRIPE", "will_renew": !off});
            observation(&format!("n-{number}-{customer}"), &now, reason, &format!("sub-{customer}"), said)
        })
        .collect();
    hub.observe(source, Value::Array(all)).await;
}

/// Lets the hub deliver and save: its loops go by the clock that is moved.
async fn delivered(hub: &TestHub, receiver: &Receiver, path: &str, count: usize) {
    hub.until("the deliveries", async |hub| {
        hub.clock.advance(Duration::from_secs(5));
        let shown = hub.get(path).await;
        (receiver.requests().len() >= count && shown["behind"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn thirty_days_of_the_same_traffic_leave_the_tables_as_large_as_a_week() {
    let week = ["NOTIFICATIONS", "EVENTS", "ATTEMPTS"].map(|class| format!("PAIDUP_RETENTION_{class}_DAYS"));
    let settings: Vec<(&str, &str)> = week.iter().map(|name| (name.as_str(), "7")).collect();
    let hub = TestHub::start_with(FROM, &settings).await;
    if !hub.database().exists() {
        eprintln!("NOT CHECKED: the pages of a database that is not a file");
        return hub.stop().await;
    }
    let source = hub.source("generic", json!({})).await;
    let receiver = Receiver::start().await;
    let wanted = json!({"events": ["RENEWAL_DISABLED"], "products": ["pro_told"]});
    let made = hub.webhook(&receiver, json!({"filter": wanted})).await;
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    let starts: Vec<Value> = (0..CUSTOMERS)
        .map(|customer| {
            let id = format!("sub-{customer}");
            let mut start = start(&format!("start-{customer}"), &format!("user-{customer}"), &id, FROM, TO);
            start["product_id"] = json!(product(customer));
            start
        })
        .collect();
    hub.observe(&source, Value::Array(starts)).await;
    let (mut expected, mut measured) = (0, Vec::new());
    for day in 0..30 {
        receiver.answer(&[500]);
        for batch in 0..BATCHES {
            let number = day * BATCHES + batch;
            let hours = u32::try_from(6 * number + 1).expect("a month");
            hub.clock.set(at(FROM).plus(HOUR * hours));
            switch(&hub, &source, number).await;
            expected += if number.is_multiple_of(2) { TOLD } else { 0 } + usize::from(batch == 0);
            delivered(&hub, &receiver, &path, expected).await;
        }
        let body = json!({"product_id": format!("extra-{}", day % 3), "entitlements": ["extra"]}).to_string();
        let key = format!("product-of-day-{day}");
        let headers = [("idempotency-key", key.as_str())];
        let put = hub.call("POST", "/v1/products", Some(crate::support::ADMIN_KEY), body.into_bytes(), &headers).await;
        assert!(put.status < 300, "{}", put.body);
        if day == 14 || day == 29 {
            hub.hub.prune().await.expect("pruned");
            measured.push(sizes(&hub));
        }
    }
    let [half, whole] = &measured[..] else { panic!("measured twice") };
    assert!(half.rows["events"] > 1_000 && half.rows["journal"] > 10 && half.rows["attempts"] > 100, "{:?}", half.rows);
    for (table, rows) in &whole.rows {
        let before = half.rows[table];
        assert!(*rows <= before + before / 20 + 10, "{table} grew from {before} to {rows} rows");
    }
    assert_eq!(whole.rows["purchases"], i64::try_from(CUSTOMERS).expect("few"));
    assert!(whole.pages <= half.pages + half.pages / 20, "{} pages became {}", half.pages, whole.pages);
    assert!(whole.free <= whole.pages / 4, "{} of {} pages are free", whole.free, whole.pages);
    hub.stop().await;
}
