//! What the hub tells of itself. Pure, like all of `commit`.

use super::work::{Work, alone};
use paidup_lifecycle::alert::{self, OperatorAlert};
use paidup_lifecycle::engine::{self, Draft, Outcome};
use paidup_lifecycle::event::Details;
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::purchase::Purchase;

impl Work<'_> {
    /// One event, about the purchase that stands for this kind of alert: so it has a number and a place like every other,
    /// and those of a kind stay in order.
    pub(super) fn tell_alert(&mut self, told: &OperatorAlert) {
        let key = alert::key_of(told.kind);
        let known = self.purchase(Purchase::id_of(&key)).cloned();
        let mut purchase = known.unwrap_or_else(|| Purchase::new(key, Store::External, alert::customer_id()));
        purchase.seq += 1;
        let details = Details { alert: Some(told.clone()), ..Details::default() };
        let view = engine::view(&purchase, &self.catalogue);
        let draft = Draft { details, ..alone("alert", told.event_type(), told.until.unwrap_or(told.since), view) };
        let from = purchase.customer;
        self.seal(Outcome { purchase, events: vec![draft], questions: Vec::new(), next_deadline: None }, from);
    }
}
