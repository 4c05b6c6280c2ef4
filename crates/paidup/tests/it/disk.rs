//! A disk that is full, locked, limited or damaged: nothing that was acknowledged is lost, the hub stays up and says
//! what is wrong, and it goes on by itself.

use crate::support::{Answer, Program, Receiver, TestHub, at, observation, start};
use paidup_store::OpenOptions;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-02-01T00:00:00Z";

/// A problem+json that says so, with when to come back.
#[track_caller]
fn assert_unavailable(answer: Answer, why: &str) {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("content-type"), "application/problem+json", "{}", answer.body);
    assert!(!header("retry-after").is_empty());
    let body = answer.expect(503);
    let detail = body["detail"].as_str().expect("a detail");
    assert!(detail.contains(why), "{detail}");
    assert!(!detail.contains("paidup.db"), "no path is told: {detail}");
    assert!(!body["request_id"].as_str().expect("an id").is_empty());
}

async fn ready(hub: &TestHub) -> Answer {
    hub.call("GET", "/readyz", None, Vec::new(), &[]).await
}

async fn until_ready(hub: &TestHub) {
    hub.until("readiness", async |hub| (ready(hub).await.status == 200).then_some(())).await;
}

/// Starts of a subscription with numbers from `first` on, one by one, until one is refused. Answers how many were
/// taken, and the refusal.
async fn fill(hub: &TestHub, source: &str, first: usize) -> (usize, Answer) {
    for number in first..first + 2_000 {
        let body = numbered(number).to_string();
        let answer = hub.ingest(source, body.as_bytes()).await;
        if answer.status != 200 {
            return (number - first, answer);
        }
    }
    panic!("the disk is never full");
}

fn numbered(number: usize) -> Value {
    start(&format!("n{number}"), &format!("user-{number}"), &format!("sub-{number}"), FROM, TO)
}

/// The purchases that the log tells of.
async fn told(hub: &TestHub) -> BTreeSet<String> {
    let name = |event: &Value| event["purchase"]["store_purchase_id"].as_str().expect("an id").to_owned();
    hub.events().await.iter().map(name).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_with_its_reason_and_loses_nothing() {
    let hub = TestHub::start_on(FROM, OpenOptions { max_bytes: Some(1 << 20), ..OpenOptions::default() }).await;
    let source = hub.source("generic", json!({})).await;
    let receiver = Receiver::start().await;
    hub.webhook(&receiver, json!({})).await;
    hub.hub.store().put_meta("ballast", vec![1; 400_000]).await.expect("ballast");
    let (taken, refusal) = fill(&hub, &source, 0).await;
    assert!(taken > 0, "there was room for some");
    assert_unavailable(refusal, "the disk is full");
    assert_unavailable(ready(&hub).await, "the disk is full");
    assert_eq!(hub.call("GET", "/livez", None, Vec::new(), &[]).await.status, 200);
    assert_eq!(hub.get("/v1/customers/user-0").await["aliases"][0], "user-0", "reading goes on");
    let expected: BTreeSet<String> = (0..taken).map(|number| format!("sub-{number}")).collect();
    assert_eq!(told(&hub).await, expected, "exactly what was acknowledged");

    // The disk gets room again; nobody has to tell the hub.
    Connection::open(hub.database())
        .expect("the file")
        .execute("DELETE FROM meta WHERE name = 'ballast'", [])
        .expect("room");
    until_ready(&hub).await;
    hub.ingest(&source, numbered(taken).to_string().as_bytes()).await.expect(200);
    // Progress that could not be saved is tried again in a second.
    hub.clock.set(at("2026-01-01T00:00:05Z"));
    let hub = hub.restart().await;
    let expected: BTreeSet<String> = (0..=taken).map(|number| format!("sub-{number}")).collect();
    assert_eq!(told(&hub).await, expected, "and after a restart");
    let ids: BTreeSet<String> = hub.events().await.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 3 * (taken + 1));
    hub.until("every delivery", async |_| {
        let arrived: BTreeSet<String> = receiver.requests().iter().map(|one| one.body["id"].to_string()).collect();
        (arrived == ids).then_some(())
    })
    .await;
    hub.stop().await;
}

#[tokio::test]
async fn a_lock_of_another_program_passes_by_itself() {
    let options = OpenOptions { busy_timeout: Duration::from_millis(20), ..OpenOptions::default() };
    let hub = TestHub::start_on(FROM, options).await;
    let source = hub.source("generic", json!({})).await;
    hub.observe(&source, numbered(0)).await;
    let shell = Connection::open(hub.database()).expect("the file");
    shell.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let why = "another program holds a lock on the database file";
    assert_unavailable(hub.ingest(&source, numbered(1).to_string().as_bytes()).await, why);
    let product = json!({"product_id": "pro_monthly", "entitlements": ["pro"]});
    assert_unavailable(hub.api("POST", "/v1/products", product.clone()).await, why);
    assert_unavailable(ready(&hub).await, why);
    assert_eq!(hub.get("/v1/customers/user-0").await["aliases"][0], "user-0", "reading goes on");
    assert_eq!(told(&hub).await.len(), 1, "nothing was kept of what was refused");
    shell.execute_batch("ROLLBACK").expect("free");
    until_ready(&hub).await;
    hub.observe(&source, numbered(1)).await;
    hub.api("POST", "/v1/products", product).await.expect(201);
    let hub = hub.restart().await;
    assert_eq!(told(&hub).await.len(), 2);
    hub.stop().await;
}

/// Writes rubbish over a page in which some purchases lie, but neither the first ones nor all.
fn damage_some_purchases(database: &Path) {
    let shell = Connection::open(database).expect("the file");
    let sql = "SELECT pageno, pgsize FROM dbstat WHERE name = 'purchases' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3";
    let (page, size): (u64, u64) = shell
        .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned())))
        .expect("a page");
    drop(shell);
    let mut file = std::fs::File::options().write(true).open(database).expect("the file");
    file.seek(SeekFrom::Start((page - 1) * size)).expect("its place");
    file.write_all(&vec![0xEE; usize::try_from(size).expect("small")]).expect("rubbish");
}

#[tokio::test]
async fn a_damaged_page_concerns_only_those_who_need_it() {
    const ALL: usize = 60;
    const DAMAGED: &str = "the part of the database that it needs is damaged";
    let hub = TestHub::start(FROM).await;
    let source = hub.source("generic", json!({})).await;
    let all: Vec<Value> = (0..ALL).map(numbered).collect();
    hub.observe(&source, Value::Array(all)).await;
    let hub = hub.restart_after(damage_some_purchases).await;
    let (mut whole, mut damaged) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..ALL {
        let answer = hub.api("GET", &format!("/v1/customers/user-{number}"), Value::Null).await;
        let off = json!({"will_renew": false});
        let name = format!("sub-{number}");
        let said = observation(&format!("off-{number}"), "2026-01-02T00:00:00Z", "renewal_disabled", &name, off);
        let taken = hub.ingest(&source, said.to_string().as_bytes()).await;
        if answer.status != 200 {
            let problem = answer.expect(500);
            assert!(problem["detail"].as_str().expect("a detail").contains("damaged"), "{problem}");
            assert_unavailable(taken, DAMAGED);
            damaged.insert(name);
        } else if taken.status == 200 {
            whole.insert(name);
        } else {
            // Its row grew, and the page that it had to move to is the damaged one.
            assert_unavailable(taken, DAMAGED);
        }
    }
    assert!(whole.len() >= ALL / 2 && !damaged.is_empty(), "{} and {}", whole.len(), damaged.len());
    // Others are served, so the hub is ready; its log names the damage.
    ready(&hub).await.expect(200);
    let mut new = 0;
    for number in ALL..2 * ALL {
        new += usize::from(hub.ingest(&source, numbered(number).to_string().as_bytes()).await.status == 200);
    }
    assert!(new >= ALL / 2, "{new}");
    // The clock goes on for all others. Deadlines of one moment come in the order of the table, so half of them lie
    // behind the damage.
    hub.clock.set(at("2026-02-01T00:00:05Z"));
    let ended = hub
        .until("the ends", async |hub| {
            let events = hub.get("/v1/events?type=SUBSCRIPTION_TERMINATED&limit=200").await;
            let events = events["data"].as_array().expect("rows").clone();
            (events.len() >= ALL).then_some(events)
        })
        .await;
    let ended = ended.iter().map(|event| event["purchase"]["store_purchase_id"].as_str().expect("an id"));
    assert!(ended.into_iter().all(|name| !damaged.contains(name)));
    hub.stop().await;
}

/// Sets how large a file of that process may become; `None`: as large as it likes.
#[cfg(target_os = "linux")]
fn limit_files(program: &Program, bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, prlimit};
    prlimit(Some(program.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit");
}

/// The real program whose writes fail, by a limit that the system sets.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn writes_that_fail_stop_nothing_and_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("paidup.db");
    let program = Program::serve(&database);
    let source = json!({"type": "generic", "name": "shop", "config": {}});
    let source = program.api("POST", "/v1/sources", source).await.expect(201);
    let ingest = format!("/ingest/{}", source["id"].as_str().expect("an id"));
    // Real time runs here: the period is not over for long.
    let lasting = |number: usize| {
        start(&format!("n{number}"), &format!("user-{number}"), &format!("sub-{number}"), FROM, "2126-01-01T00:00:00Z")
    };
    let log = std::fs::metadata(folder.path().join("paidup.db-wal")).expect("a log").len();
    limit_files(&program, Some(log + 60_000));
    let mut taken = 0;
    let refusal = loop {
        let answer = program.api("POST", &ingest, lasting(taken)).await;
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
        assert!(taken < 2_000, "writing never fails");
    };
    assert!(taken > 0, "there was room for some");
    assert_unavailable(refusal, "disk I/O error");
    assert_unavailable(program.api("GET", "/readyz", Value::Null).await, "disk I/O error");
    program.api("GET", "/livez", Value::Null).await.expect(200);
    program.api("GET", "/v1/customers/user-0", Value::Null).await.expect(200);
    limit_files(&program, None);
    let wait = async {
        while program.api("GET", "/readyz", Value::Null).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, wait).await.expect("ready again");
    program.api("POST", &ingest, lasting(taken)).await.expect(200);
    let log = program.stop();
    assert!(log.contains("the database can be written again"), "{log}");

    let program = Program::serve(&database);
    for number in 0..=taken {
        program.api("GET", &format!("/v1/customers/user-{number}"), Value::Null).await.expect(200);
    }
    program.api("GET", &format!("/v1/customers/user-{}", taken + 1), Value::Null).await.expect(404);
    program.stop();
}
