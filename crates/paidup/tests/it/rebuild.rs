//! `paidup rebuild --verify` on a database that another version of the engine has written to: what would differ is named
//! and is no failure; what this version decided and does not decide again is one.

use crate::support::{Program, observation};
use paidup_lifecycle::engine::ENGINE_VERSION;
use paidup_store::{Log, OpenOptions};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Three things bought once, by three customers: three journal entries.
async fn bought(database: &Path) {
    let program = Program::serve(database);
    let source = json!({"type": "generic", "name": "shop", "config": {}});
    let source = program.api("POST", "/v1/sources", source).await.expect(201);
    let product = json!({"product_id": "lifetime", "entitlements": ["pro"]});
    program.api("POST", "/v1/products", product).await.expect(201);
    for number in 1..=3 {
        let facets = json!({
            "kind": "non_consumable", "product_id": "lifetime", "customer_id": format!("user-{number}"),
            "transaction_id": format!("t-{number}")
        });
        let name = format!("once-{number}");
        let body = observation(&format!("n{number}"), "2026-01-01T00:00:00Z", "one_time_purchased", &name, facets);
        let path = format!("/ingest/{}", source["id"].as_str().expect("an id"));
        program.api("POST", &path, body).await.expect(200);
    }
    program.stop();
}

/// The events' positions and exact JSON.
async fn told(database: &Path) -> Vec<(i64, Value)> {
    let url = format!("sqlite:{}", database.display());
    let store = paidup_store::open(&url, OpenOptions::default()).await.expect("a database");
    let events = Log::events_after(&*store, 0, 0, 100).await.expect("events");
    store.close().await.expect("closed");
    let place = |position| i64::try_from(position).expect("a position");
    events.iter().map(|one| (place(one.position), serde_json::from_slice(&one.json).expect("JSON"))).collect()
}

/// Another version of the engine decided this entry: its row says so, and its digests and the chain fit that.
fn stamp(shell: &Connection, entry: i64, version: u32) {
    shell.execute("UPDATE journal SET engine_version = ?2 WHERE entry = ?1", (entry, version)).expect("an entry");
    let mut statement = shell
        .prepare(
            "SELECT entry, decided_at, engine_version, catalogue_revision, policy_revision, seed, input, notifications,
                    kept_from, kept FROM journal ORDER BY entry",
        )
        .expect("the journal");
    let mut rows = statement.query([]).expect("rows");
    let (mut chain, mut renewed) = ([0; 32], Vec::new());
    while let Some(row) = rows.next().expect("a row") {
        let (mut whole, mut naming) = (Sha256::new_with_prefix(chain), Vec::new());
        for column in 0..10 {
            let (kind, bytes) = match row.get_ref(column).expect("a column") {
                ValueRef::Integer(number) => (1, number.to_be_bytes().to_vec()),
                ValueRef::Blob(bytes) => (4, bytes.to_vec()),
                other => panic!("{other:?} is in no column of the journal"),
            };
            let digest = Sha256::new_with_prefix([kind]).chain_update(bytes).finalize();
            naming.extend_from_slice(&digest[..4]);
            whole.update(digest);
        }
        chain = whole.finalize().into();
        renewed.push((row.get::<_, i64>(0).expect("a number"), naming, chain));
    }
    for (entry, naming, chain) in renewed {
        let write = "UPDATE journal SET digests = ?2, chain = ?3 WHERE entry = ?1";
        shell.execute(write, (entry, naming, chain)).expect("a row");
    }
    shell.execute("UPDATE heads SET chain = ?1", [chain]).expect("the end of the chain");
}

/// The log says something else at this position.
fn tell(shell: &Connection, position: i64, mut event: Value, event_type: &str) {
    event["type"] = event_type.into();
    event["inferred"] = true.into();
    let mut body = vec![0]; // plain
    body.extend(event.to_string().into_bytes());
    let write = "UPDATE events SET type = ?2, body = ?3, borrows_from = NULL, borrowed = NULL WHERE position = ?1";
    shell.execute(write, (position, event_type, body)).expect("an event");
}

pub(crate) fn verify(database: &Path, more: &[&str]) -> (i32, String) {
    let url = format!("sqlite:{}", database.display());
    let arguments: Vec<&str> = ["rebuild", "--verify"].iter().chain(more).copied().collect();
    let output = Program::run(&arguments, &[("PAIDUP_DATABASE_URL", url.as_str())]);
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.code().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))), said)
}

#[tokio::test]
async fn what_another_version_told_otherwise_is_named_and_what_this_one_did_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("paidup.db");
    bought(&database).await;
    let (code, said) = verify(&database, &[]);
    assert_eq!((code, said.contains("equal, byte for byte")), (0, true), "{said}");
    assert!(!said.contains("engine"), "{said}");

    let told = told(&database).await;
    let of = |name: &str| told.iter().find(|(_, event)| event["purchase"]["store_purchase_id"] == name).expect("told");
    let shell = Connection::open(&database).expect("the file");
    let (position, event) = of("once-1");
    let entry = "SELECT entry FROM events WHERE position = ?1";
    let entry: i64 = shell.query_row(entry, [position], |row| row.get(0)).expect("an entry");
    stamp(&shell, entry, 2);
    tell(&shell, *position, event.clone(), "SUBSCRIPTION_RENEWED");

    let (code, said) = verify(&database, &[]);
    let id = event["id"].as_str().expect("an id");
    let then = event["type"].as_str().expect("a type");
    assert_eq!(code, 0, "an upgrade preview is no failure: {said}");
    let line = format!("event {id} at position {position}: SUBSCRIPTION_RENEWED would be {then} (inferred, type)");
    assert!(said.contains(&line) && said.contains("user-1"), "{line}: {said}");
    assert!(said.contains("1 journal entries were decided by engine 2 and not by this one"), "{said}");
    assert!(said.contains("equal, but for what other versions of the engine decided"), "{said}");
    let (code, said) = verify(&database, &["--json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &report["equal"], &report["differences"]), (0, &json!(false), &json!([])), "{said}");
    assert_eq!(report["engine_version"], ENGINE_VERSION);
    let differ = &report["would_differ"];
    assert_eq!((&differ["changed"], &differ["missing"], &differ["added"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!((&differ["entries"], &differ["engine_versions"]), (&json!(1), &json!([2])));
    let expected = json!([{
        "kind": "changed", "event_id": id, "position": position, "type_then": "SUBSCRIPTION_RENEWED", "type_now": then,
        "purchase_id": event["purchase"]["id"], "customer_id": event["customer"]["id"], "app_user_id": "user-1",
        "fields": ["inferred", "type"], "entry": entry, "engine_version": 2
    }]);
    assert_eq!(differ["events"], expected);

    // The same in an entry that this version decided about somebody else is no preview.
    let (position, event) = of("once-3");
    tell(&shell, *position, event.clone(), "SUBSCRIPTION_RENEWED");
    let (code, said) = verify(&database, &[]);
    assert_eq!((code, said.contains("NOT equal")), (1, true), "{said}");
    assert!(said.contains(&format!("events of position {position}: SUBSCRIPTION_RENEWED is")), "{said}");
}
