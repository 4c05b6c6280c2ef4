//! What is remembered about a customer between deliveries, as typed access to [`Memory`].
//!
//! Nothing depends on it but the second of an event that shares its name and second with another one; the rest saves calls.
//! It may be lost at any time: then contacts are looked up again and attributes are written again.

use super::attributes::Picture;
use crate::Memory;
use paidup_lifecycle::ids::EventId;

/// The contact's id at Intercom.
const CONTACT: &str = "contact";
/// The id of the customer that it was resolved for.
const CONTACT_OF: &str = "contact_of";
/// There when that id is the contact's external id.
const BY_EXTERNAL_ID: &str = "by_external_id";
/// What was written to it last, as JSON.
const ATTRIBUTES: &str = "attributes";
/// `<event>:<count>`: of an event that is told in several calls, those that arrived.
const TOLD: &str = "told";
/// `at/<name>` = `<first>:<next>:<event>,<event>...`: the last run of taken seconds, one event each; the run's last events.
const AT: &str = "at/";
/// Events of a run that are known again when they come again.
const MAX_KNOWN: usize = 8;
/// Letters of a name that are kept. Names that begin alike are moved apart like one: that does no harm.
const MAX_NAME: usize = 40;
/// Letters of an event's id that are kept: enough to tell apart the few of a run.
const SHORT: usize = 12;

/// A contact as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownContact<'a> {
    /// Intercom's id.
    pub(super) id: &'a str,
    /// What it was found by, or made with.
    pub(super) of: &'a str,
    /// That is its external id.
    pub(super) by_external_id: bool,
}

/// Seconds that are taken, from the first to the one before the next.
#[derive(Clone)]
struct Run {
    first: i64,
    next: i64,
    /// The last ones, each a second after the one before.
    events: Vec<String>,
}

/// The notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notes(Memory);

impl Notes {
    pub(super) fn new(memory: &Memory) -> Notes {
        Notes(memory.clone())
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.0
    }

    /// The contact, if it is remembered.
    pub(super) fn contact(&self) -> Option<KnownContact<'_>> {
        let by_external_id = self.text(BY_EXTERNAL_ID).is_some();
        Some(KnownContact { id: self.text(CONTACT)?, of: self.text(CONTACT_OF)?, by_external_id })
    }

    pub(super) fn keep_contact(&mut self, contact: &KnownContact<'_>) {
        if self.contact().as_ref() != Some(contact) {
            self.forget_contact();
            self.keep(CONTACT, contact.id.to_owned());
            self.keep(CONTACT_OF, contact.of.to_owned());
            if contact.by_external_id {
                self.keep(BY_EXTERNAL_ID, String::new());
            }
        }
    }

    pub(super) fn forget_contact(&mut self) {
        for name in [CONTACT, CONTACT_OF, BY_EXTERNAL_ID, ATTRIBUTES] {
            self.0.0.remove(name);
        }
    }

    /// What was written to the contact last.
    pub(super) fn attributes(&self) -> Option<Picture> {
        serde_json::from_str(self.text(ATTRIBUTES)?).ok()
    }

    /// `written` was written to the contact, which showed `known` before.
    pub(super) fn keep_attributes(&mut self, mut known: Picture, written: &Picture) {
        known.extend(written.iter().map(|(name, value)| (name.clone(), value.clone())));
        known.retain(|_, value| !value.is_null());
        // A map of texts and numbers can always be written.
        self.keep(ATTRIBUTES, serde_json::Value::Object(known).to_string());
    }

    /// How many calls about this event arrived already.
    pub(super) fn told(&self, event: EventId) -> usize {
        let (of, count) = self.text(TOLD).and_then(|text| text.split_once(':')).unwrap_or_default();
        if of == short(event) { count.parse().unwrap_or(0) } else { 0 }
    }

    pub(super) fn keep_told(&mut self, event: EventId, count: usize) {
        self.keep(TOLD, format!("{}:{count}", short(event)));
    }

    pub(super) fn forget_told(&mut self) {
        self.0.0.remove(TOLD);
    }

    /// The second to tell an event with. Intercom ignores an event that shares name, second and contact with another
    /// one, so the later of two is moved on; on every attempt to the same second.
    /// ASSUMPTION: a second's difference harms nobody; what Intercom wants to be done is not documented.
    pub(super) fn second(&mut self, name: &str, event: EventId, wanted: i64) -> i64 {
        let key = format!("{AT}{}", canonical(name));
        let none = Run { first: wanted, next: wanted, events: Vec::new() };
        let mut run = self.run(&key).unwrap_or_else(|| none.clone());
        if let Some(place) = run.events.iter().rev().position(|known| *known == short(event)) {
            return run.next.saturating_sub(i64::try_from(place).unwrap_or(0)).saturating_sub(1);
        }
        if !(run.first..=run.next).contains(&wanted) {
            run = none;
        }
        let second = run.next;
        run.next = second.saturating_add(1);
        run.events.push(short(event));
        if run.events.len() > MAX_KNOWN {
            run.events.remove(0);
        }
        self.keep(&key, format!("{}:{}:{}", run.first, run.next, run.events.join(",")));
        second
    }

    fn run(&self, key: &str) -> Option<Run> {
        let (first, rest) = self.text(key)?.split_once(':')?;
        let (next, events) = rest.split_once(':')?;
        let events = events.split(',').map(str::to_owned).collect();
        Some(Run { first: first.parse().ok()?, next: next.parse().ok()?, events })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.0.get(name).map(String::as_str)
    }

    fn keep(&mut self, name: &str, value: String) {
        self.0.0.insert(name.to_owned(), value);
    }
}

/// A name as Intercom compares it: case does not matter, dots and dollars become hyphens.
fn canonical(name: &str) -> String {
    name.replace(['.', '$'], "-").to_lowercase().chars().take(MAX_NAME).collect()
}

/// The end of an event's id: its beginning is the time, which events of one second share.
fn short(event: EventId) -> String {
    let text = event.to_string();
    text[text.len().saturating_sub(SHORT)..].to_owned() // ids are ASCII
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_name_get_seconds_of_their_own_and_keep_them() {
        let mut notes = Notes::new(&Memory::default());
        let event = |number: u8| EventId([number; 16]);
        // (what, name, event, its second, the second that it gets)
        let table = [
            ("the first", "renewal", 1, 100, 100),
            ("another name", "expiration", 2, 100, 100),
            ("the same second", "renewal", 3, 100, 101),
            ("written otherwise", "RENEWAL", 4, 100, 102),
            ("a second that was given away", "renewal", 5, 101, 103),
            ("the second behind", "renewal", 6, 104, 104),
            ("again", "renewal", 3, 100, 101),
            ("far away", "renewal", 7, 500, 500),
            ("and again", "renewal", 7, 500, 500),
            ("earlier", "renewal", 8, 90, 90),
            ("a dot", "a.b", 1, 7, 7),
            ("is a hyphen", "a-b", 2, 7, 8),
        ];
        for (what, name, number, wanted, expected) in table {
            assert_eq!(notes.second(name, event(number), wanted), expected, "{what}");
        }
        for number in 0..100 {
            assert_eq!(notes.second("burst", event(number), 0), i64::from(number));
            assert!(notes.memory().0["at/burst"].len() < 150, "it stays small");
        }
    }

    #[test]
    fn damaged_notes_are_as_none() {
        for (name, value) in
            [("at/x", "?"), ("at/x", "x:y"), ("at/x", "1:y:"), ("told", "7"), ("attributes", "[1]"), ("contact", "c")]
        {
            let memory = Memory([(name.to_owned(), value.to_owned())].into());
            let mut notes = Notes::new(&memory);
            assert_eq!(notes.contact(), None, "{value}");
            assert_eq!(notes.attributes(), None, "{value}");
            assert_eq!(notes.told(EventId([1; 16])), 0, "{value}");
            assert_eq!(notes.second("x", EventId([1; 16]), 5), 5, "{value}");
        }
    }
}
