//! Looks at every source once a minute: whether its store answers, whether it is silent for too long, and whether it is
//! time to compare.

use super::{HABITS, Habits, OVERLAP};
use crate::alerts::{Alert, AlertKind};
use crate::ask::Standing;
use crate::sources::Opened;
use crate::{Hub, HubError};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use paidup_store::reconciles::{ReconcileCause, ReconcilePurchases, ReconcileRecord};
use paidup_store::records::Waiting;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// A store that does not answer for so long is told: before, it is what retries are for.
const UNREACHABLE_FOR: Duration = Duration::from_secs(15 * 60);
/// What failed longer ago, and was not tried since, says nothing of now.
const FRESH: Duration = Duration::from_secs(2 * 3_600);
/// A hub that starts again so soon after a run was begun has nothing new to find.
const BEGUN_LATELY: Duration = Duration::from_secs(10 * 60);
/// Starts of runs are spread over this part of the period, by the source's id.
const SPREAD: u32 = 10;

/// What is wrong with a source's store. Pure.
pub(super) fn findings(standing: &Standing, waiting: &Waiting, now: Timestamp) -> Vec<Alert> {
    let mut found = Vec::new();
    let waits = waiting.questions + waiting.lookups;
    let why = standing.last_error.as_ref().or(waiting.last_error.as_ref());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let is_fresh = waits > 0 || standing.failed_at.is_some_and(|at| now.since(at) < FRESH);
    if let Some(since) = standing.refused_since.filter(|_| is_fresh) {
        let detail = format!("the store does not accept the source's credentials{why}: mend them in its settings");
        found.push(Alert { kind: AlertKind::Credentials, since, detail });
    }
    // After a restart nothing is known of before but that something waits, and why.
    let from_before = waiting.oldest.filter(|_| standing.answered_at.is_none() && waiting.last_error.is_some());
    let since = standing.failing_since.into_iter().chain(from_before).min();
    if let Some(since) = since.filter(|since| is_fresh && now.since(*since) >= UNREACHABLE_FOR) {
        let detail = format!("the store does not answer{why}: {waits} questions wait, and are asked when it does");
        found.push(Alert { kind: AlertKind::Unreachable, since, detail });
    }
    found
}

/// When a source is to be compared again. Pure.
pub(super) fn next_at(last: Timestamp, every: Duration, source: SourceId) -> Timestamp {
    let [share, ..] = source.0;
    last.plus(every).plus(every / SPREAD * u32::from(share) / 256)
}

impl Hub {
    /// Looks at every source until the hub stops.
    pub(crate) async fn run_watch(self) {
        let started = async {
            self.load_habits().await?;
            self.resume_reconciles().await?;
            self.reconcile_on_start().await
        };
        if let Err(error) = started.await {
            tracing::warn!(%error, "stores cannot be compared with at the start");
        }
        loop {
            if let Err(error) = self.look_at_sources().await {
                tracing::warn!(%error, "sources cannot be looked at now");
            }
            tokio::select! {
                () = self.stopping().cancelled() => return,
                () = self.clock().sleep(EVERY) => {}
            }
        }
    }

    /// One look.
    pub(crate) async fn look_at_sources(&self) -> Result<(), HubError> {
        for opened in self.sources().all() {
            let id = opened.record.id;
            let waiting = self.store().waiting(id).await?;
            self.metrics().store_waiting(&id.to_string(), &waiting);
            let now = self.clock().now();
            let mut found = findings(&self.store_standing(id), &waiting, now);
            found.extend(self.silence(id, now));
            self.alerts().stand_source(id, found);
            if let Some(every) = self.config().reconcile_every {
                self.reconcile_when_due(&opened, every, now).await?;
            }
        }
        self.save_habits().await?;
        Ok(())
    }

    fn silence(&self, source: SourceId, now: Timestamp) -> Option<Alert> {
        let habit = self.comparing().habit(source);
        let (odd_from, middle) = habit.odd_from().filter(|(from, _)| *from <= now)?;
        let last = habit.last().unwrap_or(odd_from);
        let detail = format!(
            "nothing has come since {last}, while something comes every {} minutes otherwise: look at the store's console \
             whether it sends to this source's ingest_url",
            middle.as_secs().div_ceil(60)
        );
        Some(Alert { kind: AlertKind::Silent, since: odd_from, detail })
    }

    async fn reconcile_when_due(&self, opened: &Opened, every: Duration, now: Timestamp) -> Result<(), HubError> {
        let id = opened.record.id;
        let last = self.last_reconcile(id).await?;
        let begun = last.as_ref().map_or(opened.record.created_at, |last| last.created_at);
        let odd_from = self.comparing().habit(id).odd_from().map(|(from, _)| from).filter(|from| *from <= now);
        let (cause, since) = if odd_from.is_some_and(|from| begun < from) {
            (ReconcileCause::Silence, self.since_heard(id))
        } else if next_at(begun, every, id) <= now {
            (ReconcileCause::Period, begun.minus(OVERLAP))
        } else {
            return Ok(());
        };
        self.reconcile_by_itself(id, cause, since).await
    }

    /// Nobody listened before: what was sent meanwhile comes again, or does not.
    async fn reconcile_on_start(&self) -> Result<(), HubError> {
        if self.config().reconcile_every.is_none() {
            return Ok(());
        }
        let now = self.clock().now();
        for opened in self.sources().all() {
            let id = opened.record.id;
            let last = self.last_reconcile(id).await?;
            if last.is_none_or(|last| now.since(last.created_at) >= BEGUN_LATELY) {
                self.reconcile_by_itself(id, ReconcileCause::Start, self.since_heard(id)).await?;
            }
        }
        Ok(())
    }

    async fn reconcile_by_itself(
        &self,
        source: SourceId,
        cause: ReconcileCause,
        since: Timestamp,
    ) -> Result<(), HubError> {
        match self.begin_reconcile(source, cause, since, ReconcilePurchases::Open).await {
            Ok(_) => Ok(()),
            // One is under way, or the source cannot ask its store, or has gone.
            Err(error) if matches!(error.status(), 404 | 409 | 422) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn last_reconcile(&self, source: SourceId) -> Result<Option<ReconcileRecord>, StoreError> {
        Ok(self.store().reconciles(Some(source), None, 1).await?.pop().map(|(_, record)| record))
    }

    async fn load_habits(&self) -> Result<(), HubError> {
        let Some(kept) = self.store().meta(HABITS).await? else { return Ok(()) };
        match serde_json::from_slice(&kept) {
            Ok(of) => {
                let of: HashMap<SourceId, super::Habit> = of;
                let mut habits = self.comparing().habits.lock();
                // What was heard since the start is newer.
                for (source, habit) in of {
                    habits.of.entry(source).or_insert(habit);
                }
            }
            Err(error) => tracing::warn!(%error, "the habits of sources cannot be read; they are learned anew"),
        }
        Ok(())
    }

    async fn save_habits(&self) -> Result<(), StoreError> {
        let kept = {
            let mut habits = self.comparing().habits.lock();
            let Habits { of, changed } = &mut *habits;
            if !std::mem::take(changed) {
                return Ok(());
            }
            of.retain(|source, _| self.sources().get(*source).is_some());
            let sorted: BTreeMap<&SourceId, &super::Habit> = of.iter().collect();
            serde_json::to_vec(&sorted).unwrap_or_default()
        };
        self.store().put_meta(HABITS, kept).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(minute * 60))
    }

    #[test]
    fn a_store_is_told_of_when_it_fails_for_long_and_something_waits() {
        let down = |since| Standing {
            failing_since: Some(at(since)),
            failed_at: Some(at(since + 1)),
            last_error: Some("503".to_owned()),
            ..Standing::default()
        };
        let refused = Standing { refused_since: Some(at(1)), failed_at: Some(at(1)), ..Standing::default() };
        let answered = Standing { answered_at: Some(at(1)), ..Standing::default() };
        let waits =
            Waiting { questions: 2, oldest: Some(at(0)), last_error: Some("503".to_owned()), ..Waiting::default() };
        let nothing = Waiting::default();
        // (name, standing, waiting, now, what stands)
        let table: [(&str, Standing, &Waiting, u64, &[AlertKind]); 8] = [
            ("well", Standing::default(), &nothing, 100, &[]),
            ("for a moment", down(10), &waits, 14, &[]),
            ("for long", down(10), &waits, 25, &[AlertKind::Unreachable]),
            ("for long, nothing waits", down(10), &nothing, 25, &[AlertKind::Unreachable]),
            ("long ago, nothing waits", down(10), &nothing, 200, &[]),
            ("refused", refused, &nothing, 2, &[AlertKind::Credentials]),
            ("after a restart", Standing::default(), &waits, 60, &[AlertKind::Unreachable]),
            ("it answers again", answered, &waits, 60, &[]),
        ];
        for (name, standing, waiting, now, expected) in table {
            let found: Vec<AlertKind> = findings(&standing, waiting, at(now)).iter().map(|alert| alert.kind).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn runs_are_spread_by_the_sources_ids_always_in_the_same_way() {
        let day = Duration::from_secs(86_400);
        let next = |share: u8| next_at(at(0), day, SourceId([share; 16])).since(at(0));
        assert_eq!(next(0), day);
        assert!(next(255) > day && next(255) < day + day / 10);
        assert_eq!(next(77), next(77));
    }
}
