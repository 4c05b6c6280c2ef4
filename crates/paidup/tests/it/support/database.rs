//! Which database a test's hub gets: a file in its folder, or, where `PAIDUP_TEST_ON_POSTGRES` names a PostgreSQL database,
//! a schema of its own there (`scripts/postgres-check`).

use sha2::{Digest, Sha256};
use std::path::Path;

/// Where all hubs of all tests keep what they know, when it is not a file.
const ON_POSTGRES: &str = "PAIDUP_TEST_ON_POSTGRES";

/// The URL of the database of a hub whose folder this is: the same for the same folder.
pub(crate) async fn url(folder: &Path) -> String {
    match std::env::var(ON_POSTGRES) {
        Ok(base) => schema(base, folder).await,
        Err(_) => format!("sqlite:{}", folder.join("paidup.db").display()),
    }
}

async fn schema(base: String, folder: &Path) -> String {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("paidup_it_{short}");
    let mark = if base.contains('?') { '&' } else { '?' };
    let url = format!("{base}{mark}options=-c%20search_path%3D{name}");
    tokio::task::spawn_blocking(move || {
        let mut client = postgres::Client::connect(&base, postgres::NoTls).expect(ON_POSTGRES);
        client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {name}")).expect("a schema");
    })
    .await
    .expect("a connection");
    url
}
