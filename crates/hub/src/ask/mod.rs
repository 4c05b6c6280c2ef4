//! Questions to stores. Two sorts wait in the database until they are answered, so that a store which is slow or down
//! delays nobody's 2xx and a restart forgets none: how a purchase stands (the engine asks, when a date has passed), and
//! lookups (a source asks, when a notification does not say enough). An answer is kept and read like a notification, and
//! may bring further lookups. Lookups at a store that cannot be asked are answered by clues, where there are any.
//!
//! Each source has a [`Desk`] of its own with a loop of its own, so a store that hangs holds up its own questions only.
//! `desk.rs` says whether a call may be made now (allowance, breaker, `Retry-After`), `token.rs` fetches access tokens,
//! `exchange.rs` makes the call and judges the answer, `item.rs` knows questions from lookups, `settle.rs` what becomes of
//! them.

mod bucket;
mod compare;
mod desk;
mod exchange;
mod item;
mod settle;
mod token;

pub(crate) use desk::Desks;
pub use desk::Standing;

use crate::sources::Opened;
use crate::{Hub, HubError};
pub(crate) use bucket::Turn;
pub(crate) use compare::Compared;
pub(crate) use desk::Heard;
use desk::{Desk, Leave, Wait};
use exchange::{NoAnswer, judge};
use futures_util::stream::{FuturesUnordered, StreamExt};
use item::{Call, Item, gather};
use paidup_lifecycle::ids::{LookupId, SourceId};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Ask, Source};
use paidup_store::StoreError;
use paidup_store::records::{LookupRecord, QuestionRecord};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Questions and lookups of a source that are taken up together: those that make the same request are one call.
const BATCH: usize = 100;
/// Calls to one store at the same time.
const AT_ONCE: usize = 8;
/// How often the database is looked at for questions whose time has come.
const LOOK: Duration = Duration::from_secs(10);

/// What a call came to: which items are done with.
type Made = (Vec<[u8; 16]>, Result<(), StoreError>);

impl Hub {
    /// Sees to it that every source with something to ask is served, until the hub stops.
    pub(crate) async fn run_questions(self) {
        loop {
            match self.store().sources_due(self.clock().now()).await {
                Ok(due) => due.into_iter().for_each(|source| self.serve_source(source)),
                Err(error) => tracing::warn!(%error, "questions cannot be put now"),
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.agenda().question() => {}
                () = self.clock().sleep(LOOK) => {}
            }
        }
    }

    fn serve_source(&self, source: SourceId) {
        let desk = self.desks().of(source);
        if desk.begin_serving() {
            self.tasks().spawn(self.clone().run_desk(source, desk.clone()));
        }
        desk.due.notify_one();
    }

    /// Serves one source until the hub stops, or the source is gone.
    async fn run_desk(self, source: SourceId, desk: Arc<Desk>) {
        loop {
            let served = tokio::select! {
                () = self.stopping().cancelled() => return,
                served = self.serve_due(source, &desk) => served,
            };
            let again = match served {
                Ok(again) => again,
                Err(error) => {
                    tracing::warn!(source.id = %source, %error, "questions cannot be put now");
                    Some(self.clock().now().plus(LOOK))
                }
            };
            if self.sources().get(source).is_none() {
                self.desks().remove(source);
                return;
            }
            let sleep = async {
                match again {
                    Some(at) => self.clock().sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = desk.due.notified() => {}
                () = sleep => {}
            }
        }
    }

    /// Asks everything that is due and may be asked now, of every source. For tests, which run no loops.
    #[cfg(test)]
    pub(crate) async fn ask_due(&self) -> Result<(), StoreError> {
        let due = self.store().sources_due(self.clock().now()).await?;
        let served =
            due.into_iter().map(|source| async move { self.serve_due(source, &self.desks().of(source)).await });
        futures_util::future::try_join_all(served).await?;
        Ok(())
    }

    /// Asks everything of a source that is due, several calls at a time. Answers when to go on, where the store does not
    /// allow more now; `None`: nothing more is due.
    async fn serve_due(&self, source: SourceId, desk: &Arc<Desk>) -> Result<Option<Timestamp>, StoreError> {
        let Some(opened) = self.sources().get(source) else {
            self.drop_all_of(source).await?;
            return Ok(None);
        };
        let mut running: FuturesUnordered<_> = FuturesUnordered::new();
        let mut under_way: BTreeSet<[u8; 16]> = BTreeSet::new();
        let mut queue: VecDeque<Call> = VecDeque::new();
        loop {
            let mut wait = None;
            while running.len() < AT_ONCE {
                if queue.is_empty() {
                    queue = self.due_calls(&opened, &under_way).await?.into();
                }
                let Some(call) = queue.front() else { break };
                match desk.leave(Turn::Live, opened.source.calls_a_minute(), self.clock().now()) {
                    Ok(leave) => {
                        under_way.extend(call.items.iter().map(Item::id));
                        let Some(call) = queue.pop_front() else { break };
                        running.push(self.make(&opened, desk, leave, call));
                    }
                    Err(held) => {
                        self.note_wait(&opened, desk, held);
                        wait = Some(held);
                        break;
                    }
                }
            }
            if let Some(Wait::Held(_)) = wait {
                self.give_up_overdue(std::mem::take(&mut queue)).await?;
            }
            if running.is_empty() {
                return Ok(wait.map(Wait::until));
            }
            tokio::select! {
                Some((done, made)) = running.next() => {
                    under_way.retain(|id| !done.contains(id));
                    made?;
                }
                () = desk.due.notified() => {}
            }
        }
    }

    /// Looks one thing up at once, because somebody waits for it. Where the store allows no call now, the desk does it when it
    /// does.
    pub(crate) async fn ask_at_once(&self, lookup: LookupRecord) -> Result<(), StoreError> {
        let (source, now) = (lookup.source_id, self.clock().now());
        let Some(opened) = self.sources().get(source) else { return Ok(()) };
        let item = Item::Lookup(lookup);
        let Some(request) = item.request(&*opened.source, now) else {
            return self.settle_without_call(&opened, item, now).await;
        };
        let desk = self.desks().of(source);
        match desk.leave(Turn::Live, opened.source.calls_a_minute(), now) {
            Ok(leave) => self.make(&opened, &desk, leave, Call { request, items: vec![item] }).await.1,
            Err(held) => {
                self.note_wait(&opened, &desk, held);
                Ok(())
            }
        }
    }

    /// Tries a lookup again at once, that was given up or waits.
    pub async fn retry_lookup(&self, id: LookupId) -> Result<LookupRecord, HubError> {
        let found = self.store().retry_lookup(id, self.clock().now()).await?;
        self.agenda().wake(Timestamp::MAX, true);
        found.ok_or_else(|| HubError::refused(404, "", "there is no such lookup: it was answered, or never wanted"))
    }

    /// How a source's store has answered lately.
    #[must_use]
    pub fn store_standing(&self, source: SourceId) -> Standing {
        self.desks().of(source).standing()
    }

    fn note_wait(&self, opened: &Opened, desk: &Desk, wait: Wait) {
        if desk.is_new_wait(wait) {
            self.metrics().store_wait(opened.definition.kind, wait.reason());
        }
    }

    /// What of a source is due, as calls. What needs none is settled on the way.
    async fn due_calls(&self, opened: &Opened, under_way: &BTreeSet<[u8; 16]>) -> Result<Vec<Call>, StoreError> {
        let (source, now) = (opened.record.id, self.clock().now());
        let limit = BATCH + under_way.len();
        let mut items = Vec::new();
        for question in self.store().due_questions(source, now, limit).await? {
            items.push(self.question(&*opened.source, question).await?);
        }
        items.extend(self.store().due_lookups(source, now, limit).await?.into_iter().map(Item::Lookup));
        items.retain(|item| !under_way.contains(&item.id()));
        items.sort_by_key(Item::ask_at);
        let mut calls = Vec::new();
        for item in items {
            if let Item::Lookup(lookup) = &item
                && self.is_not_wanted(lookup).await?
            {
                self.store().forget_lookup(lookup.id).await?;
                continue;
            }
            match item.request(&*opened.source, now) {
                Some(request) => gather(&mut calls, request, item),
                None => self.settle_without_call(opened, item, now).await?,
            }
        }
        Ok(calls)
    }

    /// A question, with what the source wants to ask it with.
    async fn question(&self, source: &dyn Source, question: QuestionRecord) -> Result<Item, StoreError> {
        let known = self.store().purchase(question.purchase_id).await?;
        Ok(question_about(source, question, known.as_ref()))
    }

    /// The purchase's own notification has come.
    async fn is_not_wanted(&self, lookup: &LookupRecord) -> Result<bool, StoreError> {
        let Some(purchase) = lookup.unless_known else { return Ok(false) };
        Ok(self.store().purchase(purchase).await?.is_some_and(|purchase| purchase.state != State::None))
    }

    /// Asking is not set up for this source: nothing would come of another try at a question; a clue may answer a lookup.
    async fn settle_without_call(&self, opened: &Opened, item: Item, now: Timestamp) -> Result<(), StoreError> {
        let (source, id) = (&*opened.source, opened.record.id);
        let clue = match &item {
            Item::Question(question, ..) => return self.unanswered(question).await,
            Item::Lookup(lookup) => self.store().clue(id, &lookup.name).await?,
        };
        let read = match clue {
            Some(clue) => item.read(source, clue, now),
            None => Err(NoAnswer::later("this source cannot ask its store, and no notification has said it")),
        };
        self.settle_item(id, source, item, read, now).await
    }

    /// Makes one call and settles everything that its answer is wanted for.
    async fn make(&self, opened: &Opened, desk: &Desk, leave: Leave, call: Call) -> Made {
        let asked_at = self.clock().now();
        let ids = call.items.iter().map(Item::id).collect();
        let _counted = call.items.iter().any(Item::reconciles).then(|| desk.compare_page());
        let source = &*opened.source;
        let answer = self.call_store(opened, desk, call.request).await;
        let now = self.clock().now();
        let mut heard = None;
        let mut settled = Vec::with_capacity(call.items.len());
        for item in call.items {
            let judged = answer.as_ref().map_err(Clone::clone).and_then(|it| judge(source, &item.wanted(), it, now));
            let came = judged.and_then(|body| item.read(source, body, asked_at));
            // The store is judged by the first: one answer serves all.
            heard.get_or_insert_with(|| {
                (came.as_ref().map_or_else(|why| why.heard.clone(), |_| Heard::Answer), item.number())
            });
            settled.push((item, came));
        }
        if let Some((heard, about)) = heard {
            self.metrics().store_call(opened.definition.kind, heard.word());
            leave.close(&heard, about, now);
        }
        let mut result = Ok(());
        for (item, came) in settled {
            result = result.and(self.settle_item(opened.record.id, source, item, came, asked_at).await);
        }
        (ids, result)
    }

    /// The store cannot be asked now. Questions that have waited as long as tries last get no answer: the engine has its
    /// own margin for that. Lookups wait on.
    async fn give_up_overdue(&self, calls: VecDeque<Call>) -> Result<(), StoreError> {
        let now = self.clock().now();
        for item in calls.into_iter().flat_map(|call| call.items) {
            if let Item::Question(question, ..) = &item
                && now.since(item.since()) >= settle::OVERDUE
            {
                self.unanswered(question).await?;
            }
        }
        Ok(())
    }

    /// The source is gone: nobody can be asked, and nobody wants to know. What belongs to one that only could not be opened
    /// waits.
    async fn drop_all_of(&self, source: SourceId) -> Result<(), StoreError> {
        if self.store().sources().await?.iter().any(|record| record.id == source) {
            return Ok(());
        }
        let now = self.clock().now();
        for question in self.store().due_questions(source, now, BATCH).await? {
            self.unanswered(&question).await?;
        }
        for lookup in self.store().due_lookups(source, now, BATCH).await? {
            self.store().forget_lookup(lookup.id).await?;
        }
        Ok(())
    }
}

/// A question, with what is known that the source wants to ask it with.
fn question_about(source: &dyn Source, question: QuestionRecord, known: Option<&Purchase>) -> Item {
    let facets = known.map(|known| &known.facets);
    let ask = Ask {
        store_purchase_id: question.store_purchase_id.clone(),
        ask_with: facets.and_then(|facets| facets.ask_with.as_ref()).map(|with| with.value.clone()),
        environment: known.map(|known| known.key.environment),
        kind: facets.and_then(|facets| facets.kind.as_ref()).map(|kind| kind.value),
    };
    let by = source.ask_by(&ask);
    Item::Question(question, ask, by)
}
