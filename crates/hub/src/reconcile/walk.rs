//! The walk over a source's purchases: each that is not over is asked about, a page at a time. A page is saved when it is
//! done, whole; a hub that stops repeats at most one page.

use crate::ask::Compared;
use crate::sources::Opened;
use crate::{Hub, HubError};
use futures_util::stream::{self, StreamExt};
use paidup_lifecycle::ids::ReconcileId;
use paidup_lifecycle::observation::{Facets, Kind};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use paidup_store::reconciles::{ReconcilePurchases, ReconcileState, ReconcileTally};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Rows that are looked at for one page: what is repeated at most, and a few milliseconds of one reader.
const PAGE: usize = 200;
/// Purchases at the same time: half of the calls that a store gets at once.
const AT_ONCE: usize = 4;
/// What ended within this time may come back under the same id: a lapsed customer, a reversed refund.
const RECENT: Duration = Duration::from_secs(60 * 86_400);
/// How often it is looked whether the lists are through, besides when one of their pages was.
const LOOK: Duration = Duration::from_secs(5);
/// After the database refused, it is asked again not sooner than this.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is next.
enum Step {
    Page,
    Wait,
    Over,
}

impl Hub {
    /// Compares until the end, or until `stop`.
    pub(super) async fn run_reconcile(self, id: ReconcileId, stop: CancellationToken, moved: Arc<Notify>) {
        loop {
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                step = self.reconcile_step(id) => step,
            };
            let pause = match step {
                Ok(Step::Page) => continue,
                Ok(Step::Wait) => LOOK,
                Ok(Step::Over) => return,
                Err(HubError::Store(error @ StoreError::Unavailable(_))) => {
                    tracing::warn!(reconcile.id = %id, %error, "comparing waits for the database");
                    STORE_PAUSE
                }
                Err(error) => {
                    tracing::error!(reconcile.id = %id, %error, "comparing cannot go on");
                    return;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = moved.notified() => {}
                () = self.clock().sleep(pause) => {}
            }
        }
    }

    async fn reconcile_step(&self, id: ReconcileId) -> Result<Step, HubError> {
        let Some(record) = self.store().reconcile(id).await?.filter(|one| one.state == ReconcileState::Running) else {
            return Ok(Step::Over);
        };
        // It may be closed for a while: its settings do not fit.
        let Some(opened) = self.sources().get(record.source) else { return Ok(Step::Wait) };
        if !record.walked {
            let page = self.store().purchases_of_source(record.source, record.position, PAGE).await?;
            let tally = self.compare_all(&opened, record.purchases, page.purchases).await?;
            self.store().walk_reconcile(id, page.next, tally).await?;
            return Ok(Step::Page);
        }
        // In this order: a page that waits no more is under way until it is counted.
        if self.store().reconcile_lookups(record.source).await? > 0 || self.desks().of(record.source).is_comparing() {
            return Ok(Step::Wait);
        }
        self.store().end_reconcile(id, ReconcileState::Done, self.clock().now()).await?;
        tracing::info!(
            source.id = %record.source, reconcile.id = %id, asked = record.asked, different = record.different,
            failed = record.failed, "comparing with the store is done"
        );
        Ok(Step::Over)
    }

    async fn compare_all(
        &self,
        opened: &Opened,
        which: ReconcilePurchases,
        purchases: Vec<Purchase>,
    ) -> Result<ReconcileTally, StoreError> {
        let now = self.clock().now();
        let asked = purchases.into_iter().filter(|purchase| is_asked_about(purchase, which, now));
        let asked = asked.map(|purchase| async move { self.compare_purchase(opened, &purchase).await });
        let mut came = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut tally = ReconcileTally::default();
        while let Some(compared) = came.next().await {
            match compared? {
                Compared::Skipped => {}
                Compared::Same => tally.same += 1,
                Compared::Different => tally.different += 1,
                Compared::Failed(why) => {
                    tally.failed += 1;
                    tally.last_error = Some(why);
                }
            }
        }
        Ok(tally)
    }
}

/// Whether a run asks about a purchase: not when it is over for good. Pure.
fn is_asked_about(purchase: &Purchase, which: ReconcilePurchases, now: Timestamp) -> bool {
    if purchase.facets == Facets::default() {
        return false; // the source's own test
    }
    let is_running = match purchase.state {
        State::None | State::Pending | State::Active | State::Grace | State::BillingRetry | State::Paused => true,
        State::Expired | State::Revoked => false,
    };
    let kind = purchase.facets.kind.as_ref().map(|kind| kind.value);
    let is_lasting = match kind {
        Some(Kind::Subscription) | None => true,
        // Nothing more is to come of what is bought once, but a refund in its first weeks.
        Some(Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Grant | Kind::Temporary) => false,
    };
    match which {
        ReconcilePurchases::All => true,
        ReconcilePurchases::Open => (is_running && is_lasting) || spoken_of(purchase) >= now.minus(RECENT),
    }
}

/// The last moment that is known to matter: when its period ends, or what the store said last is about.
fn spoken_of(purchase: &Purchase) -> Timestamp {
    let facets = &purchase.facets;
    let ends_at = facets.period.as_ref().and_then(|period| period.value.ends_at);
    let said_at = facets.standing.as_ref().map(|standing| standing.stamp.as_of);
    ends_at.max(said_at).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::ids::{CustomerId, SourceId};
    use paidup_lifecycle::observation::{Dated, Environment, Origin, PurchaseKey, Stamp, Standing, Store};

    #[test]
    fn what_is_over_for_good_is_not_asked_about() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let day = |days: u64| now.minus(Duration::from_secs(days * 86_400));
        let (open, all) = (ReconcilePurchases::Open, ReconcilePurchases::All);
        let sub = Some(Kind::Subscription);
        // (name, state, kind, said so many days ago, which, expected)
        let table = [
            ("running", State::Active, sub, 400, open, true),
            ("in retry", State::BillingRetry, sub, 100, open, true),
            ("paused", State::Paused, sub, 100, open, true),
            ("ended lately", State::Expired, sub, 59, open, true),
            ("ended long ago", State::Expired, sub, 61, open, false),
            ("refunded lately", State::Revoked, sub, 1, open, true),
            ("ended long ago, all", State::Expired, sub, 400, all, true),
            ("bought once, lately", State::Active, Some(Kind::Consumable), 3, open, true),
            ("bought once, long ago", State::Active, Some(Kind::NonConsumable), 100, open, false),
            ("of unknown kind", State::Active, None, 100, open, true),
        ];
        let key = PurchaseKey {
            source_id: SourceId([1; 16]),
            environment: Environment::Production,
            store_purchase_id: "sub".to_owned(),
        };
        for (name, state, kind, days, which, expected) in table {
            let mut purchase = Purchase::new(key.clone(), Store::Stripe, CustomerId([1; 16]));
            let stamp = Stamp { as_of: day(days), origin: Origin::Notification, by: "n".into() };
            purchase.state = state;
            purchase.facets.kind = kind.map(|value| Dated { value, stamp: stamp.clone() });
            purchase.facets.standing = Some(Dated { value: Standing::Active, stamp });
            assert_eq!(is_asked_about(&purchase, which, now), expected, "{name}");
        }
        let test = Purchase::new(key, Store::Stripe, CustomerId([1; 16]));
        assert!(!is_asked_about(&test, all, now), "the source's test");
    }
}
