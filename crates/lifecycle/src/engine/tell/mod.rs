//! How a row of the transition table becomes events: what each carries, and in which order a bundle tells them.
//!
//! `details` is what only some events carry, `money` what is told of money, `tables` the small tables behind both.

mod details;
mod money;
mod tables;

pub(super) use tables::begins_period;

use super::change::Change;
use super::classify::{Face, Snapshot, Step, Why, stage};
use super::facts::{self, Fact, MoneyFact};
use super::transitions::{self, Cell, Emit, Row};
use super::{Context, Draft, Subject};
use crate::event::{Edge, EventType, MoneyKind, PurchaseView, TransactionView};
use crate::ids::CustomerId;
use crate::observation::{Kind, Reason};
use crate::purchase::{Held, Purchase, State};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use tables::{converted, family, main_event, not_converted, reason, refund_kind, started};

/// Order inside one stage: entitlement, lifecycle, offer, transactional (lifecycle.md principle 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Entitlement,
    Lifecycle,
    Offer,
    Money,
}

/// Makes the drafts of one bundle.
pub(super) struct Teller<'a> {
    pub purchase: &'a mut Purchase,
    pub context: &'a Context<'a>,
    pub before: Snapshot,
    pub after: Snapshot,
    pub why: Why,
    /// The owner before the input, if it changed.
    pub former: Option<CustomerId>,
    /// A start or renewal that had been held back and is told now.
    pub released: Option<Held>,
}

/// What all drafts of a bundle share, and what has been told so far.
struct Bundle<'a> {
    teller: Teller<'a>,
    closed_view: Option<Arc<PurchaseView>>,
    is_first: bool,
    cancellation_told: bool,
    untold: Vec<MoneyFact>,
    /// The reading whose product unlocks something at this point of the bundle.
    access: Option<Arc<PurchaseView>>,
    drafts: Vec<(u8, Family, Draft)>,
}

impl Teller<'_> {
    /// The drafts of these steps, in order.
    pub(super) fn tell(self, steps: &[Step], untold: Vec<MoneyFact>) -> Vec<Draft> {
        let mut bundle = Bundle {
            is_first: self.before.state() == State::None,
            cancellation_told: self.purchase.cancellation_told,
            access: self.before.access().map(|_| self.before.view.clone()),
            drafts: Vec::with_capacity(4),
            closed_view: None,
            untold,
            teller: self,
        };
        for step in steps {
            if let Cell::Row(row) = transitions::cell(step.from, step.change) {
                bundle.row(row, step);
            }
        }
        bundle.leftover_money();
        bundle.square_access();
        bundle.drafts.sort_by_key(|(stage, family, _)| (*stage, *family));
        bundle.settle_access();
        bundle.drafts.into_iter().map(|(_, _, draft)| draft).collect()
    }
}

impl Bundle<'_> {
    fn row(&mut self, row: &'static Row, step: &Step) {
        for emit in row.emits {
            match *emit {
                Emit::Activate(edge) => self.activate(row, step, edge),
                Emit::Deactivate(edge) => {
                    if self.teller.after.view.kind != Kind::Consumable {
                        self.push(row, step, EventType::Deactivate, Some(edge), step.face);
                    }
                }
                Emit::DeactivateOld => {
                    self.push(row, step, EventType::Deactivate, Some(Edge::Replaced), Face::Before);
                }
                Emit::Tell(event) => self.push(row, step, event, None, step.face),
                Emit::Grade => self.push(row, step, self.grade(), None, step.face),
                Emit::OfferStarted => {
                    if let Some(offer) = self.started_offer(step) {
                        self.push(row, step, started(offer), None, step.face);
                    }
                }
                Emit::OfferConverted => {
                    if let Some(offer) = self.converted_offer(step) {
                        self.push(row, step, converted(offer), None, step.face);
                    }
                }
                Emit::OfferNotConverted => {
                    if let Some(offer) = self.offer_that_ended() {
                        self.push(row, step, not_converted(offer), None, step.face);
                    }
                }
                Emit::Money => self.money(row, step),
                Emit::Former(event) => self.former(row, step, event),
            }
        }
        if let Some(event) = main_event(row, || self.grade()) {
            self.remember(step, event);
        }
    }

    fn activate(&mut self, row: &'static Row, step: &Step, edge: Edge) {
        let again = edge == Edge::Refresh
            && self.drafts.iter().any(|(at, _, draft)| *at == step.stage && draft.event_type == EventType::Activate);
        if !again {
            self.push(row, step, EventType::Activate, Some(edge), step.face);
        }
    }

    /// What the purchase remembers of what was told.
    fn remember(&mut self, step: &Step, event: EventType) {
        let of_held = self.released_in(step).map(|held| held.transaction.clone());
        let running = || self.teller.after.view.period.as_ref().map(|period| period.transaction_key().into_owned());
        let begun = of_held.or_else(running);
        let purchase = &mut *self.teller.purchase;
        if begins_period(step.change) {
            purchase.period_told = begun;
            purchase.period_event = Some(event);
            purchase.cancellation_told = false;
        }
        match event {
            EventType::RenewalDisabled
            | EventType::GracePeriodStarted
            | EventType::EnteredBillingRetry
            | EventType::SubscriptionRefundedRevoked
            | EventType::FamilySharedRevoked
            | EventType::OneTimeRefunded => purchase.cancellation_told = true,
            EventType::RenewalEnabled => purchase.cancellation_told = false,
            _ => {} // every other event leaves it as it is
        }
    }

    fn view(&mut self, face: Face) -> Arc<PurchaseView> {
        match face {
            Face::After => self.teller.after.view.clone(),
            Face::Before => self.teller.before.view.clone(),
            Face::Closed => {
                let before = &self.teller.before.view;
                self.closed_view
                    .get_or_insert_with(|| {
                        let reason = match before.will_renew {
                            Some(false) => before.cancel_reason.unwrap_or(Reason::Unsubscribe),
                            Some(true) | None => Reason::Unknown,
                        };
                        Arc::new(PurchaseView {
                            state: State::Expired,
                            expiration_reason: Some(reason),
                            ..PurchaseView::clone(before)
                        })
                    })
                    .clone()
            }
        }
    }

    fn push(&mut self, row: &'static Row, step: &Step, event: EventType, edge: Option<Edge>, face: Face) {
        let purchase = self.view(face);
        let transaction = self.transaction(row, step, &purchase);
        self.push_with(row.number, step, event, edge, purchase, transaction);
    }

    fn push_with(
        &mut self,
        row: &'static str,
        step: &Step,
        event: EventType,
        edge: Option<Edge>,
        purchase: Arc<PurchaseView>,
        transaction: Option<TransactionView>,
    ) {
        let held = step.stage == stage::HELD;
        let hint = if held { self.teller.released.as_ref().and_then(|held| held.hint) } else { self.teller.why.hint };
        let draft = Draft {
            row,
            event_type: event,
            subject: Subject::Owner,
            edge,
            occurred_at: step.occurred_at,
            previous: (!self.is_first).then(|| self.teller.before.view.clone()),
            access: None,
            transaction,
            reason: reason(event, step, &purchase),
            hint,
            inferred: step.inferred || self.teller.why.inferred,
            backfill: self.teller.why.backfill,
            details: self.details(step, event),
            purchase,
        };
        self.drafts.push((step.stage, family(event), draft));
    }

    fn former(&mut self, row: &'static Row, step: &Step, event: EventType) {
        let Some(former) = self.teller.former else { return };
        for (event, edge) in [(EventType::Deactivate, Some(Edge::Transferred)), (event, None)] {
            self.push(row, step, event, edge, step.face);
            if let Some((_, family, draft)) = self.drafts.last_mut() {
                // The former owner's pair goes first, whole.
                *family = Family::Entitlement;
                draft.subject = Subject::Former(former);
            }
        }
    }

    /// The transaction that an event of this step is about.
    fn transaction(&self, row: &Row, step: &Step, view: &PurchaseView) -> Option<TransactionView> {
        let purchase = &*self.teller.purchase;
        let (key, fact) = match (&step.fact, step.stage == stage::HELD, &self.teller.released) {
            (Some(fact), _, _) => (Cow::Borrowed(fact.transaction.as_str()), Some(fact)),
            (None, true, Some(held)) => (Cow::Borrowed(held.transaction.as_str()), None),
            (None, _, _) => (view.period.as_ref()?.transaction_key(), None),
        };
        let known = purchase.facets.transactions.get(&*key);
        let product_id = facts::product_of(purchase, &key, known);
        let mut shown = TransactionView {
            id: facts::shown_id(purchase, &key),
            kind: None,
            money: facts::price_of(purchase, &key, known),
            refund_id: None,
            product_id: product_id.or_else(|| view.product_id.clone()),
            attempt_id: None,
            source_event: None,
        };
        let Some(fact) = fact else {
            let charged = shown.money.is_some_and(|money| money.amount_minor != 0) && !view.family_shared;
            if charged && row.emits.contains(&Emit::Money) {
                shown.kind = Some(MoneyKind::Charge);
            }
            return Some(shown);
        };
        shown.attempt_id.clone_from(&fact.attempt);
        shown.refund_id.clone_from(&fact.refund);
        if let (Some(refund), Some(known)) = (&fact.refund, known) {
            shown.kind = refund_kind(step.change);
            let (round, kind) = (facts::current_round(known, refund), shown.kind.unwrap_or(MoneyKind::Refund));
            shown.money = facts::amount(purchase, &key, known, refund, &round, kind);
            shown.refund_id = Some(round.into_owned());
        }
        Some(shown)
    }

    /// Access that moved without a row, because a store changed its word on what was bought, is told all the same.
    fn square_access(&mut self) {
        let told = self.drafts.iter().rev().find_map(|(_, _, draft)| match (draft.event_type, draft.subject) {
            (EventType::Activate, Subject::Owner) => Some(draft.purchase.product_id.as_deref()),
            (EventType::Deactivate, Subject::Owner) => Some(None),
            (_, _) => None,
        });
        let now = self.teller.after.access();
        let lasting = self.teller.after.view.kind != Kind::Consumable;
        let before = self.access.as_ref().and_then(|view| view.product_id.as_deref());
        let told = told.map_or(before, |product| product.filter(|_| lasting));
        let (event, edge) = match (told, now) {
            (told, now) if told == now => return,
            (_, Some(_)) => (EventType::Activate, Edge::Refresh),
            (_, None) => (EventType::Deactivate, Edge::Ended),
        };
        let step = Step {
            stage: stage::MAIN,
            from: self.teller.after.state(),
            change: Change::ProductLearned,
            fact: None,
            face: Face::After,
            occurred_at: self.teller.why.occurred_at,
            inferred: false,
        };
        let view = self.view(Face::After);
        self.push_with("7h", &step, event, Some(edge), view, None);
    }

    /// Notes after each event which product unlocks something for its subject.
    fn settle_access(&mut self) {
        let lasting = self.teller.after.view.kind != Kind::Consumable;
        let mut access = self.access.take();
        for (_, _, draft) in &mut self.drafts {
            if draft.subject != Subject::Owner {
                continue;
            }
            match draft.event_type {
                EventType::Activate if lasting => {
                    access = draft.purchase.product_id.is_some().then(|| draft.purchase.clone());
                }
                EventType::Deactivate => access = None,
                _ => {} // only these two steer access
            }
            draft.access.clone_from(&access);
        }
    }
}

/// When an event of this step occurred: that of its fact, else that of the input.
pub(super) fn occurred_at(why: &Why, fact: Option<&Fact>) -> Timestamp {
    fact.map_or(why.occurred_at, |fact| fact.at)
}
