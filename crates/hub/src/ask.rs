//! Questions to stores. Two sorts wait in the database until they are answered, so that a store which is slow or down
//! delays nobody's 2xx and a restart forgets none: how a purchase stands (the engine asks, when a date has passed), and
//! lookups (a source asks, when a notification does not say enough). An answer is kept and read like a notification, and
//! may bring further lookups. Lookups at a store that cannot be asked are answered by clues, where there are any.

use crate::Hub;
use crate::commit::Received;
use crate::commit::command::Command;
use crate::outbound::Outbound;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use paidup_destinations::Answer;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Ask, Lookup, Notification, Source, answer_id, looked_up_id};
use paidup_store::records::{LookupRecord, QuestionRecord};
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
/// After those, how far apart lookups are tried, and for how long.
const LOOKS_UP_AGAIN: Duration = Duration::from_secs(3600);
const LOOKS_UP_FOR: Duration = Duration::from_secs(3 * 86_400);
/// How many steps of one way are gone at once: refund, charge, payment, invoice, subscription, and as many again.
const MOST_STEPS: usize = 10;
/// How often the database is looked at for questions whose time has come.
const LOOK: Duration = Duration::from_secs(10);

impl Hub {
    /// Asks until the hub stops.
    pub(crate) async fn run_questions(self, outbound: Arc<dyn Outbound>) {
        loop {
            tokio::select! {
                () = self.stopping().cancelled() => return,
                asked = self.ask_all_due(&*outbound) => {
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

    /// Asks until nothing is due: an answer may ask for more.
    async fn ask_all_due(&self, outbound: &dyn Outbound) -> Result<(), StoreError> {
        self.ask_due(outbound).await?;
        for _ in 0..MOST_STEPS {
            if self.look_up_due(outbound).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Asks every question that is due, several at a time: one slow store does not hold up the others for long.
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
        let read = match call(outbound, request).await {
            Ok(body) => read_answer(&*opened.source, &question, body, now),
            Err(no_answer) => Err(no_answer.detail),
        };
        match read {
            Ok(notification) => self.answered(question, &*opened.source, notification, now).await,
            Err(failure) => self.postpone(question, failure, now).await,
        }
    }

    async fn answered(
        &self,
        question: QuestionRecord,
        source: &dyn Source,
        notification: Notification,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let received = Received::new(question.source_id, source, notification, now);
        let command = Command::observe(question.source_id, source);
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

/// Why there is no answer.
struct NoAnswer {
    detail: String,
    /// The store does not know what it was asked for: asking again changes nothing.
    is_final: bool,
}

/// The answer's body.
async fn call(outbound: &dyn Outbound, request: http::Request<Bytes>) -> Result<Bytes, NoAnswer> {
    match outbound.call_up_to(request, TIMEOUT, MAX_ANSWER).await {
        Answer::Response(response) if response.status().is_success() => Ok(response.into_body()),
        Answer::Response(response) => {
            let status = response.status();
            let is_final = matches!(status, http::StatusCode::NOT_FOUND | http::StatusCode::GONE);
            Err(NoAnswer { detail: format!("the store answered {}", status.as_u16()), is_final })
        }
        Answer::Failed(failure) => Err(NoAnswer { detail: failure.to_string(), is_final: false }),
    }
}

impl Hub {
    /// Looks up what is due, several at a time. Answers how many were due.
    pub(crate) async fn look_up_due(&self, outbound: &dyn Outbound) -> Result<usize, StoreError> {
        let due = self.store().due_lookups(self.clock().now(), BATCH).await?;
        let count = due.len();
        let asked = stream::iter(due).map(|lookup| self.look_up(outbound, lookup)).buffer_unordered(AT_ONCE);
        let results: Vec<Result<(), StoreError>> = asked.collect().await;
        results.into_iter().collect::<Result<(), StoreError>>()?;
        Ok(count)
    }

    async fn look_up(&self, outbound: &dyn Outbound, lookup: LookupRecord) -> Result<(), StoreError> {
        let now = self.clock().now();
        if let Some(purchase) = lookup.unless_known
            && self.store().purchase(purchase).await?.is_some_and(|purchase| purchase.state != State::None)
        {
            return self.store().forget_lookup(lookup.id).await;
        }
        let Some(opened) = self.sources().get(lookup.source_id) else {
            return self.store().forget_lookup(lookup.id).await;
        };
        let wanted = Lookup {
            name: lookup.name.clone(),
            context: lookup.context.clone(),
            why: "it waited in the database",
            unless_known: None,
        };
        let answer = match opened.source.look_up(&wanted) {
            Some(request) => call(outbound, request).await,
            None => match self.store().clue(lookup.source_id, &lookup.name).await? {
                Some(clue) => Ok(clue),
                None => Err(NoAnswer {
                    detail: "this source cannot ask its store, and no notification has said it".to_owned(),
                    is_final: false,
                }),
            },
        };
        match answer.and_then(|body| read_looked_up(&*opened.source, &lookup, body, now)) {
            Ok(notification) => self.looked_up(lookup, &*opened.source, notification, now).await,
            Err(no_answer) => self.look_up_later(lookup, no_answer, now).await,
        }
    }

    async fn looked_up(
        &self,
        lookup: LookupRecord,
        source: &dyn Source,
        notification: Notification,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let received = Received::new(lookup.source_id, source, notification, now);
        let command = Command::observe(lookup.source_id, source);
        match self.commit_received(Urgency::Rest, command, vec![received]).await {
            Ok(()) => {
                self.metrics().question("looked_up");
                Ok(())
            }
            Err(StoreError::DecisionPanicked(detail)) => {
                tracing::error!(lookup.id = %lookup.id, %detail, "deciding on what was looked up failed");
                let detail = "deciding on the answer failed".to_owned();
                self.look_up_later(lookup, NoAnswer { detail, is_final: true }, now).await
            }
            Err(error) => Err(error),
        }
    }

    /// Tries again after growing distances, for three days: as long as stores send a notification again. Then it waits
    /// for a person, or for a clue.
    async fn look_up_later(&self, lookup: LookupRecord, no_answer: NoAnswer, now: Timestamp) -> Result<(), StoreError> {
        let tried = usize::try_from(lookup.attempts).unwrap_or(usize::MAX);
        let is_over = no_answer.is_final || now.since(lookup.asked_since) >= LOOKS_UP_FOR;
        if is_over {
            self.metrics().question("given_up");
            tracing::warn!(
                lookup.id = %lookup.id, source.id = %lookup.source_id, failure = %no_answer.detail,
                "something could not be looked up; GET /v1/lookups shows it"
            );
        } else {
            self.metrics().question("postponed");
        }
        let distance = TRIES.get(tried).copied().unwrap_or(LOOKS_UP_AGAIN);
        let later = LookupRecord {
            ask_at: (!is_over).then(|| now.plus(distance)),
            attempts: lookup.attempts.saturating_add(1),
            last_error: Some(no_answer.detail),
            ..lookup
        };
        self.store().postpone_lookup(later).await
    }
}

/// What was looked up as a notification; an error says why it is none.
fn read_looked_up(
    source: &dyn Source,
    lookup: &LookupRecord,
    body: Bytes,
    now: Timestamp,
) -> Result<Notification, NoAnswer> {
    let external_id = looked_up_id(now, &lookup.name, &lookup.context);
    let read = catch_unwind(AssertUnwindSafe(|| source.read_kept(&external_id, &body)));
    let detail = match read {
        Ok(Ok(reading)) => {
            let label = format!("looked up: {}", lookup.name.split('/').next().unwrap_or_default());
            return Ok(Notification { external_id: external_id.into(), label, body, reading });
        }
        Ok(Err(rejection)) => format!("the answer cannot be read: {}", rejection.reason),
        Err(_) => {
            tracing::error!(source.id = %lookup.source_id, "source panicked on what was looked up");
            "the answer cannot be read".to_owned()
        }
    };
    Err(NoAnswer { detail, is_final: false })
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
