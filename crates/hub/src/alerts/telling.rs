//! Alerts as events: which of the conditions that stand are told now, and which that were told are over. Each cause is told
//! once and its end once, across restarts: what was told is kept in the transaction that tells it.
//!
//! Conditions of one kind that are found within [`GATHER`] are one event. One is over when it has stayed away for
//! [`QUIET`]; what comes back before that is counted, not told. Nothing reminds.

use super::{Alert, AlertKind};
use crate::commit::command::Command;
use crate::{Hub, HubError};
use paidup_lifecycle::alert::{AlertSubject, Ending, OperatorAlert, SubjectId};
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{DestinationRecord, DestinationState};
use paidup_store::{StoreError, Urgency};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What of the same kind is found within this time has most likely one cause, and is one event.
const GATHER: Duration = Duration::from_secs(30);
/// What was told is over when it has not come back for so long.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// Under which name it is kept what was told.
const TOLD: &str = "alerts_told";

/// A condition, from when it was found until its end is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: SubjectId,
    kind: AlertKind,
    name: String,
    since: Timestamp,
    detail: String,
    found_at: Timestamp,
    /// `None`: it is gathered with others of its kind.
    told_at: Option<Timestamp>,
    /// Since when it does not stand any more.
    gone_at: Option<Timestamp>,
    came_back: u32,
}

/// A destination or source as it is now.
struct Present {
    name: String,
    /// It is given work: else nothing can be said of how it does.
    served: bool,
}

/// What was told and is not over, and what is about to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Telling {
    known: BTreeMap<(AlertKind, SubjectId), Known>,
}

impl Telling {
    fn read(kept: &[u8]) -> Result<Telling, serde_json::Error> {
        let known: Vec<Known> = serde_json::from_slice(kept)?;
        Ok(Telling { known: known.into_iter().map(|one| ((one.kind, one.id), one)).collect() })
    }

    /// What was told; what is being gathered is found again.
    fn write(&self) -> Vec<u8> {
        let told: Vec<&Known> = self.known.values().filter(|one| one.told_at.is_some()).collect();
        serde_json::to_vec(&told).expect("ids, words and times can always be written as JSON")
    }

    /// What is to be told now, given all that stands and all whom it may be about. Pure.
    fn look(
        &mut self,
        now: Timestamp,
        stands: &[(SubjectId, Alert)],
        present: &BTreeMap<SubjectId, Present>,
    ) -> Vec<OperatorAlert> {
        let stands: BTreeMap<(AlertKind, SubjectId), &Alert> = stands
            .iter()
            .filter(|(id, alert)| present.contains_key(id) && !is_said_by_another(alert.kind, *id, stands))
            .map(|(id, alert)| ((alert.kind, *id), alert))
            .collect();
        for (key, alert) in &stands {
            self.find(*key, alert, &present[&key.1].name, now);
        }
        self.known.retain(|key, one| one.told_at.is_some() || stands.contains_key(key));
        for (key, one) in &mut self.known {
            if !stands.contains_key(key) {
                one.gone_at.get_or_insert(now);
            }
        }
        let mut told: Vec<OperatorAlert> = Vec::new();
        for kind in AlertKind::ALL {
            told.extend(self.begin(*kind, now));
            for ending in Ending::ALL {
                told.extend(self.end(*kind, *ending, now, present));
            }
        }
        told
    }

    fn find(&mut self, (kind, id): (AlertKind, SubjectId), alert: &Alert, name: &str, now: Timestamp) {
        let one = self.known.entry((kind, id)).or_insert_with(|| Known {
            id,
            kind,
            name: name.to_owned(),
            since: alert.since,
            detail: alert.detail.clone(),
            found_at: now,
            told_at: None,
            gone_at: None,
            came_back: 0,
        });
        if one.gone_at.take().is_some() {
            one.came_back = one.came_back.saturating_add(1);
        }
        if one.told_at.is_none() {
            // What it says is as of when it is told: numbers in it go on changing.
            one.detail.clone_from(&alert.detail);
        }
    }

    /// Those of a kind that are to be told together.
    fn begin(&mut self, kind: AlertKind, now: Timestamp) -> Option<OperatorAlert> {
        let fresh = |one: &&mut Known| one.kind == kind && one.told_at.is_none();
        let first = self.known.values_mut().filter(fresh).map(|one| one.found_at).min()?;
        if now.since(first) < GATHER {
            return None;
        }
        let mut subjects = Vec::new();
        for one in self.known.values_mut().filter(fresh) {
            one.told_at = Some(now);
            subjects.push(one.subject());
        }
        OperatorAlert::of(kind, subjects, None)
    }

    /// Those of a kind that are over in the same way.
    fn end(
        &mut self,
        kind: AlertKind,
        ending: Ending,
        now: Timestamp,
        present: &BTreeMap<SubjectId, Present>,
    ) -> Option<OperatorAlert> {
        let gone_for = |one: &Known| one.gone_at.map(|gone_at| now.since(gone_at));
        let is_meant = |one: &&Known| one.kind == kind && how(kind, present.get(&one.id)) == ending;
        let longest = self.known.values().filter(is_meant).filter_map(gone_for).max()?;
        // Nobody comes back from being deleted.
        let quiet = if ending == Ending::Deleted { Duration::ZERO } else { QUIET };
        if longest < quiet + GATHER {
            return None;
        }
        let over: Vec<Known> = self
            .known
            .values()
            .filter(is_meant)
            .filter(|one| gone_for(one).is_some_and(|gone_for| gone_for >= quiet))
            .cloned()
            .collect();
        for one in &over {
            self.known.remove(&(one.kind, one.id));
        }
        OperatorAlert::of(kind, over.iter().map(Known::subject).collect(), Some(ending))
    }
}

impl Known {
    fn subject(&self) -> AlertSubject {
        AlertSubject {
            id: self.id,
            name: self.name.clone(),
            since: self.since,
            until: self.gone_at,
            detail: self.detail.clone(),
            came_back: self.came_back,
        }
    }
}

/// How a condition that does not stand any more ended.
fn how(kind: AlertKind, present: Option<&Present>) -> Ending {
    let needs_service = match kind {
        AlertKind::Backlog | AlertKind::Crowded | AlertKind::Failing | AlertKind::Late => true,
        AlertKind::Credentials
        | AlertKind::Gap
        | AlertKind::Paused
        | AlertKind::Silent
        | AlertKind::SwitchedOff
        | AlertKind::Unreachable => false,
    };
    match present {
        None => Ending::Deleted,
        Some(present) if needs_service && !present.served => Ending::Held,
        Some(_) => Ending::Passed,
    }
}

/// A gap comes with being switched off, which says it already: one cause.
fn is_said_by_another(kind: AlertKind, id: SubjectId, stands: &[(SubjectId, Alert)]) -> bool {
    let is_off = |(other, alert): &(SubjectId, Alert)| *other == id && alert.kind == AlertKind::SwitchedOff;
    kind == AlertKind::Gap && stands.iter().any(is_off)
}

impl Hub {
    /// Reads what was told before a restart, once: it stands until somebody has looked.
    pub(crate) async fn resume_alerts(&self) -> Result<(), StoreError> {
        let mut telling = self.alerts().telling.lock().await;
        self.read_told(&mut telling).await
    }

    async fn read_told(&self, telling: &mut Option<Telling>) -> Result<(), StoreError> {
        if telling.is_some() {
            return Ok(());
        }
        let kept = self.store().meta(TOLD).await?;
        let read = kept.map_or_else(|| Ok(Telling::default()), |kept| Telling::read(&kept));
        let told = read.unwrap_or_else(|error| {
            tracing::warn!(%error, "which alerts were told cannot be read; those that stand are told again");
            Telling::default()
        });
        for one in told.known.values().filter(|one| one.gone_at.is_none()) {
            let alert = Alert { kind: one.kind, since: one.since, detail: one.detail.clone() };
            self.alerts().resume(one.id, alert);
        }
        *telling = Some(told);
        Ok(())
    }

    /// Tells what is to be told of all that stands. Called after each look at the destinations, which are these.
    pub(crate) async fn tell_alerts(&self, destinations: &[DestinationRecord]) -> Result<(), HubError> {
        let mut telling = self.alerts().telling.lock().await;
        self.read_told(&mut telling).await?;
        let present = self.present(destinations).await?;
        let before = telling.get_or_insert_default();
        let mut now = before.clone();
        let alerts = now.look(self.clock().now(), &self.alerts().all(), &present);
        let told = now.write();
        if !alerts.is_empty() {
            self.commit_beside(Urgency::Rest, Command::TellAlerts { alerts }, (TOLD, told)).await?;
        } else if told != before.write() {
            self.store().put_meta(TOLD, told).await?;
        }
        *before = now;
        Ok(())
    }

    async fn present(&self, destinations: &[DestinationRecord]) -> Result<BTreeMap<SubjectId, Present>, StoreError> {
        let destinations = destinations.iter().map(|one| {
            let served = one.state == DestinationState::Active;
            (SubjectId::Destination(one.id), Present { name: one.name.clone(), served })
        });
        let sources = self.store().sources().await?;
        let sources =
            sources.into_iter().map(|one| (SubjectId::Source(one.id), Present { name: one.name, served: true }));
        Ok(destinations.chain(sources).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::ids::{DestinationId, SourceId};

    /// A story: at each second what stands, and what is told then.
    struct Story {
        telling: Telling,
        present: BTreeMap<SubjectId, Present>,
    }

    fn destination(number: u8) -> SubjectId {
        SubjectId::Destination(DestinationId([number; 16]))
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(second))
    }

    impl Story {
        fn new() -> Story {
            let mut present: BTreeMap<SubjectId, Present> = (1..=5)
                .map(|number| (destination(number), Present { name: format!("hook {number}"), served: true }))
                .collect();
            let store = SubjectId::Source(SourceId([1; 16]));
            present.insert(store, Present { name: "store".to_owned(), served: true });
            Story { telling: Telling::default(), present }
        }

        /// `failing 1 2` stand at that second; what is told, as `failing 2 subjects`.
        fn look(&mut self, second: u64, stands: &[(AlertKind, u8)]) -> Vec<String> {
            let stands: Vec<(SubjectId, Alert)> = stands
                .iter()
                .map(|(kind, number)| {
                    let detail = format!("found at {second}");
                    (destination(*number), Alert { kind: *kind, since: at(second), detail })
                })
                .collect();
            let told = self.telling.look(at(second), &stands, &self.present);
            // As after a restart.
            let kept = Telling::read(&self.telling.write()).unwrap();
            let gathered = |one: &&Known| one.told_at.is_none();
            assert_eq!(
                kept.known.len() + self.telling.known.values().filter(gathered).count(),
                self.telling.known.len()
            );
            told.iter()
                .map(|alert| {
                    let ending = alert.ending.map_or_else(|| "stands".to_owned(), |ending| ending.to_string());
                    format!("{} {ending} {}", alert.kind, alert.count)
                })
                .collect()
        }
    }

    const FAILING: AlertKind = AlertKind::Failing;

    #[test]
    fn one_cause_is_told_once_and_its_end_once() {
        let mut story = Story::new();
        assert!(story.look(0, &[(FAILING, 1)]).is_empty(), "others of its kind are waited for");
        let all: Vec<(AlertKind, u8)> = (1..=5).map(|number| (FAILING, number)).collect();
        assert!(story.look(20, &all).is_empty());
        assert_eq!(story.look(30, &all), ["failing stands 5"]);
        assert!(story.look(10_000, &all).is_empty(), "nothing reminds");
        assert!(story.look(10_010, &[]).is_empty());
        assert!(story.look(10_610, &[]).is_empty());
        assert_eq!(story.look(10_640, &[]), ["failing passed 5"]);
        assert!(story.look(20_000, &[]).is_empty());
        assert_eq!(story.telling, Telling::default());
    }

    #[test]
    fn what_passes_at_once_is_not_told_and_what_comes_back_is_counted() {
        let mut story = Story::new();
        story.look(0, &[(FAILING, 1)]);
        assert!(story.look(20, &[]).is_empty());
        assert!(story.look(40, &[(FAILING, 1)]).is_empty(), "it begins anew");
        assert_eq!(story.look(70, &[(FAILING, 1)]), ["failing stands 1"]);
        for second in [100, 700, 1_300] {
            assert!(story.look(second, &[]).is_empty(), "{second}");
            assert!(story.look(second + 500, &[(FAILING, 1)]).is_empty(), "{second}");
        }
        story.look(2_000, &[]);
        let told = story.telling.look(at(2_630), &[], &story.present);
        assert_eq!(told[0].subjects[0].came_back, 3);
        assert_eq!(told[0].until, Some(at(2_000)), "until it really ended");
        assert_eq!(told[0].subjects[0].since, at(40));
    }

    #[test]
    fn a_restart_between_tells_nothing_twice() {
        let mut story = Story::new();
        story.look(0, &[(FAILING, 1)]);
        story.look(30, &[(FAILING, 1)]);
        let restart = |story: &mut Story| story.telling = Telling::read(&story.telling.write()).unwrap();
        restart(&mut story);
        assert!(story.look(100, &[(FAILING, 1)]).is_empty());
        story.look(200, &[]);
        restart(&mut story);
        assert_eq!(story.look(830, &[]), ["failing passed 1"]);
        restart(&mut story);
        assert!(story.look(2_000, &[]).is_empty());
        // What was gathered and not told is found again.
        story.look(3_000, &[(FAILING, 2)]);
        restart(&mut story);
        story.look(3_010, &[(FAILING, 2)]);
        assert_eq!(story.look(3_040, &[(FAILING, 2)]), ["failing stands 1"]);
    }

    #[test]
    fn an_end_says_how() {
        let mut story = Story::new();
        let all: Vec<(AlertKind, u8)> = (1..=3).map(|number| (FAILING, number)).collect();
        story.look(0, &all);
        story.look(30, &all);
        story.present.get_mut(&destination(1)).unwrap().served = false;
        story.present.remove(&destination(2));
        story.look(100, &[]);
        assert_eq!(story.look(130, &[]), ["failing deleted 1"], "at once");
        assert_eq!(story.look(730, &[]), ["failing passed 1", "failing held 1"]);
    }

    #[test]
    fn a_gap_is_not_told_beside_being_switched_off() {
        let mut story = Story::new();
        let both = [(AlertKind::SwitchedOff, 1), (AlertKind::Gap, 1)];
        story.look(0, &both);
        assert_eq!(story.look(30, &both), ["switched_off stands 1"]);
        assert!(story.look(60, &[(AlertKind::Gap, 1)]).is_empty());
        assert_eq!(story.look(90, &[(AlertKind::Gap, 1)]), ["gap stands 1"], "alone it is");
    }
}
