//! One customer of Stripe's and the second that their life has reached: numbers objects and events, and writes down what
//! Stripe tells together with what is then true.
//!
//! Stripe's clock has whole seconds, so these lives are led in them: a lived day may be one second, and two turns of a
//! life never share one. Events of one turn do, as at Stripe.

use crate::calendar::{Calendar, Lived, MONTH};
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::lives::{Person, Said, Told, Turn};
use crate::stores::stripe::objects::{Customer, Event, Id, Object, Refund};
use crate::stores::stripe::shape::Shape;
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A month is at least this many seconds: a paid period has a start, a payment an hour later, an incident and an end.
const SHORTEST_MONTH: i64 = 6;

/// What is to be told.
pub(super) struct Draft {
    pub(super) turn: Turn,
    pub(super) purchase: Id,
    pub(super) kind: &'static str,
    pub(super) object: Object,
    pub(super) before: Option<Object>,
    pub(super) also: Vec<Object>,
    pub(super) after: After,
}

/// A customer in the middle of their life.
pub(crate) struct Teller {
    pub(super) chance: Chance,
    pub(super) storefront: &'static Storefront,
    /// Their id in the app, if the app told Stripe.
    pub(super) user: Option<Arc<str>>,
    pub(super) customer: Customer,
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) told: Vec<Told>,
    /// Which kinds of events the endpoint's version has.
    pub(super) shape: Shape,
    names: Chance,
    calendar: Calendar,
    month: i64,
    /// Where in its second the present turn lies, in milliseconds: `created` does not show it.
    within: i64,
    ordinals: BTreeMap<Id, u32>,
}

impl Teller {
    pub(crate) fn new(mut person: Person, calendar: Calendar, shape: Shape) -> Teller {
        let now = calendar.stamp(person.arrives).div_euclid(1000) + 1;
        let id = id("cus", &mut person.names);
        Teller {
            chance: person.chance,
            names: person.names,
            storefront: person.storefront,
            user: person.token,
            customer: Customer { id, created: now, country: person.storefront.country },
            now,
            told: Vec::new(),
            shape,
            calendar,
            month: (calendar.span(MONTH) / 1000).max(SHORTEST_MONTH),
            within: 0,
            ordinals: BTreeMap::new(),
        }
    }

    /// How many seconds a lived span takes: at least one.
    pub(super) fn span(&self, span: Lived) -> i64 {
        (span.saturating_mul(self.month) / MONTH).max(1)
    }

    /// Time passes: between the two lived spans, at least a second.
    pub(super) fn wait(&mut self, from: Lived, to: Lived) {
        let (from, to) = (self.span(from), self.span(to));
        self.now += self.chance.between(from, to);
    }

    /// Time passes until `second`, at least one.
    pub(super) fn until(&mut self, second: i64) {
        self.now = (self.now + 1).max(second);
    }

    /// An id that nobody else has. It says nothing about when it was made, as Stripe's.
    pub(super) fn id(&mut self, prefix: &str) -> Id {
        id(prefix, &mut self.names)
    }

    /// A new turn begins, somewhere in its second.
    pub(super) fn turn(&mut self) {
        self.within = self.chance.between(0, 900);
    }

    /// The id of the customer that a hub is expected to know: the app's, else Stripe's.
    fn alias(&self) -> Arc<str> {
        self.user.clone().unwrap_or_else(|| Arc::clone(&self.customer.id))
    }

    /// The last refund of a charge.
    pub(super) fn last_refund(&self, charge: &str) -> Option<Refund> {
        self.told.iter().rev().filter_map(Told::stripe).find_map(|event| match &event.object {
            Object::Refund(refund) if &*refund.charge == charge => Some(refund.clone()),
            _ => None,
        })
    }

    /// Writes an event down.
    pub(super) fn tell(&mut self, draft: Draft) {
        let ordinal = self.ordinals.entry(Arc::clone(&draft.purchase)).or_insert(0);
        let place = *ordinal;
        *ordinal += 1;
        self.within = (self.within + 1).min(999);
        let id = self.id("evt");
        let mut also = draft.also;
        if place == 0 {
            also.push(Object::Customer(self.customer.clone()));
        }
        self.told.push(Told {
            purchase: draft.purchase,
            known_as: None,
            customer: Some(self.alias()),
            ordinal: place,
            at: self.calendar.lived(self.now * 1000 + self.within),
            turn: draft.turn,
            said: Said::Stripe(Box::new(Event {
                id,
                kind: draft.kind,
                created: self.now,
                object: draft.object,
                before: draft.before,
                also,
            })),
            after: draft.after,
        });
    }
}

fn id(prefix: &str, names: &mut Chance) -> Id {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let tail: String = (0..24)
        .filter_map(|_| LETTERS.get(usize::try_from(names.below(62)).unwrap_or(0)))
        .map(|&letter| char::from(letter))
        .collect();
    Arc::from(format!("{prefix}_{tail}"))
}
