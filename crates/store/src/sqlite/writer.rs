//! The one that writes: takes a group of commands, applies them, commits once, then answers all.
//!
//! A command that fails before it wrote anything (refused, a bug in deciding) has nothing to undo. Should one fail after
//! that, the group is undone and applied once more, now each command in a savepoint: savepoints copy every page that is
//! changed, which is a tenth of the work and hardly ever of use.
//!
//! Nothing waits for company: an idle writer commits a lone command at once, and whatever arrives while the disk is busy
//! makes the next group. Nobody is told yes before the commit returned; a commit that failed tells everybody no.

use super::checkpoint::Checkpoints;
use super::db::{Db, Outcome, uint};
use super::session::{Heads, Session, read_heads, write_heads};
use crate::queue::{Group, Job, Queue, Taken, panic_text, reason};
use crate::{Listener, StoreError};
use paidup_lifecycle::catalogue::Catalogue;
use parking_lot::{Mutex, RwLock};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the writer shares with its callers.
pub(super) struct Shared {
    pub(super) queue: Queue<Session>,
    pub(super) checkpoints: Checkpoints,
    pub(super) listener: RwLock<Option<Listener>>,
    pub(super) catalogue: RwLock<Arc<Catalogue>>,
    pub(super) position: AtomicU64,
    pub(super) transactions: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) failing: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(heads: &Heads) -> Shared {
        Shared {
            queue: Queue::new(),
            checkpoints: Checkpoints::new(),
            listener: RwLock::new(None),
            catalogue: RwLock::new(heads.catalogue.clone()),
            position: AtomicU64::new(heads.position),
            transactions: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            failing: Mutex::new(None),
        }
    }
}

/// While writing fails and nobody has anything to write, the writer tries by itself this often: a hub that says that it
/// is not ready is sent nothing, and has to find out alone that it is again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What a try writes: a few notifications. Its pages stay with the file, so those will fit.
const ROOM_BYTES: i64 = 64 * 1024;

/// Serves the queue until it is closed and empty.
pub(super) fn serve(mut session: Session, shared: &Shared) {
    loop {
        let patience = shared.failing.lock().is_some().then_some(TRY_AGAIN);
        match shared.queue.take(patience) {
            Taken::Group(jobs) => {
                if shared.checkpoints.must_finish() {
                    finish_checkpoint(&session);
                }
                group(&mut session, shared, jobs);
            }
            Taken::Nothing => try_again(&session.db, shared),
            Taken::Closed => return,
        }
    }
}

/// While writing fails: looks whether it works again. That a command succeeded says little: on a full disk those that
/// need no new page still do.
fn try_again(db: &Db, shared: &Shared) {
    if shared.failing.lock().is_none() {
        return;
    }
    match try_room(db) {
        Ok(()) => {
            let failing = shared.failing.lock().take();
            tracing::info!(failing, "the database can be written again");
        }
        Err(error) => *shared.failing.lock() = Some(reason(error)),
    }
}

/// Whether something can be written: writes it and takes it back. Waits for no lock, because commands may come.
fn try_room(db: &Db) -> Outcome<()> {
    let patience: i64 = db.conn.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
    db.conn.busy_timeout(Duration::ZERO)?;
    let tried = db
        .conn
        .execute(
            "INSERT INTO meta (name, value)
             VALUES ('room', zeroblob(?1))
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [ROOM_BYTES],
        )
        .and_then(|_| db.conn.execute("DELETE FROM meta WHERE name = 'room'", []));
    db.conn.busy_timeout(Duration::from_millis(uint(patience)))?;
    tried?;
    Ok(())
}

/// Commits a group and answers it.
fn group(session: &mut Session, shared: &Shared, mut jobs: Group<Session>) {
    let mut savepoints = Savepoints::No;
    while !jobs.is_empty() {
        let before = session.heads.clone();
        let failed = match transaction(session, &before, &mut jobs, savepoints) {
            Ok(outcomes) => {
                publish(session, shared, outcomes.len());
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    job.answer(outcome);
                }
                return;
            }
            Err(failed) => failed,
        };
        recover(session, before);
        let (error, answered) = match failed {
            Failed::Untidy => {
                savepoints = Savepoints::Yes;
                continue;
            }
            // SQLite refuses the rest of a transaction in which a damaged page was read: the others are tried again.
            // They can be served, so this says nothing about the database as a whole.
            Failed::Damaged { error, place } => (error, place..place + 1),
            Failed::All(error) => {
                *shared.failing.lock() = Some(reason(error.clone()));
                (error, 0..jobs.len())
            }
        };
        tracing::error!(%error, commands = answered.len(), "commands failed and nothing of them was kept");
        for job in jobs.drain(answered) {
            job.answer(Some(error.clone()));
        }
    }
}

/// Whether each command gets a savepoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    No,
    Yes,
}

/// Why a transaction was not kept.
enum Failed {
    /// A command failed after it had written something, and there was no savepoint to go back to.
    Untidy,
    /// The command at that place met a damaged page.
    Damaged { error: StoreError, place: usize },
    /// It concerns all.
    All(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::All(error.into())
    }
}

/// Applies and commits. Answers with each command's own failure; an error means that nothing was kept.
fn transaction(
    session: &mut Session,
    before: &Heads,
    jobs: &mut [Box<dyn Job<Session>>],
    savepoints: Savepoints,
) -> Result<Vec<Option<StoreError>>, Failed> {
    session.db.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for (place, job) in jobs.iter_mut().enumerate() {
        outcomes.push(apply(session, job.as_mut(), place, savepoints)?);
    }
    if session.heads.moved_since(before) {
        write_heads(&session.db, &session.heads)?;
    }
    session.db.conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(outcomes)
}

/// Applies one command. Its own failure (refused, panicked, against a rule) is undone and concerns no neighbour.
fn apply(
    session: &mut Session,
    job: &mut dyn Job<Session>,
    place: usize,
    savepoints: Savepoints,
) -> Result<Option<StoreError>, Failed> {
    let (heads, told) = (session.heads.clone(), session.told.len());
    if savepoints == Savepoints::Yes {
        session.db.conn.prepare_cached("SAVEPOINT command")?.execute([])?;
    }
    let changes = session.db.conn.total_changes();
    let failure = match catch_unwind(AssertUnwindSafe(|| job.run(session))) {
        Ok(Ok(())) => None,
        Ok(Err(error @ StoreError::Corrupt(_))) => return Err(Failed::Damaged { error, place }),
        Ok(Err(error @ (StoreError::Unavailable(_) | StoreError::InUse(_)))) => return Err(Failed::All(error)),
        Ok(Err(
            error @ (StoreError::Inconsistent { .. } | StoreError::Refused(_) | StoreError::DecisionPanicked(_)),
        )) => Some(error),
        Err(panic) => Some(StoreError::DecisionPanicked(panic_text(panic.as_ref()))),
    };
    if failure.is_some() {
        if session.db.conn.is_autocommit() {
            let lost = "the database undid the whole transaction";
            return Err(Failed::All(StoreError::Unavailable(lost.to_owned())));
        }
        match savepoints {
            Savepoints::Yes => {
                session.db.conn.execute_batch("ROLLBACK TO command")?;
                session.hot.forget();
            }
            Savepoints::No if session.db.conn.total_changes() != changes => return Err(Failed::Untidy),
            Savepoints::No => {}
        }
        session.heads = heads;
        session.told.truncate(told);
    }
    if savepoints == Savepoints::Yes {
        session.db.conn.prepare_cached("RELEASE command")?.execute([])?;
    }
    Ok(failure)
}

/// Makes a durable transaction known: figures, the catalogue, then the listener, in log order.
fn publish(session: &mut Session, shared: &Shared, commands: usize) {
    shared.transactions.fetch_add(1, Ordering::Relaxed);
    shared.commands.fetch_add(commands as u64, Ordering::Relaxed);
    shared.position.store(session.heads.position, Ordering::Release);
    if !Arc::ptr_eq(&session.heads.catalogue, &shared.catalogue.read()) {
        *shared.catalogue.write() = session.heads.catalogue.clone();
    }
    try_again(&session.db, shared);
    let told = std::mem::take(&mut session.told);
    if told.is_empty() {
        return;
    }
    if let Some(listener) = shared.listener.read().as_ref()
        && let Err(panic) = catch_unwind(AssertUnwindSafe(|| listener(&told)))
    {
        tracing::error!(reason = panic_text(panic.as_ref()), "the listener for new events panicked");
    }
}

/// After a transaction that failed as a whole: back to what is on disk.
fn recover(session: &mut Session, before: Heads) {
    session.told.clear();
    session.hot.forget();
    session.heads = before;
    if !session.db.conn.is_autocommit()
        && let Err(error) = session.db.conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "the failed transaction could not be rolled back");
    }
    // A commit that failed at the disk may have been kept all the same; what is on disk decides.
    match read_heads(&session.db) {
        Ok(heads) => session.heads = heads,
        Err(error) => tracing::warn!(%error, "the ends of the logs could not be read again"),
    }
}

/// Copies what the checkpointer has left over, so that the log starts over. It is little by then.
fn finish_checkpoint(session: &Session) {
    let done = session.db.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the write-ahead log could not be copied back");
    }
}
