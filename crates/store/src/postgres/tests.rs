//! The shared suite on this engine, and what only a server can do: go away, be another's, be used by another hub.
//!
//! They run where `PAIDUP_TEST_POSTGRES_URL` names a database, or one answers at the usual place; elsewhere they say loudly
//! that they did not run.

use super::db::{Db, Use};
use crate::conformance::{self, *};
use crate::{Changes, OpenOptions, Store, StoreError, Wants};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where tests look when nobody says.
const USUAL: &str = "postgres://postgres@127.0.0.1:5432/test";

/// A schema that goes when the test ends.
struct Schema {
    url: String,
    name: String,
}

fn connect(url: &str) -> Result<Db, StoreError> {
    Db::open(&url.parse().unwrap(), Use::Write, Duration::from_secs(5))
}

impl Schema {
    /// `None`: there is no PostgreSQL to test with.
    fn fresh() -> Option<Schema> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let said = std::env::var("PAIDUP_TEST_POSTGRES_URL").ok();
        let base = said.clone().unwrap_or_else(|| USUAL.to_owned());
        let mut db = match connect(&base) {
            Ok(db) => db,
            Err(error) if said.is_none() => {
                eprintln!("NOT TESTED: no PostgreSQL at {USUAL}: {error}; name one with PAIDUP_TEST_POSTGRES_URL");
                return None;
            }
            Err(error) => panic!("PAIDUP_TEST_POSTGRES_URL: {error}"),
        };
        let name = format!("paidup_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        db.batch(&format!("CREATE SCHEMA {name}")).unwrap();
        let mark = if base.contains('?') { '&' } else { '?' };
        Some(Schema { url: format!("{base}{mark}options=-c%20search_path%3D{name}"), name })
    }

    fn sql(&self, sql: &str) {
        connect(&self.url).unwrap().batch(sql).unwrap();
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            connect(&url).and_then(|mut db| db.batch(&format!("DROP SCHEMA {name} CASCADE")))
        });
        dropped.join().unwrap().unwrap();
    }
}

/// A schema, made where one may wait.
async fn fresh() -> Option<Schema> {
    tokio::task::spawn_blocking(Schema::fresh).await.unwrap()
}

fn options() -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_secs(2), ..OpenOptions::default() }
}

async fn try_open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    crate::open(url, options()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    for (name, case) in conformance::all() {
        let Some(schema) = fresh().await else { return };
        eprintln!("conformance: {name}");
        case(try_open(&schema.url).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_hub_is_refused_and_a_later_one_is_not() {
    let Some(schema) = fresh().await else { return };
    let first = try_open(&schema.url).await.unwrap();
    let second = try_open(&schema.url).await.err().unwrap();
    assert!(matches!(&second, StoreError::InUse(place) if place.contains(&schema.name)), "{second:?}");
    first.close().await.unwrap();
    drop(try_open(&schema.url).await.unwrap());
    try_open(&schema.url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_of_others_and_newer_ones_are_refused_with_the_reason() {
    for (sql, expected) in [
        ("CREATE TABLE theirs (x integer)", "tables of another program"),
        (
            "CREATE TABLE paidup_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL);
             INSERT INTO paidup_migrations VALUES (99, 'later')",
            "schema is version 99, and this program knows up to ",
        ),
    ] {
        let Some(schema) = fresh().await else { return };
        let schema = tokio::task::spawn_blocking(move || {
            schema.sql(sql);
            schema
        });
        let schema = schema.await.unwrap();
        let error = try_open(&schema.url).await.err().expect(expected);
        assert!(matches!(&error, StoreError::Corrupt(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_that_lead_nowhere_are_refused_without_their_password() {
    for (url, expected) in [
        ("postgres://hub:secret@127.0.0.1:1/paidup", "PostgreSQL cannot be reached"),
        ("postgres://hub:secret@db/paidup?sslmode=require", "sslmode=require is not available"),
        ("postgres://hub:secret@db/paidup?nonsense=1", "cannot be read"),
    ] {
        let error = try_open(url).await.err().expect(url).to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("secret"), "{url}: {error}");
    }
}

/// The server drops every connection, in the middle of the hub's life: it goes on, and nothing that it said yes to is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_is_made_again() {
    let Some(schema) = fresh().await else { return };
    let store = try_open(&schema.url).await.unwrap();
    let owner = customer("user-1");
    step(&*store, &owner, "sub-1", 1).await;
    let (url, name) = (schema.url.clone(), schema.name.clone());
    let broken = tokio::task::spawn_blocking(move || {
        let mut db = connect(&url).unwrap();
        let rows = db.query(
            "SELECT pg_terminate_backend(pid)
             FROM pg_locks
             WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
               AND (classid::bigint << 32 | objid::bigint) = hashtextextended('paidup ' || $1, 0)",
            &[&name],
        );
        rows.unwrap().len()
    });
    assert_eq!(broken.await.unwrap(), 1, "the writer's");
    // The first command may meet the broken connection and be refused; nobody is told yes for nothing.
    let mut told = 1;
    for second in 2..10 {
        if try_step(&*store, &owner, "sub-1", second).await.is_ok() {
            told += 1;
        }
    }
    assert!(told >= 8, "only {told}");
    assert_eq!(log(&*store).await.len(), told);
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
    assert_eq!(store.health().await.unwrap().failing, None);
}

async fn try_step(
    store: &dyn Store,
    owner: &paidup_lifecycle::customer::Customer,
    name: &str,
    second: i64,
) -> Result<(), StoreError> {
    let bought = purchase(name, owner);
    let told = event(paidup_lifecycle::event::EventType::SubscriptionRenewed, &bought, second);
    let changes = Changes {
        journal: Some(journal(&[], second)),
        purchases: vec![bought],
        customers: vec![owner.clone()],
        events: vec![told],
        ..Changes::default()
    };
    try_save(store, changes).await.map(|_| ())
}

/// What the other engine keeps, this one keeps in the same bytes: a journal of one folds into the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_keep_the_same_bytes() {
    let Some(schema) = fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let sqlite = try_open(&format!("sqlite:{}", folder.path().join("paidup.db").display())).await.unwrap();
    let postgres = try_open(&schema.url).await.unwrap();
    let hostile = customer("a\u{0}b\u{202e}\u{1f984}");
    let long = customer(&"x".repeat(10_000));
    for store in [&sqlite, &postgres] {
        for (number, owner) in [&hostile, &long, &customer("user-1")].into_iter().enumerate() {
            for second in 0..5 {
                step(&**store, owner, &format!("sub-{number}"), second).await;
            }
            let aliases = vec![(owner.aliases[0].clone(), owner.id)];
            save(&**store, Changes { aliases, ..Changes::default() }).await;
        }
        let wants = Wants { aliases: vec![hostile.aliases[0].clone(), long.aliases[0].clone()], ..Wants::default() };
        assert_eq!(look(&**store, wants).await.aliases.len(), 2);
    }
    assert_eq!(sqlite.compare(&*postgres, 10).await.unwrap(), []);
    assert_eq!(postgres.compare(&*sqlite, 10).await.unwrap(), []);
}

/// One changed byte is found, wherever it is, and named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_row_is_named() {
    for (sql, expected) in [
        ("UPDATE journal SET seed = set_byte(seed, 0, 1 + get_byte(seed, 0)) WHERE entry = 2", "entry 2"),
        ("UPDATE notifications SET body = set_byte(body, 2, 1 # get_byte(body, 2)) WHERE number = 3", "number 3"),
        ("DELETE FROM journal WHERE entry = 2", "entry 2"),
        ("UPDATE heads SET chain = set_byte(chain, 0, 1 # get_byte(chain, 0))", "partition 0"),
    ] {
        let Some(schema) = fresh().await else { return };
        let store = try_open(&schema.url).await.unwrap();
        for second in 1..=4 {
            step(&*store, &customer("user-1"), "sub-1", second).await;
        }
        assert_eq!(store.verify_journal(10).await.unwrap(), []);
        let schema = tokio::task::spawn_blocking(move || {
            schema.sql(sql);
            schema
        });
        let _schema = schema.await.unwrap();
        let found = store.verify_journal(10).await.unwrap();
        assert!(found.iter().any(|found| found.row == expected), "{sql}: {found:?}");
    }
}
