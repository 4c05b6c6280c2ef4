//! One customer and the moment that the life has reached: numbers transactions, keeps the order of the dates, and writes
//! down what Apple tells together with what is then true.

use crate::calendar::{Calendar, Lived};
use crate::catalogue::Storefront;
use crate::chance::Chance;
use crate::lives::{Person, Said, Told, Turn};
use crate::stores::app_store::wire::{App, Notification, Renewal, Transaction};
use crate::truth::After;
use std::collections::BTreeMap;
use std::sync::Arc;

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
            known_as: None,
            customer: transaction.app_account_token.clone(),
            ordinal,
            at: self.now,
            turn: draft.turn,
            said: Said::AppStore(Box::new(Notification {
                kind: draft.kind,
                subtype: draft.subtype,
                uuid: self.names.uuid(),
                signed_date,
                status: draft.status,
                transaction,
                renewal,
                consumption_request_reason,
            })),
            after: draft.after,
        });
    }
}
