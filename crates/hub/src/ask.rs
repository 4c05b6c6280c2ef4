//! Questions to stores: how does this purchase stand? They wait in the database until they are answered, so a store
//! that is slow or down delays nobody's 2xx and a restart forgets none. An answer is kept and read like a notification.

use crate::Hub;
use crate::commit::Received;
use crate::commit::command::Command;
use crate::outbound::Outbound;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use paidup_destinations::Answer;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Ask, Notification, Source, answer_id};
use paidup_store::records::QuestionRecord;
use paidup_store::{StoreError, Urgency};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Questions that are taken up together.
const BATCH: usize = 50;
/// Calls at the same time.
const AT_ONCE: usize = 8;
/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// Distances between tries. After the last the engine is told that the store cannot be reached; it puts the question
/// again as long as its margin lasts.
const TRIES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// How often the database is looked at for questions whose time has come.
const LOOK: Duration = Duration::from_secs(10);

impl Hub {
    /// Asks until the hub stops.
    pub(crate) async fn run_questions(self, outbound: Arc<dyn Outbound>) {
        loop {
            tokio::select! {
                () = self.stopping().cancelled() => return,
                asked = self.ask_due(&*outbound) => {
                    if let Err(error) = asked {
                        tracing::warn!(%error, "questions cannot be put now");
                    }
                }
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.agenda().question() => {}
                () = self.clock().sleep(LOOK) => {}
            }
        }
    }

    /// Asks everything that is due, several at a time: one slow store does not hold up the others for long.
    pub(crate) async fn ask_due(&self, outbound: &dyn Outbound) -> Result<(), StoreError> {
        let due = self.store().due_questions(self.clock().now(), BATCH).await?;
        let asked = stream::iter(due).map(|question| self.ask_one(outbound, question)).buffer_unordered(AT_ONCE);
        let results: Vec<Result<(), StoreError>> = asked.collect().await;
        results.into_iter().collect()
    }

    async fn ask_one(&self, outbound: &dyn Outbound, question: QuestionRecord) -> Result<(), StoreError> {
        let now = self.clock().now();
        let opened = self.sources().get(question.source_id);
        let ask = Ask { store_purchase_id: question.store_purchase_id.clone() };
        let Some((opened, request)) =
            opened.and_then(|opened| opened.source.ask(&ask, now).map(|request| (opened, request)))
        else {
            // Asking is not set up for this source: nothing would come of another try.
            return self.unanswered(&question).await;
        };
        let failure = match outbound.call_up_to(request, TIMEOUT, MAX_ANSWER).await {
            Answer::Response(response) if response.status().is_success() => {
                match read_answer(&*opened.source, &question, response.into_body(), now) {
                    Ok(notification) => {
                        return self.answered(question, &*opened.source, notification, now).await;
                    }
                    Err(failure) => failure,
                }
            }
            Answer::Response(response) => format!("the store answered {}", response.status().as_u16()),
            Answer::Failed(failure) => failure.to_string(),
        };
        self.postpone(question, failure, now).await
    }

    async fn answered(
        &self,
        question: QuestionRecord,
        source: &dyn Source,
        notification: Notification,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let received = Received::new(question.source_id, source, notification, now);
        let command = Command::Observe { source_id: question.source_id };
        match self.commit_received(Urgency::Rest, command, vec![received]).await {
            Ok(()) => {
                self.metrics().question("answered");
                Ok(())
            }
            Err(StoreError::DecisionPanicked(detail)) => {
                tracing::error!(purchase.id = %question.purchase_id, %detail, "deciding on an answer failed");
                self.postpone(question, "deciding on the answer failed".to_owned(), now).await
            }
            Err(error) => Err(error),
        }
    }

    async fn postpone(&self, question: QuestionRecord, failure: String, now: Timestamp) -> Result<(), StoreError> {
        let tried = usize::try_from(question.attempts).unwrap_or(usize::MAX);
        let Some(distance) = TRIES.get(tried) else {
            tracing::warn!(purchase.id = %question.purchase_id, %failure, "the store cannot be reached");
            return self.unanswered(&question).await;
        };
        self.metrics().question("postponed");
        let later = QuestionRecord {
            ask_at: now.plus(*distance),
            attempts: question.attempts.saturating_add(1),
            last_error: Some(failure),
            ..question
        };
        self.store().postpone_question(later).await
    }

    async fn unanswered(&self, question: &QuestionRecord) -> Result<(), StoreError> {
        self.metrics().question("unanswered");
        self.commit_store(Urgency::Rest, Command::Unanswered { purchase: question.purchase_id }).await
    }
}

/// The answer as a notification; an error says why it is none.
fn read_answer(
    source: &dyn Source,
    question: &QuestionRecord,
    body: Bytes,
    now: Timestamp,
) -> Result<Notification, String> {
    let external_id = answer_id(now, &question.store_purchase_id);
    let read = catch_unwind(AssertUnwindSafe(|| source.read_kept(&external_id, &body)));
    let reading = match read {
        Ok(Ok(reading)) => reading,
        Ok(Err(rejection)) => return Err(format!("the answer cannot be read: {}", rejection.reason)),
        Err(_) => {
            tracing::error!(source.id = %question.source_id, "source panicked on an answer");
            return Err("the answer cannot be read".to_owned());
        }
    };
    // An answer about nothing would leave the question open and be asked for again at once.
    let is_about = |observation: &Observation| Purchase::id_of(&observation.key) == question.purchase_id;
    if !reading.observations.iter().any(is_about) {
        return Err("the answer says nothing about this purchase".to_owned());
    }
    Ok(Notification { external_id: external_id.into(), label: "answer".to_owned(), body, reading })
}
