//! One hand for all loops: what many destinations have to save at one moment goes to the database as one command, so that
//! twenty destinations cost the writer no more transactions than one. It does not decide what is saved or when.
//!
//! Whoever comes first starts a short task that waits a moment for the others, saves, and goes on as long as more has
//! come. There is no task while there is nothing to save, so nothing has to be stopped.

use paidup_store::records::Settlement;
use paidup_store::{Store, StoreError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the first one waits for the others. Loops save at the same moments (`run::SAVE_WITHIN`); this only covers
/// that their tasks wake one after another. The machine's time, not the clock's: nothing is decided by it.
const GATHER: Duration = Duration::from_millis(1);

/// What a loop waits for.
type Saved = oneshot::Sender<Result<(), StoreError>>;

/// See the module.
#[derive(Clone)]
pub struct Settler {
    store: Arc<dyn Store>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Each destination is here at most once: its loop waits for the answer before it saves again.
    given: Vec<(Settlement, Saved)>,
    /// A task is under way that will come for them.
    collected: bool,
}

impl Settler {
    /// Saves to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Settler {
        Settler { store, waiting: Arc::default() }
    }

    /// Saves together with whatever else is to be saved now. Resolves when durable.
    pub async fn save(&self, settlement: Settlement) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock();
            waiting.given.push((settlement, answer));
            !std::mem::replace(&mut waiting.collected, true)
        };
        if is_first {
            tokio::spawn(self.clone().collect());
        }
        let lost = || StoreError::Unavailable("saving broke off".to_owned());
        answered.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn collect(self) {
        tokio::time::sleep(GATHER).await;
        loop {
            let given = {
                let mut waiting = self.waiting.lock();
                if waiting.given.is_empty() {
                    waiting.collected = false;
                    return;
                }
                std::mem::take(&mut waiting.given)
            };
            self.save_all(given).await;
        }
    }

    async fn save_all(&self, given: Vec<(Settlement, Saved)>) {
        let (settlements, answers): (Vec<Settlement>, Vec<Saved>) = given.into_iter().unzip();
        let together = self.store.settle(settlements.clone()).await;
        // One that is refused (its destination was deleted meanwhile) must not hold up the others.
        let alone = match &together {
            Ok(()) | Err(StoreError::Unavailable(_) | StoreError::Corrupt(_) | StoreError::InUse(_)) => false,
            Err(StoreError::Refused(_) | StoreError::Inconsistent { .. } | StoreError::DecisionPanicked(_)) => {
                answers.len() > 1
            }
        };
        for (settlement, answer) in settlements.into_iter().zip(answers) {
            let saved = if alone { self.store.settle(vec![settlement]).await } else { together.clone() };
            // A loop that was stopped meanwhile needs no answer.
            let _ = answer.send(saved);
        }
    }
}
