//! Reads: a few read-only connections, each call one snapshot, never in the writer's way.

use super::db::{Db, Outcome, Use};
use crate::StoreError;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The pool. Connections are opened when needed and kept.
pub(super) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    idle: Mutex<Vec<Db>>,
    room: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration, most: usize) -> Readers {
        Readers { path, busy_timeout, idle: Mutex::default(), room: Arc::new(Semaphore::new(most.max(1))) }
    }

    /// Runs `work` on one snapshot of the database.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Outcome<T>
    where
        F: FnOnce(&Db) -> Outcome<T> + Send + 'static,
        T: Send + 'static,
    {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let permit = self.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().pop();
            let db = match idle {
                Some(db) => db,
                None => Db::open(&readers.path, Use::Read, readers.busy_timeout)?,
            };
            let result = in_snapshot(&db, work);
            readers.idle.lock().push(db);
            drop(permit);
            result
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read broke off: {error}")))?
    }

    /// No more reads. Those under way end first.
    pub(super) fn close(&self) {
        self.room.close();
        self.idle.lock().clear();
    }
}

fn in_snapshot<T>(db: &Db, work: impl FnOnce(&Db) -> Outcome<T>) -> Outcome<T> {
    db.conn.prepare_cached("BEGIN")?.execute([])?;
    let result = work(db);
    // Ends a snapshot that changed nothing, whatever came of the read.
    db.conn.prepare_cached("ROLLBACK")?.execute([])?;
    result
}
