//! What a bundle tells of money: each fact once, beside the event that it belongs to.

use super::Bundle;
use super::tables::main_event;
use crate::engine::change::Change;
use crate::engine::classify::{Face, Step, stage};
use crate::engine::facts::{self, MoneyFact};
use crate::engine::transitions::{self, Cell, Row};
use crate::event::{EventType, MoneyKind, TransactionView};
use crate::observation::Period;
use std::borrow::Cow;

impl Bundle<'_> {
    /// TRANSACTION_PROCESSED for the untold money facts of the step's transaction.
    pub(super) fn money(&mut self, row: &'static Row, step: &Step) {
        if self.untold.is_empty() {
            return;
        }
        let after = self.teller.after.view.clone();
        let key = match (&step.fact, self.released_in(step)) {
            (Some(fact), _) => Some(Cow::Borrowed(fact.transaction.as_str())),
            (None, Some(held)) => Some(Cow::Owned(held.transaction.clone())),
            (None, None) => after.period.as_ref().map(Period::transaction_key),
        };
        let refund = step.fact.as_ref().and_then(|fact| fact.refund.as_ref());
        let source = main_event(row, || self.grade());
        for money in std::mem::take(&mut self.untold) {
            let is_meant = match refund {
                Some(_) => money.refund.as_ref() == refund,
                None => money.kind == MoneyKind::Charge,
            };
            if is_meant && key.as_deref() == Some(money.transaction.as_str()) {
                self.processed(row.number, step, money, source);
            } else {
                self.untold.push(money);
            }
        }
    }

    /// Money facts that no row of this bundle is about.
    pub(super) fn leftover_money(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let from = self.teller.after.state();
        let current = self.teller.after.view.period.as_ref().map(|period| period.transaction_key().into_owned());
        for money in std::mem::take(&mut self.untold) {
            let Cell::Row(row) = transitions::cell(from, Change::MoneyLearned) else { continue };
            let step = Step {
                stage: stage::MAIN,
                from,
                change: Change::MoneyLearned,
                fact: None,
                face: Face::After,
                occurred_at: money.at,
                inferred: false,
            };
            let is_current = Some(&money.transaction) == current.as_ref() && money.kind == MoneyKind::Charge;
            let source = if is_current { self.teller.purchase.period_event } else { None };
            self.processed(row.number, &step, money, source);
        }
    }

    pub(super) fn processed(
        &mut self,
        row: &'static str,
        step: &Step,
        money: MoneyFact,
        source_event: Option<EventType>,
    ) {
        let shown = TransactionView {
            id: facts::shown_id(self.teller.purchase, &money.transaction),
            kind: Some(money.kind),
            money: Some(money.money),
            refund_id: money.round,
            product_id: money.product_id,
            attempt_id: None,
            source_event,
        };
        self.teller.purchase.told.insert(money.key, money.money);
        let view = self.view(step.face);
        self.push_with(row, step, EventType::TransactionProcessed, None, view, Some(shown));
    }
}
