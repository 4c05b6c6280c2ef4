//! The shared suite on this engine, and what only a file can do: be damaged, full, locked, of another.

use super::db::{Db, Use};
use super::{
    agenda, claims, customers, deliveries, events, journal, lookups, memories, migrations, notifications, pruning,
    purchases, snowflakes,
};
use crate::conformance::{self, *};
use crate::records::*;
use crate::{Changes, OpenOptions, Store, StoreError, Urgency};
use bytes::Bytes;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::ids::PurchaseId;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn options() -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_millis(20), ..OpenOptions::default() }
}

async fn try_open(path: &Path, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    crate::open(&format!("sqlite:{}", path.display()), options).await
}

async fn open(path: &Path) -> Arc<dyn Store> {
    try_open(path, options()).await.unwrap()
}

/// A folder for a file that is not there yet.
fn fresh() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paidup.db");
    (folder, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    for (name, case) in conformance::all() {
        eprintln!("conformance: {name}");
        let (_folder, path) = fresh();
        case(open(&path).await).await;
    }
}

#[tokio::test]
async fn urls_that_name_no_file_are_refused_with_the_reason() {
    let cases = [
        ("sqlite:", "takes the path of a file"),
        ("sqlite::memory:", "takes the path of a file"),
        ("sqlite:a.db?mode=ro", "takes the path of a file"),
        ("mysql://x", "begins with sqlite: or postgres:"),
        ("paidup.db", "begins with sqlite: or postgres:"),
        ("sqlite:/does/not/exist/paidup.db", "/does/not/exist/paidup.db"),
    ];
    for (url, expected) in cases {
        let error = crate::open(url, options()).await.err().expect(url).to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("secret"), "{url}: {error}");
    }
    let (_folder, path) = fresh();
    let missing = try_open(&path, OpenOptions { create: false, ..options() }).await.err();
    assert!(matches!(missing, Some(StoreError::Unavailable(_))), "{missing:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_second_hub_is_refused_and_a_later_one_is_not() {
    let (_folder, path) = fresh();
    let first = open(&path).await;
    let second = try_open(&path, options()).await.err();
    assert_eq!(second, Some(StoreError::InUse(path.display().to_string())));
    first.close().await.unwrap();
    let third = open(&path).await;
    drop(third);
    open(&path).await;
}

#[tokio::test]
async fn foreign_damaged_and_newer_files_are_refused_with_the_reason() {
    let make = |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    type Prepare = Box<dyn Fn(&Path)>;
    let cases: [(&str, Prepare, &str); 4] = [
        (
            "emptied beside its log",
            Box::new(|path| {
                std::fs::write(path, "").unwrap();
                std::fs::write(path.with_extension("db-wal"), "what was acknowledged").unwrap();
            }),
            "is missing or empty, but its write-ahead log (-wal) is not",
        ),
        (
            "text",
            Box::new(|path| std::fs::write(path, "not a database at all ".repeat(300)).unwrap()),
            "not a database",
        ),
        ("another program's", Box::new(make("CREATE TABLE theirs (x)")), "of another program"),
        (
            "newer",
            Box::new(|path| {
                let mut conn = Connection::open(path).unwrap();
                migrations::run(&mut conn).unwrap();
                conn.execute("INSERT INTO schema_migrations VALUES (99, 'later')", []).unwrap();
            }),
            "schema is version 99, and this program knows up to ",
        ),
    ];
    for (name, prepare, expected) in cases {
        let (_folder, path) = fresh();
        prepare(&path);
        let before = std::fs::read(&path).unwrap();
        let error = try_open(&path, options()).await.err().expect(name);
        assert!(matches!(error, StoreError::Corrupt(_)), "{name}: {error:?}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.to_string().contains("paidup.db"), "{name}: {error}");
        let after = std::fs::read(&path).unwrap();
        assert!(after == before, "{name}: the file was left as it is");
        assert!(error.to_string().contains("put a backup in its place"), "{name}: {error}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_drop() {
    let (_folder, path) = fresh();
    let owner = customer("user-1");
    let catalogue = Catalogue { revision: 1, ..Catalogue::default() };
    {
        let store = open(&path).await;
        for second in 1..=3 {
            step(&*store, &owner, "sub-1", second).await;
        }
        save(&*store, Changes { catalogue: Some(catalogue.clone()), ..Changes::default() }).await;
    }
    let store = open(&path).await;
    assert_eq!(log(&*store).await.len(), 3);
    assert_eq!(*store.catalogue(), catalogue);
    let next = step(&*store, &owner, "sub-1", 4).await;
    assert_eq!((next.entry, next.events[0].position), (Some(4), 4), "numbers go on");
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_one_file_that_holds_everything() {
    for _ in 0..30 {
        let (_folder, path) = fresh();
        let store = open(&path).await;
        step(&*store, &customer("user-1"), "sub-1", 1).await;
        let reads: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.customers(0, 10).await })
            })
            .collect();
        store.close().await.unwrap();
        assert!(!path.with_extension("db-wal").exists(), "the write-ahead log was copied back");
        for read in reads {
            let read = read.await.unwrap();
            assert!(matches!(&read, Ok(all) if all.len() == 1) || matches!(read, Err(StoreError::Unavailable(_))));
        }
    }
}

/// The child of the test below: commits, says each number once it is durable, and never ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_commits_until_it_is_killed() {
    let Some(path) = std::env::var_os("PAIDUP_STORE_CHILD") else { return };
    let store = open(Path::new(&path)).await;
    for second in 1..1_000_000 {
        let committed = step(&*store, &customer(&format!("user-{}", second % 50)), "sub", second).await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ndurable {}", committed.entry.unwrap()).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let (_folder, path) = fresh();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "sqlite::tests::child_that_commits_until_it_is_killed"])
        .env("PAIDUP_STORE_CHILD", &path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(entry) = line.unwrap().strip_prefix("durable ") {
            acknowledged = entry.parse::<u64>().unwrap();
        }
        if acknowledged >= 100 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged, 100, "the child committed");
    let store = open(&path).await;
    let entries = store.journal_after(0, 0, 1000).await.unwrap();
    assert!(entries.len() as u64 >= acknowledged, "{} of {acknowledged}", entries.len());
    assert_eq!(log(&*store).await.len(), entries.len(), "whole transactions only");
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_tells_everybody_no_and_passes() {
    let (_folder, path) = fresh();
    let store = try_open(&path, OpenOptions { max_bytes: Some(1 << 20), ..options() }).await.unwrap();
    let owner = customer("user-1");
    store.put_meta("ballast", vec![1; 300_000]).await.unwrap();
    let noise = |number: u64| {
        let mut kept = notification(&format!("n-{number}"), Some(PurchaseId([1; 16])));
        // Such bytes cannot be packed.
        let mut state = number + 1;
        kept.body = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(20_000)
        .collect::<Bytes>()
        .into();
        Changes { journal: Some(journal(&[&kept], 1)), notifications: vec![kept], ..Changes::default() }
    };
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (store, changes) = (store.clone(), noise(number));
        commits.spawn(async move { (number, try_save(&*store, changes).await) });
    }
    let results = commits.join_all().await;
    let mut told_yes = results.iter().filter(|(_, result)| result.is_ok()).count();
    for error in results.iter().filter_map(|(_, result)| result.as_ref().err()) {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    assert!(told_yes < 200, "the disk was full at some time");
    // A group that was too much for the disk says nothing about a smaller one: fill it to the last.
    for number in 200.. {
        match try_save(&*store, noise(number)).await {
            Ok(_) => told_yes += 1,
            Err(_) => break,
        }
    }
    assert!(store.health().await.unwrap().failing.is_some());
    let kept = store.journal_after(0, 0, 1000).await.unwrap();
    assert_eq!(kept.len(), told_yes, "exactly those who were told yes are kept");
    assert_eq!(store.verify_journal(10).await.unwrap(), []);

    // Space comes back.
    Connection::open(&path).unwrap().execute("DELETE FROM meta WHERE name = 'ballast'", []).unwrap();
    let committed = step(&*store, &owner, "sub-1", 1).await;
    assert_eq!(committed.entry, Some(kept.len() as u64 + 1), "numbers go on without a gap");
    assert_eq!(committed.events[0].position, 1);
    assert_eq!(store.health().await.unwrap().failing, None);
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_locked_file_is_unavailable_until_it_is_free() {
    let (_folder, path) = fresh();
    let store = open(&path).await;
    let owner = customer("user-1");
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = try_save(&*store, Changes::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(store.customer("user-1").await.unwrap(), None, "reading goes on");
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!(step(&*store, &owner, "sub-1", 1).await.entry, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_finds_out_by_itself_that_it_can_be_written_again() {
    let (_folder, path) = fresh();
    let store = open(&path).await;
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    try_save(&*store, Changes::default()).await.unwrap_err();
    let failing = async || store.health().await.unwrap().failing;
    assert_eq!(failing().await.as_deref(), Some("another program holds a lock on the database file"));
    shell.execute_batch("ROLLBACK").unwrap();
    while failing().await.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.meta("room").await.unwrap(), None, "what it tried with is gone");
}

#[tokio::test]
async fn a_page_that_is_damaged_concerns_only_those_who_need_it() {
    let (_folder, path) = fresh();
    let owner = customer("user-1");
    let store = open(&path).await;
    step(&*store, &owner, "sub-1", 1).await;
    store.close().await.unwrap();
    // The root page of purchases.
    let shell = Connection::open(&path).unwrap();
    let number = |sql: &str| shell.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned();
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = 'purchases'");
    let size = number("PRAGMA page_size");
    drop(shell);
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((page - 1) * size)).unwrap();
    file.write_all(&vec![0xEE; usize::try_from(size).unwrap()]).unwrap();
    let store = open(&path).await;
    let read = store.purchase(purchase("sub-1", &owner).id).await.unwrap_err();
    assert!(matches!(read, StoreError::Corrupt(_)), "{read:?}");
    let wants = crate::Wants { purchases: vec![purchase("sub-1", &owner).id], ..crate::Wants::default() };
    let (bad, good) = tokio::join!(
        store.commit(Urgency::Intake, deciding(wants, |_| Ok(Changes::default()))),
        try_save(&*store, Changes { journal: Some(journal(&[], 2)), ..Changes::default() }),
    );
    assert!(matches!(bad, Err(StoreError::Corrupt(_))), "{bad:?}");
    assert_eq!(good.unwrap().entry, Some(2), "its neighbour is served");
    assert_eq!(store.customer("user-1").await.unwrap(), Some(owner));
}

/// Every value that differs from `value` in one byte: in its first, a middle and its last one.
fn flips(value: &Value) -> Vec<Value> {
    let bytes = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let places: std::collections::BTreeSet<usize> = [0, bytes.len() / 2, bytes.len().saturating_sub(1)].into();
        let flipped = places.into_iter().filter(|place| *place < bytes.len()).map(|place| {
            let mut flipped = bytes.to_vec();
            flipped[place] ^= 1;
            flipped
        });
        flipped.collect()
    };
    match value {
        Value::Null => vec![Value::Blob(vec![1; 16])],
        Value::Integer(number) => vec![Value::Integer(number ^ 1), Value::Integer(number ^ 0x1_0000)],
        Value::Real(_) => panic!("no column is a float"),
        Value::Text(text) => {
            bytes(text.as_bytes()).into_iter().map(|text| Value::Text(String::from_utf8(text).unwrap())).collect()
        }
        Value::Blob(blob) => bytes(blob).into_iter().map(Value::Blob).collect(),
    }
}

#[tokio::test]
async fn one_changed_byte_in_any_column_is_found_and_named() {
    let (_folder, path) = fresh();
    let store = open(&path).await;
    let owner = customer("user-1");
    for second in 1..=4 {
        let bought = purchase("sub-1", &owner);
        let mut kept = notification(&format!("n-{second}"), Some(bought.id));
        kept.shared = vec![Bytes::from(vec![second as u8; 100])];
        let journal = Some(journal(&[&kept], second));
        save(&*store, Changes { journal, notifications: vec![kept], ..Changes::default() }).await;
    }
    let shell = Connection::open(&path).unwrap();
    shell.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let journal_columns =
        journal::COLUMNS.iter().chain(&["digests", "chain"]).map(|column| ("journal", "entry", *column));
    let kept_columns =
        notifications::COLUMNS.iter().chain(&["digests", "seal"]).map(|column| ("notifications", "number", *column));
    let part_columns = [("shared_parts", "number", "body")];
    for (table, key, column) in journal_columns.chain(kept_columns).chain(part_columns) {
        for row in [1, 3, 4] {
            let read = format!("SELECT {column} FROM {table} WHERE rowid = ?1");
            let value: Value = shell.query_row(&read, [row], |row| row.get(0)).unwrap();
            for flipped in flips(&value) {
                if column == key && matches!(flipped, Value::Integer(..=4)) {
                    continue; // There is such a row already: no damage of one byte can give two of them.
                }
                let now_at = if let (true, Value::Integer(number)) = (column == key, &flipped) { *number } else { row };
                let write = format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1");
                shell.execute(&write, (row, &flipped)).unwrap();
                let found = store.verify_journal(100).await.unwrap();
                let named = found.iter().any(|found| {
                    found.table == table && found.row == format!("{key} {now_at}") && found.column == Some(column)
                });
                assert!(named, "{table}.{column} of {row}, {value:?} became {flipped:?}: {found:?}");
                shell.execute(&write, (now_at, &value)).unwrap();
                assert_eq!(store.verify_journal(10).await.unwrap(), [], "{table}.{column} was put right");
            }
        }
    }
}

#[tokio::test]
async fn missing_and_added_rows_are_found() {
    let cases = [
        ("first entry", "DELETE FROM journal WHERE entry = 1", "journal", "entry 1"),
        ("an entry", "DELETE FROM journal WHERE entry = 2", "journal", "entry 2"),
        ("last entry", "DELETE FROM journal WHERE entry = 3", "journal", "entry 3"),
        ("all entries", "DELETE FROM journal", "journal", "entry 1 to 3"),
        (
            "an added entry",
            "INSERT INTO journal SELECT 4, decided_at, engine_version, catalogue_revision, policy_revision, seed, input,
             notifications, kept_from, kept, digests, chain FROM journal WHERE entry = 3",
            "journal",
            "entry 4",
        ),
        ("a notification", "DELETE FROM notifications WHERE number = 2", "notifications", "number 2"),
        ("the last notification", "DELETE FROM notifications WHERE number = 3", "notifications", "number 3"),
        ("the shared part", "DELETE FROM shared_parts", "notifications", "number 1"),
        ("the end of the chain", "UPDATE heads SET chain = zeroblob(32)", "heads", "partition 0"),
    ];
    for (name, damage, table, row) in cases {
        let (_folder, path) = fresh();
        let store = open(&path).await;
        for second in 1..=3 {
            let mut kept = notification(&format!("n-{second}"), Some(PurchaseId([1; 16])));
            kept.shared = vec![Bytes::from_static(b"a chain of certificates")];
            let journal = Some(journal(&[&kept], second));
            save(&*store, Changes { journal, notifications: vec![kept], ..Changes::default() }).await;
        }
        Connection::open(&path).unwrap().execute_batch(damage).unwrap();
        let found = store.verify_journal(100).await.unwrap();
        assert!(found.iter().any(|found| found.table == table && found.row == row), "{name}: {found:?}");
        assert_eq!(store.verify_journal(1).await.unwrap().len(), 1, "{name}: at most the limit");
    }
}

#[tokio::test]
async fn stores_that_differ_are_told_apart_row_by_row() {
    let (_one_folder, one_path) = fresh();
    let (_other_folder, other_path) = fresh();
    let (one, other) = (open(&one_path).await, open(&other_path).await);
    for store in [&one, &other] {
        for number in 0..4 {
            step(&**store, &customer(&format!("user-{number}")), &format!("sub-{number}"), number).await;
        }
    }
    assert_eq!(one.compare(&*other, 10).await.unwrap(), []);
    let owner = customer("user-1");
    let mut changed = purchase("sub-1", &owner);
    changed.seq = 7;
    let mut renamed = owner.clone();
    renamed.revision = 9;
    let more = customer("user-9");
    let changes = Changes {
        purchases: vec![changed.clone()],
        customers: vec![renamed, more.clone()],
        other_ids: vec![(purchase("sub-2", &owner).id, changed.id)],
        aliases: vec![("user-2".to_owned(), more.id), ("another".to_owned(), more.id)],
        events: vec![event(paidup_lifecycle::event::EventType::Activate, &changed, 9)],
        catalogue: Some(Catalogue { revision: 1, ..Catalogue::default() }),
        ..Changes::default()
    };
    save(&*other, changes).await;
    let found = one.compare(&*other, 100).await.unwrap();
    let named: Vec<(&str, &str)> = found.iter().map(|found| (found.table, found.row.as_str())).collect();
    let other_id = purchase("sub-2", &owner).id.to_string();
    let (changed_id, owner_id, more_id) = (changed.id.to_string(), owner.id.to_string(), more.id.to_string());
    let mut expected = vec![
        ("events", "position 5"),
        ("purchases", changed_id.as_str()),
        ("purchase_other_ids", other_id.as_str()),
        ("customers", owner_id.as_str()),
        ("customers", more_id.as_str()),
        ("aliases", "another"),
        ("aliases", "user-2"),
        ("catalogue", "the catalogue"),
    ];
    let mut sorted = named.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected, "{found:?}");
    assert_eq!(one.compare(&*other, 2).await.unwrap().len(), 2);
}

/// A caller that goes away (its connection broke) takes nothing back.
#[tokio::test]
async fn a_cancelled_caller_is_served_all_the_same() {
    let (_folder, path) = fresh();
    let store = open(&path).await;
    let changes = Changes { journal: Some(journal(&[], 1)), ..Changes::default() };
    let decision = deciding(crate::Wants::default(), move |_| Ok(changes.clone()));
    let mut commit = store.commit(Urgency::Intake, decision);
    let once = std::future::poll_fn(|context| {
        assert!(commit.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    });
    once.await;
    drop(commit);
    save(&*store, Changes { journal: Some(journal(&[], 2)), ..Changes::default() }).await;
    assert_eq!(store.journal_after(0, 0, 10).await.unwrap().len(), 2);
}

/// How SQLite goes about a statement, as one line.
fn plan(db: &Db, sql: &str) -> String {
    let mut statement = db.conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = statement.parameter_count();
    let values = vec![Value::Null; parameters];
    let steps = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[tokio::test]
async fn hot_queries_go_by_their_key_or_index() {
    let (_folder, path) = fresh();
    let store = open(&path).await;
    step(&*store, &customer("user-1"), "sub-1", 1).await;
    store.close().await.unwrap();
    let db = Db::open(&path, Use::Write, Duration::ZERO).unwrap();
    let attempts = |query: AttemptQuery| deliveries::attempts_sql(&query);
    let of_event = AttemptQuery { event: Some(paidup_lifecycle::ids::EventId([1; 16])), ..AttemptQuery::default() };
    let of_hook =
        AttemptQuery { destination: Some(paidup_lifecycle::ids::DestinationId([1; 16])), ..AttemptQuery::default() };
    let failed = AttemptQuery { state: Some(DeliveryState::Failed), ..AttemptQuery::default() };
    let cases = [
        (purchases::BY_KEY.to_owned(), "SEARCH purchases USING INTEGER PRIMARY KEY"),
        (customers::BY_KEY.to_owned(), "SEARCH customers USING INTEGER PRIMARY KEY"),
        (memories::RECALL.to_owned(), "SEARCH m USING INDEX sqlite_autoindex_memories_1 (destination=? AND key=?)"),
        (pruning::NEEDED.to_owned(), "SEARCH k USING PRIMARY KEY (destination=? AND partition=?)"),
        (purchases::OF_CUSTOMER.to_owned(), "SEARCH purchases USING INDEX purchases_by_customer (customer_id=?)"),
        (snowflakes::UPWARDS.to_owned(), "SEARCH purchases USING INDEX purchases_by_snowflake (snowflake>? AND"),
        (snowflakes::DOWNWARDS.to_owned(), "SEARCH purchases USING INDEX purchases_by_snowflake (snowflake>? AND"),
        (snowflakes::PURCHASE_TAKEN.to_owned(), "USING COVERING INDEX purchases_by_snowflake (snowflake=?)"),
        (snowflakes::CUSTOMER_TAKEN.to_owned(), "USING COVERING INDEX customers_by_snowflake (snowflake=?)"),
        (snowflakes::CUSTOMER.to_owned(), "INDEX customers_by_snowflake (snowflake=?)"),
        (purchases::BY_OTHER_ID.to_owned(), "SEARCH purchase_other_ids USING PRIMARY KEY (id=?)"),
        (claims::WAITING_FOR.to_owned(), "SEARCH claim_waits USING PRIMARY KEY (waits_for=?)"),
        (claims::OF_CUSTOMER.to_owned(), "SEARCH claims USING INDEX claims_by_customer (customer=?)"),
        (claims::WAITING.to_owned(), "SEARCH claims USING INDEX claims_that_wait (claimed_at<?)"),
        (customers::ALIASES_FROM.to_owned(), "SEARCH aliases USING PRIMARY KEY (alias>?)"),
        (customers::ALIASES_BEFORE.to_owned(), "SEARCH aliases USING PRIMARY KEY (alias<?)"),
        (journal::ABOUT.to_owned(), "SEARCH notifications USING INTEGER PRIMARY KEY"),
        (customers::ALIAS.to_owned(), "SEARCH aliases USING PRIMARY KEY"),
        (customers::MERGED_INTO.to_owned(), "INDEX customers_merged (merged_into=?)"),
        (customers::BY_AGE.to_owned(), "SEARCH a USING INTEGER PRIMARY KEY"),
        (events::AFTER.to_owned(), "SEARCH events USING INTEGER PRIMARY KEY"),
        (events::BY_ID.to_owned(), "SEARCH events USING INDEX events_by_id"),
        (events::LISTED.to_owned(), "SEARCH events USING COVERING INDEX events_listed"),
        (agenda::DUE_QUESTIONS.to_owned(), "USING INDEX questions_of_source (source_id=? AND ask_at<?)"),
        (lookups::DUE.to_owned(), "USING INDEX lookups_of_source (source_id=? AND ask_at<?)"),
        (journal::AFTER.to_owned(), "SEARCH journal USING INTEGER PRIMARY KEY"),
        (notifications::KNOWN.to_owned(), "INDEX notifications_without_purchase (id=?)"),
        (notifications::UNFILED.to_owned(), "SEARCH notifications USING INTEGER PRIMARY KEY"),
        (notifications::FILED.to_owned(), "SEARCH notification_places USING PRIMARY KEY (bucket=? AND id_start=?)"),
        (notifications::BY_NUMBER.to_owned(), "SEARCH notifications USING INTEGER PRIMARY KEY"),
        (notifications::LISTED.to_owned(), "SEARCH notifications USING INTEGER PRIMARY KEY"),
        (notifications::LISTED_NOTABLE.to_owned(), "INDEX notifications_notable (outcome=? AND number<?)"),
        (agenda::DUE.to_owned(), "SEARCH deadlines USING PRIMARY KEY (due_at<?)"),
        (deliveries::PARKED.to_owned(), "SEARCH p USING PRIMARY KEY (destination=?)"),
        (deliveries::GIVEN_UP.to_owned(), "USING INDEX attempts_given_up (destination=? AND position>?"),
        (
            deliveries::WAITING_LANES.to_owned(),
            "SEARCH p USING PRIMARY KEY (destination=? AND partition=? AND position>?)",
        ),
        (
            deliveries::WAITING_LANES.to_owned(),
            "SEARCH e USING INDEX parked_by_lane (destination=? AND lane=? AND position<?)",
        ),
        (attempts(of_event), "USING INDEX attempts_by_event (event_id=?"),
        (attempts(of_hook), "USING INDEX attempts_by_destination (destination=?"),
        (attempts(failed), "USING INDEX attempts_in_trouble (state=?"),
        (attempts(AttemptQuery::default()), "SEARCH a USING INTEGER PRIMARY KEY (rowid<?)"),
    ];
    for (sql, expected) in cases {
        let plan = plan(&db, &sql);
        assert!(plan.contains(expected), "{sql}: {plan}");
        assert!(!plan.contains("SCAN"), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
    let sorted = plan(&db, snowflakes::OF_CUSTOMER);
    assert!(sorted.contains("SEARCH purchases USING INDEX purchases_by_customer (customer_id=?)"), "{sorted}");
}
