//! One customer of a Discord app's and the moment that the life has reached: makes snowflakes, keeps the order of the dates,
//! and writes down what Discord tells together with what is then true.

use crate::calendar::{Calendar, Lived, SECOND};
use crate::catalogue::Plan;
use crate::chance::Chance;
use crate::lives::{Person, Said, Told, Turn};
use crate::stores::discord::wire::{App, Change, EPOCH_MS, Entitlement, Event, Id, Shown, snowflake};
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be told; the teller adds the dates and numbers.
pub(super) struct Draft {
    pub(super) turn: Turn,
    /// The subscription, or the entitlement without one.
    pub(super) purchase: Id,
    /// The user who has it, where Discord says.
    pub(super) user: Option<Id>,
    /// The webhook event about it.
    pub(super) event: Option<(&'static str, Entitlement)>,
    pub(super) shown: Vec<Shown>,
    pub(super) after: After,
}

/// A customer in the middle of their life.
pub(crate) struct Teller {
    pub(super) chance: Chance,
    pub(super) calendar: Calendar,
    pub(super) app: App,
    /// Discord's id of the user, which an app always knows.
    pub(super) user: Id,
    /// The server that the user has.
    pub(super) guild: Id,
    pub(super) now: Lived,
    pub(super) told: Vec<Told>,
    names: Chance,
    /// The last date of each purchase, and how many turns it has.
    dated: BTreeMap<Id, (i64, u32)>,
}

impl Teller {
    pub(crate) fn new(person: Person, calendar: Calendar, app: App) -> Teller {
        let mut names = person.names;
        // Accounts and servers are years old, and none is older than Discord, which opened in May 2015.
        let mut account = || snowflake(EPOCH_MS + names.between(133, 9 * 365) * 86_400_000, names.draw());
        let (user, guild) = (account(), account());
        Teller {
            chance: person.chance,
            names,
            calendar,
            app,
            user,
            guild,
            now: person.arrives,
            told: Vec::new(),
            dated: BTreeMap::new(),
        }
    }

    /// Time passes: between the two spans.
    pub(super) fn wait(&mut self, from: Lived, to: Lived) {
        self.now += self.chance.between(from, to);
    }

    /// The few seconds between two steps of one thing.
    pub(super) fn moment(&mut self) {
        self.wait(SECOND, 5 * SECOND);
    }

    /// The present moment, as stamped.
    pub(super) fn stamp(&self) -> i64 {
        self.calendar.stamp(self.now)
    }

    /// The id of something that is made now.
    pub(super) fn id(&mut self) -> Id {
        let tail = self.names.draw();
        snowflake(self.stamp(), tail)
    }

    /// The end of a period that begins at `from`: months are the calendar's where time runs as it does.
    pub(super) fn after_period(&self, from: Lived, plan: &Plan) -> Lived {
        let civil = || {
            let at = jiff::Timestamp::from_millisecond(self.calendar.stamp(from)).ok()?;
            let at = at.to_zoned(jiff::tz::TimeZone::UTC).checked_add(jiff::Span::new().months(1)).ok()?;
            Some(self.calendar.lived(at.timestamp().as_millisecond()))
        };
        let is_real = self.calendar.speed() <= 1.0;
        civil().filter(|_| is_real).unwrap_or(from + plan.period)
    }

    /// Writes a turn down. Two of one purchase never carry the same date, however fast time runs.
    pub(super) fn tell(&mut self, draft: Draft) {
        let (last, count) = self.dated.entry(draft.purchase).or_insert((i64::MIN, 0));
        let at = self.calendar.stamp(self.now).max(last.saturating_add(1));
        let ordinal = *count;
        (*last, *count) = (at, ordinal + 1);
        let event = draft.event.map(|(kind, entitlement)| Event { kind, at, entitlement });
        self.told.push(Told {
            purchase: Arc::from(draft.purchase.to_string()),
            known_as: None,
            customer: draft.user.map(|user| Arc::from(user.to_string())),
            ordinal,
            at: self.now,
            turn: draft.turn,
            said: Said::Discord(Box::new(Change { event, shown: draft.shown })),
            after: draft.after,
        });
    }
}
