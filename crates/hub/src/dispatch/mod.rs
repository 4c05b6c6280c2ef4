//! Deliveries: from the event log to each destination, in order, without losing anything (architecture.md section 4).
//!
//! Pure and tested without a runtime: `lanes` (what may go now), `window` (how far a destination has come), `settle` (what
//! is saved of it), `retry` (when again), `breaker` (is anybody there), `budget` (how fast). `run` is the loop, one for each
//! destination, `orders` what people want of it, `deliver` one delivery, `memories` what it wanted remembered,
//! `settler` saves for all of them, `figures` what `/metrics` says. [`Dispatch`] starts and stops the loops.
//! Which destinations there are, and what people may do with them, is in `destinations`.

pub mod breaker;
pub mod budget;
pub mod deliver;
#[cfg(test)]
mod discord;
pub mod figures;
mod land;
pub mod lanes;
mod memories;
#[cfg(test)]
mod model;
pub mod orders;
pub mod retry;
pub mod run;
pub mod settle;
pub mod settler;
#[cfg(test)]
mod tests;
pub mod window;

pub(crate) use memories::{IN_DATABASE as MEMORIES_KEPT, kept as memory_kept};

use crate::clock::{Chance, Clock};
use crate::outbound::Outbound;
use crate::recent::Recent;
use breaker::{Breaker, Look};
use budget::Budgets;
use figures::Figures;
use futures_util::FutureExt;
use orders::Order;
use paidup_destinations::{Destination, LoggedEvent};
use paidup_lifecycle::alert;
use paidup_lifecycle::ids::DestinationId;
use paidup_store::Store;
use paidup_store::records::{DestinationState, FilterVersion, LaneOrder};
use parking_lot::Mutex;
use run::Dispatcher;
use settler::Settler;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// SQLite has one partition. (PostgreSQL will have a loop for each partition whose lease this node holds.)
pub(crate) const PARTITION: u16 = 0;
/// Orders that may wait for a loop; people give them, one by one.
const ORDERS: usize = 64;
/// After a mistake of ours in a loop, it starts again from what was saved, not sooner than this.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// What every loop works with.
pub struct Port {
    /// Progress is read from it, and events that are no longer in memory.
    pub store: Arc<dyn Store>,
    /// Saves progress.
    pub settler: Settler,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub chance: Arc<dyn Chance>,
    /// The network.
    pub outbound: Arc<dyn Outbound>,
    /// New events.
    pub recent: Arc<Recent>,
    /// Rate limits, shared.
    pub budgets: Mutex<Budgets>,
    /// Metrics.
    pub figures: Figures,
}

/// A destination, as its loop needs it.
#[derive(Clone)]
pub struct Target {
    /// Its id.
    pub id: DestinationId,
    /// What must stay in order.
    pub order: LaneOrder,
    /// A lane goes on without an event that has failed for so long; `None`: it waits.
    pub skip_after: Option<Duration>,
    /// From its first failure on an event is tried for at least so long, and the destination is served while it takes nothing.
    pub keep_trying: Duration,
    /// Begins with a few calls at a time: it was held or switched off, and a lot may wait for it.
    pub gently: bool,
    /// The loop before ended without saving: what it had sent last may be sent again, and is counted.
    pub broke_off: bool,
    /// What it wants, by version.
    pub filters: Vec<FilterVersion>,
    /// How to speak to it.
    pub destination: Arc<dyn Destination>,
    /// What must not appear in excerpts ([`deliver::secret_texts`]).
    pub secrets: Arc<[String]>,
}

impl Target {
    /// Whether it wants an event: by the filter that held at the event's place in the log, and by its own settings. No
    /// destination is told of its own trouble alone: while it lasts it could not be told, and afterwards it knows.
    #[must_use]
    pub fn wants(&self, event: &LoggedEvent) -> bool {
        let holds = |version: &&FilterVersion| {
            let from = version.from.iter().find(|(partition, _)| *partition == event.partition);
            from.is_none_or(|(_, first)| *first <= event.position)
        };
        let filter = self.filters.iter().rev().find(holds);
        filter.is_none_or(|version| version.filter.wants(&event.event)) && self.tells(event)
    }

    /// The same by its filter as it is now: what a changed filter lets through can be made up for.
    #[must_use]
    pub fn wants_now(&self, event: &LoggedEvent) -> bool {
        self.lets_pass_now(event) && self.tells(event)
    }

    /// What its filter says as it is now.
    #[must_use]
    pub fn lets_pass_now(&self, event: &LoggedEvent) -> bool {
        self.filters.last().is_none_or(|version| version.filter.wants(&event.event))
    }

    /// Whatever its filter says.
    fn tells(&self, event: &LoggedEvent) -> bool {
        self.destination.skips(event).is_none() && !alert::is_only_about(&event.event, self.id)
    }
}

/// A loop stopped by itself: somebody must act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Whose.
    pub id: DestinationId,
    /// `paused` or `switched_off`.
    pub state: DestinationState,
    /// Why, for people.
    pub reason: String,
}

/// The loops of all destinations that are served.
pub struct Dispatch {
    port: Arc<Port>,
    running: Mutex<HashMap<DestinationId, Running>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    halts: mpsc::UnboundedSender<Halt>,
}

struct Running {
    stop: CancellationToken,
    orders: mpsc::Sender<Order>,
    ended: JoinHandle<()>,
    breaker: Arc<Mutex<Look>>,
}

impl Dispatch {
    /// Runs nothing yet. Loops are spawned on `tasks` and drain when `stopping` is cancelled; those that stop by
    /// themselves say so to `halts`.
    #[must_use]
    pub fn new(
        port: Arc<Port>,
        tasks: TaskTracker,
        stopping: CancellationToken,
        halts: mpsc::UnboundedSender<Halt>,
    ) -> Dispatch {
        Dispatch { port, running: Mutex::default(), tasks, stopping, halts }
    }

    /// What the loops work with.
    #[must_use]
    pub fn port(&self) -> &Arc<Port> {
        &self.port
    }

    /// Starts a destination's loop where it stopped. The caller has stopped the one before.
    pub fn start(&self, target: Target) {
        let stop = self.stopping.child_token();
        let (orders, given) = mpsc::channel(ORDERS);
        let id = target.id;
        for guess in target.destination.budgets() {
            self.port.budgets.lock().guess(&guess);
        }
        let breaker = Arc::new(Mutex::new(Breaker::default().look()));
        let (port, shown, halts) = (Arc::clone(&self.port), Arc::clone(&breaker), self.halts.clone());
        let ended = self.tasks.spawn(supervise(port, target, stop.clone(), given, halts, shown));
        self.running.lock().insert(id, Running { stop, orders, ended, breaker });
    }

    /// How a destination's breaker stands; `None`: it is not served.
    #[must_use]
    pub fn breaker(&self, id: DestinationId) -> Option<Look> {
        self.running.lock().get(&id).map(|running| *running.breaker.lock())
    }

    /// Stops a destination's loop: what is in flight may finish for a while, and everything is saved.
    pub async fn stop(&self, id: DestinationId) {
        let running = self.running.lock().remove(&id);
        if let Some(running) = running {
            running.stop.cancel();
            // An error would be a panic outside of the supervised part, which the panic hook has logged.
            let _ = running.ended.await;
        }
    }

    /// Gives a destination's loop an order and waits for its answer; `None`: it does not run.
    pub async fn ask<T>(&self, id: DestinationId, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let orders = self.running.lock().get(&id).map(|running| running.orders.clone())?;
        let (answer, answered) = oneshot::channel();
        orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Runs the loop until it is stopped or stops by itself. A panic is a mistake of ours: the loop begins again from what was
/// saved, which repeats at most what was in flight.
async fn supervise(
    port: Arc<Port>,
    target: Target,
    stop: CancellationToken,
    mut orders: mpsc::Receiver<Order>,
    halts: mpsc::UnboundedSender<Halt>,
    shown: Arc<Mutex<Look>>,
) {
    let (id, mut target) = (target.id, Arc::new(target));
    let gauges = port.figures.of(id);
    gauges.served.set(1);
    while !stop.is_cancelled() {
        let run = Dispatcher::new(Arc::clone(&port), Arc::clone(&target), PARTITION, Arc::clone(&shown));
        let run = run.run(&stop, &mut orders);
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(None) => break,
            Ok(Some((state, reason))) => {
                // Nobody listens any more when the hub stops; the next start finds out again.
                let _ = halts.send(Halt { id, state, reason });
                break;
            }
            Err(_) => {
                tracing::error!(destination.id = %id, "the delivery loop failed and starts again");
                target = Arc::new(Target { broke_off: true, ..(*target).clone() });
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = port.clock.sleep(RESTART_AFTER) => {}
                }
            }
        }
    }
    gauges.served.set(0);
}
