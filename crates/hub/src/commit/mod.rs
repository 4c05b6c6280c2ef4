//! The one door: everything that changes purchases, customers, events or the catalogue is a [`command::Command`] and
//! goes through [`Hub::commit`]. Load, decide (pure: `decide.rs`), save, in one transaction that is durable before the
//! answer. The journal keeps what was decided on; `rebuild` folds it through the same decision.

mod alerts;
pub(crate) mod by_hand;
pub mod command;
pub(crate) mod decide;
mod followers;
mod owners;
mod people;
mod skus;
mod substance;
pub(crate) mod wanted;
pub(crate) mod work;

use crate::claims::Claimed;
use crate::{Hub, HubError};
use command::Command;
use decide::Deciding;
use paidup_lifecycle::engine::Input;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::DetectedBy;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{
    Clue, Link, Lookup, Note, Notification, Packed, Source, Transfer, is_reconciled_id, notification_id,
};
use paidup_store::records::{Body, KeptNotification, NotificationOutcome};
use paidup_store::{StoreError, Urgency};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// The longest answer that is kept as a clue, in bytes: a few fields of an object.
const MAX_CLUE: usize = 64 * 1024;

/// A notification with what it says, on its way into a decision.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// What is kept of it.
    pub(crate) kept: KeptNotification,
    /// Its observations, each as an input of the engine.
    pub(crate) inputs: Vec<Input>,
    /// Something that is not about a purchase.
    pub(crate) note: Option<Note>,
    /// What its source wants to know.
    pub(crate) lookups: Vec<Lookup>,
    /// What answers lookups of its source.
    pub(crate) clues: Vec<Clue>,
    /// Ids of one customer.
    pub(crate) links: Vec<Link>,
    /// What must be known before the rest counts.
    pub(crate) first: Option<Box<Lookup>>,
    /// Groups of ids, each of one customer.
    pub(crate) same: Vec<Vec<String>>,
    /// Purchases that change hands without being named.
    pub(crate) transfers: Vec<Transfer>,
}

impl Received {
    /// A proven notification, made ready: its recurring parts are taken out.
    pub(crate) fn new(
        source_id: SourceId,
        source: &dyn Source,
        notification: Notification,
        now: Timestamp,
    ) -> Received {
        let (body, packed, shared) = match source.pack(&notification.body) {
            Some(Packed { rest, shared }) => (rest.into(), true, shared.into_iter().map(Into::into).collect()),
            None => (notification.body, false, Vec::new()),
        };
        let kept = KeptNotification {
            id: notification_id(source_id, &notification.external_id),
            source_id,
            external_id: notification.external_id.to_string(),
            label: notification.label,
            received_at: now,
            body: Body::packed_ahead(body),
            packed,
            shared,
            outcome: NotificationOutcome::Observed,
            purchase_id: None,
        };
        Received::of_kept(kept, notification.reading)
    }

    /// One that is kept already.
    pub(crate) fn of_kept(kept: KeptNotification, reading: paidup_sources::Reading) -> Received {
        let mut reading = reading;
        if is_reconciled_id(&kept.external_id) {
            for observation in &mut reading.observations {
                observation.detected_by = Some(DetectedBy::Reconcile);
            }
        }
        let inputs = std::mem::take(&mut reading.observations).into_iter().map(Input::Observed).collect();
        let paidup_sources::Reading { note, mut lookups, mut clues, links, first, same, transfers, .. } = reading;
        let fits = |lookup: &Lookup| {
            let fits = lookup.fits();
            if !fits {
                tracing::warn!(source.id = %kept.source_id, why = lookup.why, "a lookup is too long to be kept");
            }
            fits
        };
        lookups.retain(&fits);
        let first = first.filter(|first| fits(first));
        clues.retain(|clue| clue.name.len() <= Lookup::MAX_NAME && clue.answer.len() <= MAX_CLUE);
        Received { kept, inputs, note, lookups, clues, links, first, same, transfers }
    }
}

/// What a decision tells its caller besides the events: only for waking tasks and for figures, never for decisions.
#[derive(Debug, Default)]
pub(crate) struct Report {
    repeats: AtomicU64,
    /// An answer that was asked for to compare said nothing new.
    confirms: AtomicBool,
    /// What was received is an answer, and one that is kept already.
    answer_is_known: AtomicBool,
    /// Earliest new deadline, in milliseconds; `i64::MAX`: none.
    deadline: AtomicI64,
    asks: AtomicBool,
    /// What became of the purchases of a claim.
    claimed: Mutex<Vec<Claimed>>,
}

impl Report {
    pub(crate) fn reset(&self) {
        self.repeats.store(0, Ordering::Relaxed);
        self.confirms.store(false, Ordering::Relaxed);
        self.answer_is_known.store(false, Ordering::Relaxed);
        self.deadline.store(i64::MAX, Ordering::Relaxed);
        self.asks.store(false, Ordering::Relaxed);
        self.claimed.lock().clear();
    }

    pub(crate) fn claimed(&self, claimed: &[Claimed]) {
        self.claimed.lock().extend_from_slice(claimed);
    }

    /// What became of the purchases of a claim.
    pub(crate) fn all_claimed(&self) -> Vec<Claimed> {
        self.claimed.lock().clone()
    }

    pub(crate) fn count_repeat(&self, received: &Received) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
        if received.is_answer() {
            self.answer_is_known.store(true, Ordering::Relaxed);
        }
    }

    /// What was received is an answer, and one that is kept already: nothing is decided on it.
    pub(crate) fn answer_is_known(&self) -> bool {
        self.answer_is_known.load(Ordering::Relaxed)
    }

    pub(crate) fn confirm(&self) {
        self.confirms.store(true, Ordering::Relaxed);
    }

    /// What was asked for to compare said nothing new: nothing of it was kept.
    pub(crate) fn confirms(&self) -> bool {
        self.confirms.load(Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self, at: Timestamp) {
        self.deadline.fetch_min(at.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn ask(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// Notifications that were known already.
    pub(crate) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }
}

/// A decision that is durable.
pub(crate) struct Done {
    pub(crate) report: Arc<Report>,
}

impl Hub {
    /// Decides on `command` and saves; resolves when durable. Wakes the scheduler when there is something sooner for it.
    #[tracing::instrument(name = "commit", level = "debug", skip_all)]
    pub(crate) async fn commit(
        &self,
        urgency: Urgency,
        command: Command,
        received: Vec<Received>,
    ) -> Result<Done, HubError> {
        self.decide(urgency, command, received, None).await
    }

    /// The same for a command that brings nothing, with something that the hub keeps by name: both or neither.
    pub(crate) async fn commit_beside(
        &self,
        urgency: Urgency,
        command: Command,
        beside: (&'static str, Vec<u8>),
    ) -> Result<Done, HubError> {
        self.decide(urgency, command, Vec::new(), Some(beside)).await
    }

    async fn decide(
        &self,
        urgency: Urgency,
        command: Command,
        received: Vec<Received>,
        beside: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Done, HubError> {
        let report = Arc::new(Report::default());
        let decision = Deciding {
            command,
            received,
            beside,
            abilities: self.sources().abilities(),
            now: self.clock().now(),
            seed: self.chance().seed(),
            by: self.who().map(str::to_owned),
            report: report.clone(),
        };
        let committed = self.store().commit(urgency, Box::new(decision)).await?;
        if committed.entry.is_some() || report.confirms() {
            let deadline = report.deadline.load(Ordering::Relaxed);
            self.agenda().wake(Timestamp::from_millis_clamped(deadline), report.asks.load(Ordering::Relaxed));
        }
        Ok(Done { report })
    }

    /// For loops of the hub: the same, for a command that brings nothing, with the store's own errors.
    pub(crate) async fn commit_store(&self, urgency: Urgency, command: Command) -> Result<(), StoreError> {
        self.commit_received(urgency, command, Vec::new()).await
    }

    /// For loops of the hub: the same with the store's own errors.
    pub(crate) async fn commit_received(
        &self,
        urgency: Urgency,
        command: Command,
        received: Vec<Received>,
    ) -> Result<(), StoreError> {
        match self.commit(urgency, command, received).await {
            Ok(_) => Ok(()),
            Err(HubError::Store(error)) => Err(error),
            Err(error @ (HubError::Refused { .. } | HubError::Secret(_))) => {
                // Nothing that a loop does can be refused, unless the purchase has gone in the meantime.
                tracing::warn!(%error, "a command of the hub was refused");
                Ok(())
            }
        }
    }
}
