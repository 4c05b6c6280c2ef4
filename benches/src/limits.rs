//! What the machine itself can do, measured in the same run as the figures beside it: an echo, appends and overwrites
//! with fdatasync, SQLite rows in groups, P-256 verifications.

use crate::load::{self, Plan};
use crate::process::thread_cpu;
use anyhow::Result;
use axum::routing::post;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Echoes of `body` a second through axum in this process, at `connections`.
pub(crate) async fn echo(body: Vec<u8>, connections: usize, duration: Duration) -> Result<load::Outcome> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = axum::Router::new().route("/", post(|body: axum::body::Bytes| async move { body }));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let bytes = load::post("/", None, &body);
    let plan = Plan { connections, requests: u64::MAX, duration, rate: None };
    let outcome = load::run(address, plan, 200, move |_| bytes.clone()).await;
    server.abort();
    outcome
}

/// `write` + fdatasync a second: growing the file, or writing over the same place.
pub(crate) fn fdatasync(folder: &Path, bytes: usize, overwrite: bool, duration: Duration) -> Result<f64> {
    let path = folder.join(if overwrite { "overwrite" } else { "append" });
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = vec![7u8; bytes];
    if overwrite {
        file.write_all(&vec![0u8; bytes])?;
        file.sync_all()?;
    }
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < duration {
        if overwrite {
            file.write_all_at(&block, 0)?;
        } else {
            file.write_all(&block)?;
        }
        File::sync_data(&file)?;
        count += 1;
    }
    std::fs::remove_file(path)?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Rows a second that SQLite takes with WAL and synchronous=FULL, `group` rows of `bytes` a transaction.
pub(crate) fn sqlite_rows(folder: &Path, bytes: usize, group: usize, duration: Duration) -> Result<f64> {
    let path = folder.join("rows.db");
    let mut connection = rusqlite::Connection::open(&path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    let block = vec![7u8; bytes];
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < duration {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO rows (body) VALUES (?1)")?;
            for _ in 0..group {
                insert.execute([&block])?;
            }
        }
        transaction.commit()?;
        count += group as u64;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    drop(connection);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("rows.db{suffix}")));
    }
    Ok(rate)
}

/// P-256 verifications a second of CPU time on one core.
pub(crate) fn p256_verifications(duration: Duration) -> Result<f64> {
    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    };
    let random = SystemRandom::new();
    let failed = |_| anyhow::anyhow!("no P-256 key could be made");
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
        .map_err(|error| anyhow::anyhow!("the key was refused: {error}"))?;
    let message = [5u8; 4096];
    let signature = pair.sign(&random, &message).map_err(failed)?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let start = thread_cpu();
    let mut count = 0u64;
    while thread_cpu() - start < duration {
        for _ in 0..16 {
            key.verify(&message, signature.as_ref()).map_err(failed)?;
        }
        count += 16;
    }
    Ok(count as f64 / (thread_cpu() - start).as_secs_f64())
}
