//! How a row of the transition table becomes events: what each carries, and in which order a bundle tells them.

use super::change::Change;
use super::classify::{self, Face, Snapshot, Step, Why, stage};
use super::facts::{self, Fact, MoneyFact};
use super::state;
use super::transitions::{self, Cell, Emit, Row};
use super::{Context, Draft, Subject};
use crate::event::{Details, Edge, EventType, MoneyKind, PurchaseView, TransactionView};
use crate::ids::CustomerId;
use crate::observation::{Hint, Kind, OfferType, Period, Reason};
use crate::purchase::{Held, Purchase, State};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

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
                    if let Some(offer) = self.teller.before.offer {
                        self.push(row, step, not_converted(offer), None, step.face);
                    }
                }
                Emit::Money => self.money(row, step),
                Emit::Former(event) => self.former(row, step, event),
            }
        }
        if let Some(event) = main_event(row, || self.grade()) {
            self.remember(step.change, event);
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
    fn remember(&mut self, change: Change, event: EventType) {
        let purchase = &mut *self.teller.purchase;
        if begins_period(change) {
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
            id: (!key.starts_with('@')).then(|| key.clone().into_owned()),
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

    fn details(&self, step: &Step, event: EventType) -> Details {
        let (before, after) = (&self.teller.before, &self.teller.after);
        let mut details = Details { cancellation_told: Some(self.cancellation_told), ..Details::default() };
        if !self.is_first {
            details.previous_offer_type = self.previous_offer(step);
        }
        if begins_period(step.change) {
            details.is_trial_conversion = Some(self.is_trial_conversion(step));
        }
        match event {
            EventType::SubscriptionReactivated => {
                let ended = !matches!(step.from, State::None | State::Pending);
                let goes_on = || ended || classify::had_periods(before, after);
                details.same_chain = Some(self.released_in(step).map_or_else(goes_on, |held| held.same_chain));
            }
            EventType::SubscriptionUpgraded
            | EventType::SubscriptionCrossgraded
            | EventType::SubscriptionDowngraded => {
                details.previous_product_id.clone_from(&before.view.product_id);
                details.new_product_id.clone_from(&after.view.product_id);
            }
            EventType::PlanChangeScheduled | EventType::PlanChangeUnscheduled => {
                let scheduled = event == EventType::PlanChangeScheduled;
                let pending = if scheduled { &after.view.pending } else { &before.view.pending };
                details.previous_product_id.clone_from(&after.view.product_id);
                details.new_product_id = pending.as_ref().map(|pending| pending.product_id.clone());
                details.effective_at = pending.as_ref().and_then(|pending| pending.effective_at).or(after.end);
            }
            EventType::SubscriptionWillPause => {
                details.effective_at = after.view.pause.as_ref().and_then(|pause| pause.starts_at).or(after.end);
            }
            EventType::SubscriptionDeferred => details.effective_at = after.end,
            EventType::PriceIncreasePending | EventType::PriceIncreaseAccepted => {
                let increase = after.price_increase.as_ref();
                details.new_price = increase.and_then(|increase| increase.new_price);
                details.effective_at = increase.and_then(|increase| increase.effective_at);
            }
            EventType::RefundRecorded | EventType::SubscriptionRefundedRevoked | EventType::OneTimeRefunded => {
                details.partial = self.is_partial(step.fact.as_ref());
            }
            EventType::Deactivate | EventType::Activate => {
                if matches!(step.change, Change::PlanChanged | Change::PlanChangedAtRenewal | Change::PlanChangedUnpaid)
                {
                    details.previous_product_id.clone_from(&before.view.product_id);
                    details.new_product_id.clone_from(&after.view.product_id);
                }
            }
            _ => {} // every other event says all in the purchase itself
        }
        if matches!(step.change, Change::Transferred | Change::TransferredOnce) {
            details.transferred_from = self.teller.context.owner_ids.to_vec();
            details.transferred_to = self.teller.context.new_owner_ids.to_vec();
        }
        details
    }

    fn is_partial(&self, fact: Option<&Fact>) -> Option<bool> {
        let fact = fact?;
        let known = self.teller.purchase.facets.transactions.get(&fact.transaction)?;
        let refund = known.refunds.get(fact.refund.as_ref()?)?;
        Some(state::is_partial(&refund.value, facts::price_of(self.teller.purchase, &fact.transaction, Some(known))))
    }

    fn released_in(&self, step: &Step) -> Option<&Held> {
        self.teller.released.as_ref().filter(|_| step.stage == stage::HELD)
    }

    fn previous_offer(&self, step: &Step) -> Option<OfferType> {
        self.released_in(step).map_or(self.teller.before.offer, |held| held.previous_offer)
    }

    fn is_trial_conversion(&self, step: &Step) -> bool {
        match self.released_in(step) {
            Some(held) => held.is_trial_conversion,
            None => !self.is_first && self.teller.before.is_free && !self.teller.after.is_free,
        }
    }

    /// The offer of the period that the step shows.
    fn current_offer(&self, step: &Step) -> Option<OfferType> {
        match step.face {
            Face::After => self.teller.after.offer,
            Face::Before | Face::Closed => self.teller.before.offer,
        }
    }

    fn started_offer(&self, step: &Step) -> Option<OfferType> {
        let anew = matches!(
            step.change,
            Change::Bought
                | Change::BoughtAgain
                | Change::StartTold
                | Change::ReactivationTold
                | Change::Reactivated
                | Change::Granted
        );
        self.current_offer(step).filter(|offer| anew || self.previous_offer(step) != Some(*offer))
    }

    fn converted_offer(&self, step: &Step) -> Option<OfferType> {
        let old = self.previous_offer(step)?;
        let to_paid = old == OfferType::FreeTrial && self.is_trial_conversion(step);
        (to_paid || self.current_offer(step).is_none()).then_some(old)
    }

    /// A configured rank wins over the store's word (lifecycle.md section 7).
    fn grade(&self) -> EventType {
        let (old, new) = (&self.teller.before.view.product_id, &self.teller.after.view.product_id);
        let find = |id: &Option<String>| {
            id.as_ref().and_then(|id| self.teller.context.catalogue.product(self.teller.purchase.store, id))
        };
        if let (Some(old), Some(new)) = (find(old), find(new))
            && old.group == new.group
            && let (Some(old), Some(new)) = (old.rank, new.rank)
        {
            return match new.cmp(&old) {
                std::cmp::Ordering::Greater => EventType::SubscriptionUpgraded,
                std::cmp::Ordering::Equal => EventType::SubscriptionCrossgraded,
                std::cmp::Ordering::Less => EventType::SubscriptionDowngraded,
            };
        }
        match self.teller.why.hint {
            Some(Hint::Upgraded) => EventType::SubscriptionUpgraded,
            Some(Hint::Downgraded) => EventType::SubscriptionDowngraded,
            Some(_) | None => EventType::SubscriptionCrossgraded,
        }
    }

    /// TRANSACTION_PROCESSED for the untold money facts of the step's transaction.
    fn money(&mut self, row: &'static Row, step: &Step) {
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
    fn leftover_money(&mut self) {
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

    fn processed(&mut self, row: &'static str, step: &Step, money: MoneyFact, source_event: Option<EventType>) {
        let shown = TransactionView {
            id: (!money.transaction.starts_with('@')).then_some(money.transaction),
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

/// The lifecycle event of a row: what a dialect and the money beside it refer to.
fn main_event(row: &Row, grade: impl Fn() -> EventType) -> Option<EventType> {
    row.emits.iter().find_map(|emit| match emit {
        Emit::Tell(event) => Some(*event),
        Emit::Grade => Some(grade()),
        Emit::Activate(_)
        | Emit::Deactivate(_)
        | Emit::DeactivateOld
        | Emit::OfferStarted
        | Emit::OfferConverted
        | Emit::OfferNotConverted
        | Emit::Money
        | Emit::Former(_) => None,
    })
}

/// A period begins with the change: what it costs belongs to its event, and cancellations are forgotten.
pub(super) fn begins_period(change: Change) -> bool {
    matches!(
        change,
        Change::Bought
            | Change::BoughtAgain
            | Change::StartTold
            | Change::ReactivationTold
            | Change::FirstSeenRenewed
            | Change::FirstSeenRecovered
            | Change::FirstSeenResumed
            | Change::FirstSeenChanged
            | Change::PlanChanged
            | Change::PlanChangedAtRenewal
            | Change::ReplacementCame
            | Change::Renewed
            | Change::RenewedLate
            | Change::RenewalTold
            | Change::SignedUpAgain
            | Change::Recovered
            | Change::Resumed
            | Change::Reactivated
            | Change::BoughtOnce
            | Change::Granted
    )
}

fn refund_kind(change: Change) -> Option<MoneyKind> {
    match change {
        Change::Revoked | Change::RefundedOnce | Change::RefundKeepsAccess => Some(MoneyKind::Refund),
        Change::RefundUndone | Change::RefundReversed => Some(MoneyKind::Reversal),
        _ => None, // a request or a refusal moves no money
    }
}

/// Why, in RevenueCat's words (lifecycle.md section 9).
fn reason(event: EventType, step: &Step, view: &PurchaseView) -> Option<Reason> {
    match event {
        EventType::RenewalDisabled if step.from == State::Revoked => Some(Reason::CustomerSupport),
        EventType::RenewalDisabled => Some(view.cancel_reason.unwrap_or(Reason::Unsubscribe)),
        EventType::GracePeriodStarted | EventType::EnteredBillingRetry | EventType::PaymentFailed => {
            Some(Reason::BillingError)
        }
        EventType::GracePeriodTerminated => Some(view.expiration_reason.unwrap_or(Reason::BillingError)),
        EventType::SubscriptionCancelledDuringGracePeriod | EventType::SubscriptionCancelledDuringPause => {
            Some(view.expiration_reason.unwrap_or(Reason::Unsubscribe))
        }
        EventType::SubscriptionRefundedRevoked | EventType::OneTimeRefunded | EventType::RefundRecorded => {
            Some(Reason::CustomerSupport)
        }
        EventType::PromoRevoked => Some(Reason::DeveloperInitiated),
        EventType::Deactivate | EventType::SubscriptionTerminated | EventType::FamilySharedRevoked => {
            view.expiration_reason
        }
        EventType::SubscriptionPaused => Some(Reason::SubscriptionPaused),
        _ => None, // the others are good news, or no ending
    }
}

fn family(event: EventType) -> Family {
    match event {
        EventType::Activate | EventType::Deactivate => Family::Entitlement,
        EventType::TrialStarted
        | EventType::TrialConverted
        | EventType::TrialNotConverted
        | EventType::IntroOfferStarted
        | EventType::IntroOfferConverted
        | EventType::IntroOfferNotConverted
        | EventType::PromoCodeStarted
        | EventType::PromoCodeConverted
        | EventType::PromoCodeNotConverted
        | EventType::PromotionalOfferStarted
        | EventType::PromotionalOfferConverted
        | EventType::PromotionalOfferNotConverted => Family::Offer,
        EventType::TransactionProcessed => Family::Money,
        _ => Family::Lifecycle,
    }
}

fn started(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialStarted,
        OfferType::IntroOffer => EventType::IntroOfferStarted,
        OfferType::PromoCode => EventType::PromoCodeStarted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferStarted,
    }
}

fn converted(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialConverted,
        OfferType::IntroOffer => EventType::IntroOfferConverted,
        OfferType::PromoCode => EventType::PromoCodeConverted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferConverted,
    }
}

fn not_converted(offer: OfferType) -> EventType {
    match offer {
        OfferType::FreeTrial => EventType::TrialNotConverted,
        OfferType::IntroOffer => EventType::IntroOfferNotConverted,
        OfferType::PromoCode => EventType::PromoCodeNotConverted,
        OfferType::PromotionalOffer => EventType::PromotionalOfferNotConverted,
    }
}

/// When an event of this step occurred: that of its fact, else that of the input.
pub(super) fn occurred_at(why: &Why, fact: Option<&Fact>) -> Timestamp {
    fact.map_or(why.occurred_at, |fact| fact.at)
}
