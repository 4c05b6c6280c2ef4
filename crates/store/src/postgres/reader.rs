//! Reads: a few connections, each call one snapshot, never in the writer's way.

use super::db::{Db, Outcome, Use};
use crate::StoreError;
use parking_lot::{Condvar, Mutex};
use postgres::Config;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The pool. Connections are opened when needed and kept; one that broke is not.
pub(super) struct Readers {
    config: Config,
    patience: Duration,
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
    pub(super) fn new(config: Config, patience: Duration, most: usize) -> Readers {
        let room = Arc::new(Semaphore::new(most.max(1)));
        Readers { config, patience, pool: Mutex::default(), ended: Condvar::new(), room }
    }

    /// Runs `work` on one snapshot of the database.
    pub(super) async fn read<T, F>(self: &Arc<Self>, work: F) -> Outcome<T>
    where
        F: FnOnce(&mut Db) -> Outcome<T> + Send + 'static,
        T: Send + 'static,
    {
        let permit = self.room.clone().acquire_owned().await.map_err(|_| closed())?;
        let readers = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let (reading, mut db) = readers.take()?;
            let result = in_snapshot(&mut db, work);
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
            Some(db) if !db.is_gone() => Ok((reading, db)),
            Some(_) | None => Ok((reading, Db::open(&self.config, Use::Read, self.patience)?)),
        }
    }

    fn give_back(&self, db: Db) {
        let mut pool = self.pool.lock();
        if !pool.closed && !db.is_gone() {
            pool.idle.push(db);
        }
    }

    /// No more reads; waits for those under way. Closes connections on this thread, which must be one that may wait.
    pub(super) fn close(&self) {
        self.room.close();
        let idle = {
            let mut pool = self.pool.lock();
            pool.closed = true;
            while pool.busy > 0 {
                self.ended.wait(&mut pool);
            }
            std::mem::take(&mut pool.idle)
        };
        drop(idle);
    }
}

fn in_snapshot<T>(db: &mut Db, work: impl FnOnce(&mut Db) -> Outcome<T>) -> Outcome<T> {
    db.batch("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
    let result = work(db);
    // Ends a snapshot that changed nothing, whatever came of the read. What broke there is said by the read.
    match db.batch("ROLLBACK") {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
}
