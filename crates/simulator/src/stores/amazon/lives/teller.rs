//! One customer of Amazon's and the moment that the life has reached: makes receipt ids, keeps the order of the dates, and
//! writes down what Amazon tells together with what is then true.

use crate::calendar::{Calendar, Lived, MONTH, SECOND};
use crate::catalogue::{Plan, Storefront};
use crate::chance::Chance;
use crate::lives::{Person, Said, Told, Turn};
use crate::stores::amazon::wire::{App, Id, Notification, Receipt};
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be told; the teller adds the dates and numbers.
pub(super) struct Draft {
    pub(super) turn: Turn,
    /// The first receipt of the purchase.
    pub(super) purchase: Id,
    pub(super) kind: &'static str,
    /// The receipt that it is about.
    pub(super) receipt: Receipt,
    /// The receipt that it takes the place of, as it stands from now on.
    pub(super) replaced: Option<Receipt>,
    pub(super) after: After,
}

/// A customer in the middle of their life.
pub(crate) struct Teller {
    pub(super) chance: Chance,
    pub(super) calendar: Calendar,
    pub(super) app: App,
    pub(super) storefront: &'static Storefront,
    /// Amazon's id of the user: the app has no way to tell Amazon its own.
    pub(super) user: Id,
    pub(super) now: Lived,
    pub(super) told: Vec<Told>,
    names: Chance,
    /// The last date of each purchase, and how many notifications it has.
    dated: BTreeMap<Id, (i64, u32)>,
}

impl Teller {
    pub(crate) fn new(mut person: Person, calendar: Calendar, app: App) -> Teller {
        let user = Arc::from(format!("{}=", signs(&mut person.names, 43)));
        Teller {
            chance: person.chance,
            names: person.names,
            calendar,
            app,
            storefront: person.storefront,
            user,
            now: person.arrives,
            told: Vec::new(),
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

    /// The end of a term that begins at `from`. A receipt names its term ("1 Month"), so where time runs as it does, months are
    /// those of the calendar.
    pub(super) fn after_term(&self, from: Lived, plan: &Plan) -> Lived {
        let months = if plan.period > MONTH { 12 } else { 1 };
        let civil = || {
            let at = jiff::Timestamp::from_millisecond(self.calendar.stamp(from)).ok()?;
            let at = at.to_zoned(jiff::tz::TimeZone::UTC).checked_add(jiff::Span::new().months(months)).ok()?;
            Some(self.calendar.lived(at.timestamp().as_millisecond()))
        };
        civil().filter(|_| self.is_real_time()).unwrap_or(from + plan.period)
    }

    /// A lived month takes a month.
    pub(super) fn is_real_time(&self) -> bool {
        self.calendar.speed() <= 1.0
    }

    /// The present moment, as stamped.
    pub(super) fn stamp(&self) -> i64 {
        self.calendar.stamp(self.now)
    }

    /// A receipt id that nobody else has.
    pub(super) fn receipt_id(&mut self) -> Id {
        Arc::from(format!("{}=:3:11", signs(&mut self.names, 43)))
    }

    /// Writes a notification down. Two of one purchase never carry the same date, however fast time runs.
    pub(super) fn tell(&mut self, draft: Draft) {
        let (last, count) = self.dated.entry(draft.purchase.clone()).or_insert((i64::MIN, 0));
        let at = self.calendar.stamp(self.now).max(last.saturating_add(1));
        let ordinal = *count;
        (*last, *count) = (at, ordinal + 1);
        let receipt = draft.receipt.receipt_id.clone();
        // Only an immediate change names the receipt that it ended.
        let is_change = draft.kind == "SUBSCRIPTION_MODIFIED_IMMEDIATE";
        let replaced = draft.replaced.as_ref().map(|old| old.receipt_id.clone());
        let shown = std::iter::once(draft.receipt).chain(draft.replaced).collect();
        self.told.push(Told {
            purchase: draft.purchase,
            known_as: Some(receipt.clone()),
            customer: Some(self.user.clone()),
            ordinal,
            at: self.now,
            turn: draft.turn,
            said: Said::Amazon(Box::new(Notification {
                message_id: self.names.uuid(),
                at,
                kind: draft.kind,
                user: self.user.clone(),
                receipt,
                cancelled_receipt: replaced.filter(|_| is_change),
                shown,
            })),
            after: draft.after,
        });
    }
}

fn signs(names: &mut Chance, count: u32) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut sign = || SIGNS.get(usize::try_from(names.below(64)).unwrap_or(0));
    (0..count).filter_map(|_| sign()).map(|&sign| char::from(sign)).collect()
}
