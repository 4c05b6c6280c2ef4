//! What an operator must know of the hub itself, as events tell it: a destination that fails, a source that is silent. Pure.
//!
//! Such an event stands in the log like every other, so it is delivered with retries, in order and without loss. It is about
//! no customer's purchase: it hangs on a purchase that stands for its kind of alert, which nobody bought and which unlocks
//! nothing (as the TEST of a source hangs on a test purchase). Only destinations whose filter names the type get it.

use crate::closed_set;
use crate::event::{Event, EventType};
use crate::ids::{CustomerId, DestinationId, SourceId};
use crate::observation::{Environment, PurchaseKey};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most subjects that an event names; `count` says how many there are.
pub const MAX_NAMED: usize = 20;
/// Most names in a sentence.
const MAX_LISTED: usize = 3;

closed_set! {
    /// What about.
    pub enum AlertKind {
        /// Nearly as many events wait as may: 90 % of `max_backlog`.
        Backlog = "backlog",
        /// A source's store does not accept its credentials.
        Credentials = "credentials",
        /// So many events are in trouble that nothing more is read until some are done.
        Crowded = "crowded",
        /// Nothing was taken for a while.
        Failing = "failing",
        /// A gap waits for a decision: resume behind it or in front of it.
        Gap = "gap",
        /// It takes events, but the oldest that waits is old: it does not keep up.
        Late = "late",
        /// Paused by the hub.
        Paused = "paused",
        /// A source has sent nothing for far longer than is its habit.
        Silent = "silent",
        /// Switched off by the hub.
        SwitchedOff = "switched_off",
        /// A source's store does not answer.
        Unreachable = "unreachable",
    }
}

impl AlertKind {
    /// What stands, in words that fit one subject and many.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            AlertKind::Backlog => "nearly as many events wait as may",
            AlertKind::Credentials => "the store does not accept the credentials",
            AlertKind::Crowded => "so many events are in trouble that no more are read",
            AlertKind::Failing => "nothing is taken any more",
            AlertKind::Gap => "a gap waits for a decision",
            AlertKind::Late => "events arrive late",
            AlertKind::Paused => "paused by the hub",
            AlertKind::Silent => "nothing has come for far longer than usual",
            AlertKind::SwitchedOff => "switched off by the hub",
            AlertKind::Unreachable => "the store does not answer",
        }
    }

    /// What is said of one subject names the reason only, not what stands.
    const fn needs_words(self) -> bool {
        match self {
            AlertKind::Failing | AlertKind::Paused | AlertKind::SwitchedOff => true,
            AlertKind::Backlog
            | AlertKind::Credentials
            | AlertKind::Crowded
            | AlertKind::Gap
            | AlertKind::Late
            | AlertKind::Silent
            | AlertKind::Unreachable => false,
        }
    }

    /// The same once it is over.
    #[must_use]
    pub const fn words_when_over(self) -> &'static str {
        match self {
            AlertKind::Backlog => "far fewer events wait than may",
            AlertKind::Credentials => "the store accepts the credentials",
            AlertKind::Crowded => "events are read again",
            AlertKind::Failing => "events are taken again",
            AlertKind::Gap => "the gap was decided on",
            AlertKind::Late => "events arrive in time again",
            AlertKind::Paused | AlertKind::SwitchedOff => "served again",
            AlertKind::Silent => "notifications come again",
            AlertKind::Unreachable => "the store answers again",
        }
    }
}

closed_set! {
    /// How what an alert is about ended.
    pub enum Ending {
        /// It is no longer so.
        Passed = "passed",
        /// The destination is not served any more (paused or switched off), so nothing can be said of it.
        Held = "held",
        /// The destination or source was deleted.
        Deleted = "deleted",
    }
}

/// Whom an alert is about. As text its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectId {
    /// A destination.
    Destination(DestinationId),
    /// A source.
    Source(SourceId),
}

impl SubjectId {
    const fn noun(self) -> &'static str {
        match self {
            SubjectId::Destination(_) => "destination",
            SubjectId::Source(_) => "source",
        }
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubjectId::Destination(id) => id.fmt(f),
            SubjectId::Source(id) => id.fmt(f),
        }
    }
}

impl FromStr for SubjectId {
    type Err = crate::ids::InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(id) => Ok(SubjectId::Destination(id)),
            Err(_) => text.parse().map(SubjectId::Source),
        }
    }
}

impl Serialize for SubjectId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for SubjectId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SubjectId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(dst|src)_[0-7][0-9a-hjkmnp-tv-z]{25}$"})
    }
}

/// One whom an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertSubject {
    /// The id of the destination or source.
    pub id: SubjectId,
    /// Its name, for people.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What is wrong with it and what to do; once it is over, what was wrong. Never contains a secret.
    pub detail: String,
    /// How often it was over for a moment and came back, which was not told.
    #[serde(default, skip_serializing_if = "crate::purchase::is_zero")]
    pub came_back: u32,
}

/// What an alert's event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorAlert {
    /// What about.
    pub kind: AlertKind,
    /// All of it in words.
    pub text: String,
    /// How many it is about.
    pub count: u32,
    /// Whom it is about: at most 20 of them.
    pub subjects: Vec<AlertSubject>,
    /// Since when, for the first of them.
    pub since: Timestamp,
    /// Until when, for the last of them, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How it ended, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

impl OperatorAlert {
    /// An alert about `subjects`, all found with the same thing at the same time. `None`: there are none.
    #[must_use]
    pub fn of(kind: AlertKind, mut subjects: Vec<AlertSubject>, ending: Option<Ending>) -> Option<OperatorAlert> {
        let since = subjects.iter().map(|subject| subject.since).min()?;
        let until = subjects.iter().filter_map(|subject| subject.until).max();
        let text = text(kind, &subjects, ending);
        let count = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
        subjects.truncate(MAX_NAMED);
        Some(OperatorAlert { kind, text, count, subjects, since, until, ending })
    }

    /// It is about this destination and nobody else: there is no use in telling it so.
    #[must_use]
    pub fn is_only_about(&self, id: DestinationId) -> bool {
        self.count == 1 && self.subjects.iter().any(|subject| subject.id == SubjectId::Destination(id))
    }

    /// What its event is called.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self.ending {
            None => EventType::OperatorAlert,
            Some(_) => EventType::OperatorAlertOver,
        }
    }
}

/// `5 destinations ("#sales", "crm", "mail" and 2 more): nothing is taken any more`
fn text(kind: AlertKind, subjects: &[AlertSubject], ending: Option<Ending>) -> String {
    let noun = subjects.first().map_or("destination", |subject| subject.id.noun());
    let names: Vec<String> = subjects.iter().take(MAX_LISTED).map(|subject| format!("{:?}", subject.name)).collect();
    let more = subjects.len().saturating_sub(MAX_LISTED);
    let names = match (names.as_slice(), more) {
        ([name], 0) => name.clone(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    };
    let words = match ending {
        None => kind.words(),
        Some(Ending::Passed) => kind.words_when_over(),
        Some(Ending::Held) => "not served any more",
        Some(Ending::Deleted) => "deleted",
    };
    match subjects {
        [only] if ending.is_none() && kind.needs_words() => format!("{noun} {names}: {words} ({})", only.detail),
        [only] if ending.is_none() => format!("{noun} {names}: {}", only.detail),
        [_] => format!("{noun} {names}: {words}"),
        many => format!("{} {noun}s ({names}): {words}", many.len()),
    }
}

/// Whether an event is about the hub itself and not about a purchase.
#[must_use]
pub const fn is_alert(event_type: EventType) -> bool {
    matches!(event_type, EventType::OperatorAlert | EventType::OperatorAlertOver)
}

/// Whether an event tells this destination only of its own trouble.
#[must_use]
pub fn is_only_about(event: &Event, id: DestinationId) -> bool {
    event.details.alert.as_ref().is_some_and(|alert| alert.is_only_about(id))
}

/// The one source of all alerts. It has no record: nobody can send to it.
#[must_use]
pub fn source_id() -> SourceId {
    SourceId::derive(&[b"operator alerts"])
}

/// The customer under whom alerts stand. Nobody can claim it, and it has nothing.
#[must_use]
pub fn customer_id() -> CustomerId {
    CustomerId::derive(&[b"operator alerts"])
}

/// The purchase that stands for a kind of alert: what keeps alerts of one kind in order.
#[must_use]
pub fn key_of(kind: AlertKind) -> PurchaseKey {
    PurchaseKey {
        source_id: source_id(),
        environment: Environment::Production,
        store_purchase_id: format!("operator-alerts/{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn subject(number: u8, until: Option<u64>) -> AlertSubject {
        let at = |minute| Timestamp::default().plus(Duration::from_secs(60 * minute));
        AlertSubject {
            id: SubjectId::Destination(DestinationId([number; 16])),
            name: format!("hook {number}"),
            since: at(10 - u64::from(number.min(9))),
            until: until.map(at),
            detail: "its attempts say why".to_owned(),
            came_back: 0,
        }
    }

    #[test]
    fn one_event_names_them_all_in_words() {
        let of = |numbers: std::ops::RangeInclusive<u8>, ending: Option<Ending>| {
            let subjects = numbers.map(|number| subject(number, ending.map(|_| 20))).collect();
            OperatorAlert::of(AlertKind::Failing, subjects, ending).unwrap()
        };
        for (name, alert, text) in [
            ("one", of(1..=1, None), "destination \"hook 1\": nothing is taken any more (its attempts say why)"),
            ("two", of(1..=2, None), "2 destinations (\"hook 1\" and \"hook 2\"): nothing is taken any more"),
            (
                "many",
                of(1..=30, None),
                "30 destinations (\"hook 1\", \"hook 2\", \"hook 3\" and 27 more): nothing is taken any more",
            ),
            ("over", of(1..=1, Some(Ending::Passed)), "destination \"hook 1\": events are taken again"),
            ("held", of(1..=1, Some(Ending::Held)), "destination \"hook 1\": not served any more"),
            ("deleted", of(1..=1, Some(Ending::Deleted)), "destination \"hook 1\": deleted"),
        ] {
            assert_eq!(alert.text, text, "{name}");
            assert!(alert.subjects.len() <= MAX_NAMED, "{name}");
        }
        let many = of(1..=30, None);
        assert_eq!((many.count, many.subjects.len()), (30, MAX_NAMED));
        assert_eq!(many.since, Timestamp::default().plus(Duration::from_secs(60)), "the first of them");
        assert!(OperatorAlert::of(AlertKind::Failing, Vec::new(), None).is_none());
    }

    #[test]
    fn every_kind_has_words_for_its_beginning_and_its_end() {
        for kind in AlertKind::ALL {
            assert_ne!(kind.words(), kind.words_when_over(), "{kind}");
        }
    }

    #[test]
    fn a_destination_is_not_told_of_itself_alone() {
        let of = |numbers: &[u8]| {
            let subjects = numbers.iter().map(|number| subject(*number, None)).collect();
            OperatorAlert::of(AlertKind::Failing, subjects, None).unwrap()
        };
        let own = DestinationId([1; 16]);
        assert!(of(&[1]).is_only_about(own));
        assert!(!of(&[2]).is_only_about(own));
        assert!(!of(&[1, 2]).is_only_about(own), "it speaks of another too");
    }

    #[test]
    fn a_subject_is_its_id_as_text() {
        for id in [SubjectId::Destination(DestinationId([3; 16])), SubjectId::Source(SourceId([4; 16]))] {
            let text = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<SubjectId>(&text).unwrap(), id, "{text}");
        }
    }
}
