//! Copies the write-ahead log back into the database, off the writer's path.
//!
//! A thread with its own connection does it whenever the log has grown by a piece. Under unbroken load it never catches
//! up by itself (the writer appends while it copies), so past a size it asks the writer to copy the little that is left
//! between two transactions; then the log starts over. Its size also bounds how long a start after a crash takes.

use super::PAGE_BYTES;
use super::db::{Db, Use};
use parking_lot::{Condvar, Mutex};
use rusqlite::hooks::Wal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// The log is copied back each time it has grown by so many pages (256 KiB). A sync of many pages all over the file holds
/// up the writer's own syncs, which share the disk with it: with pieces of 4 MiB that was the slowest hundredth of all
/// deliveries. Under load the log grows by more than a piece meanwhile, so pieces become larger by themselves.
const PIECE: i64 = 256 * 1024 / PAGE_BYTES;

/// Past so many pages (64 MiB) it has to start over. Reading that much again after a crash takes about 100 ms.
const LONGEST: i64 = 64 * 1024 * 1024 / PAGE_BYTES;

/// The file is kept at that size for reuse, because writing over it is cheaper than growing it. It is what the log comes
/// to under load until it has started over, so that it is not cut and grown again each time.
pub(super) const KEPT_BYTES: i64 = 96 * 1024 * 1024;

/// How the writer and the checkpointer tell each other.
pub(super) struct Checkpoints {
    due: Mutex<Due>,
    wake: Condvar,
    must_finish: AtomicBool,
    /// Length of the log when it was last copied.
    copied_at: AtomicI64,
}

#[derive(Default)]
struct Due {
    now: bool,
    stopped: bool,
}

impl Checkpoints {
    pub(super) fn new() -> Checkpoints {
        Checkpoints {
            due: Mutex::default(),
            wake: Condvar::new(),
            must_finish: AtomicBool::new(false),
            copied_at: AtomicI64::new(0),
        }
    }

    /// Called by the writer after each commit with the pages in the log.
    pub(super) fn grown(&self, pages: i64) {
        let copied_at = self.copied_at.load(Ordering::Relaxed);
        if pages < copied_at {
            self.copied_at.store(0, Ordering::Relaxed);
        } else if pages - copied_at >= PIECE {
            self.copied_at.store(pages, Ordering::Relaxed);
            self.due.lock().now = true;
            self.wake.notify_one();
        }
    }

    /// Whether the writer shall copy the rest now; asked once for each wish.
    pub(super) fn must_finish(&self) -> bool {
        self.must_finish.load(Ordering::Relaxed) && self.must_finish.swap(false, Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.due.lock().stopped = true;
        self.wake.notify_one();
    }

    fn wait(&self) -> bool {
        let mut due = self.due.lock();
        while !due.now && !due.stopped {
            self.wake.wait(&mut due);
        }
        due.now = false;
        !due.stopped
    }
}

/// Serves until stopped. A failure is logged and tried again with the next piece: nothing is lost, the log grows.
pub(super) fn serve(path: &Path, busy_timeout: Duration, checkpoints: &Checkpoints) {
    let mut db = None;
    while checkpoints.wait() {
        if db.is_none() {
            db = Db::open(path, Use::Checkpoint, busy_timeout)
                .inspect_err(|error| tracing::warn!(%error, "the checkpointer could not open the database"))
                .ok();
        }
        let Some(db) = &db else { continue };
        match db.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1)) {
            Ok(pages) if pages > LONGEST => checkpoints.must_finish.store(true, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be copied back"),
        }
    }
}

/// Tells the checkpointer how the log grows.
pub(super) fn watch(db: &mut Db, shared: Arc<super::writer::Shared>) -> rusqlite::Result<()> {
    db.conn.wal_hook(Some(move |_: &mut Wal, pages: std::ffi::c_int| {
        shared.checkpoints.grown(i64::from(pages));
        Ok(())
    }))
}
