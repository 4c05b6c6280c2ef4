//! Starting the program: what it refuses, and in which words.

use crate::support::{Program, TestHub, start};
use serde_json::json;
use std::path::Path;

const NOW: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn a_second_hub_on_one_database_is_refused() {
    let hub = TestHub::start(NOW).await;
    let source = hub.source("generic", json!({})).await;
    let said = Program::refuses(&hub.database());
    let expected = format!("another hub is using this database: {}", hub.database().display());
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("stop it, or name another file with PAIDUP_DATABASE_URL"), "{said}");
    hub.observe(&source, start("n1", "user-1", "sub-1", NOW, "2026-02-01T00:00:00Z")).await;
    hub.stop().await;
}

/// A database with something in it, closed, and the key that belongs to it.
async fn lived(path: &Path, key: &Path) {
    let hub = TestHub::start(NOW).await;
    let source = hub.source("generic", json!({})).await;
    for number in 0..20 {
        let body = start(&format!("n{number}"), "user-1", &format!("sub-{number}"), NOW, "2026-02-01T00:00:00Z");
        hub.observe(&source, body).await;
    }
    hub.restart_after(|database| {
        std::fs::copy(database, path).expect("a copy");
        std::fs::copy(database.with_file_name("paidup.key"), key).expect("a copy");
    })
    .await
    .stop()
    .await;
}

#[tokio::test]
async fn a_database_that_is_damaged_or_not_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("paidup.db");
    let key = folder.path().join("backup.key");
    lived(&database, &key).await;
    let good = std::fs::read(&database).expect("a database");
    let beginning = [vec![0; 2048], good[2048..].to_vec()].concat();
    let mut schema = good.clone();
    schema[100..2048].fill(0xEE);
    let cases: [(&str, Vec<u8>); 4] = [
        ("another format", "these are my notes\n".repeat(500).into_bytes()),
        ("no beginning", beginning),
        ("a damaged schema", schema),
        ("cut off", good[..good.len() / 2].to_vec()),
    ];
    for (name, bytes) in cases {
        std::fs::write(&database, &bytes).expect("written");
        let said = Program::refuses(&database);
        assert!(said.contains(&database.display().to_string()), "{name}: {said}");
        assert!(said.contains("the database is damaged or not ours"), "{name}: {said}");
        assert!(said.contains("put a backup in its place"), "{name}: {said}");
        assert!(std::fs::read(&database).expect("still there") == bytes, "{name}: it was left as it is");
        assert!(!folder.path().join("paidup.key").exists(), "{name}: no key is made for it");
    }
    // The backup goes in its place, and all is well.
    std::fs::copy(key, folder.path().join("paidup.key")).expect("a copy");
    std::fs::write(&database, &good).expect("written");
    let program = Program::serve(&database);
    program.stop();
}

#[test]
fn unknown_settings_name_the_nearest_known_one() {
    let cases = [
        (
            "environment",
            &["serve"][..],
            &[("PAIDUP_LISTN", "127.0.0.1:0")][..],
            "unknown setting PAIDUP_LISTN; did you mean PAIDUP_LISTEN?",
        ),
        ("secret in a file", &["serve"], &[("PAIDUP_ADMIN_KEYFILE", "/k")], "did you mean PAIDUP_ADMIN_KEY"),
        ("another command", &["keys", "list"], &[("PAIDUP_DATABSE_URL", "x")], "did you mean PAIDUP_DATABASE_URL?"),
        ("like none", &["serve"], &[("PAIDUP_QQQ", "x")], "unknown setting PAIDUP_QQQ"),
    ];
    for (name, arguments, settings, expected) in cases {
        let output = Program::run(arguments, settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("paidup.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:0\"\n").expect("a file");
    let output = Program::run(&["serve", "--config", file.to_str().expect("a path")], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("did you mean PAIDUP_LISTEN?"), "{said}");
}
