//! Commands that wait for the writer: three bounded lanes by urgency, taken in groups. Neutral of the engine: `S` is what
//! its writer works with.

use crate::{StoreError, Urgency};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most commands in one transaction. At 10,000 a second that is about 25 ms of work: the longest that a command waits
/// for its neighbours.
const LARGEST_GROUP: usize = 256;

/// Places in a full group that are kept for settling and for the rest, so that intake cannot starve them.
const KEPT_FOR_SETTLING: usize = 32;
const KEPT_FOR_REST: usize = 16;

/// How many may wait, by urgency. Beyond that, callers wait for a place.
const ROOM: [usize; 3] = [2048, 1024, 512];

/// A command: runs in the writer's transaction, is answered after it.
pub(crate) trait Job<S>: Send {
    /// May run again when the transaction had to be repeated.
    fn run(&mut self, session: &mut S) -> Result<(), StoreError>;
    /// `None`: durable.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

/// Commands that are committed together.
pub(crate) type Group<S> = Vec<Box<dyn Job<S>>>;

/// What the writer finds.
pub(crate) enum Taken<S> {
    /// Commands, to be committed together.
    Group(Group<S>),
    /// Nobody came in time.
    Nothing,
    /// Closed, and everything that was handed in has been taken.
    Closed,
}

/// A command made of a function and whoever waits for its result.
pub(crate) struct Task<F, T> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<S, F, T> Job<S> for Task<F, T>
where
    F: FnMut(&mut S) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, session: &mut S) -> Result<(), StoreError> {
        self.result = Some((self.work)(session)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let lost = || StoreError::Unavailable("the command did not run".to_owned());
        // Whoever waited may have been cancelled; then nobody needs the answer.
        let _ = self.reply.send(match failure {
            Some(error) => Err(error),
            None => self.result.ok_or_else(lost),
        });
    }
}

type Lane<S> = VecDeque<(Box<dyn Job<S>>, OwnedSemaphorePermit)>;

/// The queue between callers and the writer.
pub(crate) struct Queue<S> {
    waiting: Mutex<Waiting<S>>,
    ready: Condvar,
    room: [Arc<Semaphore>; 3],
    idle: AtomicBool,
}

struct Waiting<S> {
    lanes: [Lane<S>; 3],
    closed: bool,
}

const fn lane_of(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Intake => 0,
        Urgency::Settling => 1,
        Urgency::Rest => 2,
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl<S: 'static> Queue<S> {
    pub(crate) fn new() -> Queue<S> {
        Queue {
            waiting: Mutex::new(Waiting { lanes: std::array::from_fn(|_| VecDeque::new()), closed: false }),
            ready: Condvar::new(),
            room: ROOM.map(|room| Arc::new(Semaphore::new(room))),
            idle: AtomicBool::new(false),
        }
    }

    /// Hands a command in and waits for its answer. Once handed in it runs even if the caller is cancelled.
    pub(crate) async fn run<T, F>(&self, urgency: Urgency, work: F) -> Result<T, StoreError>
    where
        F: FnMut(&mut S) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let lane = lane_of(urgency);
        let permit = self.room[lane].clone().acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let wake = {
            let mut waiting = self.waiting.lock();
            if waiting.closed {
                return Err(closed());
            }
            waiting.lanes[lane].push_back((Box::new(Task { work, result: None, reply }), permit));
            self.idle.swap(false, Ordering::AcqRel)
        };
        if wake {
            self.ready.notify_one();
        }
        answer.await.map_err(|_| closed())?
    }

    /// The next group; waits for one, at most `patience` when that is given.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Taken<S> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.lanes.iter().any(|lane| !lane.is_empty()) {
                return Taken::Group(waiting.group());
            }
            if waiting.closed {
                return Taken::Closed;
            }
            self.idle.store(true, Ordering::Release);
            match patience {
                None => self.ready.wait(&mut waiting),
                Some(patience) => {
                    if self.ready.wait_for(&mut waiting, patience).timed_out() {
                        return Taken::Nothing;
                    }
                }
            }
        }
    }

    /// Nothing more is taken in; what waits is still done.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        for room in &self.room {
            room.close();
        }
        self.ready.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().lanes.iter().map(VecDeque::len).sum()
    }
}

impl<S> Waiting<S> {
    /// By urgency, with the kept places; places that nobody needs go to whoever waits.
    fn group(&mut self) -> Group<S> {
        let waits = self.lanes.each_ref().map(VecDeque::len);
        let mut shares = shares(waits);
        let mut group = Vec::with_capacity(shares.iter().sum());
        for (lane, share) in self.lanes.iter_mut().zip(&mut shares) {
            group.extend(lane.drain(..*share).map(|(job, _permit)| job));
        }
        group
    }
}

/// How many of each lane go into the next group.
fn shares(waits: [usize; 3]) -> [usize; 3] {
    let settling = waits[1].min(KEPT_FOR_SETTLING);
    let rest = waits[2].min(KEPT_FOR_REST);
    let mut shares = [waits[0].min(LARGEST_GROUP - settling - rest), settling, rest];
    for lane in [1, 2] {
        let free = LARGEST_GROUP - shares.iter().sum::<usize>();
        shares[lane] += (waits[lane] - shares[lane]).min(free);
    }
    shares
}

/// Why the database cannot be written, in words.
pub(crate) fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(reason) => reason,
        StoreError::Corrupt(_)
        | StoreError::InUse(_)
        | StoreError::Inconsistent { .. }
        | StoreError::Refused(_)
        | StoreError::DecisionPanicked(_) => error.to_string(),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_goes_by_urgency_and_starves_nobody() {
        let cases: [(&str, [usize; 3], [usize; 3]); 6] = [
            ("nothing", [0, 0, 0], [0, 0, 0]),
            ("all fit", [3, 2, 1], [3, 2, 1]),
            ("intake alone", [1000, 0, 0], [256, 0, 0]),
            ("full lanes", [1000, 1000, 500], [208, 32, 16]),
            ("settling takes what intake leaves", [100, 1000, 500], [100, 140, 16]),
            ("the rest takes what is left", [10, 0, 500], [10, 0, 246]),
        ];
        for (name, waits, expected) in cases {
            assert_eq!(shares(waits), expected, "{name}");
        }
    }
}
