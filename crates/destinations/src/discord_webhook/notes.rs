//! What is remembered between deliveries: where the messages stand that later ones go to or change. It is a cache: without
//! it a new post or message is made.

use super::texts::Topic;
use super::wire::is_id;
use crate::Memory;
use paidup_lifecycle::money::Money;
use std::collections::BTreeMap;

/// Most messages that are remembered under one name (a customer's purchases); a hub keeps 4 kB. The oldest is forgotten.
const MAX_MESSAGES: usize = 4;
/// Lines of a message's history that are kept.
const MAX_LINES: usize = 8;

const WEBHOOK: &str = "webhook";
const THREAD: &str = "thread";
const DAY: &str = "day";
const MESSAGE: &str = "message/";
/// For what is not there.
const NOTHING: &str = "-";

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Notes {
    webhook: String,
    /// The day of `thread`, where there is one for each.
    day: Option<String>,
    thread: Option<String>,
    messages: BTreeMap<String, Told>,
}

/// One message about one purchase, and what it has told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// The message's id.
    pub(super) id: String,
    /// The thread in which it stands.
    pub(super) thread: Option<String>,
    /// Number of the last event of the purchase that it shows.
    pub(super) seq: u64,
    pub(super) lines: Lines,
}

/// What a message tells of the past.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Lines {
    /// Oldest first, with what happened last.
    pub(super) kept: Vec<Line>,
    /// How many older ones there were.
    pub(super) dropped: u32,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) topic: Topic,
    /// Number of the event.
    pub(super) seq: u64,
    /// Seconds since 1970.
    pub(super) at: i64,
    /// As the message shows it.
    pub(super) money: Option<Money>,
}

impl Notes {
    /// What is remembered for `webhook`: of another one nothing holds, because it may post elsewhere and cannot edit the
    /// messages of this one.
    pub(super) fn read(memory: &Memory, webhook: &str) -> Notes {
        let mut notes = Notes { webhook: webhook.to_owned(), day: None, thread: None, messages: BTreeMap::new() };
        if memory.0.get(WEBHOOK).is_none_or(|kept| kept != webhook) {
            return notes;
        }
        notes.day = memory.0.get(DAY).cloned();
        notes.thread = memory.0.get(THREAD).filter(|id| is_id(id)).cloned();
        for (key, text) in &memory.0 {
            if let Some((purchase, told)) = key.strip_prefix(MESSAGE).zip(Told::parse(text)) {
                notes.messages.insert(purchase.to_owned(), told);
            }
        }
        notes
    }

    /// As the hub keeps it; empty: nothing is worth remembering.
    pub(super) fn memory(&self) -> Memory {
        let mut memory = BTreeMap::new();
        for (key, value) in [(DAY, &self.day), (THREAD, &self.thread)] {
            memory.extend(value.iter().map(|value| (key.to_owned(), value.clone())));
        }
        for (purchase, told) in &self.messages {
            memory.insert(format!("{MESSAGE}{purchase}"), told.to_text());
        }
        if self.thread.is_some() || !self.messages.is_empty() {
            memory.insert(WEBHOOK.to_owned(), self.webhook.clone());
        } else {
            memory.clear();
        }
        Memory(memory)
    }

    /// The thread of a day is not that of the next.
    pub(super) fn on(mut self, day: String) -> Notes {
        if self.day.as_ref() != Some(&day) {
            self.thread = None;
        }
        self.day = Some(day);
        self
    }

    pub(super) fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    pub(super) fn keep_thread(&mut self, id: Option<String>) {
        self.thread = id;
    }

    pub(super) fn told(&self, purchase: &str) -> Option<&Told> {
        self.messages.get(purchase)
    }

    pub(super) fn keep_message(&mut self, purchase: &str, told: Told) {
        self.messages.insert(purchase.to_owned(), told);
        while self.messages.len() > MAX_MESSAGES {
            let oldest = self.messages.iter().filter(|(key, _)| *key != purchase).min_by_key(|(_, told)| told.at());
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            self.messages.remove(&oldest);
        }
    }

    pub(super) fn forget_message(&mut self, purchase: &str) {
        self.messages.remove(purchase);
    }
}

impl Told {
    fn at(&self) -> i64 {
        self.lines.kept.last().map_or(0, |line| line.at)
    }

    /// `id thread seq dropped;line;line`: names and numbers only.
    fn to_text(&self) -> String {
        let thread = self.thread.as_deref().unwrap_or(NOTHING);
        let mut text = format!("{} {thread} {} {}", self.id, self.seq, self.lines.dropped);
        for line in &self.lines.kept {
            text.push_str(&format!(";{} {} {}", line.topic, line.seq, line.at));
            if let Some(money) = line.money {
                text.push_str(&format!(" {} {}", money.amount_minor, money.currency));
            }
        }
        text
    }

    /// `None`: not as it was written. Lines whose topic is no more are left out.
    fn parse(text: &str) -> Option<Told> {
        let mut parts = text.split(';');
        let mut head = parts.next()?.split(' ');
        let id = head.next().filter(|id| is_id(id))?.to_owned();
        let thread = match head.next()? {
            NOTHING => None,
            id if is_id(id) => Some(id.to_owned()),
            _ => return None,
        };
        let (seq, dropped) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
        let kept = parts.take(MAX_LINES).filter_map(Line::parse).collect();
        Some(Told { id, thread, seq, lines: Lines { kept, dropped } })
    }
}

impl Line {
    fn parse(text: &str) -> Option<Line> {
        let mut words = text.split(' ');
        let topic = Topic::parse(words.next()?)?;
        let (seq, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let money = match (words.next(), words.next()) {
            (Some(minor), Some(currency)) => {
                Some(Money { amount_minor: minor.parse().ok()?, currency: currency.parse().ok()? })
            }
            (_, _) => None,
        };
        Some(Line { topic, seq, at, money })
    }
}

impl Lines {
    /// With newer ones. What is told again takes the place of what was told.
    pub(super) fn with(&self, newer: Vec<Line>) -> Lines {
        let first = newer.iter().map(|line| line.seq).min().unwrap_or(u64::MAX);
        let mut kept: Vec<Line> = self.kept.iter().filter(|line| line.seq < first).cloned().collect();
        kept.extend(newer);
        let excess = kept.len().saturating_sub(MAX_LINES);
        kept.drain(..excess);
        Lines { kept, dropped: self.dropped.saturating_add(u32::try_from(excess).unwrap_or(u32::MAX)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: usize) -> Told {
        // The longest of everything.
        let topic = Topic::all().max_by_key(|topic| topic.as_str().len()).unwrap();
        let money = Some(Money { amount_minor: i64::MIN, currency: "XXX".parse().unwrap() });
        let line = |n: usize| Line { topic, seq: u64::MAX - n as u64, at: i64::MIN, money };
        let lines = Lines { kept: (0..lines).map(line).collect(), dropped: u32::MAX };
        Told { id: "9".repeat(20), thread: Some("8".repeat(20)), seq: u64::MAX, lines }
    }

    #[test]
    fn what_is_remembered_comes_back_and_fits() {
        let mut notes = Notes::read(&Memory::default(), "1").on("2026-03-05".to_owned());
        assert_eq!(notes.memory(), Memory::default(), "nothing to remember");
        notes.keep_thread(Some("7".repeat(20)));
        for purchase in 0..6 {
            notes.keep_message(&format!("pur_{purchase:026}"), told(MAX_LINES));
        }
        let memory = notes.memory();
        assert!(serde_json::to_vec(&memory.0).unwrap().len() <= 4 * 1024, "a hub keeps no more");
        let back = Notes::read(&memory, "1");
        assert_eq!((&back, back.messages.len()), (&notes, MAX_MESSAGES));
        assert!(back.told("pur_00000000000000000000000005").is_some(), "the newest stays");
        assert_eq!(back.on("2026-03-06".to_owned()).thread(), None, "a day's post is not the next day's");
        assert_eq!(Notes::read(&memory, "2").memory(), Memory::default(), "another webhook's say nothing");
    }

    #[test]
    fn what_was_not_written_like_this_is_forgotten() {
        for text in ["", "1", "1 - 5", "x - 5 0", "1 ../2 5 0", "1 - five 0", "1/../2 - 5 0", "1 - 5 -1"] {
            assert_eq!(Told::parse(text), None, "{text:?}");
        }
        let odd = Told::parse("1 - 5 0;NO_SUCH 1 2;RENEWAL 1;RENEWAL 4 5;RENEWAL 4 5 6 euro").unwrap();
        assert_eq!(odd.lines.kept.len(), 1, "{odd:?}");
    }

    #[test]
    fn a_line_that_is_told_again_stands_once() {
        let line = |seq| Line { topic: Topic::parse("RENEWAL").unwrap(), seq, at: 0, money: None };
        let seqs = |lines: &Lines| lines.kept.iter().map(|line| line.seq).collect::<Vec<_>>();
        let lines = Lines::default().with(vec![line(1), line(2)]).with(vec![line(2), line(2), line(3)]);
        assert_eq!((seqs(&lines), lines.dropped), (vec![1, 2, 2, 3], 0));
        let many = (4..12).fold(lines, |lines, seq| lines.with(vec![line(seq)]));
        assert_eq!((seqs(&many), many.dropped), ((4..12).collect::<Vec<u64>>(), 4));
    }
}
