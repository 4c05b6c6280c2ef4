//! The store's interface: each call names what it runs, and whether the writer or a reader runs it.

use super::db::{Db, Outcome};
use super::session::Session;
use super::verify::Check;
use super::{
    SqliteStore, agenda, backfills, claims, commit, customers, deliveries, derived, events, journal, lookups, memories,
    notifications, pruning, purchases, reconciles, replays, setup, snowflakes,
};
use crate::backfills::{BackfillFailure, BackfillRecord, Backfills};
use crate::claims::{ClaimRecord, Claims};
use crate::reconciles::{ReconcileRecord, ReconcileState, ReconcileTally, Reconciles};
use crate::records::*;
use crate::replays::{ReplayRecord, ReplayState, Replays};
use crate::{
    Agenda, Answer, Commits, Committed, Decision, Deliveries, Listener, Log, People, Setup, Store, StoreError, Urgency,
};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::LoggedEvent;
use paidup_lifecycle::ids::{
    ApiKeyId, BackfillId, ClaimId, CustomerId, DestinationId, EventId, LookupId, NotificationId, PurchaseId,
    ReconcileId, ReplayId, SourceId,
};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl SqliteStore {
    /// Runs on a reader.
    fn read<T: Send + 'static>(&self, work: impl FnOnce(&Db) -> Outcome<T> + Send + 'static) -> Answer<'_, T> {
        Box::pin(self.readers.read(work))
    }

    /// Runs in the writer's next transaction. Handed in when first polled.
    fn write<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnMut(&mut Session) -> Outcome<T> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.shared.queue.run(urgency, work))
    }
}

impl SqliteStore {
    /// Long work in slices: each is a transaction of its own, so whoever waits for the writer goes in between. Answers
    /// the sum when a slice did nothing.
    fn in_slices(
        &self,
        slice: impl Fn(&mut Session) -> Outcome<u64> + Clone + Send + Sync + 'static,
    ) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut sum = 0;
            loop {
                let slice = slice.clone();
                match self.write(Urgency::Rest, move |session| slice(session)).await? {
                    0 => return Ok(sum),
                    done => sum += done,
                }
            }
        })
    }
}

impl Commits for SqliteStore {
    fn listen(&self, listener: Listener) {
        *self.shared.listener.write() = Some(listener);
    }

    fn commit(&self, urgency: Urgency, mut decision: Box<dyn Decision>) -> Answer<'_, Committed> {
        self.write(urgency, move |session| commit::commit(session, decision.as_mut()))
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.catalogue.read().clone()
    }
}

impl Log for SqliteStore {
    fn head(&self, _partition: u16) -> Answer<'_, u64> {
        Box::pin(std::future::ready(Ok(self.shared.position.load(Ordering::Acquire))))
    }

    fn events_after(&self, _partition: u16, position: u64, limit: usize) -> Answer<'_, Vec<LoggedEvent>> {
        self.read(move |db| events::after(db, position, limit))
    }

    fn position_at(&self, _partition: u16, at: Timestamp) -> Answer<'_, u64> {
        self.read(move |db| events::position_at(db, at))
    }

    fn event(&self, id: EventId) -> Answer<'_, Option<LoggedEvent>> {
        self.read(move |db| events::by_id(db, id))
    }

    fn events(&self, query: EventQuery) -> Answer<'_, Vec<LoggedEvent>> {
        self.read(move |db| events::list(db, &query))
    }

    fn notification(&self, id: NotificationId) -> Answer<'_, Option<KeptNotification>> {
        self.read(move |db| notifications::by_id(db, id))
    }

    fn prune_events(&self, before: Timestamp) -> Answer<'_, u64> {
        self.in_slices(move |session| pruning::events(session, before))
    }

    fn prune_notifications(&self, before: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            self.in_slices(move |session| pruning::repay(session, before)).await?;
            self.in_slices(move |session| pruning::notifications(session, before)).await
        })
    }

    fn prune_journal(&self, before: Timestamp) -> Answer<'_, u64> {
        self.in_slices(move |session| pruning::journal(session, before))
    }

    fn pruned(&self) -> Answer<'_, Pruned> {
        self.read(pruning::pruned)
    }

    fn notifications(&self, query: NotificationQuery) -> Answer<'_, Vec<(u64, KeptNotification)>> {
        self.read(move |db| notifications::list(db, &query))
    }

    fn journal_after(&self, _partition: u16, entry: u64, limit: usize) -> Answer<'_, Vec<JournalEntry>> {
        self.read(move |db| journal::after(db, entry, limit))
    }

    fn entry_notifications(&self, _partition: u16, entry: u64) -> Answer<'_, Vec<KeptNotification>> {
        self.read(move |db| journal::notifications_of(db, entry))
    }

    fn causes(&self, events: Vec<(u64, PurchaseId)>) -> Answer<'_, Vec<Cause>> {
        self.read(move |db| journal::causes(db, &events))
    }

    fn verify_journal(&self, limit: usize) -> Answer<'_, Vec<Mismatch>> {
        Box::pin(async move {
            let mut check = Check::new(limit);
            while !check.is_done() {
                check = self.readers.read(move |db| check.step(db)).await?;
            }
            Ok(check.into_found())
        })
    }

    fn compare<'a>(&'a self, other: &'a dyn Store, limit: usize) -> Answer<'a, Vec<Mismatch>> {
        Box::pin(crate::compare::compare(self, other, limit))
    }

    fn derived_rows(
        &self,
        table: DerivedTable,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Answer<'_, Vec<(Vec<u8>, Vec<u8>)>> {
        self.read(move |db| derived::rows(db, table, after.as_deref(), limit))
    }
}

impl People for SqliteStore {
    fn customer(&self, id_or_alias: &str) -> Answer<'_, Option<Customer>> {
        let id_or_alias = id_or_alias.to_owned();
        self.read(move |db| match customers::named(db, &id_or_alias)? {
            Some(id) => customers::resolve(db, id),
            None => Ok(None),
        })
    }

    fn aliases_around(&self, alias: &str, limit: usize) -> Answer<'_, Vec<String>> {
        let alias = alias.to_owned();
        self.read(move |db| customers::aliases_around(db, &alias, limit))
    }

    fn purchases_of(&self, customer: CustomerId, limit: usize) -> Answer<'_, Vec<Purchase>> {
        self.read(move |db| purchases::of_customer(db, customer, limit))
    }

    fn purchase(&self, id: PurchaseId) -> Answer<'_, Option<Purchase>> {
        self.read(move |db| {
            let found = match purchases::load(db, id)?.1 {
                Some(found) => Some(found),
                None => match purchases::by_other_id(db, id)? {
                    Some(own) => purchases::load(db, own)?.1,
                    None => None,
                },
            };
            Ok(found.map(|(purchase, _)| purchase))
        })
    }

    fn purchases_of_source(&self, source: SourceId, after: Option<i64>, scanned: usize) -> Answer<'_, SourcePage> {
        self.read(move |db| purchases::of_source(db, source, after, scanned))
    }

    fn customers(&self, after: u64, limit: usize) -> Answer<'_, Vec<(u64, Customer)>> {
        self.read(move |db| customers::by_age(db, after, limit))
    }

    fn purchases_by_snowflake(&self, query: SnowflakeQuery) -> Answer<'_, Vec<(Snowflake, Purchase)>> {
        self.read(move |db| snowflakes::purchases(db, &query))
    }

    fn customer_by_snowflake(&self, snowflake: Snowflake) -> Answer<'_, Option<Customer>> {
        self.read(move |db| match snowflakes::customer(db, snowflake)? {
            Some(id) => customers::resolve(db, id),
            None => Ok(None),
        })
    }

    fn snowflakes_of(&self, customers: BTreeSet<CustomerId>) -> Answer<'_, BTreeMap<CustomerId, Snowflake>> {
        self.read(move |db| snowflakes::of_customers(db, &customers))
    }
}

impl Agenda for SqliteStore {
    fn due_deadlines(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<(Timestamp, PurchaseId)>> {
        Box::pin(async move {
            loop {
                let due = self.readers.read(move |db| agenda::due(db, now, limit)).await?;
                if !due.stale.is_empty() {
                    let stale = due.stale;
                    self.write(Urgency::Rest, move |session| agenda::sweep(&session.db, &stale)).await?;
                }
                if !due.purchases.is_empty() || !due.more {
                    return Ok(due.purchases);
                }
            }
        })
    }

    fn forget_deadlines(&self, done: Vec<(Timestamp, PurchaseId)>) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| agenda::forget(&session.db, &done))
    }

    fn next_deadline(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(async move {
            let first = self.due_deadlines(Timestamp::MAX, 1).await?;
            Ok(first.first().map(|(due_at, _)| *due_at))
        })
    }

    fn sources_due(&self, now: Timestamp) -> Answer<'_, Vec<SourceId>> {
        self.read(move |db| agenda::sources_due(db, now))
    }

    fn waiting(&self, source: SourceId) -> Answer<'_, Waiting> {
        self.read(move |db| agenda::waiting(db, source))
    }

    fn due_questions(&self, source: SourceId, now: Timestamp, limit: usize) -> Answer<'_, Vec<QuestionRecord>> {
        self.read(move |db| agenda::due_questions(db, source, now, limit))
    }

    fn postpone_question(&self, question: QuestionRecord) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| agenda::postpone(&session.db, &question))
    }

    fn questions(&self, limit: usize) -> Answer<'_, Vec<QuestionRecord>> {
        self.read(move |db| agenda::questions(db, limit))
    }

    fn due_lookups(&self, source: SourceId, now: Timestamp, limit: usize) -> Answer<'_, Vec<LookupRecord>> {
        self.read(move |db| lookups::due(db, source, now, limit))
    }

    fn lookup(&self, lookup: LookupId) -> Answer<'_, Option<LookupRecord>> {
        self.read(move |db| lookups::one(db, lookup))
    }

    fn retry_lookup(&self, lookup: LookupId, now: Timestamp) -> Answer<'_, Option<LookupRecord>> {
        self.write(Urgency::Rest, move |session| lookups::retry(&session.db, lookup, now))
    }

    fn postpone_lookup(&self, lookup: LookupRecord) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| lookups::postpone(&session.db, &lookup))
    }

    fn forget_lookup(&self, lookup: LookupId) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| lookups::forget(&session.db, lookup))
    }

    fn lookups(&self, limit: usize) -> Answer<'_, Vec<LookupRecord>> {
        self.read(move |db| lookups::all(db, limit))
    }

    fn clue(&self, source: SourceId, name: &str) -> Answer<'_, Option<bytes::Bytes>> {
        let name = name.to_owned();
        self.read(move |db| lookups::clue(db, source, &name))
    }

    fn prune_clues(&self, before: Timestamp) -> Answer<'_, u64> {
        self.in_slices(move |session| lookups::prune_clues(&session.db, before))
    }

    fn prune_lookups(&self, before: Timestamp) -> Answer<'_, u64> {
        self.in_slices(move |session| lookups::prune(&session.db, before))
    }
}

impl Claims for SqliteStore {
    fn claim(&self, id: ClaimId) -> Answer<'_, Option<ClaimRecord>> {
        self.read(move |db| claims::by_id(db, id))
    }

    fn claims_of(&self, customer: &str, limit: usize) -> Answer<'_, Vec<ClaimRecord>> {
        let customer = customer.to_owned();
        self.read(move |db| claims::of_customer(db, &customer, limit))
    }

    fn claims_waiting(&self, made_before: Timestamp, limit: usize) -> Answer<'_, Vec<ClaimRecord>> {
        self.read(move |db| claims::waiting(db, made_before, limit))
    }

    fn claims_waiting_for(&self, lookup: LookupId) -> Answer<'_, Vec<ClaimRecord>> {
        self.read(move |db| claims::waiting_for(db, lookup.0))
    }

    fn lookups_by_id(&self, ids: BTreeSet<LookupId>) -> Answer<'_, Vec<LookupRecord>> {
        self.read(move |db| claims::lookups_of(db, &ids))
    }

    fn prune_claims(&self, before: Timestamp) -> Answer<'_, u64> {
        self.in_slices(move |session| claims::prune(session, before))
    }
}

impl Setup for SqliteStore {
    fn sources(&self) -> Answer<'_, Vec<SourceRecord>> {
        self.read(setup::sources)
    }

    fn put_source(&self, source: SourceRecord) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| setup::put_source(&session.db, &source))
    }

    fn destinations(&self) -> Answer<'_, Vec<DestinationRecord>> {
        self.read(setup::destinations)
    }

    fn put_destination(&self, destination: DestinationRecord) -> Answer<'_, DestinationRecord> {
        self.write(Urgency::Rest, move |session| setup::put_destination(&session.db, destination.clone()))
    }

    fn resume_destination(&self, destination: DestinationRecord, from: ResumeFrom) -> Answer<'_, DestinationRecord> {
        self.write(Urgency::Rest, move |session| setup::resume_destination(session, destination.clone(), from))
    }

    fn delete_destination(&self, id: DestinationId) -> Answer<'_, bool> {
        Box::pin(async move {
            let gone = self.write(Urgency::Rest, move |session| setup::delete_destination(&session.db, id)).await?;
            let Some(number) = gone else { return Ok(false) };
            while self.write(Urgency::Rest, move |session| deliveries::sweep_slice(&session.db, number)).await? {}
            Ok(true)
        })
    }

    fn delete_source(&self, id: SourceId) -> Answer<'_, bool> {
        self.write(Urgency::Rest, move |session| setup::delete_source(&session.db, id))
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.read(setup::keys)
    }

    fn key_by_hash(&self, hash: [u8; 32]) -> Answer<'_, Option<KeyRecord>> {
        self.read(move |db| setup::key_by_hash(db, hash))
    }

    fn put_key(&self, key: KeyRecord) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| setup::put_key(&session.db, &key))
    }

    fn delete_key(&self, id: ApiKeyId) -> Answer<'_, bool> {
        self.write(Urgency::Rest, move |session| setup::delete_key(&session.db, id))
    }

    fn meta(&self, name: &'static str) -> Answer<'_, Option<Vec<u8>>> {
        self.read(move |db| setup::meta(db, name))
    }

    fn put_meta(&self, name: &'static str, value: Vec<u8>) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| setup::put_meta(&session.db, name, &value))
    }

    fn idempotent(&self, key: &str) -> Answer<'_, Option<IdempotentRecord>> {
        let key = key.to_owned();
        self.read(move |db| setup::idempotent(db, &key))
    }

    fn put_idempotent(&self, record: IdempotentRecord, forget_before: Timestamp) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| setup::put_idempotent(&session.db, &record, forget_before))
    }
}

impl Deliveries for SqliteStore {
    fn progress(&self, destination: DestinationId) -> Answer<'_, Vec<Progress>> {
        self.read(move |db| deliveries::progress(db, destination))
    }

    fn parked(&self, destination: DestinationId, limit: usize) -> Answer<'_, Vec<Parked>> {
        self.read(move |db| deliveries::parked(db, destination, limit))
    }

    fn waiting_lanes(&self, destination: DestinationId, after: u64, limit: usize) -> Answer<'_, Vec<WaitingLane>> {
        self.read(move |db| deliveries::waiting_lanes(db, destination, after, limit))
    }

    fn given_up(
        &self,
        destination: DestinationId,
        after: u64,
        last: u64,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, EventId)>> {
        self.read(move |db| deliveries::given_up(db, destination, after, last, limit))
    }

    fn remembers(&self, destination: DestinationId) -> Answer<'_, bool> {
        self.read(move |db| memories::any(db, destination))
    }

    fn memory(&self, destination: DestinationId, key: Vec<u8>) -> Answer<'_, Option<Vec<u8>>> {
        self.read(move |db| memories::recall(db, destination, &key))
    }

    fn prune_memories(&self, keep: usize) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut removed = 0;
            for (destination, last) in self.readers.read(move |db| memories::excess(db, keep)).await? {
                removed +=
                    self.in_slices(move |session| memories::forget_slice(&session.db, destination, last)).await?;
            }
            Ok(removed)
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Answer<'_, ()> {
        self.write(Urgency::Settling, move |session| {
            settlements.iter().try_for_each(|settlement| deliveries::settle(&session.db, settlement))
        })
    }

    fn attempts(&self, query: AttemptQuery) -> Answer<'_, Vec<Attempt>> {
        self.read(move |db| deliveries::attempts(db, &query))
    }

    fn prune_attempts(&self, before: Timestamp) -> Answer<'_, u64> {
        Box::pin(async move {
            let (mut removed, mut after) = (0, Some(0));
            while let Some(from) = after {
                let slice = self
                    .write(Urgency::Rest, move |session| deliveries::prune_slice(&session.db, from, before))
                    .await?;
                removed += slice.removed;
                after = slice.next;
            }
            Ok(removed)
        })
    }
}

impl Replays for SqliteStore {
    fn begin_replay(&self, replay: ReplayRecord) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| replays::begin(&session.db, &replay))
    }

    fn replay(&self, id: ReplayId) -> Answer<'_, Option<ReplayRecord>> {
        self.read(move |db| replays::one(db, id))
    }

    fn replays(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<(u64, ReplayRecord)>> {
        self.read(move |db| replays::list(db, before, limit))
    }

    fn open_replays(&self) -> Answer<'_, Vec<ReplayRecord>> {
        self.read(replays::open)
    }

    fn advance_replay(&self, id: ReplayId, position: u64, told: u64) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| replays::advance(&session.db, id, position, told))
    }

    fn change_replay(&self, id: ReplayId, state: ReplayState, at: Timestamp) -> Answer<'_, Option<ReplayRecord>> {
        self.write(Urgency::Rest, move |session| replays::change(&session.db, id, state, at))
    }
}

impl Reconciles for SqliteStore {
    fn begin_reconcile(&self, reconcile: ReconcileRecord, lookups: Vec<LookupRecord>) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| reconciles::begin(&session.db, &reconcile, &lookups))
    }

    fn reconcile(&self, id: ReconcileId) -> Answer<'_, Option<ReconcileRecord>> {
        self.read(move |db| reconciles::one(db, id))
    }

    fn reconciles(
        &self,
        source: Option<SourceId>,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, ReconcileRecord)>> {
        self.read(move |db| reconciles::list(db, source, before, limit))
    }

    fn running_reconciles(&self) -> Answer<'_, Vec<ReconcileRecord>> {
        self.read(reconciles::running)
    }

    fn tally_reconcile(&self, source: SourceId, tally: ReconcileTally) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| reconciles::tally(&session.db, source, &tally))
    }

    fn walk_reconcile(&self, id: ReconcileId, position: Option<i64>, tally: ReconcileTally) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| reconciles::walk(&session.db, id, position, &tally))
    }

    fn reconcile_lookups(&self, source: SourceId) -> Answer<'_, u64> {
        self.read(move |db| reconciles::lookups_left(db, source))
    }

    fn end_reconcile(
        &self,
        id: ReconcileId,
        state: ReconcileState,
        at: Timestamp,
    ) -> Answer<'_, Option<ReconcileRecord>> {
        self.write(Urgency::Rest, move |session| reconciles::end(&session.db, id, state, at))
    }
}

impl Backfills for SqliteStore {
    fn begin_backfill(&self, backfill: BackfillRecord) -> Answer<'_, BackfillRecord> {
        self.write(Urgency::Rest, move |session| backfills::begin(&session.db, backfill.clone()))
    }

    fn backfill(&self, id: BackfillId) -> Answer<'_, Option<BackfillRecord>> {
        self.read(move |db| backfills::one(db, id))
    }

    fn backfills(
        &self,
        destination: Option<DestinationId>,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<(u64, BackfillRecord)>> {
        self.read(move |db| backfills::list(db, destination, before, limit))
    }

    fn running_backfills(&self) -> Answer<'_, Vec<BackfillRecord>> {
        self.read(backfills::running)
    }

    fn save_backfill(&self, backfill: BackfillRecord, failures: Vec<BackfillFailure>) -> Answer<'_, ()> {
        self.write(Urgency::Rest, move |session| backfills::save(&session.db, &backfill, &failures))
    }

    fn backfill_failures(&self, id: BackfillId, after: u64, limit: usize) -> Answer<'_, Vec<(u64, BackfillFailure)>> {
        self.read(move |db| backfills::failures(db, id, after, limit))
    }
}

impl Store for SqliteStore {
    fn health(&self) -> Answer<'_, Health> {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        let length = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let health = Health {
            bytes: length(&self.path) + length(log.as_ref()),
            heads: vec![(0, self.shared.position.load(Ordering::Acquire))],
            queued: self.shared.queue.len() as u64,
            transactions: self.shared.transactions.load(Ordering::Relaxed),
            commands: self.shared.commands.load(Ordering::Relaxed),
            failing: self.shared.failing.lock().clone(),
        };
        Box::pin(std::future::ready(Ok(health)))
    }

    fn close(&self) -> Answer<'_, ()> {
        let (shared, readers, threads) = (self.shared.clone(), self.readers.clone(), self.threads.clone());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || SqliteStore::shut(&shared, &readers, &threads))
                .await
                .map_err(|error| StoreError::Unavailable(format!("closing broke off: {error}")))
        })
    }
}
