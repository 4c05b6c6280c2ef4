//! What becomes of a question or lookup: its answer is decided on, or it waits again, or it is given up.

use super::exchange::NoAnswer;
use super::item::Item;
use crate::commit::Received;
use crate::commit::command::Command;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Notification, Source};
use paidup_store::records::{LookupRecord, QuestionRecord};
use paidup_store::{StoreError, Urgency};
use std::time::Duration;

/// Distances between tries. After the last the engine is told that the store cannot be reached; it puts the question
/// again as long as its margin lasts.
const TRIES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// All of them: a question that could not be put for so long has no answer either.
pub(super) const OVERDUE: Duration = Duration::from_secs(370);
/// After those, how far apart lookups are tried, and for how long.
const LOOKS_UP_AGAIN: Duration = Duration::from_secs(3600);
const LOOKS_UP_FOR: Duration = Duration::from_secs(3 * 86_400);
/// When a store is asked once more whose answer is one that is known: at another moment its answer counts as another.
const ANOTHER_MOMENT: Duration = Duration::from_secs(1);

/// What deciding on an answer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// It was kept.
    News,
    /// It was asked for to compare, and said nothing new.
    Confirmed,
    /// Another answer to the same was kept within the same millisecond, and stands for it.
    Known,
}

impl Hub {
    /// Settles one item with what came of its call.
    pub(super) async fn settle_item(
        &self,
        source_id: SourceId,
        source: &dyn Source,
        item: Item,
        came: Result<Vec<Notification>, NoAnswer>,
        asked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let why = match came {
            Ok(notifications) => match self.decide_on(source_id, source, notifications, asked_at).await? {
                Ok(decided) => {
                    self.metrics().question(match item {
                        Item::Question(..) => "answered",
                        Item::Lookup(_) => "looked_up",
                    });
                    if decided == Decided::Known {
                        self.known_already(&item).await?;
                    }
                    let is_news = decided == Decided::News;
                    return if item.reconciles() { self.compared(source_id, is_news).await } else { Ok(()) };
                }
                Err(why) => why,
            },
            Err(why) => why,
        };
        match item {
            Item::Question(question, ..) => self.postpone(question, why).await,
            Item::Lookup(lookup) => self.look_up_later(lookup, why).await,
        }
    }

    /// Commits an answer. Answers what came of it, or why it could not be decided on.
    pub(super) async fn decide_on(
        &self,
        source_id: SourceId,
        source: &dyn Source,
        notifications: Vec<Notification>,
        asked_at: Timestamp,
    ) -> Result<Result<Decided, NoAnswer>, StoreError> {
        let all = notifications.into_iter();
        let received: Vec<_> = all.map(|one| Received::new(source_id, source, one, asked_at)).collect();
        let id = received.last().map(|received| received.kept.id.to_string());
        let command = Command::observe(source_id, source);
        match self.commit(Urgency::Rest, command, received).await {
            Ok(done) if done.report.confirms() => Ok(Ok(Decided::Confirmed)),
            Ok(done) if done.report.answer_is_known() => Ok(Ok(Decided::Known)),
            Ok(_) => Ok(Ok(Decided::News)),
            Err(HubError::Store(StoreError::DecisionPanicked(detail))) => {
                tracing::error!(source.id = %source_id, notification.id = id, %detail, "deciding on an answer failed");
                Ok(Err(NoAnswer { is_final: true, ..NoAnswer::later("deciding on the answer failed") }))
            }
            Err(HubError::Store(error)) => Err(error),
            Err(error @ (HubError::Refused { .. } | HubError::Secret(_))) => {
                // Nothing that is observed can be refused.
                tracing::warn!(%error, "an answer was refused");
                Ok(Err(NoAnswer { is_final: true, ..NoAnswer::later("deciding on the answer was refused") }))
            }
        }
    }

    /// The answer is one that is known, so nothing was decided on it, and what asked for it would be asked again at once. It
    /// is done with, but where somebody waits for the decision: then the store is asked at another moment.
    async fn known_already(&self, item: &Item) -> Result<(), StoreError> {
        let later = self.clock().now().plus(ANOTHER_MOMENT);
        match item {
            Item::Question(..) if item.reconciles() => Ok(()), // it is in no table
            Item::Question(question, ..) => {
                self.store().postpone_question(QuestionRecord { ask_at: later, ..question.clone() }).await
            }
            Item::Lookup(lookup) if self.store().claims_waiting_for(lookup.id).await?.is_empty() => {
                self.store().forget_lookup(lookup.id).await
            }
            Item::Lookup(lookup) => {
                let attempts = lookup.attempts.saturating_add(1);
                let record = LookupRecord { ask_at: Some(later), attempts, ..lookup.clone() };
                self.store().postpone_lookup(record).await
            }
        }
    }

    async fn postpone(&self, question: QuestionRecord, why: NoAnswer) -> Result<(), StoreError> {
        let now = self.clock().now();
        let tried = usize::try_from(question.attempts).unwrap_or(usize::MAX);
        let distance = match TRIES.get(tried) {
            // A store that only wants to be left alone is not one that cannot be reached, until it takes too long.
            Some(distance) if !why.is_final && (why.counts || now.since(question.asked_since) < OVERDUE) => *distance,
            Some(_) | None => {
                let (purchase, failure) = (question.purchase_id, why.detail);
                tracing::warn!(purchase.id = %purchase, %failure, "the store does not say how a purchase stands");
                return self.unanswered(&question).await;
            }
        };
        self.metrics().question("postponed");
        let later = QuestionRecord {
            ask_at: now.plus(distance.max(why.after.unwrap_or_default().min(OVERDUE))),
            attempts: question.attempts.saturating_add(u32::from(why.counts)),
            last_error: Some(why.detail),
            ..question
        };
        self.store().postpone_question(later).await
    }

    /// The engine is told that there is no answer. It puts the question again as long as its margin lasts.
    pub(super) async fn unanswered(&self, question: &QuestionRecord) -> Result<(), StoreError> {
        self.metrics().question("unanswered");
        self.commit_store(Urgency::Rest, Command::Unanswered { purchase: question.purchase_id }).await
    }

    /// Tries again after growing distances, for three days: as long as stores send a notification again. Then it waits
    /// for a person, or for a clue.
    pub(super) async fn look_up_later(&self, lookup: LookupRecord, why: NoAnswer) -> Result<(), StoreError> {
        let now = self.clock().now();
        let tried = usize::try_from(lookup.attempts).unwrap_or(usize::MAX);
        let is_over = why.is_final || now.since(lookup.asked_since) >= LOOKS_UP_FOR;
        if lookup.reconciles && (is_over || why.is_refused()) {
            // The next run asks for the same again: what it cannot see stands in the run, and waits for nobody.
            self.store().forget_lookup(lookup.id).await?;
            return self.not_compared(lookup.source_id, why.detail).await;
        }
        if is_over {
            self.metrics().question("given_up");
            tracing::warn!(
                lookup.id = %lookup.id, source.id = %lookup.source_id, failure = %why.detail,
                "something could not be looked up; GET /v1/lookups shows it"
            );
        } else {
            self.metrics().question("postponed");
        }
        let distance = TRIES.get(tried).copied().unwrap_or(LOOKS_UP_AGAIN).max(why.after.unwrap_or_default());
        let later = LookupRecord {
            ask_at: (!is_over).then(|| now.plus(distance)),
            attempts: lookup.attempts.saturating_add(1),
            last_error: Some(why.detail),
            ..lookup
        };
        self.store().postpone_lookup(later.clone()).await?;
        if is_over { self.lookup_given_up(&later).await } else { Ok(()) }
    }
}
