//! The store in PostgreSQL 15 or later, in a schema of its own. One hub: an advisory lock keeps a second one out.
//!
//! `writer.rs` owns the connection that writes and commits in groups; `session.rs` is what it gathers; `reader.rs` are the
//! connections that read. `commit.rs` is the one door. The other files hold the SQL, one for each table or two, under the
//! names that SQLite's have; `migrations/postgres` says what the tables are.
//!
//! Left out so far: several hubs on one database (partitions have leases then), and TLS: reach a server elsewhere through
//! a tunnel or a local proxy.

mod agenda;
mod backfills;
mod claims;
mod commit;
mod customers;
mod db;
mod deliveries;
mod derived;
mod events;
mod journal;
mod lookups;
mod memories;
mod migrations;
mod notifications;
mod pruning;
mod purchases;
mod reader;
mod reconciles;
mod replays;
mod session;
mod setup;
mod snowflakes;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use crate::{OpenOptions, StoreError};
use db::{Db, Outcome, Use, get};
use parking_lot::Mutex;
use postgres::Config;
use postgres::config::SslMode;
use reader::Readers;
use session::Session;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use writer::Shared;

/// A store in one schema of a PostgreSQL database.
pub(crate) struct PostgresStore {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// How connections that write are made.
struct Opener {
    config: Config,
    patience: Duration,
}

impl Opener {
    fn connect(&self) -> Outcome<Db> {
        Db::open(&self.config, Use::Write, self.patience)
    }
}

impl PostgresStore {
    /// Connects, makes the tables when they are not there, and brings them to this version. Waits for the network, so it
    /// needs a thread that may wait.
    pub(crate) fn open(url: &str, options: &OpenOptions) -> Outcome<PostgresStore> {
        let config = parse(url)?;
        let opener = Opener { config: config.clone(), patience: options.busy_timeout };
        let mut db = opener.connect()?;
        refuse_old(&mut db)?;
        let is_ours = migrations::check(&mut db)?;
        if !is_ours && !options.create {
            return Err(StoreError::Unavailable("there is no Paidup in this database".to_owned()));
        }
        lock(&mut db)?;
        migrations::run(&mut db)?;
        let session = Session::new(db)?;
        let shared = Arc::new(Shared::new(&session.heads));
        let readers = Arc::new(Readers::new(config, options.busy_timeout, options.readers));
        let of_writer = shared.clone();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::serve(session, &opener, &of_writer))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(PostgresStore { shared, readers, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Takes nothing in any more and waits until all that was handed in is durable.
    fn shut(shared: &Shared, readers: &Readers, thread: &Mutex<Option<JoinHandle<()>>>) {
        readers.close();
        shared.queue.close();
        if let Some(Err(_)) = thread.lock().take().map(JoinHandle::join) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        let (shared, readers, thread) = (self.shared.clone(), self.readers.clone(), self.thread.clone());
        // Connections end with a farewell, which must not be waited for where tasks run.
        let shutting = std::thread::spawn(move || PostgresStore::shut(&shared, &readers, &thread));
        if shutting.join().is_err() {
            tracing::error!("closing the store panicked");
        }
    }
}

/// Reads the URL. What is wrong with it is said without its password.
fn parse(url: &str) -> Outcome<Config> {
    let unavailable = |detail: String| StoreError::Unavailable(detail);
    let config: Config = url.parse().map_err(|error: postgres::Error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        unavailable(format!("the database URL cannot be read: {why}; it looks like postgres://user:password@host/name"))
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        let detail = "sslmode=require is not available in this version: reach the server over a private network, a tunnel \
                      or a local proxy, and leave sslmode out";
        return Err(unavailable(detail.to_owned()));
    }
    Ok(config)
}

/// The first version whose behaviour was tested.
const OLDEST: i32 = 150_000;

fn refuse_old(db: &mut Db) -> Outcome<()> {
    let row = db.first("SELECT current_setting('server_version_num')::integer, current_schema()::text", &[])?;
    let Some(row) = row else { return Ok(()) };
    if get::<i32>(&row, 0)? < OLDEST {
        return Err(StoreError::Unavailable("Paidup needs PostgreSQL 15 or later".to_owned()));
    }
    if get::<Option<&str>>(&row, 1)?.is_none() {
        let detail = "the search_path names no schema that exists and may be used; create one for Paidup";
        return Err(StoreError::Unavailable(detail.to_owned()));
    }
    Ok(())
}

/// Keeps a second hub out for as long as this connection lives: an advisory lock of this database and schema.
fn lock(db: &mut Db) -> Outcome<()> {
    let row = db.first(
        "SELECT pg_try_advisory_lock(hashtextextended('paidup ' || current_schema(), 0)),
                current_database() || ', schema ' || current_schema()",
        &[],
    )?;
    match row {
        Some(row) if !get::<bool>(&row, 0)? => Err(StoreError::InUse(get(&row, 1)?)),
        Some(_) | None => Ok(()),
    }
}
