//! How a subscription begins, and begins again under a new token.

use super::{Google, Meaning, Subscription, kind};
use crate::calendar::{DAY, HOUR, Lived, MINUTE, MONTH};
use crate::catalogue::Plan;
use crate::lives::Turn;
use crate::stores::play::base_plan;
use crate::stores::play::lives::teller::Teller;
use crate::stores::play::wire::{
    About, Canceled, Id, LineItem, OutOfApp, Phase, Plan as Terms, Shown, SubscriptionPurchase,
};
use crate::truth::State;

/// An offer that a subscription begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::play::lives) enum Offer {
    /// A free week.
    Trial,
    /// A cheap month.
    Intro,
}

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::play::lives) enum Start {
    Regular,
    Offer(Offer),
    Prepaid,
    /// Paid in cash, days later.
    AfterPending,
    /// To be paid in cash, and never paid.
    NeverPaid,
}

/// A free trial.
const TRIAL: Lived = 7 * DAY;

impl Subscription {
    /// First purchase. `None`: it never came to one.
    pub(in crate::stores::play::lives) fn begin(
        teller: &mut Teller,
        plan: &'static Plan,
        start: Start,
        is_first: bool,
    ) -> Option<Subscription> {
        let mut own = Subscription::open(teller, plan, start);
        if matches!(start, Start::AfterPending | Start::NeverPaid) {
            teller.now += MINUTE;
            own.say(teller, Turn::FirstPaymentOpen, kind::PURCHASED, Meaning::default());
            teller.wait(HOUR, 2 * DAY);
            own.object.state = Google::Active;
            own.object.start_time = teller.stamp();
        }
        if start == Start::NeverPaid {
            own.object.state = Google::PendingPurchaseCanceled;
            own.set_renewal(false);
            own.state = State::Expired;
            own.say(teller, Turn::NeverPaid, kind::PENDING_PURCHASE_CANCELED, Meaning::default());
            return None;
        }
        own.state = State::Active;
        let price = teller.money(plan.cents).minor;
        let (turn, span, total, offer) = match start {
            Start::Offer(Offer::Trial) => (Turn::TrialStarted, TRIAL, 0, Some("TRIAL_STARTED")),
            Start::Offer(Offer::Intro) => (Turn::IntroStarted, MONTH, price / 2, Some("INTRO_OFFER_STARTED")),
            Start::Prepaid => (Turn::PrepaidStarted, plan.period, price, None),
            Start::Regular | Start::AfterPending | Start::NeverPaid if is_first => {
                (Turn::Started, plan.period, price, None)
            }
            Start::Regular | Start::AfterPending | Start::NeverPaid => (Turn::Resubscribed, plan.period, price, None),
        };
        // A second subscription to a product may be told as a return.
        let mut events = if is_first { vec!["SUBSCRIPTION_STARTED"] } else { vec![] };
        events.extend(offer);
        let from = teller.now;
        let charged = (total > 0).then(|| crate::stores::play::wire::Money { minor: total, ..teller.money(0) });
        let shown = own.pay(teller, from, from + span, charged).into_iter().collect();
        own.set_extension(teller);
        teller.now += MINUTE;
        own.say(teller, turn, kind::PURCHASED, Meaning { money: Some(total), new_period: true, events, shown });
        own.object.is_acknowledged = true;
        Some(own)
    }

    fn open(teller: &mut Teller, plan: &'static Plan, start: Start) -> Subscription {
        let (token, order) = (teller.token(), teller.order_id());
        let terms = match start {
            Start::Prepaid => Terms::Prepaid { allow_extend_after: teller.stamp() },
            Start::Regular | Start::Offer(_) | Start::AfterPending | Start::NeverPaid => {
                Terms::AutoRenewing { is_on: true, price: teller.money(plan.cents), change: None }
            }
        };
        let (offer_id, phase) = match start {
            Start::Offer(Offer::Trial) => (Some("freetrial"), Phase::FreeTrial),
            Start::Offer(Offer::Intro) => (Some("firstmonth"), Phase::IntroductoryPrice),
            Start::Regular | Start::Prepaid | Start::AfterPending | Start::NeverPaid => (None, Phase::BasePrice),
        };
        let item = LineItem {
            product_id: plan.id,
            base_plan_id: base_plan(plan),
            expiry_time: None,
            order_id: None,
            plan: terms,
            offer_id,
            phase,
            deferred_replacement: None,
            replacement: None,
        };
        let is_pending = matches!(start, Start::AfterPending | Start::NeverPaid);
        let object = SubscriptionPurchase {
            token: token.clone(),
            region_code: teller.storefront.country,
            start_time: teller.stamp(),
            state: if is_pending { Google::Pending } else { Google::Active },
            latest_order_id: order.clone(),
            linked_purchase_token: None,
            canceled: None,
            auto_resume_time: None,
            pending_order_id: None,
            is_acknowledged: false,
            account_id: teller.user.clone(),
            out_of_app: None,
            is_test: teller.app.is_tested,
            items: vec![item],
        };
        Subscription {
            root: token,
            object,
            plan,
            next_plan: None,
            base_order: order,
            renewals: 0,
            paid: None,
            earlier: Vec::new(),
            starts: teller.now,
            ends: teller.now,
            grace_ends: None,
            state: State::Pending,
            pauses: false,
            resumes: teller.now,
        }
    }

    /// A prepaid plan may be topped up at once.
    pub(super) fn set_extension(&mut self, teller: &Teller) {
        let now = teller.stamp();
        if let Terms::Prepaid { allow_extend_after } = &mut self.item_mut().plan {
            *allow_extend_after = now;
        }
    }

    /// The chain goes on under a new token. Answers the old token's object, ended by the replacement.
    pub(super) fn relink(&mut self, teller: &mut Teller) -> SubscriptionPurchase {
        let mut old = self.object.clone();
        old.state = Google::Expired;
        old.canceled = Some(Canceled::Replacement);
        old.pending_order_id = None;
        for item in &mut old.items {
            item.expiry_time = Some(teller.stamp());
            item.deferred_replacement = None;
            if let Terms::AutoRenewing { is_on, .. } = &mut item.plan {
                *is_on = false;
            }
        }
        let (token, order) = (teller.token(), teller.order_id());
        self.object.linked_purchase_token = Some(old.token.clone());
        self.object.token = token;
        self.object.state = Google::Active;
        self.object.canceled = None;
        self.object.out_of_app = None;
        self.object.account_id = teller.user.clone();
        self.object.start_time = teller.stamp();
        self.object.latest_order_id = order.clone();
        self.object.is_acknowledged = false;
        self.item_mut().replacement = None;
        (self.base_order, self.renewals) = (order, 0);
        old
    }

    /// Tells the new token's purchase, and seconds later the old one's end.
    pub(super) fn say_relinked(
        &mut self,
        teller: &mut Teller,
        turn: Turn,
        old: SubscriptionPurchase,
        mut meaning: Meaning,
    ) {
        let (token, subscription_id): (Id, _) =
            (old.token.clone(), old.items.first().map_or("", |item| item.product_id));
        meaning.shown.push(Shown::Subscription(Box::new(old)));
        self.say(teller, turn, kind::PURCHASED, meaning);
        self.object.is_acknowledged = true;
        teller.moment();
        let about = About::Subscription { kind: kind::EXPIRED, token, subscription_id };
        self.tell(teller, Turn::Confirmed, about, Meaning::default());
    }

    /// A prepaid plan is paid for once more: its end moves on by a period.
    pub(in crate::stores::play::lives) fn top_up(&mut self, teller: &mut Teller) {
        let old = self.relink(teller);
        let price = teller.money(self.plan.cents);
        let (starts, ends) = (self.ends, self.ends + self.plan.period);
        let shown = self.pay(teller, starts, ends, Some(price)).into_iter().collect();
        self.set_extension(teller);
        let events = vec!["SUBSCRIPTION_RENEWED"];
        let meaning = Meaning { money: Some(price.minor), new_period: true, events, shown };
        self.say_relinked(teller, Turn::ToppedUp, old, meaning);
    }

    /// Cancelled but still running, and bought again in the app: a new token, nothing charged before the old end.
    pub(in crate::stores::play::lives) fn buy_again(&mut self, teller: &mut Teller) {
        let old = self.relink(teller);
        self.set_renewal(true);
        self.item_mut().order_id = Some(self.object.latest_order_id.clone());
        self.say_relinked(teller, Turn::Relinked, old, Meaning::events(vec!["RENEWAL_ENABLED"]));
    }

    /// Lapsed, and bought again in Google's own shop: a new token that names the old one, and no ids of the app.
    pub(in crate::stores::play::lives) fn buy_out_of_app(&mut self, teller: &mut Teller) {
        let expired = OutOfApp { expired_token: self.object.token.clone(), expired_account_id: teller.user.clone() };
        let _ended = self.relink(teller);
        self.object.linked_purchase_token = None;
        self.object.out_of_app = Some(expired);
        self.object.account_id = None;
        self.item_mut().phase = Phase::BasePrice;
        self.item_mut().offer_id = None;
        let price = teller.money(self.plan.cents);
        self.item_mut().plan = Terms::AutoRenewing { is_on: true, price, change: None };
        self.state = State::Active;
        let now = teller.now;
        let shown = self.pay(teller, now, now + self.plan.period, Some(price)).into_iter().collect();
        teller.now += MINUTE;
        let events = vec!["SUBSCRIPTION_REACTIVATED"];
        let meaning = Meaning { money: Some(price.minor), new_period: true, events, shown };
        self.say(teller, Turn::BoughtOutOfApp, kind::PURCHASED, meaning);
        self.object.is_acknowledged = true;
    }
}
