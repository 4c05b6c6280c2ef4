//! How fast a back-fill goes, and when it will be through. Pure.

use paidup_lifecycle::time::Timestamp;
use paidup_store::backfills::{BackfillRecord, BackfillState};
use std::time::Duration;

/// How fast a back-fill goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Customers a minute, since it was begun or last resumed.
    pub per_minute: u64,
    /// When it will be through if it goes on like this.
    pub eta: Timestamp,
}

impl Pace {
    /// `None`: it does not run, or nothing can be told yet.
    #[must_use]
    pub fn of(record: &BackfillRecord, now: Timestamp) -> Option<Pace> {
        if record.state != BackfillState::Running {
            return None;
        }
        let came = record.done().checked_sub(record.resumed_with).filter(|came| *came > 0)?;
        let took = now.since(record.resumed_at).as_millis().max(1);
        let left = record.total.saturating_sub(record.done());
        let ms = u128::from(left) * took / u128::from(came);
        Some(Pace {
            per_minute: u64::try_from(u128::from(came) * 60_000 / took).unwrap_or(u64::MAX),
            eta: now.plus(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::ids::{BackfillId, DestinationId};

    #[test]
    fn the_pace_is_told_from_what_came_since_it_goes_on() {
        let at = |s: u64| Timestamp::default().plus(Duration::from_secs(s));
        // (name, state, written, failed, total, resumed at, resumed with, now, (per minute, eta))
        let running = BackfillState::Running;
        let table = [
            ("half", running, 490, 10, 1_000, 0, 0, 60, Some((500, 120))),
            ("resumed", running, 600, 0, 1_000, 1_000, 500, 1_010, Some((600, 1_050))),
            ("nothing yet", running, 500, 0, 1_000, 1_000, 500, 1_010, None),
            ("at the end", running, 1_000, 0, 1_000, 0, 0, 60, Some((1_000, 60))),
            ("more than expected", running, 1_001, 0, 1_000, 0, 0, 60, Some((1_001, 60))),
            ("no time passed", running, 1, 0, 2, 5, 0, 5, Some((60_000, 5))),
            ("paused", BackfillState::Paused, 500, 0, 1_000, 0, 0, 60, None),
            ("done", BackfillState::Done, 1_000, 0, 1_000, 0, 0, 60, None),
        ];
        for (name, state, written, failed, total, resumed, resumed_with, now, expected) in table {
            let record = BackfillRecord {
                id: BackfillId([1; 16]),
                destination: DestinationId([1; 16]),
                state,
                reason: None,
                state_since: at(0),
                created_at: at(0),
                position: 0,
                last: total,
                total,
                written,
                skipped: 0,
                failed,
                resumed_at: at(resumed),
                resumed_with,
            };
            let found = Pace::of(&record, at(now)).map(|pace| (pace.per_minute, pace.eta.since(at(0)).as_secs()));
            assert_eq!(found, expected, "{name}");
        }
    }
}
