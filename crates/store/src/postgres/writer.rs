//! The one that writes: takes a group of commands, applies them, sends what they gathered, commits once, then answers all.
//!
//! A command that fails before it left anything (refused, a bug in deciding) has nothing to undo. Should one fail after
//! that, or the database refuse what a group gathered, the group is undone and applied once more, now each command in a
//! savepoint with its rows sent at once: then it is known whose they are.
//!
//! Nothing waits for company, nobody is told yes before the commit returned, and a commit that failed tells everybody no:
//! as with SQLite. When the connection breaks, another is made, with the lock that keeps a second hub out; what the
//! database has kept decides.

use super::db::{Db, Outcome};
use super::session::{Heads, Session, read_heads, write_heads};
use super::{Opener, lock};
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

/// Serves the queue until it is closed and empty.
pub(super) fn serve(mut session: Session, opener: &Opener, shared: &Shared) {
    loop {
        let patience = shared.failing.lock().is_some().then_some(TRY_AGAIN);
        match shared.queue.take(patience) {
            Taken::Group(jobs) => {
                if session.db.is_gone()
                    && let Err(error) = reconnect(&mut session, opener)
                {
                    refuse(shared, jobs, &error);
                    continue;
                }
                group(&mut session, shared, jobs);
            }
            Taken::Nothing => try_again(&mut session, opener, shared),
            Taken::Closed => return,
        }
    }
}

fn refuse(shared: &Shared, jobs: Group<Session>, error: &StoreError) {
    *shared.failing.lock() = Some(reason(error.clone()));
    tracing::error!(%error, commands = jobs.len(), "commands failed and nothing of them was kept");
    for job in jobs {
        job.answer(Some(error.clone()));
    }
}

/// A new connection in the place of a broken one.
fn reconnect(session: &mut Session, opener: &Opener) -> Outcome<()> {
    let mut db = opener.connect()?;
    lock(&mut db)?;
    let heads = read_heads(&mut db)?;
    session.db = db;
    session.heads = heads;
    session.forget();
    session.told.clear();
    tracing::info!("connected to PostgreSQL again");
    Ok(())
}

/// While writing fails: looks whether it works again.
fn try_again(session: &mut Session, opener: &Opener, shared: &Shared) {
    if shared.failing.lock().is_none() {
        return;
    }
    let tried = match session.db.is_gone() {
        true => reconnect(session, opener),
        false => Ok(()),
    };
    match tried.and_then(|()| try_room(&mut session.db)) {
        Ok(()) => {
            let failing = shared.failing.lock().take();
            tracing::info!(failing, "the database can be written again");
        }
        Err(error) => *shared.failing.lock() = Some(reason(error)),
    }
}

/// Whether something can be written: writes it and takes it back.
fn try_room(db: &mut Db) -> Outcome<()> {
    let room: &[u8] = &[0; 64 * 1024];
    db.execute(
        "INSERT INTO meta (name, value)
         VALUES ('room', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[&room],
    )?;
    db.execute("DELETE FROM meta WHERE name = 'room'", &[])?;
    Ok(())
}

/// Commits a group and answers it.
fn group(session: &mut Session, shared: &Shared, mut jobs: Group<Session>) {
    let mut savepoints = Savepoints::No;
    while !jobs.is_empty() {
        let before = session.heads.clone();
        let error = match transaction(session, &before, &mut jobs, savepoints) {
            Ok(outcomes) => {
                publish(session, shared, outcomes.len());
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    job.answer(outcome);
                }
                return;
            }
            Err(Failed::Untidy) => {
                recover(session, before);
                savepoints = Savepoints::Yes;
                continue;
            }
            Err(Failed::All(error)) => error,
        };
        recover(session, before);
        return refuse(shared, jobs, &error);
    }
}

/// Whether each command gets a savepoint, and sends its rows at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Savepoints {
    No,
    Yes,
}

/// Why a transaction was not kept.
enum Failed {
    /// A command failed after it had left something, and there was no savepoint to go back to.
    Untidy,
    /// It concerns all.
    All(StoreError),
}

impl Failed {
    /// What an error of the database, met outside of any one command, means.
    fn of(error: StoreError, savepoints: Savepoints) -> Failed {
        match (&error, savepoints) {
            (StoreError::Unavailable(_) | StoreError::InUse(_), _) | (_, Savepoints::Yes) => Failed::All(error),
            (_, Savepoints::No) => Failed::Untidy,
        }
    }
}

/// Applies and commits. Answers with each command's own failure; an error means that nothing was kept.
fn transaction(
    session: &mut Session,
    before: &Heads,
    jobs: &mut [Box<dyn Job<Session>>],
    savepoints: Savepoints,
) -> Result<Vec<Option<StoreError>>, Failed> {
    let failed = |error| Failed::of(error, savepoints);
    session.db.batch("BEGIN").map_err(failed)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs.iter_mut() {
        outcomes.push(apply(session, job.as_mut(), savepoints)?);
    }
    session.flush().map_err(failed)?;
    if session.heads.moved_since(before) {
        let heads = session.heads.clone();
        write_heads(&mut session.db, &heads).map_err(failed)?;
    }
    session.db.batch("COMMIT").map_err(Failed::All)?;
    Ok(outcomes)
}

/// Applies one command. Its own failure (refused, panicked, against a rule) is undone and concerns no neighbour.
fn apply(
    session: &mut Session,
    job: &mut dyn Job<Session>,
    savepoints: Savepoints,
) -> Result<Option<StoreError>, Failed> {
    let (heads, told, traces) = (session.heads.clone(), session.told.len(), session.traces());
    if savepoints == Savepoints::Yes {
        session.db.batch("SAVEPOINT command").map_err(Failed::All)?;
    }
    let run = catch_unwind(AssertUnwindSafe(|| {
        job.run(session)?;
        if savepoints == Savepoints::Yes { session.flush() } else { Ok(()) }
    }));
    let failure = match run {
        Ok(Ok(())) => None,
        Ok(Err(error @ (StoreError::Unavailable(_) | StoreError::InUse(_)))) => return Err(Failed::All(error)),
        Ok(Err(
            error @ (StoreError::Corrupt(_)
            | StoreError::Inconsistent { .. }
            | StoreError::Refused(_)
            | StoreError::DecisionPanicked(_)),
        )) => Some(error),
        Err(panic) => Some(StoreError::DecisionPanicked(panic_text(panic.as_ref()))),
    };
    if let Some(failure) = &failure {
        match savepoints {
            Savepoints::Yes => {
                session.db.batch("ROLLBACK TO SAVEPOINT command").map_err(Failed::All)?;
                session.forget();
            }
            // After an error of its own PostgreSQL takes nothing more in this transaction.
            Savepoints::No if session.traces() != traces || is_of_database(failure) => return Err(Failed::Untidy),
            Savepoints::No => {}
        }
        session.heads = heads;
        session.told.truncate(told);
    }
    if savepoints == Savepoints::Yes {
        session.db.batch("RELEASE SAVEPOINT command").map_err(Failed::All)?;
    }
    Ok(failure)
}

/// Whether the database may have said it, and not a decision.
fn is_of_database(failure: &StoreError) -> bool {
    match failure {
        StoreError::Corrupt(_) | StoreError::Inconsistent { .. } => true,
        StoreError::Refused(refused) => refused.status == 500,
        StoreError::Unavailable(_) | StoreError::InUse(_) | StoreError::DecisionPanicked(_) => false,
    }
}

/// Makes a durable transaction known: figures, the catalogue, then the listener, in log order.
fn publish(session: &mut Session, shared: &Shared, commands: usize) {
    shared.transactions.fetch_add(1, Ordering::Relaxed);
    shared.commands.fetch_add(commands as u64, Ordering::Relaxed);
    shared.position.store(session.heads.position, Ordering::Release);
    if !Arc::ptr_eq(&session.heads.catalogue, &shared.catalogue.read()) {
        *shared.catalogue.write() = session.heads.catalogue.clone();
    }
    if let Some(failing) = shared.failing.lock().take() {
        tracing::info!(failing, "the database can be written again");
    }
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

/// After a transaction that failed as a whole: back to what the database has.
fn recover(session: &mut Session, before: Heads) {
    session.told.clear();
    session.forget();
    session.heads = before;
    if session.db.is_gone() {
        return; // the next group makes a new connection
    }
    if let Err(error) = session.db.batch("ROLLBACK") {
        tracing::error!(%error, "the failed transaction could not be rolled back");
    }
    // A commit that failed on the way may have been kept all the same; what the database has decides.
    match read_heads(&mut session.db) {
        Ok(heads) => session.heads = heads,
        Err(error) => tracing::warn!(%error, "the ends of the logs could not be read again"),
    }
}
