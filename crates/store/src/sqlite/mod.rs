//! The store in one SQLite file: no set-up, one hub.
//!
//! `writer.rs` owns the connection that writes and commits in groups; `queue.rs` is what waits for it; `reader.rs` are
//! the connections that read; `checkpoint.rs` keeps the write-ahead log short. `commit.rs` is the one door. The other
//! files hold the SQL, one for each table or two; `migrations/sqlite` says what the tables are and why.

mod agenda;
mod backfills;
mod borrow;
mod checkpoint;
mod claims;
mod commit;
mod customers;
mod db;
mod deliveries;
mod derived;
mod events;
mod hot;
mod journal;
mod keyed;
mod lookups;
mod memories;
mod migrations;
mod notifications;
mod pruning;
mod purchases;
mod reader;
mod reconciles;
mod replays;
mod rows;
mod session;
mod setup;
mod snowflakes;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use crate::{OpenOptions, StoreError};
use db::{Db, Outcome, Use};
use parking_lot::Mutex;
use reader::Readers;
use session::Session;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use writer::Shared;

/// A store in one file.
pub(crate) struct SqliteStore {
    path: PathBuf,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    threads: Arc<Mutex<Threads>>,
}

/// What ends with the store.
struct Threads {
    writer: Option<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    /// Held for life: a second hub on the same file is refused.
    lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, makes it when it is not there, and brings it to this version.
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Outcome<SqliteStore> {
        if !options.create && !path.exists() {
            return Err(StoreError::Unavailable(format!("there is no file {}", path.display())));
        }
        let lock = lock(path)?;
        refuse_emptied(path).map_err(|error| with_path(error, path))?;
        let named = |error: StoreError| with_path(error, path);
        let mut db = Db::open(path, Use::Write, options.busy_timeout).map_err(named)?;
        prepare(&mut db, options).map_err(named)?;
        let session = Session::new(db).map_err(named)?;
        let shared = Arc::new(Shared::new(&session.heads));
        let readers = Arc::new(Readers::new(path.to_owned(), options.busy_timeout, options.readers));
        let threads = start(path, options, session, &shared, lock)?;
        Ok(SqliteStore { path: path.to_owned(), shared, readers, threads: Arc::new(Mutex::new(threads)) })
    }

    /// Takes nothing in any more and waits until all that was handed in is durable.
    fn shut(shared: &Shared, readers: &Readers, threads: &Mutex<Threads>) {
        // Before the writer ends: the last to close the file has to be one who may write, or the write-ahead log stays.
        readers.close();
        shared.queue.close();
        let mut threads = threads.lock();
        join(threads.writer.take());
        shared.checkpoints.stop();
        join(threads.checkpointer.take());
        threads.lock.take();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        SqliteStore::shut(&self.shared, &self.readers, &self.threads);
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(Err(_)) = thread.map(JoinHandle::join) {
        tracing::error!("a thread of the store panicked");
    }
}

/// Takes the lock file beside the database.
fn lock(path: &Path) -> Outcome<File> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let unavailable =
        |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", Path::new(&lock_path).display()));
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// A file that was emptied beside its write-ahead log is damage: SQLite would take it for a new one and delete the log.
fn refuse_emptied(path: &Path) -> Outcome<()> {
    let length = |path: &Path| std::fs::metadata(path).map(|file| file.len()).ok();
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match (length(path), length(log.as_ref())) {
        (None | Some(0), Some(1..)) => {
            let detail = "the file is missing or empty, but its write-ahead log (-wal) is not; \
                          for a new database move that away too";
            Err(StoreError::Corrupt(detail.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Page size of new files. A notification dirties two random pages, whatever they hold: pages of 2 KiB instead of 4 save
/// a tenth of the work and half of the bytes in the write-ahead log. Rows of half a kilobyte still fit four to a page.
const PAGE_BYTES: i64 = 2048;

/// Settles how the file is written, then its schema.
fn prepare(db: &mut Db, options: &OpenOptions) -> Outcome<()> {
    // Before anything is set: setting the mode writes to the file, and it may not be ours.
    migrations::check(&db.conn)?;
    db.conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = db.conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!("the file system does not allow a write-ahead log ({mode})")));
    }
    db.conn.pragma_update(None, "synchronous", "FULL")?;
    db.conn.pragma_update(None, "foreign_keys", true)?;
    db.conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.conn.pragma_update(None, "journal_size_limit", checkpoint::KEPT_BYTES)?;
    migrations::run(&mut db.conn)?;
    if let Some(bytes) = options.max_bytes {
        let page: i64 = db.conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        db.conn.pragma_update(None, "max_page_count", db::int(bytes) / page)?;
    }
    Ok(())
}

/// Starts the writer and the checkpointer.
fn start(
    path: &Path,
    options: &OpenOptions,
    mut session: Session,
    shared: &Arc<Shared>,
    lock: File,
) -> Outcome<Threads> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
    checkpoint::watch(&mut session.db, shared.clone())?;
    let (of_writer, of_checkpointer) = (shared.clone(), shared.clone());
    let writer = std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer::serve(session, &of_writer))
        .map_err(unavailable)?;
    let (path, busy_timeout) = (path.to_owned(), options.busy_timeout);
    let checkpointer = std::thread::Builder::new()
        .name("store-checkpointer".to_owned())
        .spawn(move || checkpoint::serve(&path, busy_timeout, &of_checkpointer.checkpoints))
        .map_err(unavailable)?;
    Ok(Threads { writer: Some(writer), checkpointer: Some(checkpointer), lock: Some(lock) })
}

/// Says which file it is about, and what to do with one that cannot be ours.
fn with_path(error: StoreError, path: &Path) -> StoreError {
    let named = |detail: String| format!("{}: {detail}", path.display());
    match error {
        StoreError::Unavailable(detail) => StoreError::Unavailable(named(detail)),
        StoreError::Corrupt(detail) => StoreError::Corrupt(format!(
            "{}; it was left as it is: put a backup in its place, or name another file with PAIDUP_DATABASE_URL",
            named(detail)
        )),
        StoreError::InUse(_)
        | StoreError::Inconsistent { .. }
        | StoreError::Refused(_)
        | StoreError::DecisionPanicked(_) => error,
    }
}
