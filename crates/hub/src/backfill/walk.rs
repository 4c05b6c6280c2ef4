//! The walk over all customers, a page at a time. A page is saved when it is done, whole; a hub that stops repeats at
//! most one page.

use super::visit::{Visit, visit};
use super::{held, is_over};
use crate::dispatch::Target;
use crate::{Hub, HubError};
use futures_util::stream::{self, StreamExt};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::ids::BackfillId;
use paidup_lifecycle::observation::Environment;
use paidup_store::StoreError;
use paidup_store::backfills::{BackfillFailure, BackfillRecord, BackfillState};
use paidup_store::records::DestinationRecord;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Customers of one page: what is repeated at most.
const PAGE: usize = 100;
/// Customers at the same time: enough to fill the budget at answers of half a second.
const AT_ONCE: usize = 16;
/// So many customers one after another to whom nobody answered: the destination is down, not they are odd.
const MAX_UNREACHABLE: u32 = 10;
/// After the database refused, it is asked again not sooner than this.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The log says how far it is after each tenth.
const TENTHS: u64 = 10;

/// What a page came to.
#[derive(Default)]
struct Tally {
    written: u64,
    skipped: u64,
    failures: Vec<BackfillFailure>,
    unreachable: u32,
    halt: Option<String>,
}

impl Hub {
    /// Walks until the end, or until `stop`, or until it cannot go on; then it is paused with the reason.
    pub(super) async fn run_walk(self, id: BackfillId, stop: CancellationToken) {
        let mut unreachable = 0;
        while !stop.is_cancelled() {
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                step = self.walk_page(id, unreachable) => step,
            };
            match step {
                Ok(Some(count)) => unreachable = count,
                Ok(None) => return,
                Err(HubError::Store(error @ StoreError::Unavailable(_))) => {
                    tracing::warn!(backfill.id = %id, %error, "the back-fill waits for the database");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.clock().sleep(STORE_PAUSE) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(backfill.id = %id, %error, "the back-fill cannot go on");
                    return;
                }
            }
        }
    }

    /// Does one page. Answers how many customers at its end were not answered; `None`: nothing more is to be done.
    async fn walk_page(&self, id: BackfillId, unreachable: u32) -> Result<Option<u32>, HubError> {
        let Some(record) = self.store().backfill(id).await?.filter(|one| one.state == BackfillState::Running) else {
            return Ok(None);
        };
        // Read anew for each page: settings may have changed, and a destination that is held gets nothing.
        let destination = self.destination_record(record.destination).await?;
        if let Some(why) = held(&destination) {
            return self.hold(record, why).await;
        }
        let target = match self.target(&destination) {
            Ok(target) => target,
            Err(error) => return self.hold(record, format!("the destination cannot be opened: {error}")).await,
        };
        let mut page = self.store().customers(record.position, PAGE).await?;
        page.retain(|(number, _)| *number <= record.last);
        let Some(last) = page.last().map(|(number, _)| *number) else { return self.finish(record).await };
        let customers: Vec<Customer> = page.into_iter().map(|(_, customer)| customer).collect();
        let tally = self.visit_all(&target, environment(&destination), customers, unreachable).await;
        match tally.halt {
            Some(why) => self.hold(record, why).await,
            None => self.save_page(record, last, tally).await,
        }
    }

    async fn visit_all(
        &self,
        target: &Target,
        environment: Environment,
        customers: Vec<Customer>,
        unreachable: u32,
    ) -> Tally {
        let port = self.destinations().dispatch().port();
        let visits = customers.into_iter().map(|customer| async move {
            let id = customer.id;
            (id, visit(port, target, environment, customer).await)
        });
        let mut visits =
            stream::iter(visits).buffer_unordered(AT_ONCE.min(target.destination.pace().concurrency).max(1));
        let mut tally = Tally { unreachable, ..Tally::default() };
        while let Some((customer, visit)) = visits.next().await {
            let mut fail = |reason| tally.failures.push(BackfillFailure { customer, reason, at: port.clock.now() });
            match visit {
                Visit::Written => (tally.written, tally.unreachable) = (tally.written + 1, 0),
                Visit::Skipped => tally.skipped += 1,
                Visit::Failed(reason) => {
                    fail(reason);
                    tally.unreachable = 0;
                }
                Visit::Unreachable(reason) => {
                    tally.unreachable += 1;
                    if tally.unreachable >= MAX_UNREACHABLE {
                        tally.halt = Some(format!("{MAX_UNREACHABLE} customers one after another failed: {reason}"));
                        return tally;
                    }
                    fail(reason);
                }
                Visit::Halt(reason) => {
                    tally.halt = Some(reason);
                    return tally;
                }
            }
        }
        tally
    }

    async fn save_page(&self, record: BackfillRecord, last: u64, tally: Tally) -> Result<Option<u32>, HubError> {
        let before = record.done();
        let record = BackfillRecord {
            position: last,
            written: record.written + tally.written,
            skipped: record.skipped + tally.skipped,
            failed: record.failed + tally.failures.len() as u64,
            ..record
        };
        let tenth = |done: u64| done * TENTHS / record.total.max(1);
        if tenth(record.done()) > tenth(before) {
            let (done, total, failed) = (record.done(), record.total, record.failed);
            tracing::info!(backfill.id = %record.id, done, total, failed, "back-fill under way");
        }
        self.save(record, tally.failures).await?;
        Ok(Some(tally.unreachable))
    }

    async fn finish(&self, record: BackfillRecord) -> Result<Option<u32>, HubError> {
        let now = self.clock().now();
        let record = BackfillRecord { state: BackfillState::Done, state_since: now, total: record.done(), ..record };
        tracing::info!(
            backfill.id = %record.id, total = record.total, written = record.written, skipped = record.skipped,
            failed = record.failed, "back-fill done"
        );
        self.save(record, Vec::new()).await?;
        Ok(None)
    }

    async fn hold(&self, record: BackfillRecord, why: String) -> Result<Option<u32>, HubError> {
        tracing::error!(backfill.id = %record.id, destination.id = %record.destination, reason = why, "back-fill paused");
        let now = self.clock().now();
        let record = BackfillRecord { state: BackfillState::Paused, reason: Some(why), state_since: now, ..record };
        self.save(record, Vec::new()).await?;
        Ok(None)
    }

    async fn save(&self, record: BackfillRecord, failures: Vec<BackfillFailure>) -> Result<(), HubError> {
        match self.store().save_backfill(record, failures).await {
            // Its destination was deleted: the next look at it ends the walk.
            Err(error) if is_over(&error) => Ok(()),
            saved => Ok(saved?),
        }
    }
}

/// Whose purchases count: the sandbox's only where the destination wants nothing else.
fn environment(destination: &DestinationRecord) -> Environment {
    let wanted = destination.filters.last().map(|version| version.filter.environments.as_slice());
    match wanted {
        Some([Environment::Sandbox]) => Environment::Sandbox,
        Some(_) | None => Environment::Production,
    }
}
