//! Reads: a few read-only connections, each call one snapshot, never in the writer's way.

use super::db::{Db, Outcome, Use};
use crate::StoreError;
use parking_lot::{Condvar, Mutex};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The pool. Connections are opened when needed and kept.
pub(super) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    pool: Mutex<Pool>,
    /// Told when a read ends.
    ended: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Db>,
    busy: usize,
    closed: bool,
}

/// A read that is under way.
struct Reading<'a>(&'a Readers);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.pool.lock().busy -= 1;
        self.0.ended.notify_all();
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Readers {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration, most: usize) -> Readers {
        let room = Arc::new(Semaphore::new(most.max(1)));
        Readers { path, busy_timeout, pool: Mutex::default(), ended: Condvar::new(), room }
    }

    /// Runs `work` on one snapshot of the database.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Outcome<T>
    where
        F: FnOnce(&Db) -> Outcome<T> + Send + 'static,
        T: Send + 'static,
    {
        let permit = self.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let (reading, db) = readers.take()?;
            let result = in_snapshot(&db, work);
            readers.give_back(db);
            drop((reading, permit));
            result
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read broke off: {error}")))?
    }

    fn take(&self) -> Outcome<(Reading<'_>, Db)> {
        let idle = {
            let mut pool = self.pool.lock();
            if pool.closed {
                return Err(closed());
            }
            pool.busy += 1;
            pool.idle.pop()
        };
        let reading = Reading(self);
        match idle {
            Some(db) => Ok((reading, db)),
            None => Ok((reading, Db::open(&self.path, Use::Read, self.busy_timeout)?)),
        }
    }

    fn give_back(&self, db: Db) {
        let mut pool = self.pool.lock();
        if !pool.closed {
            pool.idle.push(db);
        }
    }

    /// No more reads. Those under way end first: no reader holds the file open afterwards.
    pub(super) fn close(&self) {
        self.room.close();
        let mut pool = self.pool.lock();
        pool.closed = true;
        pool.idle.clear();
        while pool.busy > 0 {
            self.ended.wait(&mut pool);
        }
    }
}

fn in_snapshot<T>(db: &Db, work: impl FnOnce(&Db) -> Outcome<T>) -> Outcome<T> {
    db.conn.prepare_cached("BEGIN")?.execute([])?;
    let result = work(db);
    // Ends a snapshot that changed nothing, whatever came of the read; some failures have ended it already.
    if !db.conn.is_autocommit() {
        db.conn.prepare_cached("ROLLBACK")?.execute([])?;
    }
    result
}
