//! One customer and the moment that the life has reached: numbers transactions, keeps the order of the dates, and writes
//! down what Apple tells together with what is then true.

use super::Turn;
use crate::calendar::{Calendar, Lived};
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::stores::app_store::wire::{App, Notification, Renewal, Transaction};
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One notification in a life, with the truth after it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The store's lasting id of the purchase: Apple's original transaction id.
    pub purchase: Arc<str>,
    /// The customer's `appAccountToken`; a few have none.
    pub customer: Option<Arc<str>>,
    /// Place in the purchase's life, from 0.
    pub ordinal: u32,
    /// When it happens, in lived time.
    pub at: Lived,
    /// What it means in the life.
    pub turn: Turn,
    /// What Apple says.
    pub notification: Notification,
    /// What is true after it.
    pub after: After,
}

/// What is to be told; the teller adds the dates and numbers.
pub(super) struct Draft {
    pub(super) turn: Turn,
    pub(super) kind: &'static str,
    pub(super) subtype: Option<&'static str>,
    pub(super) status: Option<u8>,
    pub(super) transaction: Transaction,
    pub(super) renewal: Option<Renewal>,
    pub(super) after: After,
}

/// A customer in the middle of their life.
pub(crate) struct Teller {
    pub(super) chance: Chance,
    pub(super) calendar: Calendar,
    pub(super) app: App,
    pub(super) storefront: &'static Storefront,
    pub(super) token: Option<Arc<str>>,
    pub(super) now: Lived,
    pub(super) told: Vec<Told>,
    names: Chance,
    app_transaction: Arc<str>,
    /// The part of every transaction id that is this customer's own.
    prefix: String,
    serial: u32,
    /// The last date that Apple signed for each purchase, and how many notifications it has.
    signed: BTreeMap<Arc<str>, (i64, u32)>,
}

/// What makes one customer differ from the others.
pub(crate) struct Person {
    /// Number in the population.
    pub(crate) number: u32,
    /// When they arrive.
    pub(crate) arrives: Lived,
    /// Tells the runs against one hub apart.
    pub(crate) run: u64,
    /// Decides what happens.
    pub(crate) chance: Chance,
    /// Gives ids.
    pub(crate) names: Chance,
    /// Where they buy.
    pub(crate) storefront: &'static Storefront,
    /// Their id in the app, if the app told Apple.
    pub(crate) token: Option<Arc<str>>,
}

impl Teller {
    pub(crate) fn new(person: Person, calendar: Calendar, app: App) -> Teller {
        let prefix = format!("2{:06}{:07}", person.run % 1_000_000, person.number);
        Teller {
            chance: person.chance,
            names: person.names,
            calendar,
            app,
            storefront: person.storefront,
            token: person.token,
            now: person.arrives,
            told: Vec::new(),
            app_transaction: Arc::from(format!("7{prefix}")),
            prefix,
            serial: 0,
            signed: BTreeMap::new(),
        }
    }

    /// Time passes: between the two spans.
    pub(super) fn wait(&mut self, from: Lived, to: Lived) {
        self.now += self.chance.between(from, to);
    }

    /// A transaction id that nobody else has.
    pub(super) fn transaction_id(&mut self) -> Arc<str> {
        self.serial += 1;
        Arc::from(format!("{}{:04}", self.prefix, self.serial))
    }

    /// Which installation of the app, for Apple.
    pub(super) fn app_transaction_id(&self) -> Arc<str> {
        Arc::clone(&self.app_transaction)
    }

    /// Writes a notification down. Two of one purchase never carry the same date, however fast time runs.
    pub(super) fn tell(&mut self, draft: Draft) {
        let purchase = Arc::clone(&draft.transaction.original_transaction_id);
        let date = self.calendar.stamp(self.now);
        let (last, count) = self.signed.entry(Arc::clone(&purchase)).or_insert((i64::MIN, 0));
        let signed_date = date.max(last.saturating_add(1));
        let ordinal = *count;
        (*last, *count) = (signed_date, ordinal + 1);
        let mut transaction = draft.transaction;
        transaction.signed_date = signed_date;
        let renewal = draft.renewal.map(|renewal| Renewal { signed_date, ..renewal });
        let consumption_request_reason = (draft.kind == "CONSUMPTION_REQUEST").then_some("UNINTENDED_PURCHASE");
        self.told.push(Told {
            purchase,
            customer: transaction.app_account_token.clone(),
            ordinal,
            at: self.now,
            turn: draft.turn,
            notification: Notification {
                kind: draft.kind,
                subtype: draft.subtype,
                uuid: self.names.uuid(),
                signed_date,
                status: draft.status,
                transaction,
                renewal,
                consumption_request_reason,
            },
            after: draft.after,
        });
    }
}
