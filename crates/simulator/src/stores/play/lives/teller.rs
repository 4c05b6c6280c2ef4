//! One customer of Google Play's and the moment that the life has reached: makes tokens and order ids, keeps the order
//! of the dates, and writes down what Google tells together with what is then true.

use crate::calendar::{Calendar, Lived, SECOND};
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::lives::{Person, Said, Told, Turn};
use crate::stores::play::wire::{About, App, Id, Money, Notification, Shown};
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be told; the teller adds the dates and numbers.
pub(super) struct Draft {
    pub(super) turn: Turn,
    /// The first token of the purchase.
    pub(super) purchase: Id,
    /// The token that it has now.
    pub(super) known_as: Id,
    pub(super) about: About,
    pub(super) shown: Vec<Shown>,
    pub(super) after: After,
}

/// A customer in the middle of their life.
pub(crate) struct Teller {
    pub(super) chance: Chance,
    pub(super) calendar: Calendar,
    pub(super) app: App,
    pub(super) storefront: &'static Storefront,
    /// Their id in the app, if the app told Google.
    pub(super) user: Option<Arc<str>>,
    pub(super) now: Lived,
    pub(super) told: Vec<Told>,
    names: Chance,
    /// The part of every message id that is this customer's own.
    prefix: String,
    /// The last date of each purchase, and how many notifications it has.
    dated: BTreeMap<Id, (i64, u32)>,
}

impl Teller {
    pub(crate) fn new(person: Person, calendar: Calendar, app: App) -> Teller {
        let prefix = format!("1{:06}{:06}", person.run % 1_000_000, person.number);
        Teller {
            chance: person.chance,
            names: person.names,
            calendar,
            app,
            storefront: person.storefront,
            user: person.token,
            now: person.arrives,
            told: Vec::new(),
            prefix,
            dated: BTreeMap::new(),
        }
    }

    /// Time passes: between the two spans.
    pub(super) fn wait(&mut self, from: Lived, to: Lived) {
        self.now += self.chance.between(from, to);
    }

    /// The few seconds between two notifications about one thing.
    pub(super) fn moment(&mut self) {
        self.wait(SECOND, 5 * SECOND);
    }

    /// The present moment, as stamped.
    pub(super) fn stamp(&self) -> i64 {
        self.calendar.stamp(self.now)
    }

    /// A token that nobody else has.
    pub(super) fn token(&mut self) -> Id {
        const LETTERS: &[u8; 16] = b"abcdefghijklmnop";
        const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut letters = |signs: &[u8], count: u32| -> String {
            let mut sign = || signs.get(usize::try_from(self.names.below(signs.len() as u64)).unwrap_or(0));
            (0..count).filter_map(|_| sign()).map(|&sign| char::from(sign)).collect()
        };
        let (head, tail) = (letters(LETTERS, 24), letters(SIGNS, 80));
        Arc::from(format!("{head}.AO-J1O{tail}"))
    }

    /// An order id that nobody else has.
    pub(super) fn order_id(&mut self) -> Id {
        let mut digits = |count: u32| self.names.below(10_u64.pow(count));
        let (a, b, c, d) = (digits(3), digits(4), digits(4), digits(5));
        Arc::from(format!("GPA.3{a:03}-{b:04}-{c:04}-{d:05}"))
    }

    /// A price in US cents as the storefront shows it.
    pub(super) const fn money(&self, cents: i64) -> Money {
        Money { minor: self.storefront.minor(cents), currency: self.storefront.currency }
    }

    /// Writes a notification down. Two of one purchase never carry the same date, however fast time runs.
    pub(super) fn tell(&mut self, draft: Draft) {
        let (last, count) = self.dated.entry(draft.purchase.clone()).or_insert((i64::MIN, 0));
        let at = self.calendar.stamp(self.now).max(last.saturating_add(1));
        let ordinal = *count;
        (*last, *count) = (at, ordinal + 1);
        let message_id = format!("{}{:04}", self.prefix, self.told.len());
        self.told.push(Told {
            purchase: draft.purchase,
            known_as: Some(draft.known_as),
            customer: self.user.clone(),
            ordinal,
            at: self.now,
            turn: draft.turn,
            said: Said::Play(Box::new(Notification { message_id, at, about: draft.about, shown: draft.shown })),
            after: draft.after,
        });
    }
}
