//! What waits for a store: questions and lookups. Which request each stands for, and how its answer is read.

use super::exchange::NoAnswer;
use bytes::Bytes;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{
    Ask, Lookup, Notification, ProvenAnswer, Rejection, Source, Wanted, answer_id, looked_up_id, reconciled_id,
};
use paidup_store::records::{LookupRecord, QuestionRecord};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a question is put that nobody waits for: it is in no table.
pub(super) const RECONCILES: &str = "to compare what is known with the store";

/// A question or a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// How a purchase stands: the engine asks. By a lookup where the answer does not say what it is about.
    Question(QuestionRecord, Ask, Option<Lookup>),
    /// Something that a notification does not say: a source asks.
    Lookup(LookupRecord),
}

/// A request, and everything that its answer is wanted for.
pub(super) struct Call {
    pub(super) request: http::Request<Bytes>,
    pub(super) items: Vec<Item>,
}

/// Gathers items that make the very same request into one call, in their order.
pub(super) fn gather(calls: &mut Vec<Call>, request: http::Request<Bytes>, item: Item) {
    let is_same = |call: &&mut Call| {
        let known = &call.request;
        (known.method(), known.uri(), known.body()) == (request.method(), request.uri(), request.body())
    };
    match calls.iter_mut().find(is_same) {
        Some(call) => call.items.push(item),
        None => calls.push(Call { request, items: vec![item] }),
    }
}

impl Item {
    /// What tells it apart from the others.
    pub(super) fn id(&self) -> [u8; 16] {
        match self {
            Item::Question(question, ..) => question.purchase_id.0,
            Item::Lookup(lookup) => lookup.id.0,
        }
    }

    /// It is asked for to compare what is known with the store.
    pub(super) fn reconciles(&self) -> bool {
        match self {
            Item::Question(question, ..) => question.why == RECONCILES,
            Item::Lookup(lookup) => lookup.reconciles,
        }
    }

    /// A number of it, for the breaker.
    pub(super) fn number(&self) -> u64 {
        self.id().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    pub(super) fn since(&self) -> Timestamp {
        match self {
            Item::Question(question, ..) => question.asked_since,
            Item::Lookup(lookup) => lookup.asked_since,
        }
    }

    pub(super) fn ask_at(&self) -> Option<Timestamp> {
        match self {
            Item::Question(question, ..) => Some(question.ask_at),
            Item::Lookup(lookup) => lookup.ask_at,
        }
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        match self {
            Item::Question(_, _, Some(by)) => Wanted::Lookup(&by.name, &by.context),
            Item::Question(question, _, None) => Wanted::Purchase(&question.store_purchase_id),
            Item::Lookup(lookup) => Wanted::Lookup(&lookup.name, &lookup.context),
        }
    }

    /// The request that asks. `None`: this source cannot ask its store, or not that.
    pub(super) fn request(&self, source: &dyn Source, now: Timestamp) -> Option<http::Request<Bytes>> {
        let made = catch_unwind(AssertUnwindSafe(|| match self {
            Item::Question(_, _, Some(by)) => source.look_up(by, now),
            Item::Question(_, ask, None) => source.ask(ask, now),
            Item::Lookup(lookup) => source.look_up(&wanted_of(lookup), now),
        }));
        made.unwrap_or_else(|_| {
            tracing::error!(kind = "request", "source panicked on a question to its store");
            None
        })
    }

    /// What is kept of the answer: the notifications that stand in it, then itself; an error says why it is none.
    pub(super) fn read(
        &self,
        source: &dyn Source,
        body: Bytes,
        asked_at: Timestamp,
    ) -> Result<Vec<Notification>, NoAnswer> {
        let (id, label) = match self {
            Item::Question(_, _, Some(by)) => (looked_up_id(asked_at, &by.name, &by.context), "answer".to_owned()),
            Item::Question(question, _, None) => {
                (answer_id(asked_at, &question.store_purchase_id), "answer".to_owned())
            }
            Item::Lookup(lookup) => {
                let what = lookup.name.split('/').next().unwrap_or_default();
                (looked_up_id(asked_at, &lookup.name, &lookup.context), format!("looked up: {what}"))
            }
        };
        let external_id = if self.reconciles() { reconciled_id(&id) } else { id };
        let read = read_proven(source, &self.wanted(), &external_id, label, body, asked_at)?;
        if let Item::Question(question, ask, _) = self {
            // An answer about nothing would leave the question open and be asked for again at once.
            let is_about = |observation: &Observation| {
                let is_asked = observation.key.store_purchase_id == question.store_purchase_id
                    && ask.environment.is_none_or(|asked| asked == observation.key.environment);
                is_asked || Purchase::id_of(&observation.key) == question.purchase_id
            };
            let answer = read.last().map(|answer| &answer.reading.observations);
            if !answer.is_some_and(|observations| observations.iter().any(is_about)) {
                return Err(NoAnswer::later("the answer says nothing about this purchase"));
            }
        }
        Ok(read)
    }
}

fn wanted_of(lookup: &LookupRecord) -> Lookup {
    Lookup {
        name: lookup.name.clone(),
        context: lookup.context.clone(),
        why: "it waited in the database",
        unless_known: None,
    }
}

/// Proves and reads. A source that panics on an answer fails this answer and nothing else.
fn read_proven(
    source: &dyn Source,
    wanted: &Wanted<'_>,
    external_id: &str,
    label: String,
    body: Bytes,
    now: Timestamp,
) -> Result<Vec<Notification>, NoAnswer> {
    let read = catch_unwind(AssertUnwindSafe(|| {
        let unproven = |refused: Rejection| format!("the answer is not believed: {}", refused.detail);
        let ProvenAnswer { body, mut notifications } = source.prove_answer(wanted, body, now).map_err(unproven)?;
        let unreadable = |refused: Rejection| format!("the answer cannot be read: {}", refused.reason);
        let reading = source.read_kept(external_id, &body).map_err(unreadable)?;
        notifications.push(Notification { external_id: external_id.into(), label, body, reading });
        Ok(notifications)
    }));
    let read = read.unwrap_or_else(|_| {
        tracing::error!(kind = "answer", "source panicked on an answer of its store");
        Err("the answer cannot be read".to_owned())
    });
    read.map_err(|detail: String| NoAnswer::later(&detail))
}
